"""On which tokens does the loss fall? The trainer's mask and batches, for every row."""

from dataclasses import replace

import numpy

from ...chat_format.loss_mask import KINDS, LossMask
from ...chat_format.rows import has_texts
from ...configs import study
from ..evidence import counted, listed, quoted, row_lines
from ..findings import Check, Finding
from ..run_inputs import RunInputs
from . import changing_template, reply_borders, text_rows

TEMPLATE_REFUSES = Check(
    "loss.template_refuses",
    ("error", "warning"),
    "The chat template rejects a row.",
    cause="mlx-lm renders a row when its batch comes up, and aborts at the first one that the template rejects.",
    fix="Write the data for this model (if its template has no system role, move that text into the first user "
    "message; if turns must alternate, join those that don't), or choose another model.",
    bad='{"messages": [{"role": "system", "content": "You are Sam."}, …]}   with Gemma, which has no system role',
    good='{"messages": [{"role": "user", "content": "You are Sam.\\n\\nAnn: hey"}, …]}',
)
NAN_BATCH = Check(
    "loss.nan_batch",
    ("error", "warning"),
    "A batch has no token to train on, so its loss is not a number.",
    cause="mlx-lm divides by the number of trained tokens, here 0. {effect}",
    fix="Raise max_seq_length above the longest row, or shorten these rows. If their reply is masked, see "
    "loss.nothing_trained.",
    bad="max_seq_length: 256   with mask_prompt: true, and rows whose prompt alone has 300 tokens",
    good="max_seq_length: 2048",
)
ON_PROMPT = Check(
    "loss.on_prompt",
    ("warning",),
    "mask_prompt is off, so the prompt is trained too.",
    cause="mask_prompt is false, mlx-lm's default: the model mostly learns to write the system text and other "
    "people's messages.",
    fix="Set `mask_prompt: true`.",
    bad="mask_prompt: false",
    good="mask_prompt: true",
)
SHARES = Check(
    "loss.shares",
    ("info",),
    "What the loss falls on: the reply, the end of turn, what follows it, padding.",
    cause="mlx-lm also trains what the template writes after the end of turn, and one padding token per row "
    "(id 0, {padding}). The model has stopped by then, so these do no harm, but they are easy to learn and make the "
    "loss look lower.",
    fix="No action needed. Don't compare this loss with one on the reply alone.",
    bad="",
    good="",
)
TRUNCATED = Check(
    "loss.truncated",
    ("error", "warning", "info"),
    "max_seq_length cuts off replies, or the ends of text rows, completely or in part.",
    cause="Rows are cut from the right: the end of turn goes first, then the reply.",
    fix="Raise max_seq_length (the longest row has {longest} tokens), or shorten the context.",
    bad="max_seq_length: 128   with rows of 200 tokens",
    good="max_seq_length: 2048",
)
PADDING = Check(
    "loss.padding",
    ("info",),
    "How much of the batches is padding.",
    cause="mlx-lm pads the rows of a batch to its longest. It means to sort rows by length first, but for a "
    "conversation it counts the keys.",
    fix="No action needed: it costs time, not quality.",
    bad="",
    good="",
)
EARLIER_REPLIES = Check(
    "loss.earlier_replies",
    ("warning",),
    "With `train_on: all`, the template rewrites earlier replies, so they are not trained.",
    cause="The chat template writes an earlier reply differently once the conversation has gone on (without its "
    "thinking, for example), so no prompt leads to that text.",
    fix="Write one row for each reply, and set `train_on: last`.",
    bad="ftstudy: {train_on: all}   with a template that drops the thinking of earlier replies",
    good="ftstudy: {train_on: last}",
)
UNTRAINED_REPLIES = Check(
    "loss.untrained_replies",
    ("info",),
    "Earlier replies of a row carry no loss: only the last one is trained.",
    cause="With mask_prompt, mlx-lm trains the last message of a row. All that comes before it is prompt, the replies there "
    "included.",
    fix="No action needed if each reply is also the last one of a row. Otherwise write one row per reply, or let this "
    "study's trainer train all of them: `ftstudy: {{train_on: all}}`.",
    bad="rows of 7 replies with mask_prompt: true",
    good="one row per reply",
)
CHECKS = (
    TEMPLATE_REFUSES,
    NAN_BATCH,
    ON_PROMPT,
    SHARES,
    TRUNCATED,
    PADDING,
    EARLIER_REPLIES,
    UNTRAINED_REPLIES,
    *reply_borders.CHECKS,
    *text_rows.CHECKS,
    *changing_template.CHECKS,
)
NAMES = {
    "prompt": "prompt",
    "reply": "reply",
    "end_of_turn": "end of turn",
    "after_end": "what the template writes after it (a line break)",
    "padding": "padding",
}
FEW = 0.01  # partly cut replies below this share of the rows are a fact, above it a warning
PADDED = 0.1  # padding below this share of the batches is not worth mentioning


def check(inputs: RunInputs) -> list[Finding]:
    """Findings on what the run trains on and evaluates. Raises StudyError if the tokenizer cannot be loaded."""
    splits = [
        name for name in ("train", "valid", *["test"] * (inputs.config.get("test") is True)) if name in inputs.splits
    ]
    found = [replace(item, where=inputs.splits[name].where) for name in splits for item in _of_split(inputs, name)]
    return [*found, *text_rows.check(inputs, splits, TRUNCATED), *changing_template.check(inputs)]


def _of_split(inputs: RunInputs, split: str) -> list[Finding]:
    findings, mask = _refused(inputs, split), inputs.loss_mask(split)
    if mask is None:
        return findings
    stock, training = mask.train_on is None, split == "train"
    if stock:
        findings += _nan_batches(mask, inputs.config.get("iters"), training)
    findings += _truncated(mask, training)
    if training:
        masked = stock and bool(inputs.config.get("mask_prompt"))
        findings += _shares(mask, inputs.tokenizer, masked)
        findings += _untrained_replies(mask, masked)
        findings += _padding(mask) if stock else _earlier_replies(mask)
        findings += reply_borders.check(mask, inputs.tokenizer, masked)
    return findings


def _refused(inputs: RunInputs, split: str) -> list[Finding]:
    if not inputs.has_template:
        return []  # the model family reports it
    rendering = inputs.rendering(split)
    lines, severity, cause = _with_texts(inputs, split, rendering.refused), "error", None
    if study(inputs.config):
        cause = "Training aborts at a row that the template rejects."
    elif not inputs.config.get("mask_prompt"):  # then mlx-lm doesn't render prompts
        prompts = set(rendering.prompts_refused)
        lines = [line for line in lines if line not in prompts]
        if not lines:
            lines, severity = rendering.prompts_refused, "warning"
            cause = "Training takes these rows, but no app can ask this way: the template rejects their prompts."
    if not lines:
        return []
    title = f"The chat template rejects {counted(len(lines), 'row')} of {split}.jsonl"
    return [TEMPLATE_REFUSES.found(severity, title, evidence=listed(lines), cause=cause)]


def _with_texts(inputs: RunInputs, split: str, refused: list[str]) -> list[str]:
    """The refused rows whose contents are texts: the others are data.bad_messages."""
    if not refused:
        return []
    others = {f"line {number}" for number, row in inputs.splits[split].chats() if not has_texts(row["messages"])}
    return [line for line in refused if line.partition(":")[0] not in others]


def _nan_batches(mask: LossMask, iterations, training: bool) -> list[Finding]:
    tokens = mask.counts().sum(axis=1)[mask.batches].sum(axis=1)
    dead = numpy.flatnonzero(tokens == 0)
    if not len(dead):
        return []
    numbers = numpy.array(mask.rendering.numbers)

    def first_five(values) -> str:
        return ", ".join(f"{value:,}" for value in values[:5].tolist()) + ", …" * (len(values) > 5)

    lines = []
    for batch in dead[:5].tolist():
        rows = mask.batches[batch]
        lines.append(
            f"lines {first_five(numbers[rows])}: {first_five(mask.lengths[rows])} tokens, cut at {mask.limit:,}; "
            f"the loss begins at token {first_five(mask.offsets[rows])}"
        )
    effect = "The validation loss is NaN whenever one of these batches is drawn."
    if training:
        effect = "One such step turns every weight of the adapter into NaN, and it is saved that way."
        passes = iterations / len(mask.batches) if isinstance(iterations, int) else 0
        if passes > 0:
            effect += f" This run's {iterations:,} steps take {passes:.0%} of the batches, in random order."
    return [
        NAN_BATCH.found(
            "error" if training else "warning",
            f"{len(dead):,} of {len(mask.batches):,} batches have no token to train on: their loss is not a number",
            evidence=listed(lines + [""] * (len(dead) - len(lines))),
            effect=effect,
        )
    ]


def _shares(mask: LossMask, tokenizer, masked: bool) -> list[Finding]:
    counts = dict(zip(KINDS, mask.counts().sum(axis=0).tolist()))
    total = sum(counts.values())
    if not total:
        return []
    shares = {kind: number / total for kind, number in counts.items()}
    evidence = [f"{NAMES[kind]}: {counted(number, 'token')}, {shares[kind]:.1%}" for kind, number in counts.items()]
    if counts["prompt"] and not masked:
        title = f"{shares['prompt']:.0%} of the loss is on the prompt, {shares['reply']:.1%} on the reply"
        return [ON_PROMPT.found("warning", title, evidence=evidence)]
    title = f"{shares['reply']:.0%} of the loss is on the reply, {shares['end_of_turn']:.0%} on the end of turn"
    if mask.train_on:
        trained = "every reply of a row" if mask.train_on == "all" else "a row's last reply"
        cause = f"With `ftstudy:`, training uses {trained} and the token that ends its turn, and nothing else."
        return [SHARES.found("info", title, evidence=evidence, cause=cause, fix="No action needed.")]
    title += f", {shares['after_end'] + shares['padding']:.0%} on what follows it"
    padding = quoted(tokenizer.decode([0]), 20)
    return [SHARES.found("info", title, evidence=evidence, padding=padding)]


def _truncated(mask: LossMask, training: bool) -> list[Finding]:
    long = mask.lengths > mask.limit
    gone, cut = long & (mask.starts >= mask.limit), long & (mask.starts < mask.limit) & (mask.ends >= mask.limit)
    if not (gone | cut).any():
        return []
    total, whole = len(mask.lengths), bool(gone.any())
    rows = numpy.flatnonzero(gone if whole else cut)
    also = f", and part of {int(cut.sum()):,} more" if whole and cut.any() else ""
    return [
        TRUNCATED.found(
            "error" if whole and training else "warning" if len(rows) >= FEW * total else "info",
            f"max_seq_length {mask.limit:,} cuts off {'the whole reply' if whole else 'the end of the reply'} of "
            f"{len(rows):,} of {counted(total, 'row')}{also}",
            evidence=row_lines(
                mask, rows, lambda row: f"{mask.lengths[row]:,} tokens, its reply begins at {mask.starts[row]:,}"
            ),
            longest=f"{mask.lengths.max():,}",
        )
    ]


def _padding(mask: LossMask) -> list[Finding]:
    size = mask.batches.shape[1]
    area, own = int(mask.widths.sum()) * size, int(mask.kept[mask.batches].sum())
    if not area or 1 - own / area < PADDED:
        return []
    evidence = f"{own:,} tokens of rows in {len(mask.batches):,} batches of {size}, {area:,} tokens in all"
    return [PADDING.found("info", f"{1 - own / area:.0%} of the batches is padding", evidence=evidence)]


def _untrained_replies(mask: LossMask, masked: bool) -> list[Finding]:
    if not masked and mask.train_on != "last":
        return []
    replies = [sum(one["role"] == "assistant" for one in row["messages"]) for row in mask.rendering.rows]
    total, several = sum(replies), sum(number > 1 for number in replies)
    if not several:
        return []
    left = total - sum(number > 0 for number in replies)
    title = f"{left:,} of {counted(total, 'reply', 'replies')} carry no loss: only the last reply of a row is trained"
    evidence = f"{counted(several, 'row')} of {len(replies):,} with several replies, at most {max(replies)}"
    return [UNTRAINED_REPLIES.found("info", title, evidence=evidence)]


def _earlier_replies(mask: LossMask) -> list[Finding]:
    if not mask.lost:
        return []
    rows = numpy.array(mask.lost)
    title = f"In {len(rows):,} of {counted(len(mask.lengths), 'row')} an earlier reply is not trained"
    evidence = row_lines(mask, rows, lambda row: f"{len(mask.rendering.rows[row]['messages'])} messages")
    return [EARLIER_REPLIES.found("warning", title, evidence=evidence)]
