"""Rows token by token, each with what it is and whether it is trained: for a picture."""

import numpy

from ...chat_format.loss_mask import LossMask
from ..run_inputs import RunInputs


def masked_rows(inputs: RunInputs, split: str = "train", count: int = 3) -> list[dict]:
    """The first rows, token by token: `render.show("trained_tokens", rows=…)` draws them.

    Each is {"line", "in_batch", "tokens": [{"text", "kind", "trained"}], "cut", "padding"}. `kind` is one
    of loss_mask.KINDS; `cut` counts the tokens that max_seq_length takes away, `padding` those behind
    the row that carry no loss (the one that does is the last of `tokens`). A character whose bytes
    are several tokens is one piece of text.
    """
    found = inputs.loss_mask(split)
    return [] if found is None else [_masked(found, row, inputs.tokenizer) for row in range(len(found.lengths))[:count]]


def _masked(found: LossMask, row: int, tokenizer) -> dict:
    batch = numpy.flatnonzero((found.batches == row).any(axis=1))
    width = int(found.widths[batch[0]]) if len(batch) else 0
    kept = int(found.kept[row])
    if found.train_on is None:
        first, last = (int(values[row]) for values in found.trained(width))
        carries = set(range(first, last + 1))
    else:  # with `all`, in several places
        carries = set(found.trained_positions(row).tolist())
    shown = max(kept, max(carries, default=-1) + 1)
    ids = found.rendering.ids[row][:kept].tolist() + [0] * (shown - kept)
    tokens, held = [], []
    for position, token in enumerate(ids):
        kind, trained = found.kind(row, position), position in carries
        if held and tokens and (kind, trained) != (tokens[-1]["kind"], tokens[-1]["trained"]):
            held = []
        held.append(token)
        text = tokenizer.decode(held)
        if len(held) > 1:
            tokens[-1]["text"] = text
        else:
            tokens.append({"text": text, "kind": kind, "trained": trained})
        if not text.endswith("\ufffd") or len(held) == 4:  # a character's bytes may be several tokens
            held = []
    return {
        "line": found.rendering.numbers[row],
        "in_batch": bool(len(batch)) and (found.train_on is None or bool(carries)),
        "tokens": tokens,
        "cut": int(found.lengths[row]) - kept,
        "padding": max(width - shown, 0),
    }
