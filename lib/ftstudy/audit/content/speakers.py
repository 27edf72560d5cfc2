"""A speaker's name before a reply ("Sam: yo") or within: the model would write it into every text.

Which names speak is read from the data: where nearly all user turns begin with `Name: `, those
names do. So "note: buy milk", "PS: call me" and "https://…" are nobody's.
"""

import re
from collections import Counter

from ..evidence import quoted, rows_found
from ..subject import Subject

CHECKS = {
    "data.speaker_tag": (
        "error",
        "A reply that begins with its speaker's name, a role or a template's header, or goes on with another's line.",
    ),
}
NAME = r"[^\s\[\](){}<>*_:：][^\[\](){}<>*_:：\n]{0,39}?"
LABEL = re.compile(rf"\s*(?P<name>{NAME})\s?(?::(?=\s|$)|：)")
LABELS = re.compile(rf"^({NAME})\s?(?::(?=\s|$)|：)", re.MULTILINE)
TAG = re.compile(r"</?[A-Za-z_][\w.-]{0,40}>")
# What a chat's export puts before a name: [12/05/21, 10:33:02], or 12.05.21, 10:33 -
TIME = r"(?:\[?\d{1,4}[\d/.:,\- ]{4,22}(?:[ap]m)?\]?\s*[-–]?\s*)?"
PLAIN = re.compile(rf"\s*{TIME}[*_]{{0,3}}(?P<name>{NAME})[*_]{{0,3}}\s?(?::[*_]{{0,3}}(?=\s|$)|：|>(?=\s))", re.I)
BRACKETED = re.compile(
    r"\s*(?:\[(?P<a>[^\[\]\n]{1,40})\]|<(?P<b>[^<>\n]{1,40})>|\((?P<c>[^()\n]{1,40})\))(?P<colon>\s?:)?"
)
HEADER = re.compile(
    r"\s*(?:<\|[^|<>\n]{1,40}\|>|<start_of_turn>|\[/?INST\]|#{2,3} ?(?:Response|Assistant|Reply|Answer)\b)"
)
ROLES = {"assistant"}  # as a plain word before a colon
SIDES = ROLES | {"me", "you", "user", "human", "ai", "bot", "model", "system"}  # in brackets before a colon
LABELLED = 0.8  # of the user turns begin with `Name: `, where names are written at all
FIRST = 20  # labels of a reply that are looked up
ALWAYS = 0.2  # of the replies begin with the same label: nobody's habit, whatever the word


def labels_of(chats: dict) -> set[str]:
    """The names that speak in the user turns, in lower case: none where turns bear no names."""
    found, turns = Counter(), 0
    for rows in chats.values():
        for _, row in rows:
            turns += 1
            if match := _first_label(_user_turn(row)):
                found[match.casefold()] += 1
    return set(found) if turns and found.total() >= LABELLED * turns else set()


def only_labels(text: str, labels: set[str]) -> bool:
    """Is there nothing in this user turn but tags, and names without a word behind them?"""
    if not labels or len(text) > 200:
        return False
    rest = [line.strip() for line in TAG.sub("", text).splitlines() if line.strip()]
    names = [LABEL.fullmatch(line) for line in rest]
    return all(names) and (not rest or any(name["name"].casefold() in labels for name in names))


def check(subject: Subject, chats: dict, labels: set[str]) -> list[dict]:
    """The finding on replies that begin with a speaker. `labels`: from `labels_of`."""
    owner = subject.owner.casefold()
    owners = {owner, *(part for part in owner.split() if len(part) > 2 and not part.endswith("."))} - {"the"}
    hits, unknown = [], {}
    total = 0
    for name, rows in chats.items():
        for number, row in rows:
            reply = row["messages"][-1]
            if reply["role"] != "assistant":
                continue
            total += 1
            hit = (name, number, f"the reply is {quoted(reply['content'])}")
            match = PLAIN.match(reply["content"])
            if _is_tag(reply["content"], match, row, owners, labels):
                hits.append(hit)
            elif match:
                unknown.setdefault(match["name"].casefold(), []).append(hit)
    for found in unknown.values():
        if len(found) >= 5 and len(found) > ALWAYS * total:
            hits += found
    return rows_found(
        subject,
        "data.speaker_tag",
        "error",
        hits,
        "whose reply names its speaker",
        "The turn's header already says who speaks; the name becomes part of the text that the model writes.",
        "Write the reply alone, without the name, the brackets or the role before it, and nothing that follows it.",
    )


def _is_tag(reply: str, match, row: dict, owners: set[str], labels: set[str]) -> bool:
    if HEADER.match(reply):
        return True
    names = set()
    if match:
        if match["name"].casefold() in ROLES:
            return True
        names.add(match["name"])
    if bracketed := BRACKETED.match(reply):
        name = next(group for group in bracketed.group("a", "b", "c") if group)
        if name.casefold() in SIDES and (bracketed["colon"] or bracketed["b"]):
            return True
        names.add(name)
    if "\n" in reply:
        # A dialogue that goes on in the reply: somebody's next message was taken for a part of it.
        names.update(LABELS.findall(reply)[:FIRST])
    return bool(names) and _speak(names, row, owners, labels)


def _speak(names: set[str], row: dict, owners: set[str], labels: set[str]) -> bool:
    """Is one of these the owner, or somebody who speaks in the row or is named by its system text?"""
    folded = {name.casefold() for name in names}
    if folded & owners:
        return True
    if folded & labels and folded & labels & {name.casefold() for name in LABELS.findall(_user_turn(row))}:
        return True
    first = row["messages"][0]
    return first["role"] == "system" and any(_names(first["content"], name) for name in names)


def _names(system: str, name: str) -> bool:
    """Does a system text name this person? A word that merely begins a sentence, or a label, is no name."""
    if name.casefold() == name and name.upper() != name:  # in lower case
        return bool(re.search(rf"(?i)\b(?:you are|you're|named|called) {re.escape(name)}\b", system))
    places = re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)(?!\s?[:：])", system)
    before = (system[: place.start()].rstrip(" ")[-1:] for place in places)
    return any(character and character not in ".!?:\n" for character in before)


def _user_turn(row: dict) -> str:
    return "\n".join(message["content"] for message in row["messages"][:-1] if message["role"] == "user")


def _first_label(turn: str) -> str | None:
    """The name in the first line, behind tags and headings ("Context:") that stand alone."""
    for line in turn.splitlines():
        if not line.strip() or TAG.fullmatch(line.strip()):
            continue
        match = LABEL.match(line)
        if match and not line[match.end() :].strip():
            continue
        return match["name"] if match else None
    return None
