"""The audit's findings as text: for a terminal, as Markdown, and as GitHub's annotations."""

import re

from ..printable import one_line
from ..wording import count
from .layout import coloured, wrapped

SIGNS = {"error": "✗", "warning": "!", "info": "✓"}
COLOURS = {"error": "red", "warning": "yellow", "info": "green"}


def summary(result: dict) -> str:
    """The counts, and what they mean for training: "✗ 2 errors, 4 notes: do not train"."""
    counts = result["summary"]
    worst = _worst(counts)
    nouns = {"error": "error", "warning": "warning", "info": "note"}
    said = ", ".join(count(counts[level], noun) for level, noun in nouns.items() if counts[level])
    meaning = {
        "error": "do not train",
        "warning": "you can train, but look at this first",
        "info": "nothing found that would waste this run",
    }
    return f"{SIGNS[worst]} {said or 'no finding'}: {meaning[worst]}"


def terminal(result: dict, verbose: bool = False) -> list[tuple[str, str]]:
    """(line, colour) pairs: the summary, then errors and warnings in full, then a line for each note.

    `verbose`: notes in full too. Lines are wrapped to the terminal's width; in a pipe or a file they are not.
    """
    lines = [(summary(result), COLOURS[_worst(result["summary"])]), ("", "")]
    notes = [one for one in result["findings"] if one["severity"] == "info"]
    for one in [one for one in result["findings"] if one["severity"] != "info"] + (notes if verbose else []):
        lines += _in_full(one)
    if notes and not verbose:
        lines.append((f"Notes, which need no action ({len(notes)}; in full with -v)", ""))
        lines += [line for one in notes for line in coloured(f"{one['check']}  {one['title']}", "  ")]
        lines.append(("", ""))
    for key, title in (("held", "Checked and passed"), ("not_checked", "Not checked")):
        if said := result.get(key):
            lines += [(title, ""), *(line for one in said for line in coloured(one, "  ")), ("", "")]
    return lines if lines[-1][0] or len(lines) == 1 else lines[:-1]


def _in_full(one: dict) -> list[tuple[str, str]]:
    name = "note" if one["severity"] == "info" else one["severity"]
    head = wrapped(f"{name}  {one['check']}  {one['title']}", "")
    lines = [(line, COLOURS[one["severity"]] if at == 0 else "") for at, line in enumerate(head)]
    lines += [line for one_of in one["evidence"] for line in coloured(one_of, "    ", "  ")]
    lines += [line for key in ("cause", "fix") for line in coloured(f"{key}: {one[key]}", "  ")]
    return [*lines, ("", "")]


def _worst(counts: dict[str, int]) -> str:
    return next((level for level in ("error", "warning") if counts[level]), "info")


def markdown(result: dict) -> str:
    """For a pull request or an issue."""
    parts = [f"**{summary(result)}**"]
    for one in result["findings"]:
        title = _escaped(one["title"])
        if one["severity"] == "info":
            parts.append(f"- note `{one['check']}`: {title}")
            continue
        evidence = "\n".join(one["evidence"])
        fence = max(["``", *re.findall("`+", evidence)], key=len) + "`"
        parts.append(f"### {one['severity']}: {title}\n\n`{one['check']}`\n\n{fence}\n{evidence}\n{fence}")
        parts.append(f"{_escaped(one['cause'])} **{_escaped(one['fix'])}**")
    return "\n\n".join(parts)


def _escaped(text: str) -> str:
    """Other people's words stay words in Markdown."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in "\\`*_[]#|" else letter for letter in text)


def github(result: dict) -> str:
    """GitHub's workflow commands, which annotate the files of a pull request."""
    kinds = {"error": "error", "warning": "warning", "info": "notice"}
    lines = []
    for one in result["findings"]:
        place = f"file={_property(one['where'])}," if one.get("where") else ""
        words = _data(f"{one['title']}. {one['cause']} {one['fix']}")
        lines.append(f"::{kinds[one['severity']]} {place}title={_property(one['check'])}::{words}")
    return "\n".join([*lines, summary(result)])


def _data(text: str) -> str:
    return one_line(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
