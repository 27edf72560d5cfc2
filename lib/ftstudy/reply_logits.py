"""Logits at the positions that count, and nowhere else.

A reply is a tenth of its example, and the product with the vocabulary is the largest one of
a small model. Taking the hidden states at reply positions before that product gives the same
numbers for a fraction of the work.
"""

from collections.abc import Callable

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx_lm.tuner import trainer

WIDTH = 16  # positions are padded to a multiple, so that few shapes have to be compiled


def logits_function(model) -> Callable:
    """`(model, inputs, positions) -> logits` at the positions, shape (rows, width, vocabulary).

    `inputs`: token ids (rows, length); `positions`: indices into length (rows, width). The
    short way is taken only for a model where it gives what the whole way gives: some scale
    or cap their logits in between.
    """
    ids = mx.array([[1, 2, 3, 4]])
    at = mx.array([[1, 3]])
    try:
        same = mx.allclose(_short(model, ids, at), _whole(model, ids, at), rtol=1e-3, atol=1e-3).item()
    except (AttributeError, TypeError, ValueError):
        same = False
    return _short if same else _whole


def _whole(model, inputs, positions):
    return mx.take_along_axis(model(inputs), positions[..., None], axis=1)


def _short(model, inputs, positions):
    hidden = mx.take_along_axis(model.model(inputs), positions[..., None], axis=1)
    return model.lm_head(hidden) if hasattr(model, "lm_head") else model.model.embed_tokens.as_linear(hidden)


def make_loss(model) -> Callable:
    """mlx-lm's `default_loss`, from logits at trained positions; for `iterate_batches` below.

    Returns a function of a batch that gives the mean loss (nats a trained token) and the
    number of trained tokens.
    """
    logits_at = logits_function(model)

    def loss(model, inputs, positions, targets, mask):
        losses = nn.losses.cross_entropy(logits_at(model, inputs, positions), targets) * mask
        tokens = mask.sum()
        return losses.astype(mx.float32).sum() / tokens, tokens

    return loss


def iterate_batches(dataset, batch_size, max_seq_length, **options):
    """mlx-lm's batches, in its order, with the trained positions worked out.

    Yields inputs (rows, length), and positions, targets and mask, each (rows, width).
    """
    for batch, lengths in trainer.iterate_batches(dataset, batch_size, max_seq_length, **options):
        lengths = np.array(lengths)
        # mlx-lm pads to a multiple of 32 and one more; nothing trained stands beyond the one.
        batch = np.array(batch)[:, : lengths[:, 1].max() + 1]
        # mlx-lm trains step s, which predicts token s, where offset <= s <= length.
        yield padded(
            [
                (row, np.arange(max(offset, 1), min(length, len(row) - 1) + 1))
                for row, (offset, length) in zip(batch, lengths)
            ]
        )


def padded(rows: list[tuple[np.ndarray, np.ndarray]]) -> tuple[mx.array, mx.array, mx.array, mx.array]:
    """Rows of (token ids, steps at which a token is predicted) as one batch.

    Returns inputs (rows, length), and positions, targets and mask, each (rows, width). Both
    are padded on the right, where no position that counts can see it.
    """
    length = max(len(ids) for ids, _ in rows)
    width = -(-max(len(steps) for _, steps in rows) // WIDTH) * WIDTH or WIDTH
    tokens = np.zeros((len(rows), length), dtype=np.int32)
    positions, targets = np.zeros((2, len(rows), width), dtype=np.int32)
    mask = np.zeros((len(rows), width), dtype=np.float32)
    for at, (ids, steps) in enumerate(rows):
        tokens[at, : len(ids)] = ids
        positions[at, : len(steps)] = steps - 1
        targets[at, : len(steps)] = ids[steps]
        mask[at, : len(steps)] = 1
    return mx.array(tokens[:, :-1]), mx.array(positions), mx.array(targets), mx.array(mask)
