"""Texts and messages become token ids. A tokenizer's chat template is called here and nowhere else."""

from collections.abc import Sequence

import numpy

from ..files.limits import CHARACTERS, SECONDS, bounded, limited
from ..paths import shown


def template_text(messages: list, tokenizer, tools: list | None = None, *, prompt: bool = False, **arguments):
    """The messages as the chat template writes them; with `prompt`, up to and including the header of the reply.

    A list of conversations gives a list of texts. Raises whatever the template raises, and StudyError for one that
    loops or grows without end.
    """
    several = bool(messages) and isinstance(messages[0], list)
    if several:  # one alone first: all of them may be too much for the memory
        template_text(messages[0], tokenizer, tools, prompt=prompt, **arguments)
    with _bounded(tokenizer, arguments.get("chat_template"), len(messages)):
        made = tokenizer.apply_chat_template(
            messages, tools=tools, add_generation_prompt=prompt, tokenize=False, **arguments
        )
        for text, conversation in zip(made, messages) if several else [(made, messages)]:
            if len(text) > CHARACTERS:  # which few conversations are
                bounded(text, len(repr(conversation)) + len(repr(tools)), _grows(tokenizer))
        return made


def template_ids(messages: list[dict], tokenizer, tools: list | None = None, *, prompt: bool = False) -> list[int]:
    """The token ids of `template_text`. Raises as it does."""
    with _bounded(tokenizer, None, len(messages)):
        ids = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=prompt, return_dict=False)
        return list(ids)


def guarded(tokenizer):
    """A block that calls the chat template itself. Raises StudyError where the template loops or grows without end."""
    return _bounded(tokenizer, None, 1)


def _bounded(tokenizer, template: str | None, messages: int):
    seconds = SECONDS + messages / 20
    return limited(
        lambda: _grows(tokenizer, f"it took more than {seconds:.0f} seconds or 2 GB of memory"),
        seconds,
        template=str(template or tokenizer.chat_template),
    )


def _grows(tokenizer, how: str = "it makes millions of characters of a conversation") -> str:
    return (
        f"The chat template of {shown(getattr(tokenizer, 'name_or_path', '') or 'the model')} loops or grows without "
        f"end: {how}. Use the template that the model was published with, or take out the loop."
    )


def unwrapped(tokenizer):
    """transformers' tokenizer, around which mlx-lm's is a shell; any other tokenizer as it is."""
    inner = getattr(tokenizer, "_tokenizer", tokenizer)
    return inner if callable(inner) else tokenizer  # transformers' own has an inner one, too


def encode_prompt(prompt: str, tokenizer) -> list[int]:
    """A prompt string as `mlx_lm.generate` tokenizes it: no template, and a start token if it has none."""
    bos = tokenizer.bos_token
    return list(tokenizer.encode(prompt, add_special_tokens=bos is None or not prompt.startswith(bos)))


def encode(texts: list[str], tokenizer) -> list[numpy.ndarray]:
    """Token ids of texts that already contain their special tokens: one int32 array per text."""
    if not texts:
        return []
    encoded = unwrapped(tokenizer)(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
    return [numpy.array(ids, dtype=numpy.int32) for ids in encoded]


def text_ids(texts: list[str], tokenizer) -> list[numpy.ndarray]:
    """Rows of plain text as mlx-lm trains them, with the tokenizer's start token and an end: one int32 array per text.

    The same as `mlx_lm.tuner.datasets.TextDataset.process`, except that without an end token, with which mlx-lm aborts,
    the texts end as they do.
    """
    if not texts:
        return []
    encoded = unwrapped(tokenizer)(texts, return_attention_mask=False)["input_ids"]
    end = [tokenizer.eos_token_id]
    end = [] if end == [None] else end
    return [numpy.array(ids if ids[-1:] == end else [*ids, *end], dtype=numpy.int32) for ids in encoded]


def end_of_turn_ids(tokenizer) -> set[int]:
    return set(getattr(tokenizer, "eos_token_ids", None) or [tokenizer.eos_token_id])


def common_prefix(left: Sequence, right: Sequence) -> int:
    """How many leading items two sequences share."""
    return next((index for index, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))
