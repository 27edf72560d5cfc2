"""Methods that mlx-lm does not have: PiSSA on its LoRA layers, GaLore in place of its optimizer."""

from collections.abc import Callable

from mlx_lm.tuner.utils import build_schedule

from ..configs import study
from ..errors import StudyError
from . import pissa
from .galore import GaLore

NEEDS = {"pissa": "lora", "galore": "full"}


def check(config: dict) -> None:
    """StudyError where the method does not go with the config's fine_tune_type."""
    method = (study(config) or {}).get("method")
    if method is not None and NEEDS.get(method) != config["fine_tune_type"]:
        known = " and ".join(f"{name} (with fine_tune_type: {kind})" for name, kind in NEEDS.items())
        raise StudyError(
            f"{config['config']} asks for the method {method!r} with fine_tune_type: {config['fine_tune_type']}; "
            f"below ftstudy there are {known}."
        )


def prepare(model, optimizer, config: dict) -> tuple:
    """(optimizer, adapter) for a model that mlx-lm has just made ready to be trained.

    `adapter(tensors, adapter_config)` turns what was trained into what loads on the unmodified
    base model, in mlx-lm's own form.
    """
    block = study(config) or {}
    if block.get("method") == "pissa":
        return optimizer, _pissa_adapter(pissa.start(model))
    if block.get("method") == "galore":
        rate = build_schedule(config["lr_schedule"]) if config["lr_schedule"] else config["learning_rate"]
        optimizer = GaLore(rate, **block["galore"])
    return optimizer, lambda tensors, adapter_config: (tensors, adapter_config)


def _pissa_adapter(initial: dict) -> Callable:
    def adapter(tensors: dict, adapter_config: dict) -> tuple[dict, dict]:
        tensors, parameters = pissa.as_lora(tensors, initial, adapter_config["lora_parameters"])
        return tensors, {**adapter_config, "lora_parameters": parameters}

    return adapter
