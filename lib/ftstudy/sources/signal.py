"""Signal: the `data.json` files that signal-export writes, into the messages table.

One folder a chat, and in it one JSON object a line. The exporter removes backticks, which are
lost, and ends each body with two spaces, which are taken off again. A second export into the same
folder appends, so a line with the date, sender and body of an earlier one is a second copy.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas

from ..errors import StudyError
from ..paths import from_root, shown
from . import ATTACHMENT, make_table, skip
from .exports import decode, microseconds, placeholder, read_bytes, sender_of, zone

EXPORT = (
    "Export again with signal-export, which writes a folder a chat with a data.json in it, and give the folder that "
    "holds these folders, or one data.json."
)
OWNER, NOBODY = "Me", "No-Sender"


def read(file: str | Path, time_zone: str = "UTC") -> pandas.DataFrame:
    """Read an export's folder, one chat's folder or its `data.json` into a messages table (see `ftstudy.sources`).

    The conversation is the folder's name. Dates are local times of the exporting machine, so give
    its `time_zone`. A chat counts as a group where two others wrote. StudyError: no data.json, one
    without messages or of another kind, an unknown time zone.
    """
    file, local = from_root(file), zone(time_zone)
    skipped, notes = {}, []
    rows = (row for chat in _files(file) for row in _rows(chat, local, skipped))
    table = make_table(rows, skipped, notes)
    if table.empty:
        raise StudyError(f"{shown(file)} holds no message as signal-export writes them. {EXPORT}")
    others = table[~table["is_owner"] & (table["sender"] != NOBODY)].groupby("conversation")["sender"].nunique()
    table["is_group"] = table["conversation"].isin(others.index[others > 1])
    table.attrs["notes"] = [f"Signal's exporter writes dates without a time zone; they are read as {time_zone}."]
    return table


def _files(file: Path) -> list[Path]:
    if not file.is_dir():
        return [file]
    if (file / "data.json").exists():
        return [file / "data.json"]
    found = sorted(file.glob("*/data.json"))
    if not found:
        raise StudyError(f"No folder in {shown(file)} holds a data.json. {EXPORT}")
    return [one for one in found if one.stat().st_size]  # a chat without messages leaves an empty file


def _rows(file: Path, local, skipped: dict) -> Iterator[dict]:
    conversation = file.absolute().parent.name
    for number, line in enumerate(io.StringIO(decode(read_bytes(file)), newline="\n"), 1):
        if not line.strip():
            continue
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict) or not all(
            isinstance(message.get(key), str) for key in ("date", "sender", "body")
        ):
            skip(
                skipped, "a line that is not as signal-export writes it", f"{conversation}, line {number}: {line[:100]}"
            )
            continue
        body = message["body"].removesuffix("  ")
        files = _placeholders(message)
        is_owner = message["sender"] == OWNER
        sender = message["sender"] or NOBODY
        yield {
            "conversation": conversation,
            "is_group": False,  # until all senders are known
            "sender": sender_of(sender, is_owner),
            "is_owner": is_owner,
            "timestamp": _time(message["date"], local),
            "text": f"{files} {body}" if files and body else files or body,
            "kind": _kind(message, files, body),
            "message_id": _identity(conversation, message),
            "reply_to": None,  # a quote is only text
        }


def _identity(conversation: str, message: dict) -> str:
    """The exporter leaves out Signal's ids; in one chat, sender and millisecond are as good as one."""
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
    # Older versions of the exporter say nothing about calls but these words.
    if message.get("call") or ("call" not in message and body in ("Incoming call", "Outgoing call")):
        return "system"
    if files:
        return "attachment"
    return "text" if body.strip() else "empty"


def _time(date: str, local) -> int:
    try:
        when = datetime.fromisoformat(date)
    except ValueError:
        return 0
    return microseconds(when if when.tzinfo else when.replace(tzinfo=local))
