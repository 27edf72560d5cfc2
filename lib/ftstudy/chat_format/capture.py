"""Record the exact token ids that an app gives to mlx-lm, without a change to the app.

    with capture.recording("sent.jsonl", split="test") as recorder:
        for row, example in enumerate(examples):
            recorder.row = row        # only where the app is not asked once a row, in order
            app.reply(example)

The file is one of an inference profile of kind `captured`: `{"kind": "captured", "file": …}`.

Recorded is the lowest place that all of mlx-lm's generation goes through: `generate_step` (and its
speculative twin) for `generate` and `stream_generate`, and `BatchGenerator.insert_segments` for
`batch_generate` and the server. An app may have imported any of them long before, so the functions
themselves are changed while a recording lasts, not the names that lead to them.
"""

import importlib
import inspect
import json
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..files import replace_file
from ..paths import from_root

STEPS = ("generate_step", "speculative_generate_step")
_active: list["Recorder"] = []  # nested recordings all hear every call
_originals: dict[str, object] = {}
_lock = threading.RLock()


@dataclass
class Recorder:
    """Where the next prompt belongs; `row` counts on by itself, `rows` is what was recorded."""

    split: str = "test"
    row: int = 0
    rows: list[dict] = field(default_factory=list)

    def add(self, ids: list[int], cached: int) -> None:
        row = {"split": self.split, "row": self.row, "ids": ids}
        self.rows.append(row | ({"cached": cached} if cached else {}))
        self.row += 1


@contextmanager
def recording(path: str | Path, split: str = "test", row: int = 0) -> Iterator[Recorder]:
    """Record every prompt given to mlx-lm's generation until the block ends.

    Writes JSONL rows `{"split", "row", "ids"}` in the order of the calls, when the block ends
    without an error; otherwise nothing is written. A prompt whose beginning was in a prompt
    cache has `cached`, the number of tokens there: its ids are not the whole prompt.
    """
    recorder = Recorder(split, row)
    with replace_file(from_root(path)) as new:  # first: a path that cannot be written is known before hours of asking
        with _lock:
            if not _active:
                _change()
            _active.append(recorder)
        try:
            yield recorder
        finally:
            with _lock:
                # By identity: two recorders that have heard the same are equal.
                del _active[next(at for at, other in enumerate(_active) if other is recorder)]
                if not _active:
                    _restore()
        with new.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(row) + "\n" for row in recorder.rows)


def _change() -> None:
    # The package's name `mlx_lm.generate` is a function; the module stands behind it.
    module = importlib.import_module("mlx_lm.generate")
    batches, functions = module.BatchGenerator, [getattr(module, name) for name in STEPS]
    for function in functions:
        name, code = function.__name__, function.__code__
        same = types.FunctionType(code, function.__globals__, name, function.__defaults__)
        same.__kwdefaults__ = function.__kwdefaults__
        _originals[name] = code
        setattr(module, _hook(name), _heard_step(same))
        # Whoever holds the function, calls this. Code cannot take a value along, but it sees its module.
        function.__code__ = _call.__code__.replace(co_names=(_hook(name),))
    _originals["insert_segments"] = batches.insert_segments
    batches.insert_segments = _heard_batch(batches.insert_segments)


def _restore() -> None:
    module = importlib.import_module("mlx_lm.generate")
    for name in STEPS:
        getattr(module, name).__code__ = _originals.pop(name)
        delattr(module, _hook(name))
    module.BatchGenerator.insert_segments = _originals.pop("insert_segments")


def _hook(name: str) -> str:
    return f"_recorded_{name}"


def _call(*args, **kwargs):
    return _hook(*args, **kwargs)  # the name is replaced


def _heard_step(step):
    signature = inspect.signature(step)

    def heard(*args, **kwargs):
        given = signature.bind_partial(*args, **kwargs).arguments
        _tell(given.get("prompt", ()), [], given.get("prompt_cache"))
        return step(*args, **kwargs)

    return heard


def _heard_batch(insert_segments):
    signature = inspect.signature(insert_segments)

    def heard(*args, **kwargs):
        given = signature.bind_partial(*args, **kwargs).arguments
        uids = insert_segments(*args, **kwargs)  # first: a refused batch is not recorded
        segments = given["segments"]
        caches = given.get("caches") or [None] * len(segments)
        before = given.get("all_tokens") or [[]] * len(segments)
        for parts, cache, known in zip(segments, caches, before):
            _tell([token for part in parts for token in part], list(known), cache)
        return uids

    return heard


def _tell(prompt, known: list[int], cache) -> None:
    """`known` are ids of what is already in the cache, where the caller knows them."""
    ids = prompt.tolist() if hasattr(prompt, "tolist") else [int(token) for token in prompt]
    offsets = [getattr(layer, "offset", 0) for layer in cache or []]
    held = max((offset for offset in offsets if isinstance(offset, int)), default=0)
    cached = 0 if held == len(known) else held
    with _lock:
        for recorder in _active:
            recorder.add([*known, *ids], cached)
