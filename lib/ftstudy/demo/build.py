"""Builds the demo's chat history: real conversations in the format of Apple Messages.

    ftstudy demo             data/demo/chat.db: one person's real conversations
    ftstudy demo --sample    data/sample/chat.db: a few invented ones, committed

The demo calls one sender of `chitchat_dataset` OWNER and gives their partners fictional addresses;
texts and times are real. It adds synthetic rows that a real history has but that must never be
trained on: their message_id begins with SYNTHETIC, and their text, if any, contains the mark
SYNTHETIC.
"""

import hashlib
import json
import sqlite3
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import chitchat_dataset

from .. import paths
from ..errors import StudyError
from . import apple_messages
from .apple_messages import APPLE_EPOCH, guid_of, write_chat_db

OWNER = "Sam"
SYNTHETIC = "(synthetic)"
DEMO = paths.DATA / "demo" / "chat.db"
SAMPLE = paths.DATA / "sample" / "chat.db"
SAMPLE_GROUPS = {"chat410": {"name": "hike", "members": ["+12125550101", "noor@example.org"]}}
SAMPLE_PEOPLE = {"+12125550103": "jonas", "jonas@example.org": "jonas"}
PAUSE = timedelta(minutes=65)  # slightly longer than the 60 minutes of silence that end a session
_TAPBACKS = ["Loved", "Liked", "Disliked", "Laughed at", "Emphasized", "Questioned", "Reacted 🎉 to"]


def build_demo(path: str | Path = DEMO, sender: str = "549cc1d1") -> Path:
    """Build the demo's `chat.db`, unless this version of the code has already built it.

    `sender`: the beginning of the owner's id in the corpus. StudyError: it fits no sender, or several.
    """
    path = paths.absolute(path)
    code = b"".join(Path(file).read_bytes() for file in (__file__, apple_messages.__file__))
    recipe = hashlib.sha256(code + sender.encode()).hexdigest()
    if path.exists() and _recipe(path) == recipe:
        return path
    messages, addresses, people = _addressed(_conversations(sender))
    groups = {name: {"name": f"Saturday {SYNTHETIC}", "members": addresses[:3]} for name in ("chat1001", "chat1002")}
    messages += _synthetic(messages, addresses)
    messages.sort(key=lambda message: message["time"])
    return write_chat_db(messages, path, groups, people, {"ftstudy_recipe": recipe})


def _addressed(conversations: list[dict]) -> tuple[list[dict], list[str], dict[str, str]]:
    """The messages of all conversations with their chat and sender, the addresses, and address -> person."""
    # A partner who has two conversations with the owner at the same time becomes two people:
    # otherwise their messages would mix in one chat.
    lanes_of, addresses = defaultdict(list), []
    for conversation in conversations:
        lanes = lanes_of[conversation["partner"]]
        begin, end = (conversation["messages"][at]["time"] for at in (0, -1))
        lane = next((one for one in lanes if begin - one["end"] >= PAUSE), None)
        if lane is None:
            lane = {"address": _address(len(addresses)), "chats": []}
            addresses.append(lane["address"])
            lanes.append(lane)
        lane["end"] = end
        lane["chats"].append(conversation)
    lanes = [lane for lanes in lanes_of.values() for lane in lanes]
    # The busiest partner with a phone number writes every second conversation from an e-mail address.
    busiest = max((lane for lane in lanes if lane["address"][0] == "+"), key=lambda lane: len(lane["chats"]))
    second = "friend.elsewhere@example.org"
    messages = []
    for lane in lanes:
        for index, conversation in enumerate(lane["chats"]):
            chat = second if lane is busiest and index % 2 else lane["address"]
            for message in conversation["messages"]:
                messages.append({**message, "chat": chat, "sender": None if message["mine"] else chat})
    messages.sort(key=lambda message: (message["time"], message["order"]))
    return messages, addresses, {busiest["address"]: "P1", second: "P1"}


def _recipe(path: Path) -> str | None:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        row = connection.execute("SELECT value FROM _SqliteDatabaseProperties WHERE key = 'ftstudy_recipe'").fetchone()
        return row and row[0]
    except sqlite3.Error:
        return None
    finally:
        connection.close()


def _address(number: int) -> str:
    if number % 5 == 4:
        return f"friend{number}@example.org"
    # 555-0100 to 555-0199 are reserved for fiction in every area code.
    return f"+1{212 + number // 100}55501{number % 100:02d}"


def _conversations(sender: str) -> list[dict]:
    """The sender's conversations with one other person, sorted by time; messages keep their order."""
    found, ids = [], set()
    for name, conversation in chitchat_dataset.Dataset().items():
        bubbles = [bubble for turn in conversation["messages"] for bubble in turn]
        senders = {bubble["sender"] for bubble in bubbles}
        owners = {one for one in senders if one.startswith(sender)}
        ids |= owners
        if len(senders) != 2 or len(owners) != 1:
            continue
        (partner,) = senders - owners
        found.append(
            {
                "partner": partner,
                "messages": [
                    {
                        "guid": guid_of(f"{name} {index}"),
                        "order": (name, index),
                        "text": bubble["text"],
                        "time": datetime.fromisoformat(bubble["timestamp"]),
                        "mine": bubble["sender"] != partner,
                        "plain": index % 10 == 9,
                        "last": index == len(bubbles) - 1,
                    }
                    for index, bubble in enumerate(bubbles)
                ],
            }
        )
    if len(ids) != 1:
        raise StudyError(
            f"{len(ids)} senders of the chitchat corpus have an id that begins with {sender!r}; it must be exactly one. "
            "Use more of the id, or omit `sender` for the demo's own."
        )
    found.sort(key=lambda one: (one["messages"][0]["time"], one["messages"][0]["order"]))
    return found


def _synthetic(messages: list[dict], addresses: list[str]) -> list[dict]:
    """Rows that every real history has and that are not ordinary messages, placed among the real ones."""
    rows = []

    def add(chat, sender, time, text=None, columns=None, **more):
        guid = f"SYNTHETIC-{len(rows):04d}"
        row = {"guid": guid, "chat": chat, "sender": sender, "time": time, "text": text, "columns": columns or {}}
        rows.append(row | more)

    second = timedelta(seconds=1)
    for count, message in enumerate(messages[100::200]):
        sender = message["chat"] if message["mine"] else None
        word, remove = _TAPBACKS[count % 7], count // 7 % 2
        columns = {"service": "SMS"}
        if count % 20 != 19:
            columns = {
                "associated_message_type": 2000 + 1000 * remove + count % 7,
                "associated_message_guid": f"p:0/{message['guid']}",
                "associated_message_emoji": "🎉" if count % 7 == 6 else None,
            }
        text = f"{word} “{message['text']} {SYNTHETIC}”"
        add(message["chat"], sender, message["time"] + second, text, columns)
    ends = [message for message in messages if message["last"]]
    for message in ends[20::40]:
        chat, time = message["chat"], message["time"] + 5 * second
        stamp = (time - APPLE_EPOCH) // second * 10**9
        add(chat, None, time, columns={"date_edited": stamp})
        add(chat, chat, time, columns={"date_edited": stamp, "date_retracted": stamp})
        add(chat, None, time + second, columns={"item_type": 4, "share_status": 1})
        add(chat, None, time + 2 * second, "\ufffc", attachments=[["IMG_0001.heic", "image/heic"]])
    start, lines = messages[0]["time"], ["who is in for saturday?", "me!", "same place as last time"]
    for count in range(24):
        chat = ["chat1001", "chat1002"] if count == 12 else "chat1001"
        sender = None if count % 3 == 1 else addresses[count % 3]
        add(chat, sender, start + timedelta(hours=20 * count), f"{lines[count % 3]} {SYNTHETIC}")
    add("chat1002", addresses[0], start, columns={"item_type": 2, "group_title": "Saturday"})
    return rows


def build_sample(path: str | Path = SAMPLE, source: str | Path = paths.DATA / "sample" / "conversations.jsonl") -> Path:
    """Build the committed sample's `chat.db` from its readable form, one message per line.

    A line has the keys of a `write_chat_db` message, with an ISO time and "me" for the owner.
    """
    lines = paths.absolute(source).read_text(encoding="utf-8").splitlines()
    messages = [json.loads(line) for line in lines]
    for message in messages:
        message["time"] = datetime.fromisoformat(message["time"])
        message["sender"] = None if message["sender"] == "me" else message["sender"]
    return write_chat_db(messages, path, SAMPLE_GROUPS, SAMPLE_PEOPLE)
