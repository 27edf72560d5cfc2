"""Finds everything to mask in one text, and replaces it."""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import cycle, islice

from ..service_keys import find_keys
from .addresses import find_emails, find_streets
from .birthdays import find_birthdays
from .codes import find_codes
from .ids import find_ids
from .links import find_links
from .masked_view import MaskedView, Span
from .names import Known, find_names, lookup, may_name
from .network import find_ips, find_macs
from .phones_and_cards import find_cards, find_phones
from .places import find_places
from .plain_text import plain
from .user_names import find_user_names

ROUNDS = 20  # no message typed by a person needs more than three
UNKNOWN = lookup(())

# Kind -> function that finds it, in the order in which they run. The placeholder is the kind in brackets.
_PATTERNS = {
    "link": find_links,
    "email": find_emails,
    "key": find_keys,
    "card": find_cards,
    "location": find_places,
    "ip": find_ips,
    "mac": find_macs,
    "birthday": find_birthdays,
    "id": find_ids,
    "phone": find_phones,
    "address": find_streets,
    "code": find_codes,
    "username": find_user_names,
}
_PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(_PATTERNS)})\]")
# Left by an earlier masking: a placeholder or a pseudonym.
_MASKED = re.compile(rf"{_PLACEHOLDER.pattern}|(?i:person)\d+(?![\d@])")
# A text without any of these can only contain names to mask.
_SUSPICIOUS = re.compile(
    r"[\d@＠_]|\w ?[:=：＝]|[Ww]{3}\.|\w\.\w|[(\[{][Aa][Tt][)\]}]| (?:dot|punkt) |[Bb]irth|[Bb]day|[Gg]eb(?:urtstag|oren)|\u20e3|[Bb]earer|glpat-|-----BEGIN"
)


def find(text: str, known: Known = UNKNOWN, partner: str | None = None, region: str = "US") -> list[Span]:
    """What to mask in a text: (start, end, kind, replacement), in order, without overlaps.

    `known`: from `lookup`. `partner`: the name of the other person in a one-to-one chat. A name that
    several people share means the partner, else the first of them.
    """
    return find_and_count(text, known, partner, region)[0]


def find_and_count(text: str, known: Known, partner: str | None, region: str) -> tuple[list[Span], int]:
    """What to mask in a text, and how many names are not masked because they are ordinary words."""
    suspicious = _SUSPICIOUS.search(text)
    if not suspicious and not may_name(text, known):
        return [], 0
    patterns = _PATTERNS | {"phone": partial(find_phones, region=region)} if suspicious else {}
    kinds = [*patterns, "name"]
    spans = [Span(*match.span()) for match in _MASKED.finditer(text)]
    view, left, without_result = MaskedView(text, spans), 0, 0
    plainly = plain(view.text)
    # Repeat until nothing is found: masking one thing can make something next to it recognizable.
    for kind in islice(cycle(kinds), ROUNDS * len(kinds)):
        if kind == "name":
            found, left = find_names(view.text, known, partner)
        else:
            found = [Span(*place, kind, f"[{kind}]") for place in _apart(patterns[kind](plainly))]
        if found:
            new = [*map(view.back, found)]
            spans = sorted([*(one for one in spans if not any(_is_in(one, other) for other in new)), *new])
            view, without_result = MaskedView(text, spans), 0
            plainly = plain(view.text)
        else:
            without_result += 1
        if without_result == len(kinds):
            break
    return [span for span in spans if span.kind], left


def _is_in(one: Span, other: Span) -> bool:
    """As a link in a private key."""
    return other.start <= one.start and one.end <= other.end


def _apart(places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the places without overlaps: the one that begins first wins, then the longest."""
    last = 0
    for start, end in sorted(places, key=lambda place: (place[0], -place[1])):
        if start >= last:
            last = end
            yield start, end


def replace(text: str, spans: list[Span]) -> str:
    """The text with each span (from `find`) replaced."""
    pieces, last = [], 0
    for start, end, _, replacement in spans:
        pieces += [text[last:start], replacement]
        last = end
    return "".join([*pieces, text[last:]])


def is_masked_only(text: str) -> bool:
    """True for a text with only placeholders and white space."""
    return bool(_PLACEHOLDER.search(text)) and not _PLACEHOLDER.sub("", text).strip()
