"""Two prompts read as turns, whatever their markup, and which turns of one correspond to which of the other.

Markup of the chat template is read by `reading`. In any other, training's contents are found, and turns between usual
markers.
"""

import re
from dataclasses import replace
from difflib import SequenceMatcher
from typing import NamedTuple

from ...chat_format import text_of
from ...chat_format.template import Template
from .reading import Reading, Span, Turn, read, squeezed

ROLES = "system|user|assistant|model|human|bot|ai|instruction|response|input|output"
SPELT = "|".join(word for role in ROLES.split("|") for word in (role.capitalize(), role.upper()))
MARKER = (
    r"<<?/?[^<>\s]{1,40}>>?"  # with the role that follows it, whatever it is called
    rf"(?:(?:{ROLES})\b:?|[^\S\n]*\w{{1,20}}:?[^\S\n]*(?=\n))?"
    rf"|\[/?[A-Z_]{{2,20}}\]|^\#{{2,}} ?\w+:?|^(?:{ROLES})\b *:?"
    rf"|\b(?-i:{SPELT}):"  # in the middle of a line
)


class Prompts(NamedTuple):
    """Both prompts of one example. Turns are numbered from 0; -1 is a system text that the template adds."""

    training: Reading
    inference: Reading
    pairs: list[tuple[int, int]]  # turns that correspond, in order
    systems: tuple[int | None, int | None]  # the system turn of each side; None: there is none

    def unpaired(self, side: int) -> list[int]:
        paired = {self.systems[side], *(pair[side] for pair in self.pairs)}
        return [at for at in range(len(self[side].roles)) if at not in paired]

    def regions(self, side: int) -> list[str]:
        """Of each turn. A turn that only one side has counts as an earlier turn, except training's question."""
        question = last_user(self.training.turns) if side == 0 else None
        earlier = set(self.unpaired(side)) - {question}
        return [
            "system" if role == "system" else "assistant" if role == "assistant" or at in earlier else "user"
            for at, role in enumerate(self[side].roles)
        ]


def read_prompts(example: dict, template: Template, training: str, inference: str) -> Prompts:
    """Both texts, with their special tokens, as turns that are paired."""
    messages, tools = example["messages"][:-1], example.get("tools")
    starts, texts = _without_starts(template, training, inference)
    given = [(message["role"], text_of(message)) for message in messages]
    special = [token for token in template.special if token in texts[0] or token in texts[1]]
    trained = _as_written(messages, template, training, texts[0], tools)
    trained = trained or read(texts[0], given, template, tools, special) or read_other_markup(texts[0], given, template)
    asked = read(texts[1], trained.turns, template, tools, special)
    asked = asked or read_other_markup(texts[1], trained.turns, template)
    systems = tuple(side.roles.index("system") if "system" in side.roles else None for side in (trained, asked))
    return Prompts(
        replace(trained, start=starts[0], full=training),
        replace(asked, start=starts[1], full=inference),
        _paired(trained.turns, asked.turns, systems),
        systems,
    )


def _without_starts(template: Template, training: str, inference: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """The start tokens of both texts, and both texts without them."""
    bos = template.tokenizer.bos_token or ""
    (count, training), (starts, inference) = template.without_bos(training), template.without_bos(inference)
    # A prompt may begin with extra special tokens or white space, and then continue as in training.
    front = inference[: max(0, inference.find(training[:20]))]
    tokens = "|".join(re.escape(token) for token in template.special if token) or "(?!)"
    extra = "".join(re.findall(tokens, front))
    blank = re.sub(tokens, "", front)
    if blank.strip():
        front = extra = blank = ""
    return (bos * count, bos * starts + extra), (training, blank + inference[len(front) :])


def _as_written(messages: list[dict], template: Template, full: str, text: str, tools) -> Reading | None:
    """The training prompt, whose contents are known; None if the template changes them."""
    roles = tuple(message["role"] for message in messages)
    spans = template.contents(messages, full, tools)
    if spans is None:
        return None
    cut = len(full) - len(text)
    spans = tuple((start - cut, end - cut) for start, end in spans)
    return Reading(text, roles, spans, template.skeleton(roles, tools))


def _paired(trained: list[Turn], asked: list[Turn], systems: tuple[int | None, int | None]) -> list[tuple[int, int]]:
    """Apart from the first system turns, turns with the same text are paired; then, between these, those with
    the same role or text, from the end."""
    numbers = [[at for at in range(len(turns)) if at != own] for turns, own in zip((trained, asked), systems)]
    keys = [[(turns[at][0], squeezed(turns[at][1])) for at in own] for turns, own in zip((trained, asked), numbers)]
    pairs = []
    for _, a0, a1, b0, b1 in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        for left, right in zip(range(a1 - 1, a0 - 1, -1), range(b1 - 1, b0 - 1, -1)):
            if any(mine == theirs for mine, theirs in zip(keys[0][left], keys[1][right])):
                pairs.append((numbers[0][left], numbers[1][right]))
    return sorted(pairs)


def last_user(turns: list[Turn]) -> int:
    """The number of the question that is answered; -1 if there is none."""
    return max((at for at, (role, _) in enumerate(turns) if role == "user"), default=-1)


# --- markup that is not the template's ------------------------------------------------------------


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
