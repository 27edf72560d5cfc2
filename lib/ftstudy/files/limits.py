"""Bounds on what strangers' templates and files can make this process do."""

import ctypes
import resource
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import StudyError

SECONDS = 20
BYTES = 2 << 30
CHARACTERS = 2_000_000  # of one rendered text, and three times what went in: no model's context is as long
EASY = 0.02  # seconds of one block that don't count against all blocks of a template together


class _Over(BaseException):
    """Not an Exception: the code that is stopped must not catch it."""


_refused: set[str] = set()
_spent: dict[str, float] = {}


@contextmanager
def limited(message: str | Callable[[], str], seconds: float = SECONDS, size: int = BYTES, *, template: str = ""):
    """Raise StudyError if the block takes longer than `seconds`, or allocates more than `size` bytes.

    `message`: the error's text, or a function that makes it, for blocks that are entered thousands of times.
    MemoryError passes if the process may use less than `size` anyway: then the machine is short of memory, whatever the
    block does. Works in every thread, so in a notebook and in an app too. A call into C is not interrupted, and memory is
    limited on Linux only. A `template` for which a block was stopped is refused at once the next time: callers
    go on with the next row. So is one whose blocks, each of them quick enough, take too long together.
    """
    if template in _refused:
        raise _refusal(message)
    block, started = object(), time.monotonic()
    end = started + seconds
    try:
        with _memory(size):
            try:
                _stop_later(block, end)
                yield
            finally:
                with _watched:
                    _ends.pop(block, None)
    except (_Over, MemoryError) as error:
        if _is_tight(size) if isinstance(error, MemoryError) else time.monotonic() < end:
            raise  # not of this block's making; or a block around it is over its time
        _refused.update([template] if template else [])
        raise _refusal(message) from None
    if template and _over_all(template, time.monotonic() - started - EASY) > seconds:
        _refused.add(template)
        raise _refusal(message)


# One thread watches all blocks: a timer's thread for each would take longer than most blocks themselves.
_watched, _earlier = threading.Lock(), threading.Event()
_ends: dict[object, tuple[float, int]] = {}  # of each running block: when it has to end, and its thread
_watch, _looks = None, 0.0  # the thread, and when it looks again


def _stop_later(block: object, end: float) -> None:
    global _watch
    with _watched:
        _ends[block] = end, threading.get_ident()
        if _watch is None or not _watch.is_alive():  # it doesn't live on in a forked process
            _watch = threading.Thread(target=_stop_all, daemon=True)
            _watch.start()
        elif end < _looks:
            _earlier.set()


def _stop_all() -> None:
    """Stop the blocks that run too long, until none is left when it looks."""
    global _watch, _looks
    while True:
        with _watched:
            now = time.monotonic()
            for block, (end, thread) in list(_ends.items()):
                if end <= now:
                    del _ends[block]
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_Over))
            if not _ends:
                _watch = None
                return
            _looks = min(end for end, _ in _ends.values())
            _earlier.clear()
        _earlier.wait(_looks - now)


def _refusal(message: str | Callable[[], str]) -> StudyError:
    return StudyError(message() if callable(message) else message)


def _over_all(template: str, seconds: float) -> float:
    """The seconds that all blocks of a template have taken, but for EASY seconds of each."""
    _spent[template] = max(0.0, _spent.get(template, 0.0) + seconds)
    return _spent[template]


def bounded(text: str, given: int, message: str) -> str:
    """The text, which was made from `given` characters; StudyError(message) if it is far longer than these."""
    if len(text) > CHARACTERS + 3 * given:
        raise StudyError(message)
    return text


_lock, _inside, _before = threading.Lock(), 0, None


@contextmanager
def _memory(size: int):
    """At most `size` bytes more for the whole process, until the last block ends in any thread."""
    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = resource.getrlimit(resource.RLIMIT_AS)
            with suppress(OSError, ValueError):  # not on every system
                resource.setrlimit(resource.RLIMIT_AS, (_lowest(_before, _used() + size), _before[1]))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                with suppress(OSError, ValueError):
                    resource.setrlimit(resource.RLIMIT_AS, _before)


def _is_tight(size: int) -> bool:
    """Whether less than `size` bytes are left to the process, by a limit that isn't this module's."""
    limits = _before if _inside else resource.getrlimit(resource.RLIMIT_AS)
    with suppress(OSError):
        return _lowest(limits, _used() + size) < _used() + size
    return False


def _used() -> int:
    """Bytes of address space in use. Raises OSError where the system doesn't say it."""
    if not sys.platform.startswith("linux"):
        raise OSError("only Linux says and enforces it")
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _lowest(limits: tuple[int, int], wanted: int) -> int:
    return min([wanted, *(limit for limit in limits if limit != resource.RLIM_INFINITY)])
