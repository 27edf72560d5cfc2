"""Is a fused folder a whole model, of the base model's kind, and with nothing of the adapter left in it?"""

from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx
from mlx_lm import utils

from ...errors import StudyError
from ...machine_failures import pass_on
from ...models import base_models
from ...models.adapters import CONFIG, WEIGHTS
from ...paths import shown
from ...printable import cut
from .. import architecture
from ..config.values import shown_value
from ..evidence import listed
from ..findings import Check, Finding

UNREADABLE = Check(
    "fused.unreadable",
    ("error", "warning"),
    meaning="The fused folder isn't a model that mlx-lm can load. A warning if the fused model is fine, but the base "
    "model or the adapter to compare it with can't be loaded.",
    cause="The folder is incomplete, is an adapter's, or was changed after fusing.",
    fix="Fuse again with mlx_lm.fuse, and give its --save-path here.",
    bad="fused_model/: adapter_config.json, adapters.safetensors",
    good="fused_model/: config.json, model.safetensors, tokenizer.json",
)
LEFT_IN = Check(
    "fused.adapter_left_in",
    ("error", "warning"),
    meaning="The fused folder still has an adapter in it: as files (a warning), or as tensors among the model's.",
    cause="mlx-lm ignores adapter files next to a model, but whoever loads the folder with --adapter-path applies the "
    "update a second time.",
    fix="Move {names} out of the folder.",
    bad="fused_model/: config.json, model.safetensors, adapter_config.json, adapters.safetensors",
    good="fused_model/: config.json, model.safetensors, tokenizer.json",
)
CONFIG_DIFFERS = Check(
    "fused.config_differs",
    ("error",),
    meaning="The fused model has another architecture, chat template or end-of-turn token than the base model.",
    cause="Fusing changes weights only. With another config or template, the fused model computes something else, or "
    "is asked in a form that training never used.",
    fix="Copy these files from the base model's folder, or fuse again from the model that the config names.",
    bad='base: "rope_theta": 100000\nfused: "rope_theta": 10000',
    good='base: "rope_theta": 100000\nfused: "rope_theta": 100000',
)
CHECKS = (UNREADABLE, LEFT_IN, CONFIG_DIFFERS)


def check(inputs, folder: Path) -> Iterator[Finding]:
    """Findings on the folder alone. No weights can be compared after an error."""
    try:
        base_models.resolve(folder)
    except StudyError as error:
        is_adapter = (folder / WEIGHTS).is_file() or (folder / CONFIG).is_file()
        yield UNREADABLE.found(
            "error",
            f"{shown(folder)} is {'an adapter, not a fused model' if is_adapter else 'not a whole model'}",
            evidence=str(error),
            fix="Give the adapter with --adapter or adapter_path, and here the --save-path of mlx_lm.fuse."
            if is_adapter
            else None,
        )
        return
    yield from _left_in(folder)
    if inputs.model is not None and (different := [*_architecture(inputs.model, folder), *_prompt(inputs, folder)]):
        title = f"The fused model in {shown(folder)} differs from its base in more than weights"
        yield CONFIG_DIFFERS.found("error", title, evidence=listed(different), where=shown(folder / "config.json"))


def unreadable(severity: str, what: str, error: Exception, **texts: str) -> Finding:
    reason = cut(" ".join(str(error).split()), 200)
    return UNREADABLE.found(severity, what, evidence=reason, **texts)


def _left_in(folder: Path) -> Iterator[Finding]:
    tensors = sorted(name for name in _tensors(folder) if ".lora_" in name.lower())
    if tensors:
        yield LEFT_IN.found(
            "error",
            f"The model in {shown(folder)} has {len(tensors)} tensors of an adapter among its own",
            evidence=listed(tensors),
            cause="The model was saved with its LoRA layers instead of fused, and mlx-lm refuses to load it.",
            fix="Fuse with mlx_lm.fuse, which replaces the LoRA layers before it saves.",
        )
    if names := [name for name in (CONFIG, WEIGHTS) if (folder / name).is_file()]:
        title = f"{shown(folder)} has an adapter next to the fused model"
        yield LEFT_IN.found("warning", title, evidence=names, names=" and ".join(names))


def _tensors(folder: Path) -> list[str]:
    try:
        return [name for path in folder.glob("model*.safetensors") for name in mx.load(str(path))]
    except Exception as error:  # mlx raises several kinds, including plain RuntimeError; loading the model reports it
        pass_on(error)
        return []


def _architecture(base: Path, fused: Path) -> Iterator[str]:
    """The settings that differ among those that mlx-lm builds the model from."""
    ours, theirs = (_arguments(folder) for folder in (base, fused))
    for key in ours if ours and theirs else ():
        if ours[key] != theirs.get(key) and not key.startswith("quantization"):
            yield f"config.json: {key}: {shown_value(theirs.get(key))}, in the base model {shown_value(ours[key])}"


def _arguments(folder: Path) -> dict | None:
    config = architecture.model_config(folder)
    if config is None or "model_file" in config:  # a model_file is a stranger's code, which would run
        return None
    try:
        return vars(utils._get_classes(config=config)[1].from_dict(config))
    except Exception as error:  # whatever the model's own class raises at an odd config
        pass_on(error)
        return None


def _prompt(inputs, fused: Path) -> Iterator[str]:
    ours = inputs.tokenizer_or_none
    if ours is None:
        return
    try:
        theirs = base_models.load_tokenizer(fused)
    except StudyError as error:
        yield str(error)
        return
    if str(ours.chat_template or "").strip() != str(theirs.chat_template or "").strip():
        yield "chat template: not the base model's"
    if ours.eos_token_ids != theirs.eos_token_ids:
        yield f"end of turn: {sorted(theirs.eos_token_ids)}, in the base model {sorted(ours.eos_token_ids)}"
