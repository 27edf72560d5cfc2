"""Get a model ready for training: mlx-lm's LoRA, DoRA or full fine-tuning, and PiSSA and GaLore, which it lacks."""

from collections.abc import Callable

import mlx.core as mx
import mlx.optimizers as optimizers
from mlx_lm.tuner.utils import build_schedule, linear_to_lora_layers

from ..audit import RunInputs
from ..audit.config.mlx_lm_keys import installed, optimizer_refuses
from ..configs import study, study_errors
from ..errors import StudyError
from ..models import base_models
from . import pissa
from .galore import GaLore

NEEDS = {"pissa": "lora", "galore": "full"}
OPTIMIZERS = {
    "adam": optimizers.Adam,
    "adamw": optimizers.AdamW,
    "muon": optimizers.Muon,
    "sgd": optimizers.SGD,
    "adafactor": optimizers.Adafactor,
}


def check(config: dict) -> None:
    """Raises StudyError for an invalid `ftstudy:` block, or a method that needs another fine_tune_type."""
    block = study(config) or {}
    for key, value, allowed in study_errors(block):
        fix = f"Set it to {allowed}." if allowed else "GaLore has no such option; delete it."
        raise StudyError(f"Invalid `ftstudy.{key}: {value}` in {config['config']}. {fix}")
    method, kind = block.get("method"), config["fine_tune_type"]
    if NEEDS.get(method, kind) != kind:
        raise StudyError(
            f"The method {method} in {config['config']} doesn't work with `fine_tune_type: {kind}`. "
            f"Set `fine_tune_type: {NEEDS[method]}`."
        )


def layers_to_share(runs: list[RunInputs]) -> int:
    """How many of the lowest layers none of these runs trains, which `HiddenStates` can share; runs that train all
    layers don't count. 0 if there is nothing to share. Raises StudyError if a model is missing."""
    trained = [(run.config["model"], run.config["num_layers"]) for run in runs]
    sizes = {model: len(base_models.load_lazily(base_models.resolve(model)).layers) for model, _ in trained}
    frozen = [sizes[model] - layers for model, layers in trained if 0 < layers < sizes[model]]
    return min(frozen, default=0)


def prepare(model, config: dict) -> tuple[optimizers.Optimizer, Callable]:
    """Freeze the model, add what is to be trained, in place, and make the optimizer, as `mlx_lm.lora` does.

    Returns (optimizer, as_adapter): `as_adapter(tensors, lora_parameters)` turns the trained tensors into
    those of an adapter for the unmodified base model, in mlx-lm's form, with the lora_parameters to go with them.
    Raises ValueError for a setting that mlx-lm rejects.
    """
    mx.random.seed(config["seed"])
    model.freeze()
    kind, layers = config["fine_tune_type"], config["num_layers"]
    if layers > len(model.layers):
        raise ValueError(f"num_layers is {layers}, but the model has only {len(model.layers)} layers")
    if kind == "full":
        for layer in model.layers[-max(layers, 0) :]:
            layer.unfreeze()
    elif kind in ("lora", "dora"):
        linear_to_lora_layers(model, layers, config["lora_parameters"], use_dora=kind == "dora")
    else:
        raise ValueError(f"unknown fine_tune_type {kind}")
    if config["resume_adapter_file"] is not None:
        model.load_weights(config["resume_adapter_file"], strict=False)
    block = study(config) or {}
    rate = build_schedule(config["lr_schedule"]) if config["lr_schedule"] else config["learning_rate"]
    optimizer = GaLore(rate, **block["galore"]) if block.get("method") == "galore" else _optimizer(rate, config)
    if block.get("method") != "pissa":
        return optimizer, lambda tensors, lora_parameters: (tensors, lora_parameters)
    initial = pissa.start(model)
    return optimizer, lambda tensors, lora_parameters: pissa.as_lora(tensors, initial, lora_parameters)


def _optimizer(rate, config: dict) -> optimizers.Optimizer:
    name = config["optimizer"].lower()
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name}")
    blocks = config["optimizer_config"]
    options = blocks.get(name, {}) if isinstance(blocks, dict) else blocks
    if why := optimizer_refuses(name, options, installed()):
        raise StudyError(
            f"The optimizer {name} can't use its options in {config['config']}, `optimizer_config.{name}: {options}` "
            f"({why}). Correct that value, or delete it to use the default."
        )
    return OPTIMIZERS[name](learning_rate=rate, **options)
