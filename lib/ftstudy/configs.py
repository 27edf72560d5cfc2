"""Reading a config as mlx-lm would. `config_matrix` writes those of ft_configs/."""

from pathlib import Path

import yaml

from .errors import StudyError
from .paths import from_root, shown


def given(path: str | Path) -> dict:
    """The keys that a config file itself holds. Raises StudyError where there is no file, or
    where it is not a YAML mapping."""
    from mlx_lm.lora import yaml_loader  # reads 1e-5 as a number

    path = from_root(path)
    if not path.is_file():
        raise StudyError(f"There is no config {shown(path)}; name one of ft_configs/*.yaml with CONFIG=… or --config.")
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), yaml_loader)
    # PyYAML's constructors raise the last four kinds themselves, at `2020-99-99`, `._` or `!!bool x`.
    except (yaml.YAMLError, OSError, RecursionError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise StudyError(
            f"{shown(path)} is not readable YAML: {' '.join(str(error).split())}. Mend that line."
        ) from error
    if not isinstance(found, dict):
        raise StudyError(
            f"{shown(path)} holds no `key: value` pairs, so mlx-lm cannot use it; start from one of ft_configs/*.yaml."
        )
    return found


def load(
    path: str | Path, *, data: str | Path | None = None, model: str | None = None, adapter: str | None = None
) -> dict:
    """A config as `mlx_lm.lora --config` sees it: its keys over mlx-lm's defaults.

    `data`, `model` and `adapter` replace the file's; `data` is the folder with train.jsonl, or the
    folder of variants that holds it. `config` is the file's own path. Raises StudyError where there is no file,
    where it is not a YAML mapping, or where its data or model cannot be the name of a file.
    """
    from mlx_lm.lora import CONFIG_DEFAULTS

    path = from_root(path)
    given_keys = {key: value for key, value in given(path).items() if value is not None}
    config = {**CONFIG_DEFAULTS, **given_keys}
    for key, instead in (("data", data), ("model", model)):
        config[key] = str(config[key])  # a number here is a finding of the audit, not a traceback
        try:
            for name in (config[key], instead or ""):
                from_root(name).exists()
                str(name).encode()
        except (OSError, RuntimeError, ValueError) as error:
            raise StudyError(
                f"`{key}` of {shown(path)} cannot be the name of a file or folder: {' '.join(str(error).split())[:200]}. "
                "Correct it."
            ) from error
    if data:
        variant = from_root(data) / Path(config["data"]).name
        config["data"] = shown(variant if variant.is_dir() else from_root(data))
    instead = {"model": model or config["model"], "adapter_path": adapter or config["adapter_path"]}
    return {**config, **instead, "config": shown(path)}
