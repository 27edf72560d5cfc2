"""Repairs of rows: each takes out of them what one of the audit's checks finds, and nothing else."""

from dataclasses import replace

from ..audit.content import sameness
from ..audit.loss import text_rows
from ..wording import count
from . import characters, contents, markup, printed, readable, speakers, system_texts, turns
from .chats import TEXT, audited, every, written
from .kinds import Repair


def without_copies(draft: dict, inputs) -> tuple[dict, list[str]]:
    """Of rows that occur more often in a file than small talk explains, the first one."""
    changes = {}
    for name, rows in every(draft, inputs).items():
        copies, many = sameness.copies_of(rows)
        if many:
            changes |= {(name, number): None for number, *_ in copies}
    notes = [f"{count(len(changes), 'row')} left out that repeat an earlier row word for word"] if changes else []
    return written(draft, inputs, changes), notes


def with_one_start(draft: dict, inputs) -> tuple[dict, list[str]]:
    """Texts without the start token that mlx-lm puts in front of them."""
    made, changes = audited(draft, inputs), {}
    if (tokenizer := made.tokenizer_or_none) is None:
        return draft, []
    for name, line, text in text_rows.doubled(made, [name for name in made.splits if made.texts(name)]):
        while text.startswith(tokenizer.bos_token):
            text = text.removeprefix(tokenizer.bos_token)
        if text.strip():
            changes[name, line] = [{"role": TEXT, "content": text}]
    notes = [f"The start token was cut from {count(len(changes), 'text')}"] if changes else []
    return written(draft, inputs, changes), notes


def _repair(name: str, fault: str, apply, *checks: str, aborts: bool = False) -> Repair:
    return Repair(name, "rows", fault, _with_rows_left(apply), checks or (name,), aborts)


def _with_rows_left(apply):
    """The repair, unless it would leave nothing to train on; a split without rows is removed."""

    def applied(draft: dict, inputs) -> tuple[dict, list[str]]:
        made, notes = apply(draft, inputs)
        rows = {name: found for name, found in made["rows"].items() if found or not draft["rows"][name]}
        if draft["rows"].get("train") and "train" not in rows:
            return draft, []
        if rows != draft["rows"]:
            made = made | {"rows_changed": True}
        gone = [f"{name}.jsonl has no rows left, so it is gone" for name in made["rows"] if name not in rows]
        return (made | {"rows": rows}, [*notes, *gone]) if gone else (made, notes)

    return applied


REPAIRS = (
    _repair("printed_messages", "printed lists of messages", printed.as_messages, "data.printed_messages"),
    _repair(
        "rows_refused",
        "rows that mlx-lm can't take",
        readable.readable,
        "data.bad_messages",
        "data.mixed_schemas",
        "loss.template_refuses",
        aborts=True,
    ),
    _repair("data.unread_key", "keys that nothing reads", readable.with_all_keys),
    _repair(
        "content_not_written",
        "contents that the template doesn't write",
        contents.as_the_template_takes_them,
        "data.content_form",
        "data.tool_calls",
        "data.thoughts",
    ),
    _repair("templated_content", "markup in texts", markup.as_turns, "data.templated", "data.control_tokens"),
    _repair("prompt: BOS", "the second start token", with_one_start, "loss.doubled_start"),
    _repair("data.odd_characters", "odd characters", characters.as_meant),
    _repair("nothing_trained", "rows without a reply", turns.ending_with_reply, "data.last_role"),
    _repair("data.roles", "roles out of turn", turns.in_turn),
    _repair("speaker_tags", "speakers' names", speakers.untagged, "data.speaker_tag"),
    _repair("empty_turns", "empty turns", turns.without_empty, "data.empty_reply", "data.empty_user"),
    _repair(
        "system_texts",
        "different system texts",
        system_texts.as_in_training,
        "data.system_prompts",
        "data.system_differs",
    ),
    _repair("same_rows", "copies", without_copies, "data.duplicates"),
)
"""In the order in which they run."""


def _again(repair: Repair) -> Repair:
    """The repair for once others have changed rows: without what they took out, it may find something that was hidden."""

    def applied(draft: dict, inputs) -> tuple[dict, list[str]]:
        return repair.apply(draft, inputs) if draft.get("rows_changed") else (draft, [])

    return replace(repair, apply=applied)


AGAIN = tuple(map(_again, REPAIRS))
"""After `REPAIRS`."""
