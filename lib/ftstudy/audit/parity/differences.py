"""In what an inference prompt differs from the training prompt: texts in, check ids out.

The inference text is read with the template's own markup: as the conversation itself, then with
one thing changed after another (other turns, other arguments, other contents, other white space),
until a reading fits. What had to be changed is the difference. A text that no reading fits has
markup of another kind.
"""

import re

from ...chat_format.template import Skeleton, Template
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


# --- what a reading that fits says -----------------------------------------------------------


def _compared(reading: Reading, template: Template, trained: list[Turn], training: str, inference: str) -> Told:
    found = {}
    if reading.arguments:
        found["parity.template_arguments"] = (*cut(training, inference), f"as with {reading.arguments}")
    asked = list(zip(reading.roles, reading.contents))
    default = template.default_system
    stripped = [(role, text.strip()) for role, text in trained]  # the edges count as markup
    of_contents, partners = of_turns(stripped, asked, default, default in reading.skeleton.markup[0])
    found |= of_contents
    partners = [trained[partners[at]][1] if at in partners else "" for at in range(len(asked))]
    for check, told in _white_space(reading, partners).items():
        found.setdefault(check, told)
    last = reading.contents[-1], partners[-1]
    end = last[1][len(last[1].rstrip()) :] + reading.skeleton.end
    if check := _of_end(end, reading.tail, squeezed(last[0]) != squeezed(last[1])):
        found.setdefault(check, (end, reading.tail, ""))
    return found


def _white_space(reading: Reading, partners: list[str]) -> Told:
    """The first stretch of markup that is spaced in another way; what edges contents have counts to it."""
    before, is_changed = "", False
    for content, partner, given, markup in zip(reading.contents, partners, reading.markups, reading.skeleton.markup):
        now_changed = squeezed(content) != squeezed(partner)
        left, right = before[len(before.rstrip()) :], partner[: len(partner) - len(partner.lstrip())]
        start, end = given.find(markup), given.find(markup) + len(markup)
        if given != left + markup + right and not (
            start >= 0
            and (given[:start] == left or is_changed and not given[:start].strip())
            and (given[end:] == right or now_changed and not given[end:].strip())
        ):
            return {"parity.whitespace": (left + markup + right, given, "")}
        before, is_changed = partner, now_changed
    return {}


def _of_end(end: str, tail: str, is_changed: bool) -> str | None:
    """What is different after the last message: the end of its turn, and the header of the reply."""
    if tail == end or is_changed and tail.lstrip() == end.lstrip():
        return None
    if squeezed(tail) == squeezed(end):
        return "parity.whitespace"
    if end.startswith(tail.rstrip()) or tail.startswith(end.rstrip()):
        return "parity.end_of_prompt"  # the header is not there, or text that nobody wrote follows it
    return "parity.role_header"
