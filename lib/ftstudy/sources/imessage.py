"""Reads Apple Messages: `chat.db` -> messages table.

`imessage_chatdb` decodes the message bodies, of a database that `imessage_database` opens. This module does the rest:
order, duplicates, which addresses are one person, and which rows are not ordinary messages.
"""

import os
import re
import sqlite3
from pathlib import Path

import pandas

from ..errors import StudyError
from ..paths import absolute, shown
from . import ATTACHMENT, OWNER_SENDER, PHOTO, make_table
from .imessage_database import query

PAGE = 20_000  # messages per query; SQLite allows 32,766 values in one query
PLACEHOLDER = "\ufffc"  # marks the place of an attachment in a text
LINK_PREVIEW = "com.apple.messages.URLBalloonProvider"
APPLE_EPOCH = 978_307_200_000_000  # 2001-01-01 in microseconds since 1970

# A reaction from or to somebody without iMessage arrives as text. The whole message must have one of
# these forms, so that "Liked it a lot" stays an ordinary message.
_QUOTED = r"(?:“.*”|\".*\"|„.*[“”]|«.*»)"
_NAMED = (
    r"(?:an?|one|\d+) (?:image|photo|picture|movie|video|sticker|attachment|file|contact|link"
    r"|location|audio message|voice message)s?"
)
_REACTED = "|".join(
    [
        # English; "Reacted 😂 to" and "Removed a heart from" below
        "Loved|Liked|Disliked|Laughed at|Emphasi[sz]ed|Questioned",
        "A adoré|A aimé|N[’']a pas aimé|A ri de|A mis en évidence|A souligné|A exclamé",
        "A posé une question sur|A interrogé",
        "Gefällt nicht|Gefällt|Liebt|Mag nicht|Mag|Lacht über|Betont|Hervorgehoben|Hinterfragt",
        "(?:No )?[Ll]e (?:gustó|encantó|ha gustado|ha encantado)|Se ri[oó] (?:de|con)|Enfatizó",
        "Destacó|Exclamó por|Cuestionó|Preguntó por",
        "Ha adorato|Ha amato|(?:Non )?[Hh]a apprezzato|Ha riso (?:per|di)|Ha enfatizzato",
        "Ha evidenziato|Ha messo in dubbio",
        "Amou|Adorou|(?:Não )?[Gg]ostou de|Riu de|Enfatizou|Deu ênfase a|Questionou",
    ]
)
_LETTER = r"[^\W\d_]"  # an emoji contains no letter
SMS_REACTION = re.compile(
    rf"(?:{_REACTED})\s(?:{_QUOTED}|{_NAMED})"
    rf"|Removed (?:an? [\w ]+|(?:(?!{_LETTER})\S)+) from (?:{_QUOTED}|{_NAMED})"
    rf"|(?:Reacted (?:with )?|A réagi (?:avec )?)(?:(?!{_LETTER})\S)+ (?:to|à) "
    rf"(?:{_QUOTED}|{_NAMED})",
    re.DOTALL,
)


def read(path: str | Path) -> pandas.DataFrame:
    """Read a `chat.db`, or the folder it is in, into a messages table (columns: see `ftstudy.sources`).

    Works while Messages has the database open, and never writes to it. StudyError: file missing,
    empty, not a Messages database, without messages, not permitted, locked or damaged.
    """
    file = absolute(path)
    if os.path.isdir(file):  # unlike Path.is_dir, no error without permission
        file = file / "chat.db"
    table = query(file, _table)
    if table.empty:
        raise StudyError(
            f"{shown(file)} has no messages. If it is a copy, copy chat.db-wal and chat.db-shm too: they contain the "
            "most recent messages. If it is the original, turn on Messages in iCloud or open Messages once."
        )
    return table


def _table(database, connection) -> pandas.DataFrame:
    people = _people(database, connection)
    return make_table(
        _row(message, files.get(message.rowid, []), people) for page, files in _pages(database) for message in page
    )


def _pages(database):
    """Yield pages of messages in ROWID order, each with its attachments. All rows of one message are on one page."""
    last = 0
    while True:
        page = database.messages_after(last, limit=PAGE, enrich=False, include_orphans=True)
        full = len(page) == PAGE
        if full:
            # A message has one row for each of its chats, and the last one may continue on the next page.
            page = [message for message in page if message.rowid < page[-1].rowid]
            if not page or page[-1].rowid <= last:
                raise sqlite3.DatabaseError("its messages are not in order, so the file is damaged")
        page.sort(key=lambda message: (message.rowid, message.chat_rowid or 0))
        yield page, database.attachments_for(m.rowid for m in page if m.has_attachments)
        if not full:
            return
        last = page[-1].rowid


def _people(database, connection) -> dict[str, str]:
    """Address -> the one address used for its person.

    Messages gives all addresses of a contact the same person_centric_id, and lists an address once
    per service.
    """
    column = "person_centric_id" if database.schema.has("handle", "person_centric_id") else "NULL"
    handles = connection.execute(f"SELECT id, {column} FROM handle ORDER BY ROWID").fetchall()
    person_of = {}
    for address, person in handles:
        if isinstance(address, str) and (person or _plain(address) not in person_of):
            person_of[_plain(address)] = person or _plain(address)
    addresses = {}
    for plain, person in person_of.items():
        addresses.setdefault(person, []).append(plain)
    # Phone numbers first: they change less often than e-mail addresses, and the conversation is named after it.
    return {plain: min(addresses[person], key=lambda one: ("@" in one, one)) for plain, person in person_of.items()}


def _plain(address: str) -> str:
    """An address in a normal form: without spaces and punctuation in numbers, lower-case e-mail."""
    if "@" in address:
        return address.strip().casefold()
    if re.fullmatch(r"\+?[\d\s().\-]+", address.strip()):
        return re.sub(r"[\s().\-]", "", address)
    return address.strip()


def _row(message, files, people) -> dict:
    partner = None
    if message.is_group:
        conversation = f"group:{message.chat_guid}"
    else:
        address = _plain(message.chat_identifier or message.sender_handle or "unknown")
        partner = people.get(address, address)
        conversation = partner if message.chat_guid else "deleted"
    # is_from_me comes before the handle, because an outgoing message has its recipient's handle. A
    # group message without a handle is also the owner's.
    is_owner = message.is_from_me or (message.is_group and not message.handle_rowid)
    if is_owner:
        sender = OWNER_SENDER
    elif message.sender_handle:
        plain = _plain(message.sender_handle)
        sender = people.get(plain, plain)
    else:
        sender = partner or "unknown"
    text = _text(message, files)
    reaction = message.reaction
    return {
        "conversation": conversation,
        "is_group": message.is_group,
        "sender": sender,
        "is_owner": is_owner,
        "timestamp": _microseconds(message.date),
        "text": text,
        "kind": _kind(message, files, text),
        "message_id": message.guid,
        "reply_to": (reaction.target_guid if reaction else message.reply_to_guid) or None,
    }


def _text(message, files) -> str:
    names = [PHOTO if (one.mime_type or "").startswith("image/") else ATTACHMENT for one in files]
    if not message.text:
        return " ".join(names)
    before, *rest = message.text.split(PLACEHOLDER)
    names += [ATTACHMENT] * len(rest)  # the placeholder of a deleted attachment stays in the text
    return before + "".join(name + part for name, part in zip(names, rest))


def _kind(message, files, text) -> str:
    if message.chat_guid is None:
        return "deleted"
    if message.item_type:
        return "system"
    if message.is_tapback:
        # Types below 1000 are an app's own messages, not reactions.
        return "tapback" if message.associated_type >= 1000 else "app"
    if message.balloon_bundle_id and message.balloon_bundle_id != LINK_PREVIEW:
        return "app"
    if not message.text and (message.date_retracted or (message.date_edited and not files)):
        return "unsent"
    if not message.date:
        return "undated"
    if SMS_REACTION.fullmatch(text.strip()):
        return "tapback"
    if files or PLACEHOLDER in (message.text or ""):
        return "attachment"
    if text.strip():
        return "text"
    return "unreadable" if message.attributed_body_raw and message.body is None else "empty"


def _microseconds(date: int) -> int:
    # Before macOS 10.13 dates were in seconds, now they are in nanoseconds.
    return APPLE_EPOCH + (date // 1000 if date > 10**11 else date * 1_000_000)
