"""The known people of a messages table, and their pseudonyms."""

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import chain, count

import pandas

from ..sources import OWNER_SENDER
from . import contacts as address_book

NO_NAMES = (OWNER_SENDER, "unknown", "deleted")  # what readers write instead of a name
# A short code, a no-reply address, or the pseudonym of one.
_AUTOMATED = re.compile(
    r"(?i)\d{3,6}|automated \d+|urn:biz:\S+"
    r"|(?:[\w.+-]*[._+-])?(?:no|do[._-]?not)[._-]?reply[\w.+-]*@\S+|(?:mailer-daemon|notifications?|alerts?)@\S+"
)
# Pseudonyms from an earlier masking; they stay.
OURS = re.compile(r"(?:Person|group |automated )\d+")
# How apps begin an address.
_SCHEME = re.compile(r"(?:group|chat|urn|tel|mailto|sms):")


def people_of(
    messages: pandas.DataFrame, contacts: Iterable[dict] = (), owner: str = "", me: Iterable[str] = ()
) -> list[dict]:
    """The people that `mask` knows: the owner, the contacts and the senders of a messages table.

    A person is a dict: `name`, `given`, `family`, `nicknames`, and optionally `pseudonym` and
    `addresses`. Every name in `me` is replaced by `owner`, the name used in prompts, which stays.
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
    """True for a short code, an address such as no-reply@…, or the pseudonym of one. Words never count."""
    return bool(_AUTOMATED.fullmatch(name.strip()))


def _named(name: str) -> dict:
    return {"name": name, "given": "", "family": "", "nicknames": []}


def _is_address(name: str) -> bool:
    return bool(address_book.plain(name)) or is_automated_sender(name) or bool(_SCHEME.match(name))


class Pseudonyms:
    """Name -> pseudonym (Person1, group 1, automated 1, …). New ones are numbered in the order of use."""

    def __init__(self, people: Iterable[dict]):
        self.fixed = {one["name"]: one["pseudonym"] for one in people if one.get("pseudonym")}
        self._made = dict(self.fixed)
        self._numbers = defaultdict(lambda: count(1))
        self._taken = set()

    def of(self, name: str) -> str:
        """The pseudonym of a person."""
        if name not in self._made:
            self._made[name] = self._new("Person")
        return self._made[name]

    def of_columns(self, messages: pandas.DataFrame) -> dict[str, pandas.Series]:
        """The messages' conversations and senders under their pseudonyms."""
        is_group = messages["is_group"]
        groups = messages.loc[is_group, "conversation"].unique()
        partners = messages["conversation"].where(~is_group, messages["sender"])
        people = dict.fromkeys(chain.from_iterable(zip(partners, messages["sender"])))
        self._taken |= set(filter(OURS.fullmatch, (*groups, *people)))
        shown = {name: self._shown(name) for name in people}
        # Separate from `shown`, because a group can have the same name as a person.
        chats = shown | {name: name if name in self._taken else self._new("group ") for name in groups}
        return {
            "conversation": messages["conversation"].map(chats).astype(object),
            "sender": messages["sender"].map(shown).astype(object),
        }

    def _shown(self, name: str) -> str:
        if name in NO_NAMES or name in self._taken:
            return name
        return self._new("automated ") if is_automated_sender(name) else self.of(name)

    def _new(self, prefix: str) -> str:
        numbered = (f"{prefix}{number}" for number in self._numbers[prefix])
        return next(name for name in numbered if name not in self._taken)
