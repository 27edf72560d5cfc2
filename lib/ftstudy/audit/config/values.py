"""Values of a config: how they are shown, and which of them mlx-lm can use."""

import math
from reprlib import Repr

from ..evidence import listed
from ..findings import finding
from .trainer_keys import installed

LARGEST = 2**63 - 1
ABOVE_ZERO, BELOW_ONE = math.nextafter(0, 1), math.nextafter(1, 0)
DIVIDES = "mlx-lm aborts with a division by zero"
MULTIPLES = "it happens at every multiple of its size"
# What a value must lie between, what happens outside, and what happens below 0, where that is something else.
RANGES = {
    "iters": (1, math.inf, "no iteration runs, and an untrained adapter is saved", None),
    "batch_size": (1, math.inf, "mlx-lm aborts", "mlx-lm looks for a full batch for ever"),
    "max_seq_length": (2, math.inf, "mlx-lm aborts, for no row keeps a token and the next one to predict", None),
    "grad_accumulation_steps": (1, math.inf, "mlx-lm aborts", None),
    "learning_rate": (ABOVE_ZERO, math.inf, "nothing is learned", "the loss is made larger"),
    "steps_per_report": (1, math.inf, DIVIDES, MULTIPLES),
    "steps_per_eval": (1, math.inf, DIVIDES, MULTIPLES),
    "save_every": (1, math.inf, DIVIDES, MULTIPLES),
    "seed": (0, 2**32 - 1, "numpy refuses the seed, and mlx-lm aborts", None),
    "lora_parameters.rank": (1, math.inf, "the adapter has no parameters, and nothing is learned", "mlx-lm aborts"),
    "lora_parameters.dropout": (0, BELOW_ONE, "mlx refuses the dropout, and mlx-lm aborts", None),
}
_repr = Repr(maxstring=60, maxother=60, maxlist=6, maxdict=4, maxlevel=3)


def say(inputs, check, severity, title, evidence, cause, fix) -> dict:
    """A finding on the config file."""
    lines = [evidence] if isinstance(evidence, str) else evidence
    return finding(check, severity, title, evidence=listed(lines), cause=cause, fix=fix, where=inputs.where)


def shown_value(value) -> str:
    """A value as YAML would show it, cut short; a config may hold anything."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return _repr.repr(value)


def shown_key(key) -> str:
    return key if isinstance(key, str) and key.isprintable() and len(key) <= 60 else _repr.repr(key)


def enumerated(words) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def fits(value, kind: type) -> bool:
    """Whether mlx-lm can use the value where it needs this type."""
    if kind in (int, float):
        number = isinstance(value, int | kind) and not isinstance(value, bool)
        return number and -LARGEST <= value <= LARGEST
    return isinstance(value, kind)


def outside(key: str, value) -> bool:
    low, high, *_ = RANGES.get(key, (-math.inf, math.inf))
    return isinstance(value, int | float) and not low <= value <= high


def sound(config: dict) -> dict:
    """The config with mlx-lm's own default in the place of every value of a wrong type or size,
    so that other checks need not look again. Both are findings of `value_types`."""
    keys = installed()
    values = dict(config)
    for key in keys.types.keys() & values.keys():
        if values[key] is not None and (not fits(values[key], keys.types[key]) or outside(key, values[key])):
            values[key] = keys.defaults.get(key)
    if isinstance(values.get("lora_parameters"), dict):
        values["lora_parameters"] = {
            name: value
            if (kind := keys.types.get(f"lora_parameters.{name}")) is None
            or fits(value, kind)
            and not outside(f"lora_parameters.{name}", value)
            else keys.defaults["lora_parameters"][name]
            for name, value in values["lora_parameters"].items()
        }
    for key in keys.choices.keys() & values.keys():
        values[key] = str(values[key]).lower() if key == "optimizer" else values[key]
        if values[key] not in keys.choices[key]:
            values[key] = keys.defaults[key]
    return values
