"""Seconds and memory of each step, separate from the results so that those can be compared between runs."""

import resource
import sys
import time
from pathlib import Path

from .files import update_json

clock = time.perf_counter


def record(run: Path, step: str, seconds: float, **more) -> None:
    """Add `{step: {"seconds", "peak_memory_gigabytes", …}}` to the run's cost.json."""
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    put(run, step, {"seconds": round(seconds, 1), "peak_memory_gigabytes": round(peak, 2), **more})


def put(run: Path, name: str, value: dict) -> None:
    """Set one entry of the run's cost.json."""
    update_json(run / "cost.json", lambda costs: costs | {name: value}, {})
