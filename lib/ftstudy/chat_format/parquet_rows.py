"""Rows in Parquet files, as most datasets on a hub have them. pyarrow, which reads them, is an extra."""

import math
from importlib.util import find_spec
from pathlib import Path

from ..errors import StudyError
from ..files.limits import limited
from ..files.reading import opened, why
from ..machine_failures import pass_on
from .rows import Split, features_of

INSTALL = "`pip install pyarrow`"
BATCH = 1000  # rows that are unpacked at a time
MOST = 256 << 20  # bytes of unpacked rows of one split, which take about four times as much as Python's objects
UNPACKED = 1 << 30  # bytes of one batch: a small file can unpack to anything
TOO_LARGE = f"{BATCH:,} rows of it unpack to more than 1 GB"


def can_read() -> bool:
    return find_spec("pyarrow") is not None


def read_parquet(files: list[Path], name: str, path: Path, config: dict | None = None) -> Split:
    """The rows of a split's files, counted over all of them from 1, in the place of lines. Never raises for a missing
    or damaged file: `broken` has the reason, and the rows before the damage are kept.

    `path`: how messages name the files together. At most `MOST` bytes are read; `unread` counts the rows after them.
    """
    split = Split(name, path, lines=0, features=features_of(config))
    taken = 0
    for file in files:
        try:
            taken = _read(file, split, taken)
        except Exception as error:  # Arrow's own classes, ValueError, KeyError, OSError, OverflowError, …
            pass_on(error)
            split.broken.append(f"{file.name}: {why(error)}")
    split.lines = len(split.rows)
    split.numbers = list(range(1, split.lines + 1))
    return split


def _read(file: Path, split: Split, taken: int) -> int:
    """Append a file's rows; the bytes that all rows take so far. Raises whatever is wrong with the file."""
    import pyarrow
    from pyarrow import parquet

    with opened(file) as source:
        table = parquet.ParquetFile(source)
        left = table.metadata.num_rows
        pyarrow.allocate_buffer(1 << 20)  # Arrow reserves a gigabyte of addresses once, which is not the file's doing
        batches = table.iter_batches(BATCH, use_threads=False)
        while left > 0 and taken < MOST:
            with limited(TOO_LARGE, 120, UNPACKED):
                batch = next(batches, None)
                if batch is None:
                    raise StudyError(f"it ends {left:,} rows before the number that it states")
                if batch.nbytes > UNPACKED:  # it fitted into memory that the process had before, or nothing limits that
                    raise StudyError(TOO_LARGE)
                split.rows += map(_plain, batch.to_pylist())
            left, taken = left - batch.num_rows, taken + batch.nbytes
        split.unread += left
    return taken


def _plain(value):
    """A value as JSON has it: what JSON can't say, such as a date, as text."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    is_json = value is None or isinstance(value, str | int) or isinstance(value, float) and math.isfinite(value)
    return value if is_json else str(value)
