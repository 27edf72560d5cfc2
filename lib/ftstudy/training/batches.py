"""Which rows a step trains on, and which of their tokens: the study's rule, or mlx-lm's own.

A row is (token ids, positions of its trained tokens); a batch is a list of rows. The order follows
from the seed alone, so that a run that goes on after a kill sees what it would have seen.
"""

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
from mlx_lm.tuner import datasets, trainer

from .. import audit
from ..audit.loss import replayed
from ..engine.reply_logits import Row
from ..errors import StudyError
from ..extract import variant_folder

POOL = 32  # batches from whose rows those of like length are put together


def study_rows(inputs: audit.RunInputs, split: str) -> list[Row]:
    """The split's rows as the `ftstudy:` block trains them; those with nothing to train are left out.

    Raises StudyError where the template refuses a row.
    """
    if split not in inputs.splits or not inputs.splits[split].rows:
        return []
    if refused := inputs.rendering(split).refused:
        raise StudyError(f"The chat template refuses a row of {inputs.splits[split].where}, {refused[0]}. Mend it.")
    found = replayed(inputs, split)
    if found is None:
        raise StudyError(
            f"{inputs.splits[split].where} holds no conversation to train on, or batch_size or max_seq_length of "
            f"{inputs.where} is no number; `make audit CONFIG={inputs.where}` says more."
        )
    rows = [(ids[: found.limit], found.trained_positions(row)) for row, ids in enumerate(found.rendering.ids)]
    return [row for row in rows if len(row[1])]


def by_length(rows: list[Row], batch_size: int, seed: int, skip: int = 0) -> Iterator[list[Row]]:
    """Every row once an epoch, without end, in batches of rows of like length; `skip` batches are left out."""
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
    """mlx-lm's own batches, in the order in which it takes them where it does not evaluate in between."""
    # The seed is that of numpy's global generator, from which mlx-lm draws.
    drawn = trainer.iterate_batches(datasets.CacheDataset(dataset), batch_size, limit, loop=True, seed=seed)
    for _ in range(skip):
        next(drawn)
    for batch, lengths in drawn:
        yield _stock_rows(batch, lengths)


def stock_once(dataset, batch_size: int, limit: int, batches: int) -> list[list[Row]]:
    """mlx-lm's batches of a fixed choice of rows."""
    rows = datasets.CacheDataset(dataset)
    chosen = [rows[at] for at in spread(range(len(rows)), batches, batch_size)]
    return [_stock_rows(*batch) for batch in trainer.iterate_batches(chosen, batch_size, limit, seed=0)]


def _stock_rows(batch, lengths) -> list[Row]:
    rows = []
    for ids, (offset, length) in zip(np.array(batch), np.array(lengths)):
        # mlx-lm trains the tokens at offset <= position <= length: one of padding, where there is one.
        last = min(length, len(ids) - 1)
        rows.append((ids[: last + 1], np.arange(max(offset, 1), last + 1)))
    return rows


def spread(rows: Sequence, batches: int, batch_size: int) -> list:
    """A fixed choice of rows: `batches` times `batch_size`, evenly over all; all of them for -1."""
    return variant_folder.spread(rows, len(rows) if batches == -1 else batches * batch_size)
