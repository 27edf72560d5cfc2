"""Reads Instagram and Messenger: the JSON of "Download your information" -> messages table.

Each thread has a folder with message_1.json, message_2.json, …: {"participants", "messages", "title", "thread_path"}.
Their text is UTF-8 that was taken for Latin-1, so that "é" is "Ã©"; it is restored here. Messenger's export of encrypted
chats has one file a thread, with other keys and correct text.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas

from ..errors import StudyError
from ..paths import absolute, shown
from . import ATTACHMENT, PHOTO, make_table, skip
from .exports import IMAGE, distinct, identity, read_json, spelt, word
from .recognize import files_in

EXPORT = (
    "Ask for a copy of your information in the app's Accounts Center, choose messages in the format JSON, unpack the zip, "
    "and name its folder."
)
MALFORMED = "a row that is not a message of Instagram or Messenger"
FILES = ("photos", "videos", "audio_files", "files", "gifs", "sticker", "media")
# A reaction that is written as a message; Meta writes these words in the account's language.
REACTION = re.compile(r"Reacted \S{1,20} to your message ?|Liked a message|Reacted to your message")


def read(file: str | Path, me=()) -> pandas.DataFrame:
    """Read one thread's file, or the unpacked download, into a messages table (columns: see `ftstudy.sources`).

    The owner is who has a name in `me`, else the one person who takes part in every thread. StudyError: no thread, not
    complete, without messages, or not readable.
    """
    file = absolute(file)
    files = list(files_in(file, ".json")) if file.is_dir() else [file]
    skipped, notes = {}, []
    threads = [thread for one in files if (thread := _thread(one, file, notes))]
    if not threads:
        raise StudyError(f"{shown(file)} has no chat of Instagram or Messenger. {EXPORT}")
    table = make_table(_rows(threads, _owners(threads, me, notes), skipped), skipped, notes)
    if table.empty:
        raise StudyError(f"{shown(file)} has no messages of Instagram or Messenger. {EXPORT}")
    return table


def _thread(file: Path, source: Path, notes: list) -> dict | None:
    """A thread's `id`, `title`, `people` and `messages`; None for the download's other files."""
    if file != source and '"participants"' not in _beginning(file):
        return None
    export = read_json(file, "chat of Instagram or Messenger")
    if not isinstance(export, dict) or not all(
        isinstance(export.get(key), list) for key in ("participants", "messages")
    ):
        return None
    is_new = "threadName" in export or any(
        "senderName" in one for one in export["messages"][:9] if isinstance(one, dict)
    )
    fixed = word if is_new else _restored
    people = [fixed(one.get("name") if isinstance(one, dict) else one) for one in export["participants"]]
    title = fixed(export.get("title") or export.get("threadName"))
    return {
        "id": word(export.get("thread_path")) or word(export.get("threadName")) or file.stem,
        "title": re.sub(r"_\d+$", "", title) if is_new else title,
        "people": [name for name in people if name],
        "messages": [_message(one, fixed) for one in reversed(export["messages"])],  # the newest comes first
    }


def _beginning(file: Path) -> str:
    with file.open("rb") as opened:
        return opened.read(4000).decode("latin-1")


def _restored(value) -> str:
    """Text as it was before its UTF-8 was taken for Latin-1."""
    text = word(value)
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _message(record, fixed) -> dict | None:
    """A message's `sender`, `time` in milliseconds, `text` or None, and the record."""
    if not isinstance(record, dict):
        return None
    sender, time = (
        record.get(old, record.get(new)) for old, new in (("sender_name", "senderName"), ("timestamp_ms", "timestamp"))
    )
    content = record.get("content", record.get("text"))
    if (
        not isinstance(sender, str)
        or not isinstance(time, int)
        or isinstance(time, bool)
        or not isinstance(content, str | None)
    ):
        return None
    return {"sender": fixed(sender) or "unknown", "time": time, "text": fixed(content), "record": record}


def _owners(threads: list[dict], me, notes: list) -> set[str]:
    names = {one["sender"] for thread in threads for one in thread["messages"] if one}
    found = spelt(me, names)
    if found or len(threads) < 2:
        return found
    everywhere = set.intersection(*(set(thread["people"]) for thread in threads))
    if len(everywhere) == 1:
        notes.append("The owner is the one person who takes part in every chat; ME=… or --me names another.")
        return everywhere
    return set()


def _rows(threads: list[dict], owners: set[str], skipped: dict) -> Iterator[dict]:
    names = {}
    for thread in threads:
        others = [name for name in dict.fromkeys(thread["people"]) if name not in owners]
        thread["is_group"] = len(set(thread["people"])) > 2
        title = f"group:{thread['title'] or 'unnamed'}" if thread["is_group"] else (others or [thread["title"]])[0]
        names[thread["id"]] = title or thread["id"]
    names = distinct(names, lambda thread: thread.rpartition("_")[2])
    for thread in threads:
        numbers = Counter()  # of equal messages in one file; those in another file are copies
        for message in thread["messages"]:
            if message is None:
                skip(skipped, MALFORMED, "")
                continue
            text, kind = _content(message)
            content = (thread["id"], str(message["time"]), message["sender"], message["text"])
            numbers[content] += 1
            yield {
                "conversation": names[thread["id"]],
                "is_group": thread["is_group"],
                "sender": message["sender"],
                "is_owner": message["sender"] in owners,
                "timestamp": message["time"] * 1000,
                "text": text,
                "kind": kind,
                "message_id": identity(*content, str(numbers[content])),
            }


def _content(message: dict) -> tuple[str, str]:
    record, text = message["record"], message["text"]
    if record.get("is_unsent") or record.get("isUnsent"):
        return text, "unsent"
    if "call_duration" in record or record.get("type") in ("Call", "Subscribe", "Unsubscribe"):
        return text, "system"
    files = [placeholder for key in FILES for placeholder in _files(key, record.get(key))]
    is_notice = text.startswith(f"{message['sender']} ")  # as only the app writes: "Ada sent an attachment."
    if files:
        return " ".join([*files, "" if is_notice else text]).strip(), "attachment"
    if is_notice:
        return text, "app" if "share" in record else "system"
    if REACTION.fullmatch(text):
        return text, "tapback"
    return text, "app" if "share" in record and not text.strip() else "text"


def _files(key: str, value) -> list[str]:
    found = value if isinstance(value, list) else [value] if isinstance(value, dict) else []
    return [PHOTO if key == "photos" or (key == "media" and _is_image(one)) else ATTACHMENT for one in found]


def _is_image(file) -> bool:
    return isinstance(file, dict) and bool(IMAGE.fullmatch(word(file.get("uri"))))
