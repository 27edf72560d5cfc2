"""A fused model's weights against base and adapter: what share of the adapter's update is in them.

For each module that the adapter changes, with W its weights (dequantized) and Δ its update as mlx-lm's own `fuse`
computes it, for LoRA and DoRA alike:

    share     <W_fused − W_base, Δ> / <Δ, Δ>: 1 if the whole update is there, 0 if none of it is
    residual  |W_fused − W_base − Δ| / |Δ|: whatever else is different, such as rounding
    moved     |W_fused − W_base| / |Δ|: 0 if the module is the base model's
    expected, rounding: the share and the residual of F, which is W_base + Δ in the fused model's precision
    off       |W_fused − F| / |Δ|: 0 if the model was fused from this base and this adapter

A base in another precision than the fused model's may have been converted before fusing or after it; `moved` and
`off` are the smaller of both.
"""

from collections.abc import Iterator
from math import inf
from pathlib import Path
from statistics import median

import mlx.core as mx
import mlx.nn as nn

from ...extract.variant_folder import spread
from ...models import adapted_models, adapters, base_models
from ...progress import bar

OTHERS = 8  # modules without an update that are looked at, to recognize another base model
LARGEST_FACTOR = 32.0
STEPS = 24  # of the search for the factor, which leaves an error of 4e-6


def compare(base: Path, adapter: Path, fused: Path) -> list[dict]:
    """One entry for each module that the adapter changes: `module`, its `precision` in the fused model, `size` (the
    square of |Δ|), and the numbers above. Only one module's weights are in memory at a time.

    Raises what mlx-lm raises for files that it can't load.
    """
    found = []
    for name, before, after, given, stored in bar(_modules(base, adapter, fused), desc="fused weights", delay=1):
        update, now = after - before, _weight(stored)
        first, last = _stored_like(stored, before), _stored_like(stored, given)  # converted before fusing, or after it
        products = [_square(update), *(((one - before) * update).sum() for one in (now, last))]
        products += [_square(now - after), _square(last - after)]
        products += [mx.minimum(_square(now - before), _square(now - first))]
        products += [mx.minimum(_square(now - last), _square(now - _stored_like(stored, first + update)))]
        size, share, expected, *squares = mx.stack(products).tolist()
        if 0 < size < inf:  # an update of NaN is the adapter's fault, and reported there
            entry = {"module": name, "precision": _precision(stored), "size": size}
            entry |= {"share": share / size, "expected": expected / size}
            names = ("residual", "rounding", "moved", "off")
            found.append(entry | {name: (one / size) ** 0.5 for name, one in zip(names, squares)})
    return found


def total(found: list[dict]) -> dict:
    """`share` and `residual` of several modules together."""
    size = sum(one["size"] for one in found)
    share = sum(one["share"] * one["size"] for one in found) / size
    return {"share": share, "residual": (sum(one["residual"] ** 2 * one["size"] for one in found) / size) ** 0.5}


def scale(adapter: Path) -> float | None:
    """The scale in an adapter's config; None if it has none."""
    settings = (adapters.read_config(adapter) or {}).get("lora_parameters")
    return settings.get("scale") if isinstance(settings, dict) else None


def scale_factor(base: Path, adapter: Path, fused: Path, module: str) -> float | None:
    """The factor by which a module's update was multiplied before it was fused; None if no factor explains it."""
    _, before, after, _, stored = next(one for one in _modules(base, adapter, fused) if one[0] == module)
    update, now = after - before, _weight(stored)
    target, low, high = ((now - before) * update).sum().item(), -LARGEST_FACTOR, LARGEST_FACTOR
    for _ in range(STEPS):  # rounding to few bits makes the share a monotone, but not a linear function of the factor
        factor = (low + high) / 2
        made = _stored_like(stored, before + factor * update)
        low, high = (factor, high) if ((made - before) * update).sum().item() < target else (low, factor)
    off = mx.linalg.norm(now - made) / mx.linalg.norm(now - before)
    return factor if off.item() < 0.2 else None


def others(base: Path, fused: Path, adapted: set[str]) -> dict[str, float]:
    """A few modules that the adapter doesn't change -> |W_fused − W_base| / |W_base|, apart from storing W_base in the
    fused model's precision."""
    before, after = (dict(_weighted(load(folder))) for folder in (base, fused))
    names, found = [name for name in before if name in after and name not in adapted], {}
    usual = median([before[name]["weight"].nbytes for name in names] or [0])
    # Embeddings are many times larger than the others, and say no more.
    for name in spread([name for name in names if before[name]["weight"].nbytes <= 2 * usual], OTHERS):
        old, stored = _weight(before.pop(name)), after.pop(name)
        distances = [_square(_weight(stored) - one) for one in (old, _stored_like(stored, old))]
        found[name] = (mx.minimum(*distances) / _square(old)).sqrt().item()
    return found


def is_base(base: Path, fused: Path) -> bool:
    """Whether the fused model has the base model's weights, and no others."""
    before, after = (dict(_weighted(load(folder))) for folder in (base, fused))
    return before.keys() == after.keys() and all(
        mx.array_equal(_weight(before.pop(name)), _weight(after.pop(name))).item()
        for name in list(before)  # the last layers, which most adapters change, come first
    )


def load(folder: Path) -> nn.Module:
    """The model, its weights not read yet. Raises StudyError if mlx-lm can't load it."""
    return base_models.load_lazily(folder)


def _modules(base: Path, adapter: Path, fused: Path) -> Iterator[tuple]:
    """Each module's name; its weights before and after the update, and after it as mlx-lm rounds them, not read yet;
    and the fused model's module. Both modules are emptied afterwards."""
    model, stored = load(base), dict(load(fused).named_modules())
    if (adapters.read_config(adapter) or {}).get("fine_tune_type") == "full":
        tensors, modules = mx.load(str(adapter / adapters.WEIGHTS)), dict(_weighted(model))
        for name in [name for name in modules if f"{name}.weight" in tensors]:
            given = tensors.pop(f"{name}.weight")
            yield name, _weight(modules[name]), given.astype(mx.float32), given, stored[name]
            modules[name].clear(), stored[name].clear()
        return
    adapted_models.put_on(model, adapter)
    for name, module in [(name, one) for name, one in model.named_modules() if hasattr(one, "fuse")]:
        given, inner = module.fuse(dequantize=True)["weight"], module["linear" if "linear" in module else "embedding"]
        inner.update({key: _single(value) for key, value in inner.items() if isinstance(value, mx.array)})
        yield name, _weight(inner), module.fuse(dequantize=True)["weight"], given, stored[name]
        inner.clear(), module.clear(), stored[name].clear()


def _weighted(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The linear layers and embeddings of a model, by name."""
    return ((name, one) for name, one in model.named_modules() if "weight" in one and one["weight"].ndim > 1)


def _precision(module: nn.Module) -> str:
    return f"{module.bits} bits" if "scales" in module else str(module["weight"].dtype).removeprefix("mlx.core.")


def _square(values: mx.array) -> mx.array:
    return (values * values).sum()


def _weight(module: nn.Module) -> mx.array:
    """A module's weights, dequantized, in single precision."""
    if "scales" not in module:
        return _single(module["weight"])
    return _dequantized(module, module["weight"], module["scales"], module.get("biases"))


def _stored_like(module: nn.Module, weight: mx.array) -> mx.array:
    """Weights as they are after being stored in a module's precision, in single precision."""
    if "scales" not in module:
        return _single(weight.astype(module["weight"].dtype))
    scales = module["scales"].dtype
    # In modes other than affine the scales are bytes, a type that the weights never had.
    kept = weight.astype(scales) if mx.issubdtype(scales, mx.floating) else weight
    return _dequantized(module, *mx.quantize(kept, **_settings(module)))


def _dequantized(module: nn.Module, weight: mx.array, scales: mx.array, biases: mx.array | None = None) -> mx.array:
    biases = None if biases is None else _single(biases)
    return mx.dequantize(weight, _single(scales), biases, **_settings(module)).astype(mx.float32)


def _settings(module: nn.Module) -> dict:
    return {"group_size": module.group_size, "bits": module.bits, "mode": module.mode}


def _single(values: mx.array) -> mx.array:
    """Floating-point numbers in single precision; packed weights as they are."""
    return values.astype(mx.float32) if mx.issubdtype(values.dtype, mx.floating) else values
