"""The layers below an adapter, computed once for each row of tokens instead of in every pass.

Nothing below the lowest adapted layer changes, neither in training nor from one adapter of a base model to the next.
So its output for a row is kept in a store (`hidden_states`), which trainings and evaluations of one process share, and
later passes put it in place of the layer's output. The layers below are still called, since masks and caches come from
them, but MLX computes only what a result depends on: nothing in them. So this needs to know nothing about the model's
architecture. Whether it gives the plain path's numbers is tried on a few rows first, and if not, nothing is shared.

In half precision the numbers are those of the batch in which a row was first seen, so they differ from the plain path's
as those of two batches do.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten

from . import reply_logits
from .hidden_states import HiddenStates

NEAR = 1e-4  # nats per token


def below(
    model, shared: HiddenStates, rows: list[reply_logits.Row], prefix: np.ndarray, trained: bool = False
) -> "FrozenLayers | None":
    """The layers below the adapter, for `reply_logits`; None if there are none to share.

    `rows`: a few that start with the prefix, to compare both paths on. `trained`: the model is about to be trained, so
    its layers count up to the first with a trainable weight, instead of the first with an adapter.
    """
    layers = min(shared.layers, count(model, trained)) if rows else 0
    if layers < 1:
        return None
    modes = [(module, module.training) for module in model.modules()]
    model.eval()  # without dropout, so that both paths can be compared and no random number is drawn
    try:
        frozen = FrozenLayers(model, layers, prefix)
        if not _equals_plain_path(model, frozen, rows, prefix):
            return None
    except (AttributeError, IndexError, TypeError, ValueError):  # an architecture whose layers return something else
        return None
    finally:
        for module, mode in modes:
            module.train(mode)
    frozen.store, frozen.key = shared, _identity(model, layers)
    return frozen


def count(model, trained: bool = False) -> int:
    """How many of the lowest layers never change: all without an adapter, none if something outside the layers is
    adapted, such as the embeddings. `trained`: as for `below`."""
    if trained:
        adapted = [value for _, value in tree_flatten(model.trainable_parameters())]
    else:
        adapted = [value for name, value in tree_flatten(model.parameters()) if name.rpartition(".")[2] == "lora_a"]
    adapted, layers = set(map(id, adapted)), list(model.layers)
    inside = [{id(value) for _, value in tree_flatten(layer.parameters())} for layer in layers]
    if adapted - set().union(*inside):
        return 0
    changes = [
        bool(arrays & adapted) or any(isinstance(module, nn.Dropout) for module in layer.modules())
        for layer, arrays in zip(layers, inside)
    ]
    return changes.index(True) if True in changes else len(layers)


class FrozenLayers:
    """The lowest layers of a model and the prefix that its rows share. Made by `below`."""

    def __init__(self, model, layers: int, prefix: np.ndarray):
        self.store, self.key = None, None
        self._model, self._layer, self._start = model, model.layers[layers - 1], len(prefix)
        self._caches = reply_logits.caches_to_share(model) if len(prefix) else None
        self._beginning = self._run(mx.array(prefix[None]), self._caches) if len(prefix) else None
        mx.eval(self._beginning)

    def replaced(self, hidden: mx.array | None = None):
        """A context in which the layers' output is `hidden` (rows, length, size); by default, that for the prefix."""
        hidden = self._beginning if hidden is None else hidden
        return _passed_on(self._layer, lambda _: hidden)

    def add_to(self, groups: list[tuple], rows: list[reply_logits.Row]) -> list[tuple]:
        """Groups as `reply_logits.grouped` makes them of these rows in this order, each with its rows' hidden states,
        (rows, length, size): zeros where no selected token depends on them."""
        states, added = iter(self._states(rows)), []
        for group in groups:
            count, length = group[0].shape
            found = [next(states) for _ in range(count)]
            padded = np.zeros((count, length, found[0].shape[1]), found[0].dtype)
            for at, state in enumerate(found):
                padded[at, : len(state)] = state
            added.append((*group, _to_mlx(padded, self._dtype)))
        return added

    def _states(self, rows: list[reply_logits.Row]) -> list[np.ndarray]:
        """What the layers make of each row's tokens after the prefix, up to the last that a selected one depends on."""
        keys = [self._key_of(row) for row in rows]
        found = [self.store.get(key, self._start) if self.store else None for key in keys]
        missing = [at for at, state in enumerate(found) if state is None]
        for at, state in zip(missing, self._compute([rows[at] for at in missing])):
            found[at] = state
            if self.store:
                self.store.put(keys[at], self._start, state)
        if self.store:
            self.store.found += len(rows) - len(missing)
            self.store.computed += len(missing)
        return found

    def _key_of(self, row: reply_logits.Row) -> tuple:
        ids = np.ascontiguousarray(row[0][: self._end(row)], dtype=np.int32)
        return self.key, hashlib.sha256(ids.tobytes()).digest()

    def _end(self, row: reply_logits.Row) -> int:
        return max(int(row[1][-1]) if len(row[1]) else 0, self._start)

    def _compute(self, rows: list[reply_logits.Row]) -> list[np.ndarray]:
        if not rows:
            return []
        groups, found = reply_logits.grouped(rows, self._start), []
        for (inputs, *_), stream in zip(groups, reply_logits.streams()):
            with mx.stream(stream):
                caches = reply_logits.rows_of(self._caches, len(inputs)) if self._caches else None
                found.append(self._run(inputs, caches))
        mx.eval(found)
        each = iter([_to_numpy(states) for group in found for states in group])
        return [np.array(states[: self._end(row) - self._start]) for row, states in zip(rows, each)]  # without the rest

    def _run(self, inputs: mx.array, caches: list | None) -> mx.array:
        """The layers' output for (rows, length) token ids. Raises ValueError if it isn't one vector for each token."""
        try:
            with _passed_on(self._layer, _stop):
                self._model(inputs, cache=caches)
        except _Reached as reached:
            hidden = reached.args[0]
            if not isinstance(hidden, mx.array) or hidden.ndim != 3 or hidden.shape[:2] != inputs.shape:
                raise ValueError("the layer doesn't return one vector for each token") from None
            self._dtype = hidden.dtype
            return hidden
        raise ValueError("the model doesn't call this layer")


class _Reached(Exception):
    """The layer was called; no layer above is, so that no random number is drawn for its dropout."""


def _stop(output) -> None:
    raise _Reached(output)


@contextmanager
def _passed_on(layer: nn.Module, change: Callable) -> Iterator[None]:
    """In the block, the layer returns `change(its output)`."""
    kind = type(layer)

    def call(self, *arguments, **named):
        return change(kind.__call__(self, *arguments, **named))

    layer.__class__ = type(kind.__name__, (kind,), {"__call__": call})
    try:
        yield
    finally:
        layer.__class__ = kind


def _equals_plain_path(model, frozen: FrozenLayers, rows: list[reply_logits.Row], prefix: np.ndarray) -> bool:
    plain = reply_logits.grouped(rows, len(prefix))
    shared = reply_logits.grouped(rows, len(prefix), frozen)
    wanted = reply_logits.nats_function(model, prefix)(model, plain)
    found = reply_logits.nats_function(model, prefix, frozen=frozen)(model, shared)
    close = [
        (mx.abs(one - other) * group[3]).max() <= NEAR  # false for NaN
        for one, other, group in zip(wanted, found, plain)
    ]
    return all(one.item() for one in close)


def _identity(model, layers: int) -> bytes:
    """A digest of everything that the layers' output depends on: weights, their types, and the model's settings."""
    above = {id(value) for layer in model.layers[layers:] for _, value in tree_flatten(layer.parameters())}
    digest = hashlib.sha256(f"{layers} {type(model).__module__} {getattr(model, 'args', None)!r}".encode())
    for name, value in tree_flatten(model.parameters()):
        if id(value) not in above:
            digest.update(f"{name} {value.dtype} {value.shape}".encode())
            digest.update(np.asarray(value.reshape(-1).view(mx.uint8)))
    return digest.digest()


def _to_numpy(array: mx.array) -> np.ndarray:
    """NumPy has no bfloat16: its bits, as integers."""
    return np.array(array.view(mx.uint16) if array.dtype == mx.bfloat16 else array)


def _to_mlx(array: np.ndarray, dtype: mx.Dtype) -> mx.array:
    return mx.array(array).view(dtype) if dtype == mx.bfloat16 else mx.array(array)
