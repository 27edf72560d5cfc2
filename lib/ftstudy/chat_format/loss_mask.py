"""The trainer's batches and loss mask, replayed: which token of which row is trained.

mlx-lm's own: a batch is `batch_size` consecutive rows. mlx-lm sorts them first, meaning to sort by length, but
it counts a row's keys; what is left over at the end is in no batch. A row is cut at
`max_seq_length`, then padded with token 0. Of its targets, the tokens from the second on, those
carry loss whose position p has offset <= p <= length: so one padding token too, where there is one.

The study's (`ftstudy:` in the config): replies and the tokens that end their turns, of every row that
has one, and no padding.
"""

from dataclasses import dataclass
from functools import cached_property, partial

import numpy

from ..errors import StudyError
from .messages import messages_for
from .prompts import prompt_ids
from .rendering import Rendering, render
from .tokens import common_prefix, encode, end_of_turn_ids, template_ids

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
    train_on: str | None  # last or all, for the study's trainer; None for mlx-lm's
    earlier: dict[int, list[tuple[int, int]]]  # row -> (start, end) of the replies before the last, where trained
    lost: list[int]  # rows of whose earlier replies one cannot be found in the whole text

    @property
    def kept(self) -> numpy.ndarray:
        """The rows' lengths once they are cut."""
        return numpy.minimum(self.lengths, self.limit)

    @property
    def prompt_lengths(self) -> numpy.ndarray:
        return numpy.array(self.rendering.offsets(), dtype=int)

    def trained(self, widths) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The first and the last trained position of each row, in a batch of that width; of its last message
        alone, where the study trains it."""
        if self.train_on is None:
            return numpy.maximum(self.offsets, 1), numpy.minimum(self.kept, widths - 1)
        asks = numpy.array([row["messages"][-1]["role"] != "assistant" for row in self.rendering.rows], dtype=bool)
        last = numpy.minimum(self.ends, self.kept - 1)
        return numpy.maximum(self.starts, 1), numpy.where(asks, 0, last)

    def trained_positions(self, row: int) -> numpy.ndarray:
        """Which of a row's own tokens carry loss, in order; positions counted from 0, the first at least 1."""
        first, last = self._spans
        end = min(int(last[row]) + 1, int(self.kept[row]))
        spans = [(max(start, 1), min(stop + 1, int(self.kept[row]))) for start, stop in self.earlier.get(row, ())]
        return numpy.concatenate([numpy.arange(*span) for span in [*spans, (int(first[row]), end)]])

    @cached_property
    def _spans(self) -> tuple[numpy.ndarray, numpy.ndarray]:
        return self.trained(self.kept + 1)

    def counts(self) -> numpy.ndarray:
        """How many tokens of each kind carry loss: (rows, kinds); zeros for rows in no batch."""
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
        """Which of KINDS a position of a row is."""
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


def replay(
    rendering: Rendering, tokenizer, *, mask_prompt: bool, batch_size: int, limit: int, train_on: str | None = None
) -> Replay:
    """What would be trained on, of the rows that the template takes: by mlx-lm, or by the study with `train_on`
    last or all."""
    lengths = numpy.array([len(ids) for ids in rendering.ids], dtype=int)
    starts, ends, agreed = _borders(rendering, tokenizer)
    earlier, lost = _earlier(rendering, tokenizer) if train_on == "all" else ({}, [])
    if train_on is None:
        batches = _batches(rendering.rows, batch_size)
        widths = numpy.minimum(1 + PAD_TO * -(-lengths[batches].max(axis=1) // PAD_TO), limit)
    else:  # every row, by length: for what is counted here, a batch of its own
        batches, widths = numpy.arange(len(lengths))[:, None], numpy.minimum(lengths, limit)
    return Replay(
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
    keys = numpy.array([len(row) for row in rows], dtype=int)
    order = numpy.argsort(keys, kind="stable")
    return order[: len(rows) // batch_size * batch_size].reshape(-1, batch_size)


def _borders(rendering: Rendering, tokenizer) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Per row: where the reply begins, where the token ending its turn stands, and how many
    tokens the prompt and the whole share."""
    stops = end_of_turn_ids(tokenizer)
    starts, ends, agreed, apart = [], [], [], []
    for row, (ids, prompt) in enumerate(zip(rendering.ids, rendering.prompts)):
        same = len(prompt)
        if len(ids) < same or not numpy.array_equal(ids[:same], prompt):
            same = common_prefix(ids.tolist(), prompt.tolist())
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


def _earlier(rendering: Rendering, tokenizer) -> tuple[dict[int, list[tuple[int, int]]], list[int]]:
    """Per row with several replies: where those before the last begin, and where the token ending each turn stands;
    and the rows whose template writes an earlier reply otherwise once the conversation has gone on."""
    stops, earlier, lost = end_of_turn_ids(tokenizer), {}, []
    for row, (chat, ids) in enumerate(zip(rendering.rows, rendering.ids)):
        messages, ids, spans = chat["messages"], ids.tolist(), []
        for at in [at for at, message in enumerate(messages[:-1]) if at and message["role"] == "assistant"]:
            part = partial(template_ids, tokenizer=tokenizer, tools=chat.get("tools"))
            try:
                prompt, whole = part(messages[:at], prompt=True), part(messages[: at + 1])
            except Exception:  # a template raises what it likes
                lost.append(row)
                continue
            start, shared = common_prefix(ids, prompt), common_prefix(ids, whole)
            end = next((place for place in range(shared - 1, start - 1, -1) if ids[place] in stops), None)
            if end is None or start < len(prompt):
                lost.append(row)
            else:
                spans.append((start, end))
        if spans:
            earlier[row] = spans
    return earlier, sorted(set(lost))


# --- one example --------------------------------------------------------------------------------


def training_ids(example: dict, tokenizer, profile: dict | None = None) -> tuple[list[int], list[bool]]:
    """Token ids of the whole example and, per token, whether it carries loss under the study's rule.

    The mask covers the reply and its end-of-turn token: not the prompt, and not the line break that
    some templates put after the end of a turn. StudyError if the template refuses the example.
    """
    rendering = _rendered(example, tokenizer, profile or {"kind": "messages"})
    ids = rendering.ids[0].tolist()
    found = replay(rendering, tokenizer, mask_prompt=False, batch_size=1, limit=len(ids), train_on="last")
    mask = numpy.zeros(len(ids), dtype=bool)
    mask[found.trained_positions(0)] = True
    return ids, mask.tolist()


def _rendered(example: dict, tokenizer, profile: dict) -> Rendering:
    if profile["kind"] == "messages":
        found = render([(1, example | {"messages": messages_for(example, profile)})], tokenizer)
        if found.refused:
            raise StudyError(f"The chat template refuses this example ({found.refused[0].partition(': ')[2]}).")
        return found
    # The app writes its own prompt, so the reply and the end of its turn simply follow it.
    prompt = numpy.array(prompt_ids(example, tokenizer, profile), dtype=numpy.int32)
    reply = encode([example["messages"][-1]["content"]], tokenizer)[0]
    return Rendering([1], [example], [numpy.concatenate([prompt, reply, [tokenizer.eos_token_id]])], [prompt])


def reply_ids(example: dict, tokenizer) -> tuple[list[int], list[int]]:
    """The reply's own token ids and those that end the turn, as training renders them."""
    ids, mask = training_ids(example, tokenizer)
    trained = [token for token, on in zip(ids, mask) if on]
    ended = bool(trained) and trained[-1] in end_of_turn_ids(tokenizer)
    return (trained[:-1], trained[-1:]) if ended else (trained, [])
