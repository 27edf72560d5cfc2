"""Messages -> sessions -> bursts -> reply pairs, and the funnel that counts everything left out.

A *burst* is one sender's run of messages. A *reply* is a burst by the owner; its *context* is the
messages before it in the same session.
"""

from collections import namedtuple
from collections.abc import Iterable

import pandas

from .. import privacy
from ..sources import ATTACHMENT, KINDS, PHOTO

CONTEXT_KINDS = ("text", "attachment", "forward")
Message = namedtuple("Message", "is_owner sender text kind time message_id")  # time: microseconds since 1970
MINUTE = 60_000_000  # microseconds


def build(
    messages: pandas.DataFrame,
    *,
    context_messages: int = 8,
    context_bytes: int = 1000,
    reply_bytes: int = 1000,
    burst_minutes: float = 3,
    session_minutes: float = 60,
    groups: bool = False,
) -> tuple[list[dict], list[dict]]:
    """The reply pairs of a messages table (see `sources`), oldest first, and the funnel.

    Messages of the owner at most `burst_minutes` apart form one reply. A silence of more than
    `session_minutes` ends the session, and with it the context. A context has the newest messages, at
    most `context_messages` and at most `context_bytes` of UTF-8. Since every token has at least one
    byte, the byte limits are also token limits, whatever the tokenizer. Group chats are included only
    with `groups`.

    A pair has `conversation`, `is_group`, `session`, `context` and `bubbles` (lists of Message), and
    `reply`, the bubbles' texts joined by line breaks. A funnel row has `step`, `unit`, `removed`,
    `left` and `examples` (up to three removed texts).
    """
    messages, funnel = _usable(messages, groups)
    in_groups = set(messages.loc[messages["is_group"], "conversation"])
    bursts = [
        _pair(conversation, conversation in in_groups, session, begin, end, context_messages, context_bytes)
        for conversation, session in _sessions(messages, session_minutes * MINUTE)
        for begin, end in _bursts(session, burst_minutes * MINUTE)
    ]
    bursts.sort(key=lambda pair: (pair["bubbles"][0].time, pair["bubbles"][0].message_id))
    others = messages.loc[~messages["is_owner"], "text"]
    attached = [message.text for pair in bursts for message in pair.pop("attached")]
    joined = (message.text for pair in bursts for message in pair["bubbles"][1:])
    left = len(messages) - len(others)
    funnel.append(step("written by other people (used as context)", "messages", others, left))
    funnel.append(step("the owner's attachments next to text", "messages", attached, left - len(attached)))
    funnel.append(step("joined to the owner's previous message", "messages", joined, len(bursts)))
    funnel.append(step("the owner's bursts", "replies", [], len(bursts)))
    for label, unwanted in (
        (f"previous message over {context_bytes:,} bytes", lambda pair: pair["cut_off"]),
        ("nobody else wrote before it", lambda pair: all(message.is_owner for message in pair["context"])),
        ("only attachments", lambda pair: not pair["reply"]),
        ("text with an attachment in it", lambda pair: any(m.kind == "attachment" for m in pair["bubbles"])),
        ("contains a forwarded message", lambda pair: any(m.kind == "forward" for m in pair["bubbles"])),
        (f"over {reply_bytes:,} bytes", lambda pair: len(pair["reply"].encode()) > reply_bytes),
        ("only a link", lambda pair: privacy.is_link_only(pair["reply"])),
        ("a one-time code", lambda pair: privacy.is_code_message(pair["reply"])),
        ("only masked text", lambda pair: privacy.is_masked_only(pair["reply"])),
    ):
        bursts = keep(bursts, unwanted, label, funnel)
    return bursts, funnel


def _usable(messages: pandas.DataFrame, groups: bool) -> tuple[pandas.DataFrame, list[dict]]:
    """The messages that can be context or reply, and the first rows of the funnel."""
    skipped = messages.attrs.get("skipped", {})
    left = len(messages) + sum(entry["count"] for entry in skipped.values())
    funnel = [step("messages in the source", "messages", [], left)]
    for reason, entry in skipped.items():
        left -= entry["count"]
        funnel.append(step(reason, "messages", entry["examples"], left) | {"removed": entry["count"]})

    def without(unwanted: pandas.Series, label: str) -> None:
        nonlocal messages
        if unwanted.any():
            funnel.append(step(label, "messages", messages.loc[unwanted, "text"], int((~unwanted).sum())))
            messages = messages[~unwanted]

    for kind, meaning in KINDS.items():
        if kind not in CONTEXT_KINDS:
            without(messages["kind"] == kind, f"{kind}: {meaning}")
    if not groups:
        without(messages["is_group"], "group chats")
    automated = {name: privacy.is_automated_sender(name) for name in messages["conversation"].unique()}
    without(messages["conversation"].map(automated).astype(bool), "chats with an automated sender")
    without(messages["text"].str.strip() == "", "empty text")
    return messages, funnel


def _sessions(messages: pandas.DataFrame, silence: float):
    """Yield (conversation, [Message, ...]): runs of a conversation without a long silence."""
    ordered = messages.sort_values("conversation", kind="stable")  # stays sorted by time within a conversation
    names = ordered["conversation"].tolist()
    fields = [ordered[name].tolist() for name in ("is_owner", "sender", "text", "kind")]
    times = ordered["timestamp"].astype("int64").tolist()
    session, before = [], None
    for name, message in zip(names, map(Message, *fields, times, ordered["message_id"].tolist())):
        if session and (name != before or message.time - session[-1].time > silence):
            yield before, session
            session = []
        session.append(message)
        before = name
    if session:
        yield before, session


def _bursts(session: list[Message], pause: float):
    """Yield the (begin, end) of each of the owner's bursts in a session."""
    begin = None
    for at, message in enumerate(session):
        if begin is not None and (not message.is_owner or message.time - session[at - 1].time > pause):
            yield begin, at
            begin = None
        if message.is_owner and begin is None:
            begin = at
    if begin is not None:
        yield begin, len(session)


def _pair(conversation, is_group, session, begin, end, context_messages, context_bytes) -> dict:
    first, size = begin, 0
    while first > max(0, begin - context_messages):
        size += len(session[first - 1].text.encode())
        if size > context_bytes:
            break
        first -= 1
    bubbles = session[begin:end]
    # A bubble that is only an attachment was not typed, so the reply is the text around it.
    typed = [message for message in bubbles if message.kind != "attachment" or _words(message.text)]
    kept = typed or bubbles[:1]
    return {
        "conversation": conversation,
        "is_group": is_group,
        "session": session[0].message_id,
        "context": session[first:begin],
        "cut_off": first == begin > 0,
        "bubbles": kept,
        "attached": [message for message in bubbles if message not in kept],
        "reply": "\n".join(message.text for message in typed),
    }


def _words(text: str) -> str:
    return text.replace(PHOTO, "").replace(ATTACHMENT, "").strip()


def keep(pairs: list[dict], unwanted, label: str, funnel: list[dict]) -> list[dict]:
    """The pairs that are not `unwanted`; the others are counted in the funnel."""
    out = [unwanted(pair) for pair in pairs]
    kept = [pair for pair, is_out in zip(pairs, out) if not is_out]
    removed = ((pair["reply"] or pair["bubbles"][0].text) for pair, is_out in zip(pairs, out) if is_out)
    funnel.append(step(label, "replies", removed, len(kept)))
    return kept


def step(label: str, unit: str, removed: Iterable[str], left: int) -> dict:
    """A row of the funnel. Examples are cut to 200 characters to keep the table readable."""
    examples, count = [], 0
    for text in removed:
        count += 1
        if len(examples) < 3 and text.strip() and text[:200] not in examples:
            examples.append(text[:200])
    return {"step": label, "unit": unit, "removed": count, "left": left, "examples": examples}
