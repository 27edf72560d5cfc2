"""What everybody is called in a masked table: Person1, group 1, automated 1 and so on, as they appear."""

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import chain, count

import pandas

from .people import NO_NAMES, is_automated_sender

# What an earlier masking called somebody; it stays.
OURS = re.compile(r"(?:Person|group |automated )\d+")


class Pseudonyms:
    """The pseudonyms by name. Some come with the people; the others are made when they are asked for."""

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
        # A group may have a person's name.
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
