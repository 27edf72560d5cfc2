"""How large a model is, and what a config trains of it, by the shapes of its weights alone: they are not read."""

from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten

from ..failures import pass_on
from ..models import base_models
from . import architecture


@dataclass(frozen=True)
class ModelSize:
    """Counts are of numbers, `weights` is in bytes."""

    weights: int
    item: int  # bytes of a number that the layers compute with
    dtype: mx.Dtype
    hidden: int  # width of the states between the layers
    heads: int  # of attention, 0 if unknown
    vocabulary: int
    layers: list[list[tuple[int, int]]]  # for each layer, its matrices as a token meets them: (inputs, outputs)
    trained: int
    adapted: int  # layers, the last ones


def measure(folder: Path, config: dict) -> ModelSize | None:
    """`config`: with valid values, over mlx-lm's defaults. None if the model or its adapter can't be built."""
    described = architecture.model_config(folder)
    try:
        model = base_models.load_lazily(folder)
        arrays = [array for _, array in tree_flatten(model.parameters())]
        floats = [array.dtype for array in arrays if mx.issubdtype(array.dtype, mx.floating)]
        embedding = next(module for _, module in model.named_modules() if hasattr(module, "as_linear"))
        layers = [[*_matrices(layer, _text(described))] for layer in model.layers]
        model.freeze()
        kind, count = config["fine_tune_type"], config["num_layers"]
        shapes = architecture.trained(model, kind, count, config["lora_parameters"])
    except Exception as error:  # whatever an odd model or adapter raises has its own findings
        pass_on(error)
        return None
    return ModelSize(
        weights=sum(array.nbytes for array in arrays),
        item=floats[0].size,
        dtype=floats[0],
        hidden=_text(described).get("hidden_size") or layers[0][0][0],
        heads=_text(described).get("num_attention_heads") or 0,
        vocabulary=embedding.weight.shape[0],
        layers=layers,
        trained=sum(_product(shape) for shape in shapes.values()),
        adapted=min(count, len(layers)) if count > 0 else len(layers),
    )


def _text(described: dict) -> dict:
    """The part of a config.json that describes the language model."""
    part = described.get("text_config")
    return part if isinstance(part, dict) else described


def _matrices(layer, described: dict):
    for _, module in layer.named_modules():
        weight = module.get("weight") if hasattr(module, "get") else None
        if weight is None or weight.ndim not in (2, 3) or not architecture.can_be_adapted(module):
            continue
        outputs, inputs = weight.shape[-2:]
        inputs = inputs * 32 // module.bits if "scales" in module else inputs
        experts = described.get("num_experts_per_tok") or 1 if weight.ndim == 3 else 1
        yield from [(inputs, outputs)] * experts


def _product(shape: tuple) -> int:
    found = 1
    for size in shape:
        found *= size
    return found
