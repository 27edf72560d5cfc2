"""How likely the true reply is after a prompt: negative log-likelihood, in nats."""

import mlx.core as mx
import numpy as np

from ..engine import blas, reply_logits
from ..progress import bar

BATCH = 8


def score(model, prompts: list[list[int]], targets: list[tuple[list[int], list[int]]], label: str = "") -> dict:
    """Negative log-likelihood of each reply after its prompt.

    `targets`: (the reply's token ids, those that end its turn), from `chat_format.reply_ids`. Returns
    arrays with one entry per reply: `reply` (nats, summed over the reply's own tokens), `tokens` (their
    number) and `end` (nats of the end-of-turn token, NaN if training doesn't end the turn); and `read`,
    the number of all tokens.
    """
    rows = [
        (np.array(prompt + reply + end), np.arange(len(prompt), len(prompt) + len(reply) + len(end)))
        for prompt, (reply, end) in zip(prompts, targets)
    ]
    prefix = reply_logits.shared_prefix(model, rows, BATCH)
    nats_of = reply_logits.nats_function(model, prefix, fixed=True)
    losses = [np.zeros(0)] * len(rows)
    order = sorted(range(len(rows)), key=lambda at: len(rows[at][0]))
    with blas.share_threads(reply_logits.parallel()):
        for start in bar(range(0, len(order), BATCH), desc=label or "scoring", unit="batch"):
            batch = order[start : start + BATCH]  # sorted by length, the order that `grouped` keeps
            found = nats_of(model, reply_logits.grouped([rows[at] for at in batch], len(prefix)))
            mx.eval(found)
            for at, nats in zip(batch, (row for group in found for row in np.array(group))):
                losses[at] = nats[: len(rows[at][1])]
    counts = [len(reply) for reply, _ in targets]
    return {
        "reply": np.array([row[:count].sum() for row, count in zip(losses, counts)], float),
        "tokens": np.array(counts),
        "end": np.array([row[count] if len(row) > count else np.nan for row, count in zip(losses, counts)], float),
        "read": sum(len(ids) for ids, _ in rows),
    }
