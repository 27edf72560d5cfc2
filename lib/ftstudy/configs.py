"""Read a config as mlx-lm would, and validate its `ftstudy:` block."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, Field, ValidationError

from .errors import StudyError
from .files import yaml_files
from .files.reading import SETTINGS, read_text, why
from .machine_failures import pass_on
from .paths import absolute, shown


class GaLore(BaseModel, strict=True, extra="forbid"):
    """Options of the method galore."""

    rank: int = Field(128, ge=1, description="a whole number from 1")
    update_every: int = Field(200, ge=1, description="a whole number of updates from 1")
    scale: float = Field(0.25, gt=0, description="a number above 0")


class Study(BaseModel, strict=True):
    """The `ftstudy:` block of a config: what mlx-lm has no key for.

    With it, replies and their end-of-turn tokens are trained, in every row; without it, exactly what mlx-lm trains.
    """

    train_on: Literal["last", "all"] = Field("last", description="`last` (reply of a conversation) or `all`")
    method: Literal["pissa", "galore"] | None = Field(None, description="`pissa`, `galore`, or leave it out")
    galore: GaLore = Field({}, description="a block with rank, update_every and scale")
    early_stopping: int = Field(
        0, ge=0, description="a whole number: stop after so many evaluations without improvement; 0 for never"
    )


ADAPTER_CONFIG = "adapter_config.json"
WRITTEN = ("config", "ftstudy_run")  # by training into an adapter's config, and set by nobody

STUDY = {name: field.default for name, field in Study.model_fields.items()}


def study(config: dict) -> dict | None:
    """The config's `ftstudy:` block over its defaults, not validated; None if there is no block."""
    block = config.get("ftstudy")
    return {**STUDY, **block} if isinstance(block, dict) else None


def study_errors(block: dict) -> list[tuple[str, object, str | None]]:
    """What is wrong in an `ftstudy:` block: (key, such as `galore.rank`; its value; what it may be).

    For an option that GaLore doesn't have, what it may be is None. Unknown keys of the block itself are not errors.
    """
    try:
        Study.model_validate(block)
    except ValidationError as error:
        places = {item["loc"][:2] if item["loc"][0] == "galore" else item["loc"][:1]: item for item in error.errors()}
        return [_study_error(place, item) for place, item in places.items()]
    return []


def _study_error(place: tuple, item: dict) -> tuple[str, object, str | None]:
    fields = Study.model_fields if len(place) == 1 else GaLore.model_fields
    field = fields.get(place[-1])
    return ".".join(map(str, place)), item["input"], field.description if field else None


def given(path: str | Path) -> dict:
    """The keys set in a config file. Raises StudyError if there is no file, or it isn't a YAML mapping."""
    path = absolute(path)
    if not path.is_file():
        instead = (
            "It is a folder: name a file in it, such as adapter_config.json." if path.is_dir() else "Correct the path."
        )
        raise StudyError(
            f"No config at {shown(path)}. {instead} A config is the YAML file that mlx-lm was trained with, or one of "
            "ft_configs/*.yaml."
        )
    try:
        text = read_text(path, SETTINGS)
    except (OSError, UnicodeDecodeError) as error:
        pass_on(error)
        raise StudyError(
            f"Cannot read {shown(path)}: {why(error)}. A config must be UTF-8 text; save it as UTF-8."
        ) from error
    try:
        found = yaml_files.parse(text, config_loader())
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).replace(' in "<unicode string>",', " in").split())
        raise StudyError(f"{shown(path)} is not valid YAML: {reason}. {_yaml_fix(error, text)}") from error
    if not isinstance(found, dict):
        raise StudyError(
            f"{shown(path)} has no `key: value` pairs, so mlx-lm cannot use it. Start from one of ft_configs/*.yaml."
        )
    return {key: value for key, value in found.items() if path.name != ADAPTER_CONFIG or key not in WRITTEN}


def config_loader() -> type:
    """mlx-lm's YAML loader, which reads 1e-5 as a number; an invalid value's error names the line."""
    from mlx_lm.lora import yaml_loader

    class Loader(yaml_loader):
        def construct_object(self, node, deep=False):
            try:
                return super().construct_object(node, deep)
            # PyYAML's constructors raise these for `2020-99-99`, `._` or `!!bool x`.
            except (ValueError, LookupError, AttributeError, TypeError) as error:
                problem = f"{error} (quote the value to make it text)"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error

    return Loader


def _yaml_fix(error: Exception, text: str) -> str:
    """How to fix a YAML file that PyYAML rejects."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"Fix line {line}: delete that character."
    if isinstance(error, RecursionError):
        return "Its blocks and lists are nested too deeply; remove some brackets or levels."
    return "Fix that line."  # the message names it


def load(
    path: str | Path, *, data: str | Path | None = None, model: str | None = None, adapter: str | None = None
) -> dict:
    """A config as `mlx_lm.lora --config` sees it: its keys over mlx-lm's defaults.

    `data`, `model` and `adapter` replace the file's; `data` is the folder with train.jsonl, or the folder of
    variants that contains it. `config` is the file's own path. Paths count from the current folder, as in mlx-lm;
    data or a model that isn't there, but in the config's own folder, is taken from that. The `adapter_path` of an
    adapter_config.json is the folder it is in. Raises StudyError if there is no file, if it isn't a
    YAML mapping, or if its data or model is empty or not a valid file name.
    """
    from mlx_lm.lora import CONFIG_DEFAULTS

    path = absolute(path)
    found = given(path)
    if "peft_type" in found:
        raise StudyError(
            f"{shown(path)} is a PEFT adapter's config, which doesn't say what it was trained on. Write a config with "
            f"`model:`, `data:` and `adapter_path: {shown(path.parent)}`, and use that."
        )
    config = CONFIG_DEFAULTS | {key: value for key, value in found.items() if value is not None}
    for key, instead in (("data", data), ("model", model)):
        config[key] = str(config[key])  # the audit reports a number here
        if not config[key].strip() and not instead:
            raise StudyError(f"`{key}` of {shown(path)} is empty. Set it to a folder, or delete the key.")
        try:
            for name in (config[key], instead or ""):
                absolute(name).exists()
                str(name).encode()
                if "\0" in str(name):  # `exists` would return False
                    raise ValueError("it contains a zero byte")
        except (OSError, RuntimeError, ValueError) as error:
            raise StudyError(
                f"`{key}` of {shown(path)} is not a valid file or folder name: {why(error, 200)}. Correct it."
            ) from error
    config["data"] = _beside(path, config["data"], *(f"{split}.jsonl" for split in ("train", "valid", "test")))
    config["model"] = _beside(path, config["model"], "config.json")
    if data:
        variant = absolute(data) / Path(config["data"]).name
        config["data"] = shown(variant if variant.is_dir() else absolute(data))
    own = shown(path.parent) if path.name == ADAPTER_CONFIG else config["adapter_path"]
    instead = {"model": model or config["model"], "adapter_path": adapter or own}
    return {**config, **instead, "config": shown(path)}


def _beside(config: Path, name: str, *files: str) -> str:
    """A folder's name as it is, or as it counts from the config's own folder if only that folder has such files."""
    here, there = (
        any((folder / file).is_file() for file in files) for folder in (absolute(name), config.parent / name)
    )
    return shown(config.parent / name) if there and not here else name
