"""What the chat template makes of contents that aren't text and of tool calls: written, printed as they are, or dropped.

Templates differ: some want content in parts, some only text; some want a call's arguments as an object, some as JSON.
So each row is rendered, and what it should say is looked for in the text.
"""

import json
from collections.abc import Iterator

from ...chat_format.messages import calls_of
from ...chat_format.template import Template
from ..evidence import around, in_rows, quoted
from ..findings import Check, Finding
from ..run_inputs import RunInputs

CONTENT_FORM = Check(
    "data.content_form",
    ("error",),
    "`content` that isn't text, and that the chat template prints as it is (a list of parts, null as the word None) or "
    "leaves out.",
    cause="The template doesn't know this form: the model learns to read and write the list itself, or never sees what "
    "the row says.",
    fix="Write each `content` as one text, or use a model whose template takes content in parts.",
    bad='{"role": "user", "content": [{"type": "text", "text": "hey"}]}   with a template that prints the list',
    good='{"role": "user", "content": "hey"}',
)
TOOL_CALLS = Check(
    "data.tool_calls",
    ("error",),
    "Tool calls that the chat template leaves out, or whose arguments it doesn't write as JSON.",
    cause="Some templates want a call's arguments as an object, others as JSON text, and some know no tool calls: the model "
    "learns to write calls that no parser takes, or none.",
    fix="Write `arguments` in the form that this template takes, or use a model whose template supports tools.",
    bad='"arguments": "{\\"city\\": \\"Rome\\"}"   with a template that encodes arguments itself',
    good='"arguments": {"city": "Rome"}',
)
CHECKS = (CONTENT_FORM, TOOL_CALLS)
TWICE = {
    "cause": "The arguments are a JSON text already, and the template encodes them again, as "
    '"{\\"city\\": …}": the model learns to write calls that no parser takes.',
    "fix": 'Write `arguments` as an object in the rows; with Python: json.loads(call["function"]["arguments"]).',
}
PRINTED = {
    "cause": "The template prints the arguments as Python shows them, with single quotes: the model learns to write "
    "calls that no parser takes.",
    "fix": 'Write `arguments` as a JSON text in the rows; with Python: json.dumps(call["function"]["arguments"]).',
}
DROPPED = {
    "cause": "The template doesn't write `tool_calls`: the model learns to answer without the call.",
    "fix": "Use a model whose chat template supports tools, or write each call into the `content`, in the form that your "
    "app reads.",
}


def check(inputs: RunInputs, chats: dict, tokenizer) -> list[Finding]:
    """Findings on what the template does to contents in parts, to null, and to tool calls. `chats`: as in the files."""
    if tokenizer is None:
        return []
    template, forms = Template(tokenizer), []
    calls = {"twice": [], "printed": [], "dropped": []}
    for name, rows in chats.items():
        for number, row in rows:
            form, call = problems(row, template)
            if form:
                forms.append((name, number, form))
            if call:
                calls[call[0]].append((name, number, call[1]))
    titles = {
        "twice": "whose tool calls have arguments that the template encodes a second time",
        "printed": "whose tool calls have arguments that the template prints in Python's form",
        "dropped": "whose tool calls the template leaves out",
    }
    texts = {"twice": TWICE, "printed": PRINTED, "dropped": DROPPED}
    return [
        *in_rows(inputs, CONTENT_FORM, "error", forms, "with content that the template doesn't write as text"),
        *(
            finding
            for kind, hits in calls.items()
            for finding in in_rows(inputs, TOOL_CALLS, "error", hits, titles[kind], **texts[kind])
        ),
    ]


def problems(row: dict, template: Template) -> tuple[str | None, tuple[str, str] | None]:
    """What the template does to a row's contents that aren't text, and to its calls: (kind, what is there)."""
    odd = [message for message in row["messages"] if not isinstance(message.get("content"), str)]
    calling = [message for message in row["messages"] if calls_of(message)]
    text = template.render(row["messages"], row.get("tools"), prompt=False) if odd or calling else None
    if text is None:
        return None, None  # where it refuses the row, data.bad_messages reports it
    form = next((found for message in odd for found in _forms(message, text, row, template)), None)
    return form, next(_calls(calling, text, row, template), None) if calling else None


def _forms(message: dict, text: str, row: dict, template: Template) -> Iterator[str]:
    """What is wrong with the way in which the template writes one content that isn't text."""
    role, content = message["role"], message.get("content")
    if content is None:
        blank = [one | {"content": ""} if one is message else one for one in row["messages"]]
        empty = template.render(blank, row.get("tools"), prompt=False)
        if empty is not None and text.count("None") > empty.count("None"):
            yield f"{role}: null becomes the word None"
        return
    for part in content if isinstance(content, list) else []:
        printed = next((one for one in _as_printed(part) if one in text), None) if isinstance(part, dict) else None
        said = part.get("text") if isinstance(part, dict) else part
        if printed:
            yield f"{role}: the text becomes {quoted(printed, 80)}"
        elif isinstance(said, str) and said.strip() and said.strip() not in text:
            yield f"{role}: {quoted(said, 60)} isn't in the text"
        elif isinstance(part, dict) and not isinstance(said, str):
            yield f"{role}: a part of type {quoted(str(part.get('type')), 30)}, which training on text can't see"


def _as_printed(value) -> tuple[str, ...]:
    """A value as a template prints it that doesn't look into it."""
    return str(value), json.dumps(value, ensure_ascii=False), json.dumps(value)


def _calls(messages: list[dict], text: str, row: dict, template: Template) -> Iterator[tuple[str, str]]:
    """(kind, what is there) for the calls of a row that the template doesn't write as they are meant."""
    for message in messages:
        for call in calls_of(message):
            arguments = call.get("arguments")
            if isinstance(arguments, str) and is_object(arguments):
                again = next((one for one in _as_printed(arguments)[1:] if one in text), None)
                if again and text.count(arguments) <= text.count(again) * (arguments in again):
                    at = text.index(again)
                    yield "twice", f"{message['role']}: {around(text, at, at + len(again))}"[:190]
            elif isinstance(arguments, dict) and str(arguments) in text:
                if str(arguments) not in _as_printed(arguments)[1:]:
                    yield "printed", f"{message['role']}: {quoted(str(arguments), 80)}"
    without = [{key: value for key, value in one.items() if key != "tool_calls"} for one in row["messages"]]
    if template.render(without, row.get("tools"), prompt=False) == text:
        names = ", ".join(str(call.get("name")) for message in messages for call in calls_of(message))
        yield "dropped", f"{messages[0]['role']}: calls {quoted(names, 60)}"


def is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
