"""The headers: where each message starts, in which form, and the dates that its numbers can mean."""

import re
from collections import Counter
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ...paths import shown
from .phrases import HALF_DAYS, MARKS

ORDERS = {"dmy": (2, 1, 0), "mdy": (2, 0, 1), "ymd": (0, 1, 2)}  # where year, month and day stand
# A year of two digits is not before WhatsApp, nor in the future: 31.12.23 is not of 2031.
FIRST_DAY, LAST_DAY = date(2009, 1, 1), date.today() + timedelta(days=2)

_SPACE = "[ \u00a0\u2009\u202f]"
_MARK = MARKS.pattern
_HALF_DAY = "|".join(rf"\.?{_SPACE}?".join(word) + r"\.?" for word in sorted(HALF_DAYS, key=len, reverse=True))
# Every repetition has an upper bound, so no line can make the search slow.
HEADER = re.compile(
    rf"^{_MARK}{{0,3}}(?P<bracket>\[)?"
    rf"(\d{{1,4}}){_MARK}?(?P<separator>[/.-]){_MARK}? ?(\d{{1,2}}){_MARK}?(?P=separator){_MARK}? ?(\d{{1,4}})(?!\d)\.?"
    rf"[,،]?{_SPACE}{{0,2}}(?:klo |à |um |at )?{_MARK}?"
    rf"(?:({_HALF_DAY}){_SPACE}?)?(\d{{1,2}}){_SPACE}?[:.h]{_SPACE}?(\d\d)(?:[:.](\d\d))?(?:{_SPACE}?({_HALF_DAY}))?"
    rf"{_MARK}?(?(bracket)\] ?|({_SPACE}[-–] |: ))",
    re.MULTILINE | re.IGNORECASE,
)


class Header(NamedTuple):
    start: int  # where it stands in the text
    end: int
    numbers: tuple[str, str, str]  # of its date, as they follow each other
    second: int  # of the day
    form: tuple  # what is alike in all that one phone wrote

    @property
    def readings(self) -> dict[str, date]:
        return readings(*self.numbers)

    @property
    def by_iphone(self) -> bool:
        return self.form[0] == "["


def find(file: Path, text: str, notes: list) -> list[Header]:
    """The headers in the form that most of them have; what is in another form was pasted, and is noted."""
    found = [header for match in HEADER.finditer(text) if (header := _header(match))]
    if not found:
        return []
    form, count = Counter(header.form for header in found).most_common(1)[0]
    if count < len(found):
        notes.append(
            f"{shown(file)}: {len(found) - count:,} lines start with a date in another form than the file's "
            f"{count:,} messages, so they were taken for pasted text."
        )
    return [header for header in found if header.form == form]


def _header(match: re.Match) -> Header | None:
    """None where there is no such date or time."""
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
    """Order -> the date that the three numbers give under it, for every order that is possible."""
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
