"""In which order a file writes day, month and year, and the times that its dates mean."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ...errors import StudyError
from ...paths import shown
from .. import exports
from ..date_words import ORDERS, orders_in, orders_of_words
from ..written_dates import calendar_of
from .headers import Header

IN_WORDS = {"dmy": "day/month/year", "mdy": "month/day/year", "ymd": "year/month/day"}
DAY = 86_400  # seconds


class Ambiguous(StudyError):
    """The dates of a file fit several orders, and nothing in it says which is meant."""


class Hints(NamedTuple):
    """What may settle the order of a file whose dates leave it open."""

    wanted: str  # the order that the user gave
    others: dict[tuple, Counter]  # style of the dates -> the orders of the folder's other files, counted


def order_of(file: Path, headers: list[Header], hints: Hints, language: Callable[[], str], notes: list) -> str:
    """The order of day, month and year that fits every date; `notes` says what decided it.

    `language` of WhatsApp's own words in the file, or "". StudyError: no order fits. Ambiguous: several do.
    """
    dates = {header.numbers: header.readings for header in headers}
    misread = {order: [numbers for numbers, found in dates.items() if order not in found] for order in ORDERS}
    fitting = _distinct([order for order in ORDERS if not misread[order]], dates)
    if not fitting:
        examples = ", ".join(f"{_written(numbers[0])} is not {IN_WORDS[order]}" for order, numbers in misread.items())
        raise StudyError(
            f"{shown(file)}: no order of day, month and year fits all of its dates: {examples}. If one of these lines was "
            "pasted into a message, put a space before it; if two exports were joined, read them separately."
        )
    evidence = [f"{len(bad):,} cannot be {IN_WORDS[order]}" for order, bad in misread.items() if bad]
    if len(fitting) > 1:
        forward = [order for order in fitting if not _steps_back(headers, order)]
        evidence += ["in any other order its messages would go back in time"] if len(forward) == 1 else []
        fitting = forward or fitting
    if len(fitting) > 1:
        fitting, reason = _settled(fitting, headers, hints, language)
        evidence.append(reason)
    if len(fitting) > 1:
        numbers, found = next((n, f) for n, f in dates.items() if len({f[order] for order in fitting}) > 1)
        examples = " or ".join(f"{found[order]} ({order})" for order in fitting)
        raise Ambiguous(
            f"{shown(file)}: its dates are ambiguous: {_written(numbers)} can be {examples}. Say which, with "
            f"DATE_ORDER={fitting[0]} or --date-order {fitting[0]}, for example."
        )
    evidence = "; ".join(filter(None, evidence)) or "every order gives the same dates"
    notes.append(f"{shown(file)}: its {len(dates):,} dates were read as {IN_WORDS[fitting[0]]}: {evidence}.")
    return fitting[0]


def _settled(
    fitting: list[str], headers: list[Header], hints: Hints, language: Callable[[], str]
) -> tuple[list[str], str]:
    """The orders that are left by what isn't in the dates, and what that is."""
    if hints.wanted in fitting:
        return [hints.wanted], "DATE_ORDER says so"
    words = {word for header in headers for word in header.stamp.words}
    spoken = language()
    for reason, possible in (
        (
            "nobody writes the month first with full stops",
            ORDERS.keys() - ({"mdy"} if headers[0].form[1] == "." else set()),
        ),
        (
            f"the words in them ({', '.join(sorted(words)[:3])}) are in a language with that order",
            orders_of_words(words),
        ),
        (f"WhatsApp's own words are in a language ({spoken}) with that order", orders_in(spoken)),
    ):
        left = [order for order in fitting if order in possible]
        if len(left) == 1:
            return left, reason
        fitting = left or fitting
    found = {one: count for one, count in hints.others.get(style_of(headers), Counter()).items() if one in fitting}
    if len(found) == 1:
        ((order, count),) = found.items()
        return [order], f"so are those of {count:,} other files in the folder"
    return fitting, ""


def style_of(headers: list[Header]) -> tuple:
    """What dates have in common that phones with the same settings wrote."""
    first = headers[0]
    has_halves = any(header.stamp.words for header in headers)
    return first.form, has_halves, tuple(len(one) > 2 for one in first.numbers)


def note_calendar(file: Path, headers: list[Header], order: str, notes: list) -> None:
    """Say that the years are of another calendar, if so."""
    year = ORDERS[order][0]
    for numbers, found in {header.numbers: header.readings[order] for header in headers}.items():
        if calendar := calendar_of(numbers[year], found):
            notes.append(f"{shown(file)}: its years are {calendar}: {numbers[year]} was read as {found.year}.")
            return


def _written(numbers: tuple[str, str, str]) -> str:
    return "/".join(number.removeprefix("M") for number in numbers)


def check_order(file: Path, text: str, headers: list[Header], order: str) -> None:
    """StudyError for the first date that does not fit the order."""
    for header in headers:
        if order not in header.readings:
            raise StudyError(
                f"{shown(file)}, line {text.count(chr(10), 0, header.start) + 1:,}: "
                f"{_written(header.numbers)!r} is not a date in the order "
                f"{IN_WORDS[order]} ({order}). Use another DATE_ORDER or none; if the line was pasted into a message, put "
                "a space before it."
            )


def _distinct(orders: list[str], dates: dict[tuple, dict[str, date]]) -> list[str]:
    """The orders without those that read every date like an earlier one."""
    kept = {}
    for order in orders:
        kept.setdefault(tuple(found[order] for found in dates.values()), order)
    return list(kept.values())


def _steps_back(headers: list[Header], order: str) -> bool:
    """Whether a message is over a day older than the one before it, although exports are sorted by time."""
    times = (header.readings[order].toordinal() * DAY + header.second for header in headers)
    return any(after < before - DAY for before, after in pairwise(times))


def times(headers: list[Header], order: str, zone: ZoneInfo) -> Iterator[int]:
    """Yield the time of each header in microseconds since 1970 UTC."""
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
