"""Is the data that a config names there, and can mlx-lm read it? The report's issue 1.

mlx-lm opens all three files whenever it trains, and takes the kind of a whole file from its
first row. A fault there aborts every run; one in a later row aborts when that row's turn comes.
"""

import json
from pathlib import Path

from ...configs import study
from ...extract.variant_folder import SPLITS
from ...paths import shown
from ..evidence import counted, listed
from ..findings import finding
from ..run_inputs import RunInputs, Split, read_split
from . import schemas

CHECKS = {
    "data.missing": ("error", "The data directory does not exist."),
    "data.empty": ("error", "The data directory is empty."),
    "data.no_train": ("error", "The data directory has no train.jsonl."),
    "data.no_test": ("error", "The config says `test: true`, and there is no test.jsonl."),
    "data.no_valid": ("warning", "There is no valid.jsonl, so nothing is validated."),
    "data.zero_bytes": ("error", "train, valid or test.jsonl holds nothing; mlx-lm reads the first row of each."),
    "data.blank_line": ("error", "A blank line, where mlx-lm expects JSON."),
    "data.bad_json": ("error", "A line that is not JSON, or bytes that are no text."),
    "data.mixed_schemas": (
        "error or warning",
        "Rows of another kind than the file's first row; plain text with mask_prompt; files of different kinds.",
    ),
    "data.bad_messages": (
        "error or warning",
        "A row that is no conversation: no list of messages, or a message without role or text content; "
        "a warning in test.jsonl where nothing is tested.",
    ),
    "data.fewer_than_batch": ("error", "Fewer rows than one batch."),
    "data.tail_rows": (
        "info or warning",
        "The rows behind the last full batch are never used; a warning from a tenth of the training rows on.",
    ),
    "data.schema": ("info", "Rows into which the other checks cannot look, or of which mlx-lm reads one part."),
}
TAIL_SHARE = 0.1  # of the training rows, always the same ones, unused: that is data lost, not a rest


def check(inputs: RunInputs) -> list[dict]:
    """Findings on files, lines and rows. Never raises, whatever the files hold."""
    config = inputs.config
    if config.get("hf_dataset"):
        return [
            finding(
                "data.schema",
                "info",
                "The config trains on a dataset from a hub, which is not looked at",
                evidence=[f"hf_dataset: {json.dumps(config['hf_dataset'], default=str)}"[:200]],
                where=inputs.where,
                cause="With `hf_dataset`, mlx-lm does not read the folder in `data:`.",
                fix="To have the data audited, save it as train.jsonl, valid.jsonl and test.jsonl.",
            )
        ]
    flags = {"test": bool(config.get("test")), "mask_prompt": bool(config.get("mask_prompt"))}
    if not study(config):
        return _findings(inputs.folder, inputs.splits, config.get("batch_size"), **flags)
    # The study's own trainer takes every row, whatever the batch size, and leaves out one that ends without a reply.
    found = _findings(inputs.folder, inputs.splits, None, **flags)
    return [item for item in found if item["check"] != "data.last_role"]


def check_data(folder: Path, batch_size: int) -> list[dict]:
    """The same for a folder alone, without a config."""
    splits = {name: read_split(folder, name) for name in SPLITS if (folder / f"{name}.jsonl").is_file()}
    return _findings(folder, splits, batch_size, test=False, mask_prompt=False)


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


# --- files ----------------------------------------------------------------------------------


def _findings(folder: Path, splits: dict[str, Split], batch_size, *, test: bool, mask_prompt: bool) -> list[dict]:
    where = shown(folder)
    evidence = listed(listing(folder))
    if not folder.is_dir():
        there = folder.exists()
        return [
            finding(
                "data.missing",
                "error",
                f"{where} is a file, not a data directory" if there else f"The data directory {where} does not exist",
                evidence=evidence,
                where=where,
                cause="mlx-lm reads train.jsonl in the folder that `data:` names."
                if there
                else "mlx-lm takes a path that does not exist for the name of a dataset on a hub.",
                fix="Extract this variant (notebook 01), or point `data:` at a folder that has train.jsonl.",
            )
        ]
    if "train" not in splits:
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
    for name, wanted, check_id, severity, cause in (
        ("valid", True, "data.no_valid", "warning", "mlx-lm then trains without any validation."),
        ("test", test, "data.no_test", "error", "With `test: true`, mlx-lm looks for it before it trains, and aborts."),
    ):
        if wanted and name not in splits:
            findings.append(
                finding(
                    check_id,
                    severity,
                    f"{where} has no {name}.jsonl",
                    evidence=evidence,
                    where=where,
                    cause=cause,
                    fix="Extract the variant again; its time-ordered split writes one.",
                )
            )
    for split in splits.values():
        faults = _lines(split) + schemas.check_rows(split, test, mask_prompt)
        # What stands behind the last batch is known once the rows are.
        findings += faults + _batches(split, batch_size, test, faulty=bool(faults))
    return findings + schemas.check_kinds(splits, where)


def _lines(split: Split) -> list[dict]:
    if not split.lines:
        return [
            finding(
                "data.zero_bytes",
                "error",
                f"{split.where} is empty",
                evidence=[f"{split.path.name}  0 bytes"],
                where=split.where,
                cause="mlx-lm looks at the first row of each of its three files to learn the format, and aborts "
                "without one, also where the file is not used.",
                fix="Extract the variant again, or remove the file.",
            )
        ]
    blank = [f"line {number} is blank" for number in split.blank]
    cause = "mlx-lm parses every line of all three files as JSON before it trains, and aborts at "
    return [
        *schemas.fault(split, "data.blank_line", "error", blank, "left blank", cause + "a blank one."),
        *schemas.fault(split, "data.bad_json", "error", split.broken, "without JSON", cause + "the first such."),
    ]


# --- batches --------------------------------------------------------------------------------


def _batches(split: Split, size, test: bool, faulty: bool) -> list[dict]:
    # A batch size that is no number of rows is the config's fault, and told there.
    if type(size) is not int or size < 1 or not split.lines or (split.name == "test" and not test):
        return []
    number = split.lines - len(split.blank)
    if number < size:
        return [
            finding(
                "data.fewer_than_batch",
                "error",
                f"{split.where} has fewer rows than one batch",
                evidence=[f"{counted(number, 'row')}, batch_size {size}"],
                where=split.where,
                cause="mlx-lm makes full batches only, and aborts where there is none.",
                fix="Lower batch_size, or extract more history.",
            )
        ]
    tail = number % size
    if faulty or not tail:
        return []
    # mlx-lm sorts by the number of keys in a row, where it means to sort by length; nothing else moves a row.
    order = sorted(range(number), key=lambda at: len(split.rows[at]))
    left = sorted(split.numbers[at] for at in order[-tail:])
    train = split.name == "train"
    use = "trained on" if train else "evaluated" if split.name == "valid" else "tested"
    return [
        finding(
            "data.tail_rows",
            "warning" if train and tail > TAIL_SHARE * number else "info",
            f"{tail} of the {counted(number, 'row')} in {split.where} {'is' if tail == 1 else 'are'} never {use}",
            evidence=listed([f"lines {', '.join(map(str, left))}", f"{number} rows, batch_size {size}"]),
            where=split.where,
            cause="mlx-lm makes full batches of rows that follow each other, the same ones in every epoch, and leaves the rest.",
            fix="Choose a batch_size that divides the number of rows better."
            if train and tail > TAIL_SHARE * number
            else "Nothing need be done.",
        )
    ]
