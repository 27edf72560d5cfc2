"""A prompt's text read with a chat template's own markup, changed as little as possible until it fits."""

import re
from dataclasses import dataclass
from itertools import product

from .regions import Skeleton, Template

LONGEST = 40_000  # characters: with white space between contents, all its places are tried
WINDOWS = 12  # how many earlier turns, at most, an app is thought to have dropped
# Which contents may be others, the fewest first; "last" is the last user turn.
ALL = frozenset({"system", "last", "assistant", "user", "tool"})
FREE = [frozenset(free) for free in ((), ("system",), ("last",), ("system", "last"), ("assistant",))] + [ALL]


@dataclass(frozen=True)
class Reading:
    """A conversation that the inference prompt may be, changed against the training prompt."""

    skeleton: Skeleton
    roles: tuple[str, ...]
    sources: tuple[int | None, ...]  # the training message of each content
    system: str  # "same", "added" or "dropped"
    dropped: int  # earlier turns that are not there
    arguments: str  # template arguments that training did not have

    @property
    def changes(self) -> int:
        return bool(self.arguments) + bool(self.dropped) + (self.system != "same")


@dataclass(frozen=True)
class Fit:
    """A reading, and the pieces of the text that it is read into."""

    reading: Reading
    contents: list[str]
    markups: list[str]  # before each content
    tail: str  # everything behind the last content
    loose: bool  # white space had to be forgiven; that at the edges of contents is in the markups


def readings(messages: list[dict], tools, template: Template) -> list[Reading]:
    """The likeliest first: those with the fewest changes."""
    roles = tuple(message["role"] for message in messages)
    has_system = bool(roles) and roles[0] == "system"
    turns = len(roles) - has_system
    windows = [dropped for dropped in range(turns) if dropped <= WINDOWS or dropped == turns - 1]
    systems = ["same", "dropped", "bare"] if has_system else ["same", "added", "bare"]
    arguments = [({}, tools, "")] + [({**one}, tools, _told(one)) for one in template.arguments]
    arguments += [({}, None, "no tools")] if tools else []
    found = []
    for (keywords, with_tools, note), dropped, system in product(arguments, windows, systems):
        first = has_system + dropped
        sources: tuple = tuple(range(first, len(roles)))
        if has_system and system == "same":
            sources = (0, *sources)
        kept = tuple(roles[source] for source in sources)
        if system == "added":
            kept, sources = ("system", *kept), (None, *sources)
        skeleton = template.skeleton(kept, with_tools, **keywords)
        if skeleton is None or (note and skeleton == template.skeleton(kept, tools)):
            continue
        if system == "bare":
            if not template.default_system or template.first_user is None or kept[:1] != ("user",):
                continue
            skeleton = Skeleton((template.first_user, *skeleton.markup[1:]), skeleton.header)
        state = {"bare": "dropped"}.get(system, system)
        found.append(Reading(skeleton, kept, sources, state, dropped, note))
    return sorted(found, key=lambda reading: reading.changes)


def _told(arguments: dict) -> str:
    return ", ".join(f"{name}={value}" for name, value in arguments.items())


def fit(possible: list[Reading], known: list[str], special: list[str], text: str) -> Fit | None:
    """The first reading that fits. `known` are the contents in training, `special` the special tokens in use."""
    if len(text) > LONGEST:
        return None
    pure = not any(token in one for one in known for token in special)  # then markup alone holds special tokens
    free = [ALL] if pure and _are_parted(possible, special) else FREE
    for whole, loose in product((True, False), (False, True)):
        fitting = [one for one in possible if _may_fit(one, text, special, pure, whole)]
        for others, reading in sorted(product(free, fitting), key=_changed):
            match = re.fullmatch(_pattern(reading, known, special, others, loose, whole), text, re.DOTALL)
            if match and (whole or _is_end(match.groups()[-1], reading.skeleton.end, known, special)):
                return _fit_of(reading, list(match.groups()), loose)
    return None


def _changed(pair: tuple[frozenset, Reading]) -> tuple[int, int]:
    """How much of training is not in the text as it was, and by how many kinds of change."""
    free, reading = pair
    literal = sum(not is_free for is_free in _are_free(reading, free))
    return -literal, reading.changes


def _are_free(reading: Reading, free: frozenset) -> list[bool]:
    """For each content whether it may be another than in training."""
    last = max((at for at, role in enumerate(reading.roles) if role == "user"), default=None)
    return [
        source is None or (role if role in ALL else "tool") in free or (at == last and "last" in free)
        for at, (role, source) in enumerate(zip(reading.roles, reading.sources))
    ]


def _are_parted(possible: list[Reading], special: list[str]) -> bool:
    """Whether a special token stands before each content but the first: then a text can be read in one way only."""
    pieces = [piece.lstrip() for one in possible for piece in [*one.skeleton.markup[1:-1], one.skeleton.end]]
    return bool(special) and all(piece.startswith(tuple(special)) for piece in pieces)


def _is_end(tail: str, end: str, known: list[str], special: list[str]) -> bool:
    """Not a whole turn more: no more markers than an end has (but for one at the very end), and no content."""
    markers = [sum(text.count(token) for token in special) for text in (tail, end)]
    contents = [text.strip() for text in known if len(text.strip()) > 4]  # not the "a" of "assistant"
    return markers[0] <= markers[1] + 1 and not any(text in tail and text not in end for text in contents)


def _may_fit(reading: Reading, text: str, special: list[str], pure: bool, whole: bool) -> bool:
    """A quick look: is the markup there, in order, and are there as many special tokens?"""
    *markup, _ = reading.skeleton.markup
    end = reading.skeleton.end
    if pure:
        count, before, after = (sum(one.count(token) for token in special) for one in (text, "".join(markup), end))
        if not (count - before == after if whole else 0 <= count - before <= after + 1):
            return False
    at = 0
    for word in (word for piece in [*markup, *[end] * whole] for word in piece.split()):
        at = text.find(word, at) + len(word)
        if at < len(word):
            return False
    return True


def _pattern(reading: Reading, known: list[str], special: list[str], free: frozenset, loose: bool, whole: bool) -> str:
    """Groups: markup and content by turns, then the end."""
    following = [*reading.skeleton.markup[1:-1], reading.skeleton.end]
    parts = []
    for at, (source, is_free) in enumerate(zip(reading.sources, _are_free(reading, free))):
        parts.append(f"({_spaced(reading.skeleton.markup[at], loose)})")
        if is_free:
            parts.append(f"({_anything(special, following[at].strip() if loose else following[at])})")
        else:
            literal = known[source].strip()
            edge = r"\s*" if literal else ""
            parts.append(rf"(\s*{re.escape(literal)}{edge})" if loose else f"({re.escape(known[source])})")
    if whole:
        parts.append(f"({_spaced(reading.skeleton.end, loose)})")
    else:
        end, header = reading.skeleton.markup[-1], reading.skeleton.header
        begins = "|".join(re.escape(text) for text in (*special, end.strip(), header.strip()) if text)
        blank = "" if loose else re.escape(end[: len(end) - len(end.lstrip())])
        parts.append(rf"((?:{blank})?(?:{begins}).*|\s*)" if begins else "(.*)")
    return "".join(parts)


def _anything(special: list[str], following: str) -> str:
    """A text without special tokens. Where one follows, it goes up to there, and no second try is needed."""
    if not special:
        return ".*?"
    none_here = f"(?!{'|'.join(map(re.escape, special))})"
    if following.startswith(tuple(special)):
        beginnings = re.escape("".join(sorted({token[0] for token in special})))
        return f"(?:[^{beginnings}]++|{none_here}.)*+"
    return f"(?:{none_here}.)*?"


def _spaced(markup: str, loose: bool) -> str:
    """Any white space between the words, if loose; markup of white space alone stays as it is."""
    words = markup.split()
    return r"\s*".join(map(re.escape, words)) if loose and words else re.escape(markup)


def _fit_of(reading: Reading, groups: list[str], loose: bool) -> Fit:
    markups, contents, tail = groups[0:-1:2], groups[1:-1:2], groups[-1]
    if loose:
        after = [*markups[1:], tail]
        for at, content in enumerate(contents):
            own = content.strip()
            start = len(content) - len(content.lstrip()) if own else 0
            markups[at] += content[:start]
            after[at] = content[start + len(own) :] + after[at]
            if at + 1 < len(markups):
                markups[at + 1] = after[at]
            contents[at] = own
        tail = after[-1] if after else tail
    return Fit(reading, contents, markups, tail, loose)
