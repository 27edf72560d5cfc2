"""Reads Discord: the JSON files of DiscordChatExporter -> messages table.

A file has one channel or part of one: {"guild", "channel", "messages"}. Parts and overlapping
exports are merged, because Discord's message ids are unique. They may be in folders of folders.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas

from ..errors import StudyError
from ..paths import absolute, shown
from . import ATTACHMENT, OWNER_SENDER, check, make_table, skip
from .exports import distinct, joined, parse_time, placeholder, read_json, word
from .recognize import files_in

EXPORT = "Export again with DiscordChatExporter in JSON format, and name that file, or a folder with only such files."
MALFORMED = "a row that is not a DiscordChatExporter message"


def read(file: str | Path, me=()) -> pandas.DataFrame:
    """Read an exported channel, or a folder of them and of such folders, into a messages table (columns: see `ftstudy.sources`).

    The owner is the account whose id is in `me`, else whose name#discriminator, name or nickname is.
    StudyError: not a DiscordChatExporter file, truncated, without messages, or not readable.
    """
    file = absolute(file)
    is_folder = file.is_dir()
    files = list(files_in(file, ".json")) if is_folder else [file]
    if not files:
        raise StudyError(f"No .json in the folder {shown(file)}. {EXPORT}")
    skipped, notes, channels, faces = {}, [], {}, set()
    exports = ((one, _export(one, is_folder, notes)) for one in files)
    rows = (row for one, export in exports if export for row in _rows(one, export, channels, faces, skipped))
    table = make_table(rows, skipped, notes)
    if table.empty:
        raise StudyError(f"{shown(file)} has no messages. {EXPORT}")
    # Until here everybody goes by id: only after the last file is it known which names are ambiguous.
    owners = _owners(me, faces, table.attrs["notes"])
    people = distinct({face[0]: face[3] or face[2] or face[0] for face in sorted(faces, reverse=True)})
    places = distinct({number: name for number, (_, name) in channels.items()})
    for column, source, meaning in (
        ("is_group", "conversation", {number: is_group for number, (is_group, _) in channels.items()}),
        ("conversation", "conversation", places),
        ("is_owner", "sender", {number: number in owners for number in people}),
        ("sender", "sender", people | dict.fromkeys(owners, OWNER_SENDER)),
    ):
        table[column] = table[source].map(meaning).astype(table[column].dtype)
    return check(table)


def _owners(me, faces: set, notes: list) -> set[str]:
    """The ids of the accounts that `me` names. Case is ignored only if nothing matches exactly."""
    owners = set()
    for name in filter(None, me):
        for fold in (str, str.casefold):
            tiers = ({face[0] for face in faces if fold(face[column]) == fold(name)} for column in range(4))
            found = next(filter(None, tiers), set())
            if found:
                break
        owners |= found
        if len(found) > 1:
            notes.append(
                f"{name!r} is the name of {len(found)} accounts ({', '.join(sorted(found))}); all count as the owner."
            )
    return owners


def _export(file: Path, is_folder: bool, notes: list) -> dict | None:
    """What is in a file; None for another JSON file in a folder."""
    export = read_json(file, "Discord export")
    parts = [export.get(name) for name in ("guild", "channel")] if isinstance(export, dict) else []
    if parts and all(isinstance(part, dict) for part in parts) and isinstance(export.get("messages"), list):
        return export
    if not is_folder:
        raise StudyError(f"{shown(file)} is not a DiscordChatExporter file. {EXPORT}")
    notes.append(f"{shown(file)} is not a DiscordChatExporter file and was left out.")
    return None


def _rows(file: Path, export: dict, channels: dict, faces: set, skipped: dict) -> Iterator[dict]:
    """Yield rows with ids as conversation and sender. Their names are added to `channels` and `faces`."""
    guild, channel = export["guild"], export["channel"]
    if not (number := _id(channel.get("id"))):
        raise StudyError(f"{shown(file)} has no channel id. {EXPORT}")
    is_group, name = channel.get("type") != "DirectTextChat", word(channel.get("name")) or "unnamed"
    channels.setdefault(number, (is_group, f"group:{word(guild.get('name'))}/{name}" if is_group else name))
    for message in export["messages"]:
        author = message.get("author") if isinstance(message, dict) else None
        person = _id(author.get("id")) if isinstance(author, dict) else None
        if not person or not _id(message.get("id")):
            skip(skipped, MALFORMED, str(message)[:200])
            continue
        name, tag, nickname = (word(author.get(key)) for key in ("name", "discriminator", "nickname"))
        faces.add((person, f"{name}#{tag}", name, nickname))
        forwarded = message.get("forwardedMessage")
        written = forwarded if isinstance(forwarded, dict) and not message.get("content") else message
        content, files = written.get("content"), _placeholders(written)
        if not isinstance(content, str | None):
            skip(skipped, MALFORMED, str(message)[:200])
            continue
        text = joined(content, files)
        yield {
            "conversation": number,
            "sender": person,
            "is_owner": False,
            "timestamp": parse_time(message.get("timestamp")),
            "written": word(message.get("timestamp")),
            "text": text,
            "kind": _kind(message, author, files, text),
            "message_id": _id(message["id"]),
            "reply_to": _id(_reference(message).get("messageId")) if message.get("type") == "Reply" else None,
        }


def _id(value) -> str | None:
    """A Discord id, or None; ids are whole numbers, written as strings."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if 0 <= value < 1 << 64 else ""
    is_one = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20
    return value if is_one else None


def _list(value) -> list:
    return value if isinstance(value, list) else []


def _reference(message: dict) -> dict:
    return message["reference"] if isinstance(message.get("reference"), dict) else {}


def _placeholders(message: dict) -> str:
    names = [file.get("fileName") if isinstance(file, dict) else None for file in _list(message.get("attachments"))]
    found = [placeholder(name) for name in names]
    return " ".join(found + [ATTACHMENT] * len(_list(message.get("stickers"))))


def _kind(message: dict, author: dict, files: str, text: str) -> str:
    if message.get("type") not in ("Default", "Reply"):
        return "system"
    if author.get("isBot") or message.get("interaction"):
        return "app"
    if message.get("forwardedMessage") or _reference(message).get("type") == "Forward":
        return "forward"
    if files:
        return "attachment"
    return "app" if message.get("embeds") and not text.strip() else "text"  # a card without text
