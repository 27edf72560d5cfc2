"""Reads WhatsApp-Chat-Exporter: its JSON of a phone's database -> messages table.

A file has one chat or all: {address: {"name", "messages": {number: message}}}. The address of a group ends with @g.us.
A message's `data` is its text, the path of its file, or a notice (`meta`); line breaks are written as <br>.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas

from ..errors import StudyError
from ..paths import absolute, shown
from . import ATTACHMENT, PHOTO, make_table, skip
from .exports import distinct, identity, placeholder, read_json, word
from .recognize import files_in

EXPORT = "Write it again with WhatsApp-Chat-Exporter and its option --json, and name that file or folder."
MALFORMED = "a row that is not a message of WhatsApp-Chat-Exporter"
ADDRESS = re.compile(r"[\w.+:-]{1,80}@[\w.]{2,40}")
BREAK = re.compile(r" ?<br ?/?>\n?")
UNSENT = re.compile(r"(?i)(?:this |the )?message (?:was )?deleted|you deleted this message")


def read(file: str | Path) -> pandas.DataFrame:
    """Read a file, or a folder of one file a chat, into a messages table (columns: see `ftstudy.sources`).

    StudyError: not of WhatsApp-Chat-Exporter, not complete, without messages, or not readable.
    """
    file = absolute(file)
    is_folder = file.is_dir()
    skipped, notes, chats = {}, [], {}
    for one in files_in(file, ".json") if is_folder else [file]:
        export = read_json(one, "file of WhatsApp-Chat-Exporter")
        found = _chats(export)
        if not found and is_folder:
            notes.append(f"{shown(one)} is not a file of WhatsApp-Chat-Exporter and was left out.")
        for address, chat in found.items():
            chats.setdefault(address, []).append(chat)
    table = make_table(_rows(chats, skipped), skipped, notes)
    if table.empty:
        raise StudyError(f"{shown(file)} has no messages of WhatsApp-Chat-Exporter. {EXPORT}")
    return table


def _chats(export) -> dict[str, dict]:
    chats = export if isinstance(export, dict) else {}
    return {
        address: chat
        for address, chat in chats.items()
        if ADDRESS.fullmatch(address) and isinstance(chat, dict) and isinstance(chat.get("messages"), dict)
    }


def _names(chats: dict[str, list[dict]]) -> dict[str, str]:
    """Address -> name, with the address if the name is ambiguous."""
    names = {}
    for address, (first, *_) in chats.items():
        user, _, server = address.partition("@")
        name = word(first.get("name")).strip() or (f"+{user}" if user.isdecimal() else user)
        names[address] = f"group:{name}" if server == "g.us" else name
    return distinct(names, lambda address: address.partition("@")[0])


def _rows(chats: dict[str, list[dict]], skipped: dict) -> Iterator[dict]:
    names = _names(chats)
    for address, parts in chats.items():
        is_group = address.endswith("@g.us")
        for key, message in ((key, message) for part in parts for key, message in part["messages"].items()):
            if not isinstance(message, dict) or not isinstance(message.get("data", 0), str | None):
                skip(skipped, MALFORMED, str(message)[:200])
                continue
            text, kind = _content(message)
            reply = message.get("reply")
            yield {
                "conversation": names[address],
                "is_group": is_group,
                "sender": word(message.get("sender")) or "unknown" if is_group else names[address],
                "is_owner": bool(message.get("from_me")),
                "timestamp": _time(message.get("timestamp")),
                "text": text,
                "kind": kind,
                "message_id": identity(address, word(message.get("key_id")) or key),
                "reply_to": identity(address, reply) if isinstance(reply, str) and reply else None,
            }


def _content(message: dict) -> tuple[str, str]:
    data = BREAK.sub("\n", message["data"] or "")
    caption = BREAK.sub("\n", word(message.get("caption")))
    if message.get("media") or message.get("sticker"):
        is_photo = word(message.get("mime")).startswith("image/") and not message.get("sticker")
        file = PHOTO if is_photo else ATTACHMENT if message.get("mime") else placeholder(data)
        return f"{file} {caption}".strip(), "attachment"
    if message.get("meta"):
        return data, "unsent" if UNSENT.fullmatch(data.strip()) else "system"
    return data, "text"


def _time(value) -> int:
    """Microseconds since 1970, from seconds or milliseconds; 0 without a date."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        return 0
    return round(value * 1_000_000) if abs(value) < 10**11 else round(value * 1000)
