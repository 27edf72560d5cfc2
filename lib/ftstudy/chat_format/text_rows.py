"""Rows of plain text become token ids as mlx-lm makes them: with the tokenizer's start token, and an end."""

import numpy

from .tokens import unwrapped


def text_ids(texts: list[str], tokenizer) -> list[numpy.ndarray]:
    """What `mlx_lm.tuner.datasets.TextDataset.process` gives for each text: one int32 array each.

    Without an end token, with which mlx-lm aborts, the texts end as they do.
    """
    if not texts:
        return []
    encoded = unwrapped(tokenizer)(texts, return_attention_mask=False)["input_ids"]
    end = [tokenizer.eos_token_id]
    end = [] if end == [None] else end
    return [numpy.array(ids if ids[-1:] == end else [*ids, *end], dtype=numpy.int32) for ids in encoded]
