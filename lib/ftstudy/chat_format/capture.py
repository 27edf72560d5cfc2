"""Record the exact token ids that an app gives to mlx-lm, without changing the app.

    with capture.recording("sent.jsonl", split="test") as recorder:
        for row, example in enumerate(examples):
            recorder.row = row        # only where the app is not asked once a row, in order
            app.reply(example)

An inference profile reads the file back: `{"kind": "captured", "file": …}`.

All of mlx-lm's generation goes through three functions, and these are recorded: `generate_step` (and
its speculative twin) for `generate` and `stream_generate`, and `BatchGenerator.insert_segments` for
`batch_generate` and the server. An app may have imported any of them long before, so a recording
changes the functions themselves, not the names that lead to them.
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

from ..errors import StudyError
from ..files import replace_file
from ..files.reading import read_bytes, why
from ..paths import absolute, shown
from .prompts import Prompt, as_prompt, is_text

STEPS = ("generate_step", "speculative_generate_step")
_active: list["Recorder"] = []  # nested recordings all record every call
_originals: dict[str, object] = {}
_lock = threading.RLock()


@dataclass
class Recorder:
    """`split` and `row` of the next prompt (`row` counts up by itself); `rows` is what was recorded."""

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
    with replace_file(absolute(path)) as new:  # first: fail before hours of asking if the path cannot be written
        with _lock:
            if not _active:
                _change()
            _active.append(recorder)
        try:
            yield recorder
        finally:
            with _lock:
                # By identity: two recorders with the same rows are equal.
                del _active[next(at for at, other in enumerate(_active) if other is recorder)]
                if not _active:
                    _restore()
        with new.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(row) + "\n" for row in recorder.rows)


def _change() -> None:
    # `mlx_lm.generate` is a function of the package; this is the module of the same name.
    module = importlib.import_module("mlx_lm.generate")
    batches, functions = module.BatchGenerator, [getattr(module, name) for name in STEPS]
    for function in functions:
        name, code = function.__name__, function.__code__
        same = types.FunctionType(code, function.__globals__, name, function.__defaults__)
        same.__kwdefaults__ = function.__kwdefaults__
        _originals[name] = code
        setattr(module, _hook(name), _recorded_step(same))
        # Every caller that imported the function now runs this code. It has no closure, but sees its module.
        function.__code__ = _call.__code__.replace(co_names=(_hook(name),))
    _originals["insert_segments"] = batches.insert_segments
    batches.insert_segments = _recorded_batch(batches.insert_segments)


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


def _recorded_step(step):
    signature = inspect.signature(step)

    def recorded(*args, **kwargs):
        given = signature.bind_partial(*args, **kwargs).arguments
        _record(given.get("prompt", ()), [], given.get("prompt_cache"))
        return step(*args, **kwargs)

    return recorded


def _recorded_batch(insert_segments):
    signature = inspect.signature(insert_segments)

    def recorded(*args, **kwargs):
        given = signature.bind_partial(*args, **kwargs).arguments
        uids = insert_segments(*args, **kwargs)  # first: a refused batch is not recorded
        segments = given["segments"]
        caches = given.get("caches") or [None] * len(segments)
        before = given.get("all_tokens") or [[]] * len(segments)
        for parts, cache, known in zip(segments, caches, before):
            _record([token for part in parts for token in part], list(known), cache)
        return uids

    return recorded


def _record(prompt, known: list[int], cache) -> None:
    """`known`: the ids already in the cache, if the caller knows them."""
    ids = prompt.tolist() if hasattr(prompt, "tolist") else [int(token) for token in prompt]
    offsets = [getattr(layer, "offset", 0) for layer in cache or []]
    in_cache = max((offset for offset in offsets if isinstance(offset, int)), default=0)
    cached = 0 if in_cache == len(known) else in_cache
    with _lock:
        for recorder in _active:
            recorder.add([*known, *ids], cached)


# --- reading a recording ------------------------------------------------------------------


def captured_rows(path: Path) -> dict:
    """`rows`: (split, row) -> prompt; `broken`: "line 3: why" for each line that cannot be used; `stop` and `notes`:
    the stop texts of the app's requests, and what the recording could not know."""
    try:
        lines = read_bytes(path).split(b"\n")
    except (OSError, ValueError) as error:
        raise StudyError(
            f"Cannot read the captured prompts {shown(path)} ({why(error)}). Record them again or correct `file:`."
        ) from error
    rows, broken, said = {}, [], {"stop": {}, "notes": {}}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            where, prompt = _captured_row(row)
            for key, texts in said.items():
                texts |= dict.fromkeys(text for text in row.get(key) or [] if is_text(text))
            if rows.setdefault(where, prompt) != prompt:
                raise ValueError(f"{where[0]} row {where[1]} was already recorded with another prompt")
        except (ValueError, RecursionError, StudyError) as error:
            broken.append(f"line {number}: {error}")
    return {"rows": rows, "broken": broken} | {key: list(texts) for key, texts in said.items() if texts}


def _captured_row(row) -> tuple[tuple[str, int], Prompt]:
    where = (row.get("split"), row.get("row")) if isinstance(row, dict) else (None, None)
    if not isinstance(where[0], str) or type(where[1]) is not int:
        raise ValueError('not {"split": text, "row": number, "ids" or "prompt": …}')
    if row.get("cached"):
        raise ValueError("only the end of a prompt whose start was in a prompt cache; record without the cache")
    if not isinstance(row.get("ids", []), list | None):
        raise ValueError(f"its `ids` are {repr(row['ids'])[:80]}, not a list of token ids")
    for key in ("stop", "notes"):
        if not isinstance(row.get(key) or [], list):
            raise ValueError(f"its `{key}` is {repr(row[key])[:80]}, not a list of texts")
    if row.get("messages") is not None:  # what an app sent to a server whose template is not known
        return where, as_prompt(row["messages"], "this line")
    prompt = as_prompt(row["ids"] if row.get("ids") is not None else row.get("prompt"), "this line")
    if not isinstance(prompt, str) and isinstance(prompt[0], dict):
        raise ValueError("messages, but a prompt or its token ids are needed")
    return where, prompt
