"""One system text in all rows, where nearly all have it already."""

from collections import Counter
from difflib import SequenceMatcher

from ..audit.content import sameness
from ..wording import count
from .chats import audited, by_place, conversations, worded, written

HALF = 0.5
ALIKE = 0.6  # similarity of two texts: below it, one isn't a version of the other, and may ask for something else
NEARLY_ALL = 0.9  # of the training rows: what fewer have in common may be no mistake in the others


def as_in_training(draft: dict, inputs) -> tuple[dict, list[str]]:
    """The system text of nearly all training rows in all rows, if data.system_prompts or data.system_differs says that
    they differ."""
    chats = conversations(draft, inputs)
    usual = Counter(_system(row) for _, row in chats.get("train", []))
    if not usual or not sameness.system_findings(audited(draft, inputs), worded(chats)):
        return draft, []
    (text, times), *others = usual.most_common()
    # Rows without any may have lost it, as those of prompt and completion can't have one.
    is_only = text is not None and {other for other, _ in others} <= {None} and times > HALF * usual.total()
    if times < NEARLY_ALL * usual.total() and not is_only:
        return draft, []
    changes = {
        place: [*([{"role": "system", "content": text}] if text is not None else []), *_others(row)]
        for place, row in by_place(chats).items()
        if _others(row) and _is_meant(_system(row), text)
    }
    what = (
        "no system text, as nearly all of training has none" if text is None else "the system text of nearly all rows"
    )
    notes = [f"{count(len(changes), 'row')} now with {what}"] if changes else []
    return written(draft, inputs, changes), notes


def _is_meant(given: str | None, usual: str | None) -> bool:
    """Whether a row that has `given` should have the usual text: it has none, or another version of that."""
    if given is None or usual is None:
        return given != usual
    return given != usual and SequenceMatcher(None, given.casefold(), usual.casefold()).ratio() >= ALIKE


def _system(row: dict):
    first = row["messages"][0]
    content = first.get("content") if first["role"] == "system" else None
    return content if isinstance(content, str) else None


def _others(row: dict) -> list[dict]:
    messages = row["messages"]
    return messages[1:] if messages[0]["role"] == "system" else messages
