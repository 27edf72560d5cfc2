"""Is the data that a config names there, and can mlx-lm read it? The report's issue 1."""

import json
from pathlib import Path

from ..paths import shown
from ..training_data import SPLITS
from .findings import finding


def listing(folder: Path) -> list[str]:
    """The folder as `ls` and `wc -l` would show it: name, bytes and lines of each file."""
    if not folder.is_dir():
        return [f"{shown(folder)}: no such directory"]
    # Hidden files do not count as data: .DS_Store stands in many an empty folder.
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    total = sum(path.stat().st_size for path in files)
    rows = [f"{path.name}  {path.stat().st_size:,} bytes  {_count_lines(path):,} lines" for path in files]
    return [f"{shown(folder)}: total {total:,} bytes", *rows]


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def check_data(folder: Path, batch_size: int) -> list[dict]:
    """Findings on one data folder: is it there, has it rows, can each row be trained on?"""
    where, evidence = shown(folder), listing(folder)
    if not folder.is_dir():
        return [
            finding(
                "data.missing",
                "error",
                f"The data directory {where} does not exist",
                evidence=evidence,
                where=where,
                cause="mlx-lm takes a path that does not exist for the name of a dataset on a hub.",
                fix="Extract this variant (notebook 01), or point `data:` at a folder that has train.jsonl.",
            )
        ]
    if not (folder / "train.jsonl").is_file():
        empty = len(evidence) == 1
        return [
            finding(
                "data.empty" if empty else "data.no_train",
                "error",
                f"The data directory {where} is empty" if empty else f"{where} has no train.jsonl",
                evidence=evidence,
                where=where,
                cause="The config names a data variant that was never written."
                if empty
                else "mlx-lm reads train.jsonl, valid.jsonl and test.jsonl, and no other names.",
                fix="Point `data:` at a variant that exists, or take the variant out of the list that generates the configs.",
            )
        ]
    findings = []
    for name in SPLITS:
        path = folder / f"{name}.jsonl"
        if path.is_file():
            findings += _check_split(path, name, batch_size)
        elif name == "valid":
            findings.append(
                finding(
                    "data.no_valid",
                    "warning",
                    f"{where} has no valid.jsonl",
                    evidence=evidence,
                    where=where,
                    cause="mlx-lm then trains without any validation.",
                    fix="Extract the variant again; its time-ordered split writes one.",
                )
            )
    return findings


def _check_split(path: Path, name: str, batch_size: int) -> list[dict]:
    severity = "warning" if name == "test" else "error"
    where = shown(path)
    lines = path.read_bytes().split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    if not lines:
        return [
            finding(
                "data.zero_bytes",
                severity,
                f"{where} is empty",
                evidence=[f"{path.name}  0 bytes"],
                where=where,
                cause="mlx-lm looks at the first row to learn the format, and aborts without one.",
                fix="Extract the variant again.",
            )
        ]
    blank = [number for number, line in enumerate(lines, 1) if not line.strip()]
    broken, wrong = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            problem = _problem(json.loads(line))
        except ValueError as error:
            broken.append(f"line {number}: {error}")
        else:
            if problem:
                wrong.append(f"line {number}: {problem}")
    findings = []
    for check, bad, title, cause in (
        (
            "data.blank_line",
            [f"line {number} is blank" for number in blank],
            "blank lines",
            "mlx-lm parses every line as JSON and aborts at a blank one.",
        ),
        (
            "data.bad_json",
            broken,
            "lines that are not JSON",
            "mlx-lm parses every line as JSON and aborts at the first bad one.",
        ),
        (
            "data.bad_messages",
            wrong,
            "rows that are no conversation with a reply at the end",
            "mlx-lm trains on the last message, whatever its role.",
        ),
    ):
        if bad:
            findings.append(
                finding(
                    check,
                    "error",
                    f"{where} has {len(bad)} {title}",
                    evidence=bad[:5],
                    cause=cause,
                    where=where,
                    fix="Extract the variant again, or mend these lines.",
                )
            )
    if len(lines) < batch_size and name != "test":
        findings.append(
            finding(
                "data.fewer_than_batch",
                "error",
                f"{where} has fewer rows than one batch",
                evidence=[f"{len(lines)} rows, batch_size {batch_size}"],
                where=where,
                cause="mlx-lm makes full batches only, and aborts where there is none.",
                fix="Lower batch_size, or extract more history.",
            )
        )
    return findings


def _problem(row) -> str | None:
    """What is wrong with one row, or None."""
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or not messages:
        return "no list of `messages`"
    if any(not isinstance(m, dict) or not isinstance(m.get("content"), str) or "role" not in m for m in messages):
        return "a message without `role` or text `content`"
    if messages[-1]["role"] != "assistant":
        return f"the last message is by {messages[-1]['role']!r}, not by the assistant"
    if not messages[-1]["content"].strip():
        return "the reply is empty"
    return None
