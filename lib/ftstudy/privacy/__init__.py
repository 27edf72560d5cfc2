"""Replaces everything in a messages table that identifies people or says how to reach them.

    masked, counts = mask(messages, people_of(messages, contacts, owner="Sam", me=("Alex Doe",)))

Phone numbers, e-mail addresses, links with a token, an invitation or a place, street addresses, coordinates, cards,
keys, one-time codes, numbers of identity, birthdays, user names and addresses in a network become fixed placeholders. Known people become Person1, Person2, …; names that are
not known are not guessed. All other text stays the same, byte for byte.
"""

import re
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b

import pandas

from ..sources import check
from ..wording import NOT_MASKED
from . import contacts as address_book
from . import regions
from .codes import is_code_message
from .inflections import frequent_languages
from .links import is_link_only
from .names import Known, lookup, mentions
from .people import NO_NAMES, OURS, is_automated_sender, people_of
from .spans import find, find_and_count, is_masked_only, replace

__all__ = [
    "find",
    "is_automated_sender",
    "is_code_message",
    "is_link_only",
    "is_masked_only",
    "lookup",
    "mask",
    "people_of",
    "replace",
]
_EMAIL = re.compile(r"\w@\w")
_NUMBER = re.compile(r"\d{7,}")
_SEPARATOR = re.compile(r"[:|/#]")  # between the parts of an id


def mask(messages: pandas.DataFrame, names: list[dict], region: str = "") -> tuple[pandas.DataFrame, dict]:
    """A masked copy of the messages table, and how many spans of each kind were masked in its texts.

    `names`: see `people_of`; a person's `pseudonym`, if given, replaces them. `region`: two letters,
    the country whose phone numbers may be written without a country code; without it, a note says which
    one is inferred from the numbers that have one. The counts include, under NOT_MASKED, the names that were
    not masked because they are also ordinary words. StudyError: unknown region.
    """
    region, note = regions.check_region(region), ""
    if not region:
        region, note = regions.infer(_addresses(messages, names), messages["text"])
    known = lookup(names, frequent_languages(messages["text"]))
    columns = known.pseudonyms.of_columns(messages)
    counts, texts = Counter(), []
    for text, chat, is_group in zip(messages["text"], messages["conversation"], messages["is_group"]):
        spans, left = find_and_count(text, known, None if is_group else chat, region)
        for span in spans:
            counts[span.kind] += 1
        if left:
            counts[NOT_MASKED] += left
        texts.append(replace(text, spans) if spans else text)
    columns["text"] = pandas.Series(texts, index=messages.index, dtype=object)
    masked = messages.assign(**columns, **_hashed_ids(messages, names, known))
    masked.attrs = _masked_attrs(messages.attrs, lambda text: replace(text, find(text, known, region=region)))
    masked.attrs["notes"] += [note] if note else []
    return check(masked), dict(sorted(counts.items()))


def _masked_attrs(attrs: dict, mask_text: Callable[[str], str]) -> dict:
    """The table's attrs with masked texts: a file may be named after the person in the chat."""
    masked = {"notes": [mask_text(note) for note in attrs.get("notes", [])]}
    masked["skipped"] = {
        reason: entry | {"examples": [mask_text(one) for one in entry["examples"]]}
        for reason, entry in attrs.get("skipped", {}).items()
    }
    if "source" in attrs:
        masked["source"] = mask_text(attrs["source"])
    return attrs | masked


def _addresses(messages: pandas.DataFrame, people: list[dict]) -> set[str]:
    """Everybody's names and addresses."""
    everyone = {*messages["sender"].unique(), *messages["conversation"].unique()}
    return everyone | {address for person in people for address in person.get("addresses", ())}


def _hashed_ids(messages: pandas.DataFrame, people: list[dict], known: Known) -> dict[str, pandas.Series]:
    """The id columns, with every id that identifies somebody hashed; {} if no id does.

    The hash is keyed with the history, because a plain hash of a phone number can be found by trying
    all numbers.
    """
    everyone = _addresses(messages, people)
    numbers = {re.sub(r"\D", "", one) for one in everyone if address_book.plain(one)}
    numbers = {one for one in numbers if len(one) > address_book.SHORT_CODE}
    names = {one for one in everyone.difference(NO_NAMES) if not OURS.fullmatch(one)}
    columns = {column: messages[column].tolist() for column in ("message_id", "reply_to")}
    ids = set().union(*columns.values()) - {None, ""}
    identifying = [one for one in ids if _identifies(one, names, numbers, known)]
    if not identifying:
        return {}
    key = blake2b(_bytes("".join([*messages["message_id"], *messages["text"]])), digest_size=32).digest()
    new = {one: blake2b(_bytes(one), key=key, digest_size=12).hexdigest() for one in identifying}
    return {
        column: pandas.Series([new.get(one, one) for one in values], index=messages.index, dtype=object)
        for column, values in columns.items()
    }


def _identifies(one: str, names: set[str], numbers: set[str], known: Known) -> bool:
    return bool(
        _EMAIL.search(one)
        or not numbers.isdisjoint(_NUMBER.findall(one))
        or not names.isdisjoint(_SEPARATOR.split(one))
        or any(mention.is_meant and mention.end - mention.start > 2 for mention in mentions(one, known))
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
