"""Finds the names of known people in a text. Unknown names are not guessed."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from .inflections import ANY, CYRILLIC, LANGUAGES_OF, LONGEST, languages_of, stems_of
from .masked_view import WALL, Span
from .name_forms import FUNCTION_WORDS, ORDINARY, RUN, WORD, fold, forms_of, german_fold, words_of
from .people import Pseudonyms

# Allowed between two words of a name.
_GAP = re.compile(r"[ \t\u00a0.'’-]{1,3}")
# What a name may be part of: a handle or a link.
_UNBROKEN = rf"[^\s<>\"“”{WALL}]*"
MOST_WORDS = 200_000  # remembered
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
    is_given: bool = False
    written: dict[tuple[str, ...], list[str]] = field(default_factory=dict)  # with its accents -> the people


@dataclass
class Known:
    """The names of the known people, indexed by their beginning, longest first."""

    pseudonyms: Pseudonyms
    names: dict[str, dict[tuple[str, ...], Name]]  # first word -> {all words: name}, all without accents
    runs: dict[str, dict[str, Name]]  # in scripts without spaces: first character -> {all characters: name}
    stems: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # what endings follow -> (name, which)
    languages: frozenset[str] = frozenset()  # of the history
    seen: dict[str, tuple] = field(default_factory=dict)  # word -> _beginnings, found earlier


class Mention(NamedTuple):
    """A name in a text; if not `is_meant`, it is used as an ordinary word."""

    start: int
    end: int
    people: list[str]
    is_meant: bool


def lookup(people: Iterable[dict], languages: frozenset[str] = frozenset()) -> Known:
    """Prepare the names of `people` (from `people_of`) for `find`. `languages`: of the history, see `inflections`."""
    people = list(people)
    names, runs = {}, {}
    # The owner first: “sam” alone means the person whose pseudonym is Sam.
    for person in sorted(people, key=lambda one: not one.get("pseudonym")):
        for form in forms_of(person):
            words, pieces = tuple(words_of(form.text)), RUN.findall(form.text)
            if not words:
                for run in {"".join(pieces), " ".join(pieces)}:
                    if len(run) > 1:
                        _add(runs, run, (), person["name"], only_capitalized=False)
            elif not pieces and (len(words) > 1 or (len(words[0]) > 1 and not words[0].isdigit())):
                only_capitalized = form.only_capitalized or (len(words) == 1 and words[0] in ORDINARY)
                for folded in dict.fromkeys((tuple(map(fold, words)), tuple(map(german_fold, words)))):
                    name = _add(names, folded, words, person["name"], only_capitalized)
                    name.is_given |= form.is_given
    stems = {}
    for forms in names.values():
        for words, name in forms.items():
            if len(words) == 1 and len(words[0]) > 2 and words[0] not in ORDINARY:
                for stem, kind in stems_of(words[0]):
                    stems.setdefault(stem, []).append((words[0], kind))
    return Known(Pseudonyms(people), _longest_first(names), _longest_first(runs), stems, languages)


def _add(index: dict, name: tuple | str, written: tuple, person: str, only_capitalized: bool) -> Name:
    entry = index.setdefault(name[0], {}).setdefault(name, Name())
    entry.only_capitalized &= only_capitalized
    for people in (entry.people, entry.written.setdefault(written, [])):
        if person not in people:
            people.append(person)
    return entry


def _longest_first(index: dict) -> dict:
    return {
        first: {name: names[name] for name in sorted(names, key=len, reverse=True)} for first, names in index.items()
    }


def may_name(text: str, known: Known) -> bool:
    """Whether the text may contain a name: a quick test."""
    if known.names and any(_beginnings(word, known) for word in words_of(text)):
        return True
    return bool(known.runs) and bool(RUN.search(text))


def _beginnings(word: str, known: Known) -> tuple:
    """The names that a word may begin: (the name's first word, letters after it, its ending's languages)."""
    found = known.seen.get(word)
    if found is None:
        if len(known.seen) >= MOST_WORDS:
            known.seen.clear()
        found = known.seen[word] = tuple(_new_beginnings(word, known))
    return found


def _new_beginnings(word: str, known: Known) -> Iterator[tuple[str, int, frozenset[str]]]:
    folded = fold(word)
    for one in dict.fromkeys((folded, german_fold(word))):
        if one in known.names:
            yield one, 0, frozenset()
    for cut in range(1, min(LONGEST, len(folded) - 2) + 1):
        for name, kind in known.stems.get(folded[:-cut], ()):
            if languages := LANGUAGES_OF[kind].get(folded[-cut:]):
                # What follows the whole name stays: annas haus, person1s haus.
                yield name, cut if kind in ("vowel", "consonant") else 0, languages


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
        yield from _in_words(text, known)
    if known.runs:
        yield from _in_runs(text, known.runs)


def _in_words(text: str, known: Known) -> Iterator[Mention]:
    keys = words_of(text)
    if not any(_beginnings(key, known) for key in keys):
        return
    words = [match.span() for match in WORD.finditer(text)]
    taken = 0  # words, up to the end of the last name
    for place in range(len(keys)):
        if place >= taken and (found := _name_at(place, keys, words, text, known)):
            mention, taken = found
            yield mention


def _name_at(place: int, keys: list[str], words: list, text: str, known: Known) -> tuple[Mention, int] | None:
    """The name that begins with this word, and the place of the first word after it."""
    for first, ending, languages in _beginnings(keys[place], known):
        for form, name in known.names[first].items():
            after = place + len(form)
            written = tuple(keys[place:after])
            if languages:
                is_name = len(form) == 1 and _is_inflected(text, *words[place], name, languages, known)
            else:
                is_name = form[1:] in (tuple(map(fold, written[1:])), tuple(map(german_fold, written[1:])))
            if not is_name or not _are_together(text, words[place:after]):
                continue
            start, end = words[place][0], words[after - 1][1] - ending
            as_name = not name.only_capitalized or _is_written_as_name(text, start, end)
            if written in name.written:
                return Mention(start, end, name.written[written], as_name), after
            if as_name and (languages or _may_lack_accents(written, form, name, text, start, end)):
                return Mention(start, end, name.people, True), after
    return None


def _is_inflected(text: str, start: int, end: int, name: Name, languages: frozenset[str], known: Known) -> bool:
    """Whether a word that could be a name with an ending of these languages is one."""
    word = text[start:end]
    if word.casefold() in ORDINARY:
        return False
    if "de" in languages:
        is_long = len(word) > 4 or not word.isascii()
        is_name = word[0].isupper() or name.is_given or not name.only_capitalized
        return is_long and is_name and word[-2].casefold() not in "sxzß"
    if ANY in languages and len(word) > 6 or CYRILLIC in languages and word[0].isupper():
        return True
    shown = languages & (known.languages | languages_of(text) | {CYRILLIC})
    # In lower case, only by somebody who writes everything so, and not in Finnish: annan means “I give”.
    return bool(shown) and (word[0].isupper() or (shown != {"fi"} and len(word) > 4 and text == text.lower()))


def _may_lack_accents(written: tuple, form: tuple, name: Name, text: str, start: int, end: int) -> bool:
    """Whether a name written with other accents is meant: jose for José, zöe for Zoë, but not marcó for Marco."""
    if len(form) > 1:
        return True
    if len(form[0]) < 3 or form[0] in ORDINARY or form[0] in FUNCTION_WORDS:
        return _is_written_as_name(text, start, end)
    return written == form or form not in name.written or text[start].isupper()


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
    parts = set(words_of(fixed)) | {"".join(words_of(fixed))}
    if fixed and parts.issuperset(words_of(written)):  # already the owner's pseudonym
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
