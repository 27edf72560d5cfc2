"""Keys of rows that somebody wrote for the model, and that nothing reads."""

import json
from collections import Counter

from ...chat_format.conversions import MEANT, converted, form_of
from ...chat_format.messages import calls_of
from ...chat_format.rows import FEATURES, Split
from ...chat_format.template import Template
from ...paths import shown
from ..evidence import counted, listed, quoted
from ..findings import Check, Finding
from . import other_files

UNREAD_KEY = Check(
    "data.unread_key",
    ("warning",),
    "A key of a row, or of its messages, that neither mlx-lm nor the chat template reads: a `system` beside the messages, "
    "an `instruction` beside a prompt, `reasoning_content`, `weight`, `tools`.",
    cause="mlx-lm reads only {read} of a row, and the chat template only what it names. The model never sees the rest.",
    fix="Put the text where it is read: into a message of its own, or into the user's turn.",
    bad='{"system": "You are Sam.", "messages": [{"role": "user", "content": "hey"}, …]}',
    good='{"messages": [{"role": "system", "content": "You are Sam."}, {"role": "user", "content": "hey"}, …]}',
)
CHECKS = (UNREAD_KEY,)
KEYS = {"chat": ("chat",), "completion": ("prompt", "completion"), "text": ("text",)}
IN_MESSAGES = (
    "reasoning_content",
    "reasoning",
    "thinking",
    "thought",
    "function_call",
    "name",
    "weight",
    "images",
    "image",
)
SOME = 0.05  # of a file's rows
SAMPLE = 50  # rows with a key that the template is asked about


def _folder(split: Split) -> str:
    """The folder to convert; of Parquet files, the one in which they are to be saved as JSON lines."""
    return "FOLDER" if split.is_parquet else shown(split.path.parent)


def conversion(split: Split, rows: list) -> tuple[str, str] | None:
    """What rows that mlx-lm can't read are, and the fix; None unless they are in the form of another trainer."""
    forms = {form_of(row) for row in rows if converted(row)}
    if len(forms) != 1 or None in forms or len(rows) < SOME * len(split.rows):
        return None
    renamed = any(split.features[key] != default for key, default in FEATURES.items())
    more = " Take the `…_feature` keys out of the config." if renamed else ""
    how = (
        "Save them as train.jsonl and test.jsonl in a folder, and convert them" if split.is_parquet else "Convert them"
    )
    return forms.pop(), f"{how}: {other_files.convert(_folder(split))}.{more}"


def check(splits: dict[str, Split], tokenizer, where: str) -> list[Finding]:
    """The finding on keys that nothing reads, in all files together; the template is asked with a `tokenizer`."""
    counts, examples, read = Counter(), {}, ""
    for split in splits.values():
        if split.schema not in KEYS:
            continue
        known = [split.features[key] for key in KEYS[split.schema]]
        read = " and ".join(f"`{key}`" for key in [*known, *["tools"] * (split.schema != "text")])
        found, template = Counter(), Template(tokenizer) if tokenizer else None
        for number, row in zip(split.numbers, split.rows):
            for key, value in _unread(row, split, known, template, found):
                found[key] += 1
                examples.setdefault(key, f"{split.name}.jsonl line {number}: {quoted(_shown(value), 80)}")
        counts.update({key: times for key, times in found.items() if times >= SOME * len(split.rows)})
    if not counts:
        return []
    names = ", ".join(f"`{key}` ({counted(times, 'row')})" for key, times in counts.most_common())
    first = next(iter(splits.values()))
    able = first.schema != "text" and all(converted(row) for row in first.rows[:SAMPLE])
    moved = any(key in MEANT and key != "tools" for key in counts)
    fix = (
        f"Write the rows as messages that contain it: `{other_files.command(_folder(first))}`."
        if able and moved
        else None
    )
    lines = [f"{key}: {examples[key]}" for key, _ in counts.most_common()]
    title = f"Nothing reads {names}"
    return [UNREAD_KEY.found("warning", title, evidence=listed(lines), where=where, fix=fix, read=read)]


def _unread(row, split: Split, known: list[str], template: Template | None, found: Counter):
    """(key, value) of what a row says where nothing reads it."""
    if not isinstance(row, dict):
        return
    for key in MEANT:
        if key not in known and row.get(key) and (key != "tools" or split.schema == "text"):
            yield key, row[key]
    chat = split.conversation(row, split.schema) if template else None
    messages = chat and chat["messages"]
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return
    tools = row.get("tools") if split.schema != "text" else None
    # Where the template leaves out the calls as well, data.tool_calls says so.
    if tools and not any(calls_of(message) for message in messages):
        if _same(template, messages, tools, messages, None, found, "tools"):
            yield "tools", tools
    for key in IN_MESSAGES:
        value = next((message[key] for message in messages if message.get(key) not in (None, "", [], 1)), None)
        if value is not None:
            without = [{name: one for name, one in message.items() if name != key} for message in messages]
            if _same(template, messages, row.get("tools"), without, row.get("tools"), found, f"messages[].{key}"):
                yield f"messages[].{key}", value


def _same(template: Template, messages, tools, others, other_tools, found: Counter, key: str) -> bool:
    """Whether the template writes the same for both; the first rows decide for the others."""
    if found[key] >= SAMPLE:
        return True
    text = template.render(messages, tools, prompt=False)
    return text is not None and text == template.render(others, other_tools, prompt=False)


def _shown(value) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
