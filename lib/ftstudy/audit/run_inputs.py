"""What an audit reads, each thing once: the config, the data, the tokenizer and the app's profile."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy

from .. import chat_format, configs
from ..chat_format.loss_mask import LossMask, loss_mask
from ..chat_format.prompts import is_text
from ..chat_format.read_back import with_messages
from ..chat_format.rendering import Rendering, render
from ..chat_format.rows import Split, is_conversation, read_split
from ..chat_format.tokens import text_ids
from ..errors import StudyError
from ..extract import variant_folder
from ..extract.variant_folder import SPLITS, origin_of
from ..machine_failures import pass_on
from ..models import base_models, loadable
from ..paths import absolute
from . import hub_data


@dataclass
class RunInputs:
    config: dict  # as mlx-lm uses it: its defaults under the file's keys
    given: dict  # the file's own keys
    folder: Path  # the data
    splits: dict[str, Split]  # of the files that exist
    profile: dict | None  # how the app asks, if that is known
    owner: str
    hub: str | None = None  # the dataset on a hub that `data:` names

    @cached_property
    def model(self) -> Path | None:
        """The base model's folder, or None if it is missing."""
        try:
            return base_models.resolve(self.config["model"])
        except StudyError:
            return None

    @cached_property
    def problem(self) -> loadable.Problem | None:
        """Why mlx-lm can't load the base model; None if it can, or if there is none."""
        return self.model and loadable.problem(self.model)

    @cached_property
    def tokenizer(self):
        """The tokenizer, as mlx-lm loads it. Raises StudyError if the model or its tokenizer is missing."""
        return base_models.load_tokenizer(self.config["model"])

    @property
    def tokenizer_or_none(self):
        """The tokenizer, or None if it is missing, which the base model's checks report."""
        try:
            return self.tokenizer
        except StudyError:
            return None

    @cached_property
    def is_extracted(self) -> bool:
        """Whether this study's extraction wrote the rows."""
        return bool(origin_of(self.folder)) or (self.folder / "meta.jsonl").is_file()

    @property
    def has_template(self) -> bool:
        """Whether the tokenizer has a chat template, without which no conversation can be rendered. Raises as `tokenizer`
        does."""
        return getattr(self.tokenizer, "has_chat_template", True)

    @property
    def where(self) -> str:
        return self.config["config"]

    def rendering(self, name: str) -> Rendering:
        """The conversations of a split as the trainer renders them, rendered once."""
        if name not in self._renderings:
            self._renderings[name] = render(list(self._chats(name)), self.tokenizer)
        return self._renderings[name]

    def conversations(self, name: str) -> Rendering:
        """As `rendering`, but rows of text that the chat template wrote are taken apart into their messages first."""
        split, key = self.splits[name], f"{name} as conversations"
        if split.schema != "text":
            return self.rendering(name)
        if key not in self._renderings:
            rows = with_messages(split.rows, self.tokenizer, self.config)
            chats = [
                (line, row)
                for line, row in zip(split.numbers, rows)
                if isinstance(row, dict) and is_conversation(row.get("messages"))
            ]
            self._renderings[key] = render(chats, self.tokenizer)
        return self._renderings[key]

    def texts(self, name: str) -> list[tuple[int, str]]:
        """(line number, text) of the rows of plain text in a split; none if it has another schema."""
        split = self.splits[name]
        if split.schema != "text":
            return []
        key = split.features["text"]
        given = [(line, row.get(key)) for line, row in zip(split.numbers, split.rows) if isinstance(row, dict)]
        return [(line, text) for line, text in given if is_text(text) and text]

    def text_ids(self, name: str) -> list[numpy.ndarray]:
        """The token ids of `texts` as mlx-lm trains on them."""
        key = f"{name} as text"
        if key not in self._renderings:
            self._renderings[key] = text_ids([text for _, text in self.texts(name)], self.tokenizer)
        return self._renderings[key]

    def replies(self, count: int) -> tuple[list[dict], list[tuple[str, int]]]:
        """The first `count` conversations that end with a reply, and their (split, row): of test, or else of valid or
        train. If an app's prompts were recorded, those of the recorded rows; none if the app gives no prompt."""
        recorded = self.profile["rows"] if self.profile and self.profile["kind"] == "captured" else None
        for name in ("test", "valid", "train"):
            found = [
                (row, (name, at))
                for at, row in self._conversations(name)
                if chat_format.ends_with_reply(row) and (recorded is None or (name, at) in recorded)
            ]
            if found and self._gives_prompts(*found[0]):
                return tuple(map(list, zip(*found[:count])))
        return [], []

    def _gives_prompts(self, row: dict, place: tuple[str, int]) -> bool:
        try:
            return self.profile is None or bool(chat_format.prompt_ids(row, self.tokenizer, self.profile, place))
        except Exception as error:  # the app's own, or the template's; `parity` reports it
            pass_on(error)
            return False

    def _conversations(self, name: str) -> Iterator[tuple[int, dict]]:
        """The rows of a split as conversations, and their places among its lines that are not blank, from 0."""
        split = self.splits.get(name)
        if split is None:
            return
        known, rows = variant_folder.extracted(self.folder, name), split.rows
        if split.schema == "text":
            rows = with_messages(rows, self.tokenizer, self.config)
        for line, row in zip(split.numbers, rows):
            at = line - 1 - bisect_left(split.blank, line)
            yield at, variant_folder.with_extracted(split.conversation(row, split.schema) or row, known.get(at))

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
    def measured(self) -> dict:
        """What checks leave for `held`: what they looked at, and how much of it was right."""
        return {}

    @cached_property
    def _renderings(self) -> dict:
        return {}


def read(config, data_folder=None, model=None, inference=None, owner=None, adapter=None) -> RunInputs:
    """Read what is audited. Raises StudyError if the config cannot be read or the profile doesn't exist."""
    loaded = configs.load(config, data=data_folder, model=model, adapter=adapter)
    folder = absolute(loaded["data"])
    named = owner or origin_of(folder).get("owner", "the owner")
    hub = hub_data.named(loaded)
    if hub:
        splits = hub_data.read(hub, loaded)
    else:
        splits = {name: read_split(folder, name, loaded) for name in SPLITS if (folder / f"{name}.jsonl").is_file()}
    return RunInputs(
        config=loaded,
        given=configs.given(config),
        folder=splits["train"].path.parent if hub and "train" in splits else folder,
        splits=splits,
        hub=hub,
        profile=chat_format.load_profile(inference, named) if inference else None,
        owner=named,
    )
