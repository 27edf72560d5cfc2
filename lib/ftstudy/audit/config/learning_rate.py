"""The learning rate: its size with this optimizer, and whether the schedule fits the run."""

import inspect
from collections.abc import Iterator
from functools import partial

import mlx.core as mx
import numpy
from mlx.optimizers import schedulers
from mlx_lm.tuner.utils import build_schedule

from ...machine_failures import pass_on
from ...printable import cut
from ..findings import Check, Finding
from .ignored_keys import DEAD
from .mlx_lm_keys import installed, optimizer_options
from .values import fits, shown_line, shown_value, sound, usable

RATE = Check(
    "config.learning_rate",
    ("warning",),
    meaning="A learning rate (or a schedule's highest) at which nothing is learned or training diverges.",
    cause="At a rate this small, thousands of updates change the weights by no more than rounding.",
    fix="Set a rate between {low} and {high}; LoRA with Adam usually uses 1e-5 to 1e-3.",
    bad="learning_rate: 10",
    good="learning_rate: 1e-4",
)
SCHEDULE = Check(
    "config.lr_schedule",
    ("warning",),
    meaning="The schedule doesn't fit the other keys: it ignores learning_rate, or its warm-up or decay is too long "
    "or too short.",
    cause="A schedule counts optimizer updates, not iterations, and replaces learning_rate.",
    fix="Make the schedule as long as the run, which has iters / grad_accumulation_steps updates.",
    bad="iters: 600\nlr_schedule: {name: cosine_decay, arguments: [1e-4, 100]}",
    good="iters: 600\nlr_schedule: {name: cosine_decay, arguments: [1e-4, 600], warmup: 20}",
)
INVALID = Check(
    "config.lr_schedule_invalid",
    ("error",),
    meaning="mlx-lm cannot use `lr_schedule`, or it yields no positive learning rate.",
    cause="mlx-lm builds the schedule after loading the model and the data, and aborts.",
    fix="Give `name` (one of {names}), `arguments`, a list of numbers, and optionally `warmup`, a number of optimizer "
    "updates.",
    bad="lr_schedule: cosine",
    good="lr_schedule: {name: cosine_decay, arguments: [1e-4, 600], warmup: 20}",
)
CHECKS = (RATE, SCHEDULE, INVALID)
# Rates outside are mistakes. An Adam step is about as long as the rate, whatever the gradient, and Muon's is
# similar; an SGD step is proportional to the gradient.
USUAL = {"sgd": (1e-7, 1.0), "muon": (1e-7, 0.1)}
ADAM = (1e-7, 1e-2)
LORA, FULL = (1e-5, 1e-3), (1e-7, 1e-4)  # what recipes use with Adam, for LoRA layers and for all weights
TAIL = 0.1  # of the updates may have a learning rate of 0


def usual(optimizer: str, fine_tune_type: str) -> tuple[float, float]:
    """The lowest and the highest rate of recipes with this optimizer."""
    return USUAL.get(optimizer) or (FULL if fine_tune_type == "full" else LORA)


def argument_names(schedule: dict) -> list[str]:
    """What the arguments of a schedule are called, of one that mlx has."""
    return list(inspect.signature(_known()[schedule["name"]]).parameters)


def check(inputs) -> Iterator[Finding]:
    values = sound(inputs.config)
    schedule, updates = inputs.config.get("lr_schedule"), values["iters"] // values["grad_accumulation_steps"]
    if chooses_own_steps(inputs, values["optimizer"]):
        yield from _unread(inputs, values["optimizer"])
    elif not schedule:
        yield from _size(values["learning_rate"], values["optimizer"])
    elif updates and usable(inputs, values, "iters", "grad_accumulation_steps"):
        yield from _schedule(inputs, values, schedule, updates)


def chooses_own_steps(inputs, optimizer: str) -> bool:
    """Whether the optimizer ignores the learning rate, as Adafactor does by default."""
    blocks = inputs.config.get("optimizer_config")
    options = blocks.get(optimizer) if isinstance(blocks, dict) else None
    default = optimizer_options(optimizer, installed()).get("relative_step")
    own = default.default if default else False
    return bool(options.get("relative_step", own) if isinstance(options, dict) else own)


def _unread(inputs, optimizer: str):
    for key in ("learning_rate", "lr_schedule"):
        if value := inputs.given.get(key):
            yield DEAD.found(
                "warning",
                f"`{key}` is ignored: {optimizer} chooses its steps itself",
                evidence=[shown_line(key, value), f"optimizer: {optimizer}"],
                cause=f"mlx's {optimizer} has relative_step: true by default, and then uses no learning rate.",
                fix=f"Write `optimizer_config: {{{optimizer}: {{relative_step: false}}}}`, or delete {key}.",
            )


def _size(rate: float, optimizer: str, scheduled: bool = False):
    low, high = USUAL.get(optimizer, ADAM)
    if low <= rate <= high:
        return
    name = "The highest rate of `lr_schedule`" if scheduled else "`learning_rate`"
    too_high = rate > high
    yield RATE.found(
        "warning",
        f"{name} is {rate:g}, " + (f"far above what suits {optimizer}" if too_high else "so nothing is learned"),
        evidence=[f"{'highest rate' if scheduled else 'learning_rate'}: {rate:g}", f"optimizer: {optimizer}"],
        cause=f"With {optimizer}, steps of this size make training diverge." if too_high else None,
        low=f"{low:g}",
        high=f"{high:g}",
    )


def _schedule(inputs, values, schedule, updates: int):
    line = shown_line("lr_schedule", schedule)
    invalid = partial(INVALID.found, "error", evidence=line, names=", ".join(sorted(_known())))
    try:
        lengths = _lengths(schedule)
        rates = _curve(schedule, updates)
    except Exception as error:  # the schedule's own code raises all kinds at unsuitable arguments
        pass_on(error)
        reason = f"{type(error).__name__}: {cut(' '.join(str(error).split()), 150)}"
        yield invalid(f"mlx-lm cannot use `lr_schedule`: {reason}")
        return
    lowest, peak = float(rates.min()), float(rates.max())
    if not numpy.isfinite(rates).all() or lowest < 0 or peak <= 0:
        yield invalid(
            f"With `lr_schedule` the learning rate would go from {lowest:g} to {peak:g}",
            cause="mlx-lm trains anyway: at 0 nothing is learned, below 0 training increases the loss, and a NaN "
            "learning rate produces a NaN adapter.",
            fix="Start the schedule above 0 and end it at 0 or more.",
        )
        return
    found = partial(SCHEDULE.found, "warning", evidence=line)
    rate, first = inputs.given.get("learning_rate"), schedule["arguments"][0]
    if fits(rate, float) and not any(numpy.isclose(rate, value, rtol=1e-3) for value in (first, peak)):
        yield found(
            f"`learning_rate: {rate:g}` is ignored: `lr_schedule` begins at {first:g}",
            cause="With a schedule, mlx-lm doesn't read learning_rate.",
            fix=f"Delete learning_rate, or write {rate:g} as the schedule's first argument.",
        )
    warmup, start = schedule.get("warmup") or 0, schedule.get("warmup_init")
    if warmup >= updates:
        yield found(
            f"`lr_schedule` warms up for {warmup:,} updates, but the run has {updates:,}: {first:g} is never reached",
            cause="The schedule itself begins after the warm-up, so this one never does.",
            fix=f"Set warmup to a part of the updates, such as {updates // 10:,}." if updates >= 10 else "Delete it.",
        )
    if start is not None and not warmup:
        yield found(
            f"`warmup_init: {start:g}` of `lr_schedule` is ignored, because there is no `warmup`",
            cause="mlx-lm reads warmup_init only if warmup gives the number of updates.",
            fix="Add warmup, a number of optimizer updates, or delete warmup_init.",
        )
    iters, accumulated = values["iters"], values["grad_accumulation_steps"]
    counted = f"{iters:,} iterations / {accumulated} = {updates:,} updates"
    for name, steps in lengths.items():
        if steps > -(-iters // accumulated):
            yield found(
                f"`lr_schedule` has {name} {steps:,}, but there are only {updates:,} optimizer updates",
                cause=f"A schedule counts optimizer updates, not iterations: {counted}.",
                fix=f"Set {name} to at most {updates:,}.",
            )
    alive = numpy.flatnonzero(rates > peak * 1e-6)
    ends = int((alive[-1] + 1) * updates / len(rates))
    if ends < updates * (1 - TAIL):
        yield found(
            f"`lr_schedule` reaches 0 after {ends:,} of {updates:,} updates; the rest of the run learns nothing",
            cause=f"A schedule counts optimizer updates: {counted}.",
            fix="Let the decay last as long as the run, or end it above 0.",
        )
    yield from _size(peak, values["optimizer"], scheduled=True)


def _known() -> dict:
    """The schedules that a config can name: those whose arguments are numbers."""
    return {
        name: made
        for name, made in inspect.getmembers(schedulers, inspect.isfunction)
        if "init" in inspect.signature(made).parameters
    }


def _lengths(schedule: dict) -> dict:
    """The schedule's arguments that count updates. Raises ValueError or TypeError if it isn't a valid schedule."""
    if not isinstance(schedule, dict):
        raise ValueError("it is not a block of keys")
    missing = [key for key in ("name", "arguments") if key not in schedule]
    if missing:
        raise ValueError(f"it has no {' and no '.join(missing)}")
    known = _known()
    if not isinstance(schedule["name"], str) or schedule["name"] not in known:
        raise ValueError(f"unknown name {shown_value(schedule['name'])}")
    arguments = schedule["arguments"]
    if not isinstance(arguments, list):
        raise ValueError("arguments is not a list")
    for value in (*arguments, schedule.get("warmup") or 0, schedule.get("warmup_init") or 0):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError(f"{shown_value(value)} is not a number")
    bound = inspect.signature(known[schedule["name"]]).bind(*arguments).arguments
    return {name: value for name, value in bound.items() if "step" in name}


def _curve(schedule: dict, updates: int) -> numpy.ndarray:
    """The learning rate over the run, from mlx-lm's own schedule, at up to 1,000 updates."""
    at = numpy.linspace(0, updates - 1, min(updates, 1000)).astype(numpy.int64)
    return numpy.array(build_schedule(schedule)(mx.array(at)), dtype=numpy.float64) * numpy.ones(len(at))
