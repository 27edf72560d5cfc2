"""How checks show what they found: few lines, short, and safe to write to a file."""

import json
from collections import Counter
from collections.abc import Callable, Sequence

from ..paths import shown
from ..printable import one_line
from ..wording import count as counted
from .findings import Check, Finding
from .run_inputs import RunInputs

LINES = 5


def listed(lines: Sequence[str]) -> list[str]:
    """At most five lines of at most 200 characters, and how many more there are."""
    short = [line if len(line) <= 200 else line[:199] + "…" for line in lines[:LINES]]
    return short + [f"… and {len(lines) - LINES:,} more"] * (len(lines) > LINES)


def quoted(text: str, most: int = 120) -> str:
    """A text on one line, in quotes, with invisible and unwritable characters escaped."""
    return one_line(json.dumps(text if len(text) <= most else text[:most] + "…", ensure_ascii=False))


def around(text: str, start: int, end: int) -> str:
    """A place in a text, with the words around it."""
    return quoted(("…" if start > 30 else "") + text[max(0, start - 30) : end + 30])


def in_rows(
    inputs: RunInputs, check: Check, severity: str, hits: list[tuple[str, int, str]], title: str, **values: str
) -> list[Finding]:
    """The finding on rows, or none without hits: (split, line number, what is there).

    The title becomes "{number} rows {title}", with the number in each file; `values` go to `Check.found`.
    """
    if not hits:
        return []
    files = Counter(split for split, _, _ in hits)
    numbers = ", ".join(f"{split}.jsonl: {number:,}" for split, number in files.items())
    path = inputs.folder / f"{next(iter(files))}.jsonl" if len(files) == 1 else inputs.folder
    lines = [f"{split}.jsonl line {number}: {text}" for split, number, text in hits]
    title = f"{counted(len(hits), 'row')} {title} ({numbers})"
    return [check.found(severity, title, evidence=listed(lines), where=shown(path), **values)]


def row_lines(found, rows, describe: Callable[[int], str]) -> list[str]:
    """Evidence on rows of a `loss_mask.LossMask`: the first few described, the others counted."""
    lines = [f"line {found.rendering.numbers[row]}: {describe(row)}" for row in rows[:LINES].tolist()]
    return listed(lines + [""] * (len(rows) - len(lines)))
