"""Rows that ought to differ and are the same, and system texts that ought to be the same and differ."""

import re
from collections import Counter

from ..evidence import counted, listed, quoted
from ..findings import finding
from ..subject import Subject
from . import speakers

CHECKS = {
    "data.duplicates": ("warning", "Rows of one file that are the same, more than a person's small talk explains."),
    "data.dominating_reply": ("warning", "More than a fifth of a file's replies are one and the same."),
    "data.system_prompts": ("warning", "More than one system text within a file, or only some rows with one."),
    "data.system_differs": ("warning", "Most rows of valid or test have another system text than train."),
}
# "ok?" / "ok" comes back in every history; what has more different words than this hardly does.
SMALL_TALK = 12
WORD = re.compile(r"[^\W\d_]+")
STOCK_SHARE, LONG_SHARE = 0.01, 0.001  # of a file's rows that may be copies: of any, and of longer ones
# A reply that is right once in five times, whatever was said, is the first thing that a model learns.
DOMINATING, ENOUGH_ROWS = 0.2, 20


def check(subject: Subject, chats: dict) -> list[dict]:
    return _repeats(subject, chats) + _system(subject, chats)


def _repeats(subject: Subject, chats: dict) -> list[dict]:
    findings = []
    for name, rows in chats.items():
        first, copies, long = {}, [], 0
        replies = Counter()
        for number, row in rows:
            messages = row["messages"]
            key = tuple(text for message in messages for text in (message["role"], message["content"]))
            before = first.setdefault(key, number)
            if before != number:
                copies.append(f"line {number} is line {before} again: {quoted(messages[-1]['content'], 80)}")
                said = " ".join(message["content"] for message in messages if message["role"] != "system")
                long += len(set(WORD.findall(speakers.TAG.sub(" ", said)))) > SMALL_TALK
            if messages[-1]["role"] == "assistant":
                replies[" ".join(messages[-1]["content"].casefold().split())] += 1
        where = subject.splits[name].where
        if len(copies) > max(5, STOCK_SHARE * len(rows)) or long > max(2, LONG_SHARE * len(rows)):
            findings.append(
                finding(
                    "data.duplicates",
                    "warning",
                    f"{counted(len(copies), 'row')} of {len(rows):,} in {where} stood there before, word for word",
                    evidence=listed(copies),
                    where=where,
                    cause="Every copy counts again: what was exported twice is trained twice as much as the rest.",
                    fix="Remove the copies; if the history was exported twice, extract it from one export.",
                )
            )
        reply, times = max(replies.items(), key=lambda item: item[1], default=("", 0))
        if sum(replies.values()) >= ENOUGH_ROWS and times > DOMINATING * sum(replies.values()):
            findings.append(
                finding(
                    "data.dominating_reply",
                    "warning",
                    f"{times / sum(replies.values()):.0%} of the replies in {where} are {quoted(reply, 60)}",
                    evidence=listed([f"{count:,} times {quoted(text, 80)}" for text, count in replies.most_common(5)]),
                    where=where,
                    cause="A model that always answers with this one is right so often that it learns little else.",
                    fix="Keep some of these rows only (`repeats` in the extraction).",
                )
            )
    return findings


# --- system texts ---------------------------------------------------------------------------


def _system(subject: Subject, chats: dict) -> list[dict]:
    texts = {
        name: Counter(
            row["messages"][0]["content"] if row["messages"][0]["role"] == "system" else None for _, row in rows
        )
        for name, rows in chats.items()
        if rows
    }
    findings = []
    for name, found in texts.items():
        if len(found) > 1:
            where = subject.splits[name].where
            findings.append(
                finding(
                    "data.system_prompts",
                    "warning",
                    f"{where} has {len(found):,} system texts"
                    + (f", and {counted(found[None], 'row')} without one" if None in found else ""),
                    evidence=listed([f"{count:,} rows: {_told(text)}" for text, count in found.most_common()]),
                    where=where,
                    cause="An app sends one system text; what is learned under the others is not what it asks for.",
                    fix="Write the same system text into every row, unless each row's own is what the app sends.",
                )
            )
    train = texts.get("train", Counter())
    for name, found in texts.items():
        if name != "train" and train and _differ(train, found):
            findings.append(
                finding(
                    "data.system_differs",
                    "warning",
                    f"{name}.jsonl has another system text than train.jsonl",
                    evidence=listed(
                        [
                            f"{part}.jsonl, {texts[part].most_common(1)[0][1]:,} rows: "
                            + _told(texts[part].most_common(1)[0][0])
                            for part in ("train", name)
                        ]
                    ),
                    where=subject.splits[name].where,
                    cause="The loss there measures how the model does under a prompt that it was not trained on.",
                    fix="Write the same system text into all files.",
                )
            )
    return findings


def _differ(train: Counter, other: Counter) -> bool:
    """Is each mostly under its own text? Where every row has one of its own, new ones are no difference."""
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


def _told(text: str | None) -> str:
    return "no system message" if text is None else quoted(text)
