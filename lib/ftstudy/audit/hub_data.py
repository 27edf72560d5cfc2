"""A dataset on a hub that `data:` names. mlx-lm downloads it; the audit reads what the local Hugging Face cache has."""

import re
from pathlib import Path

from ..chat_format.row_files import has_rows_on_lines, stand_in
from ..failures import pass_on
from ..paths import absolute

NAME = re.compile(r"(?!data/|datasets/|reports/)\w[\w.-]*/\w[\w.-]*")  # not a folder that was to be made yet
# The hub's loader calls the rows to validate on `validation`, whatever their file's name; mlx-lm asks for `valid`.
SPLITS = ("train", "test")


def named(config: dict) -> str | None:
    """The dataset in `data:`, as mlx-lm understands it: a name of the form owner/name, where no folder is."""
    name = config["data"]
    if config.get("hf_dataset") or not NAME.fullmatch(name) or absolute(name.split("/")[0]).is_dir():
        return None
    return name


def files(name: str | None) -> dict[str, Path]:
    """Split -> its file in the local cache, of those with one row a line; {} if the dataset isn't there, or without one."""
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
        for place in (folder, folder / "data"):
            exact = place / f"{split}.jsonl"
            path = exact if exact.is_file() else stand_in(place, split) if place.is_dir() else None
            if path and has_rows_on_lines(path):
                found.setdefault(split, path)
    return found
