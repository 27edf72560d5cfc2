"""Which row of the data a recorded request is about, from the texts in both."""

from pathlib import Path

from ..chat_format import context_of, ends_with_reply, last_message, text_of
from ..errors import StudyError
from ..extract.variant_folder import SPLITS, load_examples
from ..paths import shown
from .app_requests import Asked

SHORTEST = 8  # characters without white space: shorter texts are within too many requests to be found there
Where = tuple[str, int]
Row = tuple[Where, str, str, str, tuple[str, ...]]  # … last user turn, context, last message, earlier turns


def rows_of(folder: Path, split: str | None = None) -> list[Row]:
    """The rows that a request may be about, test first. StudyError: the folder has none."""
    names = [split] if split else [name for name in reversed(SPLITS) if (folder / f"{name}.jsonl").is_file()]
    rows = [
        _row((name, number), example)
        for name in names
        for number, example in enumerate(load_examples(folder, name))
        if ends_with_reply(example)
    ]
    if not rows:
        raise StudyError(
            f"{shown(folder)} has no conversations in {split or ', '.join(SPLITS)}, so no request can be matched to a "
            "row. Name the folder with the run's train.jsonl, valid.jsonl and test.jsonl: --data."
        )
    return rows


def _row(where: Where, example: dict) -> Row:
    turns = [message for message in example["messages"][:-1] if message["role"] != "system"]
    user = next((text_of(turn) for turn in reversed(turns) if turn["role"] == "user"), "")
    earlier = tuple(_squeezed(text_of(turn)) for turn in turns[:-1])
    return where, _squeezed(user), _squeezed(context_of(example)), _squeezed(last_message(example)), earlier


def find(asked: Asked, rows: list[Row], done: set[Where]) -> list[Where]:
    """The rows that fit a request best: one, none, or several that cannot be told apart.

    A request fits a row whose last user turn it asks, or, where an app writes it in another form, whose
    conversation or last message it contains. Of rows with the same texts the first that is not yet `done` is taken.
    """
    users = [message["content"] for message in asked.messages if message["role"] == "user"] or [asked.text]
    last, whole = _squeezed(users[-1]), _squeezed("\n".join(asked.texts))
    best, found = (0, 0, 0), []
    for row in rows:
        fit = _fit(row, last, whole)
        if fit[0] and fit >= best:
            found = [*found, row] if fit == best else [row]
            best = fit
    if len({row[1:] for row in found}) > 1:
        return [row[0] for row in found]
    left = [row[0] for row in found if row[0] not in done]
    return left[:1] or [row[0] for row in found[:1]]


def _fit(row: Row, last: str, whole: str) -> tuple[int, int, int]:
    """How well a request fits a row: in what way, in how many characters, and in how many earlier turns."""
    _, user, context, message, earlier = row
    before = sum(1 if turn in whole else -1 for turn in earlier)
    if last and last == user:
        return 3, len(user), before
    contained = [text for text in (user, context) if len(text) >= SHORTEST and text in whole]
    if contained:
        return 2, max(map(len, contained)), before
    if last and last == message or len(message) >= SHORTEST and message in last:
        return 1, len(message), before
    return 0, 0, 0


def _squeezed(text: str) -> str:
    return "".join(text.split())
