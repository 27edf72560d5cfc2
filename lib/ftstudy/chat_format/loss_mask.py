"""Rows become token ids and a loss mask: which token of which row is trained.

Training, audit and comparison all get the mask from here; a single example is a batch of one.

The study's rule (`train_on` last or all): replies and the tokens that end their turns, in every row
that has a reply, and no padding.

mlx-lm's rule: a batch is `batch_size` consecutive rows. mlx-lm means to sort the rows by length, but
sorts them by their number of keys; rows left over at the end are in no batch. A row is cut at
`max_seq_length`, then padded with token 0. Of the tokens from the second on, those at positions
offset <= position <= length carry loss: so one token of padding too, if the row has any.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy

from ..errors import StudyError
from .messages import EXTRACTED, messages_for
from .prompts import prompt_ids
from .rendering import Rendering, render
from .replies import earlier_replies, last_replies
from .tokens import encode, end_of_turn_ids

KINDS = ("prompt", "reply", "end_of_turn", "after_end", "padding")
PAD_TO = 32  # mlx-lm pads a batch to a multiple of this, plus one


@dataclass
class LossMask:
    """Which tokens of rendered rows are trained: one entry per row; positions are counted in tokens from 0."""

    rendering: Rendering
    limit: int  # max_seq_length
    lengths: numpy.ndarray  # of the whole conversation, before it is cut
    offsets: numpy.ndarray  # where mlx-lm's mask begins
    starts: numpy.ndarray  # where the reply begins
    ends: numpy.ndarray  # the position of the token that ends the reply's turn; the length if there is none
    agreed: numpy.ndarray  # how many tokens the prompt and the whole conversation share
    batches: numpy.ndarray  # (batches, batch_size): which rows
    widths: numpy.ndarray  # (batches,): tokens of a row with its padding
    train_on: str | None  # last or all under the study's rule; None under mlx-lm's
    earlier: dict[int, list[tuple[int, int]]]  # row -> (start, end) of its earlier replies, if they are trained
    lost: list[int]  # rows with an earlier reply that the whole text no longer contains

    @property
    def kept(self) -> numpy.ndarray:
        """The rows' lengths after the cut."""
        return numpy.minimum(self.lengths, self.limit)

    @property
    def prompt_lengths(self) -> numpy.ndarray:
        return numpy.array(self.rendering.offsets(), dtype=int)

    def rows(self) -> list[tuple[numpy.ndarray, numpy.ndarray]]:
        """Each row as (token ids after the cut, positions of its trained tokens)."""
        return [(ids[: self.limit], self.trained_positions(row)) for row, ids in enumerate(self.rendering.ids)]

    def trained_positions(self, row: int) -> numpy.ndarray:
        """The positions of a row's own tokens that carry loss, in order. The first token never does."""
        kept, (first, last) = int(self.kept[row]), self._spans
        spans = [*self.earlier.get(row, ()), (int(first[row]), int(last[row]))]
        return numpy.concatenate([numpy.arange(max(start, 1), min(end + 1, kept)) for start, end in spans])

    @cached_property
    def _spans(self) -> tuple[numpy.ndarray, numpy.ndarray]:
        return self.trained(self.kept + 1)

    def trained(self, widths) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The first and the last trained position of each row, in a batch of that width: under the study's
        rule those of its last reply, and an empty span where the last message is not a reply."""
        if self.train_on is None:
            return stock_span(self.offsets, self.kept, widths)
        asks = numpy.array([row["messages"][-1]["role"] != "assistant" for row in self.rendering.rows], dtype=bool)
        last = numpy.minimum(self.ends, self.kept - 1)
        return numpy.maximum(self.starts, 1), numpy.where(asks, 0, last)

    def counts(self) -> numpy.ndarray:
        """How many tokens of each of KINDS carry loss: (rows, kinds); zeros for rows in no batch."""
        widths = numpy.zeros(len(self.lengths), dtype=int)
        widths[self.batches] = self.widths[:, None]
        first, last = self.trained(widths)
        kept, end = self.kept, numpy.minimum(self.ends + 1, self.lengths)
        borders = [0 * kept, self.starts, self.ends, end, self.lengths]
        borders = [numpy.minimum(border, kept) for border in borders] + [widths]
        spans = zip(borders, borders[1:])
        counts = numpy.stack(
            [numpy.maximum(numpy.minimum(b, last + 1) - numpy.maximum(a, first), 0) for a, b in spans], axis=1
        )
        for row, replies in self.earlier.items():
            for start, end in replies:
                counts[row, 1] += max(min(end, kept[row]) - start, 0)
                counts[row, 2] += end < kept[row]
        return counts

    def kind(self, row: int, position: int) -> str:
        """Which of KINDS the token at this position of a row is."""
        if position >= self.kept[row]:
            return "padding"
        for start, end in self.earlier.get(row, ()):
            if start <= position <= end:
                return "reply" if position < end else "end_of_turn"
        if position < self.starts[row]:
            return "prompt"
        if position < self.ends[row]:
            return "reply"
        return "end_of_turn" if position == self.ends[row] else "after_end"


def loss_mask(
    rendering: Rendering, tokenizer, *, mask_prompt: bool, batch_size: int, limit: int, train_on: str | None = None
) -> LossMask:
    """The loss mask of rendered rows, under the study's rule with `train_on` last or all, else under mlx-lm's.

    `mask_prompt` and `batch_size` matter under mlx-lm's rule alone; `limit` is `max_seq_length`.
    """
    lengths = numpy.array([len(ids) for ids in rendering.ids], dtype=int)
    starts, ends, agreed = last_replies(rendering, tokenizer)
    earlier, lost = earlier_replies(rendering, tokenizer) if train_on == "all" else ({}, [])
    if train_on is None:
        batches = _batches(rendering.rows, batch_size)
        widths = numpy.minimum(1 + PAD_TO * -(-lengths[batches].max(axis=1) // PAD_TO), limit)
    else:  # the mask does not depend on the batch, so each row is a batch of its own
        batches, widths = numpy.arange(len(lengths))[:, None], numpy.minimum(lengths, limit)
    return LossMask(
        rendering=rendering,
        limit=limit,
        lengths=lengths,
        offsets=numpy.array(rendering.offsets() if mask_prompt else [0] * len(lengths), dtype=int),
        starts=starts,
        ends=ends,
        agreed=agreed,
        batches=batches,
        widths=widths,
        train_on=train_on,
        earlier=earlier,
        lost=lost,
    )


def _batches(rows: list[dict], batch_size: int) -> numpy.ndarray:
    keys = numpy.array([len(row) - (EXTRACTED in row) for row in rows], dtype=int)
    order = numpy.argsort(keys, kind="stable")
    return order[: len(rows) // batch_size * batch_size].reshape(-1, batch_size)


def stock_span(offsets, lengths, widths):
    """mlx-lm's rule: the first and the last trained position of each row in a batch padded to `widths` tokens."""
    return numpy.maximum(offsets, 1), numpy.minimum(lengths, widths - 1)


# --- one example --------------------------------------------------------------------------------


def training_ids(example: dict, tokenizer, profile: dict | None = None) -> tuple[list[int], list[bool]]:
    """Token ids of the whole example and, per token, whether it carries loss under the study's rule.

    The mask covers the reply and its end-of-turn token: not the prompt, and not the line break that
    some templates put after the end of a turn. StudyError if the template refuses the example.
    """
    ((ids, trained),) = _trained(_rendered([example], tokenizer, profile or {"kind": "messages"}), tokenizer)
    return ids.tolist(), numpy.isin(numpy.arange(len(ids)), trained).tolist()


def _trained(rendering: Rendering, tokenizer) -> list[tuple[numpy.ndarray, numpy.ndarray]]:
    """Each row's token ids, and the positions of its reply and the end of its turn."""
    limit = max(map(len, rendering.ids), default=0)
    found = loss_mask(rendering, tokenizer, mask_prompt=False, batch_size=1, limit=limit, train_on="last")
    return found.rows()


def _rendered(examples: list[dict], tokenizer, profile: dict) -> Rendering:
    if profile["kind"] == "messages":
        rows = [example | {"messages": messages_for(example, profile)} for example in examples]
        found = render(list(enumerate(rows, 1)), tokenizer)
        if found.refused:
            raise StudyError(f"The chat template refuses this example ({found.refused[0].partition(': ')[2]}).")
        return found
    # The app writes its own prompt, so the reply and the end of its turn simply follow it.
    prompts = [numpy.array(prompt_ids(example, tokenizer, profile), dtype=numpy.int32) for example in examples]
    replies = encode([example["messages"][-1]["content"] for example in examples], tokenizer)
    end = [tokenizer.eos_token_id]
    wholes = [numpy.concatenate([prompt, reply, end]) for prompt, reply in zip(prompts, replies)]
    return Rendering(list(range(1, len(examples) + 1)), examples, wholes, prompts)


def reply_ids(examples: list[dict], tokenizer) -> list[tuple[list[int], list[int]]]:
    """Each reply's own token ids and those that end its turn, as training renders them. Raises StudyError if the
    template refuses an example."""
    ends, made = end_of_turn_ids(tokenizer), []
    for ids, at in _trained(_rendered(examples, tokenizer, {"kind": "messages"}), tokenizer):
        trained = ids[at].tolist()
        ended = bool(trained) and trained[-1] in ends
        made.append((trained[:-1], trained[-1:]) if ended else (trained, []))
    return made
