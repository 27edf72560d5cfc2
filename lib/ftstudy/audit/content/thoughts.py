"""Thoughts within replies (`<think>…</think>`): does the chat template keep them, and do all replies have some?"""

import re

from ...chat_format import text_of
from ...chat_format.template import Template
from ..evidence import in_rows, quoted
from ..findings import Check, Finding
from ..run_inputs import RunInputs
from .control_tokens import THOUGHTS, blocks_of

THOUGHTS_LOST = Check(
    "data.thoughts",
    ("warning",),
    "Thoughts in replies that the chat template drops or puts after an empty block, or replies without thoughts that "
    "teach an empty block while others have some.",
    cause="The template writes a reply's thoughts in its own way, or not at all: the model doesn't learn what the "
    "rows say.",
    fix="Write thoughts into all rows or none, in the form that the template reads.",
    bad="<think>\\n\\n</think> in half of the replies, and a thought in the others",
    good="a thought in every reply, or in none",
)
CHECKS = (THOUGHTS_LOST,)
TEXTS = {
    "dropped": (
        "whose thoughts the chat template drops",
        "The template takes the block out of the reply, so the model never sees these thoughts.",
        "Use a template that keeps the thoughts of the last reply, or train on rows without thoughts.",
    ),
    "behind": (
        "whose thoughts come after an empty block",
        "The template writes a block of its own before each reply and leaves the row's in the text: the model learns "
        "an empty thought before the real one.",
        "Give the thoughts in the form that the template reads, often `reasoning_content` next to `content`, or use a "
        "model whose template takes the block out of the content.",
    ),
    "empty": (
        "that teach an empty block of thought, where others have thoughts",
        "The template writes an empty block for a reply without thoughts: the model learns to think nothing in this share "
        "of its answers.",
        "Write thoughts into all rows, or leave them out of all; for an app that turns thinking off, train on rows that "
        "do, too.",
    ),
}
SOME = 0.05  # of a split's rows: fewer are exceptions


def check(inputs: RunInputs, chats: dict, tokenizer) -> list[Finding]:
    """Findings on the thoughts of last replies. `chats`: as in the files."""
    pairs = pairs_of(tokenizer)
    if not pairs:
        return []
    template, hits = Template(tokenizer), {kind: [] for kind in TEXTS}
    for name, rows in chats.items():
        thoughts = [_thought(row["messages"][-1], pairs) for _, row in rows]
        if not any(thoughts):
            continue  # whether a template writes empty blocks only matters next to others
        empty = []
        for (number, row), thought in zip(rows, thoughts):
            kind, shown = _problem(row, thought, pairs, template)
            if kind:
                (empty if kind == "empty" else hits[kind]).append((name, number, quoted(shown, 80)))
        if min(sum(map(bool, thoughts)), len(empty)) > SOME * len(rows):
            hits["empty"] += empty
    return [
        finding
        for kind, (title, cause, fix) in TEXTS.items()
        for finding in in_rows(inputs, THOUGHTS_LOST, "warning", hits[kind], title, cause=cause, fix=fix)
    ]


def pairs_of(tokenizer) -> list[tuple[str, str]]:
    """What this model's thoughts begin and end with."""
    return [pair for pair in blocks_of(tokenizer) if pair in THOUGHTS or "think" in pair[0]] if tokenizer else []


def beside(row: dict, tokenizer, template: Template) -> list[dict] | None:
    """The messages with the last reply's thought as `reasoning_content`, if the template puts it behind an empty block
    and writes it as it should be from there; else None."""
    *before, reply = row["messages"]
    pairs, said = pairs_of(tokenizer), text_of(reply).lstrip()
    thought = _thought(reply, pairs)
    if not thought or _problem(row, thought, pairs, template)[0] != "behind":
        return None
    start, end = next((pair for pair in pairs if said.startswith(pair[0])), ("", ""))
    rest = said.removeprefix(start).partition(end)[2] if end else ""
    messages = [*before, reply | {"content": rest.lstrip(), "reasoning_content": thought}]
    text = template.render(messages, row.get("tools"), prompt=False) or ""
    is_right = (
        rest.strip() and thought in text and not _problem(row | {"messages": messages}, thought, pairs, template)[0]
    )
    return messages if is_right else None


def _thought(reply: dict, pairs: list[tuple[str, str]]) -> str:
    """What a reply says in a block that it begins with, or in `reasoning_content`."""
    said = text_of(reply).lstrip()
    for start, end in pairs:
        thought, closed, _ = said.removeprefix(start).partition(end)
        if said.startswith(start) and closed and thought.strip():
            return thought.strip()
    beside = reply.get("reasoning_content")
    return beside.strip() if isinstance(beside, str) else ""


def _problem(row: dict, thought: str, pairs: list[tuple[str, str]], template: Template) -> tuple[str, str]:
    """What the template makes of a last reply, and the text that shows it; "" and "" where it is as it should be."""
    reply = row["messages"][-1]
    text = template.render(row["messages"], row.get("tools"), prompt=False) if reply["role"] == "assistant" else None
    if not text:
        return "", ""
    said, written = text_of(reply), text[_last_turn(template, row, text) :]
    if thought and thought not in written:
        # data.unread_key reports thoughts beside the content.
        return ("dropped", thought) if thought in said else ("", "")
    if thought and any(written.count(start) > max(1, said.count(start)) for start, _ in pairs):
        return "behind", written
    if not thought and any(re.search(rf"{re.escape(start)}\s*{re.escape(end)}", written) for start, end in pairs):
        return "empty", said
    return "", ""


def _last_turn(template: Template, row: dict, text: str) -> int:
    """Where the last turn begins in the rendered text, or 0."""
    before = template.render(row["messages"][:-1], row.get("tools"), prompt=False) if len(row["messages"]) > 1 else ""
    return len(before) if before and text.startswith(before) else 0
