"""Faults in the rows of a dataset on a hub that `data:` names, of which the local Hugging Face cache has a copy."""

from pathlib import Path

import pyarrow
from pyarrow import parquet

from .config_faults import HUB
from .spoiling import PLAIN, in_rows

NAME = "someone/chats"


def snapshot(cache: Path, name: str = NAME) -> Path:
    """The folder for a dataset's files, where huggingface_hub looks for them."""
    place, revision = cache / f"datasets--{name.replace('/', '--')}", "0123456789abcdef"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(revision)
    (place / "snapshots" / revision).mkdir(parents=True)
    return place / "snapshots" / revision


def write_shards(folder: Path, split: str, rows: list[dict], number: int = 1) -> list[Path]:
    """The rows as Parquet files, under the names that they have on a hub."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{split}-{at:05}-of-{number:05}.parquet" for at in range(number)]
    size = -(-len(rows) // number)
    for at, path in enumerate(paths):
        parquet.write_table(pyarrow.Table.from_pylist(rows[at * size : (at + 1) * size]), path)
    return paths


def on_hub(spoil=None, damage=None):
    """The run now reads its rows, spoiled, from the cache; `damage(path)` is done to a file of train.

    They stay in the folder too, where the published checkers can read them.
    """

    def move(study):
        if spoil:
            spoil(study)
        folder = snapshot(study.folder / "cache") / "data"
        shards = write_shards(folder, "train", study.rows("train"), 2)
        write_shards(folder, "validation", study.rows("valid"))
        write_shards(folder, "test", study.rows("test"))
        if damage:
            damage(shards[1])
        study.configure(data=NAME)

    return move


def without_content(row):
    row["messages"][-2]["content"] = None


def other_key(row):
    return {"conversations": row["messages"]}


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


def overwritten(path):
    """The footer is whole, the columns are not."""
    data = path.read_bytes()
    path.write_bytes(data[:4] + bytes(len(data) // 2) + data[4 + len(data) // 2 :])


def cases():
    """Yield the arguments of `matrix.Case`."""
    error, also = "error", ("config.hf_dataset",)
    yield "hub: rows that are fine", PLAIN, on_hub(), "config.hf_dataset", HUB
    yield "hub: contents are missing", PLAIN, on_hub(in_rows(without_content)), "data.bad_messages", error, also
    yield "hub: another key in all rows", PLAIN, on_hub(in_rows(other_key, 1.0)), "data.bad_messages", error, also
    also = (*also, "data.bad_messages", "config.epochs")
    yield "hub: a Parquet file cut off", "formal-smollm2", on_hub(damage=cut_off), "data.bad_json", error, also
    yield "hub: a Parquet file overwritten", PLAIN, on_hub(damage=overwritten), "data.bad_json", error, also
