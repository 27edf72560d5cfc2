"""Finds the names of known people in a text. Unknown names are not guessed."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from .masked_view import WALL, Span
from .name_forms import ORDINARY, RUN, WORD, forms_of, words_of
from .people import Pseudonyms

# Allowed between two words of a name.
_GAP = re.compile(r"[ \t\u00a0.'’-]{1,3}")
# What a name may be part of: a handle or a link.
_UNBROKEN = rf"[^\s<>\"“”{WALL}]*"
_REACH = 200  # characters on each side; longer links were found earlier
_HANDLE = re.compile(r"@[\w.-]+")
_LINK_WITH_PATH = re.compile(r"(?i)(?:[a-z][a-z0-9+.-]{1,20}://|www\.)?[\w-]{1,63}(?:\.[\w-]{1,63})+(?::\d+)?/.+")
# Characters before a word that do not explain its capital: spaces, direction marks, emphasis, opening quotes.
_UNSEEN = ' \t\u00a0\ufeff\ufe0f"“”„«»¿¡*_~' + "".join(
    map(chr, [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A)])
)


@dataclass
class Name:
    """A name or part of a name, and the people who have it."""

    people: list[str] = field(default_factory=list)
    only_capitalized: bool = True
    ending: int = 0  # letters at the end that are not replaced: the s of “annas”


@dataclass
class Known:
    """The names of the known people, indexed by their beginning, longest first."""

    pseudonyms: Pseudonyms
    names: dict[str, dict[tuple[str, ...], Name]]  # first word -> {all words: name}
    runs: dict[str, dict[str, Name]]  # in scripts without spaces: first character -> {all characters: name}


class Mention(NamedTuple):
    """A name in a text; if not `is_meant`, it is used as an ordinary word."""

    start: int
    end: int
    people: list[str]
    is_meant: bool


def lookup(people: Iterable[dict]) -> Known:
    """Prepare the names of `people` (from `people_of`) for `find`."""
    people = list(people)
    names, runs, genitives = {}, {}, {}
    # The owner first: “sam” alone means the person whose pseudonym is Sam.
    for person in sorted(people, key=lambda one: not one.get("pseudonym")):
        for form in forms_of(person):
            words, pieces = tuple(words_of(form.text)), RUN.findall(form.text)
            if not words:
                for run in {"".join(pieces), " ".join(pieces)}:
                    if len(run) > 1:
                        _add(runs, run, person["name"], only_capitalized=False)
            elif not pieces and (len(words) > 1 or (len(words[0]) > 1 and not words[0].isdigit())):
                only_capitalized = form.only_capitalized or (len(words) == 1 and words[0] in ORDINARY)
                name = _add(names, words, person["name"], only_capitalized)
                if form.is_given and not only_capitalized and _has_genitive(words):
                    genitives.setdefault(words[0] + "s", name)
    for word, name in genitives.items():
        names.setdefault(word, {}).setdefault((word,), replace(name, ending=1))
    return Known(Pseudonyms(people), _longest_first(names), _longest_first(runs))


def _add(index: dict, name: tuple[str, ...] | str, person: str, only_capitalized: bool) -> Name:
    entry = index.setdefault(name[0], {}).setdefault(name, Name())
    entry.only_capitalized &= only_capitalized
    if person not in entry.people:
        entry.people.append(person)
    return entry


def _has_genitive(words: tuple[str, ...]) -> bool:
    """Whether “annas” can only mean “anna’s”, and is not a name or word itself."""
    return len(words) == 1 and len(words[0]) > 3 and words[0][-1] not in "sxzß"


def _longest_first(index: dict) -> dict:
    return {
        first: {name: names[name] for name in sorted(names, key=len, reverse=True)} for first, names in index.items()
    }


def may_name(text: str, known: Known) -> bool:
    """Whether the text may contain a name: a quick test."""
    if known.names and not known.names.keys().isdisjoint(words_of(text)):
        return True
    return bool(known.runs) and bool(RUN.search(text))


def find_names(text: str, known: Known, partner: str | None) -> tuple[list[Span], int]:
    """The names to mask, and how many are not masked because they are used as ordinary words."""
    found = list(mentions(text, known))
    meant = [mention for mention in found if mention.is_meant]
    spans = []
    for mention in meant:
        span = _span(mention, text, known.pseudonyms, partner)
        if not spans or span.start >= spans[-1].end:  # a handle or link may contain two names
            spans.append(span)
    return spans, len(found) - len(meant)


def mentions(text: str, known: Known) -> Iterator[Mention]:
    if known.names:
        yield from _in_words(text, known.names)
    if known.runs:
        yield from _in_runs(text, known.runs)


def _in_words(text: str, names: dict[str, dict[tuple[str, ...], Name]]) -> Iterator[Mention]:
    keys = words_of(text)
    if names.keys().isdisjoint(keys):
        return
    words = [match.span() for match in WORD.finditer(text)]
    taken = 0  # words, up to the end of the last name
    for place, key in enumerate(keys):
        if place < taken or key not in names:
            continue
        for form, name in names[key].items():
            after = place + len(form)
            if tuple(keys[place:after]) == form and _are_together(text, words[place:after]):
                taken = after
                start, end = words[place][0], words[after - 1][1] - name.ending
                is_meant = not name.only_capitalized or _is_written_as_name(text, start, end)
                yield Mention(start, end, name.people, is_meant)
                break


def _are_together(text: str, words: list[tuple[int, int]]) -> bool:
    return all(_GAP.fullmatch(text, one[1], two[0]) for one, two in pairwise(words))


def _is_written_as_name(text: str, start: int, end: int) -> bool:
    """Whether an ordinary word is a name here: capitalized, but not at the beginning of a sentence."""
    before = text[max(0, start - 40) : start].rstrip(_UNSEEN)
    if before.endswith("@"):
        return True
    word = text[start:end]
    if not word[0].isupper() or word[1:] != word[1:].lower():
        return False
    return bool(before) and (before[-1].isalnum() or before[-1] in f",;&/)'’{WALL}")


def _in_runs(text: str, runs: dict[str, dict[str, Name]]) -> Iterator[Mention]:
    end = 0
    for run in RUN.finditer(text):
        for start in range(run.start(), run.end()):
            if start < end:
                continue
            for form, name in runs.get(text[start], {}).items():
                if text.startswith(form, start):
                    end = start + len(form)
                    yield Mention(start, end, name.people, is_meant=True)
                    break


def _span(mention: Mention, text: str, pseudonyms: Pseudonyms, partner: str | None) -> Span:
    """The span that replaces a name by its pseudonym, in capitals or lower case like the name."""
    start, end, people, _ = mention
    written = text[start:end]
    fixed = pseudonyms.fixed.get(people[0], "")
    pseudonym = pseudonyms.of(partner if partner in people else people[0])
    begin, finish = _whole(text, start, end)
    if _LINK_WITH_PATH.fullmatch(text, begin, finish):
        return Span(begin, finish, "link", "[link]")
    if finish - begin > end - start + 1 and _HANDLE.fullmatch(text, begin, finish):
        return Span(begin + 1, finish, "name", pseudonym.lower().replace(" ", ""))
    if fixed and set(words_of(written)) <= set(words_of(fixed)):  # already the owner's pseudonym
        return Span(start, end)
    if written.isupper() and len(written) > 1:
        pseudonym = pseudonym.upper()
    elif written.islower():
        pseudonym = pseudonym.lower()
    return Span(start, end, "name", pseudonym)


def _whole(text: str, start: int, end: int) -> tuple[int, int]:
    """The run of characters around a name up to the next space, without punctuation at its end."""
    before, after = text[max(0, start - _REACH) : start], text[end : end + _REACH]
    head = re.search(f"{_UNBROKEN}$", before)[0]
    tail = re.match(_UNBROKEN, after)[0].rstrip(".,;:!?)'’")
    return start - len(head), end + len(tail)
