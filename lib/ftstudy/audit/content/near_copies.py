"""Rows of one file that are almost the same: numbers and a word or two differ."""

import re

from ..evidence import counted, listed, quoted
from ..findings import Check, Finding
from ..run_inputs import RunInputs

NEAR_DUPLICATES = Check(
    "data.near_duplicates",
    ("warning",),
    "Half of a file's rows or more are almost the same; only numbers and a few words differ.",
    cause="The model sees one example again and again: it learns this one answer, and little of the other rows.",
    fix="Keep some of these rows and add others, until no one kind makes up most of the file.",
    bad='"build 1 ended with 3 warnings, what now?", "build 2 ended with 0 warnings, what now?", … in 360 of 400 rows',
    good="40 such rows among 400",
)
CHECKS = (NEAR_DUPLICATES,)
ENOUGH = 20  # different rows
FEW_WORDS = 9  # shorter rows are alike in every chat
MOSTLY = 0.5  # of the rows
ALIKE = 0.6  # of the runs of three words that two rows have
SAMPLE = 400  # rows of a file, evenly spread
WORDS = 300  # of a row that are compared
WORD = re.compile(r"\d[\d.,:/-]*|[^\W\d]+|[\u3040-\u30ff\u3400-\u9fff]")


def check(inputs: RunInputs, rows: dict) -> list[Finding]:
    """The finding on the first file whose rows are mostly alike. `rows`: split -> (line, row)."""
    for name, given in rows.items():
        different = {_said(row): (number, row) for number, row in reversed(given)}
        sample = [*reversed(different.items())][:: max(1, len(different) // SAMPLE)]
        if len(sample) < ENOUGH:
            continue
        enough = MOSTLY * len(sample)
        alike = _group([_runs(text) for text, _ in sample], enough)
        alike = [at for at in alike if len(set(WORD.findall(sample[at][0].casefold()))) > FEW_WORDS]
        if len(alike) < enough:
            continue
        share = len(alike) / len(sample)
        lines = [f"line {sample[at][1][0]}: {quoted(sample[at][0], 150)}" for at in alike]
        title = f"{share:.0%} of the {counted(len(given), 'row')} of {name}.jsonl are almost the same"
        where = inputs.splits[name].where
        return [NEAR_DUPLICATES.found("warning", title, evidence=listed(lines), where=where)]
    return []


def _said(row: dict) -> str:
    return "\n".join(message["content"] for message in row["messages"] if message["role"] != "system")


def _runs(text: str) -> frozenset:
    """The runs of three words of a text; all numbers are the same."""
    words = ["0" if word[0].isdigit() else word.casefold() for word in WORD.findall(text)[:WORDS]]
    return frozenset(zip(words, words[1:], words[2:])) or frozenset([tuple(words)])


def _group(rows: list[frozenset], enough: float) -> list[int]:
    """The places of the rows in the largest group around one row; none if no group has `enough`."""
    groups: list[list[int]] = []
    largest = 0
    for at, row in enumerate(rows):
        if largest + len(rows) - at < enough:  # even if all the others are in it
            return []
        near = next((group for group in groups if _shared(rows[group[0]], row) >= ALIKE), None)
        if near is None:
            groups.append(near := [])
        near.append(at)
        largest = max(largest, len(near))
    return max(groups, key=len, default=[])


def _shared(one: frozenset, other: frozenset) -> float:
    both = len(one & other)
    return both / (len(one) + len(other) - both)
