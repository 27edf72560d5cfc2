"""train.jsonl, valid.jsonl and test.jsonl, line by line, as mlx-lm reads them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..paths import shown
from .prompts import is_text

# mlx-lm's row schemas and the keys each needs; a config may rename a key.
FEATURES = {"prompt": "prompt", "completion": "completion", "chat": "messages", "text": "text"}
PARQUET = ".parquet"


@dataclass
class Split:
    """One of train.jsonl, valid.jsonl and test.jsonl, line by line; or the rows of Parquet files, counted as lines."""

    name: str
    path: Path
    lines: int  # in the file
    rows: list = field(default_factory=list)  # the values of the lines that are JSON …
    numbers: list[int] = field(default_factory=list)  # … and their line numbers, from 1
    blank: list[int] = field(default_factory=list)  # line numbers
    broken: list[str] = field(
        default_factory=list
    )  # "line 3: why", for lines that are not JSON; of Parquet "file: why"
    features: dict[str, str] = field(default_factory=FEATURES.copy)
    unread: int = 0  # rows of large Parquet files after those that were read

    @property
    def where(self) -> str:
        return shown(self.path)

    @property
    def is_parquet(self) -> bool:
        return self.path.suffix.lower() == PARQUET

    @property
    def schema(self) -> str | None:
        """How mlx-lm reads the whole file, decided by its first row: "completion", "chat" or "text"."""
        return self.schema_of(self.rows[0]) if self.rows else None

    def schema_of(self, row) -> str | None:
        if not isinstance(row, dict):
            return None
        if self.features["prompt"] in row and self.features["completion"] in row:
            return "completion"
        return next((kind for kind in ("chat", "text") if self.features[kind] in row), None)

    def chats(self) -> Iterator[tuple[int, dict]]:
        """(line number, conversation) of the rows that mlx-lm trains on as conversations.

        Each is a dict with a non-empty list of messages; every role is a string. A content may also be a list of
        parts or missing, as next to a tool call: `messages.in_words` makes texts of them. As in mlx-lm, a prompt and
        its completion become a user message and an assistant message.
        """
        schema = self.schema
        for number, row in zip(self.numbers, self.rows):
            chat = self.conversation(row, schema)
            if chat and is_conversation(chat["messages"]):
                yield number, chat

    def conversation(self, row, schema: str | None) -> dict | None:
        """A row as `messages`, whatever they contain; None if this schema has no messages for it."""
        if not isinstance(row, dict) or schema not in ("completion", "chat"):
            return None
        if schema == "completion":
            if not all(self.features[key] in row for key in ("prompt", "completion")):
                return None
            pair = (("user", row[self.features["prompt"]]), ("assistant", row[self.features["completion"]]))
            messages = [{"role": role, "content": content} for role, content in pair]
        else:
            messages = row.get(self.features["chat"])
            if messages is None:
                return None
        return row if row.get("messages") is messages else row | {"messages": messages}


def features_of(config: dict | None) -> dict[str, str]:
    """The keys of the row schemas, as a config renames them."""
    named = {kind: (config or {}).get(f"{kind}_feature") for kind in FEATURES}
    return FEATURES | {kind: key for kind, key in named.items() if isinstance(key, str)}


def read_split(folder: Path, name: str, config: dict | None = None, path: Path | None = None) -> Split:
    """Every line of one file, split and decoded as mlx-lm does. Never raises, whatever the bytes are.

    `path`: the file, if its name isn't the split's.
    """
    split = Split(name, path or folder / f"{name}.jsonl", lines=0, features=features_of(config))
    # Like mlx-lm: the platform's encoding and all three line endings. Undecodable bytes become surrogates.
    with split.path.open(errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            split.lines = number
            if not line.strip():
                split.blank.append(number)
            elif not is_text(line):
                split.broken.append(f"line {number}: bytes that are not {file.encoding}")
            else:
                try:
                    split.rows.append(json.loads(line))
                    split.numbers.append(number)
                except (ValueError, RecursionError) as error:
                    split.broken.append(f"line {number}: {error}")
    return split


def is_conversation(messages) -> bool:
    """Whether these are messages that a chat template may take: each has a role, and text that can be encoded."""
    return isinstance(messages, list) and bool(messages) and all(map(_is_message, messages))


def has_texts(messages: list[dict]) -> bool:
    """Whether every content is a text, not a list of parts or missing."""
    return all(isinstance(message.get("content"), str) for message in messages)


def _is_message(message) -> bool:
    if not isinstance(message, dict) or not is_text(message.get("role")):
        return False
    if isinstance(message.get("content"), str) and len(message) == 2:
        return is_text(message["content"])
    return is_text(json.dumps(message, ensure_ascii=False))
