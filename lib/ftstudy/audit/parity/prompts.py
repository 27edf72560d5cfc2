"""Every row's prompt, as training has it and as the app would send it: which of them differ?"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy

from ... import chat_format
from ...chat_format.rendering import Rendering
from ...chat_format.template import Template
from ...errors import StudyError
from ...machine_failures import pass_on

INSPECTED = 50  # prompts that differ: differences of format show in the first few
ENCODED = 200  # texts: if all of these have other (or the same) tokens, so have the rest


@dataclass
class Row:
    split: str
    line: int  # from 1
    row: int  # from 0, without blank lines: the number in captured prompts
    example: dict
    whole: numpy.ndarray  # token ids of the conversation
    prompt: numpy.ndarray  # and of its prompt, as training has it

    @property
    def is_prefix(self) -> bool:
        """Whether the conversation begins with its prompt."""
        return begins(self.whole, self.prompt)


def begins(whole: numpy.ndarray, prompt) -> bool:
    return len(prompt) <= len(whole) and numpy.array_equal(whole[: len(prompt)], prompt)


def rows_of(name: str, rendering: Rendering, blank: list[int] = ()) -> Iterator[Row]:
    """The rows of one split that end with a reply; `blank` are the numbers of its blank lines."""
    for line, example, whole, prompt in zip(rendering.numbers, rendering.rows, rendering.ids, rendering.prompts):
        if example["messages"][-1]["role"] == "assistant":
            yield Row(name, line, line - 1 - bisect_left(blank, line), example, whole, prompt)


@dataclass
class Compared:
    """All rows, compared with what the app sends."""

    rows: int = 0
    different: int = 0
    missing: int = 0  # rows of which nothing was captured
    failures: list[str] = field(default_factory=list)
    differing: list[tuple[Row, list[int], str | None]] = field(default_factory=list)  # ids and text at inference
    not_prefixes: list[Row] = field(default_factory=list)  # whose conversation does not begin with the prompt


def compare_all(rows: Iterable[Row], template: Template, profile: dict) -> Compared:
    """Which rows are asked with other token ids. Texts are compared first, as encoding is slow; `differing`
    and `not_prefixes` hold the first few."""
    found, added, encoded = Compared(), added_by_encode(template.tokenizer), {True: 0, False: 0}
    for row in rows:
        if profile["kind"] == "captured" and (row.split, row.row) not in profile["rows"]:
            found.missing += 1
            continue
        messages, tools = row.example["messages"][:-1], row.example.get("tools")
        text = ids = None
        try:
            prompt = chat_format.prompt_of(row.example, profile, (row.split, row.row), template.tokenizer)
            if prompt == messages:
                same = True
            else:
                text = text_of(prompt, template, tools, added)
                same = text is not None and text == template.render(messages, tools)
                if text is None or encoded[same] < ENCODED:
                    encoded[same] += 1
                    ids = chat_format.encoded(prompt, template.tokenizer, tools)
                    same = numpy.array_equal(ids, row.prompt) or _same_but_for_the_day(ids, row, template)
        except StudyError as error:
            found.failures.append(f"{row.split} line {row.line}: {error}")
            continue
        found.rows += 1
        found.different += not same
        if same and not row.is_prefix and len(found.not_prefixes) < INSPECTED:
            found.not_prefixes.append(row)
        if not same and ids is not None and len(found.differing) < INSPECTED:
            found.differing.append((row, ids, text))
    return found


def _same_but_for_the_day(ids: list[int], row: Row, template: Template) -> bool:
    """Whether a prompt differs only in the date that the template writes: recorded on one day, compared on another."""
    if template.day is None:
        return False
    decode = template.tokenizer.decode
    asked, trained = decode(ids), decode(row.prompt.tolist())
    return template.day.sub("", asked) == template.day.sub("", trained)


def text_of(prompt, template: Template, tools, added: tuple[str, str]) -> str | None:
    """The prompt as a text with all its special tokens; None where it is token ids."""
    if isinstance(prompt, str):
        bos = template.tokenizer.bos_token
        return prompt if bos and prompt.startswith(bos) else added[0] + prompt + added[1]
    if isinstance(prompt[0], int):
        return None
    try:
        return chat_format.template_text(prompt, template.tokenizer, tools, prompt=True)
    except Exception as error:  # a template raises what it likes
        pass_on(error)
        raise StudyError(f"The chat template does not take the app's messages ({error}).") from error


def added_by_encode(tokenizer) -> tuple[str, str]:
    """What the tokenizer puts before and after a text that is encoded with special tokens."""
    bare, full = (list(tokenizer.encode("a", add_special_tokens=on)) for on in (False, True))
    at = next((at for at in range(len(full)) if full[at : at + len(bare)] == bare), 0)
    return tokenizer.decode(full[:at]), tokenizer.decode(full[at + len(bare) :])
