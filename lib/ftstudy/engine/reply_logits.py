"""The likelihood of chosen tokens, and the work for nothing else.

Three savings, none of which changes a number beyond rounding:

- logits only where a token counts: a reply is a tenth of its example, and the product with the
  vocabulary is the largest one of a small model;
- tokens with which every row begins, such as the system prompt, go through the model once a
  batch instead of once a row: their keys and values are shared;
- on the CPU each core takes a part of the rows, since MLX runs a stream of work on one.
"""

from collections.abc import Callable, Iterable

import mlx.core as mx
import numpy as np
from mlx_lm.models.base import create_causal_mask
from mlx_lm.models.cache import ArraysCache, KVCache, make_prompt_cache

from . import blas, cpu_math

# Positions, and lengths where they matter, are padded to a multiple, so that few shapes have to be compiled.
WIDTH, LENGTH = 16, 32
WORTH_SHARING = 64  # tokens a batch that need not be read; below, one more pass through the layers costs more

Row = tuple[np.ndarray, np.ndarray]  # token ids, and the positions (from 1) of the tokens that count


def logits_function(model) -> Callable:
    """`(model, inputs, positions, cache=None) -> logits` at the positions, (rows, width, vocabulary).

    `inputs`: token ids (rows, length); `positions`: indices into length (rows, width). The
    short way is taken only for a model where it gives what the whole way gives: some scale
    or cap their logits in between.
    """
    ids, at = mx.array([[1, 2, 3, 4]]), mx.array([[1, 3]])
    return _short if _same(lambda: _short(model, ids, at), lambda: _whole(model, ids, at)) else _whole


def _whole(model, inputs, positions, cache=None):
    return mx.take_along_axis(model(inputs, cache=cache), positions[..., None], axis=1)


def _short(model, inputs, positions, cache=None):
    hidden = mx.take_along_axis(model.model(inputs, cache=cache), positions[..., None], axis=1)
    return model.lm_head(hidden) if hasattr(model, "lm_head") else model.model.embed_tokens.as_linear(hidden)


def _same(left: Callable, right: Callable) -> bool:
    try:
        return mx.allclose(left(), right(), rtol=1e-3, atol=1e-3).item()
    except (AttributeError, TypeError, ValueError):
        return False


# --- batches ----------------------------------------------------------------------------------


def padded(rows: list[Row], start: int = 0) -> tuple[mx.array, mx.array, mx.array, mx.array]:
    """Rows as one batch, without their first `start` tokens.

    Returns inputs (rows, length), and positions, targets and mask, each (rows, width). Both
    are padded on the right, where no position that counts can see it.
    """
    length = max(len(ids) for ids, _ in rows) - start
    if not cpu_math.applies():  # there the step is compiled, for each length anew
        length = -(-length // LENGTH) * LENGTH + 1
    width = -(-max(len(steps) for _, steps in rows) // WIDTH) * WIDTH or WIDTH
    tokens = np.zeros((len(rows), length), dtype=np.int32)
    positions, targets = np.zeros((2, len(rows), width), dtype=np.int32)
    mask = np.zeros((len(rows), width), dtype=np.float32)
    for at, (ids, steps) in enumerate(rows):
        tokens[at, : len(ids) - start] = ids[start:]
        positions[at, : len(steps)] = steps - 1 - start
        targets[at, : len(steps)] = ids[steps]
        mask[at, : len(steps)] = 1
    return mx.array(tokens[:, :-1]), mx.array(positions), mx.array(targets), mx.array(mask)


def grouped(rows: list[Row], start: int = 0) -> list[tuple]:
    """`padded` parts of a batch, one a core, each of rows of like length and of about as many tokens."""
    rows = sorted(rows, key=lambda row: len(row[0]))
    ends = np.cumsum([len(ids) for ids, _ in rows])
    parts = min(parallel(), len(rows))
    middles = [int(abs(ends - ends[-1] * part / parts).argmin()) + 1 for part in range(1, parts)]
    borders = [0, *middles, len(rows)]
    return [padded(rows[low:high], start) for low, high in zip(borders, borders[1:]) if low < high]


def parallel() -> int:
    """How many parts of a batch are computed side by side: on the CPU one a core."""
    return blas.threads() if cpu_math.applies() else 1


def shared_prefix(model, rows: Iterable[Row], batch_size: int) -> np.ndarray:
    """The tokens with which all rows begin and of which none counts; none where sharing them among the
    rows of a batch is not worth it, or where the model's kind of cache cannot."""
    rows = list(rows)
    first = rows[0][0] if rows else np.zeros(0, dtype=np.int32)
    length = len(first)
    for ids, steps in rows:
        own = min(length, len(ids), *(steps[:1] - 1))
        apart = np.flatnonzero(ids[:own] != first[:own])
        length = int(apart[0]) if len(apart) else own
    prefix = first[:length]
    return prefix if length * (batch_size - 1) >= WORTH_SHARING and _shares(model, prefix) else prefix[:0]


def _shares(model, prefix: np.ndarray) -> bool:
    ids, at = mx.array(np.concatenate([prefix, [1, 2, 3]])[None]), mx.array([[0, 2]])
    logits_at = logits_function(model)
    two = mx.concatenate([ids, ids])[:, len(prefix) :]
    return _same(
        lambda: logits_at(model, two, mx.concatenate([at, at]), _rows_of(_after(model, prefix), 2)),
        lambda: mx.concatenate([logits_at(model, ids, at + len(prefix))] * 2),
    )


class _SharedKeys:
    """Stands where mlx-lm has its key-value cache: the first call's keys are every later row's first."""

    def __init__(self):
        self.offset, self.keys, self.values = 0, None, None

    def update_and_fetch(self, keys, values):
        if self.keys is None:
            self.keys, self.values, self.offset = keys, values, keys.shape[2]
            return keys, values
        before = [mx.broadcast_to(array, (keys.shape[0], *array.shape[1:])) for array in (self.keys, self.values)]
        return tuple(mx.concatenate([old, new], axis=2) for old, new in zip(before, (keys, values)))

    def make_mask(self, length, window_size=None, return_array=False):
        if return_array or window_size:
            return create_causal_mask(length, self.offset, window_size)
        return "causal" if length > 1 else None


def _after(model, prefix: np.ndarray) -> list:
    """The caches of a model that has read the prefix, once. TypeError for a kind that cannot be shared."""
    caches = [_SharedKeys() if type(cache) is KVCache else cache for cache in make_prompt_cache(model)]
    if any(type(cache) not in (_SharedKeys, ArraysCache) for cache in caches):
        raise TypeError("a cache that is neither of all keys nor of a state")
    model.model(mx.array(prefix[None]), cache=caches)
    return caches


def _rows_of(caches: list, rows: int) -> list:
    return [cache if type(cache) is _SharedKeys else _copied(cache, rows) for cache in caches]


def _copied(cache: ArraysCache, rows: int) -> ArraysCache:
    copy = ArraysCache(len(cache.cache))
    copy.cache = [None if array is None else mx.broadcast_to(array, (rows, *array.shape[1:])) for array in cache.cache]
    return copy


# --- likelihood -------------------------------------------------------------------------------


def nats_function(model, prefix: np.ndarray, fixed: bool = False) -> Callable:
    """`(model, groups) -> [nats (rows, width)]`, negative log-likelihoods of the groups' targets.

    `groups`: what `padded` gives, with `start=len(prefix)`; each is computed by a core of its own.
    `fixed`: the weights stay as they are, so the prefix is read once, not with every batch.
    """
    logits_at = logits_function(model)
    device = mx.default_device()
    streams = [mx.new_stream(device) for _ in range(parallel())] if parallel() > 1 else [mx.default_stream(device)]

    read = _after(model, prefix) if fixed and len(prefix) else None

    def nats(model, groups):
        caches = read or (_after(model, prefix) if len(prefix) else None)
        found = []
        for at, (inputs, positions, targets, _) in enumerate(groups):
            with mx.stream(streams[at % len(streams)]):
                cache = _rows_of(caches, len(inputs)) if caches else None
                found.append(cpu_math.cross_entropy(logits_at(model, inputs, positions, cache), targets))
        return found

    return nats
