"""What differs between two prompts that were read: the checks that fail, each with both texts."""

import re

from ...chat_format.template import Template
from ..evidence import counted
from ..findings import Check
from .checks import (
    BOS,
    DEFAULT_SYSTEM,
    EARLIER_REPLIES,
    END_OF_PROMPT,
    ROLE_HEADER,
    SYSTEM_TEXT,
    TEMPLATE_ARGUMENTS,
    USER_WRAPPER,
    WHITESPACE,
)
from .reading import Reading, Turn, squeezed
from .turns import Prompts, last_user, marker_of

# the check that fails -> text in training and at inference (None: it isn't there), and a note or ""
Differences = dict[Check, tuple[str | None, str | None, str]]


def differences(prompts: Prompts, template: Template) -> Differences:
    trained, asked = prompts.training, prompts.inference
    found = {}
    if trained.start != asked.start:
        found[BOS] = (trained.start or None, asked.start or None, "")
    if trained.text == asked.text:
        return found
    if squeezed(trained.text) == squeezed(asked.text):
        return found | {WHITESPACE: (*cut(trained.text, asked.text), "")}
    if asked.arguments:
        found[TEMPLATE_ARGUMENTS] = (*cut(trained.text, asked.text), f"as with {asked.arguments}")
    found |= _of_turns(prompts, template.default_system)
    partners = {right: trained.contents[left] for left, right in [*prompts.pairs, prompts.systems] if left is not None}
    partners = [partners.get(at) for at in range(len(asked.roles))]
    for check, sides in (
        _of_markup(asked, partners) if asked.skeleton else _of_other_markup(prompts, template, found)
    ).items():
        found.setdefault(check, sides)
    return found


# --- turns --------------------------------------------------------------------------------------


def _of_turns(prompts: Prompts, default: str) -> Differences:
    """`default`: the system text that the template adds where there is no system turn."""
    trained = [(role, text.strip()) for role, text in prompts.training.turns]  # the edges count as markup
    asked, found = prompts.inference.turns, {}
    before = "".join(prompts.inference.markups[:1]) or prompts.inference.text
    shows_default = bool(default) and squeezed(default) in squeezed(before)
    systems = prompts.systems
    texts = [None if at is None else turns[at][1] for at, turns in zip(systems, (trained, asked))]
    found |= _of_system(*texts, default, shows_default)
    if None not in systems and (systems[0] == 0) != (systems[1] == 0):
        found.setdefault(SYSTEM_TEXT, (trained[0][1], asked[0][1], "the system turn is elsewhere"))
    others = [(left, right) for left, right in prompts.pairs if trained[left][0] != asked[right][0]]
    for left, right in others[:1]:
        found[ROLE_HEADER] = (*(": ".join(turn) for turn in (trained[left], asked[right])), "the same text")
    missing, added = prompts.unpaired(0), prompts.unpaired(1)
    kept = [at for at in range(len(trained)) if at not in missing]
    last = last_user(trained)
    if last in missing:
        missing.remove(last)
        found[USER_WRAPPER] = (trained[last][1], None, "the last user turn is missing")
    found |= _of_number([trained[at] for at in missing], [asked[at] for at in added])
    changed = {
        left: (trained[left][1], asked[right][1]) for left, right in prompts.pairs if (left, right) not in others
    }
    for check, sides in _of_contents(trained, changed, kept).items():
        found.setdefault(check, sides)
    return found


def _of_system(before: str | None, after: str | None, default: str, shows_default: bool) -> Differences:
    """None: no system turn. `shows_default`: the app's prompt has the template's default text."""
    if before is None and after is None:
        return {DEFAULT_SYSTEM: (default, None, "")} if default and not shows_default else {}
    if after is None:
        note = "the template adds its own" if shows_default else ""
        return {DEFAULT_SYSTEM: (before, default if shows_default else None, note)}
    if before is None:
        return {DEFAULT_SYSTEM: (default or None, after, "training has no system message")}
    if before == after:
        return {}
    if squeezed(before) == squeezed(after):
        return {WHITESPACE: (*cut(before, after), "")}
    if not before.strip() or not after.strip() or after.strip() == default.strip():
        return {DEFAULT_SYSTEM: (*cut(before, after), "")}
    return {SYSTEM_TEXT: (*cut(before, after), "")}


def _of_number(missing: list[Turn], added: list[Turn]) -> Differences:
    """Turns that only one side has."""
    found = {}
    for check, is_system in ((SYSTEM_TEXT, True), (EARLIER_REPLIES, False)):
        gone, more = ([turn for turn in turns if (turn[0] == "system") == is_system] for turns in (missing, added))
        if not gone and not more:
            continue
        keys = [sorted((role, squeezed(text)) for role, text in turns) for turns in (gone, more)]
        notes = [f"{counted(len(gone), 'turn')} missing"] * bool(gone)
        notes += [f"{counted(len(more), 'turn')} added"] * bool(more)
        note = "the same turns in another order" if keys[0] == keys[1] else ", ".join(notes)
        found[check] = (*("\n".join(": ".join(turn) for turn in turns) or None for turns in (gone, more)), note)
    return found


def _of_contents(trained: list[Turn], changed: dict[int, tuple[str, str]], kept: list[int]) -> Differences:
    """A change of the last user turn, or of all user turns, is the wrapper; any other is an earlier turn's.
    `changed`: index in training -> both texts; `kept`: the turns that the app has too."""
    different = {at for at, (before, after) in changed.items() if squeezed(before) != squeezed(after)}
    last, found = last_user(trained), {}
    shared = last in different and all(at in different for at in kept if trained[at][0] == "user")
    for at in sorted(changed, key=lambda at: (at != last, at)):
        before, after = changed[at]
        if before == after:
            continue
        role = trained[at][0]
        if at not in different:
            check = WHITESPACE
        elif role == "system":
            check = SYSTEM_TEXT
        elif role != "assistant" and at >= last or role == "user" and shared:
            check = USER_WRAPPER
        else:
            check = EARLIER_REPLIES
        found.setdefault(check, (*cut(before, after), ""))
    return found


# --- markup -------------------------------------------------------------------------------------


def _of_markup(asked: Reading, partners: list[str | None]) -> Differences:
    """The template's markup with other white space, and another end. `partners`: training's content for each turn.

    White space at the edges of a training content counts as markup; at the edges of a changed content it belongs
    to that content.
    """
    found, before, was_changed = {}, None, False
    for content, partner, given, markup in zip(asked.contents, partners, asked.markups, asked.skeleton.markup):
        is_changed = _is_changed(content, partner)
        left, right = _edges(before)[1], _edges(partner)[0]
        own = [rf"{re.escape(edge)}" + r"|\s*" * free for edge, free in ((left, was_changed), (right, is_changed))]
        if not re.fullmatch(f"(?:{own[0]}){re.escape(markup)}(?:{own[1]})", given):
            found[WHITESPACE] = (left + markup + right, given, "")
            break
        before, was_changed = partner, is_changed
    end, tail = _edges(partners[-1])[1] + asked.skeleton.end, asked.tail
    if tail == end or _is_changed(asked.contents[-1], partners[-1]) and tail.lstrip() == end.lstrip():
        return found
    if squeezed(tail) == squeezed(end):
        check = WHITESPACE
    elif end.strip().startswith(tail.strip()) or tail.strip().startswith(end.strip()):
        check = END_OF_PROMPT  # the header is not there, or text that nobody wrote follows it
    else:
        check = ROLE_HEADER
    found.setdefault(check, (end, tail, ""))
    return found


def _is_changed(content: str, partner: str | None) -> bool:
    return partner is None or squeezed(content) != squeezed(partner)


def _edges(text: str | None) -> tuple[str, str]:
    """The white space at the start and at the end of a text."""
    text = text or ""
    start = len(text) - len(text.lstrip())
    return text[:start], text[max(start, len(text.rstrip())) :]


def _of_other_markup(prompts: Prompts, template: Template, known: Differences) -> Differences:
    """Another end and other markers; what is known from the turns may explain all."""
    trained, asked = prompts.training, prompts.inference
    marker, found = marker_of(trained.turns, template), {}
    pieces = marker.split(asked.tail)
    if asked.roles and trained.tail != asked.tail and (len(pieces) == 1 or re.search(r"\w", pieces[-1])):
        found[END_OF_PROMPT] = (trained.tail, asked.tail, "")
    sides = [[one.strip() for one in marker.findall(side.text)] for side in (trained, asked)]
    if sides[0] != sides[1] or not (known.keys() | found) - {BOS}:
        found[ROLE_HEADER] = (*cut(trained.text, asked.text), "")
    if not set(sides[0]) & set(sides[1]):  # all markup is another, that of the end included
        found.pop(END_OF_PROMPT, None)
    return found


def cut(left: str, right: str, around: int = 20) -> tuple[str, str]:
    """Two texts without most of what they begin and end with in common."""
    start = next((at for at, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))
    longest = min(len(left), len(right)) - start
    end = next((at for at in range(longest) if left[-1 - at] != right[-1 - at]), longest)
    first = max(0, start - around)
    kept = [text[first : max(start, len(text) - max(0, end - around))] for text in (left, right)]
    return tuple(("…" if first else "") + text for text in kept)
