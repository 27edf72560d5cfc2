"""The likelihood of selected tokens, without computing anything else.

Three savings, which change numbers only by rounding:

- logits only for the selected tokens: a reply is a tenth of its example, and the product with the vocabulary is
  the largest one in a small model;
- tokens that all rows start with, such as the system prompt, go through the model once per batch instead of once
  per row, and share their keys and values;
- on the CPU each core computes a part of the rows, since MLX runs one stream of work on one core.

A fourth is left to the caller: what the layers below an adapter make of a row (`frozen_layers`).
"""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import cache

import mlx.core as mx
import numpy as np
from mlx_lm.models.base import create_causal_mask
from mlx_lm.models.cache import ArraysCache, KVCache, make_prompt_cache

from . import blas, cpu_math

# Positions, and lengths where steps are compiled, are padded to a multiple, so that few shapes get compiled.
WIDTH, LENGTH = 16, 32
WORTH_SHARING = 64  # tokens saved per batch; below this, the extra pass through the layers costs more

Row = tuple[np.ndarray, np.ndarray]  # token ids, and the positions (from 1) of the selected tokens


def logits_function(model) -> Callable:
    """`(model, inputs, positions, cache=None) -> logits` at the positions, (rows, width, vocabulary).

    `inputs`: token ids (rows, length); `positions`: indices into length (rows, width). Logits are computed at the
    positions only if that gives the same result for this model: some models scale or cap their logits.
    """
    ids, at = mx.array([[1, 2, 3, 4]]), mx.array([[1, 3]])
    return _selected if _same(lambda: _selected(model, ids, at), lambda: _all(model, ids, at)) else _all


def _all(model, inputs, positions, cache=None):
    return mx.take_along_axis(model(inputs, cache=cache), positions[..., None], axis=1)


def _selected(model, inputs, positions, cache=None):
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

    Returns inputs (rows, length), and positions, targets and mask, each (rows, width). All are padded on the
    right, where no selected position attends to it.
    """
    length = max(len(ids) for ids, _ in rows) - start
    if not cpu_math.applies():  # the step is compiled, again for each length
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


def grouped(rows: list[Row], start: int = 0, frozen=None) -> list[tuple]:
    """A batch in `padded` parts, one per core, with rows of similar length and about equally many tokens.

    With `frozen`, from `frozen_layers.below`, each part also has what the layers below the adapter make of its rows.
    """
    rows = sorted(rows, key=lambda row: len(row[0]))
    ends = np.cumsum([len(ids) for ids, _ in rows])
    parts = min(parallel(), len(rows))
    middles = [int(abs(ends - ends[-1] * part / parts).argmin()) + 1 for part in range(1, parts)]
    borders = [0, *middles, len(rows)]
    groups = [padded(rows[low:high], start) for low, high in zip(borders, borders[1:]) if low < high]
    return frozen.add_to(groups, rows) if frozen else groups


def parallel() -> int:
    """How many parts of a batch are computed at the same time: on the CPU one per core, else 1."""
    return blas.threads() if cpu_math.applies() else 1


def streams() -> list[mx.Stream]:
    """One for each part of a batch that is computed at the same time."""
    device = mx.default_device()
    return _streams(device.type, parallel()) if parallel() > 1 else [mx.default_stream(device)]


@cache
def _streams(kind, parts: int) -> list[mx.Stream]:
    return [mx.new_stream(mx.Device(kind)) for _ in range(parts)]  # each has a thread, for as long as the process runs


def shared_prefix(model, rows: Iterable[Row], batch_size: int) -> np.ndarray:
    """The token ids that all rows start with, before any selected token.

    Empty if sharing them among the rows of a batch doesn't pay, or the model's kind of cache doesn't allow it.
    """
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
        lambda: logits_at(model, two, mx.concatenate([at, at]), rows_of(_after(model, prefix), 2)),
        lambda: mx.concatenate([logits_at(model, ids, at + len(prefix))] * 2),
    )


class _SharedKeys:
    """A key-value cache for mlx-lm: the keys of the first call come first in every row of later calls."""

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


def caches_to_share(model) -> list:
    """The model's caches, for a prefix that all rows share. Raises TypeError for a kind that cannot be shared."""
    caches = [_SharedKeys() if type(cache) is KVCache else cache for cache in make_prompt_cache(model)]
    if any(type(cache) not in (_SharedKeys, ArraysCache) for cache in caches):
        raise TypeError("this kind of cache cannot be shared between rows")
    return caches


def _after(model, prefix: np.ndarray, frozen=None) -> list:
    """The model's caches after the prefix, read once. Raises TypeError as `caches_to_share` does."""
    caches = caches_to_share(model)
    with frozen.replaced() if frozen else nullcontext():
        model.model(mx.array(prefix[None]), cache=caches)
    return caches


def rows_of(caches: list, rows: int) -> list:
    """Caches after a prefix, repeated for this many rows."""
    return [cache if type(cache) is _SharedKeys else _copied(cache, rows) for cache in caches]


def _copied(cache: ArraysCache, rows: int) -> ArraysCache:
    copy = ArraysCache(len(cache.cache))
    copy.cache = [None if array is None else mx.broadcast_to(array, (rows, *array.shape[1:])) for array in cache.cache]
    return copy


# --- likelihood -------------------------------------------------------------------------------


def nats_function(
    model, prefix: np.ndarray, fixed: bool = False, measure: Callable = cpu_math.cross_entropy, frozen=None
) -> Callable:
    """`(model, groups) -> [nats (rows, width)]`, negative log-likelihoods of the groups' targets.

    `groups`: results of `padded` with `start=len(prefix)`, each computed on its own core. `fixed`: the weights
    don't change, so the prefix is read once instead of with every batch. `measure(logits, targets)`: what to return
    instead of negative log-likelihoods. `frozen`: from `frozen_layers.below`, if the groups were made with it.
    """
    logits_at = logits_function(model)
    cores = streams()

    read = _after(model, prefix, frozen) if fixed and len(prefix) else None

    def nats(model, groups):
        caches = read or (_after(model, prefix, frozen) if len(prefix) else None)
        found = []
        for at, (inputs, positions, targets, _, *below) in enumerate(groups):
            with mx.stream(cores[at % len(cores)]), frozen.replaced(*below) if frozen else nullcontext():
                cache = rows_of(caches, len(inputs)) if caches else None
                found.append(measure(logits_at(model, inputs, positions, cache), targets))
        return found

    return nats
