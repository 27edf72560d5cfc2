"""Read a prompt as the turns that a chat template wrote: where each content is, and the markup between them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

from ...chat_format.template import Skeleton, Template

Turn = tuple[str, str]  # role, text
Span = tuple[int, int]
LONGEST = 400_000  # characters of a prompt that is read
MOST = 400  # turns that are read
REPLIES = 3  # turns at the end that may be a reply which the app began
BLANK = re.compile(r"\s*")


@dataclass(frozen=True)
class Reading:
    """A prompt as turns. `skeleton` is what the template writes for these roles, with these arguments; None if the
    prompt has other markup."""

    text: str  # without the start tokens
    roles: tuple[str, ...]
    spans: tuple[Span, ...]  # of the contents; in an app's prompt without the white space around them
    skeleton: Skeleton | None
    arguments: str = ""  # template arguments that training does not use
    start: str = ""  # the start tokens
    full: str = ""  # the text with its start tokens

    @cached_property
    def contents(self) -> list[str]:
        return [self.text[start:end] for start, end in self.spans]

    @property
    def turns(self) -> list[Turn]:
        return list(zip(self.roles, self.contents))

    @cached_property
    def markups(self) -> list[str]:
        """The text before each content."""
        starts = [0, *(end for _, end in self.spans)]
        return [self.text[start:end] for start, (end, _) in zip(starts, self.spans)]

    def is_bare(self, marker: re.Pattern) -> bool:
        """Whether this prompt consists of contents alone: nothing around them separates turns."""
        return self.skeleton is None and not any(marker.search(piece) for piece in (*self.markups, self.tail))

    @property
    def whole_spans(self) -> list[Span]:
        """The contents with the white space around them, as far as it isn't the template's."""
        starts, ends = [start for start, _ in self.spans], [end for _, end in self.spans]
        own = (*self.skeleton.markup[:-1], self.skeleton.end) if self.skeleton else ()
        for at, (markup, given) in enumerate(zip(own, (*self.markups, self.tail))):
            before, _, after = given.partition(markup) if markup in given and markup else ("", "", "")
            if before.isspace() and at > 0:
                ends[at - 1] += len(before)
            if after.isspace() and at < len(starts):
                starts[at] -= len(after)
        return list(zip(starts, ends))

    @property
    def tail(self) -> str:
        """Everything after the last content."""
        return self.text[self.spans[-1][1] :] if self.spans else self.text


def read(text: str, trained: list[Turn], template: Template, tools, special: list[str]) -> Reading | None:
    """The reading that keeps most of the training contents, then the one that needs the fewest other changes.

    `special`: the special tokens in use. None where the text has different markup from the template's.
    """
    if len(text) > LONGEST:
        return None
    scanner = _Scanner(text, trained, template, special)
    options = [({}, tools, "")]
    options += [(one, tools, ", ".join(f"{key}={value}" for key, value in one.items())) for one in template.arguments]
    options += [({}, None, "no tools")] if tools else []
    scans = {start: scanner.turns(*start) for start in _starts(text, trained, template, options)}
    rated = []
    for turns, (keywords, with_tools, note) in product(scans.values(), options):
        for roles, spans in _shortened(turns, trained, text):
            skeleton = template.skeleton(roles, with_tools, **keywords)
            if skeleton is None or (note and skeleton == template.skeleton(roles, tools)):
                continue
            reading = Reading(text, roles, spans, skeleton, note)
            rated.append((scanner.rating(reading, 0), reading))
            if template.default_system and template.first_user is not None and roles[0] == "user":
                bare = Skeleton((template.first_user, *skeleton.markup[1:]), skeleton.header)
                reading = Reading(text, roles, spans, bare, note)
                rated.append((scanner.rating(reading, 1), reading))
    if trained and scanner.divides(*trained[-1]):
        skeleton = template.skeleton(tuple(role for role, _ in trained), tools)
        readings = [_up_to_the_end(text, turns, trained, skeleton) for turns in scans.values()]
        rated += [(scanner.rating(reading, 0), reading) for reading in readings if reading]
    return min((one for one in rated if one[0]), key=lambda one: one[0], default=(None, None))[1]


def _starts(text: str, trained: list[Turn], template: Template, options: list) -> dict[tuple[str, int], None]:
    """(role of the first turn, where its content begins), for each way in which the text may begin."""
    found = {}
    for role in dict.fromkeys(("system", "user", *(role for role, _ in trained[:1]))):
        # Not `assistant` alone: a template that wants users and assistants in turn accepts it for no row.
        roles = (role, "user") if role == "system" else (role,)
        skeletons = [template.skeleton(roles, tools, **keywords) for keywords, tools, _ in options]
        markups = [skeleton.markup[0] for skeleton in skeletons if skeleton]
        markups += [template.first_user] if role == "user" and template.first_user is not None else []
        for markup in dict.fromkeys(markups):
            own = re.escape(markup[len(markup.rstrip()) :])
            if match := re.match(rf"\s*+{_spaced(markup, template.special)}(?:{own})?", text):
                found[role, match.end()] = None
    return found


def _up_to_the_end(text: str, turns: list, trained: list[Turn], skeleton: Skeleton | None) -> Reading | None:
    """The last content with all that comes before the template's end: for a question that has markup in it."""
    if skeleton is None or len(turns) < len(trained) or not text.endswith(skeleton.end):
        return None
    *before, (_, (start, _)) = turns[: len(trained)]
    spans = (*(span for _, span in before), (start, len(text) - len(skeleton.end)))
    reading = Reading(text, tuple(role for role, _ in trained), spans, skeleton)
    return reading if trained[-1][1].strip() in reading.contents[-1] else None


def _shortened(turns: list, trained: list[Turn], text: str) -> Iterator[tuple[tuple, tuple]]:
    """Roles and spans; also without replies at the end, which the app may have begun for the model. Templates may
    write several roles alike, so training's roles are tried too."""
    own = {squeezed(content): role for role, content in trained}
    for _ in range(min(REPLIES, len(turns))):
        spans = tuple(span for _, span in turns)
        scanned = tuple(role for role, _ in turns)
        known = tuple(own.get(squeezed(text[start:end]), role) for role, (start, end) in turns)
        same = tuple(role for role, _ in trained)
        for roles in dict.fromkeys((scanned, known, same if len(same) == len(scanned) else scanned)):
            yield roles, spans
        if turns[-1][0] != "assistant":
            break
        turns = turns[:-1]


class _Scanner:
    """Cuts one text into turns, at the borders that the template writes between them."""

    def __init__(self, text: str, trained: list[Turn], template: Template, special: list[str]):
        self.text, self.trained, self.special = text, trained, special
        self.borders = borders(template, tuple(sorted({"system", "user", "assistant", *(role for role, _ in trained)})))
        known = sorted({content.strip() for _, content in trained if content.strip()}, key=len, reverse=True)
        self.literals = [re.compile(r"\s+".join(map(re.escape, content.split()))) for content in known]
        self.marker = re.compile("|".join(map(re.escape, special)) or "(?!)")
        self.foreign = [token for token in special if not any(token in content for _, content in trained)]
        self.known = {(role, squeezed(content)) for role, content in trained}

    def divides(self, role: str, content: str) -> bool:
        """Whether the scanner would take markup in this content for the template's."""
        pattern = self.borders.get(role, (None, ()))[0]
        return bool(pattern and pattern.search(content))

    def turns(self, role: str | None, at: int) -> list[tuple[str, Span]]:
        found = []
        while role and len(found) < MOST:
            start = self._past_blank(at)
            end, at, following = self._end(role, at, start)
            while end > start and self.text[end - 1].isspace():
                end -= 1
            found.append((role, (max(start if end > start else 0, min(start, end)), end)))
            role = following
        return found

    def _end(self, role: str, at: int, start: int) -> tuple[int, int, str | None]:
        """Where a content ends, where the next one begins, and whose it is."""
        if role not in self.borders:
            return len(self.text), len(self.text), None
        pattern, following = self.borders[role]
        if pattern is None:
            return self._end_at_blank(at, *following)
        # A content of training is taken as a whole, whatever is in it.
        match = self._after_literal(start, pattern) or pattern.search(self.text, min(start, len(self.text)))
        if match is None:
            return len(self.text), len(self.text), None
        return match.start(), match.end(), following[match.lastindex - 1]

    def _after_literal(self, at: int, border: re.Pattern) -> re.Match | None:
        """The border after a content of training that begins here."""
        for literal in self.literals:
            if found := literal.match(self.text, at):
                if closed := border.match(self.text, self._past_blank(found.end())):
                    return closed
        return None

    def _end_at_blank(self, start: int, markup: str, role: str) -> tuple[int, int, str | None]:
        """White space alone separates the two turns: best where a content of training follows, else ends."""
        own = {found.end() for literal in self.literals if (found := literal.match(self.text, self._past_blank(start)))}
        after = self.borders.get(role, (None, ()))[0]
        marker = self.marker.search(self.text, start)

        def likelihood(blank: re.Match) -> tuple[int, bool]:
            known = start + blank.start() in own
            exact = blank[0].replace("\r", "") == markup or (known and markup in blank[0])
            known_next = after is not None and self._after_literal(start + blank.end(), after) is not None
            return exact + known + known_next, exact

        best = max(re.finditer(r"\s+", self.text[start : marker and marker.start()]), key=likelihood, default=None)
        if best is None:
            return len(self.text), len(self.text), None
        return start + best.start(), start + best.end(), role

    def _past_blank(self, at: int) -> int:
        return BLANK.match(self.text, at).end()

    def rating(self, reading: Reading, changes: int) -> tuple | None:
        """How much of training is not in this reading; None where the text has other markup."""
        trained = tuple(role for role, _ in self.trained)
        roles, skeleton, tail = reading.roles, reading.skeleton, reading.tail
        if roles != trained and ("user" not in roles or not any(piece.strip() for piece in skeleton.markup[:-1])):
            return None  # any text would fit
        if any(squeezed(given) != squeezed(own) for given, own in zip(reading.markups, skeleton.markup)):
            return None
        known = [turn in self.known for turn in zip(roles, map(squeezed, reading.contents))]
        for content, is_known in zip(reading.contents, known):
            if not is_known and any(token in content for token in self.foreign):
                return None
        whole = squeezed(tail) == squeezed(skeleton.end)
        if not whole and not self._is_end(tail, skeleton, known[-1]):
            return None
        changes += bool(reading.arguments) + (("system" in roles) != ("system" in trained))
        changes += [role for role in roles if role != "system"] != [role for role in trained if role != "system"]
        loose = any(given != own for given, own in zip(reading.markups, skeleton.markup))
        return not whole, -sum(known), changes, loose

    def _is_end(self, tail: str, skeleton: Skeleton, is_known: bool) -> bool:
        """Not another turn: no more markers than an end and one more header or token have, and no content."""
        begins = tuple(text for text in (*self.special, skeleton.end.strip(), skeleton.header.strip()) if text)
        if not (is_known and not tail.strip()) and begins and not tail.lstrip().startswith(begins):
            return False
        own, end, header = (
            sum(text.count(token) for token in self.special) for text in (tail, skeleton.end, skeleton.header)
        )
        contents = [
            content.strip() for _, content in self.trained if len(content.strip()) > 4
        ]  # not the "a" of "assistant"
        return own <= end + max(1, header) and not any(text in tail and text not in skeleton.end for text in contents)


def borders(template: Template, roles: tuple[str, ...]) -> dict[str, tuple[re.Pattern | None, tuple]]:
    """What the template writes after a content of each role.

    Returns role -> (pattern, the role that each of its groups begins, None where no turn follows). Where there
    is only white space the pattern is None, and the tuple is (markup, the role that follows).
    """
    if roles in template.borders:
        return template.borders[roles]
    found: dict[str, set[tuple[str, str | None]]] = {}
    for sequence in (sequence for count in (1, 2, 3) for sequence in product(roles, repeat=count)):
        if skeleton := template.skeleton(sequence):
            *between, end = skeleton.markup[1:]
            for before, after, markup in zip(sequence, sequence[1:], between):
                found.setdefault(before, set()).add((markup, after))
            found.setdefault(sequence[-1], set()).update({(end, None), (skeleton.end, None)})
    template.borders[roles] = {}
    for role, markups in found.items():
        # Of turns with the same markup the usual one: many templates write any other role as they write a reply.
        ordered = sorted(markups, key=lambda one: (one[1] is not None, one[1] in ("user", "assistant"), str(one)))
        visible = {_spaced(markup, template.special): after for markup, after in ordered if markup.strip()}
        blank = [one for one in ordered if one[0] and one[1]]
        if visible:
            longest = sorted(visible, key=len, reverse=True)
            pattern = re.compile("|".join(f"({one})" for one in longest))
            template.borders[roles][role] = pattern, tuple(visible[one] for one in longest)
        elif blank:
            template.borders[roles][role] = None, blank[-1]
    return template.borders[roles]


def squeezed(text: str) -> str:
    """A text without its white space."""
    return "".join(text.split())


@lru_cache(1000)
def _words(markup: str, special: tuple[str, ...]) -> tuple[str, ...]:
    """Special tokens and words: what white space may separate."""
    tokens = "|".join(re.escape(token) for token in sorted(special, key=len, reverse=True) if token) or r"(?!)"
    return tuple(re.findall(rf"{tokens}|(?:(?!{tokens})\S)+", markup))


def _spaced(markup: str, special: tuple[str, ...]) -> str:
    """A pattern: the markup with any white space in it."""
    return r"\s*".join(map(re.escape, _words(markup, special)))
