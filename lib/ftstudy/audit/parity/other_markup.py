"""Read a prompt whose markup is not the chat template's: find training's contents, and turns between usual markers."""

import re

from ...chat_format.template import Template
from .reading import Reading, Span, Turn

ROLES = "system|user|assistant|model|human|bot|ai|instruction|response|input|output"
SPELT = "|".join(word for role in ROLES.split("|") for word in (role.capitalize(), role.upper()))
MARKER = (
    r"<<?/?[^<>\s]{1,40}>>?"  # with the role that follows it, whatever it is called
    rf"(?:(?:{ROLES})\b:?|[^\S\n]*\w{{1,20}}:?[^\S\n]*(?=\n))?"
    rf"|\[/?[A-Z_]{{2,20}}\]|^\#{{2,}} ?\w+:?|^(?:{ROLES})\b *:?"
    rf"|\b(?-i:{SPELT}):"  # in the middle of a line
)


def read_other_markup(text: str, trained: list[Turn], template: Template) -> Reading:
    """The text as turns: training's contents with the words around them, and what is in place of the missing ones.

    `trained`: role and text of each turn in training. Words between two contents without a marker between them
    belong to the first.
    """
    marker = marker_of(trained, template)
    places = _places([content for _, content in trained], text, marker)
    found = dict(places)
    is_system_found = 0 in places and trained[0][0] == "system"
    edges = [(-1, 0), *((at, end) for at, (_, end) in places.items())]
    following = [*((at, start) for at, (start, _) in places.items()), (len(trained), len(text))]
    for (before, start), (after, end) in zip(edges, following):
        pieces = _pieces(text, start, end, marker)
        divided = len(pieces) > 1
        if before >= 0 and (words := _words(text, *pieces.pop(0))):
            found[before] = (found[before][0], words[1])
        if after < len(trained) and divided and (words := _words(text, *pieces.pop())):
            found[after] = (words[0], found[after][1])
        others = [words for piece in pieces if (words := _words(text, *piece))]
        missing = [at for at in range(before + 1, after) if trained[at][0] != "system"]
        if before < 0 and not is_system_found and others and (after < len(trained) or len(others) > 1):
            lead = max(1, len(others) - len(missing))
            system, others = (others[0][0], others[lead - 1][1]), others[lead:]
            if not (template.default_system and template.default_system in text[slice(*system)]):
                found[-1] = system
        found |= dict(zip(reversed(missing), reversed(others)))
    order = sorted(found, key=lambda at: found[at])
    roles = tuple("system" if at < 0 else trained[at][0] for at in order)
    return Reading(text, roles, tuple(found[at] for at in order), None)


def marker_of(trained: list[Turn], template: Template) -> re.Pattern:
    """What separates turns: markers as many templates have them, and all that this one writes."""
    skeleton, default = template.skeleton(tuple(role for role, _ in trained)), template.default_system
    texts = [*skeleton.markup, skeleton.end] if skeleton else []
    pieces = {piece.strip() for text in texts for piece in (text.split(default) if default else [text])}
    own = [re.escape(piece) for piece in sorted(pieces, key=len, reverse=True) if len(piece) > 1]
    return re.compile("|".join([*own, MARKER]), re.IGNORECASE | re.MULTILINE)


def _pieces(text: str, start: int, end: int, marker: re.Pattern) -> list[Span]:
    """What is between the markers in text[start:end]."""
    markers = [(start + found.start(), start + found.end()) for found in marker.finditer(text[start:end])]
    return list(zip([start, *(last for _, last in markers)], [*(first for first, _ in markers), end]))


def _words(text: str, start: int, end: int) -> Span | None:
    """The span without white space at its edges, if it has any word."""
    piece = text[start:end]
    if not re.search(r"\w", piece):
        return None
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())


def _places(known: list[str], text: str, marker: re.Pattern) -> dict[int, Span]:
    """Where the contents are in a text, in order; of several places the first one that a marker follows."""
    places, at, blank = {}, 0, re.compile(r"\s*")
    for index, content in enumerate(content.strip() for content in known):
        first = start = text.find(content, at) if content else -1
        while start >= 0:
            after = blank.match(text, start + len(content)).end()
            if after == len(text) or marker.match(text, after):
                first = start
                break
            start = text.find(content, start + len(content))
        if first >= 0:
            at = first + len(content)
            places[index] = (first, at)
    return places
