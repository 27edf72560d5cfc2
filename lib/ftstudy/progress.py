"""Progress bars, in a terminal and in JupyterLab but not in headless runs."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm

from .printable import one_line


def bar(iterable=None, **options):
    """A tqdm bar, hidden if nobody is watching: in papermill, nbval, pipes and logs."""
    if options.get("desc"):
        options["desc"] = one_line(options["desc"])
    return tqdm(iterable, disable=not watched(), leave=False, **options)


def watched() -> bool:
    """True if a person sees the output as it appears."""
    if os.environ.get("FTSTUDY_HEADLESS") or os.environ.get("PYTEST_VERSION"):
        return False
    return "ipykernel" in sys.modules or sys.stderr.isatty()


def remaining(done: int, total: int, seconds: float) -> str:
    """Progress and the time left at the same pace, as in "3 of 9 done, about 4 min left"."""
    if not done or done == total:
        return f"{done} of {total} done"
    left = seconds / done * (total - done)
    return f"{done} of {total} done, about " + (f"{left / 60:.0f} min left" if left > 90 else f"{left:.0f} s left")


@contextmanager
def unwatched(iterations: int) -> Iterator[Callable[[dict], None]]:
    """Shows nothing of a training run; `report.live_training.watching` shows it."""
    yield lambda row: None
