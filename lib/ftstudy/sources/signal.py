"""Reads Signal: the `data.json` files of signal-export -> messages table.

Each chat has a folder with a data.json: one JSON object per line. The exporter removes backticks,
which are lost, and ends each body with two spaces, which this reader removes. A second export into
the same folder appends, so a line with the same date, sender and body as an earlier one is a copy.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pandas

from ..errors import StudyError
from ..paths import absolute, shown
from . import ATTACHMENT, make_table, skip
from .exports import joined, json_lines, parse_time, placeholder, zone

EXPORT = (
    "Export again with signal-export, which writes one folder per chat with a data.json in it. Name the folder that "
    "contains these folders, or one data.json."
)
OWNER, NOBODY = "Me", "No-Sender"


def read(file: str | Path, time_zone: str = "UTC") -> pandas.DataFrame:
    """Read an export folder, one chat's folder or its `data.json` into a messages table (columns: see `ftstudy.sources`).

    The conversation is the folder's name. Dates are local times of the exporting machine, in
    `time_zone`. A chat is a group if two other people wrote in it. StudyError: no data.json, no
    messages, another format, unknown time zone.
    """
    file, local = absolute(file), zone(time_zone)
    skipped, notes = {}, []
    rows = (row for chat in _files(file) for row in _rows(chat, local, skipped))
    table = make_table(rows, skipped, notes)
    if table.empty:
        raise StudyError(f"{shown(file)} has no signal-export messages. {EXPORT}")
    others = table[~table["is_owner"] & (table["sender"] != NOBODY)].groupby("conversation")["sender"].nunique()
    table["is_group"] = table["conversation"].isin(others.index[others > 1])
    table.attrs["notes"] = [f"signal-export writes dates without a time zone; they were read as {time_zone}."]
    return table


def _files(file: Path) -> list[Path]:
    if not file.is_dir():
        return [file]
    if (file / "data.json").exists():
        return [file / "data.json"]
    found = sorted(file.glob("*/data.json"))
    if not found:
        raise StudyError(f"No folder in {shown(file)} contains a data.json. {EXPORT}")
    return [one for one in found if one.stat().st_size]  # the file of a chat without messages is empty


def _rows(file: Path, local, skipped: dict) -> Iterator[dict]:
    conversation = file.absolute().parent.name
    for number, line, message in json_lines(file):
        fields = [message.get(key) for key in ("date", "sender", "body")] if isinstance(message, dict) else [None]
        if not all(isinstance(field, str) for field in fields):
            skip(skipped, "a line that is not a signal-export message", f"{conversation}, line {number}: {line[:100]}")
            continue
        body = message["body"].removesuffix("  ")
        files = _placeholders(message)
        yield {
            "conversation": conversation,
            "sender": message["sender"] or NOBODY,
            "is_owner": message["sender"] == OWNER,
            "timestamp": parse_time(message["date"], local),
            "written": message["date"],
            "text": joined(files, body),
            "kind": _kind(message, files, body),
            "message_id": _identity(conversation, message),
        }


def _identity(conversation: str, message: dict) -> str:
    """A message id: the exporter omits Signal's own, but within a chat, sender and millisecond identify a message."""
    parts = json.dumps([conversation, message["date"], message["sender"], message["body"]])
    return hashlib.blake2b(parts.encode(), digest_size=12).hexdigest()


def _placeholders(message: dict) -> str:
    files = message.get("attachments")
    names = [
        file.get("name") if isinstance(file, dict) else None for file in (files if isinstance(files, list) else [])
    ]
    found = [placeholder(name) for name in names]
    return " ".join(found + [ATTACHMENT] * bool(message.get("sticker")))


def _kind(message: dict, files: str, body: str) -> str:
    if message.get("deleted"):
        return "unsent"
    # Older versions of the exporter mark a call only by these words.
    if message.get("call") or ("call" not in message and body in ("Incoming call", "Outgoing call")):
        return "system"
    return "attachment" if files else "text"
