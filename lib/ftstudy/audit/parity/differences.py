"""Compare an inference prompt with the training prompt; return the ids of the checks that fail.

Both are texts. The inference prompt is read as turns of the model's chat template (`reading`), and each turn is
compared with its partner in training (`contents`). A text with other markup goes to `markup`.
"""

import re

from ...chat_format.template import Template
from .contents import Told, Turn, cut, of_turns
from .markup import other_markup
from .reading import Reading, read, squeezed


def differences(example: dict, template: Template, training: str, inference: str) -> Told:
    """Check id -> (text in training, text at inference, note or ""). Both texts hold their special tokens."""
    messages, tools = example["messages"][:-1], example.get("tools")
    spans = template.contents(messages, training, tools)
    known = [training[start:end] for start, end in spans] if spans else [turn["content"] for turn in messages]
    found, training, inference = _starts(template, training, inference)
    if training == inference:
        return found
    if squeezed(training) == squeezed(inference):
        return found | {"parity.whitespace": (*cut(training, inference), "")}
    special = [token for token in template.special if token in training or token in inference]
    trained = [(message["role"], text) for message, text in zip(messages, known)]
    reading = read(inference, trained, template, tools, special)
    if reading:
        return found | _compared(reading, template, trained, training, inference)
    return found | other_markup(trained, template, training, inference)


def _starts(template: Template, training: str, inference: str) -> tuple[Told, str, str]:
    """What is said of the start tokens, and both texts without them."""
    bos = template.tokenizer.bos_token or ""
    (count, training), (starts, inference) = template.without_bos(training), template.without_bos(inference)
    # A prompt may begin with extra special tokens or white space, and then continue as in training.
    front = inference[: max(0, inference.find(training[:20]))]
    tokens = "|".join(re.escape(token) for token in template.special if token) or "(?!)"
    extra = re.findall(tokens, front)
    blank = re.sub(tokens, "", front)
    if blank.strip():
        front, extra, blank = "", [], ""
    found = {}
    if [bos] * count != [bos] * starts + extra:
        found["parity.bos"] = (bos * count, bos * starts + front, "")
    return found, training, blank + inference[len(front) :]


def _compared(reading: Reading, template: Template, trained: list[Turn], training: str, inference: str) -> Told:
    found = {}
    if reading.arguments:
        found["parity.template_arguments"] = (*cut(training, inference), f"as with {reading.arguments}")
    asked = list(zip(reading.roles, reading.contents))
    default = template.default_system
    stripped = [(role, text.strip()) for role, text in trained]  # the edges count as markup
    of_contents, partners = of_turns(stripped, asked, default, default in reading.skeleton.markup[0])
    found |= of_contents
    partners = [trained[partners[at]][1] if at in partners else None for at in range(len(asked))]
    for check, told in _white_space(reading, partners).items():
        found.setdefault(check, told)
    end = _edges(partners[-1])[1] + reading.skeleton.end
    if check := _of_end(end, reading.tail, _is_changed(reading.contents[-1], partners[-1])):
        found.setdefault(check, (end, reading.tail, ""))
    return found


def _is_changed(content: str, partner: str | None) -> bool:
    return partner is None or squeezed(content) != squeezed(partner)


def _white_space(reading: Reading, partners: list[str | None]) -> Told:
    """The first markup with other white space. White space at the edges of a training content counts as markup; at
    the edges of a changed content it belongs to that content."""
    before, was_changed = None, False
    for content, partner, given, markup in zip(reading.contents, partners, reading.markups, reading.skeleton.markup):
        is_changed = _is_changed(content, partner)
        left, right = _edges(before)[1], _edges(partner)[0]
        own = [rf"{re.escape(edge)}" + r"|\s*" * free for edge, free in ((left, was_changed), (right, is_changed))]
        if not re.fullmatch(f"(?:{own[0]}){re.escape(markup)}(?:{own[1]})", given):
            return {"parity.whitespace": (left + markup + right, given, "")}
        before, was_changed = partner, is_changed
    return {}


def _edges(text: str | None) -> tuple[str, str]:
    """The white space at the start and at the end of a text."""
    text = text or ""
    start = len(text) - len(text.lstrip())
    return text[:start], text[max(start, len(text.rstrip())) :]


def _of_end(end: str, tail: str, is_changed: bool) -> str | None:
    """What is different after the last message: the end of its turn, and the header of the reply."""
    if tail == end or is_changed and tail.lstrip() == end.lstrip():
        return None
    if squeezed(tail) == squeezed(end):
        return "parity.whitespace"
    end, tail = end.strip(), tail.strip()
    if end.startswith(tail) or tail.startswith(end):
        return "parity.end_of_prompt"  # the header is not there, or text that nobody wrote follows it
    return "parity.role_header"
