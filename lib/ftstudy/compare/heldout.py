"""The held-out replies that are compared."""

from .. import chat_format
from ..errors import StudyError
from ..extract.variant_folder import spread


def held_out(examples: list[dict], conversations: list[str], count: int, recorded: set[int] | None = None) -> dict:
    """`count` examples, spread evenly over the split so that many conversations are included.

    `recorded`: the rows for which an app's prompts were recorded; if any are usable, only those are taken.
    Returns `examples`, their `conversations` and `rows` (indices in the split), and `unusable`, the number of
    rows without a reply to compare with. Raises StudyError if no row is usable.
    """
    usable = [at for at, example in enumerate(examples) if chat_format.ends_with_reply(example)]
    unusable = len(examples) - len(usable)
    if not usable:
        raise StudyError(
            f"None of the {len(examples)} rows of the test split ends with a reply, so there is nothing to compare "
            "with. Run `make audit` to see what is wrong with the rows, then extract them again."
        )
    if recorded is not None:
        usable = [at for at in usable if at in recorded] or usable
    rows = spread(usable, count)
    return {
        "examples": [examples[row] for row in rows],
        "conversations": [conversations[row] for row in rows],
        "rows": rows,
        "unusable": unusable,
    }
