"""Rows that should differ and are the same, and system texts that should be the same and differ."""

import re
from collections import Counter

from ..evidence import counted, listed, quoted
from ..findings import Check, Finding
from ..run_inputs import RunInputs
from . import speakers

DUPLICATES = Check(
    "data.duplicates",
    ("warning",),
    "More identical rows in one file than small talk explains.",
    cause="Every copy counts again: what was exported twice is trained twice as much as the rest.",
    fix="Remove the copies.",
    fix_extracted="Remove the copies; if the history was exported twice, extract it from one export.",
    bad="the same chat exported on Monday and on Friday, both in one folder",
    good="one export of each chat",
)
DOMINATING_REPLY = Check(
    "data.dominating_reply",
    ("warning",),
    "More than a fifth of a file's replies are the same.",
    cause="A model that always answers with this reply is right so often that it learns little else.",
    fix="Keep only some of these rows.",
    fix_extracted="Keep only some of these rows (`repeats` in the extraction).",
    bad='"ok" in 300 of 900 replies',
    good='"ok" in 50 of 650 replies',
)
SYSTEM_PROMPTS = Check(
    "data.system_prompts",
    ("warning",),
    "More than one system text in a file, or only some rows with one.",
    cause="An app sends one system text; what is learned under the others is not what it asks for.",
    fix="Write the same system text into every row, unless each row's own is what the app sends.",
    bad='"You are Sam." in 700 rows, "You are a helpful assistant." in 200',
    good='"You are Sam." in all 900 rows',
)
SYSTEM_DIFFERS = Check(
    "data.system_differs",
    ("warning",),
    "Most rows of valid or test have another system text than those of train.",
    cause="The loss there measures how the model does under a prompt that it was not trained on.",
    fix="Write the same system text into all files.",
    bad='train.jsonl: "You are Sam."   valid.jsonl: no system message',
    good='"You are Sam." in both',
)
CHECKS = (DUPLICATES, DOMINATING_REPLY, SYSTEM_PROMPTS, SYSTEM_DIFFERS)
# "ok?" / "ok" recurs in every history; a row with more distinct words than this hardly does.
SMALL_TALK = 12
WORD = re.compile(r"[^\W\d_]+")
STOCK_SHARE = 0.05  # of a file's rows that may be copies, if all are short: "good night" every evening
# A reply that is right once in five times, whatever was said, is the first thing that a model learns.
DOMINATING, ENOUGH_ROWS = 0.2, 20
MOST, SOME_ROWS = 0.5, 12  # in a smaller file
PUNCTUATION = ".,;:!…。！،~ "


def check(inputs: RunInputs, chats: dict, rows: dict) -> list[Finding]:
    """Findings on repeats in all `rows`, and on the system texts of the conversations among them, `chats`."""
    return _repeats(inputs, rows) + system_findings(inputs, chats)


def _repeats(inputs: RunInputs, chats: dict) -> list[Finding]:
    findings = []
    for name, rows in chats.items():
        replies, spelled = Counter(), {}
        for _, row in rows:
            messages = row["messages"]
            if messages[-1]["role"] == "assistant":
                said = " ".join(messages[-1]["content"].split())
                reply = said.casefold().strip(PUNCTUATION) or said
                replies[reply] += 1
                spelled.setdefault(reply, said)
        where = inputs.splits[name].where
        copies, many = copies_of(rows)
        if many:
            copies = [
                f"line {number} repeats line {before}: {quoted(row['messages'][-1]['content'], 80)}"
                for number, before, row in copies
            ]
            title = f"{counted(len(copies), 'row')} of {len(rows):,} in {where} repeat an earlier row word for word"
            findings.append(DUPLICATES.found("warning", title, evidence=listed(copies), where=where))
        reply, times = max(replies.items(), key=lambda item: item[1], default=("", 0))
        total = replies.total()
        if times > DOMINATING * total and total >= ENOUGH_ROWS or times > MOST * total and total >= SOME_ROWS:
            title = f"{times / total:.0%} of the replies in {where} are {quoted(spelled[reply], 60)}"
            most = [f"{counted(n, 'time')} {quoted(spelled[text], 80)}" for text, n in replies.most_common(5)]
            findings.append(DOMINATING_REPLY.found("warning", title, evidence=listed(most), where=where))
    return findings


def copies_of(rows: list) -> tuple[list[tuple[int, int, dict]], bool]:
    """(line, the earlier line that it repeats, row) of the copies in a file, and whether small talk does not explain them."""
    first, copies, long = {}, [], 0
    for number, row in rows:
        messages = row["messages"]
        key = tuple(text for message in messages for text in (message["role"], message["content"]))
        before = first.setdefault(key, number)
        if before != number:
            copies.append((number, before, row))
            said = " ".join(message["content"] for message in messages if message["role"] != "system")
            long += len(set(WORD.findall(speakers.TAG.sub(" ", said)))) > SMALL_TALK
    return copies, bool(long) or len(copies) > max(5, STOCK_SHARE * len(rows))


# --- system texts ---------------------------------------------------------------------------


def system_findings(inputs: RunInputs, chats: dict) -> list[Finding]:
    """The findings on system texts of conversations."""
    texts, lines = {}, {}
    for name, rows in chats.items():
        numbers = {}
        for number, row in rows:
            first = row["messages"][0]
            numbers.setdefault(first["content"] if first["role"] == "system" else None, []).append(number)
        if numbers:
            lines[name] = numbers
            texts[name] = Counter({text: len(found) for text, found in numbers.items()})
    findings = []
    for name, found in texts.items():
        if len(found) > 1:
            where = inputs.splits[name].where
            usual, *others = found.most_common()
            title = f"{where} has {counted(len(found) - (None in found), 'system text')}"
            if None in found:
                title += f", and {counted(found[None], 'row')} without one"
            evidence = [f"{counted(usual[1], 'row')}: {_shown(usual[0])}"]
            evidence += [f"{_rows_at(lines[name][text])}: {_shown(text)}" for text, _ in others]
            findings.append(SYSTEM_PROMPTS.found("warning", title, evidence=listed(evidence), where=where))
    # If most rows have another schema, the few conversations say nothing about the file.
    texts = {name: found for name, found in texts.items() if found.total() * 2 > len(inputs.splits[name].rows)}
    train = texts.get("train", Counter())
    for name, found in texts.items():
        if name != "train" and train and _differ(train, found):
            usual = {part: texts[part].most_common(1)[0] for part in ("train", name)}
            evidence = [f"{part}.jsonl, {counted(n, 'row')}: {_shown(text)}" for part, (text, n) in usual.items()]
            title = f"{name}.jsonl has another system text than train.jsonl"
            where = inputs.splits[name].where
            findings.append(SYSTEM_DIFFERS.found("warning", title, evidence=listed(evidence), where=where))
    return findings


def _differ(train: Counter, other: Counter) -> bool:
    """True if each mostly uses a text of its own. If every row has its own text, new ones are not a difference."""
    mine, theirs = _most(train), _most(other)
    new = sum(count for text, count in other.items() if text not in train) > other.total() / 2
    return (mine is not NO_TEXT and theirs is not NO_TEXT and mine != theirs) or (
        new and not (mine is NO_TEXT and theirs is NO_TEXT)
    )


NO_TEXT = object()


def _most(texts: Counter):
    """The text of more than half the rows (None is a text: no system message), or NO_TEXT."""
    ((text, count),) = texts.most_common(1)
    return text if count > texts.total() / 2 else NO_TEXT


def _rows_at(numbers: list[int]) -> str:
    at = ", ".join(map(str, numbers[:5])) + ", …" * (len(numbers) > 5)
    return f"{counted(len(numbers), 'row')} (line{'s' * (len(numbers) > 1)} {at})"


def _shown(text: str | None) -> str:
    return "no system message" if text is None else quoted(text)
