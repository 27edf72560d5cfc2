"""The training loop: step, report, evaluate, keep the best, stop early or on divergence."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import add
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_map
from mlx_lm.tuner.trainer import grad_checkpoint
from mlx_lm.utils import maybe_set_recommended_wired_limit

from ..configs import study
from ..engine import cpu_math
from ..resource_use import clock
from . import state
from .galore import GaLore

EXPLODED = 1.5  # diverged: the mean loss of the last RECENT steps exceeds this multiple of the loss at the start
RECENT = 10


class _Diverged(Exception):
    """The loss is NaN, infinite or far above its start."""


def train(
    model,
    optimizer,
    config: dict,
    *,
    loss: Callable,
    batches: Callable[[int], Iterator],
    evaluate: Callable[[], float] | None,
    folder: Path,
    run: str,
    report: Callable[[dict], None],
) -> dict:
    """Train up to `iters` steps, resuming from the state that the same run left in `folder`.

    `loss(model, *batch)` returns two float32 scalars: nats per trained token, and how many tokens were trained.
    `batches(skip)` yields (batch, number of tokens in its rows), without the first `skip` batches.
    `evaluate()` returns the validation loss in nats per trained token. `report` gets each row of the curve.

    Returns the progress: `iteration`, `curve` (rows as in `run.train`), `best` ({"iteration",
    "validation_loss"}, or None if nothing was kept), `trained_tokens`, `stopped` (why it ended early, or None),
    `diverged` (bool), and for this process alone `seconds` and `tokens`. The best weights are in `folder`.
    """
    maybe_set_recommended_wired_limit()
    world = mx.distributed.init()
    optimizer.init(model.trainable_parameters())
    progress = state.resume(folder, run, model, optimizer) or {
        "iteration": 0,  # of the last saved state
        "curve": [],
        "best": None,
        "waited": 0,  # evaluations since the best one
        "trained_tokens": 0,
        "window": [],  # losses since the last report
        "recent": [],
        "beginning": None,
    }

    def add_row(row: dict) -> None:
        progress["curve"].append(row)
        report(row)

    for row in progress["curve"]:
        report(row)
    patience = (study(config) or {}).get("early_stopping", 0)
    accumulate = config["grad_accumulation_steps"]
    evaluate_at, save_at = _schedule(config)
    step, arrays = _step(model, optimizer, loss, accumulate)
    drawn, gradient = batches(progress["iteration"]), None
    stopped, diverged, seconds, tokens = None, False, 0.0, 0
    model.train()
    with _checkpointed(model, config["grad_checkpoint"]):
        try:
            if evaluate and not progress["curve"]:
                progress["beginning"] = _finite(evaluate(), "the validation loss before the first step")
                add_row({"iteration": 0, "validation_loss": progress["beginning"]})
            for at in range(progress["iteration"] + 1, config["iters"] + 1):
                if patience and progress["waited"] >= patience:
                    stopped = f"early, at iteration {at - 1}: no improvement in {patience} evaluations in a row"
                    break
                started = clock()
                batch, size = next(drawn)
                if isinstance(optimizer, GaLore):
                    optimizer.prepare()
                value, trained, gradient = step(batch, gradient, at % accumulate == 0)
                mx.eval(arrays, value, trained, gradient)
                mx.clear_cache()
                value = mx.distributed.all_sum(value, stream=mx.cpu).item() / world.size()
                trained = int(mx.distributed.all_sum(trained, stream=mx.cpu).item())
                seconds, tokens = seconds + clock() - started, tokens + size
                _record(progress, at, value, trained, config, add_row)
                if at in evaluate_at:
                    _judge(progress, at, evaluate, add_row)
                if at in evaluate_at | save_at:
                    progress["iteration"] = at
                    if world.rank() == 0:
                        state.save(folder, run, progress, model, optimizer)
        except _Diverged as error:
            stopped, diverged = str(error), True
    return progress | {"stopped": stopped, "diverged": diverged, "seconds": seconds, "tokens": tokens}


def _schedule(config: dict) -> tuple[set[int], set[int]]:
    """The iterations after which to evaluate, and to save: optimizer updates only, and the last iteration."""
    last, accumulate = config["iters"], config["grad_accumulation_steps"]
    if accumulate < 1:
        raise ValueError("grad_accumulation_steps must be at least 1")

    def every(steps: int) -> set[int]:
        return {min(-(-at // accumulate) * accumulate, last) for at in range(steps, last, steps)}

    return every(config["steps_per_eval"]) | {last}, every(config["save_every"])


def _step(model, optimizer, loss: Callable, accumulate: int) -> tuple[Callable, list]:
    """mlx-lm's training step, and the arrays that it changes."""
    loss_and_gradient = nn.value_and_grad(model, loss)
    arrays = [model.state, optimizer.state, mx.random.state]

    def step(batch, earlier, update: bool):
        (value, trained), gradient = loss_and_gradient(model, *batch)
        if earlier is not None:
            gradient = tree_map(add, gradient, earlier)
        if update:
            gradient = nn.average_gradients(gradient)
            if accumulate > 1:
                gradient = tree_map(lambda array: array / accumulate, gradient)
            optimizer.update(model, gradient)
            gradient = None
        return value, trained, gradient

    # Compiling retraces for each batch length, which on a CPU costs more than it saves.
    return step if cpu_math.applies() else mx.compile(step, inputs=arrays, outputs=arrays), arrays


def _record(progress: dict, at: int, loss: float, trained: int, config: dict, add_row: Callable) -> None:
    """Add a step's loss; report the mean every `steps_per_report` steps. Raises _Diverged."""
    progress["window"].append(_finite(loss, f"the training loss at iteration {at}"))
    progress["trained_tokens"] += trained
    if at % config["steps_per_report"] == 0 or at == config["iters"]:
        mean = sum(progress["window"]) / len(progress["window"])
        progress["window"].clear()
        add_row({"iteration": at, "train_loss": mean, "trained_tokens": progress["trained_tokens"]})
    progress["recent"] = [*progress["recent"], loss][-RECENT:]
    if len(progress["recent"]) == RECENT:
        mean = sum(progress["recent"]) / RECENT
        if progress["beginning"] is None:  # no validation set
            progress["beginning"] = mean
        if mean > EXPLODED * progress["beginning"]:
            raise _Diverged(
                f"the training loss exploded at iteration {at}: its mean over {RECENT} steps is more than {EXPLODED} "
                f"times the initial {progress['beginning']:.2f} nats per token"
            )


def _judge(progress: dict, at: int, evaluate: Callable | None, add_row: Callable) -> None:
    """Evaluate, and note whether this is the best so far; without a validation set the newest counts as best.

    The base model is never the best, since there is no adapter to keep for it. Raises _Diverged.
    """
    loss, best = None, progress["best"]
    if evaluate:
        loss = _finite(evaluate(), f"the validation loss at iteration {at}")
        add_row({"iteration": at, "validation_loss": loss})
    if loss is None or best is None or loss < best["validation_loss"]:
        progress["best"], progress["waited"] = {"iteration": at, "validation_loss": loss}, 0
    else:
        progress["waited"] += 1


def _finite(loss: float, name: str) -> float:
    if not math.isfinite(loss):
        raise _Diverged(f"{name} is {loss}")
    return loss


@contextmanager
def _checkpointed(model, enabled: bool):
    """Gradient checkpointing while the block runs: mlx-lm switches it on for the class of the layers, for good."""
    layer = type(model.layers[0])
    original = layer.__call__
    if enabled:
        grad_checkpoint(model.layers[0])
    try:
        yield
    finally:
        layer.__call__ = original
