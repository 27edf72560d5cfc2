"""The words in dates, in the languages that phones are set to: months, days of the week, halves of the day, and "at".

They are the CLDR's, in Babel, which says in which order each country writes day, month and year, too.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import NamedTuple

ORDERS = {"dmy": (2, 1, 0), "mdy": (2, 0, 1), "ymd": (0, 1, 2)}  # the positions of year, month and day
# Where two have the same word, the first one counts.
LANGUAGES = (
    "en de fr es it pt nl ru tr id pl ar hi zh zh_Hant ja ko vi th uk cs sv da nb fi el he hu ro fa bg hr sr sk sl ca"
    " et lv lt mk sq az uz kk ky ka am af bn gu kn ml mr pa ta te ur ms fil sw zu ga gl eu is be bs hy mn ne si km lo my"
).split()
BETWEEN = re.compile(r"[\s.,،、·;॰|()/-]+")  # what is between words
_MORNING, _AFTERNOON = tuple(range(12)), tuple(range(12, 24))
# What the CLDR lacks, or calls otherwise.
_HALVES = {
    **dict.fromkeys("am vorm dop de öö 오전 上午 凌晨 清晨 早上 午前 पूर्वाह्न".split(), _MORNING),
    **dict.fromkeys("pm nachm odp du ös 오후 下午 午後 अपराह्न".split(), _AFTERNOON),
    "中午": (11, 12, 13),
    "晚上": tuple(range(18, 24)),
}
_WORDS = {"hi": "पूर्वाह्न अपराह्न", "fi": "klo", "fr": "à", "hr": "u", "mk": "во", "bg": "г ч", "sl": "ob", "sv": "kl"}


class Names(NamedTuple):
    """Words in lower case, without spaces and full stops in them."""

    halves: dict[str, tuple[int, ...]]  # of the day -> its hours
    months: dict[str, int]
    weekdays: set[str]
    languages: dict[str, str]  # of the words of months, halves of the day, and what is between


def half_of_day(word: str) -> tuple[int, ...]:
    """The hours of a part of the day, or () for another word."""
    return _HALVES.get(word) or names().halves.get(word, ())


@cache
def names() -> Names:
    """The words of all LANGUAGES."""
    from babel import Locale

    found = Names({}, {}, set(), {word: one for one, words in _WORDS.items() for word in words.split()})
    for language in LANGUAGES:
        locale = Locale.parse(language)
        rules = {name: _hours(rule) for name, rule in locale.day_period_rules.get(None, {}).items()}
        rules |= {"am": _MORNING, "pm": _AFTERNOON}
        words = set()
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for name, word in locale.day_periods.get(context, {}).get(width, {}).items():
                    if name in rules:
                        found.halves.setdefault(one_word(word), rules[name])
                        words.update(BETWEEN.split(word.casefold()))
                for number, word in locale.months[context][width].items():
                    found.months.setdefault(one_word(word), number)
                    words.add(one_word(word))
                found.weekdays.update(map(one_word, locale.days[context][width].values()))
        for formats in (locale.datetime_formats, locale.date_formats, locale.time_formats):
            for pattern in formats.values():
                quoted = " ".join(re.findall("'([^']+)'", getattr(pattern, "pattern", pattern)))
                words.update(BETWEEN.split(quoted.casefold()))
        for word in words - {"", "am", "pm", "a", "p", "m"}:
            found.languages.setdefault(word, language.partition("_")[0])
    return found


def one_word(name: str) -> str:
    return "".join(BETWEEN.split(name.casefold()))


def _hours(rules: list[dict]) -> tuple[int, ...]:
    """The hours of a part of the day, from rules such as {"from": 64800, "before": 0} in seconds."""
    found = []
    for rule in rules:
        start, end = (rule.get(key, rule.get("at", 0) + more) // 3600 for key, more in (("from", 0), ("before", 3600)))
        found += [hour % 24 for hour in range(start, end if end > start else end + 24)]
    return tuple(found)


def is_known(word: str) -> bool:
    """Whether a word belongs to a date in some language."""
    return word in names().languages


def orders_of_words(words: Iterable[str]) -> set[str]:
    """The orders of day, month and year in the languages of the words of a date."""
    languages = {language for word in words if (language := names().languages.get(word))}
    return set(ORDERS).intersection(*map(orders_in, languages)) or set(ORDERS)


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
