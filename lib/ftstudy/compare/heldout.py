"""The held-out replies that are compared."""

from collections import Counter, defaultdict
from pathlib import Path

from .. import chat_format
from ..chat_format.read_back import with_messages
from ..errors import StudyError
from ..extract import conversations, variant_folder
from ..extract.variant_folder import spread
from ..paths import shown


def held_out(
    folder: Path,
    count: int,
    *,
    tokenizer=None,
    config: dict | None = None,
    recorded: set | None = None,
    order: tuple[str, ...] = ("test", "valid"),
) -> dict:
    """`count` rows of a data folder's test split, from as many conversations as possible and equally many of each.

    They come from valid.jsonl if there is no test split; `order` changes which of the two is preferred. `tokenizer`:
    reads rows of plain text back, if its chat template rendered them. `config`: may rename the rows' keys. `recorded`:
    the (split, row) for which an app's prompts were recorded; if any are usable, only those are taken. Returns `split`;
    `examples`, their `conversations`, `rows` (indices in the split) and `places`, (split, row); `grouping`, how the
    conversations are known; `all`, the number of rows, and `unusable`, of those without a reply to compare with.
    Raises StudyError if no row is usable.
    """
    split = variant_folder.heldout_split(folder, order)
    examples = variant_folder.load_examples(folder, split, config)
    if tokenizer is not None:
        examples = with_messages(examples, tokenizer, config)
    names, grouping = conversations.of_split(folder, split, examples)
    usable = [at for at, example in enumerate(examples) if chat_format.ends_with_reply(example)]
    if not usable:
        raise StudyError(
            f"None of the {len(examples)} rows of {shown(folder / split)}.jsonl ends with a reply in a message of its "
            "own, so there is nothing to compare with. Write the rows as `messages` or as `prompt` and `completion` (plain "
            "text is read only if the model's own chat template rendered it), and train again; "
            "`ftstudy audit` says what is wrong with them."
        )
    if recorded is not None:
        usable = [at for at in usable if (split, at) in recorded] or usable
    rows = choose(usable, names, count)
    return {
        "split": split,
        "examples": [examples[row] for row in rows],
        "conversations": [names[row] for row in rows],
        "rows": rows,
        "places": [(split, row) for row in rows],
        "grouping": grouping,
        "all": len(examples),
        "unusable": len(examples) - sum(map(chat_format.ends_with_reply, examples)),
    }


def choose(usable: list[int], names: list[str], count: int) -> list[int]:
    """`count` of the usable rows, in their order: one of each conversation, then a second of each, and so on. If the
    last round has too few for all, they are spread evenly over conversations. `names`: each row's conversation."""
    rows, turns, left = defaultdict(list), Counter(), min(count, len(usable))
    for row in usable:
        rows[names[row]].append(row)
    while left:
        asked = spread([name for name, found in rows.items() if turns[name] < len(found)], left)
        turns.update(asked)
        left -= len(asked)
    # Evenly, from the middle outwards: a session's first reply has the shortest context.
    return sorted(
        found[(2 * turn + 1) * len(found) // (2 * turns[name])]
        for name, found in rows.items()
        for turn in range(turns[name])
    )
