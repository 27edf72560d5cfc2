"""Rows of plain text: is what the app sends the beginning of what was trained?

A text has no roles, so the question in it is found by the app's own prompt: what the app writes before and after a
question is looked for in the text, and the prompt for the question between the two must be the text's beginning.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy

from ... import chat_format
from ...chat_format.template import Template
from ...errors import StudyError
from ..content.text_rows import is_printed
from ..evidence import counted, in_rows, listed, quoted
from ..findings import Check, Finding
from ..run_inputs import RunInputs
from .checks import BOS, ROLE_HEADER, WHITESPACE
from .prompts import added_by_encode, begins, text_of
from .reading import squeezed

NOT_COMPARED = Check(
    "parity.text_rows",
    ("info",),
    "The app's prompt could not be compared with rows of plain text.",
    cause="A text has no roles, and the app's prompt doesn't show what it adds around a question.",
    fix="Describe the app's prompt by a profile of the kind `template`, record it with `ftstudy record`, or write the rows "
    "as `messages`.",
    bad="",
    good="",
)
CHECKS = (NOT_COMPARED,)
INSPECTED = 200  # rows of each split, evenly spread
MOSTLY = 0.5  # of the rows
QUESTION = "Is anybody home tonight"  # no punctuation, which an app may add or take off
TITLES = {
    ROLE_HEADER: "The app asks in a form that the trained texts don't have",
    WHITESPACE: "The app's prompt differs from the trained texts in white space",
    BOS: "The app's prompt differs from the trained texts in the start token",
}
FIXES = {
    ROLE_HEADER: "Ask in the trained form (here texts begin with {training}), or write the rows as `messages`, so that "
    "training uses the chat template that the app uses.",
    WHITESPACE: "Make the app's prompt match these texts exactly, without an extra space or line break.",
    BOS: "Send the start token exactly as often as training has it.",
}


@dataclass
class Compared:
    """Rows of text, compared with what the app sends."""

    rows: int = 0
    same: int = 0
    found: dict = field(default_factory=lambda: defaultdict(list))  # check -> (split, line, training, inference)
    reason: str = ""  # why nothing could be compared


def check(inputs: RunInputs) -> list[Finding]:
    """Findings on the app's prompt and the rows of text that the chat template didn't write."""
    found = inputs.measured["texts"] = compared(inputs)
    if found.reason:
        return [NOT_COMPARED.found("info", f"The app's prompt was not compared with the text rows: {found.reason}")]
    findings = _without_start(inputs)
    for one, hits in found.found.items():
        if len(hits) <= MOSTLY * found.rows and one is ROLE_HEADER:
            reason = f"{counted(len(hits), 'text')} of {found.rows:,} have no question in the app's form"
            findings.append(NOT_COMPARED.found("info", f"Some text rows were not compared: {reason}"))
            continue
        split, line, training, inference = hits[0]
        evidence = [
            f"{split} line {line}",
            f"training:  {quoted(training, 150)}",
            f"inference: {quoted(inference, 150)}",
        ]
        findings.append(
            one.found(
                "error",
                f"{TITLES[one]} ({len(hits):,} of {found.rows:,} texts)",
                evidence=listed(evidence),
                where=inputs.splits[split].where,
                cause=None
                if one is BOS
                else "The model was trained on these texts as they are, and continues what begins like them.",
                fix=FIXES[one].format(training=quoted(training[:30], 40)),
            )
        )
    return findings


def _without_start(inputs: RunInputs) -> list[Finding]:
    """The finding on texts in the template's form without its start token, which the app's prompt has."""
    template, hits = Template(inputs.tokenizer), []
    if inputs.profile is None or not template.bos_stands_alone:
        return []
    start = inputs.tokenizer.bos_token_id
    for name in inputs.splits:
        own = dict(zip([line for line, _ in inputs.texts(name)], inputs.text_ids(name)))
        rows = inputs.conversations(name) if own else None
        for line, prompt in zip(rows.numbers, rows.prompts) if rows else ():
            if len(prompt) and prompt[0] == start and len(own[line]) and own[line][0] != start:
                hits.append((name, line, f"begins with {quoted(inputs.tokenizer.decode(own[line][:1].tolist()))}"))
    title = "of text lack the start token that the app's prompt has"
    return in_rows(inputs, BOS, "error", hits, title, fix=f"Write {inputs.tokenizer.bos_token} before each text.")


def compared(inputs: RunInputs) -> Compared:
    """What the app sends for the questions of the text rows, and whether the rows begin with it."""
    rows = [row for name in inputs.splits for row in _rows(inputs, name)]
    found, profile = Compared(), inputs.profile
    if not rows or profile is None:
        return found
    template = Template(inputs.tokenizer)
    if profile["kind"] == "captured":
        return _captured(rows, profile, template, found)
    try:
        before, after = _frame(profile, template)
    except StudyError as error:
        found.reason = str(error).rstrip(".")
        return found
    for split, line, _, text, ids in rows:
        found.rows += 1
        try:
            kind, inference = _differs(text, ids, before, after, profile, template)
        except StudyError as error:
            found.reason = str(error).rstrip(".")
            return found
        found.same += kind is None
        if kind:
            found.found[kind].append((split, line, text, inference))
    return found


def _rows(inputs: RunInputs, name: str) -> list[tuple]:
    """(split, line, row from 0, text, token ids) of rows that the chat template didn't write, nor a script printed."""
    texts = inputs.texts(name)
    if len(texts) <= MOSTLY * len(inputs.splits[name].rows):
        return []  # the others have another schema, which the data family reports
    known, blank = set(inputs.conversations(name).numbers), inputs.splits[name].blank
    rows = [
        (name, line, line - 1 - sum(one < line for one in blank), text, ids)
        for (line, text), ids in zip(texts, inputs.text_ids(name))
        if line not in known and not is_printed(text)
    ]
    return rows[:: max(1, len(rows) // INSPECTED)]


def _captured(rows: list[tuple], profile: dict, template: Template, found: Compared) -> Compared:
    decode = template.tokenizer.decode
    for split, line, row, text, ids in rows:
        prompt = profile["rows"].get((split, row))
        if prompt is None:
            continue
        asked = chat_format.encoded(prompt, template.tokenizer)
        found.rows += 1
        found.same += begins(ids, asked)
        if not begins(ids, asked):
            kind = _kind(ids, asked, template, squeezed(text).startswith(squeezed(decode(asked))))
            found.found[kind].append((split, line, text, decode(asked)))
    if not found.rows:
        found.reason = "no prompt was recorded for them"
    return found


def _frame(profile: dict, template: Template) -> tuple[str, str]:
    """What the app writes before and after a question. Raises StudyError if its prompt doesn't contain the question."""
    prompt = chat_format.prompt_of(_asking(QUESTION), profile, None, template.tokenizer)
    text = text_of(prompt, template, None, ("", ""))
    text = template.tokenizer.decode(prompt) if text is None else text
    before, found, after = text.partition(QUESTION)
    if not found:
        raise StudyError("the prompt doesn't contain the question.")
    return template.without_bos(before)[1], after


def _asking(question: str) -> dict:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": "ok"}]}


def _differs(text: str, ids: numpy.ndarray, before: str, after: str, profile: dict, template: Template) -> tuple:
    """The check that fails on a text, or None, and the prompt that the app would send."""
    bare = template.without_bos(text)[1]
    at, question = _between(bare, before, after)
    if at and question is not None:
        return None, ""  # a question in the middle of a longer text
    if question is None:
        _, question = _between(bare.strip(), before.strip(), after.strip())
    if question is None:
        return ROLE_HEADER, before + QUESTION + after
    prompt = chat_format.prompt_of(_asking(question), profile, None, template.tokenizer)
    asked = chat_format.encoded(prompt, template.tokenizer)
    if begins(ids, asked):
        return None, ""
    written = text_of(prompt, template, None, added_by_encode(template.tokenizer))
    return _kind(ids, asked, template), written or template.tokenizer.decode(asked)


def _between(text: str, before: str, after: str) -> tuple[int, str | None]:
    """Where the app's words begin in a text, at its beginning or after a line break, and the question between them."""
    at = 0 if text.startswith(before) else text.find("\n" + before) + 1
    if not text.startswith(before, at):
        return 0, None
    end = text.find(after, at + len(before)) if after else len(text)
    return at, text[at + len(before) : end] if end >= 0 else None


def _kind(ids: numpy.ndarray, asked: list[int], template: Template, same_words: bool = True) -> Check:
    """Which check fails where a text doesn't begin with the app's token ids."""
    bos = template.tokenizer.bos_token_id
    counts = [next((at for at, token in enumerate(side) if token != bos), len(side)) for side in (ids, asked)]
    if counts[0] != counts[1] and begins(ids[counts[0] :], asked[counts[1] :]):
        return BOS
    return WHITESPACE if same_words else ROLE_HEADER
