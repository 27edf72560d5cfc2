"""The words of a text, and the ways to write a person's name."""

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from .ordinary_words import TITLES

# Scripts in which no space stands between words, or particles join them: Thai, Lao, Burmese, Khmer,
# Japanese, Chinese, Korean.
_RUNNING = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_MARKS = "\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u064b-\u065f\u0670\u0900-\u0963\u0970-\u0d7f"
# A word, with the marks that belong to its letters.
WORD = re.compile(rf"[^\W_{_RUNNING}]+(?:[{_MARKS}]+[^\W_{_RUNNING}]*)*")
# A stretch of a script without spaces.
RUN = re.compile(rf"[{_RUNNING}]+")


class Form(NamedTuple):
    """One way to write a person's name."""

    text: str
    only_capitalised: bool = False  # in small letters it is more likely something else
    is_given: bool = False  # so an s may follow it: “annas haus”


def words_of(text: str) -> list[str]:
    """The matches of WORD in a text, in the form in which words are compared."""
    return unicodedata.normalize("NFC", " ".join(WORD.findall(text)).casefold()).split()


def forms_of(person: dict) -> Iterator[Form]:
    """The ways to write a person's name; some are empty, or the same."""
    given, family = person.get("given", ""), person.get("family", "")
    name = re.sub(r" \(\d+\)$", "", person["name"])  # the number is ours, see contacts.distinct
    yield Form(name)
    yield Form(person.get("pseudonym", ""))
    yield Form(f"{given} {family}")
    yield Form(family)
    for one in (given, *given.split()[:1], *person.get("nicknames", ())):
        yield Form(one, is_given=True)
    if not given and not family:
        yield from _parts_of(name)


def _parts_of(name: str) -> Iterator[Form]:
    """A name's first word, and its last: a surname, or where somebody was met."""
    parts = [part for part in name.split() if WORD.search(part) or RUN.search(part)]
    bare = [" ".join(words_of(part)) for part in parts]
    first = next((place for place, part in enumerate(bare) if part not in TITLES), len(parts))
    if first < len(parts):
        yield Form(parts[first], is_given=first == 0)
    if first < len(parts) - 1:
        yield Form(parts[-1], only_capitalised=True)
        yield Form(f"{parts[first]} {parts[-1]}")
