"""Identifiers that are still in the rows: a second look, whoever wrote the rows.

The patterns are broader than those that mask an extraction (`privacy`), know no names and need no library.
Masking decides; this only counts.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address

from ...service_keys import find_keys
from ..evidence import in_rows, quoted
from ..findings import Check, Finding
from ..run_inputs import RunInputs

IDENTIFIERS = Check(
    "data.identifiers",
    ("warning",),
    "Something that looks like an identifier: an e-mail address, a phone, card or account number, a key, "
    "coordinates, or a network address.",
    cause="A model repeats what it was trained on: anyone who uses it may read this, and so may everyone who gets "
    "the adapter.",
    fix="Replace them in your rows with placeholders such as [phone]. If they identify nobody, like an order number, "
    "no action is needed.",
    fix_extracted="Extract again with masking (without MASK=no or --no-mask). If they identify nobody, like an "
    "order number, no action is needed.",
    bad='{"role": "assistant", "content": "call me, +49 176 12345678"}',
    good='{"role": "assistant", "content": "call me, [phone]"}',
)
CHECKS = (IDENTIFIERS,)

_DASH = "\\-\u2010-\u2015\u2212"  # in a class of characters
_EMAIL = re.compile(r"[\w+%](?:[\w.+%'-]{0,62}[\w+%-])?[@＠][\w-]{1,63}(?:\.[\w-]{1,63}){0,6}\.[^\W\d_]{2,24}(?!\w)")
# Nine digits or more, in groups or not. What comes before may say that they count or measure something.
_NUMBER = re.compile(
    rf"(?<!\d:)(?<![\w.,/#$€£₹{_DASH}])[+＋]?\(?\d(?:[\s.()/{_DASH}]{{0,3}}\d){{8,18}}(?![\w%€$£]|[.,:/{_DASH}]\d)"
)
_ACCOUNT = re.compile(r"(?<!\w)[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?!\w)")
_TOKEN = re.compile(r"(?<![\w-])[\w-]{20,200}(?![\w-])")
_TURN = re.compile(r"(?<=[a-zA-Z])\d|(?<=\d)[a-zA-Z]")  # from a letter to a digit, or back
_SECRET = re.compile(r"(?i)(?<=[?&#])(?:token|key|api_?key|auth|sig|signature|password|pwd)=[^\s&#\"'<>]{6,}")
_IP = re.compile(r"(?<![\w.:/-])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)")
_SIX = re.compile(r"(?i)(?<![\w:.])[23f][0-9a-f]{3}:(?:[0-9a-f]{0,4}:){2,6}[0-9a-f]{1,4}(?![\w:])")
_MAC = re.compile(r"(?i)(?<![\w:-])[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}(?![\w:-])")
_PLACE = re.compile(r"(?<![\w.,])[+-]?\d{1,2}\.\d{5,}(?: ?[,;] ?| )[+-]?\d{1,3}\.\d{5,}(?!\w)")

_THOUSANDS = re.compile(r"\d{1,3}(?:([ .'\u00a0\u202f])\d{3})(?:\1\d{3})*")
_DATE = re.compile(
    rf"(?:19|20)\d\d[{_DASH}/. ]?[01]\d[{_DASH}/. ]?[0-3]\d|[0-3]?\d[{_DASH}/. ][01]?\d[{_DASH}/. ](?:19|20)\d\d"
)
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d|\d\d?")
_CLOCK = re.compile(r"1[5-9]\d{8}(?:\d{3})?")  # seconds or milliseconds since 1970
_THING = re.compile(
    r"(?i)(?:order|invoice|tracking|ticket|booking|isbn|issn|version|bestellung|rechnung|sendung)\W{0,3}\w{0,8}\W{0,3}$"
)
# Nearly all texts have none of these: a quick test.
_ANY = re.compile(r"[@＠]|\d(?:\D{0,3}\d){6}|[\w-]{20}|[?&#]\w{3,9}=|-----BEGIN")


def check(inputs: RunInputs, chats: dict) -> list[Finding]:
    """The finding on rows with identifiers. Its evidence shows only parts of each."""
    hits, kinds = [], Counter()
    for name, rows in chats.items():
        for number, row in rows:
            found = [
                (kind, one, message["role"])
                for message in row["messages"]
                for kind, one in identifiers(message["content"])
            ]
            if found:
                kinds.update(kind for kind, _, _ in found)
                shown = dict.fromkeys(f"{kind}, {role}: {quoted(hidden(one), 60)}" for kind, one, role in found)
                hits.append((name, number, "; ".join(shown)))
    title = (
        "with what looks like an identifier (" + ", ".join(f"{kind}: {n:,}" for kind, n in kinds.most_common()) + ")"
    )
    return in_rows(inputs, IDENTIFIERS, "warning", hits, title)


@lru_cache(10_000)  # the rows of one conversation share messages
def identifiers(text: str) -> tuple[tuple[str, str], ...]:
    """What looks like an identifier in a text: (kind, as written)."""
    return tuple(_found(text)) if _ANY.search(text) else ()


def _found(text: str) -> Iterator[tuple[str, str]]:
    for kind, spans in _KINDS:
        found = sorted(set(spans(text)))
        yield from ((kind, text[start:end]) for start, end in found)
        text = _without(text, found)  # nothing is counted twice


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    pieces, last = [], 0
    for start, end in spans:
        pieces += [text[last:start], "\ue000" * (end - start)]
        last = max(last, end)
    return "".join([*pieces, text[last:]])


def _matches(pattern: re.Pattern, fits: Callable[[str, str], bool] = lambda one, before: True):
    """A function that yields the spans of a pattern's matches that fit, given what is before them."""

    def spans(text: str) -> Iterator[tuple[int, int]]:
        for match in pattern.finditer(text):
            if fits(match[0], text[max(0, match.start() - 30) : match.start()]):
                yield match.span()

    return spans


def _is_public(address: str, before: str) -> bool:
    try:
        return IPv4Address(address).is_global and not re.search(r"(?i)(?:\bv|version|release|build)\W{0,2}$", before)
    except AddressValueError:
        return False


def _is_random(token: str, _: str) -> bool:
    return len(_TURN.findall(token)) >= 4


def _is_number(number: str, before: str) -> bool:
    """False for amounts, dates, years, times, counting, and the numbers of orders."""
    groups = re.findall(r"\d+", number)
    digits = "".join(groups)
    if number[0] in "+＋":
        return len(set(digits)) > 2
    if re.fullmatch(r"\d+\.\d+", number) or len(digits) == 13 and digits.startswith(("978", "979")):
        return False
    if _THOUSANDS.fullmatch(number) or _DATE.search(number) or _CLOCK.fullmatch(number) or _THING.search(before):
        return False
    if re.fullmatch(r"\d{4}(?:\.\d{4})+", number) and not _has_check_digit(digits):  # a version, not a card
        return False
    years = all(map(_YEAR.fullmatch, groups)) and number[0] not in "(0"
    if years or digits.endswith("00000") or len(set(digits)) < 2 or set(digits) <= set("01"):
        return False
    return 2 * len(groups) <= len(digits) + 1 and (number[0] in "(0" or max(map(len, groups)) > 2)


def _has_check_digit(digits: str) -> bool:
    """Whether the last digit is that of Luhn's formula, as on every card."""
    doubled = [int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(digits))]
    return sum(one - 9 if one > 9 else one for one in doubled) % 10 == 0


_KINDS = [
    ("e-mail address", _matches(_EMAIL)),
    ("key", find_keys),
    ("secret in a link", _matches(_SECRET)),
    ("coordinates", _matches(_PLACE)),
    ("account number", _matches(_ACCOUNT, lambda one, _: sum(map(str.isdigit, one)) >= 8)),
    ("network address", _matches(_IP, _is_public)),
    ("network address", _matches(_SIX)),
    ("network address", _matches(_MAC)),
    ("long number", _matches(_NUMBER, _is_number)),
    ("random text", _matches(_TOKEN, _is_random)),
]


def hidden(identifier: str) -> str:
    """An identifier of which only the beginning and the end can be read: +49 ••• ••••••78."""
    shown = 3 if identifier.startswith("+") else 2
    if "@" in identifier:
        name, _, host = identifier.rpartition("@")
        return f"{name[:1]}{'•' * (len(name) - 1)}@{'•' * len(host.rpartition('.')[0])}.{host.rpartition('.')[2]}"
    middle = "".join("•" if one.isalnum() else one for one in identifier[shown:-2])
    return identifier[:shown] + middle + identifier[-2:]
