"""Adapters of Hugging Face's PEFT, read as mlx-lm's.

    PEFT    base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight   (rank, inputs)    alpha / rank
    mlx-lm  model.layers.0.self_attn.q_proj.lora_a                           (inputs, rank)    scale

Both add scale · x · A · B to a layer's output. mlx-lm itself can't load PEFT's files.
"""

import re
from math import sqrt
from pathlib import Path

from ..errors import StudyError
from ..paths import shown

WEIGHTS, PICKLED = "adapter_model.safetensors", "adapter_model.bin"
NAME = re.compile(r"base_model\.model\.(.+)\.lora_([AB])(?:\.[\w-]+)?\.weight")
CHANGE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")  # initializations that also change the base weights


def is_peft(config) -> bool:
    """True for the content of an adapter_config.json that PEFT wrote."""
    return isinstance(config, dict) and "peft_type" in config


def refusal(config: dict) -> str | None:
    """What in an adapter's config can't be read as LoRA on linear layers; None if nothing."""
    kind, start = config.get("peft_type"), config.get("init_lora_weights")
    other = {
        f"its type is {kind}, not LORA": kind != "LORA",
        "it uses DoRA (use_dora), whose magnitudes mlx-lm stores differently": config.get("use_dora"),
        f"it also has whole layers (modules_to_save: {config.get('modules_to_save')})": config.get("modules_to_save"),
        f"it also trains biases (bias: {config.get('bias')})": config.get("bias", "none") != "none",
        "it trains single tokens (trainable_token_indices)": config.get("trainable_token_indices"),
        "it repeats layers of the base model (layer_replication)": config.get("layer_replication"),
        "its weights are transposed (fan_in_fan_out)": config.get("fan_in_fan_out"),
        f"it was started with {start}, which also changes the base model's weights": isinstance(start, str)
        and start.lower().startswith(CHANGE_BASE),
        "r or lora_alpha is not a number above 0": not all(
            type(config.get(key)) in (int, float) and config[key] > 0 for key in ("r", "lora_alpha")
        ),
    }
    return next((reason for reason, applies in other.items() if applies), None)


def scale_of(config: dict, module: str) -> float:
    """What PEFT multiplies a module's A · B by: alpha / rank, or alpha / √rank with rank-stabilized LoRA."""
    rank, alpha = rank_of(config, module), _pattern(config.get("alpha_pattern"), module) or config["lora_alpha"]
    return alpha / (sqrt(rank) if config.get("use_rslora") else rank)


def rank_of(config: dict, module: str) -> int:
    return _pattern(config.get("rank_pattern"), module) or config["r"]


def _pattern(patterns, module: str):
    """PEFT's rule: a key is a regular expression for the end of a module's name; the first that fits counts."""
    for key, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return None


def tensors(folder: Path) -> dict:
    """The tensors under mlx-lm's names, `<module>.lora_a` (inputs, rank) and `.lora_b` (rank, outputs), not read yet.

    Raises StudyError if a tensor is not of a LoRA layer; what `mlx.core.load` raises if the file is damaged.
    """
    import mlx.core as mx

    found, other = {}, []
    for name, value in mx.load(str(folder / WEIGHTS)).items():
        if match := NAME.fullmatch(name):
            found[f"{match[1]}.lora_{match[2].lower()}"] = value.T
        else:
            other.append(name)
    if other:
        raise StudyError(
            f"{shown(folder / WEIGHTS)} has {len(other)} tensors that are not LoRA's on a linear layer, for example "
            f"{other[0]}. This study reads plain LoRA only: merge the adapter with PEFT (merge_and_unload), convert "
            "the merged model with mlx_lm.convert, and give that as the fused model."
        )
    return found


def expected(config: dict, modules: list[str]) -> list[str]:
    """Those of a model's modules that the config says are adapted; [] where it gives a pattern instead of names."""
    targets, layers = config.get("target_modules"), config.get("layers_to_transform")
    if not isinstance(targets, list):
        return []
    chosen = [layers] if isinstance(layers, int) else layers
    return [
        name
        for name in modules
        if any(name == target or name.endswith(f".{target}") for target in targets)
        and (not chosen or any(f".{layer}." in name for layer in chosen))
    ]
