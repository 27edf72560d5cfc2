"""WhatsApp's "Export chat": `_chat.txt` (iPhone), `WhatsApp Chat with NAME.txt` (Android), the
`.zip` around it, and a folder of them, into the messages table.

The export is text for people. Its dates follow the phone's language without saying which it was,
so the order of day, month and year is inferred from the whole file, and refused where two readings
stay possible. Each file is one conversation, and one phone wrote all of it in one form: a line that
looks like the start of a message in another form was pasted, and stays text.
"""

from pathlib import Path

import pandas

from ...errors import StudyError
from ...paths import from_root, shown
from .. import exports, make_table, skip
from . import archives, dates, headers, kinds, senders
from .chats import Chat, Message, rows, told_apart
from .phrases import GROUP_PARTS, LRM, MARKS

SYSTEM_SENDER = "WhatsApp"


def read(file: Path, me: tuple = (), date_order: str = "", time_zone: str = "UTC") -> pandas.DataFrame:
    """Read one export, or a folder of exports, into a messages table (columns: see `ftstudy.sources`).

    `me`: names under which the owner stands in the exports. `date_order`: "dmy", "mdy" or "ymd",
    instead of inferring it. `time_zone`: of the phone that exported.

    StudyError: nothing to read there, no WhatsApp export, dates with two readings, a date that
    `date_order` cannot read, a zip that is damaged, encrypted, too large or without a text, an
    unknown zone or order.
    """
    file = from_root(file)
    if date_order and date_order not in headers.ORDERS:
        raise StudyError(f"{date_order!r} is no order of dates. Use dmy, mdy or ymd (DATE_ORDER=… or --date-order).")
    zone, skipped = exports.zone(time_zone), {}
    notes = [f"WhatsApp writes local times without their zone; they were taken as {time_zone} (ZONE=…)."]
    found = [_chat(one, me, date_order, zone, skipped, notes) for one in archives.files(file)]
    chats = [chat for chat in found if chat]
    if not chats:
        raise StudyError(
            f"{shown(file)} is no chat exported from WhatsApp: no line starts like `[31.12.23, 21:15:03] Anna: ` or "
            "`12/31/23, 9:15 PM - Anna: `. In WhatsApp, open the chat, choose Export chat > Without media, and give "
            "that file as it is."
        )
    return make_table((row for named in told_apart(chats) for row in rows(*named)), skipped, notes)


def _chat(file: Path, me, date_order, zone, skipped: dict, notes: list) -> Chat | None:
    """The chat in one export; None where no line starts a message."""
    text, title = archives.text_of(file)
    starts = headers.find(file, text, notes)
    if not starts:
        notes.append(f"{shown(file)} holds no message of WhatsApp and was left out.")
        return None
    for line in text[: starts[0].start].split("\n"):
        if line.strip():
            skip(skipped, "a line before the first message", line)
    order = dates.order_of(file, text, starts, date_order, notes)
    ends = [header.start for header in starts[1:]] + [len(text)]
    bodies = [text[header.end : end].removesuffix("\n") for header, end in zip(starts, ends)]
    said = [
        (MARKS.sub("", sender), *kinds.kind_and_text(words, starts[0].by_iphone))
        if sender
        else (SYSTEM_SENDER, "system", words.lstrip(LRM))
        for sender, words in senders.split(bodies, me)
    ]
    owners = senders.owners({sender for sender, _, _ in said}, me)
    others = {sender for sender, kind, _ in said if kind != "system"} - owners
    notices = "\n".join(words for _, kind, words in said if kind == "system").casefold()
    is_group = len(others) > 1 or any(part in notices for part in GROUP_PARTS)
    messages = [
        Message(time, exports.sender_of(sender, sender in owners), sender in owners, words, kind)
        for time, (sender, kind, words) in zip(dates.times(starts, order, zone), said)
    ]
    return Chat(f"group:{title}" if is_group else next(iter(others), title), is_group, messages)
