"""An example becomes messages: a profile's texts with their placeholders filled in.

An *example* is one row of a train.jsonl: `{"messages": [system, user, assistant]}`; the last
message is the owner's reply. Rows of our own extraction also have `EXTRACTED`: the context and the last
message as they were before a variant wrote them into the user turn.
"""

import json
import re
from collections import Counter

from ..errors import StudyError
from ..files.limits import CHARACTERS

PLACEHOLDERS = ("system", "context", "history", "last_message", "instruction")
PLACEHOLDER = re.compile(r"\{(%s)\}" % "|".join(PLACEHOLDERS))
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
    """Fill the placeholders in one pass, so that braces inside a person's message stay as they are.

    Raises StudyError if a template asks for the turns of a row with several, and the profile has no `turn`, or if it
    repeats placeholders until the prompt has millions of characters.
    """
    by_turns = has_turns(example, profile)
    values = {
        "instruction": lambda: profile.get("instruction") or "",
        "context": lambda: _written(_turns(example), profile) if by_turns else context_of(example),
        "history": lambda: _written(_turns(example)[:-1], profile) if by_turns else history_of(example),
        "last_message": lambda: text_of((_turns(example) or [{}])[-1]) if by_turns else last_message(example),
        # A profile's system text may itself quote the example's.
        "system": lambda: (
            _content(example, "system")
            if profile.get("system") in (None, False, text)
            else fill(profile["system"], example, profile)
        ),
    }
    # Each is made once, and no prompt is built that no model could read.
    asked = Counter(PLACEHOLDER.findall(text))
    made = {name: values[name]() for name in asked}
    length = len(text) + sum(times * len(made[name]) for name, times in asked.items())
    if length > CHARACTERS + 3 * sum(map(len, made.values())):
        raise StudyError(
            f"The profile's text becomes a prompt of {length:,} characters, because it repeats placeholders. Name each "
            "once or twice."
        )
    return PLACEHOLDER.sub(lambda match: made[match[1]], text)


def text_of(message: dict) -> str:
    """A message's content as text; of content in parts, the texts."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def calls_of(message: dict) -> list[dict]:
    """The functions that a message calls, each with its `name` and `arguments`."""
    calls = message.get("tool_calls")
    calls = [call.get("function", call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return [call for call in calls if isinstance(call, dict)]


def in_words(row: dict) -> dict:
    """The row with each message's content as text, followed by the functions that it calls."""
    return row | {"messages": [message | {"content": _words(message)} for message in row["messages"]]}


def _words(message: dict) -> str:
    calls = [json.dumps(call, ensure_ascii=False) for call in calls_of(message)]
    return "\n".join([part for part in [text_of(message)] if part or not calls] + calls)


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


# --- a template's turns ---------------------------------------------------------------------


def has_turns(example: dict, profile: dict) -> bool:
    """Whether a template profile writes this row turn by turn.

    It does with earlier turns in the row. With a single user turn it does too if the profile has a `turn` and no
    `user`: where the app wraps the user turn, the conversation is written inside of it.
    """
    every_row = profile.get("turn") and not profile.get("user")
    return "template" in profile and (bool(every_row) or len(_turns(example)) > 1)


def _turns(example: dict) -> list[dict]:
    """The messages that the reply answers, without a system message."""
    return [message for message in example["messages"][:-1] if message["role"] != "system"]


def _written(turns: list[dict], profile: dict) -> str:
    """Turns as the app writes each of them, one after the other."""
    if turns and not profile.get("turn"):
        raise StudyError(
            'Add turn: "<|im_start|>{role}\\n{content}<|im_end|>\\n", as your app writes a turn, to the profile: this row '
            "has earlier turns, and {context} and {history} depend on it."
        )
    written = "".join(_turn(message, profile["turn"]) for message in turns)
    return written.rstrip("\n") if profile.get("user") else written  # within a user turn


def _turn(message: dict, form: str | dict[str, str]) -> str:
    text = form if isinstance(form, str) else form.get(message["role"])
    if text is None:
        raise StudyError(
            f"The profile's `turn:` has no text for the role {message['role']}, which this row has. Add it, for example "
            f'{message["role"]}: "{{content}}\\n".'
        )
    return re.sub(
        r"\{(role|content)\}", lambda match: text_of(message) if match[1] == "content" else message["role"], text
    )


# --- context and last message ---------------------------------------------------------------


def context_of(example: dict) -> str:
    """The messages before the reply in the plain `Name: message` form, whichever variant wrote the row."""
    extracted = _extracted(example)
    return extracted["context"] if extracted else plain_context(_content(example, "user"))


def history_of(example: dict) -> str:
    """`context_of` without its last message."""
    context, last = context_of(example), last_message(example)
    earlier = context[: len(context) - len(last)] if last and context.endswith(last) else context
    return earlier.rpartition("\n")[0]  # what is left of the last line is the sender's name


def last_message(example: dict) -> str:
    """The whole text of the last message before the reply, without its sender's name. The owner may have sent it."""
    extracted = _extracted(example)
    return extracted["last_message"] if extracted else _read_back(example)


def last_speaker(example: dict) -> str | None:
    """The name in front of the last message, if there is one."""
    return _speaker(context_of(example)[len(history_of(example)) :].lstrip("\n"), 0)


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
