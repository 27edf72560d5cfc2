"""Contents, tool calls and thoughts in the form that the model's chat template writes."""

import json

from ..audit.content import thoughts
from ..audit.content import written as as_written
from ..chat_format.messages import calls_of, text_of
from ..chat_format.template import Template
from ..wording import count
from .chats import by_place, conversations, written


def as_the_template_takes_them(draft: dict, inputs) -> tuple[dict, list[str]]:
    """Parts as text, null as nothing, and arguments of calls as text or object, where the template needs it."""
    tokenizer = inputs.tokenizer_or_none
    if tokenizer is None:
        return draft, []
    template, changes = Template(tokenizer), {}
    for place, row in by_place(conversations(draft, inputs)).items():
        forms, calls = as_written.problems(row, template)
        messages = row["messages"]
        if forms:
            messages = as_texts(messages)
        if calls:
            messages = [_with_arguments(message, calls[0]) for message in messages]
        if messages != row["messages"] and not any(as_written.problems(row | {"messages": messages}, template)):
            changes[place] = messages
        elif with_thoughts := thoughts.beside(row, tokenizer, template):
            changes[place] = with_thoughts
    notes = [f"{count(len(changes), 'row')} written in the form that the chat template takes"] if changes else []
    return written(draft, inputs, changes), notes


def as_texts(messages: list[dict]) -> list[dict]:
    """The messages, with null as an empty text, and content in parts as text if all parts are texts."""
    return [message | {"content": text_of(message)} if _is_text(message) else message for message in messages]


def _is_text(message: dict) -> bool:
    content = message.get("content")
    return content is None or isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) and part.get("type", "text") == "text"
        for part in content
    )  # fmt: skip


def _with_arguments(message: dict, kind: str) -> dict:
    """The message, with its calls' arguments as an object if they are encoded twice, or as text if they are printed."""
    if not calls_of(message):
        return message

    def changed(function: dict) -> dict:
        given = function.get("arguments")
        if kind == "twice" and isinstance(given, str) and as_written.is_object(given):
            return function | {"arguments": json.loads(given)}
        if kind == "printed" and isinstance(given, dict):
            return function | {"arguments": json.dumps(given, ensure_ascii=False)}
        return function

    calls = [
        call | {"function": changed(call["function"])} if isinstance(call.get("function"), dict) else changed(call)
        for call in message["tool_calls"]
        if isinstance(call, dict)
    ]
    return message | {"tool_calls": calls}
