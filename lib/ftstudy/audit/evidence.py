"""How the checks on data show what they found: few lines, short, and safe to write to a file."""

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

from ..paths import shown
from .findings import finding
from .run_inputs import RunInputs

LINES = 5


def listed(lines: Sequence[str]) -> list[str]:
    """At most five lines of at most 200 characters, and how many more there are."""
    short = [line if len(line) <= 200 else line[:199] + "…" for line in lines[:LINES]]
    return short + [f"… and {len(lines) - LINES:,} more"] * (len(lines) > LINES)


def quoted(text: str, most: int = 120) -> str:
    """A text on one line, in quotes; what cannot be seen or written to a file is escaped."""
    told = json.dumps(text if len(text) <= most else text[:most] + "…", ensure_ascii=False)
    if told.isprintable():
        return told
    parts = []
    for at, character in enumerate(told):
        # Emoji and several scripts join what stands on both sides.
        joins = character in "\u200c\u200d" and not (told[at - 1] + told[at + 1]).isascii()
        if joins or character.isprintable() or unicodedata.category(character) == "Zs":
            parts.append(character)
        else:
            parts.append(rf"\u{ord(character):04x}" if ord(character) < 0x10000 else rf"\U{ord(character):08x}")
    return "".join(parts)


def around(text: str, start: int, end: int) -> str:
    """A place in a text, with the words about it."""
    return quoted(("…" if start > 30 else "") + text[max(0, start - 30) : end + 30])


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + "s" * (number != 1)


def rows_found(
    inputs: RunInputs, check: str, severity: str, hits: list[tuple[str, int, str]], what: str, cause: str, fix: str
) -> list[dict]:
    """The finding on rows: `hits` are (split, line number, what stands there); none, no finding.

    The title is "{number} rows {what}", with the number in each file.
    """
    if not hits:
        return []
    files = Counter(split for split, _, _ in hits)
    told = ", ".join(f"{split}.jsonl: {number:,}" for split, number in files.items())
    one = next(iter(files)) if len(files) == 1 else None
    folder = inputs.folder / f"{one}.jsonl" if one else inputs.folder
    return [
        finding(
            check,
            severity,
            f"{counted(len(hits), 'row')} {what} ({told})",
            evidence=listed([f"{split}.jsonl line {number}: {text}" for split, number, text in hits]),
            where=shown(folder),
            cause=cause,
            fix=fix,
        )
    ]


def row_lines(found, rows, describe: Callable[[int], str]) -> list[str]:
    """Evidence on rows of a `loss_mask.LossMask`: the first few described, the others only counted."""
    told = [f"line {found.rendering.numbers[row]}: {describe(row)}" for row in rows[:LINES].tolist()]
    return listed(told + [""] * (len(rows) - len(told)))
