"""A dataset on a hub that `data:` names. mlx-lm downloads it; the audit reads what the local Hugging Face cache has."""

import re
from pathlib import Path

from ..chat_format import parquet_rows
from ..chat_format.row_files import NAMES, has_rows_on_lines, stand_in
from ..chat_format.rows import PARQUET, Split, read_split
from ..machine_failures import pass_on
from ..paths import absolute

NAME = re.compile(r"(?!data/|datasets/|reports/)\w[\w.-]*/\w[\w.-]*")  # not a folder that was to be made yet
# The hub's loader calls the rows to validate on `validation`, whatever their file's name; mlx-lm asks for `valid`.
SPLITS = ("train", "test")
SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")


def named(config: dict) -> str | None:
    """The dataset in `data:`, as mlx-lm understands it: a name of the form owner/name, where no folder is."""
    name = config["data"]
    if config.get("hf_dataset") or not NAME.fullmatch(name) or absolute(name.split("/")[0]).is_dir():
        return None
    return name


def files(name: str | None) -> dict[str, list[Path]]:
    """Split -> its files in the local cache that can be read: one with a row a line, or all of its Parquet files.

    {} if the dataset isn't there, or without such files.
    """
    return {split: found for split, found in _files(name).items() if not _is_parquet(found) or parquet_rows.can_read()}


def read(name: str, config: dict) -> dict[str, Split]:
    """The splits of a dataset that the local cache has. Never raises for what its files contain."""
    return {split: _read(split, found, config) for split, found in files(name).items()}


def unread(name: str) -> str:
    """Why nothing of a dataset can be read, as the end of a sentence on its rows; "" if something can."""
    there = _files(name)
    if not there:
        return f"the local Hugging Face cache has no train or test file of {name} in JSON lines or Parquet"
    return "" if files(name) else f"they are Parquet, which pyarrow reads; install it with {parquet_rows.INSTALL}"


def absent(split: Split) -> str:
    """Whether files of a split were not read, judged by the numbers in their names; "" if all were."""
    names = sorted(path.name for path in split.path.parent.glob(split.path.name))
    numbers = [found for name in names if (found := SHARD.search(Path(name).stem))]
    wanted = max((int(found[2]) for found in numbers), default=0)
    why = "the others are not in the local cache, or not Parquet"
    return f"only {len(numbers)} of its {wanted} files were read; {why}" if len(numbers) < wanted else ""


def _files(name: str | None) -> dict[str, list[Path]]:
    from huggingface_hub import snapshot_download

    if name is None:
        return {}
    try:
        folder = Path(snapshot_download(name, repo_type="dataset", local_files_only=True))
    except (OSError, ValueError) as error:  # not in the cache, or no name of a dataset
        pass_on(error)
        return {}
    found = {}
    for split in SPLITS:
        for place in (folder, folder / "data", folder / "default"):
            if place.is_dir() and (there := _on_lines(place, split) or _parquet(place, split)):
                found.setdefault(split, there)
    return found


def _on_lines(place: Path, split: str) -> list[Path]:
    exact = place / f"{split}.jsonl"
    path = exact if exact.is_file() else stand_in(place, split)
    return [path] if path and has_rows_on_lines(path) else []


def _parquet(place: Path, split: str) -> list[Path]:
    """train.parquet, or train-00000-of-00002.parquet and its others, in order."""
    there = sorted(path for path in place.glob("*") if path.suffix.lower() == PARQUET and path.is_file())
    found = ([path for path in there if SHARD.sub("", path.stem.lower()) == name] for name in NAMES[split])
    return next(filter(None, found), [])


def _is_parquet(files: list[Path]) -> bool:
    return files[0].suffix.lower() == PARQUET


def _read(split: str, files: list[Path], config: dict) -> Split:
    if not _is_parquet(files):
        return read_split(files[0].parent, split, config, files[0])
    first = files[0]
    together = first.with_name(SHARD.sub("-*", first.stem) + first.suffix)
    return parquet_rows.read_parquet(files, split, together, config)
