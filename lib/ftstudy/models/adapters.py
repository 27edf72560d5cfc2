"""An adapter's folder: which kind it is, whether it can be read, and its weights on a model.

mlx-lm's   adapter_config.json, adapters.safetensors, and 0000100_adapters.safetensors of earlier iterations
PEFT's     adapter_config.json with a peft_type, adapter_model.safetensors
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from ..errors import StudyError
from ..failures import pass_on
from ..files.reading import SETTINGS, opened, parse_json, read_json
from ..paths import shown
from . import peft

CONFIG, WEIGHTS = "adapter_config.json", "adapters.safetensors"
RUN = "ftstudy_run"  # the run's id, in an adapter's config and in its weights' metadata
LONGEST_HEADER = 100_000_000  # bytes, by the format's own rule
PARTS = ("lora_a", "lora_b", "m")  # of an adapted module; m: DoRA's magnitudes


class Trouble(NamedTuple):
    """Why a folder can't be used as an adapter. `other`: it has files, but of another format."""

    what: str
    cause: str
    fix: str
    other: bool = True


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


def trouble(folder: Path) -> Trouble | None:
    """Why neither mlx-lm's nor PEFT's reader could take the folder; None if it has the files of one of them."""
    name, config = shown(folder), read_config(folder)
    has = {file: (folder / file).is_file() for file in (CONFIG, WEIGHTS, peft.WEIGHTS, peft.PICKLED, "config.json")}
    if folder.is_file():
        cause = "An adapter is a folder with its weights and the adapter_config.json that they were trained with."
        return Trouble(f"{name} is a file, not an adapter's folder", cause, f"Name its folder, {shown(folder.parent)}.")
    if not any(has[file] for file in (WEIGHTS, peft.WEIGHTS, peft.PICKLED)):
        if old := sorted(folder.glob("*.npz")):
            return Trouble(
                f"{name} has its weights in {old[0].name}, a format of older versions of mlx-lm",
                f"mlx-lm reads {WEIGHTS} only, and ignores this file.",
                f"Convert it: `python -c \"import mlx.core as mx; mx.save_safetensors('{shown(folder / WEIGHTS)}', "
                f"mx.load('{shown(old[0])}'))\"`"
                + ("." if has[CONFIG] else f", and write {CONFIG}: {_settings_for(old[0])}."),
            )
        if of_llama_cpp := sorted(folder.glob("*.gguf")):
            return Trouble(
                f"{name} has its weights in {of_llama_cpp[0].name}, a format of llama.cpp",
                f"mlx-lm reads {WEIGHTS} only, and nothing converts an adapter back from GGUF.",
                "Copy the adapter that the GGUF was made from, PEFT's or mlx-lm's.",
            )
        if has[CONFIG] and (saved := sorted(folder.glob(f"[0-9]*_{WEIGHTS}"))):
            return Trouble(
                f"No {WEIGHTS} in {name}, only checkpoints",
                f"mlx-lm loads {WEIGHTS}, and no numbered checkpoint by itself.",
                f"Take the checkpoint that you want, for example the last: `cp {shown(saved[-1])} "
                f"{shown(folder / WEIGHTS)}`.",
                False,
            )
        if has["config.json"] and any(folder.glob("model*.safetensors")) and not has[CONFIG]:
            return Trouble(
                f"{name} is a whole model, not an adapter",
                "It has a config.json and the model's weights, as mlx_lm.fuse writes them.",
                "Give it as the fused model (--fused or FUSED=…), and name the adapter's own folder as adapter_path.",
            )
    if peft.is_peft(config):
        return _trouble_with_peft(folder, config, has)
    if has[peft.WEIGHTS] and not has[WEIGHTS]:
        return Trouble(
            f"{name} has PEFT's weights ({peft.WEIGHTS}), but not PEFT's {CONFIG}",
            "PEFT's config says rank and alpha, without which the weights have no scale.",
            f"Copy the {CONFIG} that was saved with {peft.WEIGHTS}.",
        )
    for file in (CONFIG, WEIGHTS):
        if not has[file]:
            return Trouble(f"No {file} in {name}, so it isn't an adapter folder", "", _lacking(folder, file), False)
    return None


def _lacking(folder: Path, file: str) -> str:
    """What to do about a folder without the config or the weights."""
    if file == CONFIG and (folder / WEIGHTS).is_file():
        return (
            f"Copy the {CONFIG} that was saved with the weights, or write one: {_settings_for(folder / WEIGHTS)}. mlx-lm "
            "can't load the weights without it."
        )
    inside = sorted(path.parent for path in folder.glob(f"*/{CONFIG}") if path.is_file())
    if inside:
        return f"Name the adapter's own folder: {', '.join(shown(path) for path in inside[:3])}."
    return (
        "Train the adapter first (03_train, or mlx_lm.lora with this folder as adapter_path), or use the folder that "
        "training wrote."
    )


def _trouble_with_peft(folder: Path, config: dict, has: dict[str, bool]) -> Trouble | None:
    name = shown(folder)
    if has[peft.WEIGHTS]:
        reason = peft.refusal(config)
        return reason and Trouble(
            f"{name} is a PEFT adapter that can't be read here: {reason}",
            "mlx-lm loads no PEFT adapter, and this study reads plain LoRA on linear layers only.",
            "Merge it into its base model with PEFT (merge_and_unload), convert the result with mlx_lm.convert, and "
            "give that as the fused model.",
        )
    if has[WEIGHTS]:
        return Trouble(
            f"{name} has PEFT's {CONFIG} next to mlx-lm's {WEIGHTS}",
            "The weights were converted or copied without their config. mlx-lm needs num_layers and lora_parameters, "
            "which PEFT's config doesn't have.",
            f"Write mlx-lm's {CONFIG}: {_settings_for(folder / WEIGHTS, config)}.",
        )
    if has[peft.PICKLED]:
        return Trouble(
            f"{name} has PEFT's weights as {peft.PICKLED}, a pickle, which can run code when it is loaded",
            "Neither mlx-lm nor this study loads pickles.",
            f"Save it again with PEFT's save_pretrained(…, safe_serialization=True), which writes {peft.WEIGHTS}.",
        )
    return Trouble(
        f"{name} has PEFT's {CONFIG}, but no {peft.WEIGHTS}",
        "The copy is incomplete, or training stopped before it saved.",
        f"Copy {peft.WEIGHTS} there.",
    )


def _settings_for(weights: Path, of_peft: dict | None = None) -> str:
    """The config that fits mlx-lm's weights, as far as they and PEFT's config say it."""
    import mlx.core as mx

    settings = {"rank": "…", "scale": "…", "dropout": 0.0, "keys": []}
    try:
        shapes = {name: value.shape for name, value in mx.load(str(weights)).items()}
        settings["rank"] = next(shape[-1] for name, shape in shapes.items() if name.endswith(".lora_a"))
        settings["keys"] = keys_of(shapes)
        settings["scale"] = peft.scale_of(of_peft, "") if of_peft else "…"
    except Exception as error:  # an unreadable file, or a config without rank or alpha
        pass_on(error)
    if not settings["keys"]:
        del settings["keys"]
    text = json.dumps({"fine_tune_type": "lora", "num_layers": -1, "lora_parameters": settings}, ensure_ascii=False)
    return text.replace('"…"', "…") + (" with the scale it was trained with" if settings["scale"] == "…" else "")


def keys_of(names) -> list[str]:
    """The `lora_parameters.keys` that adapt exactly the modules of these tensors, in their layers."""
    modules = {name.rpartition(".")[0] for name in names if name.rpartition(".")[2] in PARTS}
    return sorted({module.partition("layers.")[2].partition(".")[2] or module for module in modules})


def run_of(adapter: Path) -> str | None:
    """The id of the run that made an adapter; None if it has no id, or there is no adapter.

    Raises StudyError if config and weights have different ids.
    """
    try:
        config = read_json(adapter / CONFIG, SETTINGS).get(RUN)
        weights = _header(adapter / WEIGHTS).get("__metadata__", {}).get(RUN)
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


def _header(weights: Path) -> dict:
    """The header of a .safetensors file. Raises OSError or ValueError if it has none."""
    with opened(weights) as file:
        length = int.from_bytes(file.read(8), "little")
        if length > LONGEST_HEADER:
            raise ValueError("its header would be longer than any real one")
        return parse_json(file.read(length).decode())


# --- on a model -------------------------------------------------------------------------------


def put_on(model, folder: Path, weights: Path | None = None) -> None:
    """Adapt a loaded model in place, as mlx-lm does. `weights`: a checkpoint's file, instead of the last weights.

    Raises StudyError if the adapter lacks tensors, ValueError and the like if it doesn't fit the model.
    """
    from mlx_lm.tuner.utils import load_adapters

    if is_peft(folder):
        _put_peft_on(model, folder)
    else:
        _refuse_unknown_keys(model, folder)
        load_adapters(model, str(folder))
        _refuse_partial(model, folder)
        if weights:
            model.load_weights(str(weights), strict=False)
    model.eval()


def _put_peft_on(model, folder: Path) -> None:
    from mlx.utils import tree_unflatten
    from mlx_lm.tuner.lora import LoRALinear

    config, tensors, modules = read_config(folder), peft.tensors(folder), dict(model.named_modules())
    names = sorted({name.rpartition(".")[0] for name in tensors})
    missing = [f"{name}.{part}" for name in names for part in PARTS[:2] if f"{name}.{part}" not in tensors]
    wanted = [name for name in peft.expected(config, list(modules)) if hasattr(modules[name], "weight")]
    missing += [f"{name}.lora_a" for name in wanted if name not in names]
    if missing:
        raise lacking(folder / peft.WEIGHTS, missing, len({*tensors, *missing}))
    adapted = []
    for name in names:
        a, b = (tensors[f"{name}.{part}"] for part in PARTS[:2])
        if not hasattr(modules.get(name), "weight"):
            raise ValueError(f"{name}: not a module of the model")
        layer = LoRALinear.from_base(modules[name], r=a.shape[1], dropout=0.0, scale=peft.scale_of(config, name))
        if (layer.lora_a.shape, layer.lora_b.shape) != (a.shape, b.shape):
            shapes = f"{a.shape} and {b.shape} instead of {layer.lora_a.shape} and {layer.lora_b.shape}"
            raise ValueError(f"{name}: A and B of shape {shapes}")
        layer.lora_a, layer.lora_b = a, b
        adapted.append((name, layer))
    model.update_modules(tree_unflatten(adapted))


def unknown_keys(config: dict, modules) -> list[str]:
    """`lora_parameters.keys` of an adapter's config, if none of them names a module of the model; else [].

    `modules`: the names that a key can have, inside a layer or from the model's top.
    """
    lora = config.get("lora_parameters")
    keys = lora.get("keys") if isinstance(lora, dict) and config.get("fine_tune_type") != "full" else None
    if not isinstance(keys, list) or not keys or any(key in modules for key in keys if isinstance(key, str)):
        return []
    return [str(key) for key in keys]


def _refuse_unknown_keys(model, folder: Path) -> None:
    inside = {name for layer in model.layers for name, _ in layer.named_modules()}
    config = read_config(folder) or {}
    if keys := unknown_keys(config, inside | {name for name, _ in model.named_modules()}):
        own = keys_of(_header(folder / WEIGHTS))
        raise StudyError(
            f"`keys: {json.dumps(keys)}` in {shown(folder / CONFIG)} name no module of the model, so none of the "
            f"weights fits. Write those of the weights: `keys: {json.dumps(own)}`."
        )


def _refuse_partial(model, adapter: Path) -> None:
    """Raises StudyError for an adapter that lacks tensors, which mlx-lm would silently leave at their start."""
    from mlx.utils import tree_flatten

    config = read_config(adapter)
    if config.get("fine_tune_type") == "full":
        trained = model.layers[-max(config["num_layers"], 0) :]
        wanted = {
            f"layers.{at}.{name}"
            for at, layer in enumerate(model.layers)
            if any(layer is one for one in trained)
            for name, _ in tree_flatten(layer.parameters())
        }
    else:
        names = [name for name, _ in tree_flatten(model.parameters())]
        adapted = {name.rpartition(".")[0] for name in names if name.endswith(".lora_a")}
        wanted = {name for name in names if name.rpartition(".")[0] in adapted}
        wanted = {name for name in wanted if name.rpartition(".")[2] in PARTS}
    there = set(_header(adapter / WEIGHTS)) - {"__metadata__"}
    missing = [name for name in sorted(wanted) if not any(has == name or has.endswith(f".{name}") for has in there)]
    if missing:
        raise lacking(adapter / WEIGHTS, missing, len(wanted))


def lacking(file: Path, missing: list[str], of: int) -> StudyError:
    return StudyError(
        f"{shown(file)} lacks {len(missing)} of {of} tensors, for example {missing[0]}. Without them those layers "
        "would stay the base model's. Train again, or restore the file."
    )
