"""On which tokens does the loss fall? The trainer's mask and batches, for every row."""

import numpy

from ...chat_format.loss_mask import KINDS, LossMask
from ...configs import study
from ..evidence import counted, listed, quoted, row_lines
from ..findings import finding
from ..run_inputs import RunInputs
from . import reply_borders

CHECKS = {
    "loss.template_refuses": ("error or warning", "The chat template refuses a row, at which mlx-lm aborts."),
    "loss.nan_batch": ("error or warning", "Batches without a token to train on: their loss is not a number."),
    "loss.on_prompt": ("warning", "mask_prompt is off, so the loss falls on the prompt, too."),
    "loss.shares": ("info", "What the loss falls on: the reply, the end of turn, what comes behind it, padding."),
    "loss.truncated": ("error, warning or info", "max_seq_length cuts replies away, whole or in part."),
    "loss.padding": ("info", "How much of the batches is padding."),
    "loss.earlier_replies": ("warning", "With `train_on: all`: a template that writes earlier replies otherwise."),
} | reply_borders.CHECKS
NAMES = {
    "prompt": "prompt",
    "reply": "reply",
    "end_of_turn": "end of turn",
    "after_end": "what the template writes behind it (a line break)",
    "padding": "padding",
}
FEW = 0.01  # replies cut in part are told, but not warned of, below this share of the rows
PADDED = 0.1  # padding below this share of the batches is not worth a word


def check(inputs: RunInputs) -> list[dict]:
    """Findings on what the run will train on, and evaluate. StudyError where the tokenizer cannot be loaded."""
    findings = []
    for split in ("train", "valid", *["test"] * (inputs.config.get("test") is True)):
        if split not in inputs.splits:
            continue
        findings += _refused(inputs, split)
        found = inputs.loss_mask(split)
        if found is None:
            continue
        where, stock = inputs.splits[split].where, found.train_on is None
        if stock:
            findings += _nan_batches(found, where, inputs.config.get("iters"), split == "train")
        findings += _truncated(found, where, split == "train")
        if split == "train":
            masked = stock and bool(inputs.config.get("mask_prompt"))
            findings += _shares(found, where, inputs.tokenizer, masked)
            findings += _padding(found, where) if stock else _earlier_lost(found, where)
            findings += reply_borders.check(found, where, inputs.tokenizer, masked)
    return findings


def _refused(inputs: RunInputs, split: str) -> list[dict]:
    rendering, where = inputs.rendering(split), inputs.splits[split].where
    lines, aborts = rendering.refused, True
    if not inputs.config.get("mask_prompt") and not study(inputs.config):  # then mlx-lm does not render prompts
        rendered = set(rendering.prompts_refused)
        lines = [line for line in lines if line not in rendered]
        if not lines:
            lines, aborts = rendering.prompts_refused, False
    if not lines:
        return []
    return [
        finding(
            "loss.template_refuses",
            "error" if aborts else "warning",
            f"The chat template refuses {counted(len(lines), 'row')} of {split}.jsonl",
            evidence=listed(lines),
            cause=(
                "Training aborts at a row that the template refuses."
                if study(inputs.config)
                else "mlx-lm renders a row when its batch comes up, and aborts at the first that the template refuses."
            )
            if aborts
            else "Training takes these rows, but no app can ask like this: the template refuses their prompts.",
            fix="Write the data for this model (where its template has no system role, put that text into the first "
            "user message; where turns must alternate, join those that do not), or choose another model.",
            where=where,
        )
    ]


def _nan_batches(found: LossMask, where: str, iterations, training: bool) -> list[dict]:
    tokens = found.counts().sum(axis=1)[found.batches].sum(axis=1)
    dead = numpy.flatnonzero(tokens == 0)
    if not len(dead):
        return []
    numbers = numpy.array(found.rendering.numbers)

    def told(values) -> str:
        return ", ".join(f"{value:,}" for value in values[:5].tolist()) + ", …" * (len(values) > 5)

    lines = []
    for batch in dead[:5].tolist():
        rows = found.batches[batch]
        lines.append(
            f"lines {told(numbers[rows])}: {told(found.lengths[rows])} tokens, cut at {found.limit:,}; "
            f"the loss begins at token {told(found.offsets[rows])}"
        )
    effect = "The loss of an evaluation is NaN whenever one of these batches is among those drawn."
    if training:
        effect = "One such step makes every weight of the adapter NaN, and they are saved like that."
        passes = iterations / len(found.batches) if isinstance(iterations, int) else 0
        if passes > 0:
            effect += f" This run's {iterations:,} steps take {passes:.0%} of the batches, in random order."
    return [
        finding(
            "loss.nan_batch",
            "error" if training else "warning",
            f"{len(dead):,} of {len(found.batches):,} batches have no token to train on: their loss is not a number",
            evidence=listed(lines + [""] * (len(dead) - len(lines))),
            cause=f"mlx-lm divides by the number of trained tokens, here 0. {effect}",
            fix="Raise max_seq_length above the longest row or shorten these rows; where their reply is masked, "
            "see loss.nothing_trained.",
            where=where,
        )
    ]


def _shares(found: LossMask, where: str, tokenizer, masked: bool) -> list[dict]:
    counts = dict(zip(KINDS, found.counts().sum(axis=0).tolist()))
    total = sum(counts.values())
    if not total:
        return []
    shares = {kind: number / total for kind, number in counts.items()}
    evidence = [f"{NAMES[kind]}: {counted(number, 'token')}, {shares[kind]:.1%}" for kind, number in counts.items()]
    if counts["prompt"] and not masked:
        return [
            finding(
                "loss.on_prompt",
                "warning",
                f"{shares['prompt']:.0%} of the loss is on the prompt, {shares['reply']:.1%} on the reply",
                evidence=evidence,
                cause="mask_prompt is false, mlx-lm's default: the model is trained mostly to write the system text "
                "and what other people wrote.",
                fix="Set `mask_prompt: true`.",
                where=where,
            )
        ]
    if found.train_on:
        return [
            finding(
                "loss.shares",
                "info",
                f"{shares['reply']:.0%} of the loss is on the reply, {shares['end_of_turn']:.0%} on the end of turn",
                evidence=evidence,
                cause="`ftstudy:` trains "
                + ("every reply of a row" if found.train_on == "all" else "a row's last reply")
                + " and the token that ends its turn, and nothing else.",
                fix="Nothing to mend.",
                where=where,
            )
        ]
    behind = shares["after_end"] + shares["padding"]
    return [
        finding(
            "loss.shares",
            "info",
            f"{shares['reply']:.0%} of the loss is on the reply, {shares['end_of_turn']:.0%} on the end of turn, "
            f"{behind:.0%} on what comes behind it",
            evidence=evidence,
            cause="mlx-lm also trains what the template writes behind the end of turn, and one padding token a row "
            f"(id 0, {quoted(tokenizer.decode([0]), 20)}). A model has stopped by then, so they do no harm; they are "
            "easily learned, and make the loss look lower.",
            fix="Nothing to mend; do not compare this loss with one on the reply alone.",
            where=where,
        )
    ]


def _truncated(found: LossMask, where: str, training: bool) -> list[dict]:
    long = found.lengths > found.limit
    gone, cut = long & (found.starts >= found.limit), long & (found.starts < found.limit) & (found.ends >= found.limit)
    if not (gone | cut).any():
        return []
    total, whole = len(found.lengths), bool(gone.any())
    rows = numpy.flatnonzero(gone if whole else cut)
    also = f", and a part of {int(cut.sum()):,} more" if whole and cut.any() else ""
    return [
        finding(
            "loss.truncated",
            "error" if whole and training else "warning" if len(rows) >= FEW * total else "info",
            f"max_seq_length {found.limit:,} cuts away {'the whole reply' if whole else 'the end of the reply'} of "
            f"{len(rows):,} of {counted(total, 'row')}{also}",
            evidence=row_lines(
                found, rows, lambda row: f"{found.lengths[row]:,} tokens, its reply begins at {found.starts[row]:,}"
            ),
            cause="Rows are cut from the right: first goes the end of turn, then the reply.",
            fix=f"Raise max_seq_length (the longest row has {found.lengths.max():,} tokens), or shorten the context.",
            where=where,
        )
    ]


def _padding(found: LossMask, where: str) -> list[dict]:
    size = found.batches.shape[1]
    area, own = int(found.widths.sum()) * size, int(found.kept[found.batches].sum())
    if not area or 1 - own / area < PADDED:
        return []
    return [
        finding(
            "loss.padding",
            "info",
            f"{1 - own / area:.0%} of the batches is padding",
            evidence=[f"{own:,} tokens of rows in {len(found.batches):,} batches of {size}, {area:,} tokens in all"],
            cause="mlx-lm fills the rows of a batch up to its longest. It means to sort them by length first, but of "
            "a conversation it counts the keys.",
            fix="Nothing to mend: it costs time, not quality.",
            where=where,
        )
    ]


def _earlier_lost(found: LossMask, where: str) -> list[dict]:
    if not found.lost:
        return []
    rows = numpy.array(found.lost)
    return [
        finding(
            "loss.earlier_replies",
            "warning",
            f"In {len(rows):,} of {counted(len(found.lengths), 'row')} an earlier reply is not trained",
            evidence=row_lines(found, rows, lambda row: f"{len(found.rendering.rows[row]['messages'])} messages"),
            cause="The chat template writes an earlier reply otherwise once the conversation has gone on (without its "
            "thinking, say), so that no prompt asks for what stands there.",
            fix="Extract one row for each reply, and set `train_on: last`.",
            where=where,
        )
    ]
