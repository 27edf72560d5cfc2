"""An adapter that exists already, described as if this study had trained it."""

from pathlib import Path

import mlx.core as mx
from mlx_lm.utils import get_total_parameters

from .. import audit
from ..audit import adapters as checks
from ..errors import StudyError
from ..models import adapters, base_models, checkpoints, peft, unusable_adapters, updates
from ..paths import absolute, shown
from . import logs

MEASURABLE = ("adapter.zero_b", "adapter.no_effect", "adapter.contract")  # errors, but of an adapter that loads


def take(inputs: audit.RunInputs, log: str = "", force: bool = False) -> dict:
    """What `training.train` would return, read from the adapter at `adapter_path`; with `existing` True, and `adapts`.

    `log`: a file with what training printed; without one, `curve` is empty. `adapts` has `kind`, `modules` (names
    inside a layer), `layers` (numbers), `rank` and `scale` (lists of the distinct ones), `tensors` (their number),
    `zero` (names of those that are all zero), `progress` (`checkpoints.progress`) and `by_layer`
    (`updates.by_layer`).

    Raises StudyError if the model cannot be had, or if the audit finds an error that makes the adapter another one
    than the config's, or unusable (unless `force` is True and it can be loaded).
    """
    folder, config = absolute(inputs.config["adapter_path"]), inputs.config
    base = base_models.resolve(config["model"])
    _check(inputs, folder, force)
    curve = logs.curve(absolute(log)) if log else []
    made = adapters.read_config(folder) or {}
    made = {} if peft.is_peft(made) else made
    progress = checkpoints.progress(folder)
    iterations = (progress["last"] if progress["stopped"] else progress["asked"]) or 0
    asked = {key: made.get(key, config[key]) for key in ("batch_size", "learning_rate")}
    examples = len(inputs.splits["train"].rows) if "train" in inputs.splits else 0
    tensors = adapters.tensors(folder)
    stopped = f"stopped at iteration {iterations:,} of {progress['asked']:,}" if progress["stopped"] else None
    return {
        "config": config["config"],
        "name": Path(config["config"]).stem,
        "run_id": adapters.identity(folder),
        "model": config["model"],
        "data": shown(inputs.folder),
        "adapter": shown(folder),
        "existing": True,
        "iterations": iterations,
        "kept": {"iteration": progress["kept"] or iterations, "validation_loss": None},
        "stopped": stopped,
        "diverged": False,
        **asked,
        "parameters_trained": sum(value.size for value in tensors.values()),
        "parameters": get_total_parameters(base_models.load_lazily(base)),
        "examples": examples,
        "epochs": iterations * asked["batch_size"] / max(examples, 1),
        "tokens_in_loss": max((row.get("trained_tokens", 0) for row in curve), default=0) or None,
        "curve": curve,
        "adapts": _adapts(base, folder, tensors) | {"progress": progress},
    }


def counts_tokens(inputs: audit.RunInputs) -> bool:
    """Whether there is at least one batch of conversations in train.jsonl, whose trained tokens can be counted."""
    size, train = inputs.config["batch_size"], inputs.splits.get("train")
    return train is not None and type(size) is int and sum(1 for _ in train.chats()) >= size > 0


def _check(inputs, folder: Path, force: bool) -> None:
    """Raises StudyError if it isn't one that can be measured."""
    unusable_adapters.refuse(folder)
    findings = audit.report(checks.check(inputs))["findings"]
    errors = [one for one in findings if one["severity"] == "error" and one["check"] not in MEASURABLE]
    if errors and not force:
        said = " ".join(f"{one['check']}: {one['title'].rstrip('.')}. {one['cause']} {one['fix']}" for one in errors)
        raise StudyError(
            f"The adapter in {shown(folder)} is not measured, because the audit found errors in it. {said}"
        )


def _adapts(base: Path, folder: Path, tensors: dict[str, mx.array]) -> dict:
    config, rows = adapters.read_config(folder) or {}, updates.norms(base, folder)
    modules = sorted({row["module"] for row in rows})
    if peft.is_peft(config):
        kind, scales = f"PEFT {config['peft_type']}", {peft.scale_of(config, name) for name in modules}
    else:
        kind = config.get("fine_tune_type", "lora")
        scales = set() if kind == "full" else {(config.get("lora_parameters") or {}).get("scale")}
    ranks = {
        value.shape[-1] if value.ndim == 2 else value.shape[-2]
        for name, value in tensors.items()
        if name.endswith(".lora_a")
    }
    return {
        "kind": kind,
        "modules": adapters.inside_layers(modules),
        "layers": sorted({row["layer"] for row in rows if row["layer"] is not None}),
        "rank": sorted(ranks),
        "scale": sorted(scales - {None}),
        "tensors": len(tensors),
        "zero": [name for name, value in tensors.items() if not mx.any(value != 0).item()],
        "by_layer": updates.by_layer(rows),
    }
