"""The first rows, token by token, for the picture of what is trained."""

import numpy

from ...chat_format.loss_mask import LossMask
from ..run_inputs import RunInputs


def masked_rows(inputs: RunInputs, split: str = "train", count: int = 3) -> list[dict]:
    """The first rows as data for `render.show("trained_tokens", rows=…)`.

    Each is {"line", "in_batch", "tokens": [{"text", "kind", "trained"}], "cut", "padding"}. `kind` is one
    of loss_mask.KINDS. `cut` counts the tokens that max_seq_length cuts off, `padding` the padding that is not
    trained (the one trained padding token is in `tokens`). Tokens that share a character form one piece of text.
    """
    mask = inputs.loss_mask(split) if split in inputs.splits else None
    return [] if mask is None else [_masked(mask, row, inputs.tokenizer) for row in range(len(mask.lengths))[:count]]


def _masked(mask: LossMask, row: int, tokenizer) -> dict:
    batch = numpy.flatnonzero((mask.batches == row).any(axis=1))
    width = int(mask.widths[batch[0]]) if len(batch) else 0
    kept = int(mask.kept[row])
    if mask.train_on is None:
        first, last = (int(values[row]) for values in mask.trained(width))
        trained_at = set(range(first, last + 1))
    else:  # with `train_on: all` in several places
        trained_at = set(mask.trained_positions(row).tolist())
    shown = max(kept, max(trained_at, default=-1) + 1)
    ids = mask.rendering.ids[row][:kept].tolist() + [0] * (shown - kept)
    tokens, pending = [], []
    for position, token in enumerate(ids):
        kind, trained = mask.kind(row, position), position in trained_at
        if pending and tokens and (kind, trained) != (tokens[-1]["kind"], tokens[-1]["trained"]):
            pending = []
        pending.append(token)
        text = tokenizer.decode(pending)
        if len(pending) > 1:
            tokens[-1]["text"] = text
        else:
            tokens.append({"text": text, "kind": kind, "trained": trained})
        if not text.endswith("\ufffd") or len(pending) == 4:  # a character's bytes may be several tokens
            pending = []
    return {
        "line": mask.rendering.numbers[row],
        "in_batch": bool(len(batch)) and (mask.train_on is None or bool(trained_at)),
        "tokens": tokens,
        "cut": int(mask.lengths[row]) - kept,
        "padding": max(width - shown, 0),
    }
