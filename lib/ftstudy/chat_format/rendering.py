"""Many rows become token ids: of each whole conversation and of its prompt.

Gives what `mlx_lm.tuner.datasets.ChatDataset.process` gives row by row, but passes many rows at once
to the template and the tokenizer, and tokenizes what prompt and whole text share only once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy

from ..errors import StudyError
from ..files.reading import why
from ..machine_failures import pass_on
from ..progress import bar
from .tokens import encode, template_text, unwrapped

BATCH = 1000  # rows at a time: memory stays bounded


@dataclass
class Rendering:
    """Parallel lists with one entry per conversation that the chat template accepts."""

    numbers: list[int] = field(default_factory=list)  # line numbers in the file
    rows: list[dict] = field(default_factory=list)
    ids: list[numpy.ndarray] = field(default_factory=list)  # token ids of the whole conversation
    prompts: list[numpy.ndarray] = field(default_factory=list)  # … and of the prompt alone, up to the reply
    refused: list[str] = field(default_factory=list)  # "line 3: why", of conversations not among the above …
    prompts_refused: list[str] = field(default_factory=list)  # … and those of them of which only the prompt is refused

    def offsets(self) -> list[int]:
        """Where mlx-lm's loss mask begins with `mask_prompt`: the length of the prompt."""
        return [len(prompt) for prompt in self.prompts]


def render(chats: Sequence[tuple[int, dict]], tokenizer) -> Rendering:
    """Render (line number, row) pairs; each row has `messages` with a role and a content, and perhaps `tools`."""
    found, markers, starts = Rendering(), _markers(tokenizer), range(0, len(chats), BATCH)
    many = bar(starts, desc="rendering rows", unit=f"×{BATCH:,}", delay=1) if len(starts) > 1 else starts
    for start in many:
        _render(chats[start : start + BATCH], tokenizer, markers, found)
    return found


def _render(chats: Sequence[tuple[int, dict]], tokenizer, markers: "_Markers", found: Rendering) -> None:
    rows = [row for _, row in chats]
    wholes = None
    try:
        wholes, prompts = _texts(rows, tokenizer)
        ids = encode(wholes, tokenizer)
        prompt_ids = _prompt_ids(wholes, prompts, ids, tokenizer, markers)
    except StudyError:  # the template never ends, for whatever row
        raise
    except Exception as error:  # a template raises what it likes; jinja2's errors among it
        pass_on(error)
        if len(chats) > 1:  # find the row by halving
            middle = len(chats) // 2
            _render(chats[:middle], tokenizer, markers, found)
            _render(chats[middle:], tokenizer, markers, found)
        else:
            reason = f"line {chats[0][0]}: {described(error)}"
            found.refused.append(reason)
            if _takes_whole(rows[0], tokenizer):
                found.prompts_refused.append(reason)
        return
    found.numbers += [number for number, _ in chats]
    found.rows += rows
    found.ids += ids
    found.prompts += prompt_ids


def described(error: Exception) -> str:
    """An exception on one line, also if it quotes what is not text."""
    return f"{type(error).__name__}: {why(error, 160)}".encode("utf-8", "backslashreplace").decode()


def _takes_whole(row: dict, tokenizer) -> bool:
    try:
        return bool(encode([_whole(row, tokenizer)], tokenizer))
    except Exception as error:
        pass_on(error)
        return False


# --- texts ----------------------------------------------------------------------------------


def _texts(rows: list[dict], tokenizer) -> tuple[list[str], list[str]]:
    """The rows' whole texts, and the texts of their prompts."""
    conversations = [row["messages"] for row in rows]
    # One call for all rows, unless rows need different arguments or have a single message, whose empty
    # prompt is refused only outside of a list.
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
    """Tokens like <|im_start|>: `pattern` finds them in a text; None if the tokenizer does not list them."""

    pattern: re.Pattern | None
    ids: dict[str, int]  # of those that divide a text: each side is tokenized on its own


def _markers(tokenizer) -> _Markers:
    fast = unwrapped(tokenizer)
    added = getattr(fast, "added_tokens_decoder", {}) if getattr(fast, "is_fast", False) else {}
    if not added:
        return _Markers(None, {})
    longest_first = sorted((token.content for token in added.values()), key=len, reverse=True)
    # Markers that are normalized first are normalized together with the text around them.
    parting = {token.content: index for index, token in added.items() if not token.normalized}
    return _Markers(re.compile("|".join(map(re.escape, longest_first))), parting)


def _prompt_ids(
    wholes: list[str], prompts: list[str], ids: list[numpy.ndarray], tokenizer, markers: _Markers
) -> list[numpy.ndarray]:
    """Token ids of the prompts, equal to `encode(prompts)` but faster.

    Up to its last marker a prompt has the ids of the whole text. Only the rest ("assistant" and a line
    break) is encoded again, since its tokens may depend on what comes after. Most rows share that
    text, so it is encoded once.
    """
    cuts = [_shared(whole, prompt, own, markers) for whole, prompt, own in zip(wholes, prompts, ids)]
    ends = [prompt[characters:] for prompt, (_, characters) in zip(prompts, cuts)]
    unique = list(dict.fromkeys(ends))
    encoded = dict(zip(unique, encode(unique, tokenizer)))
    return [_joined(own, tokens, encoded[end]) for own, (tokens, _), end in zip(ids, cuts, ends)]


def _shared(whole: str, prompt: str, ids: numpy.ndarray, markers: _Markers) -> tuple[int, int]:
    """The number of tokens and of characters before the prompt's last marker; 0 and 0 unless the ids
    before it are certainly the same in the whole text."""
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
    """own[:tokens] followed by `end`; a view of `own` if it continues with `end`."""
    length = tokens + len(end)
    if numpy.array_equal(own[tokens:length], end):
        return own[:length]
    return numpy.concatenate([own[:tokens], end])
