"""The folder of a repaired fine-tune: config.yaml, data/, and how the app is to ask."""

from pathlib import Path

from ..audit.run_inputs import RunInputs
from ..configs import ADAPTER_CONFIG, config_loader
from ..files import write_jsonl, write_text
from ..files.folders import make_folder
from ..files.reading import SETTINGS, read_bytes
from ..paths import absolute
from .draft import plain
from .yaml_text import dumped, edited

CONFIG, DATA, ADAPTER = "config.yaml", "data", "adapter"


def write(draft: dict, folder: Path, inputs: RunInputs, target: Path | None = None) -> None:
    """Write a draft's config and rows into a folder, so that it can be trained.

    `inputs`: the fine-tune as it was; `target`: the folder's final place, if it is to be moved there.
    """
    make_folder(folder / DATA)
    for name, rows in draft["rows"].items():
        write_jsonl(folder / DATA / f"{name}.jsonl", rows)
    write_text(folder / CONFIG, config_text(draft, target or folder, inputs))


def config_text(draft: dict, folder: Path, inputs: RunInputs) -> str:
    """The draft's config as YAML, with its data and its adapter in `folder`; the user's comments stay."""
    config, path, loader = placed(draft, folder), absolute(inputs.where), config_loader()
    if path.name == ADAPTER_CONFIG:
        return dumped(config, loader)
    return edited(read_bytes(path, SETTINGS).decode(), inputs.given, config, draft["why"], loader)


def placed(draft: dict, folder: Path) -> dict:
    """The draft's config, with its data and its adapter in `folder`: never the old adapter."""
    places = {"adapter_path": plain(folder / ADAPTER)}
    if draft["rows"]:
        places["data"] = plain(folder / DATA)
    return draft["config"] | places
