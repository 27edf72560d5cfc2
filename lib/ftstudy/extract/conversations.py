"""Which rows belong to the same conversation? Intervals need to know, because its replies aren't independent.

Our own extraction records it. Other people's rows are linked by the lines they share: the windows of one
conversation overlap, so a row repeats lines of the rows before it.
"""

import json
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

from .. import chat_format
from ..files.reading import read_text

SHORT, LONG = 12, 30  # characters of a line: shorter ones say nothing; two of these link two rows, or one long one
WINDOW = 20  # a line in more rows than this is a stock phrase: a window of 8 messages repeats a line in fewer


def of_split(folder: Path, name: str, rows: list[dict]) -> tuple[list[str], dict]:
    """Each row's conversation, and how that is known: {"known": "recorded" or "inferred", "linked": the number of
    rows that share lines with another, "rows": the number of rows}."""
    recorded = _recorded(folder, name, len(rows))
    if recorded:
        return recorded, {"known": "recorded", "linked": len(rows), "rows": len(rows)}
    found = infer(rows)
    linked = sum(size for size in Counter(found).values() if size > 1)
    return found, {"known": "inferred", "linked": linked, "rows": len(rows)}


def _recorded(folder: Path, name: str, rows: int) -> list[str] | None:
    """From `meta.jsonl`; None without that file, or if it isn't ours."""
    try:
        meta = [json.loads(line) for line in read_text(folder / "meta.jsonl").splitlines()]
        known = {item["row"]: item["conversation"] for item in meta if item["split"] == name}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return [known.get(row, f"row {row}") for row in range(rows)] if known else None


def infer(rows: list[dict]) -> list[str]:
    """Each row's conversation: `row N`, where N is the first row of those linked to it by shared lines."""
    places = defaultdict(set)
    for at, row in enumerate(rows):
        for line in _lines(row):
            places[line].add(at)
    shared = Counter()
    for line, found in places.items():
        if len(found) <= WINDOW:
            for pair in combinations(sorted(found), 2):
                shared[pair] += 1 if len(line) < LONG else 2
    root = list(range(len(rows)))

    def find(at: int) -> int:
        while root[at] != at:
            root[at] = at = root[root[at]]
        return at

    for (one, other), weight in shared.items():
        if weight >= 2:
            first, second = sorted((find(one), find(other)))
            root[second] = first
    return [f"row {find(at)}" for at in range(len(rows))]


def _lines(row: dict) -> set[str]:
    """The lines of a row's conversation that are long enough to tell it from others; not the system text."""
    messages = row.get("messages") if isinstance(row, dict) else None
    turns = [turn for turn in messages or [] if isinstance(turn, dict) and turn.get("role") != "system"]
    lines = [line.strip() for turn in turns for line in chat_format.text_of(turn).splitlines()]
    return {bare for line in lines if len(bare := line.partition(": ")[2] or line) >= SHORT}
