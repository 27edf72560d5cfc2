"""How likely the true reply is after a prompt: negative log-likelihood, in nats."""

from collections.abc import Callable

import mlx.core as mx
import numpy as np

from ..engine import blas, cpu_math, frozen_layers, reply_logits
from ..progress import bar

BATCH = 8
SAMPLE = 4  # rows


def score(
    model, prompts: list[list[int]], targets: list[tuple[list[int], list[int]]], label: str = "", shared=None
) -> dict:
    """Negative log-likelihood of each reply after its prompt.

    `targets`: (the reply's token ids, those that end its turn), from `chat_format.reply_ids`. Returns
    arrays with one entry per reply: `reply` (nats, summed over the reply's own tokens), `tokens` (their
    number) and `end` (nats of the end-of-turn token, NaN if training doesn't end the turn); and `read`,
    the number of all tokens. `shared`: HiddenStates, where this process keeps what the layers below an adapter make of
    each row; with it the nats are those without it, but for rounding.
    """
    rows = _rows(prompts, targets)
    losses = _each(model, rows, cpu_math.cross_entropy, label or "scoring", shared)
    counts = [len(reply) for reply, _ in targets]
    return {
        "reply": np.array([row[:count].sum() for row, count in zip(losses, counts)], float),
        "tokens": np.array(counts),
        "end": np.array([row[count] if len(row) > count else np.nan for row, count in zip(losses, counts)], float),
        "read": sum(len(ids) for ids, _ in rows),
    }


def foreseen(model, prompts: list[list[int]], replies: list[list[int]], label: str = "", shared=None) -> dict:
    """How much of each reply's end greedy writing would repeat: `foreseen`, the number of its last tokens that are each
    the likeliest after all those before; and `read`, the number of all tokens. `shared`: as for `score`."""
    rows = _rows(prompts, [(reply, []) for reply in replies])
    hits = _each(model, rows, lambda logits, ids: mx.argmax(logits, axis=-1) == ids, label or "reading", shared)
    return {
        "foreseen": np.array([int(np.logical_and.accumulate(hit[::-1]).sum()) for hit in hits]),
        "read": sum(len(ids) for ids, _ in rows),
    }


def _rows(prompts: list[list[int]], targets: list[tuple[list[int], list[int]]]) -> list[reply_logits.Row]:
    return [
        (np.array(prompt + reply + end), np.arange(len(prompt), len(prompt) + len(reply) + len(end)))
        for prompt, (reply, end) in zip(prompts, targets)
    ]


def _each(model, rows: list[reply_logits.Row], measure: Callable, label: str, shared) -> list[np.ndarray]:
    """What `measure` says about each row's selected tokens."""
    prefix = reply_logits.shared_prefix(model, rows, BATCH)
    frozen = shared and frozen_layers.below(model, shared, rows[:: len(rows) // SAMPLE or 1][:SAMPLE], prefix)
    measured = reply_logits.nats_function(model, prefix, fixed=True, measure=measure, frozen=frozen)
    found = [np.zeros(0)] * len(rows)
    order = sorted(range(len(rows)), key=lambda at: len(rows[at][0]))
    with blas.share_threads(reply_logits.parallel()):
        for start in bar(range(0, len(order), BATCH), desc=label, unit="batch"):
            batch = order[start : start + BATCH]  # sorted by length, the order that `grouped` keeps
            values = measured(model, reply_logits.grouped([rows[at] for at in batch], len(prefix), frozen))
            mx.eval(values)
            for at, value in zip(batch, (row for group in values for row in np.array(group))):
                found[at] = value[: len(rows[at][1])]
    return found
