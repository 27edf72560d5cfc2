"""A prompt's text read with a chat template's own markup, changed as little as possible until it fits."""

import re
from dataclasses import dataclass
from itertools import product

from ...chat_format.template import Skeleton, Template
from .turns import Turns, spaced, words

LONGEST = 40_000  # characters: with white space between contents, all its places are tried
BLANK = r"\s{0,99}"  # white space at the edges of a text, bounded, as all its places may be tried
# Which contents may be others, the fewest first; "last" is the last user turn.
ALL = frozenset({"system", "last", "assistant", "user", "tool"})
FREE = [frozenset(free) for free in ((), ("system",), ("last",), ("system", "last"), ("assistant",))]
FREE += [ALL - {"system"}, ALL]


@dataclass(frozen=True)
class Reading:
    """A conversation that the inference prompt may be, changed against the training prompt."""

    skeleton: Skeleton
    roles: tuple[str, ...]
    sources: tuple[int | None, ...]  # the training message that each content may be
    arguments: str  # template arguments that training did not have
    changes: int  # kinds of change


@dataclass(frozen=True)
class Fit:
    """A reading, and the pieces of the text that it is read into."""

    reading: Reading
    contents: list[str]
    markups: list[str]  # before each content
    tail: str  # everything behind the last content
    loose: bool  # white space had to be forgiven; that at the edges of contents is in the markups


def readings(messages: list[dict], tools, template: Template, turns: list[Turns]) -> list[Reading]:
    """The likeliest first: those with the fewest changes. `turns` are those that the prompt may hold."""
    trained = tuple(message["role"] for message in messages)
    arguments = [({}, tools, "")] + [({**one}, tools, _told(one)) for one in template.arguments]
    arguments += [({}, None, "no tools")] if tools else []
    found = []
    for (keywords, with_tools, note), (roles, sources) in product(arguments, turns):
        skeleton = template.skeleton(roles, with_tools, **keywords)
        if skeleton is None or (note and skeleton == template.skeleton(roles, tools)):
            continue
        if roles != trained and ("user" not in roles or not any(piece.strip() for piece in skeleton.markup[:-1])):
            continue  # any text would fit
        turns_of, own = (tuple(role for role in one if role != "system") for one in (roles, trained))
        changes = bool(note) + (turns_of != own) + (("system" in roles) != ("system" in trained))
        found.append(Reading(skeleton, roles, sources, note, changes))
        if template.default_system and template.first_user is not None and roles[0] == "user":
            bare = Skeleton((template.first_user, *skeleton.markup[1:]), skeleton.header)
            found.append(Reading(bare, roles, sources, note, changes + 1))
    return sorted(found, key=lambda reading: reading.changes)


def _told(arguments: dict) -> str:
    return ", ".join(f"{name}={value}" for name, value in arguments.items())


def fit(possible: list[Reading], known: list[str], special: list[str], text: str) -> Fit | None:
    """The first reading that fits. `known` are the contents in training, `special` the special tokens in use."""
    if len(text) > LONGEST:
        return None
    pure = not any(token in one for one in known for token in special)  # then markup alone holds special tokens
    free = [ALL] if pure and _are_parted(possible, special) else FREE
    for whole in (True, False):
        fitting = [one for one in possible if _may_fit(one, text, special, pure, whole)]
        attempts = product((False, True), free, fitting)
        attempts = dict.fromkeys((loose, _are_free(reading, one), reading) for loose, one, reading in attempts)
        for loose, are_free, reading in sorted(attempts, key=_changed):
            match = re.fullmatch(_pattern(reading, known, special, are_free, loose, whole), text, re.DOTALL)
            if match and (whole or _is_end(match.groups()[-1], reading.skeleton, known, special)):
                return _fit_of(reading, list(match.groups()), loose)
    return None


def _changed(attempt: tuple[bool, tuple, Reading]) -> tuple[int, bool, int]:
    """How much of training is not in the text, whether its white space is, and how many kinds of change there are."""
    loose, are_free, reading = attempt
    return sum(are_free) - len(are_free), loose, reading.changes


def _are_free(reading: Reading, free: frozenset) -> tuple[bool, ...]:
    """For each content whether it may be another than in training."""
    last = max((at for at, role in enumerate(reading.roles) if role == "user"), default=None)
    return tuple(
        source is None or (role if role in ALL else "tool") in free or (at == last and "last" in free)
        for at, (role, source) in enumerate(zip(reading.roles, reading.sources))
    )


def _are_parted(possible: list[Reading], special: list[str]) -> bool:
    """Whether a special token stands before each content but the first: then a text can be read in one way only."""
    pieces = [piece.lstrip() for one in possible for piece in [*one.skeleton.markup[1:-1], one.skeleton.end]]
    return bool(special) and all(piece.startswith(tuple(special)) for piece in pieces)


def _is_end(tail: str, skeleton: Skeleton, known: list[str], special: list[str]) -> bool:
    """Not a whole turn more: no more markers than an end and one more header or token have, and no content."""
    markers = [sum(text.count(token) for token in special) for text in (tail, skeleton.end, skeleton.header)]
    contents = [text.strip() for text in known if len(text.strip()) > 4]  # not the "a" of "assistant"
    more = any(text in tail and text not in skeleton.end for text in contents)
    return markers[0] <= markers[1] + max(1, markers[2]) and not more


def _may_fit(reading: Reading, text: str, special: list[str], pure: bool, whole: bool) -> bool:
    """A quick look: is the markup there, in order, and are there as many special tokens?"""
    *markup, _ = reading.skeleton.markup
    end, header = reading.skeleton.end, reading.skeleton.header
    if pure:
        pieces = (text, "".join(markup), end, header)
        count, before, after, more = (sum(one.count(token) for token in special) for one in pieces)
        if not (count - before == after if whole else 0 <= count - before <= after + max(1, more)):
            return False
    at = 0
    for word in (word for piece in [*markup, *[end] * whole] for word in words(piece, tuple(special))):
        at = text.find(word, at) + len(word)
        if at < len(word):
            return False
    return True


def _pattern(reading: Reading, known: list[str], special: list[str], are_free: tuple, loose: bool, whole: bool) -> str:
    """Groups: markup and content by turns, then the end."""
    *markups, end = reading.skeleton.markup
    between = [spaced(markup, tuple(special)) if loose else re.escape(markup) for markup in markups]
    if loose:
        # White space alone may be any only between texts that are known: else it could stand anywhere.
        for at, markup in enumerate(markups):
            if not markup.strip():
                known_here = at == 0 or not (are_free[at - 1] or are_free[at])
                between[at] = BLANK if known_here else re.escape(markup).replace("\\\n", "\\r?\\n")
        between[0] = r"\s*+" + between[0]
    ending = spaced(reading.skeleton.end, tuple(special)) if loose else re.escape(reading.skeleton.end)
    following = [*zip(between[1:], markups[1:]), (ending if whole else "", reading.skeleton.end)]
    following = [(pattern, markup.strip() if loose else markup) for pattern, markup in following]
    parts = []
    for before, source, is_free, after in zip(between, reading.sources, are_free, following):
        literal = "" if is_free else known[source]
        if is_free:
            content = _anything(special, *after)
        else:
            content = BLANK + r"\s+".join(map(re.escape, literal.split())) + BLANK if loose else re.escape(literal)
        parts.append(f"({before})({content})")
    if whole:
        return "".join(parts) + f"({ending})"
    header = reading.skeleton.header
    begins = "|".join(re.escape(text) for text in (*special, end.strip(), header.strip()) if text)
    blank = "" if loose else re.escape(end[: len(end) - len(end.lstrip())])
    nothing = "" if are_free[-1] else r"|\s*"  # behind another text, markup of another kind would be taken for it
    return "".join(parts) + (rf"((?:{blank})?(?:{begins}).*{nothing})" if begins else "(.*)")


def _anything(special: list[str], pattern: str, following: str) -> str:
    """A text without special tokens. It ends where what follows stands first, so that no second try is
    needed; where that is white space alone, every place of it is tried."""
    none_here = f"(?!{'|'.join(map(re.escape, special))})" if special else ""
    if special and following.startswith(tuple(special)):
        beginnings = re.escape("".join(sorted({token[0] for token in special})))
        return f"(?:[^{beginnings}]++|{none_here}.)*+"
    if pattern and following.strip():
        return f"(?>(?:{none_here}.)*?(?={pattern}))"
    return f"(?:{none_here}.)*?"


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
