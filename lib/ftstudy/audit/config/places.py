"""The paths that a config names: the model, the adapter's folder, the checkpoint to go on from."""

import re
from pathlib import Path

from ...errors import StudyError
from ...models import base_models
from ...paths import from_root
from .values import say, shown_key, shown_value

CHECKS = {
    "config.path": ("error or warning", "A model, adapter or checkpoint that the config names is not there."),
}
HUB_NAME = r"\w[\w.-]*/\w[\w.-]*"  # organisation/model, which may be downloaded later


def check(inputs) -> list[dict]:
    return [*_model(inputs), *_home(inputs), *_resumed(inputs), *_adapter(inputs)]


def place(name: str) -> Path | None:
    """The absolute path of a name; None where the system can have no such path."""
    try:
        path = from_root(name)
        path.stat()
    except FileNotFoundError:
        return path
    except (OSError, RuntimeError, ValueError) as error:
        return path if isinstance(error, NotADirectoryError) else None
    return path


def _model(inputs) -> list[dict]:
    name = inputs.config["model"]
    if inputs.model is not None or _on_hub(name):
        return []
    try:
        base_models.resolve(name)
    except StudyError as error:
        return [_path(inputs, "error", "model", f"There is no model {shown_key(name)}", str(error))]
    return []


def _on_hub(name: str) -> bool:
    return bool(re.fullmatch(HUB_NAME, name)) and not from_root(name.split("/")[0]).is_dir()


def _home(inputs) -> list[dict]:
    config, given = inputs.config, inputs.given
    return [
        _path(
            inputs,
            "warning" if key == "adapter_path" else "error",
            key,
            f"`{key}` begins with ~, which mlx-lm does not take for the home folder",
            "mlx-lm hands the path on as it is"
            + (", and makes a folder of that name." if key == "adapter_path" else ", and finds nothing there."),
        )
        for key in ("model", "adapter_path", "resume_adapter_file")
        if isinstance(given.get(key), str) and given[key].startswith("~") and given[key] == config[key]
    ]


def _resumed(inputs) -> list[dict]:
    name = inputs.config.get("resume_adapter_file")
    path = place(name) if isinstance(name, str) else None
    if not isinstance(name, str) or path and path.is_file():
        return []
    folder = path is not None and path.is_dir()
    return [
        _path(
            inputs,
            "error",
            "resume_adapter_file",
            f"`resume_adapter_file: {shown_key(name)}` is a folder, not a file"
            if folder
            else f"There is no file {shown_key(name)} to resume from",
            "mlx-lm aborts after it has loaded the model and the data.",
            f"Name a file in it, such as {Path(name) / 'adapters.safetensors'}." if folder else None,
        )
    ]


def _adapter(inputs) -> list[dict]:
    name = inputs.config.get("adapter_path")
    folder = place(name) if isinstance(name, str) else None
    blocked = folder is None or any(path.is_file() for path in (folder, *folder.parents))
    if not isinstance(name, str) or not blocked:
        return []
    return [
        _path(
            inputs,
            "error",
            "adapter_path",
            f"`adapter_path: {shown_key(name)}` cannot be a folder",
            "mlx-lm makes this folder, and aborts where a file is in the way.",
        )
    ]


def _path(inputs, severity, key, title, cause, fix: str | None = None) -> dict:
    return say(
        inputs,
        "config.path",
        severity,
        title,
        f"{key}: {shown_value(inputs.config[key])}",
        cause,
        fix or f"Correct `{key}`; a path counts from the folder in which mlx-lm is started.",
    )
