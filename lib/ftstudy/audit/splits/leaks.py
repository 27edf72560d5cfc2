"""Rows of one split that another split gives away: by text, and replies also by message ids if known."""

import math
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache

import numpy

from ..content.speakers import LABEL
from ..evidence import in_rows, quoted
from ..findings import Check, Finding
from ..run_inputs import RunInputs
from . import overlap

# Pairs that a split may have without any leak, since people repeat themselves: how many, and what share of its rows.
# The first limit is for pairs beyond chance, the second for those far beyond. A text that somebody saves and sends
# again is a reply far beyond chance. A session divided at random pairs a tenth to a half of the rows.
FEW = {
    "exact": ((1, 0.01), (0, 0)),
    "near": ((2, 0.02), (0, 0)),
    "reply": ((3, 0.05), (2, 0.01)),
}
MOSTLY = 0.25  # if this share of a split's rows is also in another, they are copies even if they are small talk
FIX = (
    "Divide the rows again: each conversation by time, whole sessions (or rows that share their messages) in one file."
)
FIX_EXTRACTED = "Divide each conversation by time and by whole sessions, as the extraction does, and extract again."
EXACT_DUPLICATE = Check(
    "splits.exact_duplicate",
    ("warning",),
    "Two splits have rows with the same user turn and reply; small talk is exempt.",
    cause="The evaluation asks what was trained: its loss measures memory.",
    fix=FIX,
    fix_extracted=FIX_EXTRACTED,
    bad='train.jsonl and test.jsonl: {"messages": [… "when does the ferry leave on sunday?" …, "ten past nine, pier 4"]}',
    good="each row in one split only",
)
NEAR_DUPLICATE = Check(
    "splits.near_duplicate",
    ("warning",),
    "Rows of two splits share most of their words, as rows of one session do when it is divided.",
    cause="Rows of one session share their messages. If they are split at random, each has its neighbours in the other "
    "splits.",
    fix=FIX,
    fix_extracted=FIX_EXTRACTED,
    bad="random.shuffle(rows); train, test = rows[:800], rows[800:]",
    good="each conversation's sessions sorted by time; train gets the older ones, test the newer ones",
)
REPLY_IN_CONTEXT = Check(
    "splits.reply_in_context",
    ("warning",),
    "A reply of one split is in the context of another.",
    cause="One split shows the answer to another's question, to be learned or to be copied.",
    fix=FIX,
    fix_extracted=FIX_EXTRACTED,
    bad='test.jsonl: reply "ten past nine, pier 4"; train.jsonl: context "Sam: ten past nine, pier 4"',
    good="whole sessions in one split",
)
CHECKS = (EXACT_DUPLICATE, NEAR_DUPLICATE, REPLY_IN_CONTEXT)


@dataclass(slots=True)
class Row:
    split: str
    number: int  # the line
    context: tuple[str, ...]  # the messages before the reply, without the system's
    reply: str
    meta: dict | None  # conversation, session, context_ids, reply_ids

    @property
    def lines(self) -> list[str]:
        return [line for text in (*self.context, self.reply) for line in text.splitlines()]


def check(inputs: RunInputs, rows: list[Row], names: list[str]) -> list[Finding]:
    """Findings on what rows of two splits share. `names`: the splits, the earlier ones first."""
    exact, near, replies = find(rows, names)
    context = [
        (rows[at].split, rows[at].number, f"{quoted(rows[at].reply, 80)} is in the context of {place}")
        for at, to in sorted(replies.items())
        if (place := f"{rows[to].split}.jsonl line {rows[to].number}")
    ]
    return [
        *in_rows(
            inputs,
            EXACT_DUPLICATE,
            "warning",
            [_pair(rows[at], rows[before], "repeats {}") for at, before in sorted(exact.items())],
            "of a split are also in another, word for word",
        ),
        *in_rows(
            inputs,
            NEAR_DUPLICATE,
            "warning",
            [_pair(rows[at], rows[before], "shares most of its words with {}") for at, before in sorted(near.items())],
            "of a split share most of their words with a row of another",
        ),
        *in_rows(inputs, REPLY_IN_CONTEXT, "warning", context, "whose reply is in the context of another split"),
    ]


def find(rows: list[Row], names: list[str]) -> tuple[dict[int, int], dict[int, int], dict[int, int]]:
    """A row's place in `rows` -> that of a row in another split which gives it away: word for word, with most of its
    words, or with its reply in the context. `names`: the splits, the earlier ones first."""
    read_line = overlap.line_reader()
    texts = [array("i", [word for line in row.lines for word in read_line(line)]) for row in rows]
    part = numpy.array([names.index(row.split) for row in rows])
    found = overlap.read(texts, part)
    sizes = {name: int(size) for name, size in zip(names, numpy.bincount(part, minlength=len(names)))}
    exact = _same(rows, [(row.context, row.reply) if text else None for row, text in zip(rows, texts)], found, sizes)
    equal = _same(rows, [hash(text.tobytes()) if text else None for text in texts], found, sizes)
    likely = {at: to for at, to in (overlap.alike(found, part) | equal).items() if at not in exact}
    by_text = _enough(rows, _by_text(rows, read_line, found, sizes), sizes, "reply")
    exact, near = _enough(rows, exact, sizes, "exact"), _enough(rows, likely, sizes, "near")
    return exact, near, {**by_text, **_by_id(rows)}


def _pair(row: Row, before: Row, form: str) -> tuple[str, int, str]:
    place = f"{before.split}.jsonl line {before.number}"
    return row.split, row.number, f"{form.format(place)}: {quoted(row.reply, 80)}"


def _same(rows: list[Row], keys: list, found: overlap.Words, sizes: dict) -> dict[int, tuple[int, float]]:
    """Row -> a row of an earlier split with the same key, and the bits beyond chance, if there are any."""
    first, same = {}, defaultdict(dict)
    for at, (row, key) in enumerate(zip(rows, keys)):
        before = first.setdefault(key, at) if key else at
        if rows[before].split != row.split:
            same[row.split, rows[before].split][at] = before
    chosen = {}
    for (name, earlier), pairs in same.items():
        limit = overlap.chance(sizes[name], sizes[earlier])
        mostly = len(pairs) > max(2, MOSTLY * sizes[name])
        for at, before in pairs.items():
            beyond = found.bits_of(at) - limit
            if mostly or beyond >= 0:
                chosen[at] = before, beyond
    return chosen


def _enough(rows: list[Row], pairs: dict[int, tuple[int, float]], sizes: dict[str, int], kind: str) -> dict[int, int]:
    """The pairs of those splits that have more of them than people repeating themselves explains."""
    found = {}
    for least, (few, share) in zip((-math.inf, overlap.SURE), FEW[kind]):
        some = {at: to for at, (to, beyond) in pairs.items() if beyond >= least}
        numbers = Counter(rows[at].split for at in some)
        many = {split for split, number in numbers.items() if number > max(few, share * sizes[split])}
        found |= {at: to for at, to in some.items() if rows[at].split in many}
    return found


def _by_id(rows: list[Row]) -> dict[int, int]:
    """Row -> a row of another split whose context contains a message of its reply."""
    places = defaultdict(dict)  # message id -> split -> the first row
    for at, row in enumerate(rows):
        for message in row.meta["context_ids"] if row.meta else ():
            places[message].setdefault(row.split, at)
    found = {}
    for at, row in enumerate(rows):
        for message in row.meta["reply_ids"] if row.meta else ():
            found |= {at: to for name, to in places.get(message, {}).items() if name != row.split}
    return found


def _by_text(rows: list[Row], read_line, found: overlap.Words, sizes: dict[str, int]) -> dict[int, tuple[int, float]]:
    """The same by text, if the context has all lines of the reply; with the longest line's bits beyond chance."""
    if all(row.meta for row in rows):
        return {}  # message ids are exact

    @cache
    def spoken(line: str) -> set[tuple]:
        match = LABEL.match(line)
        whole = read_line(line)
        return {whole, whole[len(read_line(match["name"])) :]} if match else {whole}

    replies = [[key for line in row.reply.splitlines() if (key := read_line(line))] for row in rows]
    wanted = {key for keys in replies for key in keys}
    places = defaultdict(dict)  # line -> split -> the first row
    for at, row in enumerate(rows):
        for text in row.context:
            for line in text.splitlines():
                for key in spoken(line) & wanted:
                    places[key].setdefault(row.split, at)
    hits = {}
    for at, (row, keys) in enumerate(zip(rows, replies)):
        if not keys or not all(key in places for key in keys):
            continue
        end, most = found.start[at + 1] - found.start[at], (0.0, ())
        for key in reversed(keys):  # the reply is the end of a row's words
            most = max(most, (found.bits_of(at, end - len(key), end), key))
            end -= len(key)
        for name, to in places[most[1]].items() if most[1] else ():
            beyond = most[0] - overlap.chance(sizes[row.split], sizes[name])
            known = row.meta and rows[to].meta
            if name != row.split and not known and beyond >= 0 and all(name in places[key] for key in keys):
                hits[at] = to, beyond
    return hits
