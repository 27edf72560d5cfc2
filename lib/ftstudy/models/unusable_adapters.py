"""Why a folder can't be used as an adapter, and what to do about it."""

import json
from pathlib import Path
from typing import NamedTuple

from ..errors import StudyError
from ..machine_failures import pass_on
from ..paths import shown
from . import peft
from .adapters import CONFIG, WEIGHTS, keys_of, read_config


class Trouble(NamedTuple):
    """Why a folder can't be used as an adapter. `other`: it has files, but of another format."""

    what: str
    cause: str
    fix: str
    other: bool = True


def refuse(folder: Path) -> None:
    """StudyError if neither mlx-lm's nor PEFT's reader could take the folder."""
    if found := trouble(folder):
        raise StudyError(" ".join([f"{found.what}.", *filter(None, (found.cause, found.fix))]))


def trouble(folder: Path) -> Trouble | None:
    """Why neither mlx-lm's nor PEFT's reader could take the folder; None if it has the files of one of them."""
    name, config = shown(folder), read_config(folder)
    has = {file: (folder / file).is_file() for file in (CONFIG, WEIGHTS, peft.WEIGHTS, peft.PICKLED, "config.json")}
    if folder.is_file():
        cause = "An adapter is a folder with its weights and the adapter_config.json that they were trained with."
        return Trouble(f"{name} is a file, not an adapter's folder", cause, f"Name its folder, {shown(folder.parent)}.")
    if not any(has[file] for file in (WEIGHTS, peft.WEIGHTS, peft.PICKLED)):
        if old := sorted(folder.glob("*.npz")):
            return Trouble(
                f"{name} has its weights in {old[0].name}, a format of older versions of mlx-lm",
                f"mlx-lm reads {WEIGHTS} only, and ignores this file.",
                f"Convert it: `python -c \"import mlx.core as mx; mx.save_safetensors('{shown(folder / WEIGHTS)}', "
                f"mx.load('{shown(old[0])}'))\"`"
                + ("." if has[CONFIG] else f", and write {CONFIG}: {_settings_for(old[0])}."),
            )
        if of_llama_cpp := sorted(folder.glob("*.gguf")):
            return Trouble(
                f"{name} has its weights in {of_llama_cpp[0].name}, a format of llama.cpp",
                f"mlx-lm reads {WEIGHTS} only, and nothing converts an adapter back from GGUF.",
                "Copy the adapter that the GGUF was made from, PEFT's or mlx-lm's.",
            )
        if has[CONFIG] and (saved := sorted(folder.glob(f"[0-9]*_{WEIGHTS}"))):
            return Trouble(
                f"No {WEIGHTS} in {name}, only checkpoints",
                f"mlx-lm loads {WEIGHTS}, and no numbered checkpoint by itself.",
                f"Take the checkpoint that you want, for example the last: `cp {shown(saved[-1])} "
                f"{shown(folder / WEIGHTS)}`.",
                False,
            )
        if has["config.json"] and any(folder.glob("model*.safetensors")) and not has[CONFIG]:
            return Trouble(
                f"{name} is a whole model, not an adapter",
                "It has a config.json and the model's weights, as mlx_lm.fuse writes them.",
                "Give it as the fused model (--fused or FUSED=…), and name the adapter's own folder as adapter_path.",
            )
    if peft.is_peft(config):
        return _trouble_with_peft(folder, config, has)
    if has[peft.WEIGHTS] and not has[WEIGHTS]:
        return Trouble(
            f"{name} has PEFT's weights ({peft.WEIGHTS}), but not PEFT's {CONFIG}",
            "PEFT's config says rank and alpha, without which the weights have no scale.",
            f"Copy the {CONFIG} that was saved with {peft.WEIGHTS}.",
        )
    for file in (CONFIG, WEIGHTS):
        if not has[file]:
            return Trouble(f"No {file} in {name}, so it isn't an adapter folder", "", _lacking(folder, file), False)
    return None


def _lacking(folder: Path, file: str) -> str:
    """What to do about a folder without the config or the weights."""
    if file == CONFIG and (folder / WEIGHTS).is_file():
        return (
            f"Copy the {CONFIG} that was saved with the weights, or write one: {_settings_for(folder / WEIGHTS)}. mlx-lm "
            "can't load the weights without it."
        )
    inside = sorted(path.parent for path in folder.glob(f"*/{CONFIG}") if path.is_file())
    if inside:
        return f"Name the adapter's own folder: {', '.join(shown(path) for path in inside[:3])}."
    return (
        "Train the adapter first (03_train, or mlx_lm.lora with this folder as adapter_path), or use the folder that "
        "training wrote."
    )


def _trouble_with_peft(folder: Path, config: dict, has: dict[str, bool]) -> Trouble | None:
    name = shown(folder)
    if has[peft.WEIGHTS]:
        reason = peft.refusal(config)
        return reason and Trouble(
            f"{name} is a PEFT adapter that can't be read here: {reason}",
            "mlx-lm loads no PEFT adapter, and this study reads plain LoRA on linear layers only.",
            "Merge it into its base model with PEFT (merge_and_unload), convert the result with mlx_lm.convert, and "
            "give that as the fused model.",
        )
    if has[WEIGHTS]:
        return Trouble(
            f"{name} has PEFT's {CONFIG} next to mlx-lm's {WEIGHTS}",
            "The weights were converted or copied without their config. mlx-lm needs num_layers and lora_parameters, "
            "which PEFT's config doesn't have.",
            f"Write mlx-lm's {CONFIG}: {_settings_for(folder / WEIGHTS, config)}.",
        )
    if has[peft.PICKLED]:
        return Trouble(
            f"{name} has PEFT's weights as {peft.PICKLED}, a pickle, which can run code when it is loaded",
            "Neither mlx-lm nor this study loads pickles.",
            f"Save it again with PEFT's save_pretrained(…, safe_serialization=True), which writes {peft.WEIGHTS}.",
        )
    return Trouble(
        f"{name} has PEFT's {CONFIG}, but no {peft.WEIGHTS}",
        "The copy is incomplete, or training stopped before it saved.",
        f"Copy {peft.WEIGHTS} there.",
    )


def _settings_for(weights: Path, of_peft: dict | None = None) -> str:
    """The config that fits mlx-lm's weights, as far as they and PEFT's config say it."""
    import mlx.core as mx

    settings = {"rank": "…", "scale": "…", "dropout": 0.0, "keys": []}
    try:
        shapes = {name: value.shape for name, value in mx.load(str(weights)).items()}
        settings["rank"] = next(shape[-1] for name, shape in shapes.items() if name.endswith(".lora_a"))
        settings["keys"] = keys_of(shapes)
        settings["scale"] = peft.scale_of(of_peft, "") if of_peft else "…"
    except Exception as error:  # an unreadable file, or a config without rank or alpha
        pass_on(error)
    if not settings["keys"]:
        del settings["keys"]
    text = json.dumps({"fine_tune_type": "lora", "num_layers": -1, "lora_parameters": settings}, ensure_ascii=False)
    return text.replace('"…"', "…") + (" with the scale it was trained with" if settings["scale"] == "…" else "")
