"""docs/checks.md, written from the checks' declarations."""

from itertools import groupby
from string import Formatter

from .findings import Check

SEVERITIES = (
    "An *error* aborts the run, wastes it, or trains on or asks the wrong thing. A *warning* changes what is "
    "learned, or makes an evaluation unreliable. An *info* is a fact about the run that needs no action."
)


def rows(checks: list[Check]) -> list[dict]:
    """One row per check: `check`, `severity`, `meaning`."""
    return [{"check": check.id, "severity": _either(check.severities), "meaning": check.meaning} for check in checks]


def page(checks: list[Check]) -> str:
    """The text of docs/checks.md: a table of all checks, then a section for each."""
    table = [
        f"| [`{row['check']}`](#{_anchor(row['check'])}) | {row['severity']} | {row['meaning']} |"
        for row in rows(checks)
    ]
    parts = [
        "# What the audit looks for",
        "Written by `ftstudy checks --markdown`; the texts are next to each check in `lib/ftstudy/audit/`.",
        SEVERITIES,
        "\n".join(["| Check | Severity | Meaning |", "|---|---|---|", *table]),
    ]
    for family, members in groupby(checks, key=lambda check: check.id.partition(".")[0]):
        parts += [f"## {family}", *(part for check in members for part in _section(check))]
    return "\n\n".join(parts) + "\n"


def _section(check: Check) -> list[str]:
    why = "Why it matters" if check.severities == ("info",) else "Why it is bad"
    return [
        f"### {check.id}",
        f"Severity: {_either(check.severities)}.",
        f"**What it finds.** {check.meaning}",
        *([f"**{why}.** {_plain(check.cause)}"] if check.cause else []),
        *(
            f"{heading}:\n\n```{_language(check.id, example)}\n{example.strip()}\n```"
            for heading, example in (("Bad", check.bad), ("Good", check.good))
            if example
        ),
        *([f"**Fix.** {_plain(check.fix)}"] if check.fix else []),
    ]


def _either(words) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _plain(text: str) -> str:
    """With each {placeholder} as its name in capitals."""
    return "".join(before + (name or "").upper() for before, name, *_ in Formatter().parse(text))


def _anchor(check: str) -> str:
    """The anchor that a Markdown page gives the heading."""
    return check.replace(".", "")


def _language(check: str, text: str) -> str:
    if text.lstrip().startswith("{"):
        return "json"
    return "yaml" if check.startswith("config.") else "text"
