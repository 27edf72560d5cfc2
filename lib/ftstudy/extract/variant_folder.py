"""The folder of one variant, as mlx-lm reads it, and what the study keeps beside the rows.

train.jsonl valid.jsonl test.jsonl    rows {"messages": [...]}
heldout.jsonl                         rows of people who stand in none of the others
meta.jsonl                            for each row its conversation and message ids
origin.json                           which source, owner and settings it was made from
.gitignore                            keeps the folder out of git, wherever it lies
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import StudyError
from ..files import replace_folder, write_json, write_jsonl, write_text
from ..paths import shown

SPLITS = ("train", "valid", "test")
HELDOUT = "heldout"
SAME = ("source", "owner", "kind")  # data is replaced only by data that has these in common


def write(target: Path, rows: dict[str, Iterable[dict]], meta: Iterable[dict], origin: dict) -> None:
    """Write a variant's folder, whole or not at all. `rows`: split -> rows in mlx-lm's form."""
    refuse_to_replace(target, origin)
    with replace_folder(target) as folder:
        for name, examples in rows.items():
            write_jsonl(folder / f"{name}.jsonl", examples)
        write_jsonl(folder / "meta.jsonl", meta)
        write_json(folder / "origin.json", origin)
        write_text(folder / ".gitignore", "*\n")


def refuse_to_replace(target: Path, origin: dict) -> None:
    """StudyError where the folder holds something that is not older data of the same origin."""
    if not target.exists() or not any(target.iterdir()):
        return
    before = origin_of(target)
    if not before or any(before.get(key) != origin.get(key) for key in SAME):
        raise StudyError(
            f"{shown(target)} already holds data from {_told(before)}, and this would replace it with data from "
            f"{_told(origin)}. Nothing was written. Choose another folder (DATA=… or --out), or remove {shown(target)}."
        )


def origin_of(folder: Path) -> dict:
    """What a variant was made from (`source`, `owner`, `kind`, …), or {} if that is not recorded."""
    try:
        found = json.loads((folder / "origin.json").read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            return {}
        found.get("owner", "").encode()  # a name, without halves of characters
        return found
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def _told(origin: dict) -> str:
    if not origin:
        return "somewhere that is not recorded"
    return origin["source"] + (f" (owner {origin['owner']})" if "owner" in origin else "")


def statistics(folder: Path) -> dict:
    """The report's "Data Statistics": per split, bytes of the file and its examples."""
    files = {name: folder / f"{name}.jsonl" for name in (*SPLITS, HELDOUT)}
    return {
        name: {"bytes": path.stat().st_size, "examples": sum(1 for line in path.open("rb") if line.strip())}
        for name, path in files.items()
        if path.is_file()
    }


def load_examples(folder: Path, name: str) -> list[dict]:
    """The rows of one split. Raises StudyError where the file is missing or not JSONL."""
    path = folder / f"{name}.jsonl"
    if not path.is_file():
        raise StudyError(
            f"There is no {shown(path)}; run notebook 01 (make extract) for this variant, or correct the config's `data:`."
        )
    try:
        with path.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        raise StudyError(f"{shown(path)} is not JSONL ({error}); extract it again, or mend that line.") from error


def spread(rows: Sequence, count: int) -> list:
    """`count` of the rows, evenly over all; all of them where there are fewer."""
    count = min(len(rows), count)
    return [rows[at] for at in np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))] if count else []


def conversations_of(folder: Path, name: str, rows: int) -> list[str]:
    """Each row's conversation out of `meta.jsonl`; without that file each row is its own."""
    path = folder / "meta.jsonl"
    if not path.is_file():
        return [f"row {row}" for row in range(rows)]
    meta = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    known = {item["row"]: item["conversation"] for item in meta if item["split"] == name}
    return [known.get(row, f"row {row}") for row in range(rows)]
