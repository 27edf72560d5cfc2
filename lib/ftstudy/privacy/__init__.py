"""What says who somebody is, or how to reach them, replaced in a messages table.

    masked, counts = mask(messages, people_of(messages, contacts, owner="Sam", me=("Alex Doe",)))

Phone numbers, e-mail addresses, links that carry a token or an invitation, street addresses, card
numbers and one-time codes become fixed placeholders. Known people become Person1, Person2, …; who
is not known by name is not guessed. The rest of a text stays as it is, byte for byte.
"""

from collections import Counter

import pandas

from ..sources import check
from .codes import is_code_message
from .ids import hashed_ids
from .links import is_link_only
from .names import lookup
from .people import is_automated_sender, people_of
from .spans import find, find_and_leave, is_masked_only, replace

__all__ = [
    "LEFT",
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
LEFT = "names left alone, being ordinary words too"


def mask(messages: pandas.DataFrame, names: list[dict], region: str = "US") -> tuple[pandas.DataFrame, dict]:
    """A masked copy of the messages table, and how many spans of each kind were masked in its texts.

    `names`: see `people_of`; `pseudonym` in one of them is what replaces that person. `region`:
    the country, in two letters, whose phone numbers may stand without their country's code.
    The counts also say how often a name was left alone because it is an ordinary word.
    """
    known = lookup(names)
    columns = known.pseudonyms.of_columns(messages)
    counts, texts = Counter(), []
    for text, chat, is_group in zip(messages["text"], messages["conversation"], messages["is_group"]):
        spans, left = find_and_leave(text, known, None if is_group else chat, region)
        for span in spans:
            counts[span.kind] += 1
        if left:
            counts[LEFT] += left
        texts.append(replace(text, spans) if spans else text)
    columns["text"] = pandas.Series(texts, index=messages.index, dtype=object)
    masked = messages.assign(**columns, **hashed_ids(messages, names, known))

    def plain(text: str) -> str:
        return replace(text, find(text, known, region=region))

    # A file may be named after whom the chat is with.
    told = {"notes": [plain(note) for note in messages.attrs.get("notes", [])]}
    told["skipped"] = {
        reason: entry | {"examples": [plain(one) for one in entry["examples"]]}
        for reason, entry in messages.attrs.get("skipped", {}).items()
    }
    if "source" in messages.attrs:
        told["source"] = plain(messages.attrs["source"])
    masked.attrs = messages.attrs | told
    return check(masked), dict(sorted(counts.items()))
