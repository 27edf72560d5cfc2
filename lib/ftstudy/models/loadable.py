"""Can mlx-lm load a base model? Judged by its config.json and the headers of its weights: no weights are read, and no
code in the model's folder is run."""

import re
from pathlib import Path
from typing import NamedTuple

from ..errors import StudyError
from ..files.limits import limited
from ..files.reading import SETTINGS, read_json, refuse_special, why
from ..machine_failures import pass_on
from ..paths import shown

GENERATION = "generation_config.json"
INDEX = "model.safetensors.index.json"
READ = ("*.json", "*.jsonl", "*.safetensors", "*.jinja", "*.model", "*.tiktoken", "*.txt")  # by mlx-lm and transformers
SECONDS = 60
MOST_LAYERS = 10_000


class Problem(NamedTuple):
    """Why mlx-lm can't load a model. `kind`: damaged, code, unsupported, tensors or quantization."""

    kind: str
    what: str
    evidence: list[str]


def problem(folder: Path) -> Problem | None:
    """What mlx-lm would stop at first; None if it can load the model."""
    return _config(folder) or _headers(folder) or _replayed(folder)


def refuse(folder: Path) -> None:
    """Raises StudyError if mlx-lm can't load the model."""
    if found := problem(folder):
        raise StudyError(
            f"mlx-lm cannot load {shown(folder)}: {found.what} ({'; '.join(found.evidence[:3])[:300]}). "
            f"{FIXES[found.kind]}"
        )


FIXES = {
    "damaged": "Download or copy the model again, with all its files.",
    "code": "Use a model that mlx-lm supports by itself, or convert this one with mlx_lm.convert after reading its code.",
    "unsupported": "Use a model that this version of mlx-lm supports, with its own config.json.",
    "tensors": "Download or copy config.json and the weights again, from the same model.",
    "quantization": "Quantize the model again with mlx_lm.convert, or copy config.json and the weights from one place.",
}


def is_endless(config: dict) -> bool:
    """Whether a config.json asks for so many layers that building the model would never end."""
    blocks = [config, *(value for value in config.values() if isinstance(value, dict))]
    layers = (value for block in blocks for key, value in block.items() if "layer" in str(key).lower())
    return any(isinstance(value, int | float) and not value <= MOST_LAYERS for value in layers)


def special_file(folder: Path) -> str | None:
    """The name of a pipe or a device in a model's folder, for which mlx-lm would wait for ever, and what it is."""
    for path in sorted(path for pattern in READ for path in folder.glob(pattern)):
        try:
            refuse_special(path)
        except OSError as error:
            pass_on(error)
            return f"{path.name}: {why(error)}"
    return None


def _config(folder: Path) -> Problem | None:
    from mlx_lm import utils

    try:
        config = _settings(folder / "config.json")
    except (OSError, ValueError, TypeError) as error:
        return _unreadable("config.json", error)
    if config.get("model_file") is not None:
        return Problem(
            "code",
            "it needs code in its own folder, which this study never runs",
            [f"config.json: model_file: {str(config['model_file'])[:100]}"],
        )
    kind = config.get("model_type")
    if not isinstance(kind, str):
        return Problem("unsupported", "config.json names no `model_type`", [f"model_type: {str(kind)[:100]}"])
    try:
        utils._get_classes(config=config)
    except Exception as error:  # also what importing an odd name raises
        pass_on(error)
        return Problem(
            "unsupported", f"mlx-lm has no model type {kind[:60]!r}", [f"model_type: {kind[:60]}: {why(error)}"]
        )
    if is_endless(config):
        return Problem("unsupported", f"config.json asks for more than {MOST_LAYERS:,} layers", ["config.json"])
    try:
        if (folder / GENERATION).exists():
            _settings(folder / GENERATION)
    except (OSError, TypeError) as error:
        return _unreadable(GENERATION, error)
    except ValueError:  # mlx-lm ignores one that is not JSON
        pass
    return None


def _settings(path: Path) -> dict:
    """Raises OSError, ValueError if a file isn't JSON, and TypeError if it isn't a JSON object."""
    found = read_json(path, SETTINGS)
    if not isinstance(found, dict):
        raise TypeError("not a JSON object")
    return found


def _unreadable(name: str, error: Exception) -> Problem:
    pass_on(error)
    return Problem("damaged", f"{name} is not readable", [f"{name}: {why(error)}"])


def _headers(folder: Path) -> Problem | None:
    import mlx.core as mx

    for path in sorted(folder.glob("model*.safetensors")):
        try:
            mx.load(str(path))  # reads the header only
        except Exception as error:  # mlx raises several kinds
            pass_on(error)
            reason = why(error).removeprefix("[load_safetensors] ")
            return Problem("damaged", f"{path.name} is not a whole file of weights", [f"{path.name}: {reason}"])
    return None


def _replayed(folder: Path) -> Problem | None:
    """What mlx-lm's own loading stops at, without reading the weights."""
    from mlx_lm import utils

    message = f"building it took more than {SECONDS} seconds or 2 GB"
    try:
        with limited(message, SECONDS):
            utils.load_model(folder, lazy=True)
    except StudyError:
        return Problem("unsupported", message, ["config.json"])
    except Exception as error:  # whatever the model's own constructor raises at an odd config
        pass_on(error)
        return _explained(folder, error)
    return None


def _explained(folder: Path, error: Exception) -> Problem:
    reason, config = f"{type(error).__name__}: {why(error)}", read_json(folder / "config.json", SETTINGS)
    if missing := _missing_shards(folder):
        return Problem("damaged", f"{len(missing)} of its weight files are missing", missing)
    block = config.get("quantization") or config.get("quantization_config")
    first, *names = (line.strip(" .,:") for line in str(error).splitlines() or [reason])
    is_tensors = re.match(r"(?:Missing|Received) \d+ parameters|Expected shape", first)
    of_packed = re.search(r"\.(?:scales|biases)\b", str(error)) or block and first.startswith("Expected shape")
    if of_packed if is_tensors else block and _is_built(config):
        said = [f"config.json: quantization: {str(block)[:100]}", first if is_tensors else reason, *names[:3]]
        return Problem("quantization", "the quantization in config.json doesn't fit its weights", said)
    if is_tensors:
        return Problem("tensors", "its weights don't fit its config.json", [first, *names[:5]])
    return Problem("unsupported", "mlx-lm cannot build a model from its config.json", [reason])


def _is_built(config: dict) -> bool:
    """Whether the model can be built without its quantization."""
    from mlx_lm import utils

    try:
        model_class, arguments = utils._get_classes(config=config)
        return model_class(arguments.from_dict(config)) is not None
    except Exception as error:  # whatever the model's own constructor raises
        pass_on(error)
        return False


def _missing_shards(folder: Path) -> list[str]:
    """The files that the index of the weights names, and the folder lacks."""
    try:
        names = set(read_json(folder / INDEX)["weight_map"].values())
        return sorted(f"{INDEX} names {name}" for name in names if not (folder / str(name)).is_file())[:5]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # there is no index, or it says nothing
        return []
