"""The chats of all files: exports of one chat put together, people of one name told apart, rows of the table."""

from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple


class Message(NamedTuple):
    time: int  # microseconds since 1970 UTC
    sender: str
    is_owner: bool
    text: str
    kind: str


class Chat(NamedTuple):
    name: str
    is_group: bool
    messages: list[Message]


def told_apart(chats: Iterable[Chat]) -> Iterator[tuple[str, Chat]]:
    """Each chat after its conversation: two of one name stay two, unless they are exports of one chat.

    Exports of one chat agree on most messages in the time that both cover; two people of one name
    at most wish each other a happy new year.
    """
    groups = {}
    for chat in chats:
        same_name = groups.setdefault(chat.name, [])
        numbers = (number for number, group in enumerate(same_name) if any(_agree(chat, one) for one in group))
        number = next(numbers, len(same_name))
        if number == len(same_name):
            same_name.append([])
        same_name[number].append(chat)
        yield chat.name + (f" ({number + 1})" if number else ""), chat


def _agree(one: Chat, other: Chat) -> bool:
    since = max(min(chat.messages).time for chat in (one, other))
    until = min(max(chat.messages).time for chat in (one, other))
    mine, theirs = ({row[:4] for row in chat.messages if since <= row.time <= until} for chat in (one, other))
    return bool(mine) and bool(theirs) and 2 * len(mine & theirs) >= min(len(mine), len(theirs))


def rows(conversation: str, chat: Chat) -> Iterator[dict]:
    numbers = Counter()
    for message in chat.messages:
        numbers[message] += 1  # Android has no seconds, so one minute may hold "ok" twice
        content = "\x1f".join([conversation, str(message.time), message.sender, message.text, str(numbers[message])])
        yield {
            "conversation": conversation,
            "is_group": chat.is_group,
            "sender": message.sender,
            "is_owner": message.is_owner,
            "timestamp": message.time,
            "text": message.text,
            "kind": message.kind,
            "message_id": blake2b(content.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest(),
            "reply_to": None,
        }
