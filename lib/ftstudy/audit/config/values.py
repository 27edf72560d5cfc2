"""Values that mlx-lm cannot use: wrong types, numbers out of range, unknown names. How values are shown."""

import math
from collections.abc import Iterator
from reprlib import Repr

import yaml

from ..findings import Check, Finding
from .mlx_lm_keys import installed

TYPE = Check(
    "config.type",
    ("error", "warning"),
    meaning="A value of the wrong type or size, such as a number in quotes.",
    cause="mlx-lm doesn't check a config's values, so it aborts on them, sometimes only after loading the model.",
    fix="Write {wanted}, or delete the key to use mlx-lm's default.",
    bad='batch_size: "4"\niters: 1,000\nlora_parameters: {rank: 8, scale: 2.0, dropout: 90}',
    good="batch_size: 4\niters: 1000\nlora_parameters: {rank: 8, scale: 2.0, dropout: 0.1}",
)
FINE_TUNE_TYPE = Check(
    "config.fine_tune_type",
    ("error",),
    meaning="Unknown `fine_tune_type`.",
    cause="mlx-lm aborts after loading the model and the data.",
    fix="Write one of {choices}.",
    bad="fine_tune_type: qlora",
    good="fine_tune_type: lora  # LoRA on a quantized model is QLoRA",
)
OPTIMIZER = Check(
    "config.optimizer",
    ("error",),
    meaning="Unknown `optimizer`.",
    cause="mlx-lm aborts after loading the model and the data.",
    fix="Write one of {choices}.",
    bad="optimizer: paged_adamw_8bit",
    good="optimizer: adamw",
)
CHECKS = (TYPE, FINE_TUNE_TYPE, OPTIMIZER)

LARGEST = 2**63 - 1
ABOVE_ZERO, BELOW_ONE = math.nextafter(0, 1), math.nextafter(1, 0)
DIVIDES = "mlx-lm aborts with a division by zero"
MULTIPLES = "it happens at every multiple of its size"
# Smallest and largest value, what happens outside, and what happens below 0 where that differs.
RANGES = {
    "iters": (1, math.inf, "no iteration runs, and an untrained adapter is saved", None),
    "batch_size": (1, math.inf, "mlx-lm aborts", "mlx-lm looks for a full batch forever"),
    "max_seq_length": (2, math.inf, "mlx-lm aborts: no row keeps a token and the next one to predict", None),
    "grad_accumulation_steps": (1, math.inf, "mlx-lm aborts", None),
    "learning_rate": (ABOVE_ZERO, math.inf, "nothing is learned", "training increases the loss"),
    "steps_per_report": (1, math.inf, DIVIDES, MULTIPLES),
    "steps_per_eval": (1, math.inf, DIVIDES, MULTIPLES),
    "save_every": (1, math.inf, DIVIDES, MULTIPLES),
    "seed": (0, 2**32 - 1, "numpy rejects the seed, and mlx-lm aborts", None),
    "lora_parameters.rank": (1, math.inf, "the adapter has no parameters, and nothing is learned", "mlx-lm aborts"),
    "lora_parameters.dropout": (0, BELOW_ONE, "mlx rejects the dropout, and mlx-lm aborts", None),
}
NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", dict: "a block of keys"}
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")
_repr = Repr(maxstring=60, maxother=60, maxlist=6, maxdict=4, maxlevel=3)


def shown_value(value) -> str:
    """A value as YAML writes it, shortened; any Python object will do."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = _repr.repr(value)
    return text if len(text) <= 160 else text[:159] + "…"


def shown_key(key) -> str:
    """A key as text, shortened and quoted if it isn't a plain name."""
    return key if isinstance(key, str) and key.isprintable() and len(key) <= 60 else _repr.repr(key)


def shown_line(key, value) -> str:
    return f"{shown_key(key)}: {shown_value(value)}"


def fits(value, kind: type) -> bool:
    """Whether mlx-lm can use the value where it needs this type."""
    if kind in (int, float):
        number = isinstance(value, int | kind) and not isinstance(value, bool)
        return number and -LARGEST <= value <= LARGEST
    return isinstance(value, kind)


def outside(key: str, value) -> bool:
    """Whether a number is out of the key's range."""
    low, high, *_ = RANGES.get(key, (-math.inf, math.inf))
    return isinstance(value, int | float) and not low <= value <= high


def sound(config: dict) -> dict:
    """The config with mlx-lm's default in place of every value of the wrong type or size.

    Other checks rely on it; this module reports the values.
    """
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


def usable(inputs, values: dict, *keys: str) -> bool:
    """Whether these values can be used as they are; otherwise the length of the run is unknown."""
    return all(values[key] == inputs.config[key] for key in keys)


def check(inputs) -> Iterator[Finding]:
    keys, given = installed(), inputs.given
    lora, values = given.get("lora_parameters"), dict(given)
    if isinstance(lora, dict) and given.get("fine_tune_type") != "full":
        values |= {f"lora_parameters.{name}": value for name, value in lora.items()}
    if given.get("lr_schedule") and fits(given.get("learning_rate"), float):
        del values["learning_rate"]  # mlx-lm doesn't read it then
    for key, value in values.items():
        kind = keys.types.get(key)
        if kind is None or value is None and "." not in key:  # an empty value means mlx-lm's default
            continue
        if not fits(value, kind):
            yield _wrong_type(key, value, kind)
        elif outside(key, value):
            yield _out_of_range(key, value)
    for key, check in (("fine_tune_type", FINE_TUNE_TYPE), ("optimizer", OPTIMIZER)):
        value, choices = given.get(key), keys.choices[key]
        # mlx-lm lowers the optimizer's name, but not the type's.
        if isinstance(value, str) and (value.lower() if check is OPTIMIZER else value) not in choices:
            yield check.found(
                "error",
                f"Unknown {shown_line(f'`{key}`', value)}",
                evidence=shown_line(key, value),
                choices=", ".join(choices),
            )


def _wrong_type(key: str, value, kind: type) -> Finding:
    severity, cause, meant = "error", None, obvious(value, kind)
    if kind is bool:
        # mlx-lm asks `if args.mask_prompt`: any text but "" counts as true.
        severity = "warning" if meant is not None and meant == bool(value) else "error"
        cause = f"mlx-lm only tests whether a value is set, so {shown_value(value)} means {shown_value(bool(value))}."
    elif kind is float and isinstance(value, float):
        cause = "mlx-lm trains with it and ends without an error, but the saved adapter is NaN."
    elif kind in (int, float) and isinstance(value, int) and not isinstance(value, bool):
        cause = "mlx-lm uses the number as it is, and aborts or never finishes."
    wanted = NAMES.get(kind, kind.__name__)
    quotes = ", without quotes." if _is_quoted(value) else "."
    return TYPE.found(
        severity,
        f"`{key}: {shown_value(value)}` is {_described(value, kind)}, but mlx-lm needs {wanted}",
        evidence=shown_line(key, value),
        cause=cause,
        fix=None if meant is None else f"Write `{key}: {shown_value(meant)}`{quotes}",
        wanted=wanted,
    )


def _described(value, kind: type) -> str:
    if isinstance(value, int | float) and not -LARGEST <= value <= LARGEST:
        return "not a usable number"
    if kind is int and isinstance(value, float):
        return "a whole number written as a fraction" if value.is_integer() else "a fraction"
    names = {list: "a list", float: "a fraction", type(None): "empty"}
    return names.get(type(value)) or NAMES.get(type(value), f"a {type(value).__name__}")


def obvious(value, kind: type) -> bool | int | float | None:
    """The value of this type that `value` obviously means, such as 90 for "90"; None if that is unclear."""
    if kind is bool:
        word = str(value).strip().lower() if isinstance(value, str | int) else None
        return True if word in TRUE else False if word in FALSE else None
    if kind not in (int, float) or not isinstance(value, str | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not fits(number, float) or kind is int and not number.is_integer():
        return None
    return kind(number) if fits(kind(number), kind) else None


def _is_quoted(value) -> bool:
    """Whether a text must have been in quotes: without them, YAML would have read something else."""
    from mlx_lm.lora import yaml_loader

    return isinstance(value, str) and not yaml_loader("").resolve(yaml.ScalarNode, value, (True, False)).endswith(
        ":str"
    )


def _out_of_range(key: str, value) -> Finding:
    low, high, then, below_zero = RANGES[key]
    bounds = f"{low} or more" if isinstance(low, int) else "above 0"
    bounds += "" if math.isinf(high) else f" and {'below 1' if high == BELOW_ONE else f'at most {high}'}"
    # `iteration % -1` is 0 at every iteration: slow, but it runs.
    runs = value < 0 and below_zero == MULTIPLES
    return TYPE.found(
        "warning" if runs else "error",
        f"`{key}: {shown_value(value)}` must be {bounds}",
        evidence=shown_line(key, value),
        cause=f"With this value, {below_zero if value < 0 and below_zero else then}.",
        fix=f"Set `{key}` to {bounds}.",
    )
