"""In what an inference prompt differs from the training prompt: texts in, check ids out.

The inference text is read with the template's own markup: as the conversation itself, then with
one thing changed after another (no system turn, other arguments, earlier turns dropped, other
contents, other white space), until a reading fits. What had to be changed is the difference. A
text that no reading fits has markup of another kind.
"""

import re

from .readings import Fit, Reading, fit, readings
from .regions import Skeleton, Template

CONTENT = {"system": "parity.system_text", "user": "parity.user_wrapper", "assistant": "parity.earlier_replies"}


def differences(example: dict, template: Template, training: str, inference: str) -> dict[str, tuple[str, str, str]]:
    """Check id -> (text in training, text at inference, note or ""). Both texts hold their special tokens."""
    messages, tools = example["messages"][:-1], example.get("tools")
    found = {}
    spans = template.contents(messages, training, tools)
    known = [training[start:end] for start, end in spans] if spans else [turn["content"] for turn in messages]
    (count, training), (starts, inference) = template.without_bos(training), template.without_bos(inference)
    extra = _doubled_start(training, inference, template.special)
    if count != starts or extra:
        bos = template.tokenizer.bos_token or ""
        found["parity.bos"] = (bos * count, bos * starts + extra, "")
        inference = inference.removeprefix(extra)
    if training == inference:
        return found
    special = [token for token in template.special if token in training or token in inference]
    fitting = fit(readings(messages, tools, template), known, special, inference)
    if fitting:
        return found | _compared(fitting, template, messages, known, training, inference)
    return found | _other_markup(messages, known, template, training, inference)


def _doubled_start(training: str, inference: str, special: tuple[str, ...]) -> str:
    """Special tokens in front of a prompt that goes on as training does."""
    extra = ""
    while not inference[len(extra) :].startswith(training[:20]):
        token = next((one for one in special if inference.startswith(one, len(extra))), None)
        if token is None:
            return ""
        extra += token
    return extra


# --- what a reading that fits says -----------------------------------------------------------


def _compared(
    fitting: Fit, template: Template, messages: list[dict], known: list[str], training: str, inference: str
) -> dict[str, tuple[str, str, str]]:
    found, reading = {}, fitting.reading
    if reading.arguments:
        found["parity.template_arguments"] = (*_cut(training, inference), f"as with {reading.arguments}")
    if reading.system == "dropped":
        note = (
            "the template puts its own in" if template.default_system in inference and template.default_system else ""
        )
        found["parity.default_system"] = (known[0] if messages[0]["role"] == "system" else template.default_system,
                                          template.default_system if note else "", note)  # fmt: skip
    if reading.dropped:
        first = int(messages[0]["role"] == "system")
        gone = "\n".join(known[first : first + reading.dropped])
        found["parity.earlier_replies"] = (gone, "", f"{reading.dropped} earlier turns are missing")
    for role, source, content in zip(reading.roles, reading.sources, fitting.contents):
        before = "" if source is None else known[source]
        if role == "system" and reading.system == "added":
            found["parity.default_system"] = (template.default_system, content, "training has no system message")
        elif content != before:
            found.setdefault(_of_content(role, before, content, template), (*_cut(before, content), ""))
    if fitting.loose:
        found |= _white_space(reading, fitting.markups, known)
    if check := _of_end(reading.skeleton, fitting.tail):
        found.setdefault(check, (reading.skeleton.end, fitting.tail, ""))
    return found


def _of_content(role: str, before: str, content: str, template: Template) -> str:
    if role == "system" and "" in (before.strip(), content.strip()) and before.strip() != content.strip():
        return "parity.default_system"
    if role == "system" and content.strip() == template.default_system.strip() != "":
        return "parity.default_system"
    if before.strip() == content.strip():
        return "parity.whitespace"
    return CONTENT.get(role, "parity.user_wrapper")


def _white_space(reading: Reading, markups: list[str], known: list[str]) -> dict[str, tuple[str, str, str]]:
    """The first stretch of markup that is spaced in another way; what edges contents have counts to it."""
    edges = [known[source] if source is not None else "" for source in reading.sources]
    for at, (given, markup) in enumerate(zip(markups, reading.skeleton.markup)):
        before = edges[at - 1] if at else ""
        trained = before[len(before.rstrip()) :] + markup + edges[at][: len(edges[at]) - len(edges[at].lstrip())]
        if given != trained:
            return {"parity.whitespace": (trained, given, "")}
    return {}


def _of_end(skeleton: Skeleton, tail: str) -> str | None:
    """What is different behind the last message: the end of its turn, and the header of the reply."""
    end = skeleton.end
    if tail == end:
        return None
    if "".join(tail.split()) == "".join(end.split()):
        return "parity.whitespace"
    if end.startswith(tail.rstrip()) or tail.startswith(end.rstrip()):
        return "parity.end_of_prompt"  # the header is not there, or text that nobody wrote follows it
    return "parity.role_header"


# --- markup of another kind ------------------------------------------------------------------

ROLES = "system|user|assistant|model|human|bot|ai|instruction|response|input|output"
MARKER = re.compile(
    r"<<?/?[^<>\s]{1,40}>>?"  # with the role that follows it, whatever it is called
    rf"(?:(?:{ROLES})\b:?|[^\S\n]*\w{{1,20}}:?[^\S\n]*(?=\n))?"
    rf"|\[/?[A-Z_]{{2,20}}\]|^\#{{2,}} ?\w+:?|^(?:{ROLES})\b *:?",
    re.IGNORECASE | re.MULTILINE,
)


def _other_markup(
    messages: list[dict], known: list[str], template: Template, training: str, inference: str
) -> dict[str, tuple[str, str, str]]:
    """The contents are looked for, and the words around them that are no markers belong to them."""
    has_system = bool(messages) and messages[0]["role"] == "system"
    default = template.default_system
    last = max((index for index, turn in enumerate(messages) if turn["role"] == "user"), default=-1)
    places = _places(known, inference)
    found: dict[str, tuple[str, str, str]] = {}

    def wrong(index: int, text: str) -> None:
        check = "parity.earlier_replies" if 0 < index < last else CONTENT.get(messages[index]["role"])
        if index == last:
            check = "parity.user_wrapper"
        found.setdefault(check or "parity.user_wrapper", (*_cut(known[index], text), ""))

    for index, turn in enumerate(messages):
        if index not in places and turn["role"] != "system":
            wrong(index, inference)
    edges = [(None, 0), *((index, end) for index, (_, end) in places.items())]
    following = [*((index, start) for index, (start, _) in places.items()), (None, len(inference))]
    lead = ""
    for (previous, start), (next_one, end) in zip(edges, following):
        pieces = MARKER.split(inference[start:end])
        around = [index for index in (previous, next_one) if index is not None]
        if previous is not None and _words(pieces[0]):
            wrong(previous, known[previous] + pieces[0])
        if next_one is not None and len(pieces) > 1 and _words(pieces[-1]):
            wrong(next_one, pieces[-1] + known[next_one])
        if previous is None:
            lead = "\n".join(filter(_words, pieces[:-1] if len(pieces) > 1 else pieces)).strip()
        if next_one is None and last in around:
            if len(pieces) == 1 or _words(pieces[-1]):
                found["parity.end_of_prompt"] = (training[-40:], inference[end - 40 : end], "")
    if not (has_system and 0 in places):
        if not places:  # without any content to hold on to: the first of several texts
            pieces = [piece for piece in MARKER.split(inference) if _words(piece)]
            lead = pieces[0].strip() if len(pieces) > 1 else ""
        trained = known[0] if has_system else default
        if default and default in inference:
            lead = default
        if lead != trained.strip():
            other = has_system and trained.strip() and lead and lead != default
            found["parity.system_text" if other else "parity.default_system"] = (trained, lead, "")
    sides = [[marker.strip() for marker in MARKER.findall(text)] for text in (training, inference)]
    if sides[0] != sides[1] or not found:
        found["parity.role_header"] = (*_cut(training, inference), "")
    return found


def _places(known: list[str], text: str) -> dict[int, tuple[int, int]]:
    """Where the contents stand in a text, in order; of several places one that a marker follows."""
    places, at = {}, 0
    for index, content in enumerate(content.strip() for content in known):
        starts = [match.start() for match in re.finditer(re.escape(content), text[at:])] if content else []
        ends = [at + start + len(content) for start in starts]
        closed = [end for end in ends if not text[end:].strip() or MARKER.match(text[end:].lstrip())]
        if ends:
            at = (closed or ends)[0]
            places[index] = (at - len(content), at)
    return places


def _words(text: str) -> str:
    """The text, if it holds any word."""
    return text if re.search(r"\w", text) else ""


def _cut(left: str, right: str, around: int = 20) -> tuple[str, str]:
    """Two texts without most of what they begin and end with in common."""
    start = next((at for at, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))
    longest = min(len(left), len(right)) - start
    end = next((at for at in range(longest) if left[-1 - at] != right[-1 - at]), longest)
    first = max(0, start - around)
    cut = [text[first : max(start, len(text) - max(0, end - around))] for text in (left, right)]
    return tuple(("…" if first else "") + text for text in cut)
