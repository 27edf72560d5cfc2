"""Reads WhatsApp's "Export chat": `_chat.txt` (iPhone), `WhatsApp Chat with NAME.txt` (Android), the
`.zip` around it, or a folder of them -> messages table.

The export is text for people. Its dates follow the phone's language without saying which, so the
order of day, month and year is inferred from the whole file, then from what surrounds it; if it stays
ambiguous, the file is refused. Each file is one conversation, written by one phone in one form: a line
that looks like the start of a message in another form was pasted, and stays text.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas

from ...errors import StudyError
from ...paths import absolute, shown
from .. import exports, make_table, sender_of, skip
from ..date_words import ORDERS
from . import archives, dates, repeats
from .headers import find_headers, pattern_of
from .messages import kind_and_text, language_of, notices, owners_among, split_senders
from .phrases import LRM, MARKS, PHRASES

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
    style: tuple  # of its dates
    order: str


def read(file: Path, me: tuple = (), date_order: str = "", time_zone: str = "UTC") -> pandas.DataFrame:
    """Read one export, or a folder of exports, into a messages table (columns: see `ftstudy.sources`).

    `me`: the owner's names in the exports. `date_order`: "dmy", "mdy" or "ymd", for dates that leave it open; or how a
    message begins, such as "[%d.%m.%y, %H:%M:%S]". `time_zone`: the zone of the phone that exported.

    StudyError: nothing to read, not a WhatsApp export, ambiguous dates, a date that does not fit
    `date_order`, a zip that is damaged, encrypted, too large or without a text, an unknown zone or
    order, two exports in one file.
    """
    file = absolute(file)
    by_hand = pattern_of(date_order) if "%" in date_order else None
    wanted = "dmy" if by_hand else date_order
    if wanted and wanted not in ORDERS:
        raise StudyError(
            f"Unknown date order {date_order!r}. Use dmy, mdy or ymd, or how a message begins, such as "
            "'%d.%m.%y, %H:%M -' (DATE_ORDER=… or --date-order)."
        )
    zone, skipped = exports.zone(time_zone), {}
    notes = [f"WhatsApp writes local times without a zone; they were read as {time_zone} (ZONE=…)."]
    files = archives.files(file)
    forced = wanted if by_hand or len(files) == 1 else ""
    hints, chats, open_ = dates.Hints(wanted, {}), {}, []

    def chat_in(one: Path) -> Chat | None:
        return _chat(one, me, by_hand, forced, hints, zone, skipped, notes)

    # The files that settle their own order come first: they settle that of the others.
    for one in files:
        try:
            chats[one] = chat_in(one)
        except dates.Ambiguous:
            open_.append(one)
    for chat in filter(None, chats.values()):
        hints.others.setdefault(chat.style, Counter())[chat.order] += 1
    chats |= {one: chat_in(one) for one in open_}
    found = [chat for one in files if (chat := chats[one])]
    if not found:
        raise _no_chat(file, files)
    return make_table((row for named in _named(_without_repeats(found)) for row in _rows(*named)), skipped, notes)


def _no_chat(file: Path, files: list[Path]) -> StudyError:
    """Says how the first line begins, up to where a name or a message may follow."""
    line = archives.text_of(files[0])[0][:200].lstrip("\ufeff").partition("\n")[0]
    start = re.split(r"(?<=\]) | - |: ", line)[0]
    begins = f"it begins {start[:40]!r}" if re.search(r"\d.*\d.*\d", start) else "its first line has no date"
    return StudyError(
        f"{shown(file)} is not a chat exported from WhatsApp: no line starts like `[31.12.23, 21:15:03] Anna: ` or "
        f"`12/31/23, 9:15 PM - Anna: `; {begins}. If WhatsApp wrote it, open the chat there, choose Export chat > Without "
        "media, and use that file unchanged, or say how its messages begin, with DATE_ORDER='%d.%m.%Y %H:%M -' or "
        "--date-order; for other apps see docs/sources.md."
    )


def _chat(file: Path, me, by_hand, forced: str, hints, zone, skipped: dict, notes: list) -> Chat | None:
    """The chat in one export; None if no line starts a message."""
    text, title = archives.text_of(file)
    starts = find_headers(file, text, notes, by_hand)
    if not starts:
        notes.append(f"{shown(file)} has no WhatsApp messages and was left out.")
        return None
    ends = [header.start for header in starts[1:]] + [len(text)]
    bodies = [text[header.end : end].removesuffix("\n") for header, end in zip(starts, ends)]
    if forced:
        dates.check_order(file, text, starts, forced)
    order = forced or dates.order_of(file, starts, hints, lambda: language_of(file.name, bodies), notes)
    dates.note_calendar(file, starts, order, notes)
    for line in text[: starts[0].start].split("\n"):
        if line.strip():
            skip(skipped, "a line before the first message", line)
    by_iphone = starts[0].by_iphone
    said = [
        (MARKS.sub("", sender), *kind_and_text(words, by_iphone))
        if sender
        else (SYSTEM_SENDER, "system", words.lstrip(LRM))
        for sender, words in split_senders(bodies, me)
    ]
    if by_iphone and LRM not in text:  # copies and other programs take the marks out
        names = {sender for sender, _, _ in said}
        is_notice, is_group_name = notices(names), title in names and len(names) > 2
        said = [
            (sender, "system", words)
            if kind == "text" and (is_notice(words) or (is_group_name and sender == title))
            else (sender, kind, words)
            for sender, kind, words in said
        ]
    owners = owners_among({sender for sender, _, _ in said}, me)
    others = {sender for sender, kind, _ in said if kind != "system"} - owners
    own_words = "\n".join(words for _, kind, words in said if kind == "system").casefold()
    is_group = len(others) > 1 or any(part in own_words for part in PHRASES["group_parts"])
    messages = [
        Message(time, sender_of(sender, sender in owners), sender in owners, words, kind)
        for time, (sender, kind, words) in zip(dates.times(starts, order, zone), said)
    ]
    name = f"group:{title}" if is_group else next(iter(others), title)
    return Chat(name, is_group, messages, dates.style_of(starts), order)


def _without_repeats(chats: list[Chat]) -> list[Chat]:
    """The chats with what WhatsApp writes again and again, in a language that isn't known, taken for what it is."""
    texts = ((one.sender, one.text) for chat in chats for one in chat.messages if one.kind == "text")
    known = repeats.repeated(texts)
    if not any(known):
        return chats
    return [
        chat._replace(messages=[_by_repeats(one, known) if one.kind == "text" else one for one in chat.messages])
        for chat in chats
    ]


def _by_repeats(message: Message, known: tuple) -> Message:
    kind, text = repeats.kind_and_text(message.text, known)
    return message._replace(kind=kind, text=text)


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
        content = (conversation, str(message.time), message.sender, message.text, str(numbers[message]))
        yield {
            "conversation": conversation,
            "is_group": chat.is_group,
            "sender": message.sender,
            "is_owner": message.is_owner,
            "timestamp": message.time,
            "text": message.text,
            "kind": message.kind,
            "message_id": exports.identity(*content),
        }
