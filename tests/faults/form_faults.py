"""Faults of rows in other forms: tool calls, content in parts, thoughts, plain text, and keys that nothing reads."""

import json

from .forms import said
from .spoiling import ALL, EVERY, PLAIN, in_rows
from .template_faults import template_of


def arguments_as_text(row):
    for call in row["messages"][-1]["tool_calls"]:
        call["function"]["arguments"] = json.dumps(call["function"]["arguments"])


def without_thought(row):
    row["messages"][-1]["content"] = said(row)[1].partition("</think>")[2].strip()


def system_beside(row):
    first, *others = row["messages"]
    return {"system": first["content"], "messages": others}


def beside(key, value):
    return lambda row: row | {key: value}


def one_answer(study):
    for split in ("train",):
        rows = study.rows(split)
        for number, row in enumerate(rows):
            if number % 10:
                row["messages"][-2]["content"] = f"Contact: build {number} ended with {number % 7} warnings, what now?"
                row["messages"][-1]["content"] = f"pass {number} on to the others, they know"
        study.write(split, rows)


def doubled_start(row):
    row["text"] = "<s>" + row["text"]


def in_phi(row):
    row["text"] = f"<|user|>\n{row['text']}<|end|>\n"


def printed(row):
    row["text"] = str([{"role": "user", "content": row["text"]}, {"role": "assistant", "content": "ok"}])


def printed_prompt(row):
    row["prompt"] = json.dumps([{"role": "user", "content": row["prompt"]}])


def cases():
    """Yield the arguments of `matrix.Case`."""
    error, warning = "error", "warning"
    every = {"share": EVERY, "splits": ALL}
    yield "arguments as JSON text", "calls-tools", in_rows(arguments_as_text, **every), "data.tool_calls", error
    yield "arguments as JSON text in 3", "calls-tools", in_rows(arguments_as_text), "data.tool_calls", error
    object_printed = template_of(lambda text: text.replace("arguments | tojson", "arguments"))
    yield "arguments printed by the template", "calls-tools", object_printed, "data.tool_calls", error
    no_calls = template_of(lambda text: text.replace("message.tool_calls or []", "[]"))
    follows = ("loss.nothing_trained", "loss.on_prompt")
    yield "a template without tool calls", "calls-tools", no_calls, "data.tool_calls", error, follows
    list_printed = template_of(lambda text: text.replace("message['content'] is string", "true"))
    yield "parts printed by the template", "parts-parts", list_printed, "data.content_form", error
    yield "thoughts in half of the rows", "thoughts-thoughts", in_rows(without_thought, 0.5), "data.thoughts", warning
    follows = ("parity.default_system", "parity.system_text", "data.system_differs", "data.system_prompts")
    spoil = in_rows(system_beside, **every)
    yield "a system text beside the messages", PLAIN, spoil, "data.unread_key", warning, follows
    for key, value in {"instruction": "Be kind.", "history": [["hey", "yo"]], "tools": [{"name": "a"}]}.items():
        yield f"`{key}` beside the messages", PLAIN, in_rows(beside(key, value), **every), "data.unread_key", warning
    follows = ("data.user_form_differs", "data.duplicates", "data.dominating_reply")
    yield "nine tenths of the rows almost the same", PLAIN, one_answer, "data.near_duplicates", warning, follows
    yield "<s> in text", "text-mistral", in_rows(doubled_start, **every), "loss.doubled_start", error
    spoil = in_rows(in_phi, **every)
    yield "another family's markup in text", "text-qa", spoil, "data.control_tokens", error, ("parity.role_header",)
    yield "printed messages as text", "text-smollm2", in_rows(printed, **every), "data.printed_messages", error
    spoil = in_rows(printed_prompt, **every)
    yield "printed messages in prompts", "pairs-chatml", spoil, "data.printed_messages", error
    yield "long texts", "text-qa", lambda study: study.configure(max_seq_length=64), "loss.truncated", warning
    chat = lambda study: study.ask(kind="messages")  # noqa: E731
    yield "text asked as a chat", "text-qa", chat, "parity.role_header", error
    blank = lambda study: study.ask(kind="template", template="Q: {context}\nA: ")  # noqa: E731
    yield "text asked with a blank too many", "text-qa", blank, "parity.whitespace", error
    drawn = template_of(lambda text: "{{ range(9999) | random }}" + text)
    yield (
        "a number drawn by the template",
        PLAIN,
        drawn,
        "loss.template_changes",
        warning,
        (
            "loss.prompt_not_prefix",
            "parity.template_arguments",
            "parity.role_header",
            "parity.default_system",
            "loss.nothing_trained",
        ),
    )
