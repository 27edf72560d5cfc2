"""What an audit reads, each thing once: the config, the data, the tokenizer and the app's profile."""

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from .. import chat_format, configs
from ..chat_format.loss_mask import LossMask, loss_mask
from ..chat_format.rendering import Rendering, render
from ..errors import StudyError
from ..extract import variant_folder
from ..extract.variant_folder import SPLITS, origin_of
from ..models import base_models
from ..paths import absolute, shown

# mlx-lm's row schemas and the keys each needs; a config may rename a key.
FEATURES = {"prompt": "prompt", "completion": "completion", "chat": "messages", "text": "text"}
SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass
class Split:
    """One of train.jsonl, valid.jsonl and test.jsonl, line by line."""

    name: str
    path: Path
    lines: int  # in the file
    rows: list = field(default_factory=list)  # the values of the lines that are JSON …
    numbers: list[int] = field(default_factory=list)  # … and their line numbers, from 1
    blank: list[int] = field(default_factory=list)  # line numbers
    broken: list[str] = field(default_factory=list)  # "line 3: why", for lines that are not JSON
    features: dict[str, str] = field(default_factory=FEATURES.copy)

    @property
    def where(self) -> str:
        return shown(self.path)

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

        Each is a dict with a non-empty list of messages; every role and content is a string. As in mlx-lm, a prompt
        and its completion become a user message and an assistant message.
        """
        schema = self.schema
        for number, row in zip(self.numbers, self.rows):
            if (chat := self._chat(row, schema)) is not None:
                yield number, chat

    def _chat(self, row, schema: str | None) -> dict | None:
        if not isinstance(row, dict):
            return None
        if schema == "completion":
            pair = (("user", row.get(self.features["prompt"])), ("assistant", row.get(self.features["completion"])))
            messages = [{"role": role, "content": content} for role, content in pair]
        else:
            messages = row.get(self.features["chat"]) if schema == "chat" else None
        if not is_conversation(messages):
            return None
        return row if row.get("messages") is messages else row | {"messages": messages}


@dataclass
class RunInputs:
    config: dict  # as mlx-lm uses it: its defaults under the file's keys
    given: dict  # the file's own keys
    folder: Path  # the data
    splits: dict[str, Split]  # of the files that exist
    profile: dict | None  # how the app asks, if that is known
    owner: str

    @cached_property
    def model(self) -> Path | None:
        """The base model's folder, or None if it is missing."""
        try:
            return base_models.resolve(self.config["model"])
        except StudyError:
            return None

    @cached_property
    def tokenizer(self):
        """The tokenizer, as mlx-lm loads it. Raises StudyError if the model or its tokenizer is missing."""
        return base_models.load_tokenizer(self.config["model"])

    @property
    def where(self) -> str:
        return self.config["config"]

    def rendering(self, name: str) -> Rendering:
        """The conversations of a split as the trainer renders them, rendered once."""
        if name not in self._renderings:
            self._renderings[name] = render(list(self._chats(name)), self.tokenizer)
        return self._renderings[name]

    def loss_mask(self, name: str) -> LossMask | None:
        """The split as the run would train on it; None if it has no rows or the settings are not usable."""
        batch_size, limit = (self.config.get(key) for key in ("batch_size", "max_seq_length"))
        usable = all(type(value) is int and value > 0 for value in (batch_size, limit))
        rendering, block = self.rendering(name), configs.study(self.config)
        if not usable or not rendering.ids:
            return None
        return loss_mask(
            rendering,
            self.tokenizer,
            mask_prompt=bool(self.config.get("mask_prompt")),
            batch_size=batch_size,
            limit=limit,
            train_on=block and ("all" if block["train_on"] == "all" else "last"),
        )

    def _chats(self, name: str) -> Iterator[tuple[int, dict]]:
        """A split's conversations; if a profile is to be compared, with what the extraction recorded of them."""
        blank = self.splits[name].blank
        known = variant_folder.extracted(self.folder, name) if self.profile else {}
        for line, row in self.splits[name].chats():
            yield line, variant_folder.with_extracted(row, known.get(line - 1 - bisect_left(blank, line)))

    @cached_property
    def _renderings(self) -> dict:
        return {}


def read(config, data_folder=None, model=None, inference=None, owner=None, adapter=None) -> RunInputs:
    """Read what is audited. Raises StudyError if the config cannot be read or the profile doesn't exist."""
    loaded = configs.load(config, data=data_folder, model=model, adapter=adapter)
    folder = absolute(loaded["data"])
    named = owner or origin_of(folder).get("owner", "the owner")
    return RunInputs(
        config=loaded,
        given=configs.given(config),
        folder=folder,
        splits={name: read_split(folder, name, loaded) for name in SPLITS if (folder / f"{name}.jsonl").is_file()},
        profile=None if inference is None else chat_format.load_profile(inference, named),
        owner=named,
    )


def read_split(folder: Path, name: str, config: dict | None = None) -> Split:
    """Every line of one file, split and decoded as mlx-lm does. Never raises, whatever the bytes are."""
    named = {kind: (config or {}).get(f"{kind}_feature") for kind in FEATURES}
    features = FEATURES | {kind: key for kind, key in named.items() if isinstance(key, str)}
    split = Split(name, folder / f"{name}.jsonl", lines=0, features=features)
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
    return (
        isinstance(messages, list)
        and bool(messages)
        and all(
            isinstance(message, dict) and is_text(message.get("role")) and is_text(message.get("content"))
            for message in messages
        )
    )


def is_text(value) -> bool:
    """True for strings without lone surrogates, which tokenizers reject."""
    return isinstance(value, str) and (value.isascii() or not SURROGATES.search(value))
