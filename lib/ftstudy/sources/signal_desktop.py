"""Reads Signal Desktop's own "Export chat history": the `main.jsonl` of its folder -> messages table.

Each line is one object: {"account"}, {"recipient"}, {"chat"} or {"chatItem"}. A message names its chat and its author by
number. Times are milliseconds since 1970, and the owner is the recipient called `self`. Reactions are part of a message.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas

from ..errors import StudyError
from ..paths import absolute, shown
from . import ATTACHMENT, PHOTO, make_table, skip
from .exports import distinct, joined, json_lines, word

EXPORT = (
    "In Signal Desktop, choose Settings > Chats > Export chat history, and name the folder that it writes, or the "
    "main.jsonl in it."
)
MALFORMED = "a line that is not a Signal message"
# The kinds of items that have no text of their own.
KINDS = {
    "updateMessage": "system",
    "remoteDeletedMessage": "unsent",
    "adminDeletedMessage": "unsent",
    "stickerMessage": "attachment",
    "viewOnceMessage": "attachment",
    "contactMessage": "app",
    "paymentNotification": "app",
    "giftBadge": "app",
    "poll": "app",
}


def read(file: str | Path) -> pandas.DataFrame:
    """Read a `main.jsonl`, or the folder it is in, into a messages table (columns: see `ftstudy.sources`).

    StudyError: no main.jsonl, not Signal's export, without messages, or not readable.
    """
    file = absolute(file)
    if file.is_dir():
        file = file / "main.jsonl"
        if not file.exists():
            raise StudyError(f"There is no {shown(file)}. {EXPORT}")
    skipped, items = {}, []
    recipients, chats = {}, {}
    for number, line, record in json_lines(file):
        if not isinstance(record, dict):
            skip(skipped, MALFORMED, f"line {number}: {line[:100]}")
            continue
        for name, found in (("recipient", recipients), ("chat", chats)):
            if isinstance(one := record.get(name), dict):
                found[_id(one.get("id"))] = one
        if isinstance(record.get("chatItem"), dict):
            items.append(record["chatItem"])
    people = distinct({number: _name(one) or f"unknown {number}" for number, one in recipients.items()})
    table = make_table(_rows(items, people, recipients, chats, skipped), skipped)
    if table.empty:
        raise StudyError(f"{shown(file)} has no messages of Signal Desktop's export. {EXPORT}")
    return table


def _id(value) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _name(recipient: dict) -> str:
    if isinstance(recipient.get("group"), dict):
        return f"group:{_text(_part(_part(recipient['group'], 'snapshot'), 'title'), 'title') or 'unnamed'}"
    contact = _part(recipient, "contact")
    written = (
        (_part(contact, "nickname"), "given", "family"),
        (contact, "systemGivenName", "systemFamilyName"),
        (contact, "profileGivenName", "profileFamilyName"),
        (contact, "username"),
    )
    number = _id(contact.get("e164"))
    names = [joined(*(_text(record, key) for key in keys)) for record, *keys in written]
    return next(filter(None, names), f"+{number.lstrip('+')}" if number else "")


def _part(record: dict, key: str) -> dict:
    return record[key] if isinstance(record.get(key), dict) else {}


def _text(record: dict, key: str) -> str:
    return word(record.get(key)).strip()


def _rows(items: list[dict], people: dict, recipients: dict, chats: dict, skipped: dict) -> Iterator[dict]:
    for item in items:
        chat, author, sent = (_id(item.get(key)) for key in ("chatId", "authorId", "dateSent"))
        recipient = _id(chats.get(chat, {}).get("recipientId"))
        if recipient not in recipients or not sent.isdecimal() or len(sent) > 18:
            skip(skipped, MALFORMED, str(item)[:200])
            continue
        partner = recipients[recipient]
        if "self" in partner or "releaseNotes" in partner:
            reason = "a note to oneself in Signal" if "self" in partner else "Signal's own news"
            skip(skipped, reason, str(_part(_part(item, "standardMessage"), "text").get("body"))[:200])
            continue
        text, kind, quote = _content(item)
        yield {
            "conversation": people[recipient],
            "is_group": "group" in partner,
            "sender": people.get(author, "unknown"),
            "is_owner": "outgoing" in item or "self" in recipients.get(author, {}),
            "timestamp": int(sent) * 1000,
            "text": text,
            "kind": kind,
            "message_id": f"{chat}/{author}/{sent}",
            "reply_to": f"{chat}/{_id(quote.get('authorId'))}/{_id(quote.get('targetSentTimestamp'))}"
            if quote
            else None,
        }


def _content(item: dict) -> tuple[str, str, dict]:
    """(text, kind, what it quotes) of a chatItem."""
    for name, kind in KINDS.items():
        if name in item:
            return ATTACHMENT if kind == "attachment" else "", kind, {}
    story = _part(item, "directStoryReplyMessage")
    if "emoji" in story:
        return word(story["emoji"]), "tapback", {}
    message = _part(item, "standardMessage") or _part(story, "textReply")
    body = _part(message, "text").get("body")
    files = [_placeholder(one) for one in message.get("attachments") or [] if isinstance(one, dict)]
    text = joined(*files, body if isinstance(body, str) else "")
    kind = "attachment" if files else "text" if message else "system"
    return text, kind, _part(message, "quote")


def _placeholder(attachment: dict) -> str:
    kind = word(_part(attachment, "pointer").get("contentType"))
    return PHOTO if kind.startswith("image/") else ATTACHMENT
