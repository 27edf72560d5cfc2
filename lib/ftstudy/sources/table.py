"""Reads tables with named columns (.jsonl, .csv, .tsv or .parquet) -> messages table.

For apps without their own reader, and for saved messages tables. Required columns: conversation,
sender, timestamp, text. Optional: is_owner, is_group, kind, message_id, reply_to.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas

from ..errors import StudyError
from ..paths import absolute, shown
from . import KINDS, OWNER_SENDER, make_table, skip
from .exports import microseconds, word, zone
from .table_files import NAME, NEEDED, records
from .written_dates import moment_of

AMBIGUOUS = re.compile(r"\s*\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b")  # 20.02.2024, as spreadsheets write dates
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
    rows = _rows(records(file, skipped), file, {OWNER_SENDER, *me}, zone(time_zone), groups, skipped, notes)
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


def _rows(
    found: Iterator[dict], file: Path, mine: set, time_zone, groups: dict, skipped: dict, notes: list
) -> Iterator[dict]:
    taken, counts, how = {}, Counter(), Counter()
    for record in found:
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
        how[taken_as] += 1
        group = groups.setdefault(conversation, {"stated": None, "others": set()})
        if is_group is not None:
            group["stated"] = bool(group["stated"]) or is_group
        if not is_owner:
            group["others"].add(sender)
        counts[conversation] += 1
        number = _word(record.get("message_id")) or f"{conversation}#{counts[conversation]}"
        if taken.setdefault(number, conversation) != conversation:  # ids that start again in each conversation
            number = f"{conversation}/{number}"
            taken[number] = conversation
        reply_to = _word(record.get("reply_to")) or None
        if reply_to and taken.get(reply_to, conversation) != conversation and f"{conversation}/{reply_to}" in taken:
            reply_to = f"{conversation}/{reply_to}"
        yield {
            "conversation": conversation,
            "sender": sender,
            "is_owner": is_owner,
            "timestamp": timestamp,
            "written": str(record["timestamp"]),
            "text": text,
            "kind": _kind(record.get("kind"), file),
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


def _kind(kind, file: Path) -> str:
    if kind in (None, ""):
        return "text"
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
