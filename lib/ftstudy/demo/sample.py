"""Builds the sample's chat history: made-up conversations as Telegram Desktop exports them.

    ftstudy demo --sample    data/sample/telegram.json, committed (and data/sample/chat.db)

Most conversations are `small_talk`, in which the owner has a style that a fine-tune of `tiny_chat` can learn. Those in
data/sample/conversations.jsonl were written by hand: they have what must be masked or left out. The same code always
gives the same bytes.
"""

import json
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .. import paths
from ..files import write_text
from . import small_talk
from .build import OWNER, SAMPLE_GROUPS, SAMPLE_PEOPLE

TELEGRAM = paths.DATA / "sample" / "telegram.json"
BY_HAND = paths.DATA / "sample" / "conversations.jsonl"
NAMES = {
    "+12125550101": "May Lindqvist",
    "noor@example.org": "Noor Haddad",
    "+12125550103": "Jonas Berg",
    "+12125550104": "Mum",
}
FRIENDS = [name for name in small_talk.FRIENDS if name != "Jonas"][:24]
SESSIONS = 7
START = datetime(2024, 5, 1, 8, tzinfo=UTC)
OWNER_ID, FIRST_ID = "user100", 101


def build_telegram(path: str | Path = TELEGRAM) -> Path:
    """Write the sample's `telegram.json`, one message a line."""
    path = paths.absolute(path)
    ids = {name: f"user{number}" for number, name in enumerate([*NAMES.values(), *FRIENDS], FIRST_ID)}
    talks = _by_hand() | {friend: _small_talk(friend) for friend in FRIENDS}
    chats = [_chat(name, number, messages, ids) for number, (name, messages) in enumerate(talks.items(), FIRST_ID)]
    about = json.dumps({"user_id": int(OWNER_ID.removeprefix("user")), "first_name": OWNER})
    body = ",\n".join(chats)
    write_text(path, f'{{"personal_information": {about},\n"chats": {{"list": [\n{body}\n]}}}}\n')
    return path


def _chat(name: str, number: int, messages: list[dict], ids: dict[str, str]) -> str:
    """A chat of the export as JSON: `number` is the partner's, or the group's own."""
    lines = []
    for at, message in enumerate(messages, 1):
        sender = message["sender"] or OWNER
        time = message["time"]
        row = {
            "id": at,
            "type": "message",
            "date": time.strftime("%Y-%m-%dT%H:%M:%S"),
            "date_unixtime": str(int(time.timestamp())),
            "from": sender,
            "from_id": ids.get(sender, OWNER_ID),
            "text": message["text"],
        }
        lines.append(json.dumps(row | message.get("more", {}), ensure_ascii=False))
    kind = "personal_chat" if name in ids else "private_group"
    head = f'{{"name": {json.dumps(name)}, "type": "{kind}", "id": {number}, "messages": ['
    return head + "\n" + ",\n".join(lines) + "\n]}"


def _small_talk(friend: str) -> list[dict]:
    """The conversation with a friend: a session every few days, half a minute or so between two messages."""
    place = FRIENDS.index(friend)
    draw = random.Random(f"times of {friend}")
    messages = []
    talks = small_talk.sessions(f"sample {friend}", small_talk.VOICES[place % 4], "sam", SESSIONS)
    for number, exchanges in enumerate(talks):
        time = START + timedelta(days=5 * number + place % 5, hours=place // 5 * 2, minutes=draw.randrange(90))
        for asked, answered in exchanges:
            for sender, text in ((friend, asked), (None, answered)):
                messages.append({"sender": sender, "time": time, "text": text})
                time += timedelta(seconds=draw.randrange(15, 90))
    return messages


def _by_hand() -> dict[str, list[dict]]:
    """The conversations that were written by hand, as Telegram has them: a tapback is a reaction there."""
    names = NAMES | {address: NAMES[first] for first, address in _same_person()}
    names |= {chat: group["name"] for chat, group in SAMPLE_GROUPS.items()}
    talks, by_guid = defaultdict(list), {}
    for line in BY_HAND.read_text(encoding="utf-8").splitlines():
        given = json.loads(line)
        columns = given.get("columns", {})
        if target := columns.get("associated_message_guid"):
            reaction = {"type": "emoji", "count": 1, "emoji": "❤"}
            by_guid[target.removeprefix("p:0/")]["more"] = {"reactions": [reaction]}
            continue
        sender = None if given["sender"] == "me" else names[given["sender"]]
        message = {"sender": sender, "time": datetime.fromisoformat(given["time"]), "text": given["text"] or ""}
        if given.get("attachments"):
            message |= {"text": "", "more": {"photo": "(File not included.)"}}
        by_guid[given.get("guid")] = message
        talks[names[given["chat"]]].append(message)
    return dict(talks)


def _same_person() -> list[tuple[str, str]]:
    """(first address, another one) of everybody who has several."""
    first: dict[str, str] = {}
    return [(first.setdefault(person, address), address) for address, person in SAMPLE_PEOPLE.items()]
