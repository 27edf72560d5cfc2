"""A prompt with markup of another kind than the template's: what else is different in it?

The contents are looked for, and the words around them that are no markers belong to them.
"""

import re

from ...chat_format.template import Skeleton, Template
from .contents import Told, Turn, cut, of_contents, of_system

ROLES = "system|user|assistant|model|human|bot|ai|instruction|response|input|output"
SPELT = "|".join(word for role in ROLES.split("|") for word in (role.capitalize(), role.upper()))
MARKER = (
    r"<<?/?[^<>\s]{1,40}>>?"  # with the role that follows it, whatever it is called
    rf"(?:(?:{ROLES})\b:?|[^\S\n]*\w{{1,20}}:?[^\S\n]*(?=\n))?"
    rf"|\[/?[A-Z_]{{2,20}}\]|^\#{{2,}} ?\w+:?|^(?:{ROLES})\b *:?"
    rf"|\b(?-i:{SPELT}):"  # in the middle of a line
)


def other_markup(trained: list[Turn], template: Template, training: str, inference: str) -> Told:
    """`trained`: role and text of each turn that training has."""
    known = [text for _, text in trained]
    has_system = trained[:1] and trained[0][0] == "system"
    default = template.default_system
    marker = _marker(template.skeleton(tuple(role for role, _ in trained)), default)
    last = max((at for at, (role, _) in enumerate(trained) if role == "user"), default=-1)
    places = _places(known, inference, marker)
    found: Told = {}
    changed = {
        at: (known[at], inference) for at, (role, _) in enumerate(trained) if at not in places and role != "system"
    }
    edges = [(None, 0), *((at, end) for at, (_, end) in places.items())]
    following = [*((at, start) for at, (start, _) in places.items()), (None, len(inference))]
    lead = ""
    for (previous, start), (next_one, end) in zip(edges, following):
        pieces = marker.split(inference[start:end])
        if previous is not None and _words(pieces[0]):
            changed.setdefault(previous, (known[previous], known[previous] + pieces[0]))
        if next_one is not None and len(pieces) > 1 and _words(pieces[-1]):
            changed.setdefault(next_one, (known[next_one], pieces[-1] + known[next_one]))
        if previous is None:
            lead = "\n".join(filter(_words, pieces[:-1] if len(pieces) > 1 else pieces)).strip()
        if previous == last and next_one is None and (len(pieces) == 1 or _words(pieces[-1])):
            behind = training.rpartition(known[last].strip())[2]
            if behind != inference[start:]:
                found["parity.end_of_prompt"] = (behind, inference[start:], "")
    if not (has_system and 0 in places):
        if not places:  # without any content to hold on to: the first of several texts
            pieces = [piece for piece in marker.split(inference) if _words(piece)]
            lead = pieces[0].strip() if len(pieces) > 1 else ""
        if default and default in inference:
            lead = default
        found |= _of_lead(known[0] if has_system else None, lead, default)
    elif 0 in changed:
        found |= of_system(*changed.pop(0), default, False)
    for check, told in of_contents(trained, changed, list(range(len(trained)))).items():
        found.setdefault(check, told)
    sides = [[one.strip() for one in marker.findall(text)] for text in (training, inference)]
    if sides[0] != sides[1] or not found:
        found["parity.role_header"] = (*cut(training, inference), "")
    return found


def _of_lead(trained: str | None, lead: str, default: str) -> Told:
    """The text before the first turn, compared with training's system text."""
    before = default if trained is None else trained
    if lead == before.strip():
        return {}
    if trained is None or not lead or not trained.strip():
        return {"parity.default_system": (before, lead, "")}
    return of_system(trained, lead, default, False)


def _marker(skeleton: Skeleton | None, default: str) -> re.Pattern:
    """What separates turns: markers as many templates have them, and all that this one writes."""
    texts = [*skeleton.markup, skeleton.end] if skeleton else []
    pieces = {piece.strip() for text in texts for piece in (text.split(default) if default else [text])}
    own = [re.escape(piece) for piece in sorted(pieces, key=len, reverse=True) if len(piece) > 1]
    return re.compile("|".join([*own, MARKER]), re.IGNORECASE | re.MULTILINE)


def _places(known: list[str], text: str, marker: re.Pattern) -> dict[int, tuple[int, int]]:
    """Where the contents are in a text, in order; of several places the first one that a marker follows."""
    places, at, blank = {}, 0, re.compile(r"\s*")
    for index, content in enumerate(content.strip() for content in known):
        first = start = text.find(content, at) if content else -1
        while start >= 0:
            behind = blank.match(text, start + len(content)).end()
            if behind == len(text) or marker.match(text, behind):
                first = start
                break
            start = text.find(content, start + len(content))
        if first >= 0:
            at = first + len(content)
            places[index] = (first, at)
    return places


def _words(text: str) -> str:
    """The text, if it holds any word."""
    return text if re.search(r"\w", text) else ""
