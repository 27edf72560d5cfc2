"""The ids of a messages table, hashed where a name or an address stands in one."""

import re
from hashlib import blake2b

import pandas

from . import contacts as address_book
from .names import Known, mentions
from .people import NO_NAMES
from .pseudonyms import OURS

_EMAIL = re.compile(r"\w@\w")
_NUMBER = re.compile(r"\d{7,}")
# Between the parts of an id.
_BETWEEN = re.compile(r"[:|/#]")


def hashed_ids(messages: pandas.DataFrame, people: list[dict], known: Known) -> dict[str, pandas.Series]:
    """The columns of ids, under new ids where one tells who somebody is; none where no id does.

    The hash is keyed with the history itself: a phone number's own could be found by trying all.
    """
    everyone = {*messages["sender"].unique(), *messages["conversation"].unique()}
    everyone |= {address for person in people for address in person.get("addresses", ())}
    numbers = {re.sub(r"\D", "", one) for one in everyone if address_book.plain(one)}
    numbers = {one for one in numbers if len(one) > address_book.SHORT_CODE}
    names = {one for one in everyone.difference(NO_NAMES) if not OURS.fullmatch(one)}
    columns = {column: messages[column].tolist() for column in ("message_id", "reply_to")}
    ids = set().union(*columns.values()) - {None, ""}
    telling = [one for one in ids if _tells(one, names, numbers, known)]
    if not telling:
        return {}
    key = blake2b(_bytes("".join([*messages["message_id"], *messages["text"]])), digest_size=32).digest()
    new = {one: blake2b(_bytes(one), key=key, digest_size=12).hexdigest() for one in telling}
    return {
        column: pandas.Series([new.get(one, one) for one in values], index=messages.index, dtype=object)
        for column, values in columns.items()
    }


def _tells(one: str, names: set[str], numbers: set[str], known: Known) -> bool:
    return bool(
        _EMAIL.search(one)
        or not numbers.isdisjoint(_NUMBER.findall(one))
        or not names.isdisjoint(_BETWEEN.split(one))
        or any(mention.is_meant and mention.end - mention.start > 2 for mention in mentions(one, known))
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
