"""What training a config makes: the learning rate over time, and how much is seen of the data."""

import inspect

import mlx.core as mx
import numpy
from mlx.optimizers import schedulers
from mlx_lm.tuner.utils import build_schedule

from ..evidence import listed
from ..findings import finding
from ..rendering import render
from .values import fits, shown_value, sound

CHECKS = {
    "config.lr_schedule": ("warning", "The schedule is not what the other keys suggest: rate, warmup or decay."),
    "config.lr_schedule_invalid": ("error", "The trainer cannot make a learning rate of `lr_schedule`."),
    "config.epochs": ("warning or info", "How often each row is seen, and how many tokens that is."),
    "config.save_every": ("info", "No checkpoint is written before the end."),
    "config.grad_accumulation": ("error or info", "The last iterations end in no update, or none does."),
    "config.val_batches": ("warning or info", "Each validation sees another part of the rows, or none."),
    "config.kept_adapter": ("info", "The adapter that is kept is the last one, which no validation has seen."),
}
MANY_EPOCHS = 20
SAMPLE = 200  # rows whose tokens are counted
TAIL = 0.1  # of the updates may have no learning rate left


def check(subject) -> list[dict]:
    values = sound(subject.config)
    if any(values[key] != subject.config[key] for key in ("iters", "batch_size", "grad_accumulation_steps")):
        return []  # nobody knows what is meant; the value has its own finding
    return [*_schedule(subject, values), *_amount(subject, values)]


def _say(subject, check, severity, title, evidence, cause, fix) -> dict:
    lines = [evidence] if isinstance(evidence, str) else evidence
    return finding(check, severity, title, evidence=listed(lines), cause=cause, fix=fix, where=subject.where)


# --- the learning rate ----------------------------------------------------------------------


def _updates(values) -> int:
    return values["iters"] // values["grad_accumulation_steps"]


def _schedule(subject, values) -> list[dict]:
    schedule = subject.config.get("lr_schedule")
    updates = _updates(values)
    if not schedule or not updates:
        return []
    shown = f"lr_schedule: {shown_value(schedule)}"
    try:
        names, rates = _rates(schedule, updates)
    except Exception as error:  # what the schedule's own code raises at such arguments
        reason = " ".join(str(error).split())[:150]
        return [
            _say(
                subject,
                "config.lr_schedule_invalid",
                "error",
                f"mlx-lm cannot use `lr_schedule`: {type(error).__name__}: {reason}",
                shown,
                "mlx-lm builds the schedule after it has loaded the model and the data, and aborts.",
                f"Give `name` (one of {', '.join(sorted(_known()))}) and `arguments`, a list of numbers.",
            )
        ]
    rate, peak = subject.given.get("learning_rate"), float(rates.max())
    first = schedule["arguments"][0]
    told = []
    if fits(rate, float) and not any(numpy.isclose(rate, value, rtol=1e-3) for value in (first, peak)):
        told.append(
            (
                f"`learning_rate: {rate:g}` is ignored, for `lr_schedule` begins at {first:g}",
                "Where there is a schedule, mlx-lm does not look at learning_rate.",
                f"Take learning_rate out, or write {rate:g} as the schedule's first argument.",
            )
        )
    per_update = f"{values['iters']:,} iterations / {values['grad_accumulation_steps']} = {updates:,} updates"
    most = -(-values["iters"] // values["grad_accumulation_steps"])
    for name, steps in names.items():
        if steps > most:
            told.append(
                (
                    f"`lr_schedule` has {name} {steps:,}, but there are only {updates:,} optimizer updates",
                    f"A schedule counts optimizer updates, not iterations: {per_update}.",
                    f"Set {name} to at most {updates:,}.",
                )
            )
    alive = numpy.flatnonzero(rates > peak * 1e-6)
    ends = int((alive[-1] + 1) * updates / len(rates))
    if ends < updates * (1 - TAIL):
        told.append(
            (
                f"`lr_schedule` has reached 0 after {ends:,} of {updates:,} updates; the rest of the run learns nothing",
                f"A schedule counts optimizer updates: {per_update}.",
                "Let the decay last as long as the run, or give it an end above 0.",
            )
        )
    return [_say(subject, "config.lr_schedule", "warning", title, shown, cause, fix) for title, cause, fix in told]


def _known() -> dict:
    """The schedules that a config can name: those that take numbers alone."""
    return {
        name: made
        for name, made in inspect.getmembers(schedulers, inspect.isfunction)
        if "init" in inspect.signature(made).parameters
    }


def _rates(schedule: dict, updates: int) -> tuple[dict, numpy.ndarray]:
    """Its arguments that are a number of updates, and the learning rate over the run, from
    mlx-lm's own schedule at up to 1,000 updates. Raises ValueError or what that raises."""
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
    made = build_schedule(schedule)
    at = numpy.linspace(0, updates - 1, min(updates, 1000)).astype(numpy.int64)
    rates = numpy.array(made(mx.array(at)), dtype=numpy.float64) * numpy.ones(len(at))
    if not numpy.isfinite(rates).all() or rates.min() < 0 or rates.max() <= 0:
        raise ValueError(f"the learning rate would go from {rates.min():g} to {rates.max():g}")
    lengths = {name: value for name, value in bound.items() if "step" in name}
    return lengths | ({"warmup": schedule["warmup"]} if schedule.get("warmup") else {}), rates


# --- how much is trained --------------------------------------------------------------------


def _amount(subject, values) -> list[dict]:
    iters, batch, accumulated = values["iters"], values["batch_size"], values["grad_accumulation_steps"]
    found = []
    lost = iters % accumulated
    if lost:
        none = iters < accumulated
        found.append(
            _say(
                subject,
                "config.grad_accumulation",
                "error" if none else "info",
                f"{iters} iterations are fewer than grad_accumulation_steps, {accumulated}: nothing is ever updated"
                if none
                else f"The last {lost} of {iters:,} iterations end in no update",
                [f"iters: {iters}", f"grad_accumulation_steps: {accumulated}"],
                "mlx-lm updates the adapter after every grad_accumulation_steps iterations, and not at the end.",
                f"Make iters a multiple of {accumulated}.",
            )
        )
    if values["save_every"] > iters:
        found.append(
            _say(
                subject,
                "config.save_every",
                "info",
                f"No checkpoint is written: save_every is {values['save_every']:,}, and there are {iters:,} iterations",
                f"save_every: {values['save_every']}",
                "mlx-lm writes the adapter at the end in any case; a run that stops earlier leaves none.",
                "Lower save_every, if the run is long.",
            )
        )
    return found + _validation(subject, values) + _epochs(subject, iters, batch, values["max_seq_length"])


def _validation(subject, values) -> list[dict]:
    asked, batch = values["val_batches"], values["batch_size"]
    rows = len(subject.splits["valid"].rows) if "valid" in subject.splits else 0
    if not rows:
        return []
    if asked == -1:
        return _kept(subject, values)
    if asked < 1:
        return [
            _say(
                subject,
                "config.val_batches",
                "warning",
                f"With `val_batches: {asked}` nothing is validated, and the loss that is shown is not a number",
                f"val_batches: {asked}",
                "mlx-lm divides by the number of tokens seen, which is 0.",
                "Set val_batches to -1 for all rows, or to a number above 0.",
            )
        ]
    return [*_kept(subject, values), *_drawn(subject, asked, batch, rows)]


def _kept(subject, values) -> list[dict]:
    ours = subject.given.get("ftstudy")
    if isinstance(ours, dict) and ours.get("early_stopping"):
        return []
    return [
        _say(
            subject,
            "config.kept_adapter",
            "info",
            f"The adapter of iteration {values['iters']:,} is kept, whichever one was the best",
            [f"iters: {values['iters']}", f"steps_per_eval: {values['steps_per_eval']}"],
            "mlx-lm validates before an iteration's update, and keeps the last adapter: no validation has seen it.",
            f"To go back to an earlier one, set save_every as steps_per_eval, {values['steps_per_eval']:,}, and look at "
            "the curve.",
        )
    ]


def _drawn(subject, asked: int, batch: int, rows: int) -> list[dict]:
    if asked * batch >= rows // batch * batch:
        return []
    return [
        _say(
            subject,
            "config.val_batches",
            "info",
            f"Each validation sees {asked * batch:,} of {rows:,} rows, drawn anew every time",
            [f"val_batches: {asked}", f"batch_size: {batch}"],
            "mlx-lm shuffles before each validation, so that two of them are not on the same rows.",
            "Compare only large differences, or set `val_batches: -1` for all rows.",
        )
    ]


def _epochs(subject, iters: int, batch: int, longest: int) -> list[dict]:
    split = subject.splits.get("train")
    rows = len(split.rows) if split else 0
    if not rows:
        return []
    seen, epochs = iters * batch, iters * batch / rows
    tokens = _tokens_a_row(subject, longest)
    many = epochs > MANY_EPOCHS
    return [
        _say(
            subject,
            "config.epochs",
            "warning" if many else "info",
            f"Training sees {seen:,} rows, {epochs:,.2f} epochs of {rows:,} rows"
            + (f", about {seen * tokens:,.0f} tokens" if tokens else ""),
            f"{iters:,} iterations × batch_size {batch:,} / {rows:,} rows = {epochs:,.2f} epochs",
            f"A row that is seen more than {MANY_EPOCHS} times is learned by heart."
            if many
            else "mlx-lm counts iterations of one batch each, and knows no epochs.",
            f"For 3 epochs set `iters: {-(-3 * rows // batch)}`, or extract more history."
            if many
            else f"One epoch is {-(-rows // batch):,} iterations.",
        )
    ]


def _tokens_a_row(subject, longest: int) -> float | None:
    """The mean number of tokens that a row has in training, from rows all over the file; None
    where they cannot be counted."""
    if subject.model is None:
        return None
    chats = list(subject.splits["train"].chats())
    try:
        ids = render(chats[:: max(1, len(chats) // SAMPLE)], subject.tokenizer).ids
    except Exception:  # a tokenizer raises what it likes at odd text, and its faults have their own findings
        return None
    return sum(min(len(row), longest) for row in ids) / len(ids) if ids else None
