"""Are user turns laid out the same way in all splits? This reads the texts, whoever wrote them.

A *mark* is something in nearly every user turn of a split: a tag, a heading, a line or an opening that never changes,
names before messages. A mark that hardly occurs in another split is a difference of layout; who speaks, and about
what, may differ.
"""

import re
from collections import Counter
from math import comb

from ..evidence import listed, quoted
from ..findings import Check, Finding
from ..run_inputs import RunInputs
from .speakers import LABEL, TAG

USER_FORM_DIFFERS = Check(
    "data.user_form_differs",
    ("warning",),
    "User turns are laid out differently in two files: tags, headings or names in one but not in the other.",
    cause="The model learns to answer one layout and is evaluated on another.",
    fix="Write the user's turn in the same form in all files.",
    fix_extracted="Write all files with the same variant of the extraction.",
    bad='train.jsonl: "Context:\\nAnn: hey\\n\\nLast Message: hey"   test.jsonl: "Ann: hey"',
    good='"Ann: hey" in both',
)
CHECKS = (USER_FORM_DIFFERS,)
NEARLY_ALL, HARDLY = 0.9, 0.1  # of a split's rows
SAMPLE = 1000  # rows per split, evenly spread: enough to see shares this far apart
FEW = 3  # with fewer rows a split has no layout to compare
ENOUGH = 20  # with fewer rows a repeated line may be a coincidence, since neighboring rows share their context
CHANCE = 1e-6  # with fewer rows, the difference must be this unlikely for rows drawn at random
NAMED = 0.3  # of a split's rows have a line by someone who has none in the other split
SIGNS = "\n:：>]})|#"
# What extractions call people instead of their names. Names may differ between splits, these may not.
OTHERS = re.compile(r"(?i)(?:contact|them|they|user|human|friend|person|other|sender|customer)(?: ?\d+)?")
OWNER = re.compile(r"(?i)(?:me|myself|owner|assistant|ai|bot)")


def check(inputs: RunInputs, chats: dict) -> list[Finding]:
    turns = {name: _sample(rows) for name, rows in chats.items()}
    turns = {name: texts for name, texts in turns.items() if len(texts) >= FEW}
    if "train" not in turns:
        return []
    shares = {name: _shares(texts) for name, texts in turns.items()}
    findings = []
    for name in turns:
        if name == "train":
            continue
        different = []
        few = min(len(turns["train"]), len(turns[name])) < ENOUGH
        for mark in {**shares["train"], **shares[name]}:
            train, other = (_share(mark, turns[split], shares[split]) for split in ("train", name))
            # A handful of short contexts, or of messages with the same ending, is not a layout.
            if few and mark[0] in ("lines", "ending") and _chance(train, turns["train"], other, turns[name]) > CHANCE:
                continue
            often = NAMED if mark[0] == "other" else NEARLY_ALL
            if mark[0] == "other" and _chance(train, turns["train"], other, turns[name]) > CHANCE:
                often = NEARLY_ALL
            if max(train, other) >= often and min(train, other) <= (0 if often == NAMED else HARDLY):
                different.append(f"{_describe(mark)} in {train:.0%} of train.jsonl, {other:.0%} of {name}.jsonl")
        if different:
            examples = [f"{split}.jsonl, for example: {quoted(turns[split][0], 100)}" for split in ("train", name)]
            title = f"User turns are laid out differently in train.jsonl and {name}.jsonl"
            evidence, where = listed(different[:3] + examples), inputs.splits[name].where
            findings.append(USER_FORM_DIFFERS.found("warning", title, evidence=evidence, where=where))
    return findings


def _sample(rows: list) -> list[str]:
    """The last user turn of rows spread over the split."""
    step = max(1, len(rows) // SAMPLE)
    texts = []
    for _, row in rows[::step]:
        turn = next((message["content"] for message in reversed(row["messages"]) if message["role"] == "user"), None)
        if turn is not None:
            texts.append(turn)
    return texts


def _shares(texts: list[str]) -> dict[tuple[str, str], float]:
    """Mark -> the share of these texts that have it; marks are (kind, text)."""
    counts = Counter(mark for text in texts for mark in dict.fromkeys(_marks(text)))
    shares = {
        mark: count / len(texts)
        for mark, count in counts.items()
        if count >= (NAMED if mark[0] == "other" else NEARLY_ALL) * len(texts)
    }
    opening, ending = _layout(_common_start(texts), _common_start([text[::-1] for text in texts])[::-1])
    fixed = [("ending", ending)]
    if len(texts) >= ENOUGH:
        lines = Counter(line for text in texts for line in dict.fromkeys(text.splitlines()) if line.strip())
        shares |= {("line", line): n / len(texts) for line, n in lines.items() if n >= NEARLY_ALL * len(texts)}
        fixed.append(("opening", opening))
    return shares | {mark: _share(mark, texts, {}) for mark in fixed if mark[1]}


def _chance(train: float, trained: list, other: float, others: list) -> float:
    """The probability of a difference at least this large between two splits drawn at random."""
    (k, n), (less, m) = sorted(
        ((round(train * len(trained)), len(trained)), (round(other * len(others)), len(others))),
        key=lambda pair: -pair[0] / pair[1],
    )
    ways = sum(comb(n, at) * comb(m, k + less - at) for at in range(k, min(n, k + less) + 1))
    return ways / comb(n + m, k + less)


def _marks(text: str):
    """The marks of one text."""
    for tag in TAG.findall(text):
        yield "tag", tag
    if "\n" in text.strip():
        yield "lines", ""
    headings = Counter()
    named = None
    for line in text.splitlines():
        match = LABEL.match(line)
        if match and (OTHERS.fullmatch(match["name"]) or OWNER.fullmatch(match["name"])):
            yield "other", re.sub(r" ?\d+$", "", match["name"])
        if match and not line[match.end() :].strip():
            yield "heading", match["name"]
        elif match:
            headings[match["name"]] += 1
        if named is None and line.strip() and not TAG.fullmatch(line.strip()):
            if match is None or line[match.end() :].strip():
                named = match["name"] if match else ""
    if named:
        yield "names", ""
    for label, times in headings.items():
        if times == 1 and label != named:
            yield "once", label


def _common_start(texts: list[str]) -> str:
    """What nearly all texts begin with, at most 80 characters."""
    fixed = ""
    while len(fixed) < 80 and texts:
        at = len(fixed)
        character, count = Counter(text[at : at + 1] for text in texts).most_common(1)[0]
        if not character or count < NEARLY_ALL * len(texts):
            break
        fixed += character
        texts = [text for text in texts if text[at : at + 1] == character]
    return fixed


def _layout(start: str, end: str) -> tuple[str, str]:
    """The layout part of a fixed start and end: up to the last layout character, without a name after it."""
    blank = start[: len(start) - len(start.lstrip())]
    last = max((start.rfind(sign) for sign in SIGNS), default=-1)
    head, line_break, line = start[: last + 1].rpartition("\n")
    start = head + line_break + ("" if LABEL.fullmatch(line) else line)
    first = min((at for sign in SIGNS if (at := end.find(sign)) >= 0), default=len(end.rstrip()))
    return start or blank, end[first:]


def _share(mark: tuple[str, str], texts: list[str], known: dict) -> float:
    """The share of these texts with this mark, which may come from another split."""
    if mark in known:
        return known[mark]
    kind, text = mark
    has = {
        "opening": lambda turn: turn.startswith(text),
        "ending": lambda turn: turn.endswith(text),
        "line": lambda turn: text in turn.splitlines(),
    }.get(kind, lambda turn: mark in set(_marks(turn)))
    return sum(map(has, texts)) / len(texts)


def _describe(mark: tuple[str, str]) -> str:
    kind, text = mark
    return {
        "lines": "several lines",
        "names": "a name before the first message",
        "other": f"the name {text}",
        "heading": f"the heading {text}:",
        "once": f"the label {text}:",
    }.get(kind, f"the {kind} {quoted(text, 60)}")
