"""Seconds and memory of each step, separate from the results so that those can be compared between runs."""

import os
import platform
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from .files import update_json

clock = time.perf_counter


def record(run: Path, step: str, seconds: float, **more) -> None:
    """Add `{step: {"seconds", "peak_memory_gigabytes", "finished" (UTC), …}}` to the run's cost.json, and where it ran
    as "machine"."""
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    finished = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    put(
        run, step, {"seconds": round(seconds, 1), "peak_memory_gigabytes": round(peak, 2), "finished": finished, **more}
    )
    put(run, "machine", machine())


def machine() -> dict:
    """The machine that measures: `system`, `processor` and `cores`; not its name, which can be a person's."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }


def put(run: Path, name: str, value: dict) -> None:
    """Set one entry of the run's cost.json."""
    update_json(run / "cost.json", lambda costs: costs | {name: value}, {})
