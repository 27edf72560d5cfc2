"""Finds dates that a text calls somebody's birthday (languages: LANGUAGES)."""

import re
from collections.abc import Iterator

from babel import Locale

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "tr", "fi", "ru")


def _months() -> str:
    names = {
        name.rstrip(".").casefold()
        for language in LANGUAGES
        for width in ("wide", "abbreviated")
        for name in Locale.parse(language).months["format"][width].values()
    }
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True))


_MONTH = rf"(?:{_months()})\b\.?"
# The days in words, in English and German: third, twenty-first, dritten, einundzwanzigsten.
_DAY = (
    r"(?:(?:twenty|thirty)[ -]?)?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|(?:ten|eleven|thirteen"
    r"|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen)th|twelfth|twentieth|thirtieth"
    r"|(?:(?:ein|zwei|drei|vier|fünf|sechs|sieben|acht|neun)und)?(?:zwanzig|dreißig|dreissig)ste[nr]?"
    r"|(?:ers|zwei|drit|vier|fünf|sechs|sieb|ach|neun|zehn|elf|zwölf|(?:drei|vier|fünf|sech|sieb|acht|neun)zehn)te[nr]?"
)
_DATE = (
    r"(?:\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}(?:\. ?|[/-])\d{1,2}(?:(?:\. ?|[/-])(?:\d{4}|\d{2})|\.)?"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.|er|º|°)?(?: (?:of|de|di))? {_MONTH}(?:,? (?:de |del |of )?\d{{4}})?"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?"
    rf"|(?:(?:{_DAY})(?: of)? {_MONTH}|{_MONTH}(?: the)? (?:{_DAY}))(?:,? \d{{4}})?)(?!\w|[/-]\d)"
)
_BIRTHDAY = (
    r"(?:birthdays?|b-?day|birth ?date|date of birth|d\.?o\.?b\.?|geburtstag|geburtsdatum|geb\.?|date de naissance"
    r"|anniversaire|cumpleaños|cumple|fecha de nacimiento|compleanno|data di nascita|aniversário|data de nascimento"
    r"|verjaardag|geboortedatum|urodziny|data urodzenia|doğum (?:günü|tarihi)\w{0,3}|syntymäpäivä\w{0,4}|syntymäaika"
    r"|день рождения|днюха|дата рождения)"
)
_BORN = r"(?:born|geboren|née?|nací|nacid[oa]|nat[oa](?= (?:il|l['’]))|nasci|nascid[oa]|urodził[ao]?m? się|syntynyt|родил(?:ся|ась))"
_ANY = re.compile(rf"(?i)\b(?:{_BIRTHDAY}|{_BORN})")  # a quick test
_LINK = r"(?:['’]?s)?(?:\s?[:=,-]|\s(?:is|was|ist|war|est|es|è|é|era|on|am|le|il|el|em|a|no dia|o dia|the|den|der|mam|op|to|l['’]))"
_AFTER = re.compile(rf"(?i)(?<!\w)(?:{_BIRTHDAY}|{_BORN}){_LINK}{{0,3}}\s{{0,2}}(?P<date>{_DATE})")
_WHOSE = (
    r"(?:my|his|her|their|your|mein|sein|ihr|dein|mon|son|ton|mi|su|tu|(?:il )?(?:mio|suo|tuo)|(?:o )?(?:meu|seu|teu))"
)
_BEFORE = re.compile(
    rf"(?i)(?<![\w./-])(?P<date>{_DATE}),?(?: (?:is|ist|c['’]est|est|es|è|é))?(?: {_WHOSE})? (?:{_BIRTHDAY}|geboren)(?!\w)"
)


def find_birthdays(text: str) -> Iterator[tuple[int, int]]:
    """Yield the dates next to a word for a birthday."""
    for pattern in (_AFTER, _BEFORE) if _ANY.search(text) else ():
        yield from (match.span("date") for match in pattern.finditer(text))
