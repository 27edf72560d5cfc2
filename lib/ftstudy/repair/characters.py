"""Undo wrong encodings, and remove characters that nobody typed."""

import re

from ..audit.content import characters
from ..audit.content.characters import CONTROL, DIRECTION, INVISIBLE, MISREAD, MISREAD_IN, RIGHT_TO_LEFT, SPACELESS
from ..wording import count
from .chats import audited, by_place, conversations, every, written

TIMES = 4  # how many times over a text may have been encoded


def as_meant(draft: dict, inputs) -> tuple[dict, list[str]]:
    """The draft without the characters that data.odd_characters warns of. A few invisible ones stay."""
    rows = every(draft, inputs)
    if not any(one.severity == "warning" for one in characters.check(audited(draft, inputs), rows)):
        return draft, []
    given, changes = by_place(conversations(draft, inputs)), {}
    for place, row in by_place(rows).items():
        messages = given.get(place, row)["messages"]
        cleaned = [_cleaned(message) for message in messages]
        if cleaned != messages:
            changes[place] = cleaned
    notes = [f"Odd characters were corrected or removed in {count(len(changes), 'row')}"] if changes else []
    return written(draft, inputs, changes), notes


def _cleaned(message: dict) -> dict:
    content = message.get("content")
    if not isinstance(content, str) or not characters.visible(content):
        return message
    return message | {"content": plain(content)}


def plain(text: str) -> str:
    """The text without odd characters."""
    for _ in range(TIMES):
        if not characters.odd_characters(text):
            break
        text = _decoded(text)
    odd = characters.odd_characters(text)
    if any("control" in kind for kind in odd):
        text = CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    if any("invisible" in kind for kind in odd):
        text = INVISIBLE.sub(lambda match: match[0] if _divides_words(match) else "", text)
    if any("direction" in kind for kind in odd) and not RIGHT_TO_LEFT.search(text):
        text = DIRECTION.sub("", text)
    return text


def _decoded(text: str) -> str:
    """The text with its wrongly decoded parts decoded again."""
    for match in reversed([*MISREAD.finditer(text)]):
        if meant := characters.meant(match[0], text[: match.start()]):
            text = text[: match.start()] + meant + text[match.end() :]
    for codec, pattern in MISREAD_IN.items():
        text = pattern.sub(lambda match: characters.meant_in(codec, match[0]) or match[0], text)
    return re.sub(characters.MAC_MISREAD, lambda match: _from_mac(match[0]), text)


def _from_mac(text: str) -> str:
    """The text as UTF-8, if it was read as Mac OS Roman by mistake; otherwise unchanged."""
    try:
        return text.encode("mac_roman").decode("utf-8")
    except UnicodeError:
        return text


def _divides_words(match: re.Match) -> bool:
    near = match.string[max(0, match.start() - 1) : match.end() + 1]
    return match[0] == "\u200b" and bool(SPACELESS.search(near))
