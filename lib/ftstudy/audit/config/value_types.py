"""Values that mlx-lm cannot use: another type than it needs, out of range, an unknown name."""

import math
import re

import yaml
from mlx_lm.tuner import callbacks

from .trainer_keys import installed, optimizer_options
from .values import BELOW_ONE, LARGEST, MULTIPLES, RANGES, fits, outside, say, shown_key, shown_value, sound

CHECKS = {
    "config.type": (
        "error or warning",
        "A value has a type or a size that the trainer cannot use, such as a number in quotes, or that nobody means.",
    ),
    "config.fine_tune_type": ("error", "`fine_tune_type` is none that the trainer knows."),
    "config.optimizer": ("error", "`optimizer` is none that the trainer knows."),
}
NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", dict: "a block of keys"}
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")
ABORTS = "mlx-lm takes a config's values as they are, so it aborts, in part only after the model is loaded."


def check(inputs) -> list[dict]:
    """Findings on the values that the config file holds."""
    keys, given = installed(), inputs.given
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
            found.append(_not_text(inputs, key, value))
        elif kind and not fits(value, kind):
            found.append(_wrong_type(inputs, key, value, kind))
        elif kind and outside(key, value) and not (key == "learning_rate" and scheduled):
            found.append(_out_of_range(inputs, key, value))
        elif not _writable(value):
            found.append(_not_writable(inputs, key, value))
    return found + _choices(inputs) + _reports(inputs) + _optimizer_options(inputs)


def _say(inputs, check, severity, key, value, title, cause, fix) -> dict:
    return say(inputs, check, severity, title, f"{shown_key(key)}: {shown_value(value)}", cause, fix)


# --- types ----------------------------------------------------------------------------------


def _wrong_type(inputs, key: str, value, kind: type) -> dict:
    severity, cause, fix = "error", ABORTS, None
    if kind is bool:
        word = str(value).strip().lower() if isinstance(value, str | int) else "?"
        means = True if word in TRUE else False if word in FALSE else None
        # mlx-lm asks `if args.mask_prompt`: text counts as true, whatever it says.
        severity = "warning" if means is not None and means == bool(value) else "error"
        cause = (
            f"mlx-lm only asks whether there is a value, and {shown_value(value)} counts as {shown_value(bool(value))}."
        )
        fix = means is not None and _write(key, means, value)
    elif kind in (int, float):
        fix = _number(key, value, kind)
        if isinstance(value, float) and kind is float:
            cause = "mlx-lm trains with it all the same and ends without an error, but the adapter that it saves is not a number."
        elif isinstance(value, int) and not isinstance(value, bool):
            cause = "mlx-lm takes a config's values as they are: such a number aborts the run, or keeps it from ending."
    return _say(
        inputs,
        "config.type",
        severity,
        key,
        value,
        f"`{key}: {shown_value(value)}` is {_called(value, kind)}, where mlx-lm needs {NAMES.get(kind, kind.__name__)}",
        cause,
        fix or f"Write {NAMES.get(kind, kind.__name__)}, or leave the key out for mlx-lm's default.",
    )


def _called(value, kind: type) -> str:
    if isinstance(value, int | float) and not -LARGEST <= value <= LARGEST:
        return "no number of a usable size"
    if kind is int and isinstance(value, float):
        return "a whole number written as a fraction" if value.is_integer() else "a fraction"
    names = {list: "a list", float: "a fraction", type(None): "empty"}
    return names.get(type(value)) or NAMES.get(type(value), f"a {type(value).__name__}")


def _write(key: str, means, value) -> str:
    return f"Write `{key}: {shown_value(means)}`" + (", without quotes." if _quoted(value) else ".")


def _quoted(value) -> bool:
    """Whether a text can only have stood in quotes: without them it would have been read as something else."""
    from mlx_lm.lora import yaml_loader

    return isinstance(value, str) and not yaml_loader("").resolve(yaml.ScalarNode, value, (True, False)).endswith(
        ":str"
    )


def _number(key: str, value, kind: type) -> str | None:
    """What to write for a value that is no number of that kind; None where nobody can say."""
    text = value.strip() if isinstance(value, str) else None
    number = _read(value if text is None else text, kind)
    if number is not None:
        return _write(key, number, value)
    if text and "," in text:
        grouped = re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?", text)
        number = _read(text.replace(",", ""), kind) if grouped else None
        fraction = _read(text.replace(",", "."), kind) if kind is float and text.count(",") == 1 else None
        if number is not None and fraction is not None:
            return f"Write `{key}: {number}`, or `{key}: {fraction}` if the comma is a decimal comma."
        if fraction is not None:
            return f"Write `{key}: {fraction}`, if the comma is meant as a decimal comma."
        if number is not None:
            return f"Write `{key}: {number}`."
    if text is None and isinstance(value, int | float) and not -LARGEST <= value <= LARGEST:
        return f"Write {NAMES[kind]} of a usable size, or leave the key out for mlx-lm's default."
    return None


def _read(value, kind: type) -> int | float | None:
    """A text or another number as a number of this kind that fits, if it is one."""
    if isinstance(value, bool) or not isinstance(value, str | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not fits(number, float) or kind is int and not number.is_integer():
        return None
    return kind(number) if fits(kind(number), kind) else None


# --- sizes ----------------------------------------------------------------------------------


def _out_of_range(inputs, key: str, value) -> dict:
    low, high, then, below_zero = RANGES[key]
    bounds = f"{low} or more" if isinstance(low, int) else "above 0"
    bounds += "" if math.isinf(high) else f" and {'below 1' if high == BELOW_ONE else f'at most {high}'}"
    # `iteration % -1` is 0 at every iteration: slow, but it runs.
    runs = value < 0 and below_zero == MULTIPLES
    return _say(
        inputs,
        "config.type",
        "warning" if runs else "error",
        key,
        value,
        f"`{key}: {shown_value(value)}` must be {bounds}",
        f"With this value, {below_zero if value < 0 and below_zero else then}.",
        f"Set `{key}` to a value that is {bounds}.",
    )


# --- keys and values that JSON does not know ----------------------------------------------------


def _not_text(inputs, key, value) -> dict:
    return _say(
        inputs,
        "config.type",
        "error",
        shown_value(key),
        value,
        f"The key {shown_key(key)} is not text",
        "mlx-lm makes each key an attribute, which only text can be, so it aborts. YAML reads yes, no, on and off as true or false.",
        "Put the key into quotes, or take the line out.",
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


def _not_writable(inputs, key: str, value) -> dict:
    return _say(
        inputs,
        "config.type",
        "error",
        key,
        value,
        f"`{shown_key(key)}` holds a value that JSON does not know",
        "mlx-lm writes all keys to adapter_config.json before it trains, and aborts at a date, a set or bytes.",
        "Put the value into quotes, so that it is text.",
    )


# --- names ----------------------------------------------------------------------------------


def _choices(inputs) -> list[dict]:
    keys, found = installed(), []
    for key, choices in keys.choices.items():
        value = inputs.given.get(key)
        # mlx-lm lowers the optimizer's name, and nothing else.
        known = isinstance(value, str) and (value.lower() if key == "optimizer" else value) in choices
        if isinstance(value, str) and not known:
            found.append(
                _say(
                    inputs,
                    f"config.{key}",
                    "error",
                    key,
                    value,
                    f"`{key}: {shown_value(value)}` is none that mlx-lm knows",
                    "mlx-lm aborts after it has loaded the model and the data.",
                    f"Write one of {', '.join(choices)}.",
                )
            )
    return found


def _reports(inputs) -> list[dict]:
    value = inputs.given.get("report_to")
    found = []
    for name in value.lower().split(",") if isinstance(value, str) else ():
        name = name.strip()
        known = name in callbacks.SUPPORT_CALLBACK
        if name and not (known and getattr(callbacks, name, None)):
            found.append(
                _say(
                    inputs,
                    "config.type",
                    "error",
                    "report_to",
                    value,
                    f"`report_to` names {name}, which " + ("is not installed" if known else "mlx-lm does not know"),
                    "mlx-lm aborts before it loads the model.",
                    f"Install {name}."
                    if known
                    else f"Write one of {', '.join(callbacks.SUPPORT_CALLBACK)}, or leave `report_to` out.",
                )
            )
    return found


def _optimizer_options(inputs) -> list[dict]:
    """Types inside `optimizer_config.<optimizer>`; unknown names there are the keys' checks."""
    keys, blocks = installed(), inputs.given.get("optimizer_config")
    name = sound(inputs.config)["optimizer"]
    if not isinstance(blocks, dict) or name not in blocks:
        return []
    options = blocks[name]
    if not isinstance(options, dict):
        return [_wrong_type(inputs, f"optimizer_config.{name}", options, dict)]
    return [
        _wrong_type(inputs, f"optimizer_config.{name}.{option}", options[option], kind)
        for option, parameter in optimizer_options(name, keys).items()
        if (kind := type(parameter.default)) in (int, float, bool)
        and option in options
        and not fits(options[option], kind)
    ]
