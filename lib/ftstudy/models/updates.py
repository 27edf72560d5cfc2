"""How far an adapter moves a model: the size of its updates next to the weights that they are added to."""

import re
from collections import defaultdict
from math import sqrt
from pathlib import Path

import mlx.core as mx

from . import adapters, base_models, peft


def norms(folder: Path, adapter: Path) -> list[dict]:
    """A row for each adapted module: `module`; `layer`, None outside the layers; `update` and `weight`, norms.

    Norms are Frobenius norms. `folder`: the base model's. Only the adapted modules' weights are read. ‖A·B‖² is the sum
    of AᵀA ∘ BBᵀ, two matrices of the rank's size. `weight` is None where the model has no such weight. Raises what MLX
    and mlx-lm raise for files that can't be read.
    """
    modules = dict(base_models.load_lazily(folder).named_modules())
    rows = []
    for name, parts in _by_module(adapters.tensors(adapter)).items():
        weight = _weight(modules.get(name))
        rows.append(
            {
                "module": name,
                "layer": int(match[1]) if (match := re.search(r"layers\.(\d+)\.", name)) else None,
                "update": _update(parts, weight, _scale(adapter, name)),
                "weight": None if weight is None else _norm(weight),
            }
        )
    return rows


def by_layer(rows: list[dict]) -> list[dict]:
    """`norms` summed up by layer: `layer`, `modules`, their number, and `relative`, ‖update‖ / ‖weight‖."""
    layers = defaultdict(list)
    for row in rows:
        if row["weight"]:
            layers[row["layer"]].append(row)
    return [
        {
            "layer": layer,
            "modules": len(found),
            "relative": sqrt(sum(row["update"] ** 2 for row in found) / sum(row["weight"] ** 2 for row in found)),
        }
        for layer, found in sorted(layers.items(), key=lambda item: (item[0] is None, item[0]))
    ]


def _by_module(tensors: dict) -> dict[str, dict]:
    found = defaultdict(dict)
    for name, value in tensors.items():
        module, _, part = name.rpartition(".")
        found[module][part] = value.astype(mx.float32)
    return found


def _scale(adapter: Path, module: str) -> float:
    config = adapters.read_config(adapter) or {}
    if peft.is_peft(config):
        return peft.scale_of(config, module)
    return (config.get("lora_parameters") or {}).get("scale", 1.0)


def _weight(module) -> mx.array | None:
    weight = getattr(module, "weight", None)
    if weight is None or "scales" not in module:
        return weight
    biases = module.biases if "biases" in module else None
    return mx.dequantize(
        weight, module.scales, biases, group_size=module.group_size, bits=module.bits, mode=module.mode
    )


def _update(parts: dict, weight: mx.array | None, scale: float) -> float:
    a, b = parts.get("lora_a"), parts.get("lora_b")
    if a is None or b is None:  # full fine-tuning, or a tensor is missing
        whole = parts.get("weight")
        return 0.0 if whole is None or weight is None or whole.shape != weight.shape else _norm(whole - weight)
    if "m" in parts and weight is not None and a.ndim == 2:  # DoRA: the rows' lengths are trained apart
        moved = weight + scale * (a @ b).T.reshape(weight.shape)
        return _norm(moved * (parts["m"] / mx.linalg.norm(moved, axis=1))[:, None] - weight)
    if a.ndim == 3:  # one matrix for each expert, stored the other way round
        a, b = a.swapaxes(1, 2), b.swapaxes(1, 2)
    gram = (a.swapaxes(-1, -2) @ a) * (b @ b.swapaxes(-1, -2))
    return abs(scale) * sqrt(max(gram.sum().item(), 0.0)) if mx.isfinite(gram.sum()).item() else float("nan")


def _norm(array: mx.array) -> float:
    wide = array.astype(mx.float32)
    return mx.sqrt((wide * wide).sum()).item()
