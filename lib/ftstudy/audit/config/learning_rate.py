"""The learning rate over the run: `learning_rate`, or the schedule that stands in its place."""

import inspect

import mlx.core as mx
import numpy
from mlx.optimizers import schedulers
from mlx_lm.tuner.utils import build_schedule

from .trainer_keys import installed, optimizer_options
from .values import fits, say, shown_value, sound

CHECKS = {
    "config.learning_rate": (
        "warning",
        "The learning rate, or the highest of the schedule, is one at which nothing is learned, or all is lost.",
    ),
    "config.lr_schedule": ("warning", "The schedule is not what the other keys suggest: rate, warmup or decay."),
    "config.lr_schedule_invalid": ("error", "The trainer cannot make a learning rate of `lr_schedule`."),
}
# Beyond these, recipes are typing errors. Adam's steps are about as long as the rate itself,
# whatever the gradient; Muon's are of that kind, and SGD's as long as the gradient is.
USUAL = {"sgd": (1e-7, 1.0), "muon": (1e-7, 0.1)}
ADAM = (1e-7, 1e-2)
TAIL = 0.1  # of the updates may have no learning rate left


def check(inputs) -> list[dict]:
    values = sound(inputs.config)
    schedule = inputs.config.get("lr_schedule")
    if _own_steps(inputs, values):
        return [_not_looked_at(inputs, key) for key in ("learning_rate", "lr_schedule") if inputs.given.get(key)]
    if not schedule:
        return _size(inputs, values["learning_rate"], values["optimizer"])
    updates = values["iters"] // values["grad_accumulation_steps"]
    # Of values that it cannot use, nobody knows how long the run is meant to be.
    as_given = all(values[key] == inputs.config[key] for key in ("iters", "grad_accumulation_steps"))
    return _schedule(inputs, values, schedule, updates) if updates and as_given else []


def _own_steps(inputs, values) -> bool:
    """Whether the optimizer chooses its steps itself, as Adafactor does unless it is told not to."""
    blocks, name = inputs.config.get("optimizer_config"), values["optimizer"]
    options = blocks.get(name) if isinstance(blocks, dict) else None
    default = optimizer_options(name, installed()).get("relative_step")
    own = default.default if default else False
    return bool(options.get("relative_step", own) if isinstance(options, dict) else own)


def _not_looked_at(inputs, key: str) -> dict:
    optimizer = sound(inputs.config)["optimizer"]
    return say(
        inputs,
        "config.dead_key",
        "warning",
        f"`{key}` is not looked at: {optimizer} chooses its steps itself",
        [f"{key}: {shown_value(inputs.given[key])}", f"optimizer: {optimizer}"],
        f"mlx's {optimizer} has relative_step: true by default, and then takes no learning rate.",
        f"Write `optimizer_config: {{{optimizer}: {{relative_step: false}}}}`, or take {key} out.",
    )


def _size(inputs, rate: float, optimizer: str, scheduled: bool = False) -> list[dict]:
    low, high = USUAL.get(optimizer, ADAM)
    if low <= rate <= high:
        return []
    name = "The highest rate of `lr_schedule`" if scheduled else "`learning_rate`"
    return [
        say(
            inputs,
            "config.learning_rate",
            "warning",
            f"{name} is {rate:g}, "
            + (f"above any with which {optimizer} is used" if rate > high else "at which nothing is learned"),
            [f"{'highest rate' if scheduled else 'learning_rate'}: {rate:g}", f"optimizer: {optimizer}"],
            f"With {optimizer}, a step of this size throws the weights out of all order."
            if rate > high
            else "After thousands of updates the weights are still those from which training began, but for rounding.",
            f"Set a rate between {low:g} and {high:g}; 1e-5 to 1e-3 is usual for LoRA with Adam.",
        )
    ]


# --- a schedule -----------------------------------------------------------------------------


def _schedule(inputs, values, schedule, updates: int) -> list[dict]:
    shown = f"lr_schedule: {shown_value(schedule)}"
    try:
        lengths = _lengths(schedule)
        rates = _curve(build_schedule(schedule), updates)
        alone = _curve(_known()[schedule["name"]](*schedule["arguments"]), updates)
    except Exception as error:  # what the schedule's own code raises at such arguments
        return [_unusable(inputs, shown, f"{type(error).__name__}: {' '.join(str(error).split())[:150]}")]
    lowest, peak = float(rates.min()), float(rates.max())
    if not numpy.isfinite(rates).all() or lowest < 0 or peak <= 0:
        return [_no_rate(inputs, shown, lowest, peak)]
    told = [
        *_ignored(inputs, schedule, peak),
        *_warmup(schedule, updates),
        *_decay(values, schedule, lengths, rates, alone, updates),
    ]
    found = [say(inputs, "config.lr_schedule", "warning", title, shown, cause, fix) for title, cause, fix in told]
    return found + _size(inputs, peak, values["optimizer"], scheduled=True)


def _known() -> dict:
    """The schedules that a config can name: those that take numbers alone."""
    return {
        name: made
        for name, made in inspect.getmembers(schedulers, inspect.isfunction)
        if "init" in inspect.signature(made).parameters
    }


def _lengths(schedule: dict) -> dict:
    """Those of its arguments that are a number of updates. Raises ValueError or TypeError where it is no schedule."""
    if not isinstance(schedule, dict):
        raise ValueError("it is no block of keys")
    missing = [key for key in ("name", "arguments") if key not in schedule]
    if missing:
        raise ValueError(f"it has no {' and no '.join(missing)}")
    known = _known()
    if not isinstance(schedule["name"], str) or schedule["name"] not in known:
        raise ValueError(f"there is no schedule {shown_value(schedule['name'])}")
    arguments = schedule["arguments"]
    if not isinstance(arguments, list):
        raise ValueError("arguments is no list")
    for value in (*arguments, schedule.get("warmup") or 0, schedule.get("warmup_init") or 0):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError(f"{shown_value(value)} is no number")
    bound = inspect.signature(known[schedule["name"]]).bind(*arguments).arguments
    return {name: value for name, value in bound.items() if "step" in name}


def _curve(made, updates: int) -> numpy.ndarray:
    """The learning rate over the run, by mlx's own schedule, at up to 1,000 updates."""
    at = numpy.linspace(0, updates - 1, min(updates, 1000)).astype(numpy.int64)
    return numpy.array(made(mx.array(at)), dtype=numpy.float64) * numpy.ones(len(at))


def _unusable(inputs, shown: str, reason: str) -> dict:
    return say(
        inputs,
        "config.lr_schedule_invalid",
        "error",
        f"mlx-lm cannot use `lr_schedule`: {reason}",
        shown,
        "mlx-lm builds the schedule after it has loaded the model and the data, and aborts.",
        f"Give `name` (one of {', '.join(sorted(_known()))}), `arguments`, a list of numbers, and, if wanted, "
        "`warmup`, a number of optimizer updates.",
    )


def _no_rate(inputs, shown: str, lowest: float, peak: float) -> dict:
    return say(
        inputs,
        "config.lr_schedule_invalid",
        "error",
        f"With `lr_schedule` the learning rate would go from {lowest:g} to {peak:g}",
        shown,
        "mlx-lm trains with it all the same: at 0 nothing is learned, below 0 the loss is made larger, and a rate "
        "that is no number makes an adapter that is none.",
        "Let the schedule begin at a rate above 0 and end at 0 or more.",
    )


def _ignored(inputs, schedule, peak: float):
    rate, first = inputs.given.get("learning_rate"), schedule["arguments"][0]
    if fits(rate, float) and not any(numpy.isclose(rate, value, rtol=1e-3) for value in (first, peak)):
        yield (
            f"`learning_rate: {rate:g}` is ignored, for `lr_schedule` begins at {first:g}",
            "Where there is a schedule, mlx-lm does not look at learning_rate.",
            f"Take learning_rate out, or write {rate:g} as the schedule's first argument.",
        )


def _warmup(schedule, updates: int):
    warmup, begins = schedule.get("warmup") or 0, schedule.get("warmup_init")
    first = schedule["arguments"][0]
    if warmup >= updates:
        yield (
            f"`lr_schedule` has warmup {warmup:,}, and there are only {updates:,} optimizer updates: "
            f"the rate {first:g} is never reached",
            "The schedule itself begins after the warm-up, so this one never does.",
            f"Set warmup to a part of the updates, such as {max(1, updates // 10):,}."
            if updates > 1
            else "Leave it out.",
        )
    if begins is not None and not warmup:
        yield (
            f"`warmup_init: {begins:g}` of `lr_schedule` is ignored, for it has no `warmup`",
            "mlx-lm reads warmup_init only where warmup says how many updates it takes.",
            "Add warmup, a number of optimizer updates, or take warmup_init out.",
        )
    elif warmup and (begins or 0) > first:
        yield (
            f"The warm-up of `lr_schedule` comes down: from warmup_init {begins:g} to {first:g}",
            "A warm-up goes from warmup_init to the schedule's first rate; it is there to spare the first updates a high one.",
            f"Set warmup_init below {first:g}, or leave it out: then it is 0.",
        )


def _decay(values, schedule, lengths: dict, rates, alone, updates: int):
    iters, accumulated = values["iters"], values["grad_accumulation_steps"]
    per_update = f"{iters:,} iterations / {accumulated} = {updates:,} updates"
    for name, steps in lengths.items():
        if steps > -(-iters // accumulated):
            yield (
                f"`lr_schedule` has {name} {steps:,}, but there are only {updates:,} optimizer updates",
                f"A schedule counts optimizer updates, not iterations: {per_update}.",
                f"Set {name} to at most {updates:,}.",
            )
    if "decay" in schedule["name"] and alone[-1] > alone[0] * (1 + 1e-6):
        yield (
            f"The decay of `lr_schedule` grows: from {alone[0]:g} to {alone[-1]:g} at the end of the run",
            f"{schedule['name']}({', '.join(map(shown_value, schedule['arguments']))}) makes the rate larger, update by update.",
            "Give a factor below 1, or an end below the beginning.",
        )
    alive = numpy.flatnonzero(rates > rates.max() * 1e-6)
    ends = int((alive[-1] + 1) * updates / len(rates))
    if ends < updates * (1 - TAIL):
        yield (
            f"`lr_schedule` has reached 0 after {ends:,} of {updates:,} updates; the rest of the run learns nothing",
            f"A schedule counts optimizer updates: {per_update}.",
            "Let the decay last as long as the run, or give it an end above 0.",
        )
