"""What an adapter was trained with, compared with the config: base model and settings."""

import re
from collections.abc import Iterator
from pathlib import Path

from ...models import peft
from ...paths import shown
from .. import architecture
from ..config import place
from ..config.values import shown_value
from ..findings import Check, Finding
from .files import CONFIG

BASE_MODEL = Check(
    "adapter.base_model",
    ("error",),
    meaning="The adapter was not trained on the base model that the config names.",
    cause="mlx-lm never compares the two, and loads the adapter if the shapes happen to fit.",
    fix="Train again, or name the model that the adapter was trained on.",
    bad='config.yaml: model: mlx-community/Qwen3-0.6B-4bit\nadapter_config.json: "model": "mlx-community/Qwen3-1.7B-4bit"',
    good='config.yaml: model: mlx-community/Qwen3-0.6B-4bit\nadapter_config.json: "model": "mlx-community/Qwen3-0.6B-4bit"',
)
CONFIG_DIFFERS = Check(
    "adapter.config_differs",
    ("warning",),
    meaning="The existing adapter was not trained with the config's settings.",
    cause="If this run fails, an evaluation would use this older adapter.",
    fix="To train, give the config its own adapter_path. To look at this adapter, use its adapter_config.json as the "
    "config.",
    bad='config.yaml: iters: 600\nadapter_config.json: "iters": 100',
    good='config.yaml: iters: 600\nadapter_config.json: "iters": 600',
)
CHECKS = (BASE_MODEL, CONFIG_DIFFERS)
CONVERSION = re.compile(r"([-_.](mlx|hf|bnb|gptq|awq|dwq|unsloth|\d-?bit|bf16|fp?16|fp?32|q\d))+$")
STRUCTURE = {"fine_tune_type", "num_layers", "lora_parameters"}
LEARNED = {  # settings that change the weights
    *STRUCTURE,
    *"data mask_prompt max_seq_length iters batch_size grad_accumulation_steps".split(),
    *"learning_rate lr_schedule optimizer optimizer_config seed ftstudy".split(),
}


def check(inputs, made: dict, folder: Path, compared: set) -> Iterator[Finding]:
    """`made`: what adapter_config.json says; `compared`: the settings that must be the same.

    PEFT's config doesn't say what the adapter was trained with.
    """
    yield from _base_model(inputs, made, folder)
    if not peft.is_peft(made):
        yield from _differs(inputs, made, folder, compared)


def _base_model(inputs, made: dict, folder: Path):
    key = "base_model_name_or_path" if peft.is_peft(made) else "model"
    theirs, ours = made.get(key), inputs.config["model"]
    same = _same_name if peft.is_peft(made) else _same_model
    if isinstance(theirs, str) and not same(theirs, ours, inputs.model):
        yield BASE_MODEL.found(
            "error",
            f"The adapter in {shown(folder)} was trained on {theirs}, but the config names {ours}",
            evidence=[f"{CONFIG}: {key}: {theirs}", f"{inputs.where}: model: {ours}"],
            where=shown(folder / CONFIG),
        )


def _same_model(theirs: str, ours: str, folder: Path | None) -> bool:
    if theirs == ours or (place(theirs) or theirs) in (place(ours), folder):
        return True
    # A snapshot of a model on the hub is in a folder named after it.
    cached = [f"models--{name.replace('/', '--')}" for name in (ours, theirs)]
    if cached[0] in theirs or cached[1] in str(folder):
        return True
    # The same folder on another machine, or before the repository was moved.
    names = [Path(name).name.lower() for name in (theirs, ours)]
    return names[0] == names[1] and (Path(theirs).is_absolute() or Path(ours).is_absolute() or "/" not in theirs + ours)


def _same_name(theirs: str, ours: str, folder: Path | None) -> bool:
    """Whether two names can mean the same model: PEFT trains on the original, mlx-lm on somebody's conversion of it."""
    names = [Path(name).name.lower() for name in (theirs, ours, str(folder or ours))]
    bare = [CONVERSION.sub("", name) for name in names]
    return bare[0] in bare[1:]


def _differs(inputs, made: dict, folder: Path, compared: set):
    layers = architecture.layers(inputs.model)
    ours, theirs = _settings(inputs.config, layers), _settings(_with_given_rank(made), layers)
    names = [key for key in ours if key.split(".")[0] in compared and key.split(".")[0] in made]
    names += [key for key in theirs if key not in ours and key.split(".")[0] in compared]
    different = [
        f"{key}: {shown_value(theirs.get(key))} in the adapter, {shown_value(ours.get(key))} in the config"
        for key in names
        if not _equal(theirs.get(key), ours.get(key), key)
    ]
    if not different:
        return
    resumes = compared is STRUCTURE
    count = f"{len(different)} setting{'s' if len(different) > 1 else ''}"
    yield CONFIG_DIFFERS.found(
        "warning",
        f"The adapter in {shown(folder)} and {inputs.where} differ in {count}",
        evidence=different,
        where=shown(folder / CONFIG),
        cause="mlx-lm loads its tensors into layers built from the new settings, without a check." if resumes else None,
        fix="Resume with the settings of the first run." if resumes else None,
    )


def _with_given_rank(made: dict) -> dict:
    """With the rank of the config: PiSSA's difference from the base model, which is saved, has twice that rank."""
    block, lora = made.get("ftstudy"), made.get("lora_parameters")
    rank = lora.get("rank") if isinstance(lora, dict) else None
    if not isinstance(block, dict) or block.get("method") != "pissa" or type(rank) is not int:
        return made
    return made | {"lora_parameters": lora | {"rank": rank // 2}}


def _settings(config: dict, model_layers: int | None) -> dict:
    """The settings that change the weights, flat, and equal wherever mlx-lm does the same."""
    flat = {key: config[key] for key in sorted(LEARNED & config.keys())}
    layers = flat.get("num_layers")
    if isinstance(layers, int) and (layers <= 0 or model_layers and layers >= model_layers):
        flat["num_layers"] = "all"
    lora = flat.pop("lora_parameters", None)
    if isinstance(lora, dict) and config.get("fine_tune_type") != "full":
        flat |= {f"lora_parameters.{key}": value for key, value in lora.items()}
    chosen = flat.pop("optimizer_config", None)
    if isinstance(chosen, dict) and isinstance(flat.get("optimizer"), str):
        flat["optimizer_config"] = chosen.get(flat["optimizer"].lower()) or {}
    if flat.get("lr_schedule"):
        flat.pop("learning_rate", None)
    return flat


def _equal(theirs, ours, key: str) -> bool:
    if theirs == ours:
        return True
    if key == "data" and isinstance(theirs, str) and isinstance(ours, str):
        return _same_place(theirs, ours)
    if key == "lora_parameters.keys" and isinstance(theirs, list) and isinstance(ours, list):
        return sorted(map(str, theirs)) == sorted(map(str, ours))
    return False


def _same_place(theirs: str, ours: str) -> bool:
    """The same path, on this or another machine, or before the repository was moved."""
    if not (place(theirs) and place(ours)):
        return False
    short, long = sorted((Path(shown(name)) for name in (theirs, ours)), key=lambda path: len(path.parts))
    elsewhere = long.is_absolute() or long.parts[:1] == ("~",)
    ending = short.relative_to(short.anchor).parts
    return short == long or elsewhere and bool(ending) and long.parts[-len(ending) :] == ending
