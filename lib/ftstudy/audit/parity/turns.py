"""Two prompts read as turns, and which turns of one correspond to which of the other."""

import re
from dataclasses import replace
from difflib import SequenceMatcher
from typing import NamedTuple

from ...chat_format import text_of
from ...chat_format.template import Template
from .other_markup import read_other_markup
from .reading import Reading, Turn, read, squeezed


class Prompts(NamedTuple):
    """Both prompts of one example. Turns are numbered from 0; -1 is a system text that the template adds."""

    training: Reading
    inference: Reading
    pairs: list[tuple[int, int]]  # turns that correspond, in order
    systems: tuple[int | None, int | None]  # the system turn of each side; None: there is none

    def unpaired(self, side: int) -> list[int]:
        paired = {self.systems[side], *(pair[side] for pair in self.pairs)}
        return [at for at in range(len(self[side].roles)) if at not in paired]

    def regions(self, side: int) -> list[str]:
        """Of each turn. A turn that only one side has counts as an earlier turn, except training's question."""
        question = last_user(self.training.turns) if side == 0 else None
        earlier = set(self.unpaired(side)) - {question}
        return [
            "system" if role == "system" else "assistant" if role == "assistant" or at in earlier else "user"
            for at, role in enumerate(self[side].roles)
        ]


def read_prompts(example: dict, template: Template, training: str, inference: str) -> Prompts:
    """Both texts, with their special tokens, as turns that are paired."""
    messages, tools = example["messages"][:-1], example.get("tools")
    starts, texts = _without_starts(template, training, inference)
    given = [(message["role"], text_of(message)) for message in messages]
    special = [token for token in template.special if token in texts[0] or token in texts[1]]
    trained = _as_written(messages, template, training, texts[0], tools)
    trained = trained or read(texts[0], given, template, tools, special) or read_other_markup(texts[0], given, template)
    asked = read(texts[1], trained.turns, template, tools, special)
    asked = asked or read_other_markup(texts[1], trained.turns, template)
    systems = tuple(side.roles.index("system") if "system" in side.roles else None for side in (trained, asked))
    return Prompts(
        replace(trained, start=starts[0], full=training),
        replace(asked, start=starts[1], full=inference),
        _paired(trained.turns, asked.turns, systems),
        systems,
    )


def _without_starts(template: Template, training: str, inference: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """The start tokens of both texts, and both texts without them."""
    bos = template.tokenizer.bos_token or ""
    (count, training), (starts, inference) = template.without_bos(training), template.without_bos(inference)
    # A prompt may begin with extra special tokens or white space, and then continue as in training.
    front = inference[: max(0, inference.find(training[:20]))]
    tokens = "|".join(re.escape(token) for token in template.special if token) or "(?!)"
    extra = "".join(re.findall(tokens, front))
    blank = re.sub(tokens, "", front)
    if blank.strip():
        front = extra = blank = ""
    return (bos * count, bos * starts + extra), (training, blank + inference[len(front) :])


def _as_written(messages: list[dict], template: Template, full: str, text: str, tools) -> Reading | None:
    """The training prompt, whose contents are known; None if the template changes them."""
    roles = tuple(message["role"] for message in messages)
    spans = template.contents(messages, full, tools)
    if spans is None:
        return None
    cut = len(full) - len(text)
    spans = tuple((start - cut, end - cut) for start, end in spans)
    return Reading(text, roles, spans, template.skeleton(roles, tools))


def _paired(trained: list[Turn], asked: list[Turn], systems: tuple[int | None, int | None]) -> list[tuple[int, int]]:
    """Turns besides the first system turns are paired if they have the same text; then, between these, those of the
    same role, or of the same text, from the end."""
    numbers = [[at for at in range(len(turns)) if at != own] for turns, own in zip((trained, asked), systems)]
    keys = [[(turns[at][0], squeezed(turns[at][1])) for at in own] for turns, own in zip((trained, asked), numbers)]
    pairs = []
    for _, a0, a1, b0, b1 in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        for left, right in zip(range(a1 - 1, a0 - 1, -1), range(b1 - 1, b0 - 1, -1)):
            if any(mine == theirs for mine, theirs in zip(keys[0][left], keys[1][right])):
                pairs.append((numbers[0][left], numbers[1][right]))
    return sorted(pairs)


def last_user(turns: list[Turn]) -> int:
    """The number of the question that is answered; -1 if there is none."""
    return max((at for at, (role, _) in enumerate(turns) if role == "user"), default=-1)
