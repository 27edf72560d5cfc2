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
        batch = np.array(batch)
        # mlx-lm trains step s, which predicts token s, where offset <= s <= length.
        steps = [
            np.arange(max(offset, 1), min(length, batch.shape[1] - 1) + 1) for offset, length in np.array(lengths)
        ]
        width = -(-max(map(len, steps)) // WIDTH) * WIDTH
        positions = np.zeros((len(steps), max(width, WIDTH)), dtype=np.int32)
        mask = np.zeros(positions.shape, dtype=np.float32)
        for row, wanted in enumerate(steps):
            positions[row, : len(wanted)] = wanted - 1
            mask[row, : len(wanted)] = 1
        targets = np.take_along_axis(batch, positions + 1, axis=1)
        yield mx.array(batch[:, :-1]), mx.array(positions), mx.array(targets), mx.array(mask)
