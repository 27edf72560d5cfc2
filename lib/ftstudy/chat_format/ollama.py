"""The prompt that Ollama builds from a model's template and an app's messages, as its server does."""

from ..files.limits import SECONDS, limited
from .go_rendering import render
from .go_template import Node, fields, parse
from .messages import text_of


def prompt(served: dict, messages: list[dict]) -> str:
    """What Ollama sends to the model for an app's messages, without a start token.

    Raises StudyError if the template uses something that is not rendered here, or never ends.
    """
    message = (
        "The Modelfile's TEMPLATE loops or grows without end: it took too long, or 2 GB of memory, for one prompt. Use "
        "the template that the model was published with, or take out the loop."
    )
    with limited(message, SECONDS, template=served["template"]):
        return _prompt(served, messages)


def _prompt(served: dict, messages: list[dict]) -> str:
    turns = [*served["messages"], *messages]
    if served["system"] and not (messages and messages[0]["role"] == "system"):
        turns.insert(0, {"role": "system", "content": served["system"]})
    nodes = parse(served["template"].replace("\r\n", "\n"))
    known = fields(nodes)
    turns = _merged(turns)
    if "messages" in known:
        system = "\n\n".join(text_of(turn) for turn in turns if turn["role"] == "system")
        return render(nodes, _data(System=system, Messages=[_message(turn) for turn in turns], Response=""))
    if "response" not in known:
        nodes = [*nodes, *parse("{{ .Response }}")]
    return _exchange_by_exchange(nodes, turns)


def _merged(turns: list[dict]) -> list[dict]:
    """The turns, with neighbours of one role as one turn."""
    merged: list[dict] = []
    for turn in turns:
        if merged and merged[-1]["role"] == turn["role"] != "tool":
            merged[-1] = merged[-1] | {"content": merged[-1]["content"] + "\n\n" + turn["content"]}
        else:
            merged.append(turn)
    return merged


def _exchange_by_exchange(nodes: list[Node], turns: list[dict]) -> str:
    """A template without .Messages is rendered once for each question with its answer, and up to the last .Response."""
    texts, now = [], {"system": "", "user": "", "assistant": ""}
    for turn in turns:
        if turn["role"] not in now:
            continue  # Ollama leaves it out
        if (turn["role"] == "user" and now["assistant"]) or (
            turn["role"] == "system" and (now["user"] or now["assistant"])
        ):
            texts.append(render(nodes, _exchange(now)))
            now = dict.fromkeys(now, "")
        now[turn["role"]] = text_of(turn)
    texts.append(render(_until_response(nodes)[0], _exchange(now)))
    return "".join(texts)


def _exchange(now: dict) -> dict:
    return _data(System=now["system"], Prompt=now["user"], Response=now["assistant"])


def _until_response(nodes: list[Node]) -> tuple[list[Node], bool]:
    """The nodes up to the one that writes .Response, and whether there is one."""
    kept = []
    for node in nodes:
        if node.kind == "print" and "response" in fields([node]):
            return [*kept, node], True
        body, was_cut = _until_response(node.body)
        other, was_cut_there = ([], True) if was_cut else _until_response(node.other)
        kept.append(Node(node.kind, node.text, node.names, node.is_new, node.pipe, body, other))
        if was_cut or was_cut_there:
            return kept, True
    return kept, False


def _data(**values) -> dict:
    return {"Tools": [], "Think": False, "IsThinkSet": False, "ThinkLevel": "", "Suffix": ""} | values


def _message(turn: dict) -> dict:
    empty = {"Thinking": "", "Images": [], "ToolCalls": [], "ToolName": ""}
    return empty | {"Role": turn["role"], "Content": text_of(turn)}
