"""Rows of plain text, all of which is trained: their start token, and what max_seq_length cuts off."""

import numpy

from ..evidence import counted, in_rows, listed, quoted
from ..findings import Check, Finding
from ..run_inputs import RunInputs

DOUBLED_START = Check(
    "loss.doubled_start",
    ("error",),
    "Rows of plain text that begin with the start token, which mlx-lm adds to them once more.",
    cause="mlx-lm encodes a text with the tokenizer's special tokens, {token} among them, so training sees it twice, and "
    "the app's prompt has it once.",
    fix="Take {token} out of the beginning of these texts, or write them as rows of `messages`.",
    bad='{"text": "<s>[INST] hey [/INST] yo</s>"}   with a tokenizer that adds <s>',
    good='{"text": "[INST] hey [/INST] yo</s>"}',
)
CHECKS = (DOUBLED_START,)
FEW = 0.01  # of the rows: so many may be longer than max_seq_length without a warning


def check(inputs: RunInputs, names: list[str], truncated: Check) -> list[Finding]:
    """Findings on the text rows of these splits. `truncated`: the check on what max_seq_length cuts off."""
    names = [name for name in names if inputs.texts(name)]
    cut = (found for name in names if (found := _cut(inputs, name, truncated)))
    return [*_doubled(inputs, names), *next(cut, [])]


def doubled(inputs: RunInputs, names: list[str]) -> list[tuple[str, int, str]]:
    """(split, line, text) of the texts of these splits that begin with a start token before which mlx-lm puts another."""
    if not names or (number := inputs.tokenizer.bos_token_id) is None:
        return []
    return [
        (name, line, text)
        for name in names
        for (line, text), ids in zip(inputs.texts(name), inputs.text_ids(name))
        if len(ids) > 1 and ids[0] == ids[1] == number
    ]


def _doubled(inputs: RunInputs, names: list[str]) -> list[Finding]:
    token = inputs.tokenizer.bos_token if names else None
    hits = [(*at, f"{quoted(token)} is added to {quoted(text, 60)}") for *at, text in doubled(inputs, names)]
    return in_rows(inputs, DOUBLED_START, "error", hits, "of text begin with two start tokens", token=token)


def _cut(inputs: RunInputs, name: str, truncated: Check) -> list[Finding]:
    limit, texts = inputs.config.get("max_seq_length"), inputs.texts(name)
    lengths = numpy.array([len(ids) for ids in inputs.text_ids(name)])
    if type(limit) is not int or limit < 1 or not (lengths > limit).any():
        return []
    long = numpy.flatnonzero(lengths > limit)
    lost = int((lengths[long] - limit).sum()) / int(lengths.sum())
    lines = [f"line {texts[at][0]}: {lengths[at]:,} tokens, {lengths[at] - limit:,} of them cut" for at in long]
    return [
        truncated.found(
            "warning" if len(long) > FEW * len(texts) else "info",
            f"max_seq_length {limit:,} cuts {len(long):,} of {counted(len(texts), 'text row')}: {lost:.0%} of all tokens "
            "are never used",
            evidence=listed(lines),
            where=inputs.splits[name].where,
            cause="mlx-lm cuts rows from the right: what comes after is never trained, the end of the text included.",
            fix=f"Divide long texts into rows of at most {limit:,} tokens, or raise max_seq_length (the longest row has "
            f"{lengths.max():,}).",
        )
    ]
