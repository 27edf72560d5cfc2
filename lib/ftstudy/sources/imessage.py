"""Reads Apple Messages: `chat.db` -> messages table.

`imessage_chatdb` opens the database read-only and decodes the message bodies. This module does the
rest: order, duplicates, which addresses are one person, and which rows are not ordinary messages.
"""

import os
import re
import shutil
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path

import imessage_chatdb
import pandas

from ..errors import StudyError
from ..failures import pass_on
from ..files.folders import scratch
from ..files.reading import refuse_special, why
from ..paths import absolute, check_names, shown
from . import ATTACHMENT, OWNER_SENDER, PHOTO, make_table

BUSY_SECONDS = 5.0
PAGE = 20_000  # messages per query; SQLite allows 32,766 values in one query
PLACEHOLDER = "\ufffc"  # marks the place of an attachment in a text
LINK_PREVIEW = "com.apple.messages.URLBalloonProvider"
SECONDS, BYTES_PER_SECOND = 60, 1_000_000  # how long the reading may take: so many, and more for a large file
TABLES = {
    *("message", "chat", "handle", "attachment"),
    *("chat_message_join", "chat_handle_join", "message_attachment_join"),
}
# imessage_chatdb's names for the columns that it takes as numbers.
NUMBERS = {
    *("date", "date_read", "date_delivered", "date_edited", "date_retracted", "handle_rowid", "chat_rowid"),
    *("chat_style", "assoc_type", "item_type", "group_action_type", "filter_action", "is_spam", "total_bytes"),
}
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
    _check_readable(file)
    check_names(file)
    try:
        try:
            table = _read(file)
        except imessage_chatdb.ChatDBAccessError as error:
            if "unable to open" not in error.reason:
                raise
            # On a read-only volume (a backup, a snapshot) SQLite cannot create its -shm file.
            with _copy_of(file) as copy:
                table = _read(copy)
    except imessage_chatdb.ChatDBBusy as error:
        raise StudyError(
            f"{shown(file)} is locked by another program ({error}). Close that program, or read a copy of the file "
            "together with its -wal and -shm files."
        ) from error
    except imessage_chatdb.SchemaError as error:
        raise StudyError(
            f"{shown(file)} is not a Messages database: it has no {error.column}. If you use Messages, name its "
            "chat.db, or a copy of it; the database of another app must be exported first (docs/sources.md)."
        ) from error
    except (imessage_chatdb.ChatDBAccessError, sqlite3.Error, OSError) as error:
        pass_on(error)
        raise _unreadable(file, getattr(error, "reason", str(error))) from error
    except (TypeError, ValueError, OverflowError, MemoryError) as error:  # of values that no Messages database has
        raise StudyError(
            f"{shown(file)} is damaged: a value in it is not what Messages writes there ({why(error)}). Copy the "
            "original again, together with its -wal and -shm files."
        ) from error
    if table.empty:
        raise StudyError(
            f"{shown(file)} has no messages. If it is a copy, copy chat.db-wal and chat.db-shm too: they contain the "
            "most recent messages. If it is the original, turn on Messages in iCloud or open Messages once."
        )
    return table


def _read(file: Path) -> pandas.DataFrame:
    database = imessage_chatdb.ChatDB(file, timeout=BUSY_SECONDS)
    with database.connection() as connection:
        _bound(connection, file)
        # By default one text that is not UTF-8, or one date that is not a number, would abort the reading; this way it
        # costs only that message.
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        connection.row_factory = _row_with_numbers
        people = _people(database, connection)
        return make_table(
            _row(message, files.get(message.rowid, []), people) for page, files in _pages(database) for message in page
        )


def _bound(connection: sqlite3.Connection, file: Path) -> None:
    """Nothing is read that is computed and not stored, and no more than the file can hold. Raises StudyError if a
    view or a generated column has the name of a table, since reading it may never end."""
    size = sum(part.stat().st_size for part in _parts(file))
    deadline = time.monotonic() + SECONDS + size / BYTES_PER_SECOND
    connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(size, 1 << 20))
    found = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    for kind, name, sql in found:
        if str(name).lower() not in TABLES:
            continue
        is_virtual = kind == "view" or re.match(r"\s*create\s+virtual", str(sql), re.IGNORECASE)
        if is_virtual or any(column[6] for column in connection.execute(f"PRAGMA table_xinfo({str(name).lower()})")):
            raise StudyError(
                f"{shown(file)} is not a Messages database as macOS writes it: its {name} is computed when it is read, "
                "which need not end. Use the chat.db of Messages, or a copy of it."
            )


def _row_with_numbers(cursor: sqlite3.Cursor, values: tuple) -> sqlite3.Row:
    """A row in which a column of numbers has only whole ones, or None."""
    cleaned = [
        None if names[0] in NUMBERS and not isinstance(value, int) and not _is_whole(value) else value
        for names, value in zip(cursor.description, values)
    ]
    return sqlite3.Row(cursor, tuple(cleaned))


def _is_whole(value) -> bool:
    return isinstance(value, float) and abs(value) < 2**63


def _parts(file: Path) -> list[Path]:
    """The files of a database that exist."""
    return [part for part in (file, file.with_name(f"{file.name}-wal")) if part.is_file()]


@contextmanager
def _copy_of(file: Path):
    with scratch() as folder:
        for part in _parts(file):
            shutil.copyfile(part, folder / part.name)
        yield folder / file.name


def _check_readable(file: Path) -> None:
    try:
        refuse_special(file)
        if file.stat().st_size == 0:
            raise StudyError(
                f"{shown(file)} is empty (0 bytes). Copy the original again, together with its -wal and -shm files."
            )
    except FileNotFoundError as error:
        raise StudyError(
            f"There is no {shown(file)}. Check the path; on a Mac the history is ~/Library/Messages/chat.db."
        ) from error
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from error


def _unreadable(file: Path, reason: str) -> StudyError:
    if "not a database" in reason:
        fix = "Use the chat.db of Messages, not an export or a backup archive of it."
    elif "interrupted" in reason:
        reason, fix = "it takes longer than a database of its size can", "Copy the original again; this one is damaged."
    elif file.parent.parts[-2:] == ("Library", "Messages"):
        fix = (
            "macOS protects this folder: allow the program that runs Python (the terminal or the editor) under System "
            "Settings > Privacy & Security > Full Disk Access, then restart that program."
        )
    else:
        fix = (
            "Check that you may read the file and write to its folder (SQLite keeps a -shm file there), or copy chat.db "
            "again together with its -wal and -shm files."
        )
    return StudyError(f"{shown(file)} cannot be read: {reason}. {fix}")


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
    for address, person in ((address, person) for address, person in handles if isinstance(address, str)):
        if person or _plain(address) not in person_of:
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
