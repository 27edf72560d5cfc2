"""The embedded demo's chat history: real conversations, written as Apple Messages writes them.

    ftstudy demo             data/demo/chat.db: one person's real conversations
    ftstudy demo --sample    data/sample/chat.db: a few invented ones, committed

The demo takes one sender of `chitchat_dataset`, calls them OWNER and gives their partners
fictional addresses. Text and time are theirs. Around them stand rows that a real history has
and that must never be trained on; each of these has a message_id that begins with SYNTHETIC,
and, if it has a text, the mark SYNTHETIC in it.
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
PAUSE = timedelta(minutes=65)  # sessions are split at 60 minutes of silence, hence a little more
_TAPBACKS = ["Loved", "Liked", "Disliked", "Laughed at", "Emphasized", "Questioned", "Reacted 🎉 to"]


def build_demo(path: str | Path = DEMO, sender: str = "549cc1d1") -> Path:
    """Build the demo's `chat.db`, unless it is there already and made by this recipe.

    StudyError: no sender of the corpus has an id that begins so, or several have.
    """
    path = paths.from_root(path)
    code = b"".join(Path(file).read_bytes() for file in (__file__, apple_messages.__file__))
    recipe = hashlib.sha256(code + sender.encode()).hexdigest()
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
    busiest = max(
        (lane for lanes in ends.values() for lane in lanes if lane["address"][0] == "+"),
        key=lambda one: len(one["chats"]),
    )
    second = "friend.elsewhere@example.org"
    messages = []
    for lanes in ends.values():
        for lane in lanes:
            for index, conversation in enumerate(lane["chats"]):
                chat = second if lane is busiest and index % 2 else lane["address"]
                for message in conversation["messages"]:
                    messages.append({**message, "chat": chat, "sender": None if message["mine"] else chat})
    messages.sort(key=lambda message: (message["time"], message["order"]))
    groups = {name: {"name": f"Saturday {SYNTHETIC}", "members": addresses[:3]} for name in ("chat1001", "chat1002")}
    messages += _never_trained_on(messages, addresses)
    messages.sort(key=lambda message: message["time"])
    return write_chat_db(messages, path, groups, {busiest["address"]: "P1", second: "P1"}, {"ftstudy_recipe": recipe})


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
            f"{len(ids)} senders of the chitchat corpus have an id that begins with {sender!r}; it "
            "must be exactly one. Give more of the id, or leave `sender` away for the demo's own."
        )
    found.sort(key=lambda one: (one["messages"][0]["time"], one["messages"][0]["order"]))
    return found


def _never_trained_on(messages: list[dict], addresses: list[str]) -> list[dict]:
    """Rows of a real history that are no messages to learn from, placed among the real ones."""
    rows = []

    def add(chat, sender, time, text=None, **more):
        rows.append(
            {
                "guid": f"SYNTHETIC-{len(rows):04d}",
                "chat": chat,
                "sender": sender,
                "time": time,
                "text": text and f"{text} {SYNTHETIC}",
                **more,
            }
        )

    second = timedelta(seconds=1)
    for count, message in enumerate(messages[100::200]):
        sender = message["chat"] if message["mine"] else None
        word, remove = _TAPBACKS[count % 7], count // 7 % 2
        quoted = f"“{message['text']} {SYNTHETIC}”"
        rows.append(
            {
                "guid": f"SYNTHETIC-{len(rows):04d}",
                "chat": message["chat"],
                "sender": sender,
                "time": message["time"] + second,
                "text": f"{word} {quoted}",
            }
        )
        if count % 20 == 19:
            rows[-1]["columns"] = {"service": "SMS"}
        else:
            rows[-1]["columns"] = {
                "associated_message_type": 2000 + 1000 * remove + count % 7,
                "associated_message_guid": f"p:0/{message['guid']}",
                "associated_message_emoji": "🎉" if count % 7 == 6 else None,
            }
    ends = [message for message in messages if message["last"]]
    for count, message in enumerate(ends[20::40]):
        chat, time = message["chat"], message["time"] + 5 * second
        stamp = (time - APPLE_EPOCH) // second * 10**9
        add(chat, None, time, columns={"date_edited": stamp})
        add(chat, chat, time, columns={"date_edited": stamp, "date_retracted": stamp})
        add(chat, None, time + second, columns={"item_type": 4, "share_status": 1})
        add(chat, None, time + 2 * second, attachments=[["IMG_0001.heic", "image/heic"]])
        rows[-1]["text"] = "\ufffc"
    start = messages[0]["time"]
    for count in range(24):
        chat = ["chat1001", "chat1002"] if count == 12 else "chat1001"
        sender = None if count % 3 == 1 else addresses[count % 3]
        add(
            chat,
            sender,
            start + timedelta(hours=20 * count),
            ["who is in for saturday?", "me!", "same place as last time"][count % 3],
        )
    add("chat1002", addresses[0], start, columns={"item_type": 2, "group_title": "Saturday"})
    return rows


def build_sample(path: str | Path = SAMPLE, source: str | Path = paths.DATA / "sample" / "conversations.jsonl") -> Path:
    """Build the committed sample's `chat.db` from its readable form, one message a line.

    A line has the keys of a message of `write_chat_db`, with an ISO time and "me" for the owner.
    """
    lines = paths.from_root(source).read_text(encoding="utf-8").splitlines()
    messages = [json.loads(line) for line in lines]
    for message in messages:
        message["time"] = datetime.fromisoformat(message["time"])
        message["sender"] = None if message["sender"] == "me" else message["sender"]
    return write_chat_db(messages, path, SAMPLE_GROUPS, SAMPLE_PEOPLE)
