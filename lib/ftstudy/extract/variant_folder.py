"""The folder of one variant: the rows for mlx-lm, and what the study records about them.

train.jsonl valid.jsonl test.jsonl    rows {"messages": [...]}
heldout.jsonl                         rows of people who are in no other split
meta.jsonl                            each row's conversation, message ids, context and last message
origin.json                           the source, owner and settings it was made from
.gitignore                            keeps the folder out of git, wherever it is (see `folders`)
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..chat_format import EXTRACTED
from ..chat_format.rows import read_split
from ..errors import StudyError
from ..files import write_json, write_jsonl
from ..files.folders import IGNORE, replace_folder
from ..files.reading import SETTINGS, opened, read_json
from ..paths import shown

SPLITS = ("train", "valid", "test")
HELDOUT = "heldout"
DEFAULT = "raw_style_variable"  # the variant that is trained on unless another is named
SAME = ("source", "owner", "kind")  # data is replaced only if these are the same


def write(target: Path, rows: dict[str, Iterable[dict]], meta: Iterable[dict], origin: dict) -> None:
    """Write a variant's folder completely or not at all. `rows`: split -> rows in mlx-lm's format."""
    check_origin(target, origin)
    with replace_folder(target) as folder:
        for name, examples in rows.items():
            write_jsonl(folder / f"{name}.jsonl", examples)
        write_jsonl(folder / "meta.jsonl", meta)
        write_json(folder / "origin.json", origin)


def check_origin(target: Path, origin: dict) -> None:
    """StudyError if the folder contains anything but older data of the same origin."""
    if not target.exists() or all(path.name == IGNORE for path in target.iterdir()):
        return
    before = origin_of(target)
    if not before or any(before.get(key) != origin.get(key) for key in SAME):
        raise StudyError(
            f"{shown(target)} already contains data from {_describe(before)}, which would be replaced by data from "
            f"{_describe(origin)}. Nothing was written. Choose another folder (DATA=… or --out), or remove {shown(target)}."
        )


def origin_of(folder: Path) -> dict:
    """What a variant was made from (`source`, `owner`, `kind`, …); {} if that is not recorded."""
    try:
        found = read_json(folder / "origin.json", SETTINGS)
        if not isinstance(found, dict):
            return {}
        found.get("owner", "").encode()  # fails unless it is text without lone surrogates
        return found
    except (OSError, ValueError, AttributeError):
        return {}


def _describe(origin: dict) -> str:
    if not origin:
        return "an unrecorded source"
    return origin["source"] + (f" (owner {origin['owner']})" if "owner" in origin else "")


def statistics(folder: Path) -> dict:
    """Split -> bytes of its file and number of its examples; the report's "Data Statistics"."""
    files = {name: folder / f"{name}.jsonl" for name in (*SPLITS, HELDOUT)}
    return {
        name: {"bytes": path.stat().st_size, "examples": sum(1 for line in path.open("rb") if line.strip())}
        for name, path in files.items()
        if path.is_file()
    }


def load_examples(folder: Path, name: str, config: dict | None = None) -> list[dict]:
    """The rows of one split as conversations; rows without messages stay as they are.

    `config`: may rename the rows' keys. Raises StudyError if the file is missing or not JSONL.
    """
    path = folder / f"{name}.jsonl"
    if not path.is_file():
        raise StudyError(
            f"There is no {shown(path)}. Run notebook 01 (make extract) for this variant, or correct the config's `data:`."
        )
    split, known = read_split(folder, name, config), extracted(folder, name)
    if split.broken:
        raise StudyError(f"{shown(path)} is not JSONL ({split.broken[0]}). Extract it again, or fix that line.")
    rows = [split.conversation(row, split.schema) or row for row in split.rows]
    return [with_extracted(row, known.get(at)) for at, row in enumerate(rows)]


def heldout_split(folder: Path, order: tuple[str, ...] = ("test", "valid")) -> str:
    """The split whose replies a comparison asks about: the first in `order` that has a file with rows.

    Raises StudyError if neither has a row.
    """
    sizes = statistics(folder)
    name = next((name for name in order if sizes.get(name, {}).get("examples")), None)
    if name is None:
        raise StudyError(
            f"{shown(folder)} has neither a test.jsonl nor a valid.jsonl with rows in it, so there are no held-out "
            "replies to compare models on. Move some conversations out of train.jsonl into a test.jsonl, then train "
            "again: replies that the model was trained on only show what it remembers."
        )
    return name


def extracted(folder: Path, name: str) -> dict[int, dict]:
    """Row number -> its `context` and `last_message` from `meta.jsonl`; {} for rows of another origin."""
    found = {}
    try:
        with opened(folder / "meta.jsonl") as lines:
            for line in lines:
                item = json.loads(line)
                texts = {key: item[key] for key in ("context", "last_message")}
                if item["split"] == name and all(isinstance(text, str) for text in texts.values()):
                    found[item["row"]] = texts
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # not ours, or from an older extraction
        return {}
    return found


def with_extracted(row, known: dict | None):
    return row | {EXTRACTED: known} if known and isinstance(row, dict) else row


def spread(rows: Sequence, count: int) -> list:
    """`count` rows, evenly spread; all of them if there are fewer."""
    count = min(len(rows), count)
    return [rows[at] for at in np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))] if count else []
