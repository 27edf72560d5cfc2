"""The rows of a table with named columns, whether it is .jsonl, .csv, .tsv or .parquet."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow
from pyarrow import parquet

from ..errors import StudyError
from ..files.limits import limited
from ..files.reading import why
from ..machine_failures import pass_on
from ..paths import shown
from . import skip
from .exports import EPOCH, LARGEST, decode, json_lines, read_bytes

NEEDED = ("conversation", "sender", "timestamp", "text")
OPTIONAL = ("is_owner", "is_group", "kind", "message_id", "reply_to")
NAME = re.compile(r"\w{1,30}")  # of a column or a kind; anything else may be a message, and is not quoted
BATCH = 20_000  # rows of a Parquet file read at a time
MOST_ROWS = 20_000_000  # a hundred times what a person writes in a life


def records(file: Path, skipped: dict) -> Iterator[dict]:
    """Yield each row as a dict, column -> value. StudyError: a missing column, or a file that cannot be read."""
    suffix = file.suffix.lower()
    if suffix == ".parquet":
        return _parquet(file)
    return _csv(file, skipped) if suffix in (".csv", ".tsv") else _json_lines(file, skipped)


def _demand_columns(there, file: Path) -> None:
    missing = [name for name in NEEDED if name not in there]
    if missing:
        raise StudyError(
            f"{shown(file)} has no column {' and no '.join(missing)}. {_names(there)}; required are {', '.join(NEEDED)}; "
            f"{', '.join(OPTIONAL)} are optional. Rename its columns."
        )


def _names(columns) -> str:
    """The columns' names; without a header the first row takes their place, and messages are not quoted."""
    if not set(columns) & {*NEEDED, *OPTIONAL}:
        return f"None of the {len(list(columns))} names in its first line is known"
    names = [str(name) if NAME.fullmatch(str(name)) else "…" for name in list(columns)[:20]]
    return f"Its columns are {', '.join(names)}"


def _json_lines(file: Path, skipped: dict) -> Iterator[dict]:
    columns, first = {}, None
    for number, line, record in json_lines(file):
        if isinstance(record, Exception):
            first = first or f"line {number}: {type(record).__name__}: {record}"
            skip(skipped, "a line that is not JSON", f"line {number}: {line[:100]}")
            continue
        if not isinstance(record, dict):
            skip(skipped, "a line that is not a JSON object", f"line {number}: {line[:100]}")
            continue
        missing = [name for name in NEEDED if name not in record]
        if missing:
            columns |= dict.fromkeys(record)
            skip(skipped, f"without {' and '.join(missing)}", f"line {number}: {line[:100]}")
            continue
        columns |= dict.fromkeys(NEEDED)
        yield record
    if columns:
        _demand_columns(columns, file)
    elif first:
        raise StudyError(f"{shown(file)} has no line of valid JSON ({first}). Write one JSON object per line.")


def _csv(file: Path, skipped: dict) -> Iterator[dict]:
    # Not with pandas, which would turn the messages "null" and "NA" into missing values and "007" into 7.
    text = decode(read_bytes(file))
    delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header = None
    usual = csv.field_size_limit(LARGEST)  # global to the process, so it is restored below
    try:
        for fields in reader:
            if header is None:
                header = [name.strip() for name in fields]
                _demand_columns(header, file)
            elif len(fields) == len(header):
                yield dict(zip(header, fields))
            elif fields:  # a blank line has no fields
                reason = f"a row that does not have {len(header)} fields like the first line"
                skip(skipped, reason, f"line {reader.line_num}: {delimiter.join(fields)[:100]}")
    except csv.Error as error:
        raise StudyError(
            f"{shown(file)} is not valid CSV at line {reader.line_num}: {error}. A message with a comma, a quote or a new "
            "line needs quotes around it, and quotes inside it must be doubled. Export it again."
        ) from error
    finally:
        csv.field_size_limit(usual)


def _parquet(file: Path) -> Iterator[dict]:
    try:
        opened = parquet.ParquetFile(pyarrow.BufferReader(read_bytes(file)))
        there = opened.schema_arrow.names
        _demand_columns(there, file)
        if opened.metadata.num_rows > MOST_ROWS:
            raise StudyError(f"{shown(file)} has {opened.metadata.num_rows:,} rows; at most {MOST_ROWS:,} are read.")
        columns = [name for name in NEEDED + OPTIONAL if name in there]
        pyarrow.allocate_buffer(1 << 20)  # Arrow reserves a gigabyte of addresses once, which is not the file's doing
        batches = opened.iter_batches(BATCH, columns=columns, use_threads=False)
        for rows in iter(lambda: _next(batches, columns, file), None):
            yield from rows
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
        pass_on(error)
        reason = why(error, 200).rstrip(".")
        raise StudyError(
            f"{shown(file)} is not a complete Parquet file with simple columns: {reason}. Write it again."
        ) from error


def _next(batches: Iterator, columns: list[str], file: Path) -> list[dict] | None:
    """The next rows; None at the end. Raises StudyError if a small file unpacks to far more than any chat has."""
    message = (
        f"{shown(file)} unpacks to more than 1 GB for {BATCH:,} rows, so it is not a chat history. Write it again."
    )
    with limited(message, 120, 1 << 30):
        batch = next(batches, None)
        if batch is None:
            return None
        values = [_values(batch.column(name)) for name in columns]
        return [dict(zip(columns, row)) for row in zip(*values)]


def _values(column: pyarrow.Array) -> list:
    kind = column.type
    if pyarrow.types.is_date(kind):
        column = column.cast(pyarrow.timestamp("ms"))
        kind = column.type
    if pyarrow.types.is_timestamp(kind):
        # As whole numbers, because Arrow allows years that datetime does not.
        times, over = {"s": (1_000_000, 1), "ms": (1000, 1), "us": (1, 1), "ns": (1, 1000)}[kind.unit]
        start = EPOCH if kind.tz else EPOCH.replace(tzinfo=None)
        ticks = column.cast(pyarrow.int64()).to_pylist()
        return [None if tick is None else _after(start, tick * times // over) for tick in ticks]
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        values = column.cast(pyarrow.large_binary()).to_pylist()
        return [None if value is None else value.decode("utf-8", "surrogateescape") for value in values]


def _after(start: datetime, ticks: int) -> datetime | None:
    try:
        return start + timedelta(microseconds=ticks)
    except OverflowError:
        return None
