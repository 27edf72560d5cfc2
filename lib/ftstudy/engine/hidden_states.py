"""Arrays that several trainings and evaluations of one process share: in memory first, then on disk."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..files.folders import make_folder

SHARE = 4  # by default, a store takes a quarter of the memory and of the disk that are free


class HiddenStates:
    """What the lowest `layers` of a model make of rows of tokens, by key, for `frozen_layers.below`.

        with HiddenStates(layers=22, folder=run / "arms") as shared:
            training.train(…, shared=shared)
            likelihood.score(…, shared=shared)

    `layers`: how many to share at most; a model whose adapter starts lower shares fewer. What no longer fits in
    `memory` (bytes) goes to a file in `folder`, up to `disk` (bytes), and what fits in neither isn't kept. The file has
    no name: no one else can open it, and it is gone when the process ends, even if it is killed. Without a folder
    nothing goes to disk.
    """

    def __init__(self, layers: int, folder: Path | None = None, memory: int | None = None, disk: int | None = None):
        self.layers = layers
        self.memory = _free_memory() // SHARE if memory is None else memory
        self.in_memory = self.on_disk = 0  # bytes
        self.found = self.computed = 0  # rows
        self._kept, self._places, self._file = {}, {}, None
        if folder and disk != 0:
            make_folder(folder)
            self._file = tempfile.TemporaryFile(dir=folder)
        self.disk = 0 if not self._file else shutil.disk_usage(folder).free // SHARE if disk is None else disk

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._kept, self._places, self.in_memory, self.on_disk = {}, {}, 0, 0
        if self._file:
            self._file.close()
        self.memory = self.disk = 0  # a closed store keeps nothing

    def get(self, key, start: int) -> np.ndarray | None:
        """A row's states from token `start` on; None if they aren't kept."""
        if key in self._kept:
            first, array = self._kept[key]
            return array[start - first :] if first <= start else None
        first, place, shape, kind = self._places.get(key, (start + 1, 0, (), None))
        if first > start:  # kept without tokens that another prefix had, or not at all
            return None
        length = int(np.prod(shape)) * kind.itemsize
        with suppress(OSError):
            read = os.pread(self._file.fileno(), length, place)
            if len(read) == length:
                return np.frombuffer(read, kind).reshape(shape)[start - first :]
        return None

    def put(self, key, start: int, array: np.ndarray) -> None:
        """Keep a row's states (tokens, size) from token `start` on, if there is room. Its earlier ones are forgotten."""
        self.in_memory -= self._kept.pop(key)[1].nbytes if key in self._kept else 0
        self._places.pop(key, None)
        if self.in_memory + array.nbytes <= self.memory:
            self._kept[key] = start, array
            self.in_memory += array.nbytes
        elif self.on_disk + array.nbytes <= self.disk:
            try:
                os.pwrite(self._file.fileno(), memoryview(array).cast("B"), self.on_disk)
            except OSError:  # the disk is full, or gone
                self.disk = self.on_disk
                return
            self._places[key] = start, self.on_disk, array.shape, array.dtype
            self.on_disk += array.nbytes


def _free_memory() -> int:
    """Bytes that this process could still take, or half of all memory where the system doesn't say."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
