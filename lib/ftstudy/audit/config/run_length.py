"""How long the run is, in epochs and updates, and when it validates and saves."""

from collections.abc import Iterator

import numpy

from ...configs import study
from .. import estimate
from ..findings import Check, Finding
from .values import sound, usable

EPOCHS = Check(
    "config.epochs",
    ("warning", "info"),
    meaning="How often training sees each row, and how many tokens that is. A warning above 20 epochs.",
    cause="mlx-lm counts iterations of one batch each, not epochs.",
    fix="One epoch is {epoch} iterations.",
    bad="iters: 100000  # of 200 rows",
    good="iters: 150  # 3 epochs × 200 rows / batch_size 4",
)
SAVE_EVERY = Check(
    "config.save_every",
    ("info",),
    meaning="No checkpoint is saved before the end of the run.",
    cause="mlx-lm saves the adapter at the end in any case, but a run that stops early leaves none.",
    fix="Lower save_every if the run is long.",
    bad="iters: 600\nsave_every: 1000",
    good="iters: 600\nsave_every: 100",
)
ACCUMULATION = Check(
    "config.grad_accumulation",
    ("error", "info"),
    meaning="The last iterations, or all of them, end without an update.",
    cause="mlx-lm updates the adapter after every grad_accumulation_steps iterations, but not at the end.",
    fix="Make iters a multiple of {steps}.",
    bad="iters: 6\ngrad_accumulation_steps: 8",
    good="iters: 600\ngrad_accumulation_steps: 8",
)
BATCHES = Check(
    "config.val_batches",
    ("warning", "info"),
    meaning="Each validation sees different rows, or validation or test sees no rows.",
    cause="mlx-lm divides by the number of tokens it has seen, which is 0.",
    fix="Set {key} to -1 for all rows, or to a number above 0.",
    bad="val_batches: 0",
    good="val_batches: -1",
)
KEPT = Check(
    "config.kept_adapter",
    ("info",),
    meaning="The last adapter is kept, best or not; it was never validated.",
    cause="mlx-lm validates before an iteration's update, and keeps the last adapter.",
    fix="To go back to an earlier adapter, look at the curve and use that iteration's checkpoint.",
    bad="steps_per_eval: 50\nsave_every: 1000",
    good="steps_per_eval: 50\nsave_every: 50",
)
CHECKS = (EPOCHS, SAVE_EVERY, ACCUMULATION, BATCHES, KEPT)
MANY_EPOCHS = 20


def check(inputs) -> Iterator[Finding]:
    values = sound(inputs.config)
    if usable(inputs, values, "iters", "batch_size", "grad_accumulation_steps"):
        yield from _updates(values["iters"], values["grad_accumulation_steps"], values["save_every"])
        if not inputs.config.get("hf_dataset"):  # or else the folder's rows aren't the run's
            yield from _validation(inputs, values)
            yield from _epochs(inputs, values)
    if inputs.config.get("test") and values["test_batches"] < 1 and values["test_batches"] != -1:
        yield _no_batches("test_batches", values["test_batches"])


def _updates(iters: int, steps: int, every: int):
    if lost := iters % steps:
        yield ACCUMULATION.found(
            "error" if iters < steps else "info",
            f"{iters} iterations are fewer than grad_accumulation_steps, {steps}: nothing is ever updated"
            if iters < steps
            else f"The last {lost} of {iters:,} iterations end without an update",
            evidence=[f"iters: {iters}", f"grad_accumulation_steps: {steps}"],
            steps=steps,
        )
    if every > iters:
        title = f"No checkpoint is saved: save_every is {every:,}, but the run has {iters:,} iterations"
        yield SAVE_EVERY.found("info", title, evidence=f"save_every: {every}")


def _no_batches(key: str, asked: int) -> Finding:
    return BATCHES.found(
        "warning",
        f"With `{key}: {asked}` no rows are evaluated, and the loss shown is not a number",
        evidence=f"{key}: {asked}",
        key=key,
    )


def _validation(inputs, values):
    asked, batch, every = values["val_batches"], values["batch_size"], values["steps_per_eval"]
    rows = len(inputs.splits["valid"].rows) if "valid" in inputs.splits else 0
    if not rows:
        return
    if asked < 1 and asked != -1:
        yield _no_batches("val_batches", asked)
        return
    if study(inputs.config):  # keeps the best adapter, and validates on the same rows every time
        return
    yield KEPT.found(
        "info",
        f"The adapter of iteration {values['iters']:,} is kept, best or not",
        evidence=[f"iters: {values['iters']}", f"steps_per_eval: {every}", f"save_every: {values['save_every']}"],
        fix=None
        if values["save_every"] == every
        else f"To go back to an earlier adapter, set save_every to steps_per_eval, {every:,}, and look at the curve.",
    )
    if 0 < asked * batch < rows // batch * batch:
        yield BATCHES.found(
            "info",
            f"Each validation sees {asked * batch:,} of {rows:,} rows, drawn anew every time",
            evidence=[f"val_batches: {asked}", f"batch_size: {batch}"],
            cause="mlx-lm shuffles before each validation, so no two see the same rows.",
            fix="Compare only large differences, or set `val_batches: -1` for all rows.",
        )


def _epochs(inputs, values):
    iters, batch = values["iters"], values["batch_size"]
    split = inputs.splits.get("train")
    rows = len(split.rows) if split else 0
    if not rows or rows < batch and not study(inputs.config):  # mlx-lm can't fill a batch, and aborts
        return
    seen, epochs = iters * batch, iters * batch / rows
    tokens = _tokens_per_row(inputs, values["max_seq_length"])
    many = epochs > MANY_EPOCHS
    yield EPOCHS.found(
        "warning" if many else "info",
        f"Training sees {seen:,} rows, {epochs:,.2f} epochs of {rows:,} rows"
        + (f", about {seen * tokens:,.0f} tokens" if tokens else ""),
        evidence=f"{iters:,} iterations × batch_size {batch:,} / {rows:,} rows = {epochs:,.2f} epochs",
        cause=f"A model memorizes rows that it sees more than {MANY_EPOCHS} times." if many else None,
        fix=f"For 3 epochs set `iters: {-(-3 * rows // batch)}`, or extract more history." if many else None,
        epoch=f"{-(-rows // batch):,}",
    )


def _tokens_per_row(inputs, longest: int) -> float | None:
    """The mean number of tokens that training sees per row; None if unknown."""
    train = estimate.rows(inputs, "train") if inputs.model else None
    return train and float(numpy.minimum(train.lengths, longest).mean())
