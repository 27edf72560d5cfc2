"""A base model without its weights: which modules it has, and which tensors its adapters have.

mlx allocates an array only when its values are needed, so even a large model is built in milliseconds, and
mlx-lm's own conversion to LoRA layers can be replayed on it.
"""

import json
from functools import lru_cache
from pathlib import Path

import mlx.nn as nn
from mlx.utils import tree_flatten
from mlx_lm import utils
from mlx_lm.models.switch_layers import QuantizedSwitchLinear, SwitchLinear
from mlx_lm.tuner.utils import linear_to_lora_layers

from ..files.limits import limited
from ..files.reading import SETTINGS, read_json
from ..machine_failures import pass_on
from ..models.loadable import is_endless

ADAPTED = (nn.Linear, nn.QuantizedLinear, nn.Embedding, nn.QuantizedEmbedding, SwitchLinear, QuantizedSwitchLinear)


def skeleton(folder: Path | None):
    """The model in a folder, frozen and without weights; None if there is none, or if this mlx-lm can't build it."""
    config = model_config(folder)
    # A model_file is a stranger's code, which would run.
    if config is None or "model_file" in config or is_endless(config):
        return None
    try:
        with limited("building the model took too long", template=json.dumps(config)):
            model_class, arguments = utils._get_classes(config=config)
            model = model_class(arguments.from_dict(config))
            model.freeze()
            len(model.layers)
            return model
    except Exception as error:  # whatever the model's own constructor raises at an odd config
        pass_on(error)
        return None


def model_config(folder: Path | None) -> dict | None:
    """The model's config.json; None if it is missing or not a JSON object."""
    if folder is None:
        return None
    try:
        config = read_json(folder / "config.json", SETTINGS)
    except (OSError, ValueError) as error:
        pass_on(error)
        return None
    return config if isinstance(config, dict) else None


@lru_cache(maxsize=8)
def layers(folder: Path | None) -> int | None:
    """How many layers mlx-lm counts in the model; None if unknown."""
    model = skeleton(folder)
    return None if model is None else len(model.layers)


def trained(model, fine_tune_type: str, num_layers: int, lora_parameters: dict | None) -> dict[str, tuple]:
    """Name -> shape of every tensor that mlx-lm trains and saves.

    Converts the model. Raises what `linear_to_lora_layers` raises for settings it rejects.
    """
    if fine_tune_type == "full":
        for layer in model.layers[-max(num_layers, 0) :]:
            layer.unfreeze()
    else:
        linear_to_lora_layers(model, num_layers, lora_parameters, use_dora=fine_tune_type == "dora")
    return {name: tuple(value.shape) for name, value in tree_flatten(model.trainable_parameters())}


def roots(model, num_layers: int) -> list:
    """The modules that a key in `lora_parameters.keys` is relative to: each trained layer, and the model itself."""
    return [*model.layers[-max(num_layers, 0) :], model]


def module_names(model, num_layers: int) -> set[str]:
    """What a key in `lora_parameters.keys` can name: a linear layer or an embedding, relative to one of the roots."""
    return {
        name for root in roots(model, num_layers) for name, module in root.named_modules() if can_be_adapted(module)
    }


def layers_of_modules(model) -> dict[str, list[int]]:
    """The name of each linear layer within a layer -> the layers that have it. Families mix kinds of layers, such as
    attention and convolution."""
    found = {}
    for at, layer in enumerate(model.layers):
        for name, module in layer.named_modules():
            if can_be_adapted(module):
                found.setdefault(name, []).append(at)
    return found


def can_be_adapted(module) -> bool:
    """Whether mlx-lm makes a LoRA layer of it; not of a convolution, for example."""
    return hasattr(module, "to_lora") or isinstance(module, ADAPTED)
