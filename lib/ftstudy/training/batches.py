"""The batches of a run: which rows each step trains, and which of their tokens, by the study's rule or mlx-lm's.

A row is (token ids, positions of its trained tokens); a batch is a list of rows. The seed alone decides the
order, so a resumed run sees the batches that it would have seen.
"""

import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from mlx_lm.tuner import datasets, trainer

from .. import audit
from ..chat_format.loss_mask import stock_span
from ..configs import study
from ..engine.reply_logits import Row
from ..errors import StudyError
from ..extract import variant_folder

POOL = 32  # batches whose rows are sorted by length together
SAMPLE = 4  # rows


@dataclass(frozen=True)
class Batches:
    """What a run trains and evaluates on."""

    train: Callable[[int], Iterator[list[Row]]]  # endless batches, without the first so many
    validation: list[list[Row]]  # the same at every evaluation
    sample: Callable[[], list[Row]]  # a few of those in train
    rows: list[Row]  # of both, for the beginning that all share; empty under mlx-lm's rule, which has none to share


def read(inputs: audit.RunInputs, tokenizer) -> Batches:
    """The run's batches: with an `ftstudy:` block every row with a reply, without it mlx-lm's own batches.

    Raises StudyError if there is no reply to train on, ValueError where mlx-lm would.
    """
    config = inputs.config
    size, seed, limit = config["batch_size"], config["seed"], config["max_seq_length"]
    if study(config):
        rows, valid = (study_rows(inputs, split) for split in ("train", "valid"))
        if not rows:
            raise StudyError(f"No reply to train on in {inputs.splits['train'].where}. Extract it again.")
        chosen = sorted(spread(valid, config["val_batches"], size), key=lambda row: len(row[0]))
        validation = [chosen[at : at + size] for at in range(0, len(chosen), size)]
        drawn, sample = lambda skip: by_length(rows, size, seed, skip), lambda: spread(rows, 1, SAMPLE)
        return Batches(drawn, validation, sample, rows + valid)
    split = inputs.splits["train"]
    if not split.rows and not config.get("hf_dataset"):
        raise StudyError(f"No row to train on in {split.where}. Extract it again.")
    arguments = types.SimpleNamespace(**{**config, "data": str(inputs.folder), "train": True, "test": False})
    train_set, valid_set, _ = datasets.load_dataset(arguments, tokenizer)
    validation = (
        stock_once(valid_set, size, limit, config["val_batches"]) if len(valid_set) and config["val_batches"] else []
    )
    drawn, sample = lambda skip: stock(train_set, size, limit, seed, skip), lambda: stock_sample(train_set, limit)
    return Batches(drawn, validation, sample, [])


def study_rows(inputs: audit.RunInputs, split: str) -> list[Row]:
    """The split's rows as the `ftstudy:` block trains them, without those that have nothing to train.

    Raises StudyError where the template rejects a row.
    """
    if split not in inputs.splits or not inputs.splits[split].rows:
        return []
    where = inputs.splits[split].where
    if refused := inputs.rendering(split).refused:
        raise StudyError(f"The chat template rejects a row of {where}, {refused[0]}. Fix that row.")
    found = inputs.loss_mask(split)
    if found is None:
        raise StudyError(
            f"No conversation to train on in {where}, or batch_size or max_seq_length of {inputs.where} is not a "
            f"number. `make audit CONFIG={inputs.where}` says more."
        )
    return [row for row in found.rows() if len(row[1])]


def by_length(rows: list[Row], batch_size: int, seed: int, skip: int = 0) -> Iterator[list[Row]]:
    """Every row once per epoch, endlessly, in batches of rows of similar length, without the first `skip` batches."""
    lengths = np.array([len(ids) for ids, _ in rows])
    steps = -(-len(rows) // batch_size)
    for epoch in count(skip // steps):
        random = np.random.default_rng([seed, epoch])
        order = random.permutation(len(rows))
        pools = [order[at : at + POOL * batch_size] for at in range(0, len(rows), POOL * batch_size)]
        order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
        turns = random.permutation(steps)
        for turn in turns[skip % steps if epoch == skip // steps else 0 :]:
            yield [rows[row] for row in order[turn * batch_size : (turn + 1) * batch_size]]


def stock(dataset, batch_size: int, limit: int, seed: int, skip: int = 0) -> Iterator[list[Row]]:
    """mlx-lm's own batches, in its own order for a run without a validation set."""
    # mlx-lm draws from NumPy's global generator, which this seeds.
    drawn = trainer.iterate_batches(_Truncated(dataset, limit), batch_size, limit, loop=True, seed=seed)
    for _ in range(skip):
        next(drawn)
    for batch, lengths in drawn:
        yield _stock_rows(batch, lengths)


def stock_once(dataset, batch_size: int, limit: int, batches: int) -> list[list[Row]]:
    """mlx-lm's batches of a fixed selection of rows."""
    rows = _Truncated(dataset, limit)
    chosen = [rows[at] for at in spread(range(len(rows)), batches, batch_size)]
    return [_stock_rows(*batch) for batch in trainer.iterate_batches(chosen, batch_size, limit, seed=0)]


def stock_sample(dataset, limit: int) -> list[Row]:
    """A few of mlx-lm's rows, with loss on every token."""
    rows = _Truncated(dataset, limit)
    chosen = [np.array(rows[at][0]) for at in spread(range(len(rows)), 1, SAMPLE)]
    return [(ids, np.arange(1, len(ids))) for ids in chosen if len(ids) > 1]


class _Truncated(datasets.CacheDataset):
    """Rows cut to `limit` tokens. mlx-lm would cut them too, but print a warning for every batch."""

    def __init__(self, dataset, limit: int):
        super().__init__(dataset)
        self._limit = limit

    def __getitem__(self, at: int) -> tuple[list[int], int]:
        ids, offset = super().__getitem__(at)
        return ids[: self._limit], offset


def _stock_rows(batch, lengths) -> list[Row]:
    batch, (offsets, lengths) = np.array(batch), np.array(lengths).T
    spans = zip(*stock_span(offsets, lengths, batch.shape[1]))
    return [(ids[: last + 1], np.arange(first, last + 1)) for ids, (first, last) in zip(batch, spans)]


def spread(rows: Sequence, batches: int, batch_size: int) -> list:
    """A fixed selection of rows, `batches` times `batch_size`, evenly spaced; all of them for -1."""
    return variant_folder.spread(rows, len(rows) if batches == -1 else batches * batch_size)
