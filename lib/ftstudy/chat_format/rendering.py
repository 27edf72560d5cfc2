"""Rows as the trainer sees them: token ids, and where the reply begins.

The same as `mlx_lm.tuner.datasets.ChatDataset.process`, row by row, but the template and the
tokenizer get many rows at once, and what prompt and whole text share is tokenized once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy

from ..progress import bar
from .tokens import encode, template_text

BATCH = 1000  # rows at a time: memory stays bounded


@dataclass
class Rendering:
    """Parallel lists, one entry a conversation that the chat template takes."""

    numbers: list[int] = field(default_factory=list)  # line numbers in the file
    rows: list[dict] = field(default_factory=list)
    ids: list[numpy.ndarray] = field(default_factory=list)  # token ids of the whole conversation
    prompts: list[numpy.ndarray] = field(default_factory=list)  # … and of the prompt alone, up to the reply
    refused: list[str] = field(default_factory=list)  # "line 3: why", of conversations not among the above …
    prompts_refused: list[str] = field(default_factory=list)  # … and those of them whose prompt alone is refused

    def offsets(self) -> list[int]:
        """Where mlx-lm's loss mask begins with `mask_prompt`: the length of the prompt."""
        return [len(prompt) for prompt in self.prompts]


def render(chats: Sequence[tuple[int, dict]], tokenizer) -> Rendering:
    """Render (line number, row) pairs; rows are conversations as `run_inputs.is_chat` has them."""
    found = Rendering()
    markers = _markers(tokenizer)
    for start in bar(range(0, len(chats), BATCH), desc="rendering rows", unit=f"×{BATCH:,}", delay=1):
        _render(chats[start : start + BATCH], tokenizer, markers, found)
    return found


def _render(chats: Sequence[tuple[int, dict]], tokenizer, markers: "_Markers", found: Rendering) -> None:
    rows = [row for _, row in chats]
    wholes = None
    try:
        wholes, prompts = _texts(rows, tokenizer)
        ids = encode(wholes, tokenizer)
        prompt_ids = _prompt_ids(wholes, prompts, ids, tokenizer, markers)
    except Exception as error:  # a template raises what it likes; jinja2's errors among it
        if len(chats) > 1:  # somewhere among these: halving finds the row
            middle = len(chats) // 2
            _render(chats[:middle], tokenizer, markers, found)
            _render(chats[middle:], tokenizer, markers, found)
        else:
            why = f"line {chats[0][0]}: {type(error).__name__}: {_one_line(error)}"
            found.refused.append(why)
            if _takes_whole(rows[0], tokenizer):
                found.prompts_refused.append(why)
        return
    found.numbers += [number for number, _ in chats]
    found.rows += rows
    found.ids += ids
    found.prompts += prompt_ids


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:160]
    return text.encode("utf-8", "backslashreplace").decode()


def _takes_whole(row: dict, tokenizer) -> bool:
    try:
        return bool(encode([_whole(row, tokenizer)], tokenizer))
    except Exception:
        return False


# --- texts ----------------------------------------------------------------------------------


def _texts(rows: list[dict], tokenizer) -> tuple[list[str], list[str]]:
    """The rows' whole texts, and the texts of their prompts."""
    conversations = [row["messages"] for row in rows]
    # One call for all rows; not where rows differ in what the call is given, and not for a single
    # message: alone, its empty prompt is refused, in a list it is not.
    if all(row.get("tools") is None and _asks(row) and len(row["messages"]) > 1 for row in rows):
        wholes = template_text(conversations, tokenizer)
        prompts = template_text([messages[:-1] for messages in conversations], tokenizer, prompt=True)
        if all(isinstance(texts, list) and len(texts) == len(rows) for texts in (wholes, prompts)):
            return wholes, prompts
    return [_whole(row, tokenizer) for row in rows], [_prompt(row, tokenizer) for row in rows]


def _asks(row: dict) -> bool:
    return row["messages"][-1].get("role") == "assistant"


def _whole(row: dict, tokenizer) -> str:
    return template_text(row["messages"], tokenizer, row.get("tools"))


def _prompt(row: dict, tokenizer) -> str:
    return template_text(row["messages"][:-1], tokenizer, row.get("tools"), prompt=_asks(row))


# --- token ids ------------------------------------------------------------------------------


@dataclass
class _Markers:
    """Tokens like <|im_start|>: `pattern` finds them in a text; None, where nothing is known of them."""

    pattern: re.Pattern | None
    ids: dict[str, int]  # of those that part a text: what stands on either side is tokenized by itself


def _markers(tokenizer) -> _Markers:
    fast = getattr(tokenizer, "_tokenizer", tokenizer)
    added = getattr(fast, "added_tokens_decoder", {}) if getattr(fast, "is_fast", False) else {}
    if not added:
        return _Markers(None, {})
    longest_first = sorted((token.content for token in added.values()), key=len, reverse=True)
    # Those that are normalized first share that with the text about them.
    parting = {token.content: index for index, token in added.items() if not token.normalized}
    return _Markers(re.compile("|".join(map(re.escape, longest_first))), parting)


def _prompt_ids(
    wholes: list[str], prompts: list[str], ids: list[numpy.ndarray], tokenizer, markers: _Markers
) -> list[numpy.ndarray]:
    """Token ids of the prompts, equal to `encode(prompts)`.

    Up to the last marker in a prompt they are the whole text's. Only what follows, "assistant" and
    a line break, is encoded again: its tokens may depend on what comes after. It is the same text
    in most rows, and so encoded once.
    """
    cuts = [_shared(whole, prompt, own, markers) for whole, prompt, own in zip(wholes, prompts, ids)]
    ends = [prompt[characters:] for prompt, (_, characters) in zip(prompts, cuts)]
    unique = list(dict.fromkeys(ends))
    encoded = dict(zip(unique, encode(unique, tokenizer)))
    return [_joined(own, tokens, encoded[end]) for own, (tokens, _), end in zip(ids, cuts, ends)]


def _shared(whole: str, prompt: str, ids: numpy.ndarray, markers: _Markers) -> tuple[int, int]:
    """How many tokens, and how many characters, stand before the prompt's last marker; 0 and 0
    where the ids before it are not sure to be the same in the whole text."""
    if markers.pattern is None or not whole.startswith(prompt):
        return 0, 0
    last = None
    for last in markers.pattern.finditer(prompt):
        pass
    if last is None or last[0] not in markers.ids:
        return 0, 0
    positions = numpy.flatnonzero(ids == markers.ids[last[0]])
    if len(positions) != whole.count(last[0]):
        return 0, 0
    return int(positions[prompt.count(last[0], 0, last.start())]), last.start()


def _joined(own: numpy.ndarray, tokens: int, end: numpy.ndarray) -> numpy.ndarray:
    """own[:tokens] and `end` together; a view of `own` where it goes on like that."""
    length = tokens + len(end)
    if numpy.array_equal(own[tokens:length], end):
        return own[:length]
    return numpy.concatenate([own[:tokens], end])
