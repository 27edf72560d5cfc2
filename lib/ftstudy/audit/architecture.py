"""A base model without its weights: which modules it has, and which tensors an adapter of it has.

mlx allocates nothing until a value is asked for, so that even a large model stands in
milliseconds, and mlx-lm's own conversion to LoRA layers can be replayed on it.
"""

import json
from functools import lru_cache
from pathlib import Path

from mlx.utils import tree_flatten
from mlx_lm import utils
from mlx_lm.tuner.utils import linear_to_lora_layers


def skeleton(folder: Path | None):
    """The model of a folder, frozen, with arrays that nobody evaluates; None where there is no
    such model, or where this mlx-lm cannot make it."""
    config = model_config(folder)
    if config is None or "model_file" in config:  # the latter means running a stranger's code
        return None
    try:
        model_class, arguments = utils._get_classes(config=config)
        model = model_class(arguments.from_dict(config))
        model.freeze()
        len(model.layers)
        return model
    except Exception:  # whatever the model's own constructor raises at an odd config
        return None


def model_config(folder: Path | None) -> dict | None:
    """The model's config.json; None where it is not there or no JSON object."""
    if folder is None:
        return None
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None


@lru_cache(maxsize=8)
def layers(folder: Path | None) -> int | None:
    """How many layers mlx-lm counts in the model; None where nobody can say."""
    model = skeleton(folder)
    return None if model is None else len(model.layers)


def trained(model, fine_tune_type: str, num_layers: int, lora_parameters: dict | None) -> dict[str, tuple]:
    """Name -> shape of every tensor that mlx-lm trains and saves. Converts the model, and
    raises what `linear_to_lora_layers` raises at settings that it does not take."""
    if fine_tune_type == "full":
        for layer in model.layers[-max(num_layers, 0) :]:
            layer.unfreeze()
    else:
        linear_to_lora_layers(model, num_layers, lora_parameters, use_dora=fine_tune_type == "dora")
    return {name: tuple(value.shape) for name, value in tree_flatten(model.trainable_parameters())}


def module_names(model, num_layers: int) -> set[str]:
    """What a key in `lora_parameters.keys` can name: a linear map or an embedding, as it is called
    inside one of the layers that are trained, or as it is called from the model's root."""
    roots = [*model.layers[-max(num_layers, 0) :], model]
    return {
        name
        for root in roots
        for name, module in root.named_modules()
        if hasattr(module, "to_lora") or getattr(module, "weight", None) is not None and module.weight.ndim > 1
    }
