"""Lists of messages that were printed into a text become messages."""

import ast
import json

from ..audit.content.text_rows import is_printed
from ..chat_format.conversions import converted
from ..chat_format.rows import has_texts, is_conversation
from ..machine_failures import pass_on
from ..wording import count
from .chats import audited, by_place, conversations, written

SIDES = {"HumanMessage": "user", "AIMessage": "assistant", "SystemMessage": "system"}


def as_messages(draft: dict, inputs) -> tuple[dict, list[str]]:
    """The draft with printed lists of messages as the messages that they list."""
    made, changes = audited(draft, inputs), {}
    for name in made.splits:
        for line, text in made.texts(name):
            if is_printed(text) and (messages := listed(text)):
                changes[name, line] = messages
    for place, row in by_place(conversations(draft, inputs)).items():
        messages = [turn for message in row["messages"] for turn in _spread(message)]
        if messages != row["messages"]:
            changes[place] = messages
    notes = [f"{count(len(changes), 'printed list')} of messages became messages"] if changes else []
    return written(draft, inputs, changes), notes


def _spread(message: dict) -> list[dict]:
    content = message.get("content")
    is_list = isinstance(content, str) and is_printed(content)
    return (is_list and listed(content)) or [message]


def listed(text: str) -> list[dict] | None:
    """The messages of a list that was printed as JSON, in Python's form or as classes; None if it can't be read."""
    for read in (json.loads, ast.literal_eval, _of_classes):
        try:
            value = read(text.strip())
        except (ValueError, SyntaxError, TypeError, AttributeError, KeyError, RecursionError, MemoryError) as error:
            pass_on(error)
            continue
        row = converted({"messages": [value] if isinstance(value, dict) and "role" in value else value}
                        if not isinstance(value, dict) or "role" in value else value)  # fmt: skip
        messages = row and row["messages"]
        if messages and is_conversation(messages) and has_texts(messages):
            return messages
    return None


def _of_classes(text: str) -> list[dict]:
    """HumanMessage(content='hey'), in a list. Raises what `ast` raises, KeyError and AttributeError."""
    body = ast.parse(text, mode="eval").body
    calls = body.elts if isinstance(body, ast.List) else [body]
    made = []
    for call in calls:
        values = {one.arg: ast.literal_eval(one.value) for one in call.keywords}
        made.append({"role": SIDES[call.func.id], "content": values["content"]})
    return made
