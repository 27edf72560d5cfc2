"""The form of training's user turns, learned from them, so that a turn which an app wraps is noticed.

A single turn tells little: what people write is free. But training shows what every turn begins or ends with, and
which headings (`Context:`, `<conversation>`, `### Question`) stand on the first or the last line.
"""

import os
import re

ENOUGH = 20  # different turns, from which on what all of them share counts as their form
MOST = 20  # headings
HEADING = re.compile(r"#{1,6} .{1,60}|<[^<>\n]{1,40}>|\[[^\[\]\n]{1,40}\]|\*\*.{1,40}\*\*:?|[^\W\d_a-z][^:\n]{0,39}:")


def learned(turns: list[str]) -> dict | None:
    """`prefix` and `suffix` of all turns, and the headings on their `first` and `last` lines; None if there are too
    few different turns."""
    turns = sorted({turn.strip() for turn in turns})
    if len(turns) < ENOUGH:
        return None
    prefix = os.path.commonprefix(turns)
    suffix = os.path.commonprefix([turn[::-1] for turn in turns])[::-1]
    lines = {at: {line for turn in turns if (line := _heading(turn, at))} for at in (0, -1)}
    return {
        "prefix": prefix[: max(prefix.rfind("\n"), prefix.rfind(": ") + 1, prefix.rfind(">")) + 1],
        "suffix": suffix[suffix.find("\n") :] if "\n" in suffix else "",
        "first": sorted(lines[0])[:MOST],
        "last": sorted(lines[-1])[:MOST],
    }


def problems(form: dict, turn: str) -> list[str]:
    """What is unlike training in the form of a user turn."""
    turn, found = turn.strip(), []
    first, last = _heading(turn, 0), _heading(turn, -1)
    if not turn.startswith(form["prefix"].strip()):
        found.append(f"begins with {turn[:40]!r}, where all of training's begin with {form['prefix'].strip()!r}")
    elif first and first not in form["first"] and len(form["first"]) < MOST:
        found.append(f"begins with {first!r}, which none of training's does: the app wraps it")
    if not turn.endswith(form["suffix"].strip()):
        found.append(f"ends with {turn[-40:]!r}, where all of training's end with {form['suffix'].strip()!r}")
    elif last and last not in form["last"] and len(form["last"]) < MOST:
        found.append(f"ends with {last!r}, which none of training's does: the app wraps it")
    return [f"Its last user turn {one}." for one in found]


def _heading(turn: str, at: int) -> str | None:
    """The first (0) or last (-1) line of a turn with several lines, if it is a heading."""
    lines = turn.splitlines()
    line = lines[at].strip() if len(lines) > 1 else ""
    return line if HEADING.fullmatch(line) else None
