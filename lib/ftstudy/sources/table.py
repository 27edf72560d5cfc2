"""Reads tables with named columns (.jsonl, .csv, .tsv or .parquet) -> messages table.

For apps without their own reader, and for saved messages tables. Required columns: conversation,
sender, timestamp, text. Optional: is_owner, is_group, kind, message_id, reply_to.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pandas
import pyarrow
from pyarrow import parquet

from ..errors import StudyError
from ..failures import pass_on
from ..files.limits import limited
from ..paths import absolute, shown
from ..printable import cut
from . import KINDS, OWNER_SENDER, make_table, skip
from .exports import EPOCH, LARGEST, decode, microseconds, read_bytes, sender_of, word, zone
from .written_dates import moment_of

NEEDED = ("conversation", "sender", "timestamp", "text")
OPTIONAL = ("is_owner", "is_group", "kind", "message_id", "reply_to")
AMBIGUOUS = re.compile(r"\s*\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b")  # 20.02.2024, as spreadsheets write dates
NAME = re.compile(r"\w{1,30}")  # of a column or a kind; anything else may be a message, and is not quoted
BATCH = 20_000  # rows of a Parquet file read at a time
MOST_ROWS = 20_000_000  # a hundred times what a person writes in a life
TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, 1: True, 0: False}
# A number's unit follows from its size: seconds up to the year 5138, and the same range for each finer unit.
UNITS = ((10**11, "seconds", 1_000_000, 1), (10**14, "milliseconds", 1000, 1), (10**17, "microseconds", 1, 1))
NANOSECONDS = (math.inf, "nanoseconds", 1, 1000)


def read(file: str | Path, me=(), time_zone: str = "UTC") -> pandas.DataFrame:
    """Read a table into a messages table (columns: see `ftstudy.sources`).

    The owner's rows are those where `is_owner` is true or, without that column, those whose sender
    is "me" or in `me`. `timestamp` is ISO 8601, Unix time in seconds or a finer unit, or any
    date that leaves no doubt; times without a zone are in `time_zone`. Without `is_group`, a conversation in which two others write is a group.

    StudyError: a missing column, an unknown kind, an ambiguous date, no readable row, a truncated
    or foreign file, an unknown time zone, or a file that cannot be read.
    """
    file = absolute(file)
    skipped, notes = {}, []
    groups = {}  # conversation -> {"stated": True, False or None; "others": names}
    rows = _rows(_records(file, skipped), file, {OWNER_SENDER, *me}, zone(time_zone), groups, skipped, notes)
    table = make_table(rows, skipped, notes)
    if table.empty:
        why = "; ".join(f"{entry['count']:,} × {reason}" for reason, entry in skipped.items()) or "it is empty"
        raise StudyError(f"{shown(file)} has no row that can be read ({why}). Each row needs {', '.join(NEEDED)}.")
    # Only now is it known who else wrote. One row with a true is_group makes its conversation a group.
    are_groups = {
        name: len(entry["others"]) > 1 if entry["stated"] is None else entry["stated"] for name, entry in groups.items()
    }
    table["is_group"] = table["conversation"].map(are_groups).astype(bool)
    return table


def _records(file: Path, skipped: dict) -> Iterator[dict]:
    """Yield each row as a dict, column -> value."""
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
    # Only "\n" ends a line: other line separators may be part of a message.
    for number, line in enumerate(io.StringIO(decode(read_bytes(file)), newline="\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            first = first or f"line {number}: {type(error).__name__}: {error}"
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
        reason = cut(" ".join(str(error).split()), 200).rstrip(".")
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


def _rows(records, file: Path, mine: set, time_zone, groups: dict, skipped: dict, notes: list) -> Iterator[dict]:
    taken, counts, how = {}, {}, {}
    for record in records:
        conversation, sender = _word(record["conversation"]), _word(record["sender"])
        text = "" if record["text"] is None else record["text"]
        try:
            is_owner, is_group = _truth(record.get("is_owner")), _truth(record.get("is_group"))
        except (KeyError, TypeError):
            skip(skipped, "is_owner or is_group is neither true nor false", str(text))
            continue
        if not conversation or not sender or not isinstance(text, str):
            skip(skipped, "a row without conversation, sender or text", str(record)[:200])
            continue
        if is_owner is None:
            is_owner = sender in mine
        timestamp, taken_as = _time(record["timestamp"], time_zone)
        ambiguous = not timestamp and AMBIGUOUS.match(str(record["timestamp"]))
        if ambiguous:
            raise StudyError(
                f"{shown(file)} has an ambiguous date, {ambiguous[0].strip()!r}: it does not say which number is the "
                "month. Write timestamps as 2024-02-20 17:03 (ISO 8601) or as Unix time."
            )
        how[taken_as] = how.get(taken_as, 0) + 1
        group = groups.setdefault(conversation, {"stated": None, "others": set()})
        if is_group is not None:
            group["stated"] = bool(group["stated"]) or is_group
        sender = sender_of(sender, is_owner)
        if not is_owner:
            group["others"].add(sender)
        counts[conversation] = counts.get(conversation, 0) + 1
        number = _word(record.get("message_id")) or f"{conversation}#{counts[conversation]}"
        if taken.setdefault(number, conversation) != conversation:  # ids that start again in each conversation
            number = f"{conversation}/{number}"
            taken[number] = conversation
        reply_to = _word(record.get("reply_to")) or None
        if reply_to and taken.get(reply_to, conversation) != conversation and f"{conversation}/{reply_to}" in taken:
            reply_to = f"{conversation}/{reply_to}"
        yield {
            "conversation": conversation,
            "is_group": False,  # set when all senders are known
            "sender": sender,
            "is_owner": is_owner,
            "timestamp": timestamp,
            "written": str(record["timestamp"]),
            "text": text,
            "kind": _kind(record.get("kind"), text, file),
            "message_id": number,
            "reply_to": reply_to,
        }
    for taken_as, count in how.items():
        if taken_as == "local":
            notes.append(f"{count:,} timestamps have no time zone; they were read as {time_zone}.")
        elif taken_as:
            notes.append(f"{count:,} timestamps are numbers; they were read as {taken_as} since 1970.")


def _word(value) -> str:
    """A name or id, which may be a whole number; "" for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**100 else ""
    return word(value)


def _truth(value) -> bool | None:
    """True, False, or None if empty. KeyError or TypeError: anything else."""
    if isinstance(value, str):
        value = value.strip().lower()
    return None if value in (None, "") else TRUTH[value]


def _kind(kind, text: str, file: Path) -> str:
    if kind in (None, ""):
        return "text" if text.strip() else "empty"
    if not isinstance(kind, str) or kind not in KINDS:
        raise StudyError(
            f"{shown(file)} has an unknown kind, {kind if NAME.fullmatch(str(kind)) else '…'!r}. Use one of "
            f"{', '.join(KINDS)}, or remove the column."
        )
    return kind


def _time(value, time_zone) -> tuple[int, str | None]:
    """(microseconds since 1970, or 0 without a date; what was inferred: "local", a number's unit, or None)."""
    if isinstance(value, str):
        value = _number_or_date(value.strip())
    if isinstance(value, datetime):
        if value.tzinfo:
            return microseconds(value), None
        return microseconds(value.replace(tzinfo=time_zone)), "local"
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
        return 0, None
    _, unit, times, over = next((row for row in UNITS if abs(value) < row[0]), NANOSECONDS)
    return (value * times // over if isinstance(value, int) else round(value * times / over)), unit


def _number_or_date(text: str):
    for parse in (int, float, datetime.fromisoformat):
        try:
            return parse(text)
        except ValueError:
            pass
    return moment_of(text) if len(text) < 60 else None
