"""The embedded demo's chat history: real conversations, written as Apple Messages writes them.

    python -m ftstudy.demo           data/demo/chat.db: a texter's real conversations
    python -m ftstudy.demo sample    data/sample/chat.db: a few invented ones, committed

The demo takes one sender of `chitchat_dataset`, calls them OWNER and gives their partners
fictional addresses. Text and time are theirs. Around them stand rows that a real history has
and that must never be trained on; each of these has a message_id that begins with SYNTHETIC,
and, if it has a text, the mark SYNTHETIC in it.
"""

import hashlib
import json
import os
import sqlite3
import sys
import uuid
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import chitchat_dataset

from . import paths
from .errors import StudyError

OWNER = "Sam"
SYNTHETIC = "(synthetic)"
DEMO = paths.DATA / "demo" / "chat.db"
SAMPLE = paths.DATA / "sample" / "chat.db"
SAMPLE_GROUPS = {"chat410": {"name": "hike", "members": ["+12125550101", "noor@example.org"]}}
SAMPLE_PEOPLE = {"+12125550103": "jonas", "jonas@example.org": "jonas"}
PAUSE = timedelta(minutes=65)     # sessions are split at 60 minutes of silence, hence a little more
_APPLE_EPOCH = datetime(2001, 1, 1, tzinfo=UTC)
_TAPBACKS = ["Loved", "Liked", "Disliked", "Laughed at", "Emphasized", "Questioned",
             "Reacted 🎉 to"]


def _columns(names, declaration):
    return ", ".join(f"{name} {declaration}" for name in names.split())


_KEY = "ROWID INTEGER PRIMARY KEY AUTOINCREMENT"
# Apple's names and types, macOS 13 to 15, without the columns that serve only synchronisation.
_SCHEMA = f"""
CREATE TABLE _SqliteDatabaseProperties (key TEXT, value TEXT, UNIQUE(key));
CREATE TABLE message ({_KEY}, guid TEXT UNIQUE NOT NULL, text TEXT, handle_id INTEGER DEFAULT 0,
  subject TEXT, country TEXT, attributedBody BLOB, service TEXT, account TEXT, account_guid TEXT,
  {_columns("replace version type error", "INTEGER DEFAULT 0")},
  {_columns("date date_read date_delivered date_played", "INTEGER")},
  {_columns('''is_delivered is_finished is_emote is_from_me is_empty is_delayed is_auto_reply
    is_prepared is_read is_system_message is_sent has_dd_results is_service_message is_forward
    was_downgraded is_archive cache_has_attachments was_data_detected was_deduplicated
    is_audio_message is_played item_type other_handle group_action_type share_status
    share_direction message_action_type message_source associated_message_type
    associated_message_range_location associated_message_range_length date_retracted date_edited
    was_delivered_quietly did_notify_recipient part_count is_spam has_unseen_mention
    ''', "INTEGER DEFAULT 0")},
  {_columns('''cache_roomnames group_title associated_message_guid balloon_bundle_id
    expressive_send_style_id destination_caller_id reply_to_guid thread_originator_guid
    thread_originator_part associated_message_emoji''', "TEXT DEFAULT NULL")},
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

    def shared(name):                       # written once, afterwards referred to by number
        if name in strings:
            out.append(0x92 + strings[name])
        else:
            strings[name] = len(strings)
            out.extend(b"\x84" + number(len(name)) + name.encode())

    def begin(*chain):                      # a new object: its class and superclasses
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
        out.append(0x85)                    # no superclass

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
    shared("iI")                            # attributes number 1 for the whole length in UTF-16
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


def write_chat_db(messages: list[dict], path: str | Path, groups: dict | None = None,
                  people: dict | None = None, properties: dict | None = None) -> Path:
    """Write messages into a new SQLite database at `path` with the schema of Apple Messages.

    A message is a dict: `chat` (the partner's address, the name of a group, or a list of
    several chats, empty for none), `sender` (an address, None for the owner), `time` (UTC
    datetime), `text` (or None); optional `guid`, `plain` (text in the text column, no archive),
    `attachments` (list of [file name, MIME type]) and `columns` (Apple column -> value, has the
    last word). ROWIDs follow the list. `groups`: name -> {"name", "members"}; `people`: address
    -> the person it belongs to; `properties` go into Apple's table of properties. The file
    appears whole or not at all.
    """
    path, groups, people = paths.from_root(path), groups or {}, people or {}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    unfinished.unlink(missing_ok=True)
    connection = sqlite3.connect(unfinished)
    try:
        connection.executescript("PRAGMA page_size = 2048; PRAGMA journal_mode = OFF;" + _SCHEMA)
        _insert_all(connection, messages, groups, people)
        connection.executemany("INSERT INTO _SqliteDatabaseProperties VALUES (?, ?)",
                               sorted((properties or {}).items()))
        connection.commit()
        connection.close()
        os.replace(unfinished, path)
    finally:
        connection.close()
        unfinished.unlink(missing_ok=True)
    return path


def _insert_all(connection, messages, groups, people):
    chats, handles = {}, {}

    def insert(table, **values):
        return connection.execute(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
            list(values.values())).lastrowid

    def handle(address):
        if address not in handles:
            handles[address] = insert("handle", id=address, service="iMessage", country="us",
                                      person_centric_id=people.get(address))
        return handles[address]

    def chat(name):
        if name not in chats:
            group = groups.get(name)
            chats[name] = insert(
                "chat", guid=f"iMessage;{'+' if group else '-'};{name}", chat_identifier=name,
                style=43 if group else 45, service_name="iMessage", state=3,
                display_name=group["name"] if group else "", room_name=name if group else None)
            for address in group["members"] if group else [name]:
                insert("chat_handle_join", chat_id=chats[name], handle_id=handle(address))
        return chats[name]

    for index, message in enumerate(messages):
        names = [message["chat"]] if isinstance(message["chat"], str) else message["chat"]
        text, mine = message["text"], message["sender"] is None
        date = (message["time"] - _APPLE_EPOCH) // timedelta(microseconds=1) * 1000
        # An outgoing message names its recipient's handle, in a group none.
        other = names[0] if mine and names and names[0] not in groups else message["sender"]
        archive = text is not None and not message.get("plain")
        files = message.get("attachments", [])
        rowid = insert("message", **{
            "guid": message.get("guid") or _guid(f"{names} {date} {index}"),
            "text": None if archive else text,
            "attributedBody": attributed_body(text, mutable=not mine) if archive else None,
            "handle_id": handle(other) if other else 0,
            "is_from_me": int(mine), "date": date, "date_delivered": date if mine else 0,
            "is_sent": int(mine), "is_read": int(not mine), "is_finished": 1,
            "service": "iMessage", "cache_has_attachments": int(bool(files)),
            **message.get("columns", {}),
        })
        for name in names:
            insert("chat_message_join", chat_id=chat(name), message_id=rowid, message_date=date)
        for number, (file, mime) in enumerate(files):
            attachment = insert(
                "attachment", guid=_guid(f"{index} {number} {file}"), mime_type=mime,
                transfer_name=file, filename=f"~/Library/Messages/Attachments/{file}")
            insert("message_attachment_join", message_id=rowid, attachment_id=attachment)


def _guid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name)).upper()


def build_demo(path: str | Path = DEMO, sender: str = "549cc1d1") -> Path:
    """Build the demo's `chat.db`, unless it is there already and made by this recipe.

    StudyError: no sender of the corpus has an id that begins so, or several have.
    """
    path = paths.from_root(path)
    recipe = hashlib.sha256(Path(__file__).read_bytes() + sender.encode()).hexdigest()
    if path.exists() and _recipe(path) == recipe:
        return path
    conversations = _conversations(sender)
    # Partners who talk to the owner twice at once become two people: their messages would
    # run into each other in one chat.
    ends, addresses = defaultdict(list), []
    for conversation in conversations:
        lanes = ends[conversation["partner"]]
        begin, end = (conversation["messages"][at]["time"] for at in (0, -1))
        lane = next((one for one in lanes if begin - one["end"] >= PAUSE), None)
        if lane is None:
            lane = {"address": _address(len(addresses)), "chats": []}
            addresses.append(lane["address"])
            lanes.append(lane)
        lane["end"] = end
        lane["chats"].append(conversation)
    # The busiest partner with a phone number writes every second conversation from an e-mail
    # address.
    busiest = max((lane for lanes in ends.values() for lane in lanes if lane["address"][0] == "+"),
                  key=lambda one: len(one["chats"]))
    second = "friend.elsewhere@example.org"
    messages = []
    for lanes in ends.values():
        for lane in lanes:
            for index, conversation in enumerate(lane["chats"]):
                chat = second if lane is busiest and index % 2 else lane["address"]
                for message in conversation["messages"]:
                    messages.append({**message, "chat": chat,
                                     "sender": None if message["mine"] else chat})
    messages.sort(key=lambda message: (message["time"], message["order"]))
    groups = {name: {"name": f"Saturday {SYNTHETIC}", "members": addresses[:3]}
              for name in ("chat1001", "chat1002")}
    messages += _never_trained_on(messages, addresses)
    messages.sort(key=lambda message: message["time"])
    return write_chat_db(messages, path, groups, {busiest["address"]: "P1", second: "P1"},
                         {"ftstudy_recipe": recipe})


def _recipe(path: Path) -> str | None:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        row = connection.execute("SELECT value FROM _SqliteDatabaseProperties "
                                 "WHERE key = 'ftstudy_recipe'").fetchone()
        return row and row[0]
    except sqlite3.Error:
        return None
    finally:
        connection.close()


def _address(number: int) -> str:
    if number % 5 == 4:
        return f"friend{number}@example.org"
    # 555-0100 to 555-0199 belong to nobody, in every area code.
    return f"+1{212 + number // 100}55501{number % 100:02d}"


def _conversations(sender: str) -> list[dict]:
    """The sender's two-sided conversations in the order of time, messages in their own order."""
    found, ids = [], set()
    for name, conversation in chitchat_dataset.Dataset().items():
        bubbles = [bubble for turn in conversation["messages"] for bubble in turn]
        senders = {bubble["sender"] for bubble in bubbles}
        owners = {one for one in senders if one.startswith(sender)}
        ids |= owners
        if len(senders) != 2 or len(owners) != 1:
            continue
        partner, = senders - owners
        found.append({"partner": partner, "messages": [
            {"guid": _guid(f"{name} {index}"), "order": (name, index), "text": bubble["text"],
             "time": datetime.fromisoformat(bubble["timestamp"]),
             "mine": bubble["sender"] != partner, "plain": index % 10 == 9,
             "last": index == len(bubbles) - 1}
            for index, bubble in enumerate(bubbles)]})
    if len(ids) != 1:
        raise StudyError(
            f"{len(ids)} senders of the chitchat corpus have an id that begins with {sender!r}; it "
            "must be exactly one. Give more of the id, or leave `sender` away for the demo's own.")
    found.sort(key=lambda one: (one["messages"][0]["time"], one["messages"][0]["order"]))
    return found


def _never_trained_on(messages: list[dict], addresses: list[str]) -> list[dict]:
    """Rows of a real history that are no messages to learn from, placed among the real ones."""
    rows = []

    def add(chat, sender, time, text=None, **more):
        rows.append({"guid": f"SYNTHETIC-{len(rows):04d}", "chat": chat, "sender": sender,
                     "time": time, "text": text and f"{text} {SYNTHETIC}", **more})

    second = timedelta(seconds=1)
    for count, message in enumerate(messages[100::200]):
        sender = message["chat"] if message["mine"] else None
        word, remove = _TAPBACKS[count % 7], count // 7 % 2
        quoted = f"“{message['text']} {SYNTHETIC}”"
        rows.append({"guid": f"SYNTHETIC-{len(rows):04d}", "chat": message["chat"],
                     "sender": sender, "time": message["time"] + second,
                     "text": f"{word} {quoted}"})
        if count % 20 == 19:
            rows[-1]["columns"] = {"service": "SMS"}
        else:
            rows[-1]["columns"] = {
                "associated_message_type": 2000 + 1000 * remove + count % 7,
                "associated_message_guid": f"p:0/{message['guid']}",
                "associated_message_emoji": "🎉" if count % 7 == 6 else None}
    ends = [message for message in messages if message["last"]]
    for count, message in enumerate(ends[20::40]):
        chat, time = message["chat"], message["time"] + 5 * second
        stamp = (time - _APPLE_EPOCH) // second * 10**9
        add(chat, None, time, columns={"date_edited": stamp})
        add(chat, chat, time, columns={"date_edited": stamp, "date_retracted": stamp})
        add(chat, None, time + second, columns={"item_type": 4, "share_status": 1})
        add(chat, None, time + 2 * second, attachments=[["IMG_0001.heic", "image/heic"]])
        rows[-1]["text"] = "\ufffc"
    start = messages[0]["time"]
    for count in range(24):
        chat = ["chat1001", "chat1002"] if count == 12 else "chat1001"
        sender = None if count % 3 == 1 else addresses[count % 3]
        add(chat, sender, start + timedelta(hours=20 * count),
            ["who is in for saturday?", "me!", "same place as last time"][count % 3])
    add("chat1002", addresses[0], start, columns={"item_type": 2, "group_title": "Saturday"})
    return rows


def build_sample(path: str | Path = SAMPLE,
                 source: str | Path = paths.DATA / "sample" / "conversations.jsonl") -> Path:
    """Build the committed sample's `chat.db` from its readable form, one message a line.

    A line has the keys of a message of `write_chat_db`, with an ISO time and "me" for the owner.
    """
    lines = paths.from_root(source).read_text(encoding="utf-8").splitlines()
    messages = [json.loads(line) for line in lines]
    for message in messages:
        message["time"] = datetime.fromisoformat(message["time"])
        message["sender"] = None if message["sender"] == "me" else message["sender"]
    return write_chat_db(messages, path, SAMPLE_GROUPS, SAMPLE_PEOPLE)


def main(arguments: list[str]) -> int:
    """Build what the module's docstring says and print one line."""
    if arguments not in ([], ["sample"]):
        print("usage: python -m ftstudy.demo [sample]", file=sys.stderr)
        return 2
    try:
        path = build_sample() if arguments else build_demo()
    except StudyError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{paths.shown(path)}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
