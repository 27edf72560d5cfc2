"""Thoughts within replies (`<think>…</think>`): does the chat template keep them, and do all replies have some?"""

import re

from ...chat_format.template import Template
from ..evidence import in_rows, quoted
from ..findings import Check, Finding
from ..run_inputs import RunInputs
from .control_tokens import THOUGHTS, blocks_of

THOUGHTS_LOST = Check(
    "data.thoughts",
    ("warning",),
    "Thoughts in replies that the chat template drops or puts behind an empty block, or replies without thoughts that "
    "teach an empty block while others have some.",
    cause="The template writes the thoughts of a reply in its own way, or none: the model learns something else than the "
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
        "The template writes a block of its own before each reply and leaves the row's in the text: the model learns to "
        "think nothing first, and then again.",
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
    pairs = [pair for pair in blocks_of(tokenizer) if pair in THOUGHTS or "think" in pair[0]] if tokenizer else []
    if not pairs:
        return []
    template, hits = Template(tokenizer), {kind: [] for kind in TEXTS}
    for name, rows in chats.items():
        thinking, empty = 0, []
        for number, row in rows:
            reply = row["messages"][-1]
            said = reply.get("content") if isinstance(reply.get("content"), str) else ""
            start, end, thought = next((found for pair in pairs if (found := _thought(said, *pair))), (*pairs[0], ""))
            thinking += bool(thought)
            text = (
                template.render(row["messages"], row.get("tools"), prompt=False) if reply["role"] == "assistant" else ""
            )
            if not text:
                continue
            written = text[_last_turn(template, row, text) :]
            if thought and thought not in written:
                hits["dropped"].append((name, number, quoted(thought, 80)))
            elif thought and written.count(start) > said.count(start):
                hits["behind"].append((name, number, quoted(written, 80)))
            elif not thought and re.search(rf"{re.escape(start)}\s*{re.escape(end)}", written):
                empty.append((name, number, quoted(said, 80)))
        if min(thinking, len(empty)) > SOME * len(rows):
            hits["empty"] += empty
    return [
        finding
        for kind, (title, cause, fix) in TEXTS.items()
        for finding in in_rows(inputs, THOUGHTS_LOST, "warning", hits[kind], title, cause=cause, fix=fix)
    ]


def _thought(said: str, start: str, end: str) -> tuple[str, str, str] | None:
    before, found, rest = said.partition(start)
    thought, closed, _ = rest.partition(end)
    return (start, end, thought.strip()) if found and closed and thought.strip() and not before.strip() else None


def _last_turn(template: Template, row: dict, text: str) -> int:
    """Where the last turn begins in the rendered text, or 0."""
    before = template.render(row["messages"][:-1], row.get("tools"), prompt=False) if len(row["messages"]) > 1 else ""
    return len(before) if before and text.startswith(before) else 0
