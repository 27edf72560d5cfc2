"""An example becomes messages: a profile's texts with their placeholders filled in.

An *example* is one row of a train.jsonl: `{"messages": [system, user, assistant]}`; the last
message is the owner's reply. Rows of our own extraction also have `EXTRACTED`: the context and the last
message as they were before a variant wrote them into the user turn.
"""

import re

PLACEHOLDERS = ("system", "context", "last_message", "instruction")
EXTRACTED = "_extracted"  # an example's key for {"context", "last_message"} from meta.jsonl; no model sees it
WRAPPER = "Context:\n{context}\n\nLast Message: {last_message}"


def messages_for(example: dict, profile: dict | None = None) -> list[dict]:
    """The example's messages with the profile's system text and user text put in.

    `system: false` removes the system message; `shots` (examples) go between system and conversation.
    """
    profile = profile or {}
    messages = [dict(message) for message in example["messages"]]
    if profile.get("system") is not None:
        messages = [message for message in messages if message["role"] != "system"]
        if profile["system"] is not False:
            messages.insert(0, {"role": "system", "content": fill(profile["system"], example, profile)})
    if profile.get("user") is not None:
        last = next((message for message in reversed(messages) if message["role"] == "user"), None)
        if last:
            last["content"] = fill(profile["user"], example, profile)
    if shots := profile.get("shots"):
        turns = [turn for shot in shots for turn in messages_for(shot, profile | {"shots": None})]
        at = len([message for message in messages if message["role"] == "system"])
        messages[at:at] = [turn for turn in turns if turn["role"] != "system"]
    return messages


def fill(text: str, example: dict, profile: dict) -> str:
    """Fill the placeholders in one pass, so that braces inside a person's message stay as they are."""
    values = {
        "instruction": lambda: profile.get("instruction") or "",
        "context": lambda: context_of(example),
        "last_message": lambda: last_message(example),
        # A profile's system text may itself quote the example's.
        "system": lambda: (
            _content(example, "system")
            if profile.get("system") in (None, False, text)
            else fill(profile["system"], example, profile)
        ),
    }
    return re.sub(r"\{(%s)\}" % "|".join(PLACEHOLDERS), lambda match: values[match[1]](), text)


def text_of(message: dict) -> str:
    """A message's content as text; of content in parts, the texts."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def ends_with_reply(example) -> bool:
    """Whether this is a conversation whose last message is a reply with text in it.

    The messages before it may have content in parts, or call tools instead.
    """
    messages = example.get("messages") if isinstance(example, dict) else None
    return (
        isinstance(messages, list)
        and len(messages) > 1
        and all(
            isinstance(turn, dict) and (isinstance(turn.get("content"), str | list) or turn.get("tool_calls"))
            for turn in messages
        )
        and messages[-1].get("role") == "assistant"
        and isinstance(messages[-1].get("content"), str)
        and bool(messages[-1]["content"].strip())
    )


def _content(example: dict, role: str) -> str:
    """The last content of that role, or an empty text."""
    return next((text_of(turn) for turn in reversed(example["messages"]) if turn["role"] == role), "")


# --- context and last message ---------------------------------------------------------------


def context_of(example: dict) -> str:
    """The messages before the reply in the plain `Name: message` form, whichever variant wrote the row."""
    extracted = _extracted(example)
    return extracted["context"] if extracted else plain_context(_content(example, "user"))


def last_message(example: dict) -> str:
    """The whole text of the last message before the reply, without its sender's name."""
    extracted = _extracted(example)
    return extracted["last_message"] if extracted else _read_back(example)


def _extracted(example: dict) -> dict | None:
    """What the extraction recorded, unless the user turn was changed since."""
    if not (extracted := example.get(EXTRACTED)):
        return None
    user, context = _content(example, "user"), extracted["context"]
    forms = f"<conversation>\n{context}\n</conversation>\n", f"Context:\n{context}\n\nLast Message: "
    return extracted if user == context or user.startswith(forms) else None


# --- the fallback, for other people's rows ----------------------------------------------------

TAGGED = re.compile(
    r"<conversation>\n(.*)\n</conversation>\n<last_message>\n?(.*?)\n?</last_message>(?:\nCategory: [^\n]*)?", re.DOTALL
)
WRAPPED = re.compile(r"Context:\n(.*)\n\nLast Message: ", re.DOTALL)
SPEAKER = re.compile(r"([^:\n]{1,40}): ")
OTHERS = re.compile(r"Contact(?: \d+)?")  # what the extraction calls everybody but the owner


def plain_context(user_turn: str) -> str:
    """A user turn in the plain `Name: message` form, whichever variant wrote it."""
    match = TAGGED.fullmatch(user_turn) or WRAPPED.match(user_turn)
    return match[1] if match else user_turn


def _read_back(example: dict) -> str:
    """The last message, read from the user turn.

    A message may have several lines, so a line starts a new message only where it begins with
    a name that the first line or the system text also uses.
    """
    user_turn = _content(example, "user")
    if match := TAGGED.fullmatch(user_turn):
        return match[2].partition(": ")[2] or match[2]
    context, system = plain_context(user_turn), _content(example, "system")
    start, known = 0, {_speaker(context, 0): True}
    for line in re.finditer(r"^", context, re.MULTILINE):
        speaker = _speaker(context, line.start())
        if speaker and speaker not in known:
            known[speaker] = bool(OTHERS.fullmatch(speaker) or re.search(rf"\b{re.escape(speaker)}\b", system))
        if speaker and known[speaker]:
            start = line.start() + len(speaker) + 2
    return context[start:]


def _speaker(text: str, start: int) -> str | None:
    match = SPEAKER.match(text, start)
    return match[1] if match else None
