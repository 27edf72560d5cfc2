"""Does the data that a config names exist, and can mlx-lm read it? The original report's first issue.

mlx-lm opens all three files whenever it trains, and decides the schema of a whole file by its first row. A fault
there aborts every run; a fault in a later row aborts when that row's turn comes.
"""

import json
from pathlib import Path

from ...chat_format import mlx_lm_rows
from ...chat_format.rows import PARQUET, Split, read_split
from ...configs import study
from ...extract.variant_folder import SPLITS
from ...paths import shown
from ...printable import cut
from ..evidence import counted, listed
from ..findings import Check, Finding
from ..run_inputs import RunInputs
from . import other_files, row_keys, schemas

EXTRACT_AGAIN = "Extract the variant again; its time-ordered split writes one."
MISSING = Check(
    "data.missing",
    ("error",),
    "The data directory does not exist.",
    cause="mlx-lm takes a path that doesn't exist for the name of a Hub dataset.",
    fix="Point `data:` at the folder that has train.jsonl; to extract it, run notebook 01 first.",
    bad="data: data/raw_style_varable",
    good="data: data/raw_style_variable",
)
EMPTY = Check(
    "data.empty",
    ("error",),
    "The data directory is empty.",
    cause="The config names a folder that nothing was written to.",
    fix="Write train.jsonl, valid.jsonl and test.jsonl there, or point `data:` at the folder that has them.",
    bad="data/category_aware: total 0 bytes",
    good="data/category_aware: test.jsonl, train.jsonl, valid.jsonl",
)
NO_TRAIN = Check(
    "data.no_train",
    ("error",),
    "The data directory has no train.jsonl.",
    cause="mlx-lm reads train.jsonl, valid.jsonl and test.jsonl, and no other names.",
    fix="Name the training rows train.jsonl, one JSON object a line, or point `data:` at the folder that has them.",
    bad="data/mine: training.jsonl",
    good="data/mine: train.jsonl, valid.jsonl",
)
NO_TEST = Check(
    "data.no_test",
    ("error",),
    "The config says `test: true`, but there is no test.jsonl.",
    cause="With `test: true`, mlx-lm looks for it before training, and aborts.",
    fix="Set `test: false`, or move whole conversations out of train.jsonl into test.jsonl.",
    fix_extracted=EXTRACT_AGAIN,
    bad="test: true   with train.jsonl and valid.jsonl only",
    good="test: false",
)
NO_VALID = Check(
    "data.no_valid",
    ("warning",),
    "There is no valid.jsonl, so nothing is validated.",
    cause="mlx-lm then trains without any validation.",
    fix="Move about a tenth of the conversations out of train.jsonl into valid.jsonl, the latest ones.",
    fix_extracted=EXTRACT_AGAIN,
    bad="data/mine: train.jsonl",
    good="data/mine: train.jsonl, valid.jsonl",
)
ZERO_BYTES = Check(
    "data.zero_bytes",
    ("error",),
    "train.jsonl, valid.jsonl or test.jsonl is empty; mlx-lm reads the first row of each.",
    cause="mlx-lm reads the first row of each of its three files to learn the schema, and aborts without one, even if "
    "the file is not used.",
    fix="Write rows into the file, or remove it.",
    fix_extracted="Extract the variant again, or remove the file.",
    bad="valid.jsonl  0 bytes",
    good="no valid.jsonl at all, or one with rows",
)
FEWER_THAN_BATCH = Check(
    "data.fewer_than_batch",
    ("error",),
    "A split has fewer rows than one batch.",
    cause="mlx-lm only makes full batches, and aborts if there is none.",
    fix="Lower batch_size, or add rows.",
    fix_extracted="Lower batch_size, or extract more history.",
    bad="batch_size: 8   with 5 rows in valid.jsonl",
    good="batch_size: 4",
)
TAIL_ROWS = Check(
    "data.tail_rows",
    ("info", "warning"),
    "Rows after the last full batch are never used; a warning if they are a tenth of the training rows or more.",
    cause="mlx-lm makes full batches of consecutive rows, the same ones in every epoch, and drops the rest.",
    fix="Choose a batch_size that divides the number of rows better.",
    bad="batch_size: 8   with 15 rows in train.jsonl",
    good="batch_size: 4   with 16 rows",
)
CHECKS = (
    MISSING,
    EMPTY,
    NO_TRAIN,
    NO_TEST,
    NO_VALID,
    ZERO_BYTES,
    schemas.BLANK_LINE,
    schemas.BAD_JSON,
    schemas.MIXED_SCHEMAS,
    schemas.BAD_MESSAGES,
    FEWER_THAN_BATCH,
    TAIL_ROWS,
    *row_keys.CHECKS,
    schemas.SCHEMA,
)
TAIL_SHARE = 0.1  # of the training rows, always the same ones, unused: that is lost data, not a remainder


def check(inputs: RunInputs) -> list[Finding]:
    """Findings on files, lines and rows. Never raises, whatever the files contain."""
    config = inputs.config
    if config.get("hf_dataset"):
        return [
            schemas.SCHEMA.found(
                "info",
                "The config trains on a Hub dataset, which is not audited",
                evidence=cut(f"hf_dataset: {json.dumps(config['hf_dataset'], default=str)}", 200),
                cause="With `hf_dataset`, mlx-lm does not read the folder in `data:`.",
                fix="To have the data audited, save it as train.jsonl, valid.jsonl and test.jsonl.",
            )
        ]
    return _findings(
        inputs.folder,
        inputs.splits,
        # The study's own trainer uses every row, whatever the batch size.
        None if study(config) else config.get("batch_size"),
        test=bool(config.get("test")),
        mask_prompt=bool(config.get("mask_prompt")),
        refusal=refusal_of(inputs),
        tokenizer=inputs.tokenizer_or_none,
        on_hub=inputs.hub is not None,
    )


def refusal_of(inputs: RunInputs):
    """A function (row, schema, features) -> the error with which mlx-lm aborts at a row, or None; None without a model."""
    tokenizer = inputs.tokenizer_or_none
    # The study's own trainer renders the prompt of every row.
    prompts = bool(inputs.config.get("mask_prompt")) or bool(study(inputs.config))

    def refusal(row, schema: str, features: dict) -> str | None:
        return mlx_lm_rows.refusal(row, schema, features, tokenizer, prompts)

    return tokenizer and refusal


def check_data(folder: Path, batch_size: int) -> list[Finding]:
    """The same for a folder alone, without a config."""
    splits = {name: read_split(folder, name) for name in SPLITS if (folder / f"{name}.jsonl").is_file()}
    return _findings(folder, splits, batch_size, test=False, mask_prompt=False)


def listing(folder: Path) -> list[str]:
    """The folder as `ls` and `wc -l` show it: name, bytes and lines of each file."""
    if not folder.is_dir():
        return [f"{shown(folder)}: no such directory"]
    # Hidden files don't count as data: many an empty folder has a .DS_Store.
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    total = sum(path.stat().st_size for path in files)
    rows = [f"{path.name}  {path.stat().st_size:,} bytes{_lines(path)}" for path in files]
    return [f"{shown(folder)}: total {total:,} bytes", *rows]


def _lines(path: Path) -> str:
    if path.suffix.lower() == PARQUET:
        return ""
    with path.open("rb") as file:
        return f"  {sum(1 for _ in file):,} lines"


# --- files ----------------------------------------------------------------------------------


def _findings(
    folder: Path,
    splits: dict[str, Split],
    batch_size,
    *,
    test: bool,
    mask_prompt: bool,
    refusal=None,
    tokenizer=None,
    on_hub: bool = False,
) -> list[Finding]:
    where = shown(folder)
    if on_hub and "train" not in splits:
        return []  # the config's check says that nothing could be read
    evidence = listed(listing(folder))
    if not folder.is_dir():
        title, cause = f"The data directory {where} does not exist", None
        if folder.exists():
            title = f"{where} is a file, not a data directory"
            cause = "mlx-lm reads train.jsonl in the folder that `data:` names."
        fix = f"Set `data: {shown(folder.parent)}`." if folder.name == "train.jsonl" and folder.is_file() else None
        return [MISSING.found("error", title, evidence=evidence, where=where, cause=cause, fix=fix)]
    if "train" not in splits:
        but, fix = other_files.instead(folder, [name for name in SPLITS if name not in splits])
        check, title = NO_TRAIN, f"{where} has no train.jsonl{but}"
        if len(evidence) == 1:
            check, title = EMPTY, f"The data directory {where} is empty{but}"
        return [check.found("error", title, evidence=evidence, where=where, fix=fix)]
    findings = []
    for check, severity, name, is_needed in (
        (NO_VALID, "warning", "valid", not on_hub),
        (NO_TEST, "error", "test", test),
    ):
        if is_needed and name not in splits:
            but, fix = other_files.instead(folder, [name])
            title = f"{where} has no {name}.jsonl{but}"
            findings.append(check.found(severity, title, evidence=evidence, where=where, fix=fix))
    faults, batches = [], []
    for split in splits.values():
        if split.is_parquet and split.broken:
            findings.append(_damaged(split))
            continue
        if not split.lines:
            evidence = f"{split.path.name}  0 {'rows' if split.is_parquet else 'bytes'}"
            title = f"{split.where} is empty"
            findings.append(ZERO_BYTES.found("error", title, evidence=evidence, where=split.where))
        if odd := other_files.not_on_lines(split):
            findings.append(_whole(split, *odd))
            continue
        found = schemas.check_lines(split, test, mask_prompt, refusal)
        faults += found
        # Which rows come after the last batch is only known if all rows are good.
        batches += _batches(split, batch_size, test, faulty=bool(found))
    findings += schemas.in_files(faults, where) + batches
    keys = [] if faults else row_keys.check(splits, tokenizer, where)
    return findings + keys + schemas.check_kinds(splits, where)


def _whole(split: Split, form: str, number: int, fix: str) -> Finding:
    first = split.broken[0] if split.broken else f"line {split.numbers[0]}: a list of {counted(number, 'object')}"
    return schemas.BAD_JSON.found(
        "error",
        f"{split.where} is {form}, not one row a line",
        evidence=[f"{split.path.name}: {counted(number, 'row')} on {counted(split.lines, 'line')}", first],
        where=split.where,
        cause="mlx-lm parses each line by itself, and needs one JSON object on each.",
        fix=fix,
    )


def _damaged(split: Split) -> Finding:
    return schemas.BAD_JSON.found(
        "error",
        f"{split.where} cannot be read as Parquet",
        evidence=listed([*split.broken, f"{counted(split.lines, 'row')} read before that"]),
        where=split.where,
        cause="mlx-lm reads Hub datasets with the datasets package, which aborts at such a file.",
        fix="Download the dataset again: delete its folder in the Hugging Face cache, and start mlx-lm.",
    )


# --- batches --------------------------------------------------------------------------------


def _batches(split: Split, size, test: bool, faulty: bool) -> list[Finding]:
    # The config family reports a batch size that is not a positive number.
    is_used = split.lines and not split.unread and (test or split.name != "test")
    if type(size) is not int or size < 1 or not is_used:
        return []
    number = split.lines - len(split.blank)
    if number < size:
        evidence = f"{counted(number, 'row')}, batch_size {size}"
        title = f"{split.where} has fewer rows than one batch"
        return [FEWER_THAN_BATCH.found("error", title, evidence=evidence, where=split.where)]
    tail = number % size
    if faulty or not tail:
        return []
    # mlx-lm sorts by the number of keys in a row, where it means to sort by length; nothing else moves a row.
    order = sorted(range(number), key=lambda at: len(split.rows[at]))
    left = sorted(split.numbers[at] for at in order[-tail:])
    train = split.name == "train"
    many = train and tail > TAIL_SHARE * number
    use = "trained on" if train else "evaluated" if split.name == "valid" else "tested"
    return [
        TAIL_ROWS.found(
            "warning" if many else "info",
            f"{tail} of the {counted(number, 'row')} in {split.where} {'is' if tail == 1 else 'are'} never {use}",
            evidence=listed([f"lines {', '.join(map(str, left))}", f"{number} rows, batch_size {size}"]),
            where=split.where,
            fix=None if many else "No action needed.",
        )
    ]
