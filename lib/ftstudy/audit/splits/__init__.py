"""Does one split tell what another asks? Then the evaluation measures memory.

Where `meta.jsonl` says which messages a row was made of, those are compared; the texts are compared
in any case, by how much they share beyond chance (see `overlap`), so that stock phrases, which
every history is full of, count for little.
"""

import json
from collections import defaultdict

from ...extract.variant_folder import HELDOUT
from ...paths import shown
from ..evidence import counted, listed, quoted
from ..findings import finding
from ..run_inputs import RunInputs, Split, read_split
from . import leaks
from .leaks import FIX, Row

CHECKS = {
    "splits.exact_duplicate": (
        "warning",
        "Rows with the same user turn and reply in two splits; small talk is exempt.",
    ),
    "splits.near_duplicate": (
        "warning",
        "Rows of two splits that share most of their words, as those of one session do when it is divided.",
    ),
    "splits.reply_in_context": ("warning", "A reply of one split stands in the context of another."),
    "splits.same_session": ("warning", "A session is divided between two splits."),
    "splits.same_conversation": (
        "info or warning",
        "A conversation stands in several splits, normal where they are divided by time; a warning for "
        "heldout.jsonl, which is meant for people who stand in none of the others.",
    ),
}
IDS = ("context_ids", "reply_ids")


def check(inputs: RunInputs) -> list[dict]:
    """Findings on what the splits share. Never raises, whatever stands in the files."""
    splits = dict(inputs.splits)
    if (inputs.folder / f"{HELDOUT}.jsonl").is_file():
        splits[HELDOUT] = read_split(inputs.folder, HELDOUT, inputs.config)
    known = _meta(inputs, splits)
    rows = [row for split in splits.values() for row in _rows(split, known.get(split.name))]
    if len({row.split for row in rows}) < 2:
        return []
    return [*leaks.check(inputs, rows, list(splits)), *_sessions(inputs, rows), *_conversations(inputs, rows)]


def _rows(split: Split, meta: dict | None):
    for number, chat in split.chats():
        messages = chat["messages"]
        context = tuple(message["content"] for message in messages[:-1] if message["role"] != "system")
        yield Row(split.name, number, context, messages[-1]["content"], meta and meta[number])


def _meta(inputs: RunInputs, splits: dict[str, Split]) -> dict[str, dict]:
    """Split -> line -> what `meta.jsonl` says of it, for splits of which it tells every row."""
    found, known = defaultdict(dict), {}

    def same(key: tuple) -> tuple:
        """One object for each message, which stands in the contexts of many rows."""
        return known.setdefault(key, key)

    try:
        with (inputs.folder / "meta.jsonl").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    item = json.loads(line)
                    conversation = str(item["conversation"])
                    ids = {key: [same((conversation, str(one))) for one in item[key]] for key in IDS}
                    place = {"conversation": conversation, "session": same((conversation, str(item["session"])))}
                    found[item["split"]][item["row"]] = place | ids
                except (ValueError, KeyError, TypeError, RecursionError):
                    continue  # no row of ours: the texts are compared instead
    except OSError:
        return {}
    return {
        name: {number: found[name][row] for row, number in enumerate(split.numbers)}
        for name, split in splits.items()
        if len(split.rows) == split.lines == len(found[name]) and all(row in found[name] for row in range(split.lines))
    }


# --- sessions and conversations -------------------------------------------------------------


def _sessions(inputs: RunInputs, rows: list[Row]) -> list[dict]:
    divided = _divided(rows, "session")
    if not divided:
        return []
    return [
        finding(
            "splits.same_session",
            "warning",
            f"{counted(len(divided), 'session')} {'is' if len(divided) == 1 else 'are'} divided between splits",
            evidence=listed([f"{quoted(session[1], 60)}: {told}" for session, told in divided.items()]),
            where=shown(inputs.folder / "meta.jsonl"),
            cause="Within a session, each row's context holds the replies of the rows before it.",
            fix=FIX,
        )
    ]


def _conversations(inputs: RunInputs, rows: list[Row]) -> list[dict]:
    findings = []
    heldout = {row.meta["conversation"] for row in rows if row.meta and row.split == HELDOUT}
    for severity, some, title, cause, fix in (
        (
            "warning",
            [row for row in rows if row.meta and row.meta["conversation"] in heldout],
            "of heldout.jsonl also in other splits",
            "heldout.jsonl is there to ask the model about people whom it never saw; it saw these.",
            "Leave whole conversations out of the other splits; extract again.",
        ),
        (
            "info",
            [row for row in rows if row.split != HELDOUT],
            "in more than one split",
            "Divided by time, the older part of a conversation is trained on and the newer evaluated. That is normal.",
            "Nothing need be done. For people whom the model never saw, look at heldout.jsonl.",
        ),
    ):
        if shared := _divided(some, "conversation"):
            findings.append(
                finding(
                    "splits.same_conversation",
                    severity,
                    f"{counted(len(shared), 'conversation')} {'stands' if len(shared) == 1 else 'stand'} {title}",
                    evidence=listed([f"{quoted(name, 60)}: {told}" for name, told in shared.items()]),
                    where=shown(inputs.folder / "meta.jsonl"),
                    cause=cause,
                    fix=fix,
                )
            )
    return findings


def _divided(rows: list[Row], key: str) -> dict:
    """Session or conversation -> its rows in each split, for those in several."""
    counts = defaultdict(lambda: defaultdict(int))
    for row in rows:
        if row.meta:
            counts[row.meta[key]][row.split] += 1
    return {
        name: ", ".join(f"{split}.jsonl {counted(number, 'row')}" for split, number in splits.items())
        for name, splits in counts.items()
        if len(splits) > 1
    }
