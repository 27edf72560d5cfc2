"""Does one split give away what another asks? Then the evaluation measures memory.

If `meta.jsonl` says which messages each row was made of, the message ids are compared. The texts are compared in any
case, by how much they share beyond chance (see `overlap`), so that stock phrases count for little.
"""

import json
from collections import defaultdict

from ...chat_format.messages import in_words
from ...chat_format.prompts import is_text
from ...chat_format.rows import Split, read_split
from ...extract.variant_folder import HELDOUT
from ...files.reading import opened
from ...paths import shown
from ..evidence import counted, listed, quoted
from ..findings import Check, Finding
from ..run_inputs import RunInputs
from . import leaks
from .leaks import FIX, FIX_EXTRACTED, Row

SAME_SESSION = Check(
    "splits.same_session",
    ("warning",),
    "A session is divided between two splits.",
    cause="Within a session, each row's context contains the replies of the rows before it.",
    fix=FIX,
    fix_extracted=FIX_EXTRACTED,
    bad='meta.jsonl: {"split": "train", "session": "m17", …}, {"split": "test", "session": "m17", …}',
    good='meta.jsonl: {"split": "train", "session": "m17", …}, {"split": "test", "session": "m42", …}',
)
SAME_CONVERSATION = Check(
    "splits.same_conversation",
    ("info", "warning"),
    "A conversation is in several splits. Normal if they are divided by time; a warning for heldout.jsonl, which is "
    "meant for people who are in no other split.",
    cause="Divided by time, the older part of a conversation is trained on and the newer part evaluated. That is "
    "normal.",
    fix="No action needed. To evaluate on people the model never saw, use heldout.jsonl.",
    bad='meta.jsonl: {"split": "heldout", "conversation": "ann", …}, {"split": "train", "conversation": "ann", …}',
    good='meta.jsonl: {"split": "heldout", "conversation": "ann", …}, and no other row of ann',
)
CHECKS = (*leaks.CHECKS, SAME_SESSION, SAME_CONVERSATION)
IDS = ("context_ids", "reply_ids")


def check(inputs: RunInputs) -> list[Finding]:
    """Findings on what the splits share. Never raises, whatever the files contain."""
    rows, names = _all_rows(inputs)
    if len({row.split for row in rows}) < 2:
        return []
    return [*leaks.check(inputs, rows, names), *_sessions(inputs, rows), *_conversations(inputs, rows)]


def leaking(inputs: RunInputs, name: str) -> tuple[set[int], set[int]]:
    """The lines of a split's file, from 1, that train.jsonl gives away, and the lines of train.jsonl that do."""
    rows, _ = _all_rows(inputs)
    rows = [row for row in rows if row.split in ("train", name)]
    if len({row.split for row in rows}) < 2:
        return set(), set()
    places = [at for found in leaks.find(rows, ["train", name]) for pair in found.items() for at in pair]
    lines = [{rows[at].number for at in places if rows[at].split == split} for split in (name, "train")]
    return lines[0], lines[1]


def _all_rows(inputs: RunInputs) -> tuple[list[Row], list[str]]:
    """The rows of all splits, and the splits' names."""
    splits = dict(inputs.splits)
    if (inputs.folder / f"{HELDOUT}.jsonl").is_file():
        splits[HELDOUT] = read_split(inputs.folder, HELDOUT, inputs.config)
    known = _meta(inputs, splits)
    return [row for split in splits.values() for row in rows_of(split, known.get(split.name))], list(splits)


def rows_of(split: Split, meta: dict | None = None):
    """Yield the rows of a split that say something; `meta`: line -> its entry in meta.jsonl."""
    for number, chat in split.chats():
        messages = in_words(chat)["messages"]
        context = tuple(message["content"] for message in messages[:-1] if message["role"] != "system")
        yield Row(split.name, number, context, messages[-1]["content"], meta and meta[number])
    if split.schema == "text":
        for number, row in zip(split.numbers, split.rows):
            text = row.get(split.features["text"]) if isinstance(row, dict) else None
            if is_text(text):
                yield Row(split.name, number, (), text, None)


def _meta(inputs: RunInputs, splits: dict[str, Split]) -> dict[str, dict]:
    """Split -> line -> its entry in `meta.jsonl`, for splits that have one for every row."""
    found, known = defaultdict(dict), {}

    def same(key: tuple) -> tuple:
        """One object per message, since each is in the contexts of many rows."""
        return known.setdefault(key, key)

    try:
        with opened(inputs.folder / "meta.jsonl") as file:
            for line in file:
                try:
                    item = json.loads(line.decode("utf-8", "replace"))
                    conversation = str(item["conversation"])
                    ids = {key: [same((conversation, str(one))) for one in item[key]] for key in IDS}
                    place = {"conversation": conversation, "session": same((conversation, str(item["session"])))}
                    found[item["split"]][item["row"]] = place | ids
                except (ValueError, KeyError, TypeError, RecursionError):
                    continue  # not a row of ours: the texts are compared instead
    except OSError:
        return {}
    return {
        name: {number: found[name][row] for row, number in enumerate(split.numbers)}
        for name, split in splits.items()
        if len(split.rows) == split.lines == len(found[name]) and all(row in found[name] for row in range(split.lines))
    }


# --- sessions and conversations -------------------------------------------------------------


def _sessions(inputs: RunInputs, rows: list[Row]) -> list[Finding]:
    divided = _divided(rows, "session")
    if not divided:
        return []
    title = f"{counted(len(divided), 'session')} {'is' if len(divided) == 1 else 'are'} divided between splits"
    evidence = listed([f"{quoted(session[1], 60)}: {splits}" for session, splits in divided.items()])
    return [SAME_SESSION.found("warning", title, evidence=evidence, where=shown(inputs.folder / "meta.jsonl"))]


def _conversations(inputs: RunInputs, rows: list[Row]) -> list[Finding]:
    heldout = {row.meta["conversation"] for row in rows if row.meta and row.split == HELDOUT}
    unseen = {
        "cause": "heldout.jsonl is for asking the model about people it never saw; it saw these.",
        "fix": "Leave whole conversations out of the other splits, and extract again.",
    }
    findings = []
    for severity, some, title, values in (
        ("warning", [row for row in rows if row.meta and row.meta["conversation"] in heldout],
         "of heldout.jsonl also in other splits", unseen),
        ("info", [row for row in rows if row.split != HELDOUT], "in more than one split", {}),
    ):  # fmt: skip
        if shared := _divided(some, "conversation"):
            title = f"{counted(len(shared), 'conversation')} {'is' if len(shared) == 1 else 'are'} {title}"
            evidence = listed([f"{quoted(name, 60)}: {splits}" for name, splits in shared.items()])
            where = shown(inputs.folder / "meta.jsonl")
            findings.append(SAME_CONVERSATION.found(severity, title, evidence=evidence, where=where, **values))
    return findings


def _divided(rows: list[Row], key: str) -> dict:
    """Session or conversation -> its rows in each split, for those in several splits."""
    counts = defaultdict(lambda: defaultdict(int))
    for row in rows:
        if row.meta:
            counts[row.meta[key]][row.split] += 1
    return {
        name: ", ".join(f"{split}.jsonl {counted(number, 'row')}" for split, number in splits.items())
        for name, splits in counts.items()
        if len(splits) > 1
    }
