"""mlx-lm's batches and loss mask, replayed: which token of which row is trained.

A batch is `batch_size` consecutive rows. mlx-lm sorts them first, meaning to sort by length, but
it counts a row's keys; what is left over at the end is in no batch. A row is cut at
`max_seq_length`, then padded with token 0. Of its targets, the tokens from the second on, those
carry loss whose position p has offset <= p <= length: so one padding token too, where there is one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy

from ... import chat_format
from ..evidence import listed
from ..rendering import Rendering, encode

KINDS = ("prompt", "reply", "end_of_turn", "after_end", "padding")
PAD_TO = 32  # batches are padded to a multiple of it, and one more


@dataclass
class Replay:
    """Parallel to a rendering: one entry a row, positions counted in tokens."""

    rendering: Rendering
    limit: int  # max_seq_length
    lengths: numpy.ndarray  # of the whole conversation, before it is cut
    offsets: numpy.ndarray  # where mlx-lm's mask begins
    starts: numpy.ndarray  # where the reply begins
    ends: numpy.ndarray  # where the token that ends the reply's turn stands; the length, if nowhere
    agreed: numpy.ndarray  # how far the prompt is the beginning of the whole
    batches: numpy.ndarray  # (batches, batch_size): which rows
    widths: numpy.ndarray  # (batches,): tokens of a row with its padding

    @property
    def kept(self) -> numpy.ndarray:
        """The rows' lengths once they are cut."""
        return numpy.minimum(self.lengths, self.limit)

    @property
    def prompt_lengths(self) -> numpy.ndarray:
        return numpy.array(self.rendering.offsets(), dtype=int)

    def trained(self, widths) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The first and the last trained position of each row, in a batch of that width."""
        return numpy.maximum(self.offsets, 1), numpy.minimum(self.kept, widths - 1)

    def counts(self) -> numpy.ndarray:
        """How many tokens of each kind carry loss: (rows, kinds); zeros for rows in no batch."""
        widths = numpy.zeros(len(self.lengths), dtype=int)
        widths[self.batches] = self.widths[:, None]
        first, last = self.trained(widths)
        kept, end = self.kept, numpy.minimum(self.ends + 1, self.lengths)
        borders = [0 * kept, self.starts, self.ends, end, self.lengths]
        borders = [numpy.minimum(border, kept) for border in borders] + [widths]
        spans = zip(borders, borders[1:])
        return numpy.stack(
            [numpy.maximum(numpy.minimum(b, last + 1) - numpy.maximum(a, first), 0) for a, b in spans], axis=1
        )

    def kind(self, row: int, position: int) -> str:
        """Which of KINDS a position of a row is."""
        if position >= self.kept[row]:
            return "padding"
        if position < self.starts[row]:
            return "prompt"
        if position < self.ends[row]:
            return "reply"
        return "end_of_turn" if position == self.ends[row] else "after_end"


def replay(rendering: Rendering, tokenizer, *, mask_prompt: bool, batch_size: int, limit: int) -> Replay:
    """What mlx-lm would train on, of the rows that the template takes."""
    lengths = numpy.array([len(ids) for ids in rendering.ids], dtype=int)
    starts, ends, agreed = _borders(rendering, tokenizer)
    batches = _batches(rendering.rows, batch_size)
    longest = lengths[batches].max(axis=1)
    return Replay(
        rendering=rendering,
        limit=limit,
        lengths=lengths,
        offsets=numpy.array(rendering.offsets() if mask_prompt else [0] * len(lengths), dtype=int),
        starts=starts,
        ends=ends,
        agreed=agreed,
        batches=batches,
        widths=numpy.minimum(1 + PAD_TO * -(-longest // PAD_TO), limit),
    )


def _batches(rows: list[dict], batch_size: int) -> numpy.ndarray:
    keys = numpy.array([len(row) for row in rows], dtype=int)
    order = numpy.argsort(keys, kind="stable")
    return order[: len(rows) // batch_size * batch_size].reshape(-1, batch_size)


def _borders(rendering: Rendering, tokenizer) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Per row: where the reply begins, where the token ending its turn stands, and how many
    tokens the prompt and the whole share."""
    stops = chat_format.end_of_turn_ids(tokenizer)
    starts, ends, agreed, apart = [], [], [], []
    for row, (ids, prompt) in enumerate(zip(rendering.ids, rendering.prompts)):
        same = len(prompt)
        if len(ids) < same or not numpy.array_equal(ids[:same], prompt):
            same = chat_format.common_prefix(ids.tolist(), prompt.tolist())
            apart.append(row)
        tail = ids[same:].tolist()
        end = next((at for at in reversed(range(len(tail))) if tail[at] in stops), len(tail))
        starts.append(same)
        ends.append(same + end)
        agreed.append(same)
    # Where they part early, the reply begins later than they part: look for its own tokens.
    contents = [rendering.rows[row]["messages"][-1]["content"].strip() for row in apart]
    for row, own in zip(apart, encode(contents, tokenizer)):
        start = ends[row] - len(own)
        if len(own) and start > starts[row] and numpy.array_equal(rendering.ids[row][start : ends[row]], own):
            starts[row] = start
    return tuple(numpy.array(values, dtype=int) for values in (starts, ends, agreed))


def row_lines(found: Replay, rows: numpy.ndarray, describe: Callable[[int], str]) -> list[str]:
    """Evidence on rows: the first few described, the others only counted."""
    told = [f"line {found.rendering.numbers[row]}: {describe(row)}" for row in rows[:5].tolist()]
    return listed(told + [""] * (len(rows) - len(told)))
