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
from .readings import Fit, fit, readings
from .turns import squeezed, turns_in


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
    turns = turns_in(inference, messages, known, template, tools)
    trained = [(message["role"], text) for message, text in zip(messages, known)]
    fitting = fit(readings(messages, tools, template, turns), known, special, inference)
    if fitting:
        return found | _compared(fitting, template, trained, training, inference)
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


def _compared(fitting: Fit, template: Template, trained: list[Turn], training: str, inference: str) -> Told:
    found, reading = {}, fitting.reading
    if reading.arguments:
        found["parity.template_arguments"] = (*cut(training, inference), f"as with {reading.arguments}")
    asked = list(zip(reading.roles, fitting.contents))
    default = template.default_system
    of_contents, partners = of_turns(trained, asked, default, default in reading.skeleton.markup[0])
    found |= of_contents
    if fitting.loose:
        found |= _white_space(reading.skeleton, fitting.markups, partners)
    if check := _of_end(reading.skeleton, fitting.tail):
        found.setdefault(check, (reading.skeleton.end, fitting.tail, ""))
    return found


def _white_space(skeleton: Skeleton, markups: list[str], partners: list[str]) -> Told:
    """The first stretch of markup that is spaced in another way; what edges contents have counts to it."""
    for at, (given, markup) in enumerate(zip(markups, skeleton.markup)):
        before = partners[at - 1] if at else ""
        trained = (
            before[len(before.rstrip()) :] + markup + partners[at][: len(partners[at]) - len(partners[at].lstrip())]
        )
        if given != trained:
            return {"parity.whitespace": (trained, given, "")}
    return {}


def _of_end(skeleton: Skeleton, tail: str) -> str | None:
    """What is different behind the last message: the end of its turn, and the header of the reply."""
    end = skeleton.end
    if tail == end:
        return None
    if squeezed(tail) == squeezed(end):
        return "parity.whitespace"
    if end.startswith(tail.rstrip()) or tail.startswith(end.rstrip()):
        return "parity.end_of_prompt"  # the header is not there, or text that nobody wrote follows it
    return "parity.role_header"
