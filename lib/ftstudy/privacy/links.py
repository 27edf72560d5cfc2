"""Finds private links: those with a token, an account or an invitation, and those to a person's page."""

import re
from collections.abc import Iterator

from .masked_view import WALL

_BEGINS = r"(?:[a-z][a-z0-9+.-]{1,20}://|www\.)"
_IN_LINK = rf"[^\s<>\"“”{WALL}]"
# A link with the punctuation around it. Without https:// or www. it needs a path after the host.
_LINK = re.compile(
    rf"\b{_BEGINS}{_IN_LINK}+|(?<![\w@.-])(?:[a-z0-9-]{{1,63}}\.){{1,5}}[a-z]{{2,24}}(?::\d+)?[/?]{_IN_LINK}*",
    re.IGNORECASE,
)
# A whole word that is a link.
_WHOLE_LINK = re.compile(rf"{_BEGINS}\S+|{_LINK.pattern}", re.IGNORECASE)
# Its host, path, query and fragment.
_PARTS = re.compile(r"(?s)(?:[^/?#]*?://)?([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?")
# Links whose path alone gives access: meetings, invitations, a person's number or location.
_INVITATION = re.compile(
    r"(?i)(?:[\w-]+\.)*(?:zoom\.us/(?:j|my|s|w)/|zoom\.com/j/|meet\.google\.com/|teams\.(?:microsoft|live)\.com/(?:l/)?meet"
    r"|webex\.com/meet/|whereby\.com/|meet\.jit\.si/|chat\.whatsapp\.com/|wa\.me/|t\.me/(?:\+|joinchat/)|signal\.group/"
    r"|discord\.gg/|discord\.com/invite/|hooks\.slack\.com/services/|discord(?:app)?\.com/api/webhooks/"
    r"|\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?/"
    r"|maps\.app\.goo\.gl/|goo\.gl/maps/|(?:maps\.)?google(?:\.\w{2,3}){1,2}/maps/|maps\.google(?:\.\w{2,3}){1,2}/"
    r"|maps\.apple(?:\.com/|/)|waze\.com/(?:ul|live-map)/|osm\.org/go/|yandex(?:\.\w{2,3}){1,2}/maps/|2gis\.\w{2,3}/"
    r"|share\.here\.com/|w3w\.co/|what3words\.com/)[^/\s]"
)
# Links to a person's page: they name somebody as a user name does. t.me/zoe99, instagram.com/zoe99, any.site/@zoe99
_PROFILE = re.compile(
    r"(?i)(?:[\w-]{1,63}\.){0,3}(?:"
    r"(?:(?:t|telegram)\.me/(?:s/|c/)?|(?:instagram|facebook|fb|twitter|x|venmo)\.com/(?:u/)?|instagr\.am/|(?:fb|m)\.me/)"
    r"(?!(?:about|accounts|business|direct|download|events|explore|gaming|groups|hashtag|help|home|i|intent|jobs|legal|login"
    r"|marketplace|messages|notifications|p|pages|policies|privacy|reels?|search|settings|share|signup|stories|terms|tos|tv"
    r"|watch)(?:/|\Z))[\w.-]{2,50}"
    r"|instagram\.com/stories/[\w.]{2,50}/\d*|snapchat\.com/(?:add|u|@)/?[\w.-]+|linkedin\.com/in/[\w%-]+"
    r"|reddit\.com/u(?:ser)?/[\w-]+|steamcommunity\.com/(?:id|profiles)/[\w-]+|discord(?:app)?\.com/users/\d+"
    r"|open\.spotify\.com/user/\w+|paypal\.me/\w+|paypal\.com/paypalme/\w+|cash\.app/\$\w+|bsky\.app/profile/[\w.:-]+"
    r"|signal\.me/#\S+|[\w-]{1,63}(?:\.[\w-]{1,63}){0,3}/@[\w.-]{2,50}"
    r")/?"
)
# A percent-encoded character: %C3.
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")
# A change from a letter to a digit, or back.
_TURN = re.compile(r"(?<=[a-zA-Z])\d|(?<=\d)[a-zA-Z]")


def find_links(text: str) -> Iterator[tuple[int, int]]:
    """Yield the private links; links to public pages are not masked."""
    for match in _LINK.finditer(text):
        link = _without_punctuation(match.group())
        if _is_private(link):
            yield match.start(), match.start() + len(link)


def is_link_only(text: str) -> bool:
    """True for a text with only links, masked or not, and white space."""
    return bool(text.strip()) and all(word == "[link]" or _WHOLE_LINK.fullmatch(word) for word in text.split())


def _without_punctuation(link: str) -> str:
    """The link without punctuation at its end, but with a closing bracket that was opened in the link."""
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
    address = f"{host}{path}{'/#' + fragment if fragment else ''}"
    if "@" in host or _INVITATION.match(address.removeprefix("www.")) or _PROFILE.fullmatch(address):
        return True
    has_value = any("=" in part[:-1] for part in (query, fragment))
    return has_value or any(map(_is_random, (*path.split("/"), query, *fragment.split("/"))))


def _is_random(part: str) -> bool:
    """True for something like a key: long, with alternating letters and digits, or a long number."""
    part = _ESCAPE.sub("", part)
    turns = len(_TURN.findall(part))
    return (len(part) >= 16 and turns >= 3) or bool(re.fullmatch(r"\d{9,}", part))
