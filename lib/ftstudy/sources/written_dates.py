"""Reads dates and times as phones and spreadsheets write them, in any order, alphabet and language.

A text is reduced to its shape: the same text with each number replaced by 9. How to read a shape is worked out once;
after that a line costs a look-up. The names of months and of the halves of the day are the CLDR's, in Babel.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from typing import NamedTuple

ORDERS = {"dmy": (2, 1, 0), "mdy": (2, 0, 1), "ymd": (0, 1, 2)}  # the positions of year, month and day
# A two-digit year is neither before the apps existed nor in the future: 31.12.23 is not in 2031.
FIRST_DAY, LAST_DAY = date(2009, 1, 1), date.today() + timedelta(days=2)
BUDDHIST, MINGUO = -543, 1911  # years from those of Thailand and Taiwan to the common ones
LANGUAGES = (
    "en de fr es it pt nl ru tr id pl ar hi zh zh_Hant ja ko vi th uk cs sv da nb fi el he hu ro fa bg hr sr sk sl ca"
    " et lv lt mk sq az uz kk ky ka am af bn gu kn ml mr pa ta te ur ms fil sw zu ga gl eu is be bs hy mn ne si km lo my"
).split()

_INVISIBLE = re.compile("[\u200b\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff]")
_NUMBER = re.compile(r"\d+")
_BETWEEN = re.compile(r"[\s.,،、·;॰|()/-]+")  # between words
_DATE_SEPARATORS = {"/", ".", "-", "年", "月", "년", "월", "‐", "‑", "–"}
_TIME_SEPARATORS = {":", ".", "h", "：", "時", "时", "시", "點", "点", "٫", "分", "분", "'"}
_CLOSING = re.compile("^[日일秒초分분]")  # after the last number of a date or time
_ZONE = re.compile(r"\s*(?:UTC|GMT|Z|(?:UTC|GMT)?\s?(?P<sign>[+-])(?P<hours>[01]\d):?(?P<minutes>[0-5]\d))$")
_LONGEST = (3, 14)  # words, and characters of one, that are not known; more is what somebody wrote

# Halves of the day that the CLDR lacks, or calls otherwise -> their hours.
_MORNING, _AFTERNOON = range(0, 12), range(12, 24)
_MORE_HALVES = {
    **dict.fromkeys("vorm dop de öö 오전 上午 凌晨 清晨 早上 午前 पूर्वाह्न पूर्व".split(), _MORNING),
    **dict.fromkeys("nachm odp du ös 오후 下午 午後 अपराह्न अप".split(), _AFTERNOON),
    "中午": range(11, 14),
    "晚上": range(18, 24),
}
_MORE_WORDS = {
    "hi": "पूर्वाह्न अपराह्न",
    "fi": "klo",
    "fr": "à",
    "hr": "u",
    "mk": "во",
    "bg": "г ч",
    "sl": "ob",
    "sv": "kl",
}


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
    if not 2 <= len(year) <= 4 or len(month) > 2 or len(day) > 2:
        return None
    number = int(year)
    candidates = {2: (number + 2000, number + 2500 + BUDDHIST), 3: (number + MINGUO,), 4: (number, number + BUDDHIST)}
    for place, candidate in enumerate(candidates[len(year)]):
        try:
            when = date(candidate, int(month), int(day))
        except ValueError:
            continue
        if FIRST_DAY <= when <= LAST_DAY:
            return when
        common = when if len(year) == 4 and place == 0 and not 2500 < number < 2600 else None
        if common:
            return common
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
        if (
            not all(piece in _DATE_SEPARATORS for piece in between)
            or len(set(between)) > 1
            and "年년".find(between[0]) < 0
        ):
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
    weekdays = _names()[3] if any(words.values()) else set()
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
    words = [one for one in _BETWEEN.split(_CLOSING.sub(" ", piece.casefold())) if one]
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
        if hours := _MORE_HALVES.get(name) or _HALVES_OFTEN.get(name) or _names()[0].get(name):
            return others, tuple(hours)
    return None


def _month_in(outer: dict[int, str], dates: range) -> tuple[int, int, str, str] | None:
    """(place of the piece with the name of a month, the month, its name, the piece's other words)"""
    for at in (dates.start + 1, dates.start):
        for name, others in _runs(_words(outer.get(at, "")) or []):
            if month := _names()[1].get(name):
                return at, month, name, " ".join(others)
    return None


_HALVES_OFTEN = {"am": _MORNING, "pm": _AFTERNOON}


@cache
def _names() -> tuple[dict[str, tuple[int, ...]], dict[str, int], dict[str, str], set[str]]:
    """(half of the day -> its hours, month -> its number, each of these words and of those between -> its language,
    days of the week).

    Where languages disagree, the one that comes first in LANGUAGES counts.
    """
    from babel import Locale

    halves: dict[str, tuple[int, ...]] = {}
    months: dict[str, int] = {}
    languages: dict[str, str] = {}
    weekdays: set[str] = set()
    for language in LANGUAGES:
        locale = Locale.parse(language)
        rules = {name: _hours(rule) for name, rule in locale.day_period_rules.get(None, {}).items()}
        rules |= {"am": tuple(_MORNING), "pm": tuple(_AFTERNOON)}
        words = set()
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for name, word in locale.day_periods.get(context, {}).get(width, {}).items():
                    if name in rules:
                        halves.setdefault(_one_word(word), rules[name])
                        words.update(_BETWEEN.split(word.casefold()))
                weekdays.update(map(_one_word, locale.days[context][width].values()))
                for number, word in locale.months[context][width].items():
                    months.setdefault(_one_word(word), number)
                    words.add(_one_word(word))
        for formats in (locale.datetime_formats, locale.date_formats, locale.time_formats):
            for pattern in formats.values():
                quoted = " ".join(re.findall("'([^']+)'", getattr(pattern, "pattern", pattern)))
                words.update(_BETWEEN.split(quoted.casefold()))
        for word in words - {"", "am", "pm", "a", "p", "m"}:
            languages.setdefault(word, language.partition("_")[0])
    return (
        halves,
        months,
        languages | {word: one for one, more in _MORE_WORDS.items() for word in more.split()},
        weekdays,
    )


def _one_word(name: str) -> str:
    return "".join(_BETWEEN.split(name.casefold()))


def is_known(word: str) -> bool:
    """Whether a word belongs to a date in some language."""
    return word in _names()[2]


def orders_of_words(words: Iterable[str]) -> set[str]:
    """The orders of day, month and year in the languages of the words of a date."""
    languages = {language for word in words if (language := _names()[2].get(word))}
    return set(ORDERS).intersection(*map(orders_in, languages)) or set(ORDERS)


def _hours(rules: list[dict]) -> tuple[int, ...]:
    """The hours of a part of the day, from rules such as {"from": 64800, "before": 0} in seconds."""
    found = []
    for rule in rules:
        start, end = (rule.get(key, rule.get("at", 0) + more) // 3600 for key, more in (("from", 0), ("before", 3600)))
        found += [hour % 24 for hour in range(start, end if end > start else end + 24)]
    return tuple(found)


@cache
def orders_in(language: str) -> set[str]:
    """The orders of day, month and year in the countries where a language is spoken; all of them for one not known."""
    from babel import Locale, UnknownLocaleError, localedata

    orders = set()
    for name in localedata.locale_identifiers():
        if name.split("_")[0] == language:
            with suppress(UnknownLocaleError, ValueError):
                letters = re.sub("[^dmy]", "", Locale.parse(name).date_formats["short"].pattern.lower())
                orders.add("".join(dict.fromkeys(letters)))
    return orders & set(ORDERS) or set(ORDERS)
