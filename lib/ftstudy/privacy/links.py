"""Links that let somebody in, or that say who somebody is: with a token, an account or an invitation."""

import re
from collections.abc import Iterator

from .masked_view import WALL

_BEGINS = r"(?:[a-z][a-z0-9+.-]{1,20}://|www\.)"
_IN_LINK = rf"[^\s<>\"“”{WALL}]"
# A link, with its punctuation; without https:// or www. only where something follows the host.
_LINK = re.compile(
    rf"\b{_BEGINS}{_IN_LINK}+|(?<![\w@.-])(?:[a-z0-9-]{{1,63}}\.){{1,5}}[a-z]{{2,24}}(?::\d+)?[/?]{_IN_LINK}*",
    re.IGNORECASE,
)
# A word that is a link, whatever stands in it.
_WHOLE_LINK = re.compile(rf"{_BEGINS}\S+|{_LINK.pattern}", re.IGNORECASE)
# Its host, path, query and fragment.
_PARTS = re.compile(r"(?s)(?:[^/?#]*?://)?([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?")
# Hosts whose path itself lets one in: meetings, invitations, somebody's number or place.
_INVITATION = re.compile(
    r"(?i)(?:[\w-]+\.)*(?:zoom\.us/(?:j|my|s|w)/|zoom\.com/j/|meet\.google\.com/|teams\.(?:microsoft|live)\.com/(?:l/)?meet"
    r"|webex\.com/meet/|whereby\.com/|meet\.jit\.si/|chat\.whatsapp\.com/|wa\.me/|t\.me/(?:\+|joinchat/)|signal\.group/"
    r"|discord\.gg/|discord\.com/invite/|maps\.app\.goo\.gl/|goo\.gl/maps/)[^/\s]"
)
# A character written as its number: %C3.
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")
# From a letter to a digit, or back.
_TURN = re.compile(r"(?<=[a-zA-Z])\d|(?<=\d)[a-zA-Z]")


def find_links(text: str) -> Iterator[tuple[int, int]]:
    """The links that are private; a link to what anybody may read stays."""
    for match in _LINK.finditer(text):
        link = _without_punctuation(match.group())
        if _is_private(link):
            yield match.start(), match.start() + len(link)


def is_link_only(text: str) -> bool:
    """Nothing but links, as written or masked, and white space."""
    return bool(text.strip()) and all(word == "[link]" or _WHOLE_LINK.fullmatch(word) for word in text.split())


def _without_punctuation(link: str) -> str:
    """The link without the punctuation at its end; a bracket belongs to it where it closes one."""
    unopened = {pair[1]: link.count(pair[1]) - link.count(pair[0]) for pair in ("()", "[]", "{}")}
    end = len(link)
    while end and link[end - 1] in ".,;:!?'’»*_~…)]}":
        last = link[end - 1]
        if last in unopened:
            if unopened[last] <= 0:
                break
            unopened[last] -= 1
        end -= 1
    return link[:end]


def _is_private(link: str) -> bool:
    host, path, query, fragment = _PARTS.fullmatch(link).groups(default="")
    if "@" in host or _INVITATION.match(f"{host}{path}{'/#' + fragment if fragment else ''}".removeprefix("www.")):
        return True
    has_value = any("=" in part[:-1] for part in (query, fragment))
    return has_value or any(map(_is_random, (*path.split("/"), query, *fragment.split("/"))))


def _is_random(part: str) -> bool:
    """Like a key: long, with letters and digits in turns; or a long number."""
    part = _ESCAPE.sub("", part)
    turns = len(_TURN.findall(part))
    return (len(part) >= 16 and turns >= 3) or bool(re.fullmatch(r"\d{9,}", part))
