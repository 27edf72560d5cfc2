"""The simple endings that languages add to a name: Annas, Ayşenin, Annalle, Anny, Анной.

An ending that could also make another name or word (Tim, time) counts only in a text or history of its language.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

ANY = "any"  # endings that are clear in every language, after four letters or more
CYRILLIC = "ru"

# How a name's stem is made -> language -> endings, without accents.
_FINNISH = "n lle lla lta ssa sta ksi t"
_ENDINGS = {
    "vowel": {
        "de": "s",
        ANY: "lle lla lta ssa sta ksi nin nun yle yla den dan ten tan ler lar lere lara lerin larin cim cum cigim cugum",
        "fi": "n a an en in t na",
        "tr": "yi yu ye ya de da le la li lu",
    },
    "consonant": {
        "de": "s",
        ANY: "ille illa ilta issa ista den dan ten tan ler lar lere lara lerin larin cim cum cigim cugum owi",
        "fi": "in ia",
        "tr": "in un i u e a de da te ta le la",
        "sl": "a u e em om ie iem ovi ove",
        CYRILLIC: "а у ом ем е",
    },
    "a": {"sl": "y i ie e o u ou", CYRILLIC: "ы и е у ю ой ою ей ею"},  # Anna, Анна, Юля
    "soft": {CYRILLIC: "я ю ем е и"},  # Андрей, Игорь
    "fleeting": {"sl": "a u e em om ie iem ovi owi", CYRILLIC: "а у ом ем е"},  # Marek, Markiem
    "adjective": {"sl": "iego iemu im iej ich"},  # Kowalska, Kowalskiej
    "weak": {"fi": _FINNISH},  # Pekka, Pekan
    "nen": {ANY: _FINNISH},  # Virtanen, Virtaselle
}
LANGUAGES_OF = {}  # how a stem is made -> ending -> languages
for _stem, _languages in _ENDINGS.items():
    _endings = LANGUAGES_OF.setdefault(_stem, {})
    for _language, _all in _languages.items():
        for _one in _all.split():
            _endings[_one] = _endings.get(_one, frozenset()) | {_language}
LONGEST = max(len(ending) for endings in LANGUAGES_OF.values() for ending in endings)

# What shows that a text is in a language: its letters, and frequent words that others lack.
_EVIDENCE = {
    "tr": r"[ğış]|\b(?:bir|ve|çok|için|değil|var|yok|nasılsın|nerede|benim|senin|evi|geldi|gidiyorum|söyle|m[ıü]|gördün|cok|icin|degil)\b",
    "fi": r"\b(?:ja|on|kanssa|että|mutta|minä|sinä|mä|sä|luo|luona|luokse|kun|niin|nyt|oli|olen|mitä|missä|mun|sun)\b",
    "sl": r"[łęąśźćńěřůčšžďť]|\b(?:nie|jest|dla|przez|tylko|ale|jsem|není|nije|sam|kod|od|do|widze|jak|czy)\b",
}
_EVIDENCE = {language: re.compile(pattern) for language, pattern in _EVIDENCE.items()}


def stems_of(name: str) -> Iterator[tuple[str, str]]:
    """Yield what endings follow, and which (a key of LANGUAGES_OF): ("anna", "vowel"), ("ann", "a")."""
    is_vowel = name[-1] in "aeiouyаеиоуыэюя"
    yield name, "vowel" if is_vowel else "consonant"
    if name[-1] in "aая":
        yield name[:-1], "a"
    if name[-1] in "йь":
        yield name[:-1], "soft"
    if name[-2:] in ("ek", "ec", "el", "ек", "ец", "ел"):
        yield name[:-2] + name[-1], "fleeting"
    if re.search("[sc]k[ai]$", name):
        yield name[:-1], "adjective"
    if is_vowel and name[-3:-1] in ("kk", "pp", "tt"):
        yield name[:-2] + name[-1], "weak"
    if name.endswith("nen"):
        yield name[:-3] + "se", "nen"


def languages_of(text: str) -> set[str]:
    """The languages (keys of _ENDINGS' values) that a text's letters and words show."""
    lower = text.lower()
    return {language for language, pattern in _EVIDENCE.items() if pattern.search(lower)}


def frequent_languages(texts: Iterable[str], most: int = 5000, share: float = 0.1) -> frozenset[str]:
    """The languages of at least this share of the texts, three texts or more."""
    counts, number = Counter(), 0
    for text in islice(texts, most):
        number += 1
        counts.update(languages_of(text))
    return frozenset(language for language, count in counts.items() if count >= max(3, share * number))
