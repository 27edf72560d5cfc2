"""The value that somebody meant with another trainer's name for a setting, as mlx-lm takes it."""

import math

from ..audit import architecture
from ..audit.config import lora
from ..audit.config.trainer_keys import installed, optimizer_options
from ..audit.config.values import fits, obvious, outside, sound
from ..audit.run_inputs import RunInputs
from .settings import rows_in, updates

# A setting comes before those that are computed from it.
ORDER = ("lora_parameters.rank", "batch_size", "grad_accumulation_steps", "optimizer", "fine_tune_type", "num_layers")
LAST = ("lr_schedule", "lr_schedule.warmup")
RANK_STABILIZED = "use_rslora"  # says how another key is meant
SCHEDULES = {"cosine": "cosine_decay", "linear": "linear_schedule"}


def place(live: str) -> tuple:
    """A sort key: the order in which values are worked out."""
    return (ORDER.index(live) if live in ORDER else len(ORDER) + (LAST.index(live) + 1 if live in LAST else 0), live)


def value(live: str, alias: str, asked, draft: dict, now: RunInputs) -> dict:
    """Settings of mlx-lm's (dotted keys) that say what `alias: asked` says; {} if none does.

    `live`: the key that the alias stands for; `now`: what an audit of the draft reads.
    """
    word, values = alias.lower().replace("-", "_"), sound(now.config)
    if live in _MADE:
        return _MADE[live](word, asked, draft, values, now)
    one = _of_kind(live, asked)
    return {} if one is None or live in _ELSEWHERE or "per_epoch" in word else {live: one}


# Not for a copy to say.
_ELSEWHERE = ("adapter_path", "resume_adapter_file", "model", "data", "hf_dataset", "report_to")


def _of_kind(live: str, asked):
    """A value of the setting's type and range; None if it can't be read as one."""
    kind = installed().types.get(live)
    if kind is None:
        return asked if live.startswith("ftstudy.") else None
    one = asked if fits(asked, kind) else obvious(asked, kind)
    return None if one is None or outside(live, one) else one


def _scale(word, asked, draft, values, now) -> dict:
    number = obvious(asked, float) if isinstance(asked, str) else asked
    if not fits(number, float):
        return {}
    rank = values["lora_parameters"].get("rank") or 8
    blocks = [draft["config"], draft["config"].get("lora_parameters")]
    is_root = any(str(one.get(RANK_STABILIZED)).lower() == "true" for one in blocks if isinstance(one, dict))
    by = math.sqrt(rank) if is_root else rank  # rank-stabilized LoRA: Kalajdzievski 2023, arXiv 2312.03732
    return {"lora_parameters.scale": float(number / by if "alpha" in word else number)}


def _modules(word, asked, draft, values, now) -> dict:
    asked_for = asked.split(",") if isinstance(asked, str) else asked
    model = architecture.skeleton(now.model)
    if not isinstance(asked_for, list) or not all(isinstance(one, str) for one in asked_for) or model is None:
        return {}
    here = lora.linear_layers(model, values["num_layers"])
    found = [one for name in asked_for for one in ([name] if name in here else lora.modules_meant(name.strip(), here))]
    return {"lora_parameters.keys": list(dict.fromkeys(found))} if found else {}


def _iters(word, asked, draft, values, now) -> dict:
    number = asked if fits(asked, float) else obvious(asked, float)
    if number is None or number <= 0 or "per_epoch" in word:
        return {}
    if "epoch" in word:
        rows = rows_in(draft)
        return {"iters": max(1, -(-round(number * rows) // values["batch_size"]))} if rows else {}
    return {"iters": int(number)} if number >= 1 else {}


def _batch_size(word, asked, draft, values, now) -> dict:
    one = _of_kind("batch_size", asked)
    return {} if one is None or any(part in word for part in ("eval", "val_", "global")) else {"batch_size": one}


def _mask_prompt(word, asked, draft, values, now) -> dict:
    is_on = asked if isinstance(asked, bool) else obvious(asked, bool)
    if word in ("train_on_inputs", "train_on_input", "train_on_prompt"):
        return {} if is_on is None else {"mask_prompt": not is_on}
    return {"mask_prompt": bool(asked) if is_on is None else is_on}


def _optimizer(word, asked, draft, values, now) -> dict:
    name = optimizer_named(asked)
    return {"optimizer": name} if name else {}


def optimizer_named(asked) -> str | None:
    """mlx's optimizer that a name of another trainer's means: paged_adamw_8bit is adamw."""
    known = sorted(installed().optimizers, key=len, reverse=True)
    return next((name for name in known if isinstance(asked, str) and name in asked.lower()), None)


def _optimizer_config(word, asked, draft, values, now) -> dict:
    option = word.removeprefix("adam_")
    if option not in ("weight_decay", "momentum", "betas") or asked is None:
        return {}
    chosen = values["optimizer"]
    if option not in optimizer_options(chosen, installed()):
        if now.given.get("optimizer") or option != "weight_decay":
            return {}
        chosen = "adamw"
    blocks = now.given.get("optimizer_config")
    blocks = blocks if isinstance(blocks, dict) else {}
    number = asked if not isinstance(asked, str) else obvious(asked, float)
    if number is None:
        return {}
    options = {**(blocks.get(chosen) or {}), option: number}
    return {"optimizer": chosen} | {"optimizer_config": blocks | {chosen: options}}


def fine_tune_type(asked, word: str = "") -> str | None:
    """mlx-lm's name for a kind of training: qlora is lora."""
    if asked is True:
        return "dora" if "dora" in word else "lora" if "lora" in word or "peft" in word else "full"
    text = asked.lower() if isinstance(asked, str) else ""
    return next((kind for kind in ("dora", "lora", "full") if kind in text), None)


def _fine_tune_type(word, asked, draft, values, now) -> dict:
    kind = fine_tune_type(asked, word)
    return {"fine_tune_type": kind} if kind else {}


def _grad_checkpoint(word, asked, draft, values, now) -> dict:
    is_on = asked if isinstance(asked, bool) else obvious(asked, bool)
    return {"grad_checkpoint": bool(asked) if is_on is None else is_on}


def schedule_named(asked, values: dict, warmup: int = 0) -> dict | None:
    """A schedule as long as the run, of the kind that a text names: cosine, linear or constant."""
    name = next((made for part, made in SCHEDULES.items() if isinstance(asked, str) and part in asked.lower()), None)
    rate, left = values["learning_rate"], max(1, updates(values) - warmup)
    arguments = {
        "cosine_decay": [rate, left],
        "linear_schedule": [rate, 0.0, left],
        "constant": [rate, rate, left],
    }
    kind = "constant" if asked == "constant" else name
    if kind is None:
        return None
    made = {"name": name or "linear_schedule", "arguments": arguments[kind]}
    return made | ({"warmup": warmup} if warmup else {})


def _lr_schedule(word, asked, draft, values, now) -> dict:
    is_rate = any(part in word for part in ("min_lr", "lr_end", "kwargs", "args", "ratio"))
    made = None if is_rate else schedule_named(word if asked is True else asked, values)
    return {"lr_schedule": made} if made and asked != "constant" else {}


def _warmup(word, asked, draft, values, now) -> dict:
    number = asked if fits(asked, float) else obvious(asked, float)
    if number is None or number <= 0 or "epoch" in word:
        return {}
    steps = round(number * updates(values)) if number < 1 else int(number)
    schedule = values["lr_schedule"]
    if not 0 < steps < updates(values):
        return {}
    if isinstance(schedule, dict):
        left, whole = updates(values) - steps, updates(values)
        arguments = [left if type(one) is int and one == whole else one for one in schedule.get("arguments") or []]
        return {"lr_schedule": schedule | {"warmup": steps, "arguments": arguments}}
    named = schedule_named(draft["config"].get("lr_schedule"), values, steps)
    return {"lr_schedule": named or schedule_named("constant", values, steps)}


_MADE = {
    "lora_parameters.scale": _scale,
    "lora_parameters.keys": _modules,
    "iters": _iters,
    "batch_size": _batch_size,
    "mask_prompt": _mask_prompt,
    "optimizer": _optimizer,
    "optimizer_config": _optimizer_config,
    "fine_tune_type": _fine_tune_type,
    "grad_checkpoint": _grad_checkpoint,
    "lr_schedule": _lr_schedule,
    "lr_schedule.warmup": _warmup,
}
