"""Is the reply trained from its first token to the one that ends its turn?"""

import numpy

from ... import chat_format
from ...chat_format.loss_mask import LossMask
from ..evidence import counted, quoted, row_lines
from ..findings import finding

CHECKS = {
    "loss.end_of_turn": ("error or warning", "No end of turn is trained, so the model does not learn to stop."),
    "loss.prompt_not_prefix": ("error or warning", "A prompt is not the beginning of the text that is trained on."),
    "loss.nothing_trained": ("error", "Rows of whose reply no token carries loss."),
}
LIKE_THE_WHOLE = (
    "Use a chat template whose prompt (add_generation_prompt) is the beginning of the whole conversation: with "
    "the same think block, the same system text, and a special token or a line break before the reply."
)


def check(found: LossMask, where: str, tokenizer, masked: bool) -> list[dict]:
    return (
        _end_of_turn(found, where, tokenizer)
        + _prompt_not_prefix(found, where, tokenizer, masked)
        + _nothing_trained(found, where)
    )


def _end_of_turn(found: LossMask, where: str, tokenizer) -> list[dict]:
    replies = numpy.array([row["messages"][-1]["role"] == "assistant" for row in found.rendering.rows])
    total = int(replies.sum())
    without = numpy.flatnonzero(replies & (found.ends == found.lengths))
    cut = numpy.flatnonzero(replies & (found.ends < found.lengths) & (found.ends >= found.limit))
    if len(without):
        stops = sorted(stop for stop in chat_format.end_of_turn_ids(tokenizer) if stop is not None)
        told = ", ".join(f"{quoted(tokenizer.decode([stop]), 30)} (id {stop})" for stop in stops) or "no token at all"
        return [
            finding(
                "loss.end_of_turn",
                "error" if 2 * len(without) > total else "warning",
                f"{len(without):,} of {total:,} replies end without a token at which generation stops",
                evidence=row_lines(
                    found, without, lambda row: "it ends with " + _tokens(found.rendering.ids[row][-8:], tokenizer)
                ),
                cause=f"Generation stops at {told}. " + _why_without(found, without, tokenizer),
                fix="Use the chat template of this very model, one that ends a reply with an end-of-turn token; that "
                "token has to be the tokenizer's eos_token, or among the eos_token_id in the model's config.",
                where=where,
            )
        ]
    if 2 * len(cut) > total:
        return [
            finding(
                "loss.end_of_turn",
                "error",
                f"{len(cut):,} of {total:,} replies lose their end of turn to max_seq_length {found.limit:,}",
                evidence=row_lines(found, cut, lambda row: f"{found.lengths[row]:,} tokens"),
                cause="Rows are cut from the right, so the end of turn goes first: the model does not learn to stop.",
                fix=f"Raise max_seq_length; the longest row has {found.lengths.max():,} tokens.",
                where=where,
            )
        ]
    return []


def _tokens(ids: numpy.ndarray, tokenizer) -> str:
    return " ".join(quoted(tokenizer.decode([token]), 16) for token in ids.tolist())


def _text(ids: numpy.ndarray, tokenizer, most: int = 40) -> str:
    return quoted(tokenizer.decode(ids[:most].tolist()), most)


def _why_without(found: LossMask, rows: numpy.ndarray, tokenizer) -> str:
    end = max((_template_behind(found, row, tokenizer) for row in rows[:20].tolist()), key=len)
    if not end:
        return "The chat template writes nothing behind a reply, so the model does not learn to stop."
    tokens = tokenizer.encode(end, add_special_tokens=False)
    if len(tokens) == 1:
        return f"The template ends a reply with {quoted(end, 40)} (id {tokens[0]}): the model learns it, and goes on."
    return f"The template ends a reply with {quoted(end, 40)}, which to this tokenizer is plain text."


def _template_behind(found: LossMask, row: int, tokenizer) -> str:
    """What the template writes behind a row's reply."""
    text = tokenizer.decode(found.rendering.ids[row][found.starts[row] :].tolist())
    content = found.rendering.rows[row]["messages"][-1]["content"].strip()
    before, _, behind = text.rpartition(content) if content else ("", "", text)
    return behind.strip() if before or not content or text.startswith(content) else ""


def _prompt_not_prefix(found: LossMask, where: str, tokenizer, masked: bool) -> list[dict]:
    rows = numpy.flatnonzero(found.agreed < found.prompt_lengths)
    if not len(rows):
        return []
    harmless = all(_only_whitespace(found, row, tokenizer) for row in rows.tolist())

    def describe(row: int) -> str:
        ids, prompt, agreed = found.rendering.ids[row], found.rendering.prompts[row], found.agreed[row]
        parted = f"{_text(prompt[agreed:], tokenizer)} in the prompt, {_text(ids[agreed:], tokenizer)} in the whole"
        moved = int(len(prompt) - found.starts[row]) if masked else 0
        if moved == 0:
            return parted
        return parted + f"; {counted(abs(moved), 'token')} {'too few' if moved > 0 else 'too many'} in the loss"

    cause = "The chat template writes a prompt that is not how the same messages begin with the reply behind them, or "
    cause += "tokens merge where the two meet. An app asks with a prompt that training never showed"
    if masked:
        cause += "; and mlx-lm's loss begins behind as many tokens as the prompt has, whatever tokens they are"
    return [
        finding(
            "loss.prompt_not_prefix",
            "warning" if harmless else "error",
            f"In {len(rows):,} of {counted(len(found.lengths), 'row')} the prompt is not the beginning of the whole text"
            + (" (but for one token of white space)" if harmless else ""),
            evidence=row_lines(found, rows, describe),
            cause=cause + ".",
            fix=LIKE_THE_WHOLE,
            where=where,
        )
    ]


def _only_whitespace(found: LossMask, row: int, tokenizer) -> bool:
    """Do prompt and whole differ in white space alone, and the mask by one token of it at most?"""
    agreed, start, offset = found.agreed[row], found.starts[row], found.prompt_lengths[row]
    if abs(int(offset - start)) > 1:
        return False
    parts = found.rendering.prompts[row][agreed:], found.rendering.ids[row][agreed : max(start, offset)]
    return not any(tokenizer.decode(part.tolist()).strip() for part in parts)


def _nothing_trained(found: LossMask, where: str) -> list[dict]:
    if found.train_on:
        return _without_reply(found, where)
    rows = numpy.flatnonzero((found.offsets > found.ends) | (found.offsets >= found.lengths))
    if not len(rows):
        return []
    return [
        finding(
            "loss.nothing_trained",
            "error",
            f"In {len(rows):,} of {counted(len(found.lengths), 'row')} no token of the reply carries loss",
            evidence=row_lines(
                found,
                rows,
                lambda row: (
                    f"the loss begins at token {found.offsets[row]:,}, its reply ends before {found.ends[row] + 1:,}"
                ),
            ),
            cause="The prompt alone is as long as prompt and reply together: the template writes something into "
            "prompts only. mlx-lm's mask then covers the whole reply.",
            fix=LIKE_THE_WHOLE,
            where=where,
        )
    ]


def _without_reply(found: LossMask, where: str) -> list[dict]:
    """With the study's trainer: rows that it leaves out."""
    rows = [row for row in range(len(found.lengths)) if not len(found.trained_positions(row))]
    if not rows:
        return []
    return [
        finding(
            "loss.nothing_trained",
            "error" if len(rows) == len(found.lengths) else "warning",
            f"{len(rows):,} of {counted(len(found.lengths), 'row')} have no reply to train on, and are left out",
            evidence=row_lines(
                found,
                numpy.array(rows),
                lambda row: (
                    f"its last message is the {found.rendering.rows[row]['messages'][-1]['role']}'s"
                    if found.lengths[row] <= found.limit
                    else f"{found.lengths[row]:,} tokens, cut at {found.limit:,}"
                ),
            ),
            cause="`ftstudy:` trains replies alone; in these rows none is left below max_seq_length, or the last message "
            "is not the assistant's.",
            fix="Raise max_seq_length, or extract rows that end with a reply; with `train_on: all` earlier ones count.",
            where=where,
        )
    ]
