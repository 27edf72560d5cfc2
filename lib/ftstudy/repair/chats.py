"""A draft's rows as the audit reads them, and conversations written back in the form of their rows."""

from ..audit.content import rows_of
from ..audit.run_inputs import RunInputs
from ..chat_format.messages import in_words
from ..chat_format.rows import Split
from ..chat_format.template import Template
from .draft import audited

TEXT = "text"  # the role of a row of plain text
Place = tuple[str, int]
"""(split, line from 1)."""
Changes = dict[Place, list | None]
"""A row's new messages; None leaves the row out."""


def conversations(draft: dict, inputs: RunInputs) -> dict[str, list[tuple[int, dict]]]:
    """Split -> (line, row with `messages`) of the conversations that training takes."""
    made = audited(draft, inputs)
    return rows_of(made, made.tokenizer_or_none)[0]


def by_place(chats: dict[str, list[tuple[int, object]]]) -> dict[Place, object]:
    """The rows, or texts, of all splits."""
    return {(name, line): row for name, rows in chats.items() for line, row in rows}


def worded(chats: dict) -> dict:
    """The conversations with each content as text, as the audit's checks of texts read them."""
    return {name: [(number, in_words(row)) for number, row in rows] for name, rows in chats.items()}


def every(draft: dict, inputs: RunInputs) -> dict[str, list[tuple[int, dict]]]:
    """Split -> (line, row) of all rows that say something, in words; a text is a row with one message by `text`."""
    made = audited(draft, inputs)
    given, texts = rows_of(made, made.tokenizer_or_none)
    chats = worded(given)
    return {name: sorted([*rows, *texts[name]], key=lambda one: one[0]) for name, rows in chats.items()}


def written(draft: dict, inputs: RunInputs, changes: Changes) -> dict:
    """The draft with the changed conversations, each in the form of its file.

    A file of prompts and completions becomes one of messages if a conversation no longer fits it, and so do the other
    files. Texts become messages if all of them change; otherwise the chat template renders the changed ones.
    """
    if not changes:
        return draft
    splits = audited(draft, inputs).splits
    kinds = {name: split.schema for name, split in splits.items()}
    texts = [(name, line) for name, split in splits.items() if kinds[name] == "text" for line in split.numbers]
    as_messages = {"completion"} if any(
        kinds[name] == "completion" and messages and not _is_pair(messages) for (name, _), messages in changes.items()
    ) else set()  # fmt: skip
    if texts and all(_is_chat(changes.get(place, [])) for place in texts):
        as_messages.add("text")
    template = Template(inputs.tokenizer) if texts and "text" not in as_messages and inputs.tokenizer_or_none else None
    rows = dict(draft["rows"])
    for name, split in splits.items():
        rows[name] = []
        for line, row in zip(split.numbers, split.rows):
            messages = changes.get((name, line), ...)
            if messages is None:
                continue
            if messages is ... and kinds[name] in as_messages and (chat := split.conversation(row, kinds[name])):
                messages = chat["messages"]
            rows[name].append(row if messages is ... else _row(row, messages, split, as_messages, template))
    return draft | {"rows": rows}


def _is_chat(messages: list[dict] | None) -> bool:
    return messages is None or bool(messages) and messages[0]["role"] != TEXT


def _is_pair(messages: list[dict]) -> bool:
    return [message.get("role") for message in messages] == ["user", "assistant"] and all(
        isinstance(message.get("content"), str) and len(message) == 2 for message in messages
    )


def _row(row: dict, messages: list[dict], split: Split, as_messages: set[str], template: Template | None) -> dict:
    kind, features = split.schema, split.features
    if kind == "completion" and kind not in as_messages:
        return row | {features["prompt"]: messages[0]["content"], features["completion"]: messages[1]["content"]}
    if messages[0]["role"] == TEXT:
        return row | {features["text"]: messages[0]["content"]}
    if kind == "text" and kind not in as_messages:
        text = template and template.render(messages, row.get("tools"), prompt=False)
        # mlx-lm puts the start token in front of every text.
        return row | {features["text"]: template.without_bos(text)[1]} if text else row
    return as_chat(row, messages, split)


def as_chat(row: dict, messages: list[dict], split: Split) -> dict:
    """The row with its conversation as messages, and nothing of its former form."""
    gone = {split.features["prompt"], split.features["completion"], split.features["text"], "messages"}
    return {key: value for key, value in row.items() if key not in gone} | {split.features["chat"]: messages}
