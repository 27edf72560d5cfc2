"""Is the reply trained from its first token to the one that ends its turn?"""

import numpy

from ... import chat_format
from ...chat_format.loss_mask import LossMask
from ..evidence import counted, quoted, row_lines
from ..findings import Check, Finding

LIKE_THE_WHOLE = (
    "Use a chat template whose prompt (add_generation_prompt) is the beginning of the whole conversation: with "
    "the same think block, the same system text, and a special token or a line break before the reply."
)
END_OF_TURN = Check(
    "loss.end_of_turn",
    ("error", "warning"),
    "No end of turn is trained, so the model doesn't learn to stop.",
    cause="Generation stops at {stops}. {why}",
    fix="Use this model's own chat template, one that ends a reply with an end-of-turn token. That token must be the "
    "tokenizer's eos_token, or one of eos_token_id in the model's config.",
    bad="{{ message['content'] }}\\n   in the template: nothing ends the reply",
    good="{{ message['content'] }}<|im_end|>\\n",
)
PROMPT_NOT_PREFIX = Check(
    "loss.prompt_not_prefix",
    ("error", "warning"),
    "A prompt is not the beginning of the text that is trained on.",
    cause="The chat template writes the prompt differently from the beginning of the whole conversation, or tokens "
    "merge where prompt and reply meet. The app then asks with a prompt that training never showed{masked}.",
    fix=LIKE_THE_WHOLE,
    bad="prompt: …<|im_start|>assistant\\n<think>\\n   whole: …<|im_start|>assistant\\nyes pls",
    good="prompt: …<|im_start|>assistant\\n   whole: …<|im_start|>assistant\\nyes pls",
)
NOTHING_TRAINED = Check(
    "loss.nothing_trained",
    ("error", "warning"),
    "Rows whose reply has no trained token.",
    cause="The prompt alone is as long as prompt and reply together: the template writes something into prompts "
    "only. mlx-lm's mask then covers the whole reply.",
    fix=LIKE_THE_WHOLE,
    bad="a template that adds a long think block with add_generation_prompt, and short replies",
    good="a template whose prompt is the beginning of the whole conversation",
)
CHECKS = (END_OF_TURN, PROMPT_NOT_PREFIX, NOTHING_TRAINED)


def check(mask: LossMask, tokenizer, masked: bool) -> list[Finding]:
    return [
        *_end_of_turn(mask, tokenizer),
        *_prompt_not_prefix(mask, tokenizer, masked),
        *(_without_reply(mask) if mask.train_on else _nothing_trained(mask)),
    ]


def _end_of_turn(mask: LossMask, tokenizer) -> list[Finding]:
    replies = numpy.array([row["messages"][-1]["role"] == "assistant" for row in mask.rendering.rows])
    total = int(replies.sum())
    without = numpy.flatnonzero(replies & (mask.ends == mask.lengths))
    cut = numpy.flatnonzero(replies & (mask.ends < mask.lengths) & (mask.ends >= mask.limit))
    if len(without):
        stops = sorted(stop for stop in chat_format.end_of_turn_ids(tokenizer) if stop is not None)
        return [
            END_OF_TURN.found(
                "error" if 2 * len(without) > total else "warning",
                f"{len(without):,} of {total:,} replies end without a token at which generation stops",
                evidence=row_lines(
                    mask, without, lambda row: "it ends with " + _tokens(mask.rendering.ids[row][-8:], tokenizer)
                ),
                stops=", ".join(f"{quoted(tokenizer.decode([stop]), 30)} (id {stop})" for stop in stops) or "no token",
                why=_why_without(mask, without, tokenizer),
            )
        ]
    if 2 * len(cut) > total:
        return [
            END_OF_TURN.found(
                "error",
                f"{len(cut):,} of {total:,} replies lose their end of turn to max_seq_length {mask.limit:,}",
                evidence=row_lines(mask, cut, lambda row: f"{mask.lengths[row]:,} tokens"),
                cause="Rows are cut from the right, so the end of turn goes first: the model doesn't learn to stop.",
                fix=f"Raise max_seq_length; the longest row has {mask.lengths.max():,} tokens.",
            )
        ]
    return []


def _tokens(ids: numpy.ndarray, tokenizer) -> str:
    return " ".join(quoted(tokenizer.decode([token]), 16) for token in ids.tolist())


def _text(ids: numpy.ndarray, tokenizer, most: int = 40) -> str:
    return quoted(tokenizer.decode(ids[:most].tolist()), most)


def _why_without(mask: LossMask, rows: numpy.ndarray, tokenizer) -> str:
    end = max((_after_reply(mask, row, tokenizer) for row in rows[:20].tolist()), key=len)
    if not end:
        return "The chat template writes nothing after a reply, so the model doesn't learn to stop."
    tokens = tokenizer.encode(end, add_special_tokens=False)
    if len(tokens) == 1:
        return f"The template ends a reply with {quoted(end, 40)} (id {tokens[0]}): the model learns it, and goes on."
    return f"The template ends a reply with {quoted(end, 40)}, which is plain text to this tokenizer."


def _after_reply(mask: LossMask, row: int, tokenizer) -> str:
    """What the template writes after a row's reply."""
    text = tokenizer.decode(mask.rendering.ids[row][mask.starts[row] :].tolist())
    content = chat_format.text_of(mask.rendering.rows[row]["messages"][-1]).strip()
    before, _, after = text.rpartition(content) if content else ("", "", text)
    return after.strip() if before or not content or text.startswith(content) else ""


def _prompt_not_prefix(mask: LossMask, tokenizer, masked: bool) -> list[Finding]:
    rows = numpy.flatnonzero(mask.agreed < mask.prompt_lengths)
    if not len(rows):
        return []
    harmless = all(_only_whitespace(mask, row, tokenizer) for row in rows.tolist())

    def describe(row: int) -> str:
        ids, prompt, agreed = mask.rendering.ids[row], mask.rendering.prompts[row], mask.agreed[row]
        parted = f"{_text(prompt[agreed:], tokenizer)} in the prompt, {_text(ids[agreed:], tokenizer)} in the whole"
        moved = int(len(prompt) - mask.starts[row]) if masked else 0
        if moved == 0:
            return parted
        return parted + f"; {counted(abs(moved), 'token')} {'too few' if moved > 0 else 'too many'} in the loss"

    return [
        PROMPT_NOT_PREFIX.found(
            "warning" if harmless else "error",
            f"In {len(rows):,} of {counted(len(mask.lengths), 'row')} the prompt is not the beginning of the whole text"
            + (" (but only by one white-space token)" if harmless else ""),
            evidence=row_lines(mask, rows, describe),
            masked=", and mlx-lm masks as many tokens as the prompt has, whichever they are" if masked else "",
        )
    ]


def _only_whitespace(mask: LossMask, row: int, tokenizer) -> bool:
    """True if prompt and whole differ only in white space, and the mask by at most one token of it."""
    agreed, start, offset = mask.agreed[row], mask.starts[row], mask.prompt_lengths[row]
    if abs(int(offset - start)) > 1:
        return False
    parts = mask.rendering.prompts[row][agreed:], mask.rendering.ids[row][agreed : max(start, offset)]
    return not any(tokenizer.decode(part.tolist()).strip() for part in parts)


def _nothing_trained(mask: LossMask) -> list[Finding]:
    rows = numpy.flatnonzero((mask.offsets > mask.ends) | (mask.offsets >= mask.lengths))
    if not len(rows):
        return []
    title = f"In {len(rows):,} of {counted(len(mask.lengths), 'row')} the reply has no trained token"

    def describe(row: int) -> str:
        return f"the loss begins at token {mask.offsets[row]:,}, the reply ends before {mask.ends[row] + 1:,}"

    return [NOTHING_TRAINED.found("error", title, evidence=row_lines(mask, rows, describe))]


def _without_reply(mask: LossMask) -> list[Finding]:
    """Rows that the study's trainer leaves out."""
    rows = [row for row in range(len(mask.lengths)) if not len(mask.trained_positions(row))]
    if not rows:
        return []

    def describe(row: int) -> str:
        if mask.lengths[row] > mask.limit:
            return f"{mask.lengths[row]:,} tokens, cut at {mask.limit:,}"
        return f"its last message has the role {mask.rendering.rows[row]['messages'][-1]['role']}"

    return [
        NOTHING_TRAINED.found(
            "error" if len(rows) == len(mask.lengths) else "warning",
            f"{len(rows):,} of {counted(len(mask.lengths), 'row')} have no reply to train on, and are left out",
            evidence=row_lines(mask, numpy.array(rows), describe),
            cause="`ftstudy:` trains replies only. In these rows max_seq_length cuts off the whole reply, or the last "
            "message is not the assistant's.",
            fix="Raise max_seq_length, or end each row with a reply; `train_on: all` trains earlier ones too.",
        )
    ]
