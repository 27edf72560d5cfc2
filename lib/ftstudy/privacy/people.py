"""The known people of a messages table."""

import re
from collections.abc import Iterable

import pandas

from ..sources import OWNER_SENDER
from . import contacts as address_book

NO_NAMES = (OWNER_SENDER, "unknown", "deleted")  # what readers write in the place of a name
# A short code, an address that takes no reply, or the pseudonym of one.
_AUTOMATED = re.compile(
    r"(?i)\d{3,6}|automated \d+|urn:biz:\S+"
    r"|(?:[\w.+-]*[._+-])?(?:no|do[._-]?not)[._-]?reply[\w.+-]*@\S+|(?:mailer-daemon|notifications?|alerts?)@\S+"
)
# The beginning of an address that is written as apps write it.
_SCHEME = re.compile(r"(?:group|chat|urn|tel|mailto|sms):")


def people_of(
    messages: pandas.DataFrame, contacts: Iterable[dict] = (), owner: str = "", me: Iterable[str] = ()
) -> list[dict]:
    """The known people of a messages table, as `mask` takes them: the owner, the senders, the contacts.

    Every name in `me` is replaced by `owner`, the name that the prompts use, which itself stays.
    """
    fixed = {"pseudonym": owner} if owner else {}
    people = {name: _named(name) | fixed for name in ([owner, *me] if owner else me)}
    for contact in address_book.distinct(messages, list(contacts)):
        people.setdefault(contact["name"], contact)
    alone = messages.loc[~messages["is_group"], "conversation"]
    for name in (*messages["sender"].unique(), *alone.unique()):
        if name not in NO_NAMES and not _is_address(name):
            people.setdefault(name, _named(name))
    return list(people.values())


def is_automated_sender(name: str) -> bool:
    """A short code, an address such as no-reply@…, or the pseudonym of one. No word is guessed at."""
    return bool(_AUTOMATED.fullmatch(name.strip()))


def _named(name: str) -> dict:
    return {"name": name, "given": "", "family": "", "nicknames": []}


def _is_address(name: str) -> bool:
    return bool(address_book.plain(name)) or is_automated_sender(name) or bool(_SCHEME.match(name))
