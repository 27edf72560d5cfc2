"""mlx-lm's trainer, in segments: between two of them the run is evaluated, compared and kept."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from unittest import mock

import mlx.core as mx
from mlx_lm.tuner import trainer
from mlx_lm.tuner.callbacks import TrainingCallback

from ..engine import cpu_math
from . import state

EXPLODED = 1.5  # times the loss at the beginning, as the mean of so many steps
RECENT = 10


class _Diverged(Exception):
    """The loss is no number any more, or has exploded."""


def train(
    model,
    optimizer,
    options: trainer.TrainingArgs,
    *,
    loss: Callable,
    batches: Callable[[int], Iterator],
    evaluate: Callable[[], float] | None,
    folder: Path,
    run: str,
    patience: int,
    watch: Callable[[dict], None],
) -> dict:
    """Train to the end, or to where it is better to stop, from where the folder's state says.

    `batches(skip)` yields (what `loss` takes behind the model, number of tokens in the rows) from
    the step after `skip` on; `evaluate()` is the loss of the fixed validation set, nats a trained
    token. `watch` is told every row of the curve. Returns the progress: `iteration`, `curve` (rows
    as in `training.train`), `best` ({"iteration", "validation_loss"}, or None where nothing was
    kept), `trained_tokens`, `stopped` (why, or None), `diverged` (whether that is why), and of this process alone `seconds` and
    `tokens` (of whole rows). The folder holds the weights of the best.
    """
    progress = {
        "iteration": 0,
        "curve": [],
        "best": None,
        "waited": 0,
        "trained_tokens": 0,
        "window": [],
        "recent": [],
        "beginning": None,
    }
    optimizer.init(model.trainable_parameters())
    if kept := state.read(folder, run, model, optimizer):
        progress, tensors = kept
        state.restore(tensors, model, optimizer)
    for row in progress["curve"]:
        watch(row)
    stopped, diverged, spent, drawn = None, False, {"seconds": 0.0, "tokens": 0}, batches(progress["iteration"])

    def tell(row: dict) -> None:
        progress["curve"].append(row)
        watch(row)

    try:
        if not progress["curve"] and evaluate:
            progress["beginning"] = _finite(evaluate(), "the validation loss before the first step")
            tell({"iteration": 0, "validation_loss": progress["beginning"]})
        with _checkpointed(model, options.grad_checkpoint):
            for end, evaluated in _ends(options, progress["iteration"]):
                stopped = _no_better(progress, patience)
                if stopped:
                    break
                _segment(model, optimizer, options, end, loss, drawn, _Reports(progress, options, tell), spent)
                progress["iteration"] = end
                if evaluated:
                    _judge(progress, evaluate, tell)
                if mx.distributed.init().rank() == 0:
                    state.save(folder, run, progress, model, optimizer)
    except _Diverged as error:
        stopped = str(error)
        kept = state.read(folder, run, model, optimizer)
        progress["best"] = kept[0]["best"] if kept else None
        diverged = True
    return progress | spent | {"stopped": stopped, "diverged": diverged}


def _judge(progress: dict, evaluate: Callable | None, tell: Callable) -> None:
    """Is this the best so far? Without a validation set the newest is. The base model does not count: it is no adapter."""
    found = None
    if evaluate:
        found = _finite(evaluate(), f"the validation loss at iteration {progress['iteration']}")
        tell({"iteration": progress["iteration"], "validation_loss": found})
    best = progress["best"]
    if found is None or best is None or found < best["validation_loss"]:
        progress["best"], progress["waited"] = {"iteration": progress["iteration"], "validation_loss": found}, 0
    else:
        progress["waited"] += 1


def _no_better(progress: dict, patience: int) -> str | None:
    if patience and progress["waited"] >= patience:
        return (
            f"early, at iteration {progress['iteration']}: {patience} evaluations in a row were no better than the best"
        )
    return None


def _finite(value: float, what: str) -> float:
    if not math.isfinite(value):
        raise _Diverged(f"{what} is {value}")
    return value


def _exploded(progress: dict, loss: float) -> bool:
    """With this step's loss: are the last steps far above where the run began?"""
    recent = progress["recent"] = [*progress["recent"], loss][-RECENT:]
    if len(recent) < RECENT:
        return False
    mean = sum(recent) / RECENT
    if progress["beginning"] is None:  # without a validation set the first steps say it
        progress["beginning"] = mean
    return mean > EXPLODED * progress["beginning"]


def _ends(options: trainer.TrainingArgs, done: int) -> list[tuple[int, bool]]:
    """Where segments end, between two updates of the optimizer, and whether the run is evaluated there."""
    last, each = options.iters, options.grad_accumulation_steps

    def every(steps: int) -> set[int]:
        return {min(-(-at // each) * each, last) for at in range(steps, last, steps)}

    evaluated = every(options.steps_per_eval) | {last}
    return [(end, end in evaluated) for end in sorted(evaluated | every(options.steps_per_save)) if end > done]


def _segment(model, optimizer, options, end: int, loss, drawn, reports: "_Reports", spent: dict) -> None:
    steps = end - reports.before

    def iterate_batches(**_):
        for batch, tokens in islice(drawn, steps):
            spent["tokens"] += tokens
            yield batch

    if hasattr(optimizer, "batches"):  # GaLore has to know when a step begins
        iterate_batches = optimizer.batches(iterate_batches)
    own = {"iters": steps, "steps_per_report": 1, "steps_per_save": steps + 1, "grad_checkpoint": False}
    started = time.perf_counter()
    try:
        with _bare_trainer():
            trainer.train(
                model,
                optimizer,
                None,
                args=trainer.TrainingArgs(**{**vars(options), **own}),
                loss=loss,
                iterate_batches=iterate_batches,
                training_callback=reports,
            )
    finally:
        spent["seconds"] += time.perf_counter() - started


class _Reports(TrainingCallback):
    """Hears of every step of a segment; tells the mean of every `steps_per_report`, as mlx-lm does."""

    def __init__(self, progress: dict, options: trainer.TrainingArgs, tell: Callable):
        self.progress, self.options, self.tell = progress, options, tell
        self.before, self.tokens_before = progress["iteration"], progress["trained_tokens"]

    def on_train_loss_report(self, train_info: dict):
        progress, at = self.progress, self.before + train_info["iteration"]
        loss = _finite(train_info["train_loss"], f"the training loss at iteration {at}")
        progress["window"].append(loss)
        progress["trained_tokens"] = self.tokens_before + int(train_info["trained_tokens"])
        if at % self.options.steps_per_report == 0 or at == self.options.iters:
            mean = sum(progress["window"]) / len(progress["window"])
            progress["window"].clear()
            self.tell({"iteration": at, "train_loss": mean, "trained_tokens": progress["trained_tokens"]})
        if _exploded(progress, loss):
            raise _Diverged(
                f"the training loss has exploded at iteration {at}: the mean of {RECENT} steps is more than {EXPLODED} "
                f"times the {progress['beginning']:.2f} nats a token of the beginning"
            )


@contextmanager
def _bare_trainer():
    """mlx-lm's trainer without its own display, which prints timings even into notebooks.

    Without compiling the step, too, on the CPU: it is traced anew for every length of a batch,
    which costs more than it brings there.
    """
    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(trainer, "TrainUI"))
        if cpu_math.applies():
            patches.enter_context(mock.patch.object(mx, "compile", lambda function, **_: function))
        yield


@contextmanager
def _checkpointed(model, wanted: bool):
    """mlx-lm's gradient checkpointing, once for all segments; it changes the layers' class."""
    layer = type(model.layers[0])
    before = layer.__call__
    if wanted:
        trainer.grad_checkpoint(model.layers[0])
    try:
        yield
    finally:
        layer.__call__ = before
