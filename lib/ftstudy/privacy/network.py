"""Finds the addresses of computers and phones in a network."""

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

_FOUR = re.compile(r"(?<![\w.:/-])(\d{1,3}(?:\.\d{1,3}){3})(?::\d{1,5})?(?![\w-]|\.\d)")
_SIX = re.compile(r"(?i)(?<![\w:.])(?=[23f][0-9a-f]{3}:)[0-9a-f]{4}:[0-9a-f:]{2,34}(?![\w:])")
_MAC = re.compile(
    r"(?i)(?<![\w:-])[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}(?![\w:-])"
    r"|(?<![\w.])(?=[0-9.]{0,12}[a-f])(?=[a-f.]{0,12}\d)[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}(?![\w-]|\.\w)"
)
# After one of these, four numbers are the number of something else.
_VERSION = re.compile(
    r"(?i)(?:\b(?:v|ver|version|release|build|section|chapter|kapitel|abschnitt|firmware|driver)[ .:]{0,2})$"
)
# An address of a home network says nothing about its owner, unless the text calls it an address.
_NAMED = re.compile(
    r"(?i)\b(?:ip|ipv4|ip-adresse|ip address|adresse ip|dirección ip|indirizzo ip|endereço ip)\W{1,3}(?:\w{1,8} ){0,2}$"
)


def find_ips(text: str) -> Iterator[tuple[int, int]]:
    """Yield public addresses, and private ones that the text calls an address."""
    for match in _FOUR.finditer(text):
        before = text[max(0, match.start() - 30) : match.start()]
        if not _VERSION.search(before) and (_is_public(match[1]) or _NAMED.search(before)):
            yield match.span()
    for match in _SIX.finditer(text):
        if end := _longest_six(match[0]):
            yield match.start(), match.start() + end


def _is_public(address: str) -> bool:
    try:
        return IPv4Address(address).is_global and not address.startswith(("0.", "1.2.3."))
    except AddressValueError:
        return False


def _longest_six(text: str) -> int:
    """How many characters of the text are an IPv6 address: all, or all but a colon at the end; else 0."""
    for one in (text, text.rstrip(":")):
        try:
            IPv6Address(one)
        except AddressValueError:
            continue
        return len(one)
    return 0


def find_macs(text: str) -> Iterator[tuple[int, int]]:
    yield from (match.span() for match in _MAC.finditer(text))
