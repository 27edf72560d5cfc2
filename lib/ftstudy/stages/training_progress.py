"""The progress of a training run in a notebook's process, read from its metrics file."""

import json
from collections.abc import Callable
from pathlib import Path

from ..progress import span


def of(metrics: Path, iterations: int) -> Callable[[float], str]:
    """Describes a training that begins now, for `progress.ticking`. `metrics`: its file, a row each evaluation or report,
    written as it goes; `iterations`: how many it is asked for."""
    earlier = _state(metrics)
    seen: list[tuple[float, int]] = []  # (seconds, iteration) when a row was first seen

    def describe(seconds: float) -> str:
        rows = _rows(metrics, earlier)
        iteration = max((row["iteration"] for row in rows), default=0)
        if not rows:
            return f"03_train: {span(seconds)}"
        if not seen or seen[-1][1] != iteration:
            seen.append((seconds, iteration))
        losses = [row["validation_loss"] for row in rows if "validation_loss" in row]
        loss = f", validation loss {losses[-1]:.3f}" if losses else ""
        return f"03_train: iteration {iteration:,} of {iterations:,}{loss}{_left(seen, seconds, iterations)}"

    return describe


def _left(seen: list[tuple[float, int]], seconds: float, iterations: int) -> str:
    """By the pace since the first row: what comes before it, such as loading the model, comes once."""
    (start, first), (latest, now) = seen[0], seen[-1]
    if now == first or now >= iterations:
        return ""
    pace = (latest - start) / (now - first)
    return f", about {span(max(0, pace * (iterations - now) - (seconds - latest)))} left"


def _state(metrics: Path) -> tuple | None:
    """What changes when the file is written. Its time alone isn't compared with the clock: a file system's is coarser."""
    try:
        stat = metrics.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _rows(metrics: Path, earlier: tuple | None) -> list[dict]:
    """The rows of a file that is no longer as an earlier training left it."""
    if _state(metrics) == earlier:
        return []
    try:
        lines = metrics.read_text(encoding="utf-8").split("\n")
    except OSError:
        return []
    found = []
    for line in lines[:-1]:  # the last may be half written
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("iteration"), int):
            found.append(row)
    return found
