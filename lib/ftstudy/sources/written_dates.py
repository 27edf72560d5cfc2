"""Reads dates and times as phones and spreadsheets write them, in any order, alphabet and language.

A text is reduced to its shape: the same text with each number replaced by 9. How to read a shape is worked out once;
after that a line costs a look-up.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from typing import NamedTuple

from .date_words import BETWEEN, ORDERS, half_of_day, is_known, names

# A two-digit year is neither before the apps existed nor in the future: 31.12.23 is not in 2031.
FIRST_DAY, LAST_DAY = date(2009, 1, 1), date.today() + timedelta(days=2)
BUDDHIST, MINGUO = -543, 1911  # years from those of Thailand and Taiwan to the common ones

_INVISIBLE = re.compile("[\u200b\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff]")
_NUMBER = re.compile(r"\d+")
_DATE_SEPARATORS = {"/", ".", "-", "年", "月", "년", "월", "‐", "‑", "–"}
_TIME_SEPARATORS = {":", ".", "h", "：", "時", "时", "시", "點", "点", "٫", "分", "분", "'"}
_CLOSING = re.compile("^[日일秒초分분]")  # after the last number of a date or time
_ZONE = re.compile(r"\s*(?:UTC|GMT|Z|(?:UTC|GMT)?\s?(?P<sign>[+-])(?P<hours>[01]\d):?(?P<minutes>[0-5]\d))$")
_LONGEST = (3, 14)  # words, and characters of one, that are not known; more is what somebody wrote


class Stamp(NamedTuple):
    """A date and time as written."""

    numbers: tuple[str, str, str]  # of the date, in the order in which they are written; a month in words is M9
    second: int  # of the day
    form: tuple  # the same in all dates that one phone wrote
    words: tuple[str, ...] = ()  # in it, in lower case: a month, a half of the day, or others such as "at"


class Plan(NamedTuple):
    """How to read the numbers of a shape."""

    date: tuple[int | str, ...]  # which numbers are the date; a month in words is M9
    clock: slice  # … and which the time
    hours: tuple[int, ...]  # those of the half of the day that it names, or ()
    form: tuple
    words: tuple[str, ...]


def stamp_of(text: str) -> Stamp | None:
    """The date and time that a text consists of; None if it is anything else, or no such time exists."""
    plan = _plan(_NUMBER.sub("9", text))
    if plan is None:
        return None
    numbers = _NUMBER.findall(text)
    clock = [int(one) for one in numbers[plan.clock]]
    hour, minute, second = (*clock, 0)[:3]
    if hour > 23 or minute > 59 or second > 59:
        return None
    if plan.hours and hour <= 12:
        hour = min((hour % 12, hour % 12 + 12), key=lambda one: min(_apart(one, other) for other in plan.hours))
    found = tuple(one if isinstance(one, str) else numbers[one] for one in plan.date)
    return Stamp(found, hour * 3600 + minute * 60 + second, plan.form, plan.words) if readings(*found) else None


def moment_of(text: str) -> datetime | None:
    """The moment that a text says without leaving any doubt: with the month in words or the year first. Without a zone in
    the text, the datetime has none."""
    zone = _ZONE.search(text)
    text = text[: zone.start()] if zone else text
    for written in (text, f"{text} 00:00", text.partition(" ")[2]):  # the last without the day of the week
        stamp = stamp_of(written)
        if stamp is None or not all(is_known(word) for filler in stamp.form[-1] for word in filler.split()):
            continue
        found = readings(*stamp.numbers)
        if len(found) == 1 and (stamp.form[2] or len(stamp.numbers[0]) == 4):
            (day,) = found.values()
            clock = time(stamp.second // 3600, stamp.second // 60 % 60, stamp.second % 60)
            return datetime.combine(day, clock, _zone(zone) if zone else None)
    return None


def _zone(match: re.Match) -> tzinfo:
    if not match["sign"]:
        return UTC
    away = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"] or 0))
    return timezone(-away if match["sign"] == "-" else away)


def _apart(one: int, other: int) -> int:
    """Hours between two hours of the clock."""
    return min((one - other) % 24, (other - one) % 24)


@cache
def readings(*numbers: str) -> dict[str, date]:
    """Order -> the date that three numbers mean in that order, for every order that is possible."""
    found = {}
    for order, places in ORDERS.items():
        year, month, day = (numbers[place] for place in places)
        in_words = any(one[0] == "M" for one in numbers)
        if in_words and (month[0] != "M" or (order == "ymd" and len(year) < 3)):
            continue
        when = _date(year, month.removeprefix("M"), day)
        if when:
            found[order] = when
    return found


def _date(year: str, month: str, day: str) -> date | None:
    """The day, if it exists. A long year may be any; a short one, or that of another calendar, is one of the apps' time."""
    if not 2 <= len(year) <= 4 or len(month) > 2 or len(day) > 2:
        return None
    number = int(year)
    if len(year) == 4 and not 2500 < number < 2600:
        return _day(number, month, day)
    years = {2: (number + 2000, number + 2500 + BUDDHIST), 3: (number + MINGUO,), 4: (number + BUDDHIST,)}[len(year)]
    days = (_day(one, month, day) for one in years)
    return next((one for one in days if one and FIRST_DAY <= one <= LAST_DAY), None)


def _day(year: int, month: str, day: str) -> date | None:
    try:
        return date(year, int(month), int(day))
    except ValueError:
        return None


def calendar_of(year: str, found: date) -> str:
    """The calendar in which a year is written, if it isn't the common one: "Buddhist", "Minguo" or ""."""
    if found.year % 10 ** len(year) == int(year):
        return ""
    return "Minguo" if len(year) == 3 else "Buddhist"


@lru_cache(4096)
def _plan(shape: str) -> Plan | None:
    pieces = [" ".join(_INVISIBLE.sub("", piece).split()) for piece in shape.split("9")]
    count = len(pieces) - 1
    for month_in_words in (False, True):
        dated = 2 if month_in_words else 3
        if not dated + 2 <= count <= dated + 3:
            continue
        for date_first in (True, False):
            start = 0 if date_first else count - dated
            clock = slice(dated, count) if date_first else slice(0, count - dated)
            if plan := _planned(pieces, range(start, start + dated), clock, month_in_words):
                return plan
    return None


def _planned(pieces: list[str], dates: range, clock: slice, month_in_words: bool) -> Plan | None:
    """The plan if these numbers are the date and those the time; `pieces` are what stands before, between and after."""
    inner = [pieces[at] for at in range(clock.start + 1, clock.stop)]
    if any(piece.casefold() not in _TIME_SEPARATORS for piece in inner):
        return None
    outer = {at: pieces[at] for at in range(len(pieces)) if not clock.start < at < clock.stop}
    numbers: list[int | str] = list(dates)
    separator = name = ""
    if month_in_words:
        found = _month_in(outer, dates)
        if found is None:
            return None
        at, month, name, rest = found
        outer[at] = rest
        numbers.insert(0 if at == dates.start else 1, f"M{month}")
    else:
        between = [pieces[at].strip(" ") for at in dates[1:]]
        if not all(piece in _DATE_SEPARATORS for piece in between):
            return None
        if len(set(between)) > 1 and between[0] not in "年년":
            return None
        separator = between[0]
        outer = {at: piece for at, piece in outer.items() if not dates.start < at <= dates.stop - 1}
    words = {at: _words(piece) for at, piece in outer.items()}
    if any(one is None for one in words.values()):
        return None
    named = tuple(word for at in sorted(words) for word in words[at]) + ((name,) if name else ())
    hours: tuple[int, ...] = ()
    for at in (clock.stop, clock.start):  # a half of the day is next to the time
        if not hours and (half := _half_in(words.get(at, []))):
            words[at], hours = half
    weekdays = names().weekdays if any(words.values()) else set()
    words = {at: [word for word in one if word not in weekdays] for at, one in words.items()}
    fillers = tuple(" ".join(one) for at, one in sorted(words.items()) if one)
    if sum(len(one) for one in words.values()) > _LONGEST[0] or any(
        len(word) > _LONGEST[1] for one in words.values() for word in one
    ):
        return None
    form = (separator, clock.start > 0, month_in_words, fillers)
    return Plan(tuple(numbers), clock, hours, form, named)


def _words(piece: str) -> list[str] | None:
    """The words of a piece, or None if it has anything else than words, commas and full stops."""
    words = [one for one in BETWEEN.split(_CLOSING.sub(" ", piece.casefold())) if one]
    return words if all(_is_word(one) for one in words) else None


def _is_word(text: str) -> bool:
    return all(one.isalpha() or unicodedata.category(one)[0] == "M" or one in "'’״׳ʼ" for one in text)


def _runs(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield runs of words, the longest first, each as one word and with the words around it."""
    for size in range(len(words), 0, -1):
        for at in range(len(words) - size + 1):
            yield "".join(words[at : at + size]), words[:at] + words[at + size :]


def _half_in(words: list[str]) -> tuple[list[str], tuple[int, ...]] | None:
    """The words without those that name a half of the day, and its hours."""
    for name, others in _runs(words):
        if hours := half_of_day(name):
            return others, hours
    return None


def _month_in(outer: dict[int, str], dates: range) -> tuple[int, int, str, str] | None:
    """(place of the piece with the name of a month, the month, its name, the piece's other words)"""
    for at in (dates.start + 1, dates.start):
        for name, others in _runs(_words(outer.get(at, "")) or []):
            if month := names().months.get(name):
                return at, month, name, " ".join(others)
    return None
