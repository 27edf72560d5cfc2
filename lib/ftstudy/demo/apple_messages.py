"""Writes a `chat.db` like Apple Messages: its tables, guids and archived texts.

`write_chat_db` writes messages; `attributed_body` makes the archive of a message's text. The same
messages always give the same bytes.
"""

import sqlite3
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .. import paths
from ..files import replace_file

APPLE_EPOCH = datetime(2001, 1, 1, tzinfo=UTC)


def _columns(names, declaration):
    return ", ".join(f"{name} {declaration}" for name in names.split())


_NUMBERS = """
is_delivered is_finished is_emote is_from_me is_empty is_delayed is_auto_reply is_prepared is_read is_system_message
is_sent has_dd_results is_service_message is_forward was_downgraded is_archive cache_has_attachments was_data_detected
was_deduplicated is_audio_message is_played item_type other_handle group_action_type share_status share_direction
message_action_type message_source associated_message_type associated_message_range_location
associated_message_range_length date_retracted date_edited was_delivered_quietly did_notify_recipient part_count is_spam
has_unseen_mention
"""
_TEXTS = """
cache_roomnames group_title associated_message_guid balloon_bundle_id expressive_send_style_id destination_caller_id
reply_to_guid thread_originator_guid thread_originator_part associated_message_emoji
"""
_KEY = "ROWID INTEGER PRIMARY KEY AUTOINCREMENT"
# Apple's names and types, macOS 13 to 15, without the columns used only for synchronization.
_SCHEMA = f"""
CREATE TABLE _SqliteDatabaseProperties (key TEXT, value TEXT, UNIQUE(key));
CREATE TABLE message ({_KEY}, guid TEXT UNIQUE NOT NULL, text TEXT, handle_id INTEGER DEFAULT 0,
  subject TEXT, country TEXT, attributedBody BLOB, service TEXT, account TEXT, account_guid TEXT,
  {_columns("replace version type error", "INTEGER DEFAULT 0")},
  {_columns("date date_read date_delivered date_played", "INTEGER")},
  {_columns(_NUMBERS, "INTEGER DEFAULT 0")},
  {_columns(_TEXTS, "TEXT DEFAULT NULL")},
  payload_data BLOB, message_summary_info BLOB);
CREATE TABLE handle ({_KEY} UNIQUE, id TEXT NOT NULL, country TEXT, service TEXT NOT NULL,
  uncanonicalized_id TEXT, person_centric_id TEXT, UNIQUE (id, service));
CREATE TABLE chat ({_KEY}, guid TEXT UNIQUE NOT NULL, style INTEGER, state INTEGER,
  account_id TEXT, properties BLOB, chat_identifier TEXT, service_name TEXT, room_name TEXT,
  account_login TEXT, is_archived INTEGER DEFAULT 0, last_addressed_handle TEXT,
  display_name TEXT, group_id TEXT, is_filtered INTEGER DEFAULT 0, successful_query INTEGER,
  last_read_message_timestamp INTEGER DEFAULT 0);
CREATE TABLE attachment ({_KEY}, guid TEXT UNIQUE NOT NULL, created_date INTEGER DEFAULT 0,
  start_date INTEGER DEFAULT 0, filename TEXT, uti TEXT, mime_type TEXT,
  transfer_state INTEGER DEFAULT 0, is_outgoing INTEGER DEFAULT 0, user_info BLOB,
  transfer_name TEXT, total_bytes INTEGER DEFAULT 0, is_sticker INTEGER DEFAULT 0,
  hide_attachment INTEGER DEFAULT 0);
CREATE TABLE chat_handle_join (chat_id INTEGER REFERENCES chat (ROWID) ON DELETE CASCADE,
  handle_id INTEGER REFERENCES handle (ROWID) ON DELETE CASCADE, UNIQUE(chat_id, handle_id));
CREATE TABLE chat_message_join (chat_id INTEGER REFERENCES chat (ROWID) ON DELETE CASCADE,
  message_id INTEGER REFERENCES message (ROWID) ON DELETE CASCADE,
  message_date INTEGER DEFAULT 0, PRIMARY KEY (chat_id, message_id));
CREATE TABLE message_attachment_join (
  message_id INTEGER REFERENCES message (ROWID) ON DELETE CASCADE,
  attachment_id INTEGER REFERENCES attachment (ROWID) ON DELETE CASCADE,
  UNIQUE(message_id, attachment_id));
CREATE INDEX chat_message_join_idx_message_id_only ON chat_message_join(message_id);
"""


def attributed_body(text: str, mutable: bool = False) -> bytes:
    """The typedstream archive of an NS(Mutable)AttributedString, as in `message.attributedBody`."""
    out = bytearray(b"\x04\x0bstreamtyped\x81\xe8\x03")
    strings, classes, objects = {}, {}, 0

    def number(value):
        if value < 0x80:
            return bytes([value])
        if value < 0x8000:
            return b"\x81" + value.to_bytes(2, "little")
        return b"\x82" + value.to_bytes(4, "little")

    def shared(name):  # written once, then referred to by number
        if name in strings:
            out.append(0x92 + strings[name])
        else:
            strings[name] = len(strings)
            out.extend(b"\x84" + number(len(name)) + name.encode())

    def begin(*chain):  # a new object: its class and superclasses
        nonlocal objects
        out.append(0x84)
        objects += 1
        for name, version in chain:
            if name in classes:
                out.append(0x92 + classes[name])
                return
            classes[name] = objects
            objects += 1
            out.append(0x84)
            shared(name)
            out.append(version)
        out.append(0x85)  # no superclass

    def string(value, *chain):
        begin(*chain)
        shared("+")
        encoded = value.encode()
        out.extend(number(len(encoded)) + encoded + b"\x86")

    root, plain = ("NSObject", 0), ("NSString", 1)
    shared("@")
    begin(*[("NSMutableAttributedString", 0)] * mutable, ("NSAttributedString", 0), root)
    shared("@")
    string(text, *[("NSMutableString", 1)] * mutable, plain, root)
    shared("iI")  # attributes number 1 for the whole length in UTF-16
    out.extend(b"\x01" + number(len(text.encode("utf-16-le")) // 2))
    shared("@")
    begin(("NSDictionary", 0), root)
    shared("i")
    out.append(1)
    shared("@")
    string("__kIMMessagePartAttributeName", plain, root)
    shared("@")
    begin(("NSNumber", 0), ("NSValue", 0), root)
    shared("*")
    out.append(0x84)
    objects += 1
    shared("q")
    shared("q")
    out.extend(b"\x00\x86\x86\x86")
    return bytes(out)


def write_chat_db(
    messages: Iterable[dict],
    path: str | Path,
    groups: dict | None = None,
    people: dict | None = None,
    properties: dict | None = None,
) -> Path:
    """Write messages to a new SQLite database at `path` with the schema of Apple Messages.

    A message is a dict: `chat` (the partner's address, a group's name, or a list of chats, empty for
    none), `sender` (an address, None for the owner), `time` (UTC datetime), `text` (or None);
    optional: `guid`, `plain` (text in the text column, no archive), `attachments` (list of [file
    name, MIME type]) and `columns` (Apple column -> value, overrides the rest). ROWIDs follow the
    order of the messages. `groups`: name -> {"name", "members"}; `people`: address -> its person;
    `properties` go into Apple's table of properties. The file is written completely or not at all.
    """
    path = paths.absolute(path)
    with replace_file(path) as unfinished:
        connection = sqlite3.connect(unfinished)
        try:
            connection.executescript("PRAGMA page_size = 2048; PRAGMA journal_mode = OFF;" + _SCHEMA)
            _insert_all(connection, messages, groups or {}, people or {})
            connection.executemany(
                "INSERT INTO _SqliteDatabaseProperties VALUES (?, ?)", sorted((properties or {}).items())
            )
            connection.commit()
        finally:
            connection.close()
    return path


def _insert_all(connection, messages, groups, people):
    chats, handles = {}, {}

    def insert(table, **values):
        return connection.execute(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", list(values.values())
        ).lastrowid

    def handle(address):
        if address not in handles:
            handles[address] = insert(
                "handle", id=address, service="iMessage", country="us", person_centric_id=people.get(address)
            )
        return handles[address]

    def chat(name):
        if name not in chats:
            group = groups.get(name)
            chats[name] = insert(
                "chat",
                guid=f"iMessage;{'+' if group else '-'};{name}",
                chat_identifier=name,
                style=43 if group else 45,
                service_name="iMessage",
                state=3,
                display_name=group["name"] if group else "",
                room_name=name if group else None,
            )
            for address in group["members"] if group else [name]:
                insert("chat_handle_join", chat_id=chats[name], handle_id=handle(address))
        return chats[name]

    for index, message in enumerate(messages):
        names = [message["chat"]] if isinstance(message["chat"], str) else message["chat"]
        text, mine = message["text"], message["sender"] is None
        date = (message["time"] - APPLE_EPOCH) // timedelta(microseconds=1) * 1000
        # An outgoing message has its recipient's handle, or none in a group.
        other = names[0] if mine and names and names[0] not in groups else message["sender"]
        archive = text is not None and not message.get("plain")
        files = message.get("attachments", [])
        rowid = insert(
            "message",
            **{
                "guid": message.get("guid") or guid_of(f"{names} {date} {index}"),
                "text": None if archive else text,
                "attributedBody": attributed_body(text, mutable=not mine) if archive else None,
                "handle_id": handle(other) if other else 0,
                "is_from_me": int(mine),
                "date": date,
                "date_delivered": date if mine else 0,
                "is_sent": int(mine),
                "is_read": int(not mine),
                "is_finished": 1,
                "service": "iMessage",
                "cache_has_attachments": int(bool(files)),
                **message.get("columns", {}),
            },
        )
        for name in names:
            insert("chat_message_join", chat_id=chat(name), message_id=rowid, message_date=date)
        for number, (file, mime) in enumerate(files):
            attachment = insert(
                "attachment",
                guid=guid_of(f"{index} {number} {file}"),
                mime_type=mime,
                transfer_name=file,
                filename=f"~/Library/Messages/Attachments/{file}",
            )
            insert("message_attachment_join", message_id=rowid, attachment_id=attachment)


def guid_of(name: str) -> str:
    """A guid in Apple's format; the same name always gives the same guid."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name)).upper()
