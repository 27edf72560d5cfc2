"""Does a fused model contain the adapter's update, and all of it?"""

from collections.abc import Iterator
from math import isfinite
from pathlib import Path

from ...models.adapters import CONFIG
from ...paths import shown
from ..evidence import counted, listed
from ..findings import Check, Finding
from . import weights

IS_BASE = Check(
    "fused.is_base",
    ("error",),
    meaning="Modules that the adapter changes are the base model's in the fused model.",
    cause="The adapter was never applied there: it was fused without --adapter-path, from another folder, or the base "
    "model was copied. The fused model answers like the base.",
    fix="Fuse again with `mlx_lm.fuse --model {model} --adapter-path {adapter}`.",
    bad="layers.29.self_attn.q_proj: the base model's weights",
    good="layers.29.self_attn.q_proj: the base model's weights plus the adapter's update",
)
OTHER_BASE = Check(
    "fused.other_base",
    ("error", "warning"),
    meaning="The fused model was not made from the base model that the config names. A warning if it is probably the "
    "same one in another precision.",
    cause="Modules that the adapter does not touch have other weights. An adapter fits only the base it was trained on.",
    fix="Fuse the adapter into {model}, or name the model that it was fused into.",
    bad="layers.0.self_attn.q_proj, which the adapter does not change: 140% different",
    good="layers.0.self_attn.q_proj, which the adapter does not change: the same",
)
OTHER_SCALE = Check(
    "fused.other_scale",
    ("error",),
    meaning="The adapter was not fused at the scale in its adapter_config.json.",
    cause="adapter_config.json was changed before or after fusing, so the update is too weak or too strong.",
    fix="Restore `scale` in adapter_config.json to the one of training, then fuse again.",
    bad="adapter_config.json: scale 20; fused at scale 2",
    good="adapter_config.json: scale 20; fused at scale 20",
)
OTHER_ADAPTER = Check(
    "fused.other_adapter",
    ("error",),
    meaning="The fused model has an update, but not this adapter's.",
    cause="Another adapter was fused, or an earlier checkpoint, or this one was trained again after fusing.",
    fix="Fuse again with `mlx_lm.fuse --model {model} --adapter-path {adapter}`, or audit with the adapter that was "
    "fused.",
    bad="similarity of the fused update to the adapter's: 0.01",
    good="similarity of the fused update to the adapter's: 1.00",
)
UPDATE = Check(
    "fused.update",
    ("error", "warning", "info"),
    meaning="How much of the adapter's update is in the fused model. A warning below 90%, an error below 10% or if "
    "weights are NaN.",
    cause="The fused model stores each weight in {precision}, and what is smaller than a rounding step is lost: the "
    "update is small next to the weights. So the fused model has less effect than the base model with its adapter.",
    fix="Fuse with `mlx_lm.fuse --dequantize` (`--de-quantize` in older versions). If the model has to be small, "
    "quantize the result with `mlx_lm.convert -q --q-bits 8`. Or don't fuse: load the base model with --adapter-path, "
    "which loses nothing.",
    bad="base quantized to 4 bits, fused to 4 bits: 56% of the update survived",
    good="base quantized to 4 bits, fused with --dequantize: 100% of the update survived",
)
CHECKS = (IS_BASE, OTHER_BASE, OTHER_SCALE, OTHER_ADAPTER, UPDATE)
NOT_LOST = "Don't fuse: load the base model with --adapter-path, which loses nothing."
AS_FUSED = 0.2  # |W − F| / |Δ|: a GPU and a CPU may round to different steps now and then
IS_SAME = 1e-3  # of |Δ| or of |W|
OTHER_PRECISION = 0.3  # of |W|: storing it in 4 bits changes it by about 0.1, and another model differs by more than 1
SURVIVED, LOST = 0.9, 0.1


def check(base: Path, adapter: Path | None, fused: Path, names: dict[str, str]) -> Iterator[Finding]:
    """`names`: how the findings call the `model` and the `adapter`; without an adapter folder, only the base model is
    compared. Raises what mlx-lm raises for files that it can't load.
    """
    found = weights.compare(base, adapter, fused) if adapter else []
    others = weights.others(base, fused, {one["module"] for one in found}) if found else {}
    distance = max(others.values(), default=0.0)
    if distance > IS_SAME:
        yield _other_base(fused, others, distance, names)
    if found and distance <= OTHER_PRECISION:
        yield from _update(base, adapter, fused, found, distance <= IS_SAME, names)
    elif not adapter and weights.is_base(base, fused):
        title = f"{shown(fused)} is the base model: no weight differs"
        yield IS_BASE.found("error", title, **names)
    elif not adapter:
        yield UPDATE.found(
            "info",
            f"How much of the update is in {shown(fused)} is unknown: no adapter can be read in {names['adapter']}",
            cause="Only a comparison with the adapter can tell.",
            fix="Name the adapter's folder as adapter_path.",
        )


def _other_base(fused: Path, others: dict[str, float], distance: float, names: dict) -> Finding:
    only_precision = distance <= OTHER_PRECISION
    what = "another precision of the base model" if only_precision else "another base model"
    return OTHER_BASE.found(
        "warning" if only_precision else "error",
        f"{shown(fused)} was made from {what}, not {names['model']}",
        evidence=listed(
            [f"{name}, which the adapter does not change: {off:.1%} different" for name, off in others.items()]
        ),
        cause="Modules that the adapter does not touch differ slightly, as they do when a base model was quantized or "
        "converted first."
        if only_precision
        else None,
        **names,
    )


def _update(base: Path, adapter: Path, fused: Path, found: list, exact: bool, names: dict) -> Iterator[Finding]:
    """`exact`: the base model is the one that was fused, so that nothing else can explain a difference."""
    if broken := [one["module"] for one in found if not isfinite(one["share"])]:
        yield UPDATE.found(
            "error",
            f"Weights in {shown(fused)} are NaN or infinite, in {counted(len(broken), 'module')}",
            evidence=listed(broken),
            cause="An adapter with such weights was fused, or the sum was too large for the type it is stored in.",
            fix="Look at what the audit says about the adapter, then fuse again.",
        )
        return
    counting = [one for one in found if one["size"] > 1e-6 * max(one["size"] for one in found)]
    missing = [one for one in counting if one["moved"] < IS_SAME and one["off"] > AS_FUSED]
    changed = [one for one in counting if exact and one["off"] > AS_FUSED and one not in missing]
    if missing:
        part = f"{len(missing)} of {counted(len(counting), 'module')} in {shown(fused)} are the base model's"
        whole = f"{shown(fused)} is the base model: the adapter in {names['adapter']} was never applied"
        yield IS_BASE.found(
            "error",
            whole if missing == counting else f"{part}: the adapter was not applied there",
            evidence=listed([f"{one['module']}: the base model's weights" for one in missing]),
            **names,
        )
    largest = max(changed, key=lambda one: one["size"], default=None)
    factor = largest and weights.scale_factor(base, adapter, fused, largest["module"])
    if factor:
        yield _other_scale(adapter, fused, changed, factor)
    elif other := [one for one in changed if _is_other(one)]:
        yield OTHER_ADAPTER.found(
            "error",
            f"{shown(fused)} was not made from the adapter in {names['adapter']}: "
            f"{len(other)} of {counted(len(counting), 'module')} differ",
            evidence=listed([f"{one['module']}: {_shares(one)}" for one in other]),
            **names,
        )
    elif not missing:
        yield _survived(fused, counting, exact, names)


def _is_other(one: dict) -> bool:
    """Whether more differs than rounding by another version of mlx could explain."""
    return one["off"] > 2 * one["rounding"] or abs(one["share"] - one["expected"]) > abs(one["expected"]) / 2


def _other_scale(adapter: Path, fused: Path, changed: list[dict], factor: float) -> Finding:
    scale = weights.scale(adapter)
    instead = f"{factor:.3g} times its scale" if scale is None else f"scale {factor * scale:.3g} instead of {scale:g}"
    return OTHER_SCALE.found(
        "error",
        f"{shown(fused)} has the adapter's update at {instead}",
        evidence=listed([f"{one['module']}: {_shares(one)}" for one in changed]),
        where=shown(adapter / CONFIG),
    )


def _survived(fused: Path, found: list[dict], exact: bool, names: dict) -> Finding:
    whole, worst = weights.total(found), sorted(found, key=lambda one: one["share"])
    texts = {} if worst[0]["precision"].endswith("bits") else {"fix": NOT_LOST}
    if exact and round(whole["share"], 2) == 1:
        texts = {"cause": "The fused model has the adapter's whole update.", "fix": "No action needed."}
    elif not exact:
        texts = {
            "cause": "The fused model was made from another precision of the base model. Either that was fused without "
            "the adapter, or rounding lost the update.",
            "fix": f"Fuse again with `mlx_lm.fuse --model {names['model']} --adapter-path {names['adapter']}`.",
        }
    return UPDATE.found(
        "error" if whole["share"] < LOST else "warning" if whole["share"] < SURVIVED else "info",
        f"{_percent(whole['share'])} of the adapter's update survived in {shown(fused)}",
        evidence=listed([f"all modules: {_shares(whole)}", *(f"{one['module']}: {_shares(one)}" for one in worst)]),
        precision=worst[0]["precision"],
        **texts,
    )


def _shares(one: dict) -> str:
    """The update's share, and the size of everything that is not along it."""
    noise = max(one["residual"] ** 2 - (1 - one["share"]) ** 2, 0.0) ** 0.5
    return f"{_percent(one['share'])} of the update, and {_percent(noise)} of its size in other changes"


def _percent(share: float) -> str:
    return f"{round(share, 2) + 0.0:.0%}"  # not −0%
