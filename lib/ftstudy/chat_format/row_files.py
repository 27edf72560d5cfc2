"""Files of rows that mlx-lm doesn't read as they are: under another name, or not with one row a line."""

import json
import re
from pathlib import Path

from ..files.reading import LARGEST, opened, read_text
from ..machine_failures import pass_on

NAMES = {
    "train": ("train", "training", "trn", "train_data", "train-data", "data", "dataset"),
    "valid": ("valid", "val", "validation", "dev", "eval", "evaluation", "valid_data"),
    "test": ("test", "testing", "tst", "test_data"),
}
ENDINGS = (".jsonl", ".json", ".ndjson", ".jsonlines", ".txt", ".csv", ".tsv", ".parquet")
START = 1 << 20  # bytes of a file that say whether it has one row a line
ARRAY, PRETTY, NESTED = "one JSON array", "JSON objects over several lines", "one JSON object around the rows"


def stand_in(folder: Path, name: str) -> Path | None:
    """The file that somebody wrote for a split that the folder doesn't have, judged by its name."""
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in ENDINGS)
    except OSError:
        return None
    ours = {f"{split}.jsonl" for split in NAMES}
    files = [path for path in files if path.name not in ours]
    stems = {path: re.sub(r"-\d{5}-of-\d{5}$", "", path.stem.lower()) for path in files}
    return next((path for stem in NAMES[name] for ending in ENDINGS for path in files
                 if stems[path] == stem and path.suffix.lower() == ending), None)  # fmt: skip


def has_rows_on_lines(path: Path) -> bool:
    """Whether the first line of a file that is not blank is a JSON object."""
    try:
        with opened(path) as file:
            first = next((line for line in file.read(START).splitlines() if line.strip()), b"")
        return isinstance(json.loads(first), dict)
    except (OSError, ValueError, RecursionError) as error:
        pass_on(error)
        return False


def rows_of_whole(path: Path) -> tuple[str, list[dict]] | None:
    """What a file is that has no row a line, and its rows: `ARRAY`, `PRETTY` or `NESTED`. None for any other file."""
    try:
        values = values_of(read_text(path, LARGEST, "utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        pass_on(error)
        return None
    if len(values) == 1 and isinstance(values[0], list):
        return (ARRAY, values[0]) if values[0] and all(isinstance(row, dict) for row in values[0]) else None
    if not values or not all(isinstance(value, dict) for value in values):
        return None
    inside = [value for value in values[0].values() if _are_rows(value)] if len(values) == 1 else []
    return (NESTED, inside[0]) if len(inside) == 1 and len(values[0]) <= 3 else (PRETTY, values)


def _are_rows(value) -> bool:
    """Whether a list is one of rows, and not of the messages of one row."""
    return isinstance(value, list) and bool(value) and all(
        isinstance(row, dict) and not {"role", "from"} & row.keys() for row in value
    )  # fmt: skip


def values_of(text: str) -> list:
    """The JSON values of a text, one after another, with or without commas between. Raises ValueError."""
    decoder, values, at = json.JSONDecoder(), [], 0
    while (at := re.compile(r"[\s,]*").match(text, at).end()) < len(text):
        value, at = decoder.raw_decode(text, at)
        values.append(value)
    return values
