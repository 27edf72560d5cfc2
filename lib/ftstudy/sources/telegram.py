"""Reads Telegram: the `result.json` of Telegram Desktop -> messages table.

The file has one chat, {"name", "type", "id", "messages"}, or a whole account with its chats in
{"chats": {"list": [...]}, "left_chats": {"list": [...]}}. Broadcasts and notes to oneself are not
conversations; they are counted as skipped.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas

from ..errors import StudyError
from ..paths import absolute, shown
from . import ATTACHMENT, PHOTO, make_table, skip
from .exports import decode, joined, microseconds, read_bytes, read_json, spelt, word
from .recognize import files_in

EXPORT = (
    "Export again with Telegram Desktop (a chat's menu > Export chat history, or Settings > Advanced > Export Telegram "
    "data), choose the format machine-readable JSON, and name its result.json."
)
MALFORMED = "a row that is not a Telegram message"
ONE_TO_ONE = ("personal_chat", "bot_chat")
NO_CONVERSATION = {
    "saved_messages": "a note to oneself in Telegram's saved messages",
    "replies": "a copy of a reply, in Telegram's replies chat",
    "verification_codes": "a verification code from Telegram",
    "private_channel": "a broadcast in a Telegram channel",
    "public_channel": "a broadcast in a Telegram channel",
}
APPS = {
    *("poll", "todo_list", "location_information", "live_location_period_seconds", "place_name", "via_bot"),
    *("contact_information", "contact_vcard", "game_title", "game_description", "game_link", "invoice_information"),
    *("giveaway_information", "giveaway_results"),
}


def read(file: str | Path, me=()) -> pandas.DataFrame:
    """Read a `result.json`, or a folder with one or several, into a messages table (columns: see `ftstudy.sources`).

    The owner is identified by the account's number, else as the person who is not the partner of
    a one-to-one chat, else by a name in `me`. StudyError: not a Telegram export, truncated, without
    messages, or not readable.
    """
    file = absolute(file)
    skipped, notes = {}, []
    exports = _exports(file, notes)
    chats = [chat for one, export in exports for chat in _chats(export, one, skipped)]
    owner = _owner([export for _, export in exports], chats)
    names = {_person(message)[0] for chat in chats for message in chat["messages"] if me and isinstance(message, dict)}
    table = make_table(_rows(chats, owner, spelt(me, names), skipped, notes), skipped, notes)
    if table.empty:
        raise StudyError(f"{shown(file)} has no messages of a one-to-one chat or a group. {EXPORT}")
    return table


def _exports(file: Path, notes: list) -> list[tuple[Path, object]]:
    """The exports in a file, or in a folder and its folders, whatever their names."""
    if not file.is_dir():
        return [(file, _json(file))]
    found = []
    for one in files_in(file, ".json"):
        if _is_export(export := _json(one)):
            found.append((one, export))
        else:
            notes.append(f"{shown(one)} is not a Telegram export and was left out.")
    if not found:
        raise StudyError(
            f"There is no Telegram export in {shown(file)}: no result.json. The export was not JSON, or this is another "
            f"folder. {EXPORT}"
        )
    return found


def _is_export(value) -> bool:
    return isinstance(value, dict) and bool({"messages", "chats", "left_chats"} & value.keys())


def _json(file: Path):
    try:
        return read_json(file, "Telegram export")
    except StudyError as error:
        if "Invalid \\escape" not in str(error):
            raise
        # Telegram Desktop writes a control character as \x1F, which is not JSON.
        text = re.sub(
            r"(\\\\)|\\x([01][0-9A-F])", lambda found: found[1] or f"\\u00{found[2]}", decode(read_bytes(file))
        )
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise error from None


def _chats(export, file: Path, skipped: dict) -> list[dict]:
    """The chats of an export, each with `id`, `type` and `name` as strings and a list of `messages`."""
    if not _is_export(export):
        raise StudyError(f"{shown(file)} is not a Telegram export. {EXPORT}")
    if "messages" in export:
        found = [export]
    else:
        parts = [export[name] for name in ("chats", "left_chats") if name in export]
        if not all(isinstance(part, dict) and isinstance(part.get("list"), list) for part in parts):
            raise StudyError(f"{shown(file)} is not a complete Telegram export: it has no list of chats. {EXPORT}")
        found = [chat for part in parts for chat in part["list"]]
    chats = []
    for chat in found:
        if not isinstance(chat, dict) or not isinstance(chat.get("messages"), list) or not _is_number(chat.get("id")):
            if chat is export:
                raise StudyError(
                    f"{shown(file)} is not a Telegram export: its messages or its id are missing. {EXPORT}"
                )
            skip(skipped, "a chat in an unknown format", str(chat)[:200])
            continue
        texts = {key: word(chat.get(key)) for key in ("type", "name")}
        chats.append({"id": str(chat["id"]), "messages": chat["messages"]} | texts)
    return chats


def _conversations(chats: list[dict]) -> dict[tuple, str]:
    """(type, id) of a chat -> its conversation's name, with the id if the name alone is ambiguous."""
    names = {
        (chat["type"], chat["id"]): ("" if chat["type"] in ONE_TO_ONE else "group:") + chat["name"]
        for chat in chats
        if chat["type"] not in NO_CONVERSATION
    }
    times = Counter(names.values())
    for (type_, number), name in names.items():
        like_a_group = type_ in ONE_TO_ONE and name.startswith("group:")
        if name in ("", "group:"):
            names[type_, number] = f"{name}{'' if name else 'Deleted account '}({number})"
        elif times[name] > 1 or like_a_group:
            names[type_, number] = f"{name} ({number})"
    return names


def _owner(exports: list[dict], chats: list[dict]) -> str | None:
    """The owner's number: the account's, or that of whoever talks to the partners of most one-to-one chats."""
    for account in (export.get("personal_information") for export in exports):
        if isinstance(account, dict) and _is_number(account.get("user_id")):
            return str(account["user_id"])
    owners = Counter()
    for chat in chats:
        if chat["type"] in ONE_TO_ONE:
            people = {_person(message)[1] for message in chat["messages"] if isinstance(message, dict)}
            others = people - {chat["id"], None}
            if len(others) == 1:  # two others would mean that the chat does not have its partner's number
                owners.update(others)
    return owners.most_common(1)[0][0] if owners else None


def _rows(chats: list[dict], owner: str | None, mine: set[str], skipped: dict, notes: list) -> Iterator[dict]:
    conversations, local_times = _conversations(chats), 0
    for chat in chats:
        is_group = chat["type"] not in ONE_TO_ONE
        for message in chat["messages"]:
            text = _text(message) if isinstance(message, dict) and _is_number(message.get("id")) else None
            if text is None:
                skip(skipped, MALFORMED, str(message)[:200])
                continue
            if chat["type"] in NO_CONVERSATION:
                skip(skipped, NO_CONVERSATION[chat["type"]], text)
                continue
            name, person = _person(message)
            timestamp, is_local = _time(message)
            local_times += is_local
            files = _files(message)
            yield {
                "conversation": conversations[chat["type"], chat["id"]],
                "is_group": is_group,
                "sender": name or (f"Deleted account {person}" if person else "unknown"),
                "is_owner": person == owner if person and owner else name in mine,
                "timestamp": timestamp,
                "written": word(message.get("date")),
                "text": joined(files, text),
                "kind": _kind(message, chat["type"], files),
                "message_id": f"{chat['id']}/{message['id']}",
                "reply_to": _reply_to(message, chat["id"]),
            }
    if local_times:
        notes.append(
            f"{local_times:,} messages have a local time without a zone, as older versions of Telegram wrote them; they "
            "were read as UTC."
        )


def _is_number(value) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value) is not None)


def _person(message: dict) -> tuple[str, str | None]:
    """(name, number) of a message's author. A user's number loses its prefix "user", which older exports lack."""
    name, person = (
        message.get(key) or message.get(actor) for key, actor in (("from", "actor"), ("from_id", "actor_id"))
    )
    return word(name), str(person).removeprefix("user") if isinstance(person, str | int) and person else None


def _text(message: dict) -> str | None:
    """A message's text, or None if it has an unknown format."""
    text = message.get("text")
    if text is None:
        text = message.get("text_entities") or ""
    if isinstance(text, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in text]
        text = "".join(parts) if all(isinstance(part, str) for part in parts) else None
    return text if isinstance(text, str) else None


def _files(message: dict) -> str:
    if "photo" in message:
        return PHOTO
    if not {"file", "media_type"} & message.keys():
        return ""
    # An image sent as a file. Stickers and animations have their own media type.
    is_photo = "media_type" not in message and str(message.get("mime_type")).startswith("image/")
    return PHOTO if is_photo else ATTACHMENT


def _kind(message: dict, chat_type: str, files: str) -> str:
    if message.get("type") == "service":
        return "system"
    if chat_type == "bot_chat" or message.get("type") == "unsupported":
        return "app"
    if "forwarded_from" in message:  # null if that account was deleted
        return "forward"
    if APPS & message.keys():
        return "app"
    return "attachment" if files else "text"


def _time(message: dict) -> tuple[int, bool]:
    """(microseconds since 1970, or 0 without a date; whether the time zone had to be assumed)."""
    try:
        return int(message["date_unixtime"]) * 1_000_000, False
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    try:
        date = datetime.fromisoformat(message["date"])
    except (KeyError, TypeError, ValueError):
        return 0, False
    return microseconds(date if date.tzinfo else date.replace(tzinfo=UTC)), date.tzinfo is None


def _reply_to(message: dict, chat: str) -> str | None:
    number, peer = message.get("reply_to_message_id"), message.get("reply_to_peer_id")
    if not _is_number(number):
        return None
    elsewhere = re.fullmatch(r"(?:user|chat|channel)([0-9]+)", peer) if isinstance(peer, str) else None
    return f"{elsewhere[1] if elsewhere else chat}/{number}"
