"""Forms that rows take besides messages with texts: functions of a row of messages and its number."""

import json


def said(row):
    """Question and reply of a row."""
    return row["messages"][-2]["content"], row["messages"][-1]["content"]


def as_it_is(row, number):
    return row


def turns(question, reply, **of_reply):
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": reply} | of_reply]}


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "remind",
            "description": "Set a reminder",
            "parameters": {"type": "object", "properties": {"what": {"type": "string"}}},
        },
    }
]
MISSING = object()


def calling(content=MISSING, arguments=dict, tools=TOOLS):
    """Rows whose reply is a tool call, with arguments as an object (dict) or as a JSON text (str)."""

    def change(row, number):
        question, reply = said(row)
        given = {"what": reply}
        function = {"name": "remind", "arguments": given if arguments is dict else json.dumps(given)}
        made = turns(question, content, tool_calls=[{"id": "c1", "type": "function", "function": function}])
        if content is MISSING:
            del made["messages"][-1]["content"]
        return made | {"tools": tools}

    return change


def called_before(row, number):
    """A call in the middle: the reply answers what the tool said."""
    made, reply = calling()(row, number), said(row)[1]
    made["messages"] += [{"role": "tool", "content": f"saved {number}"}, {"role": "assistant", "content": reply}]
    return made


def in_parts(row, number):
    for message in row["messages"]:
        message["content"] = [{"type": "text", "text": message["content"]}]
    return row


def thinking(share=1.0):
    def change(row, number):
        question, reply = said(row)
        thought = f"<think>\nthey asked about {question[:30]!r}, a short answer will do\n</think>\n\n"
        row["messages"][-1]["content"] = thought * (number % 10 < 10 * share) + reply
        return row

    return change


def call_as_text(row, number):
    call = json.dumps({"name": "remind", "arguments": {"what": said(row)[1]}})
    row["messages"][-1]["content"] = f"<tool_call>\n{call}\n</tool_call>"
    return row


def labelled(label):
    def change(row, number):
        row["messages"][-1]["content"] = label.format(said(row)[1], number % 3)
        return row

    return change


def text(form):
    """Rows of text; `form` has places for the system text, the question and the reply."""

    def change(row, number):
        system, (question, reply) = row["messages"][0]["content"], said(row)
        return {"text": form.format(system=system, question=question, reply=reply)}

    return change


MISTRAL = "[INST] {question} [/INST] {reply}</s>"
IN_CHATML = "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{reply}<|im_end|>\n"
QA, ASKED = "Q: {question}\nA: {reply}", "Q: {context}\nA:"


def several(row, number):
    question, reply = said(row)
    return {"messages": [*turns(f"and number {number}?", f"fine with me, {number}")["messages"], *row["messages"][1:]]}


def completion(row, number):
    question, reply = said(row)
    return {"prompt": question, "completion": reply}
