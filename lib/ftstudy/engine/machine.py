"""What this machine can do: how much memory a process may use, and how fast it multiplies matrices."""

import os
from contextlib import suppress
from pathlib import Path

import mlx.core as mx

from ..resource_use import clock

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container
SECONDS = 0.15  # that a probe may take


def memory() -> int | None:
    """Bytes that MLX can use here: what Metal recommends, or the RAM within a container's limit; None if unknown."""
    if mx.metal.is_available():
        return mx.device_info().get("max_recommended_working_set_size")
    if mx.default_device() == mx.gpu:  # CUDA
        return mx.device_info().get("total_memory")
    found = []
    with suppress(OSError, ValueError, AttributeError):  # no sysconf on Windows
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in LIMITS:
        with suppress(OSError, ValueError):  # no container, or "max"
            found.append(int(Path(path).read_text()))
    return min((bytes for bytes in found if bytes > 0), default=None)


def speed(rows: int, inputs: int, outputs: int, dtype: mx.Dtype = mx.float32) -> float:
    """Operations per second of a product (rows, inputs) @ (inputs, outputs), measured for a fraction of a second."""
    left, right = mx.zeros((rows, inputs), dtype), mx.zeros((inputs, outputs), dtype)
    mx.eval(left @ right)
    started, done = clock(), 0
    while (spent := clock() - started) < SECONDS:
        mx.eval(left @ right)
        done += 1
    return done * 2 * rows * inputs * outputs / spent
