"""Which order of day, month and year a file has, and the moments that its headers then mean."""

from collections.abc import Iterator
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from ...errors import StudyError
from ...paths import shown
from .. import exports
from .headers import ORDERS, Header

IN_WORDS = {"dmy": "day/month/year", "mdy": "month/day/year", "ymd": "year/month/day"}
DAY = 86_400


def order_of(file: Path, text: str, headers: list[Header], wanted: str, notes: list) -> str:
    """The one order under which every date can be read; what decided it goes to `notes`."""
    if wanted:
        _check(file, text, headers, wanted)
        return wanted
    dates = {header.numbers: header.readings for header in headers}
    misread = {order: [numbers for numbers, found in dates.items() if order not in found] for order in ORDERS}
    fitting = _distinct([order for order in ORDERS if not misread[order]], dates)
    if not fitting:
        examples = ", ".join(f"{'/'.join(numbers[0])} is not {IN_WORDS[order]}" for order, numbers in misread.items())
        raise StudyError(
            f"{shown(file)}: no one order of day, month and year reads all of its dates: {examples}. If one of these "
            "lines was pasted into a message, put a space before it; if two exports were joined, give them apart."
        )
    evidence = [f"{len(bad):,} cannot be {IN_WORDS[order]}" for order, bad in misread.items() if bad]
    if len(fitting) > 1:
        fitting = [order for order in fitting if not _steps_back(headers, order)] or fitting
        evidence.append("in any other order its messages would go back in time")
    if len(fitting) > 1:
        numbers, found = next((n, f) for n, f in dates.items() if len({f[order] for order in fitting}) > 1)
        examples = " or ".join(f"{found[order]} ({order})" for order in fitting)
        raise StudyError(
            f"{shown(file)}: its dates can be read in more than one way: {'/'.join(numbers)} is {examples}. Say which "
            f"it is, with DATE_ORDER={fitting[0]} or --date-order {fitting[0]} and the like."
        )
    evidence = "; ".join(evidence) or "every order reads them alike"
    notes.append(f"{shown(file)}: its {len(dates):,} dates were read as {IN_WORDS[fitting[0]]}: {evidence}.")
    return fitting[0]


def _check(file: Path, text: str, headers: list[Header], order: str) -> None:
    """StudyError, with its line, for the first date that the order cannot read."""
    for header in headers:
        if order not in header.readings:
            raise StudyError(
                f"{shown(file)}, line {text.count(chr(10), 0, header.start) + 1:,}: "
                f"{text[header.start : header.start + 60].partition(chr(10))[0]!r} has no date in the order "
                f"{IN_WORDS[order]} ({order}). Give another DATE_ORDER or none; if the line was pasted into a message, "
                "put a space before it."
            )


def _distinct(orders: list[str], dates: dict[tuple, dict[str, date]]) -> list[str]:
    """The orders without those that read every date as an earlier one does."""
    kept = {}
    for order in orders:
        kept.setdefault(tuple(found[order] for found in dates.values()), order)
    return list(kept.values())


def _steps_back(headers: list[Header], order: str) -> bool:
    """Whether a message is more than a day older than the one before it; an export is in the order of time."""
    times = (header.readings[order].toordinal() * DAY + header.second for header in headers)
    return any(after < before - DAY for before, after in pairwise(times))


def times(headers: list[Header], order: str, zone: ZoneInfo) -> Iterator[int]:
    """Microseconds since 1970 UTC of each header."""
    before = 0
    for header in headers:
        day, second = header.readings[order], header.second
        local = datetime(day.year, day.month, day.day, second // 3600, second // 60 % 60, second % 60, tzinfo=zone)
        time = exports.microseconds(local)
        if time < before:  # perhaps the second pass through the hour when summer time ends
            later = exports.microseconds(local.replace(fold=1))
            time = later if later >= before else time
        yield time
        before = time
