"""What a repair changed, to print: the config as a diff, the rows by number and example."""

import json
from collections import Counter
from difflib import unified_diff

from ..paths import shown
from ..printable import cut, one_line
from ..wording import count

EXAMPLES, WIDTH, AROUND = 3, 160, 40  # of a repair; characters of an example, and of what comes before its change


def of_config(old: str, new: str, before, after) -> list[str]:
    """A unified diff of two configs' texts."""
    lines = unified_diff(old.splitlines(), new.splitlines(), shown(before), shown(after), lineterm="", n=1)
    return [one_line(line) for line in lines]


def of_rows(old: dict[str, list], new: dict[str, list]) -> list[str]:
    """How many rows changed, moved, came or went, and up to three examples, before → after."""
    before, after = (
        {name: [json.dumps(row, ensure_ascii=False) for row in rows.get(name, [])] for name in {**old, **new}}
        for rows in (old, new)
    )
    gone = {name: _only(rows, after[name]) for name, rows in before.items()}
    come = {name: _only(rows, before[name]) for name, rows in after.items()}
    changed, lines, examples = 0, [], []
    for name in before:
        left, right = gone[name], come[name]
        if left and len(left) == len(right):
            changed += len(left)
            examples += [f"{name}: {_before_after(a, b)}" for a, b in zip(left, right)]
            gone[name], come[name] = [], []
    moved = [(row, name) for name, rows in gone.items() for row in rows if any(row in other for other in come.values())]
    left_out = sum(map(len, gone.values())) - len(moved)
    added = sum(map(len, come.values())) - len(moved)
    for number, what in ((changed, "changed"), (len(moved), "moved to another split"), (left_out, "left out")):
        lines += [f"{count(number, 'row')} {what}"] if number else []
    lines += [f"{count(added, 'row')} added"] if added > 0 else []
    outs = [f"{name}: − {_end(one_line(row))}" for name, rows in gone.items() for row in rows]
    return [", ".join(lines), *(f"  {one}" for one in (examples or outs)[:EXAMPLES])] if lines else []


def _only(rows: list[str], others: list[str]) -> list[str]:
    """The rows that aren't among the others, or not as often, in order."""
    more, found = Counter(rows) - Counter(others), []
    for row in rows:
        if more[row]:
            more[row] -= 1
            found.append(row)
    return found


def _end(text: str) -> str:
    """The end of a row, which is its reply; rows begin alike."""
    return text if len(text) <= WIDTH else f"…{text[-WIDTH:]}"


def _before_after(old: str, new: str) -> str:
    """Two texts from shortly before where they first differ."""
    same = next((at for at, (a, b) in enumerate(zip(old, new)) if a != b), min(len(old), len(new)))
    start = max(0, same - AROUND)
    parts = ("…" * bool(start) + cut(one_line(text[start:]), WIDTH // 2) for text in (old, new))
    return " → ".join(parts)
