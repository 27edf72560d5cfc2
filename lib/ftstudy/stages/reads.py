"""What the stages of a study read: a config, rows, models, adapters, the app's profile, and each other's results."""

from pathlib import Path

import yaml

from .. import configs
from ..compare import repeats
from ..errors import StudyError
from ..files import read_json
from ..models import base_models
from ..paths import absolute, shown
from .stamps import read_from

SPLITS = ("train", "valid", "test", "heldout")


def config_of(choices: dict) -> dict:
    return configs.load(choices["config"], data=choices["data"] or None, model=choices["model"] or None)


def data_of(choices: dict) -> Path:
    return absolute(config_of(choices)["data"])


def inputs_of(choices: dict, model: bool = True, profile: bool = False) -> dict[str, Path]:
    """The config, its rows, its base model, the adapter that exists already, and the app's profile."""
    config = config_of(choices)
    found = read_from(choices["config"]) | rows_in([absolute(config["data"])])
    if model and (base := base_models.local(config["model"])):
        found |= {shown(path): path for path in sorted(base.iterdir()) if path.is_file()}
    if config.get("resume_adapter_file"):
        found |= read_from(str(config["resume_adapter_file"]))
    if choices["existing"]:
        found |= read_from(choices["adapter"])
    return found | (profile_files(choices["inference"]) if profile else {})


def rows_in(folders) -> dict[str, Path]:
    names = [*(f"{split}.jsonl" for split in SPLITS), "meta.jsonl", "origin.json"]
    return read_from(*(folder / name for folder in folders for name in names if (folder / name).is_file()))


def profile_files(source: str) -> dict[str, Path]:
    """A profile's own file, the file it names, and the Python files in the folders of a callable's module."""
    path = absolute(source) if source else None
    if path is None or not path.is_file():
        return {}
    found = read_from(path)
    try:
        named = yaml.safe_load(path.read_text(encoding="utf-8")) if path.suffix in (".yaml", ".yml") else {}
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        named = {}
    if isinstance(named, dict) and isinstance(named.get("file"), str):
        there = absolute(named["file"])
        found |= read_from(there if there.exists() else path.parent / named["file"])
    if isinstance(named, dict) and isinstance(named.get("function"), str):
        module = named["function"].partition(":")[0].replace(".", "/")
        folders = [folder for folder in (path.parent, Path.cwd()) if (folder / f"{module}.py").is_file()]
        found |= read_from(*(file for folder in folders for file in (folder / f"{module}.py").parent.glob("*.py")))
    return found


def compared_too(choices: dict) -> list[str]:
    """The configs that are compared besides the main one."""
    stem = Path(choices["config"]).stem
    names = [repeats.name_of(stem, option, at) for option in "BA" for at in range(repeats.SEEDS)]
    return [*choices["also"], *(f"{name}.yaml" for name in names if name != stem)]


def results_in(folder: Path, *names: str) -> dict[str, Path]:
    return {shown(folder / f"{name}.json"): folder / f"{name}.json" for name in names}


def entries_of(folder: Path, wanted: list[str]) -> dict[str, dict | None]:
    """The entries of these configs in training.json: all of it that a comparison reads."""
    known = {entry["name"]: entry for entry in json_in(folder / "training.json").get("configs", [])}
    ours = {f"training.json: {Path(config).stem}": known.get(Path(config).stem) for config in wanted}
    unread = ("forced", "loss_tokens", "stock_loss_tokens", "stock")
    return {name: entry and {key: entry[key] for key in entry if key not in unread} for name, entry in ours.items()}


def adapters_of(entries: dict) -> dict[str, Path]:
    return read_from(*(entry["adapter"] for entry in entries.values() if entry))


def json_in(path: Path) -> dict:
    try:
        return read_json(path)
    except (StudyError, ValueError):
        return {}
