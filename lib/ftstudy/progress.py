"""How far something is: bars in a terminal and in JupyterLab but not in headless runs, and lines in a log."""

import os
import statistics
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm

from . import resource_use
from .printable import one_line

EVERY = 30  # seconds between two lines in a log
_quiet = False


def bar(iterable=None, **options):
    """A tqdm bar, hidden if nobody is watching: in papermill, nbval, pipes and logs."""
    if options.get("desc"):
        options["desc"] = one_line(options["desc"])
    return tqdm(iterable, disable=_quiet or not watched(), leave=False, **options)


@contextmanager
def quiet() -> Iterator[None]:
    """No bars meanwhile: a widget's output would keep what is left of one, an error."""
    global _quiet
    before, _quiet = _quiet, True
    try:
        yield
    finally:
        _quiet = before


def watched() -> bool:
    """True if a person sees the output as it appears."""
    if os.environ.get("FTSTUDY_HEADLESS") or os.environ.get("PYTEST_VERSION"):
        return False
    return in_notebook() or sys.stderr.isatty()


def in_notebook() -> bool:
    """True in the process of a notebook's kernel."""
    kernel = sys.modules.get("ipykernel.kernelapp")
    return kernel is not None and kernel.IPKernelApp.initialized()


def remaining(done: int, total: int, seconds_left: float | None) -> str:
    """Progress and the time left, as in "3 of 9 done, about 4 min left"."""
    said = f"{done} of {total} done"
    return said if seconds_left is None or done == total else f"{said}, about {span(seconds_left)} left"


def seconds_left(spent: dict[str, list[float]], to_come: dict[str, int]) -> float | None:
    """The time that steps to come will take, by what those of their kind took: kind -> seconds of each, kind -> number.

    By the median, because one step may be far longer than the others. None if a kind was never measured.
    """
    if any(number and not spent.get(kind) for kind, number in to_come.items()):
        return None
    return sum(number * statistics.median(spent[kind]) for kind, number in to_come.items() if number)


def span(seconds: float) -> str:
    """A time as a person says it: 45 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


@contextmanager
def ticking(describe: Callable[[float], str], every: float = EVERY) -> Iterator[None]:
    """Say how far the block is while it runs: in a terminal in a line that is renewed each second, elsewhere in a line
    `every` so many seconds if there is something new to say. `describe` gets the seconds since the block began."""
    started, ended, watching = resource_use.clock(), threading.Event(), watched()
    with bar(bar_format="{desc}") as line:

        def tick() -> None:
            last = ""
            while not ended.wait(1 if watching else every):
                said = one_line(describe(resource_use.clock() - started))
                if watching:
                    line.set_description_str(said)
                elif said != last:
                    print(f"  {said}", flush=True)
                last = said

        ticker = threading.Thread(target=tick, daemon=True)
        ticker.start()
        try:
            yield
        finally:
            ended.set()
            ticker.join()
