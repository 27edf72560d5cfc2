"""The value that somebody meant with another trainer's name for a setting, as mlx-lm takes it."""

import math
from typing import NamedTuple

from ..audit import architecture
from ..audit.config import lora
from ..audit.config.mlx_lm_keys import installed, optimizer_options
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


class Asked(NamedTuple):
    """A setting as somebody gave it, under another trainer's name."""

    word: str  # that name, in lower case
    value: object
    draft: dict
    values: dict  # mlx-lm's settings so far, `sound` ones
    now: RunInputs  # what an audit of the draft reads


def value(live: str, alias: str, asked, draft: dict, now: RunInputs) -> dict:
    """Settings of mlx-lm's (dotted keys) that say what `alias: asked` says; {} if none does.

    `live`: the key that the alias stands for; `now`: what an audit of the draft reads.
    """
    given = Asked(alias.lower().replace("-", "_"), asked, draft, sound(now.config), now)
    if live in _SEVERAL:
        return _SEVERAL[live](given)
    if live in _OWN:
        one = _OWN[live](given)
    else:
        one = None if live in _ELSEWHERE or "per_epoch" in given.word else _of_kind(live, asked)
    return {} if one is None else {live: one}


# Not for a copy to say.
_ELSEWHERE = ("adapter_path", "resume_adapter_file", "model", "data", "hf_dataset", "report_to")


def _of_kind(live: str, asked):
    """A value of the setting's type and range; None if it can't be read as one."""
    kind = installed().types.get(live)
    if kind is None:
        return asked if live.startswith("ftstudy.") else None
    one = asked if fits(asked, kind) else obvious(asked, kind)
    return None if one is None or outside(live, one) else one


def _number(asked) -> float | None:
    return asked if fits(asked, float) else obvious(asked, float)


def _is_on(asked) -> bool:
    is_on = asked if isinstance(asked, bool) else obvious(asked, bool)
    return bool(asked) if is_on is None else is_on


def _scale(asked: Asked) -> float | None:
    number = obvious(asked.value, float) if isinstance(asked.value, str) else asked.value
    if not fits(number, float):
        return None
    rank = asked.values["lora_parameters"].get("rank") or 8
    blocks = [asked.draft["config"], asked.draft["config"].get("lora_parameters")]
    is_root = any(str(one.get(RANK_STABILIZED)).lower() == "true" for one in blocks if isinstance(one, dict))
    by = math.sqrt(rank) if is_root else rank  # rank-stabilized LoRA: Kalajdzievski 2023, arXiv 2312.03732
    return float(number / by if "alpha" in asked.word else number)


def _modules(asked: Asked) -> list[str] | None:
    names = asked.value.split(",") if isinstance(asked.value, str) else asked.value
    model = architecture.skeleton(asked.now.model)
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names) or model is None:
        return None
    here = lora.linear_layers(model, asked.values["num_layers"])
    found = [one for name in names for one in ([name] if name in here else lora.modules_meant(name.strip(), here))]
    return list(dict.fromkeys(found)) or None


def _iters(asked: Asked) -> int | None:
    number, rows = _number(asked.value), rows_in(asked.draft)
    if number is None or number <= 0 or "per_epoch" in asked.word:
        return None
    if "epoch" in asked.word:
        return max(1, -(-round(number * rows) // asked.values["batch_size"])) if rows else None
    return int(number) if number >= 1 else None


def _batch_size(asked: Asked) -> int | None:
    return (
        None if any(part in asked.word for part in ("eval", "val_", "global")) else _of_kind("batch_size", asked.value)
    )


def _mask_prompt(asked: Asked) -> bool | None:
    if asked.word not in ("train_on_inputs", "train_on_input", "train_on_prompt"):
        return _is_on(asked.value)
    is_on = asked.value if isinstance(asked.value, bool) else obvious(asked.value, bool)
    return None if is_on is None else not is_on


def optimizer_named(asked) -> str | None:
    """mlx's optimizer that a name of another trainer's means: paged_adamw_8bit is adamw."""
    known = sorted(installed().optimizers, key=len, reverse=True)
    return next((name for name in known if isinstance(asked, str) and name in asked.lower()), None)


def _optimizer_config(asked: Asked) -> dict:
    option, given = asked.word.removeprefix("adam_"), asked.now.given
    if option not in ("weight_decay", "momentum", "betas") or asked.value is None:
        return {}
    chosen = asked.values["optimizer"]
    if option not in optimizer_options(chosen, installed()):
        if given.get("optimizer") or option != "weight_decay":
            return {}
        chosen = "adamw"
    number = obvious(asked.value, float) if isinstance(asked.value, str) else asked.value
    if number is None:
        return {}
    blocks = given.get("optimizer_config")
    blocks = blocks if isinstance(blocks, dict) else {}
    options = {**(blocks.get(chosen) or {}), option: number}
    return {"optimizer": chosen, "optimizer_config": blocks | {chosen: options}}


def fine_tune_type(asked, word: str = "") -> str | None:
    """mlx-lm's name for a kind of training: qlora is lora."""
    if asked is True:
        return "dora" if "dora" in word else "lora" if "lora" in word or "peft" in word else "full"
    text = asked.lower() if isinstance(asked, str) else ""
    return next((kind for kind in ("dora", "lora", "full") if kind in text), None)


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


def _lr_schedule(asked: Asked) -> dict | None:
    is_rate = any(part in asked.word for part in ("min_lr", "lr_end", "kwargs", "args", "ratio"))
    if is_rate or asked.value == "constant":
        return None
    return schedule_named(asked.word if asked.value is True else asked.value, asked.values)


def _warmup(asked: Asked) -> dict:
    number, values, whole = _number(asked.value), asked.values, updates(asked.values)
    if number is None or number <= 0 or "epoch" in asked.word:
        return {}
    steps = round(number * whole) if number < 1 else int(number)
    if not 0 < steps < whole:
        return {}
    schedule = values["lr_schedule"]
    if isinstance(schedule, dict):
        left = whole - steps
        arguments = [left if type(one) is int and one == whole else one for one in schedule.get("arguments") or []]
        return {"lr_schedule": schedule | {"warmup": steps, "arguments": arguments}}
    named = schedule_named(asked.draft["config"].get("lr_schedule"), values, steps)
    return {"lr_schedule": named or schedule_named("constant", values, steps)}


# The value of the key itself, None if there is none …
_OWN = {
    "lora_parameters.scale": _scale,
    "lora_parameters.keys": _modules,
    "iters": _iters,
    "batch_size": _batch_size,
    "mask_prompt": _mask_prompt,
    "optimizer": lambda asked: optimizer_named(asked.value),
    "fine_tune_type": lambda asked: fine_tune_type(asked.value, asked.word),
    "grad_checkpoint": lambda asked: _is_on(asked.value),
    "lr_schedule": _lr_schedule,
}
# … and what takes other settings to say.
_SEVERAL = {"optimizer_config": _optimizer_config, "lr_schedule.warmup": _warmup}
