"""Values that mlx-lm cannot use: another type than it needs, out of range, an unknown name."""

import math
from reprlib import Repr

from mlx_lm.tuner import callbacks

from ..evidence import listed
from ..findings import finding
from .trainer_keys import installed, optimizer_options

CHECKS = {
    "config.type": (
        "error or warning",
        "A value has a type or a size that the trainer cannot use, such as a number in quotes.",
    ),
    "config.fine_tune_type": ("error", "`fine_tune_type` is none that the trainer knows."),
    "config.optimizer": ("error", "`optimizer` is none that the trainer knows."),
}
NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", dict: "a block of keys"}
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")
LARGEST = 2**63 - 1
ABOVE_ZERO, BELOW_ONE = math.nextafter(0, 1), math.nextafter(1, 0)
# What a value must lie between, and what happens outside.
RANGES = {
    "iters": (1, math.inf, "no iteration runs, and an untrained adapter is saved"),
    "batch_size": (1, math.inf, "no batch can be made"),
    "grad_accumulation_steps": (1, math.inf, "mlx-lm aborts"),
    "learning_rate": (ABOVE_ZERO, math.inf, "nothing is learned, or the loss is made larger"),
    "steps_per_report": (1, math.inf, "mlx-lm divides the iteration by it"),
    "steps_per_eval": (1, math.inf, "mlx-lm divides the iteration by it"),
    "save_every": (1, math.inf, "mlx-lm divides the iteration by it"),
    "seed": (0, 2**32 - 1, "numpy refuses the seed"),
    "lora_parameters.rank": (1, math.inf, "the adapter has no parameters"),
    "lora_parameters.dropout": (0, BELOW_ONE, "mlx refuses the dropout"),
}
_repr = Repr(maxstring=60, maxother=60, maxlist=6, maxdict=4, maxlevel=3)


def shown_value(value) -> str:
    """A value as YAML would show it, cut short; a config may hold anything."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return _repr.repr(value)


def shown_key(key) -> str:
    return key if isinstance(key, str) and key.isprintable() and len(key) <= 60 else _repr.repr(key)


def fits(value, kind: type) -> bool:
    """Whether mlx-lm can use the value where it needs this type."""
    if kind in (int, float):
        number = isinstance(value, int | kind) and not isinstance(value, bool)
        return number and -LARGEST <= value <= LARGEST
    return isinstance(value, kind)


def sound(config: dict) -> dict:
    """The config with mlx-lm's own default in the place of every value of a wrong type or size,
    so that other checks need not look again. Both are findings of `check`."""
    keys = installed()
    values = dict(config)
    for key in keys.types.keys() & values.keys():
        if values[key] is not None and (not fits(values[key], keys.types[key]) or _outside(key, values[key])):
            values[key] = keys.defaults.get(key)
    if isinstance(values.get("lora_parameters"), dict):
        values["lora_parameters"] = {
            name: value
            if (kind := keys.types.get(f"lora_parameters.{name}")) is None
            or fits(value, kind)
            and not _outside(f"lora_parameters.{name}", value)
            else keys.defaults["lora_parameters"][name]
            for name, value in values["lora_parameters"].items()
        }
    for key in keys.choices.keys() & values.keys():
        values[key] = str(values[key]).lower() if key == "optimizer" else values[key]
        if values[key] not in keys.choices[key]:
            values[key] = keys.defaults[key]
    return values


def check(subject) -> list[dict]:
    """Findings on the values that the config file holds."""
    keys, given = installed(), subject.given
    lora = given.get("lora_parameters")
    uses_lora = given.get("fine_tune_type") != "full"
    scheduled = bool(given.get("lr_schedule"))  # then learning_rate is not looked at
    flat = given | (
        {f"lora_parameters.{name}": value for name, value in lora.items()}
        if isinstance(lora, dict) and uses_lora
        else {}
    )
    found = []
    for key, value in flat.items():
        if value is None and "." not in str(key):
            continue  # an empty value means mlx-lm's default
        kind = keys.types.get(key)
        if not isinstance(key, str):
            found.append(_not_text(key, value, subject.where))
        elif kind and not fits(value, kind):
            found.append(_wrong_type(key, value, kind, subject.where))
        elif kind and _outside(key, value) and not (key == "learning_rate" and scheduled):
            found.append(_out_of_range(key, value, subject.where))
        elif not _writable(value):
            found.append(_not_writable(key, value, subject.where))
    return found + _choices(subject) + _reports(subject) + _optimizer_options(subject)


def _say(check, severity, key, value, title, cause, fix, where):
    return finding(
        check,
        severity,
        title,
        evidence=listed([f"{shown_key(key)}: {shown_value(value)}"]),
        cause=cause,
        fix=fix,
        where=where,
    )


def _outside(key: str, value) -> bool:
    low, high, _ = RANGES.get(key, (-math.inf, math.inf, ""))
    return isinstance(value, int | float) and not low <= value <= high


def _wrong_type(key: str, value, kind: type, where: str) -> dict:
    cause = "mlx-lm takes a config's values as they are, so it aborts, in part only after the model is loaded."
    severity, means = "error", None
    if kind is bool:
        word = str(value).strip().lower() if isinstance(value, str | int) else "?"
        means = True if word in TRUE else False if word in FALSE else None
        # mlx-lm asks `if args.mask_prompt`: text counts as true, whatever it says.
        severity = "warning" if means is not None and means == bool(value) else "error"
        cause = (
            f"mlx-lm only asks whether there is a value, and {shown_value(value)} counts as {shown_value(bool(value))}."
        )
    elif isinstance(value, str) and kind in (int, float):
        means = _number(value, kind)
    elif kind is int and isinstance(value, float) and value.is_integer():
        means = int(value)
    return _say(
        "config.type",
        severity,
        key,
        value,
        f"`{key}: {shown_value(value)}` is {_called(value)}, where mlx-lm needs {NAMES.get(kind, kind.__name__)}",
        cause,
        f"Write `{key}: {shown_value(means)}`, without quotes."
        if means is not None
        else f"Write {NAMES.get(kind, kind.__name__)}, or leave the key out for mlx-lm's default.",
        where,
    )


def _called(value) -> str:
    if isinstance(value, int | float) and not -LARGEST <= value <= LARGEST:
        return "no number of a usable size"
    kind = type(value)
    return {list: "a list", float: "a fraction", type(None): "empty"}.get(kind) or NAMES.get(kind, f"a {kind.__name__}")


def _number(text: str, kind: type) -> int | float | None:
    try:
        number = float(text.replace(",", ""))
    except ValueError:
        return None
    if kind is int:
        return int(number) if fits(number, float) and number.is_integer() else None
    return number if fits(number, float) else None


def _out_of_range(key: str, value, where: str) -> dict:
    low, high, then = RANGES[key]
    bounds = {ABOVE_ZERO: "above 0", 0: "0 or more", 1: "1 or more"}[low]
    bounds += "" if math.isinf(high) else f" and {'below 1' if high == BELOW_ONE else f'at most {high}'}"
    # Below zero, `iteration % -1` is 0 at every iteration: slow, but it runs.
    runs = low == 1 and value < 0 and then.startswith("mlx-lm divides")
    return _say(
        "config.type",
        "warning" if runs else "error",
        key,
        value,
        f"`{key}: {shown_value(value)}` must be {bounds}",
        f"With this value, {then}" + (", which then happens at every multiple of its size." if runs else "."),
        f"Set `{key}` to a value that is {bounds}.",
        where,
    )


def _not_text(key, value, where: str) -> dict:
    return _say(
        "config.type",
        "error",
        shown_value(key),
        value,
        f"The key {shown_value(key)} is not text",
        "mlx-lm makes each key an attribute, which only text can be, so it aborts. YAML reads yes, no, on and off as true or false.",
        "Put the key into quotes, or take the line out.",
        where,
    )


def _writable(value) -> bool:
    """Whether JSON can hold a value: mlx-lm writes the whole config to adapter_config.json."""
    stack, seen = [value], set()
    while stack:
        value = stack.pop()
        if isinstance(value, list | tuple | dict):
            if id(value) not in seen:  # an anchor may stand in many places
                seen.add(id(value))
                stack += value.values() if isinstance(value, dict) else value
                stack += [key for key in value if isinstance(key, tuple)] if isinstance(value, dict) else []
        elif not isinstance(value, str | int | float | bool | type(None)):
            return False
    return True


def _not_writable(key: str, value, where: str) -> dict:
    return _say(
        "config.type",
        "error",
        key,
        value,
        f"`{shown_key(key)}` holds a value that JSON does not know",
        "mlx-lm writes all keys to adapter_config.json before it trains, and aborts at a date, a set or bytes.",
        "Put the value into quotes, so that it is text.",
        where,
    )


def _choices(subject) -> list[dict]:
    keys, found = installed(), []
    for key, choices in keys.choices.items():
        value = subject.given.get(key)
        # mlx-lm lowers the optimizer's name, and nothing else.
        known = isinstance(value, str) and (value.lower() if key == "optimizer" else value) in choices
        if isinstance(value, str) and not known:
            found.append(
                _say(
                    f"config.{key}",
                    "error",
                    key,
                    value,
                    f"`{key}: {shown_value(value)}` is none that mlx-lm knows",
                    "mlx-lm aborts after it has loaded the model and the data.",
                    f"Write one of {', '.join(choices)}.",
                    subject.where,
                )
            )
    return found


def _reports(subject) -> list[dict]:
    value = subject.given.get("report_to")
    found = []
    for name in value.lower().split(",") if isinstance(value, str) else ():
        name = name.strip()
        known = name in callbacks.SUPPORT_CALLBACK
        if name and not (known and getattr(callbacks, name, None)):
            found.append(
                _say(
                    "config.type",
                    "error",
                    "report_to",
                    value,
                    f"`report_to` names {name}, which " + ("is not installed" if known else "mlx-lm does not know"),
                    "mlx-lm aborts before it loads the model.",
                    f"Install {name}."
                    if known
                    else f"Write one of {', '.join(callbacks.SUPPORT_CALLBACK)}, or leave `report_to` out.",
                    subject.where,
                )
            )
    return found


def _optimizer_options(subject) -> list[dict]:
    """Types inside `optimizer_config.<optimizer>`; unknown names there are the keys' checks."""
    keys, blocks = installed(), subject.given.get("optimizer_config")
    name = sound(subject.config)["optimizer"]
    if not isinstance(blocks, dict) or name not in blocks:
        return []
    options = blocks[name]
    if not isinstance(options, dict):
        return [_wrong_type(f"optimizer_config.{name}", options, dict, subject.where)]
    found = []
    for option, parameter in optimizer_options(name, keys).items():
        kind = type(parameter.default)
        if kind in (int, float, bool) and option in options and not fits(options[option], kind):
            found.append(_wrong_type(f"optimizer_config.{name}.{option}", options[option], kind, subject.where))
    return found
