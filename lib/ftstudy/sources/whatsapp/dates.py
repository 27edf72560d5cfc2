"""Where each message starts, how the file writes its dates, and the times they mean."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ...errors import StudyError
from ...paths import shown
from .. import exports
from .phrases import HALF_DAYS, MARKS

ORDERS = {"dmy": (2, 1, 0), "mdy": (2, 0, 1), "ymd": (0, 1, 2)}  # the positions of year, month and day
IN_WORDS = {"dmy": "day/month/year", "mdy": "month/day/year", "ymd": "year/month/day"}
# A two-digit year is neither before WhatsApp existed nor in the future: 31.12.23 is not in 2031.
FIRST_DAY, LAST_DAY = date(2009, 1, 1), date.today() + timedelta(days=2)
DAY = 86_400  # seconds

_SPACE = "[ \u00a0\u2009\u202f]"
_MARK = MARKS.pattern
_HALF_DAY = "|".join(rf"\.?{_SPACE}?".join(word) + r"\.?" for word in sorted(HALF_DAYS, key=len, reverse=True))
# Every repetition has an upper bound, so that no line can make the search slow.
HEADER = re.compile(
    rf"^{_MARK}{{0,3}}(?P<bracket>\[)?"
    rf"(\d{{1,4}}){_MARK}?(?P<separator>[/.-]){_MARK}? ?(\d{{1,2}}){_MARK}?(?P=separator){_MARK}? ?(\d{{1,4}})(?!\d)\.?"
    rf"[,،]?{_SPACE}{{0,2}}(?:klo |à |um |at )?{_MARK}?"
    rf"(?:({_HALF_DAY}){_SPACE}?)?(\d{{1,2}}){_SPACE}?[:.h]{_SPACE}?(\d\d)(?:[:.](\d\d))?(?:{_SPACE}?({_HALF_DAY}))?"
    rf"{_MARK}?(?(bracket)\] ?|({_SPACE}[-–] |: ))",
    re.MULTILINE | re.IGNORECASE,
)


class Header(NamedTuple):
    """The date and time at the start of a message."""

    start: int  # characters into the text
    end: int
    numbers: tuple[str, str, str]  # of the date, in the order in which they are written
    second: int  # of the day
    form: tuple  # the same in all headers that one phone wrote

    @property
    def readings(self) -> dict[str, date]:
        return readings(*self.numbers)

    @property
    def by_iphone(self) -> bool:
        return self.form[0] == "["


def find_headers(file: Path, text: str, notes: list) -> list[Header]:
    """The headers in the most frequent form. Lines in another form were pasted into a message; `notes` counts them."""
    found = [header for match in HEADER.finditer(text) if (header := _header(match))]
    if not found:
        return []
    form, count = Counter(header.form for header in found).most_common(1)[0]
    if count < len(found):
        notes.append(
            f"{shown(file)}: {len(found) - count:,} lines start with a date in another form than the file's "
            f"{count:,} messages, so they were read as pasted text."
        )
    return [header for header in found if header.form == form]


def _header(match: re.Match) -> Header | None:
    """None if the date or time does not exist."""
    bracket, first, separator, middle, last, before, hour, minute, second, after, end = match.groups()
    hours, minutes, seconds, half = int(hour), int(minute), int(second or 0), before or after
    if hours > 23 or minutes > 59 or seconds > 59 or not readings(first, middle, last):
        return None
    if half and hours <= 12:
        hours = hours % 12 + HALF_DAYS[re.sub(r"[\s.]", "", half).lower()]
    form = (bracket, separator, second is None, half is None, end == ": ")
    return Header(*match.span(), (first, middle, last), hours * 3600 + minutes * 60 + seconds, form)


@cache
def readings(*numbers: str) -> dict[str, date]:
    """Order -> the date that three numbers mean in that order, for every order that is possible."""
    found = {}
    for order, places in ORDERS.items():
        year, month, day = (numbers[place] for place in places)
        if len(year) not in (2, 4) or len(month) > 2 or len(day) > 2:
            continue
        try:
            when = date(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day))
        except ValueError:
            continue
        if len(year) == 4 or FIRST_DAY <= when <= LAST_DAY:
            found[order] = when
    return found


def order_of(file: Path, text: str, headers: list[Header], wanted: str, notes: list) -> str:
    """The order of day, month and year that fits every date; `notes` says what decided it.

    StudyError: no order fits, several do, or the `wanted` one does not.
    """
    if wanted:
        _check_order(file, text, headers, wanted)
        return wanted
    dates = {header.numbers: header.readings for header in headers}
    misread = {order: [numbers for numbers, found in dates.items() if order not in found] for order in ORDERS}
    fitting = _distinct([order for order in ORDERS if not misread[order]], dates)
    if not fitting:
        examples = ", ".join(f"{'/'.join(numbers[0])} is not {IN_WORDS[order]}" for order, numbers in misread.items())
        raise StudyError(
            f"{shown(file)}: no order of day, month and year fits all of its dates: {examples}. If one of these lines was "
            "pasted into a message, put a space before it; if two exports were joined, read them separately."
        )
    evidence = [f"{len(bad):,} cannot be {IN_WORDS[order]}" for order, bad in misread.items() if bad]
    if len(fitting) > 1:
        fitting = [order for order in fitting if not _steps_back(headers, order)] or fitting
        evidence.append("in any other order its messages would go back in time")
    if len(fitting) > 1:
        numbers, found = next((n, f) for n, f in dates.items() if len({f[order] for order in fitting}) > 1)
        examples = " or ".join(f"{found[order]} ({order})" for order in fitting)
        raise StudyError(
            f"{shown(file)}: its dates are ambiguous: {'/'.join(numbers)} can be {examples}. Say which, with "
            f"DATE_ORDER={fitting[0]} or --date-order {fitting[0]}, for example."
        )
    evidence = "; ".join(evidence) or "every order gives the same dates"
    notes.append(f"{shown(file)}: its {len(dates):,} dates were read as {IN_WORDS[fitting[0]]}: {evidence}.")
    return fitting[0]


def _check_order(file: Path, text: str, headers: list[Header], order: str) -> None:
    """StudyError for the first date that does not fit the order."""
    for header in headers:
        if order not in header.readings:
            raise StudyError(
                f"{shown(file)}, line {text.count(chr(10), 0, header.start) + 1:,}: "
                f"{'/'.join(header.numbers)!r} is not a date in the order "
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
