"""An adapter's folder: which kind it is, what it holds, and which run made it.

mlx-lm's   adapter_config.json, adapters.safetensors, and 0000100_adapters.safetensors of earlier iterations
PEFT's     adapter_config.json with a peft_type, adapter_model.safetensors
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ..errors import StudyError
from ..files.reading import SETTINGS, opened, parse_json, read_json
from ..machine_failures import pass_on
from ..paths import shown
from . import peft

CONFIG, WEIGHTS = "adapter_config.json", "adapters.safetensors"
RUN = "ftstudy_run"  # the run's id, in an adapter's config and in its weights' metadata
LONGEST_HEADER = 100_000_000  # bytes, by the format's own rule
PARTS = ("lora_a", "lora_b", "m")  # of an adapted module; m: DoRA's magnitudes


def read_config(folder: Path) -> dict | None:
    """adapter_config.json as it is; None if it is missing, damaged or not a JSON object."""
    try:
        config = read_json(folder / CONFIG, SETTINGS)
    except (OSError, ValueError) as error:
        pass_on(error)
        return None
    return config if isinstance(config, dict) else None


def save(path: Path, tensors: dict, metadata: dict) -> None:
    """mx.save_safetensors, which does not say why it cannot write. Raises OSError."""
    import mlx.core as mx

    try:
        mx.save_safetensors(str(path), tensors, metadata)
    except RuntimeError:
        with path.open("ab", buffering=0) as file:
            file.write(bytes(1 << 20))  # fails for the same reason, and says which
        raise


def is_peft(folder: Path) -> bool:
    return peft.is_peft(read_config(folder)) and (folder / peft.WEIGHTS).is_file()


def weights_file(folder: Path) -> Path:
    return folder / (peft.WEIGHTS if is_peft(folder) else WEIGHTS)


def tensors(folder: Path) -> dict:
    """The adapter's tensors under mlx-lm's names, not read yet. Raises what `mlx.core.load` and `peft.tensors` raise."""
    import mlx.core as mx

    return peft.tensors(folder) if is_peft(folder) else dict(mx.load(str(folder / WEIGHTS)))


def keys_of(names) -> list[str]:
    """The `lora_parameters.keys` that adapt exactly the modules of these tensors, in their layers."""
    return inside_layers(name.rpartition(".")[0] for name in names if name.rpartition(".")[2] in PARTS)


def inside_layers(modules: Iterable[str]) -> list[str]:
    """The names that these modules have in their layers, each once."""
    return sorted({module.partition("layers.")[2].partition(".")[2] or module for module in modules})


def run_of(adapter: Path) -> str | None:
    """The id of the run that made an adapter; None if it has no id, or there is no adapter.

    Raises StudyError if config and weights have different ids.
    """
    try:
        config = read_json(adapter / CONFIG, SETTINGS).get(RUN)
        weights = header(adapter / WEIGHTS).get("__metadata__", {}).get(RUN)
    except (OSError, ValueError, AttributeError) as error:  # loading it reports the reason
        pass_on(error)
        return None
    if config != weights:
        raise StudyError(
            f"The config and weights in {shown(adapter)} come from two different runs (adapter_config.json says "
            f"{config}, adapters.safetensors {weights}), because of a crash or a copied file. Train it again."
        )
    return config


def identity(adapter: Path) -> str | None:
    """The id of the run that made an adapter; without one, 12 hexadecimal digits of its weights' content.

    None if there are no weights. Raises StudyError as `run_of` does.
    """
    file = weights_file(adapter)
    if not file.is_file():
        return None
    known = run_of(adapter)
    if known is None:
        with opened(file) as weights:
            return hashlib.file_digest(weights, "sha256").hexdigest()[:12]
    return known


def header(weights: Path) -> dict:
    """The header of a .safetensors file. Raises OSError or ValueError if it has none."""
    with opened(weights) as file:
        length = int.from_bytes(file.read(8), "little")
        if length > LONGEST_HEADER:
            raise ValueError("its header would be longer than any real one")
        return parse_json(file.read(length).decode())
