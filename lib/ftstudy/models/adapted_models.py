"""An adapter's weights put on a loaded model, all of them or none."""

import json
from pathlib import Path

from ..errors import StudyError
from ..paths import shown
from . import peft
from .adapters import CONFIG, PARTS, WEIGHTS, header, is_peft, keys_of, read_config


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
        raise _lacking(folder / peft.WEIGHTS, missing, len({*tensors, *missing}))
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
        own = keys_of(header(folder / WEIGHTS))
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
    there = set(header(adapter / WEIGHTS)) - {"__metadata__"}
    missing = [name for name in sorted(wanted) if not any(has == name or has.endswith(f".{name}") for has in there)]
    if missing:
        raise _lacking(adapter / WEIGHTS, missing, len(wanted))


def _lacking(file: Path, missing: list[str], of: int) -> StudyError:
    return StudyError(
        f"{shown(file)} lacks {len(missing)} of {of} tensors, for example {missing[0]}. Without them those layers "
        "would stay the base model's. Train again, or restore the file."
    )
