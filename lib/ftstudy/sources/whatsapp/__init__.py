"""Reads WhatsApp's "Export chat": `_chat.txt` (iPhone), `WhatsApp Chat with NAME.txt` (Android), the
`.zip` around it, or a folder of them -> messages table.

The export is text for people. Its dates follow the phone's language without saying which, so the
order of day, month and year is inferred from the whole file; if it stays ambiguous, the file is
refused. Each file is one conversation, written by one phone in one form: a line that looks like the
start of a message in another form was pasted, and stays text.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import pandas

from ...errors import StudyError
from ...paths import absolute, shown
from .. import exports, make_table, skip
from . import archives, dates
from .messages import kind_and_text, owners_among, split_senders
from .phrases import GROUP_PARTS, LRM, MARKS

SYSTEM_SENDER = "WhatsApp"


class Message(NamedTuple):
    time: int  # microseconds since 1970 UTC
    sender: str
    is_owner: bool
    text: str
    kind: str


class Chat(NamedTuple):
    name: str
    is_group: bool
    messages: list[Message]


def read(file: Path, me: tuple = (), date_order: str = "", time_zone: str = "UTC") -> pandas.DataFrame:
    """Read one export, or a folder of exports, into a messages table (columns: see `ftstudy.sources`).

    `me`: the owner's names in the exports. `date_order`: "dmy", "mdy" or "ymd", instead of inferring
    it. `time_zone`: the zone of the phone that exported.

    StudyError: nothing to read, not a WhatsApp export, ambiguous dates, a date that does not fit
    `date_order`, a zip that is damaged, encrypted, too large or without a text, an unknown zone or
    order.
    """
    file = absolute(file)
    if date_order and date_order not in dates.ORDERS:
        raise StudyError(f"Unknown date order {date_order!r}. Use dmy, mdy or ymd (DATE_ORDER=… or --date-order).")
    zone, skipped = exports.zone(time_zone), {}
    notes = [f"WhatsApp writes local times without a zone; they were read as {time_zone} (ZONE=…)."]
    found = [_chat(one, me, date_order, zone, skipped, notes) for one in archives.files(file)]
    chats = [chat for chat in found if chat]
    if not chats:
        raise StudyError(
            f"{shown(file)} is not a chat exported from WhatsApp: no line starts like `[31.12.23, 21:15:03] Anna: ` or "
            "`12/31/23, 9:15 PM - Anna: `. In WhatsApp, open the chat, choose Export chat > Without media, and use that "
            "file unchanged."
        )
    return make_table((row for named in _named(chats) for row in _rows(*named)), skipped, notes)


def _chat(file: Path, me, date_order, zone, skipped: dict, notes: list) -> Chat | None:
    """The chat in one export; None if no line starts a message."""
    text, title = archives.text_of(file)
    starts = dates.find_headers(file, text, notes)
    if not starts:
        notes.append(f"{shown(file)} has no WhatsApp messages and was left out.")
        return None
    for line in text[: starts[0].start].split("\n"):
        if line.strip():
            skip(skipped, "a line before the first message", line)
    order = dates.order_of(file, text, starts, date_order, notes)
    ends = [header.start for header in starts[1:]] + [len(text)]
    bodies = [text[header.end : end].removesuffix("\n") for header, end in zip(starts, ends)]
    said = [
        (MARKS.sub("", sender), *kind_and_text(words, starts[0].by_iphone))
        if sender
        else (SYSTEM_SENDER, "system", words.lstrip(LRM))
        for sender, words in split_senders(bodies, me)
    ]
    owners = owners_among({sender for sender, _, _ in said}, me)
    others = {sender for sender, kind, _ in said if kind != "system"} - owners
    notices = "\n".join(words for _, kind, words in said if kind == "system").casefold()
    is_group = len(others) > 1 or any(part in notices for part in GROUP_PARTS)
    messages = [
        Message(time, exports.sender_of(sender, sender in owners), sender in owners, words, kind)
        for time, (sender, kind, words) in zip(dates.times(starts, order, zone), said)
    ]
    return Chat(f"group:{title}" if is_group else next(iter(others), title), is_group, messages)


def _named(chats: Iterable[Chat]) -> Iterator[tuple[str, Chat]]:
    """Yield (conversation, chat). Two chats of the same name are one conversation only if they overlap.

    Exports of the same chat agree on most messages of the time that both cover; the chats of two
    people with the same name share a happy new year at most.
    """
    groups = {}
    for chat in chats:
        same_name = groups.setdefault(chat.name, [])
        numbers = (number for number, group in enumerate(same_name) if any(_agree(chat, one) for one in group))
        number = next(numbers, len(same_name))
        if number == len(same_name):
            same_name.append([])
        same_name[number].append(chat)
        yield chat.name + (f" ({number + 1})" if number else ""), chat


def _agree(one: Chat, other: Chat) -> bool:
    since = max(min(chat.messages).time for chat in (one, other))
    until = min(max(chat.messages).time for chat in (one, other))
    mine, theirs = ({row[:4] for row in chat.messages if since <= row.time <= until} for chat in (one, other))
    return bool(mine) and bool(theirs) and 2 * len(mine & theirs) >= min(len(mine), len(theirs))


def _rows(conversation: str, chat: Chat) -> Iterator[dict]:
    numbers = Counter()
    for message in chat.messages:
        numbers[message] += 1  # Android has no seconds, so the same minute may have "ok" twice
        content = "\x1f".join([conversation, str(message.time), message.sender, message.text, str(numbers[message])])
        yield {
            "conversation": conversation,
            "is_group": chat.is_group,
            "sender": message.sender,
            "is_owner": message.is_owner,
            "timestamp": message.time,
            "text": message.text,
            "kind": message.kind,
            "message_id": blake2b(content.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest(),
            "reply_to": None,
        }
