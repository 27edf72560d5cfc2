"""A speaker's name before a reply ("Sam: yo") or inside it: the model would write it into every text.

The data says which names are speakers: those with which nearly all user turns begin, as `Name: `. So "note: buy
milk", "PS: call me" and "https://…" have no speaker.
"""

import re
from collections import Counter

from ..evidence import in_rows, quoted
from ..findings import Check
from ..run_inputs import RunInputs

SPEAKER_TAG = Check(
    "data.speaker_tag",
    ("error", "info"),
    "A reply that begins with its speaker's name, a role or a template's header, or goes on with someone else's line; an info if most "
    "replies begin with one label that no speaker has, such as `Answer:`.",
    cause="The turn's header already says who speaks; the name becomes part of the text that the model writes.",
    fix="Write only the reply: no name, brackets or role before it, and nothing that follows it.",
    bad='{"role": "assistant", "content": "Sam: yes pls"}',
    good='{"role": "assistant", "content": "yes pls"}',
)
CHECKS = (SPEAKER_TAG,)
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
# Sam - yo: with a dash or a bar, which people also write after ordinary words
DASHED = re.compile(rf"\s*{TIME}[*_]{{0,3}}(?P<name>{NAME})[*_]{{0,3}}\s?[-–—|](?=\s)", re.I)
HEADER = re.compile(
    r"\s*(?:<\|[^|<>\n]{1,40}\|>|<start_of_turn>|\[/?INST\]|#{2,3} ?(?:Response|Assistant|Reply|Answer)\b:?"
    r"|assistant\s*\n)"  # what is left of a header that was decoded without its tokens
)
ROLES = {"assistant"}  # as a plain word before a colon
SIDES = ROLES | {"me", "you", "user", "human", "ai", "bot", "model", "system"}  # in brackets before a colon
PERSONA = "(?i:you are|you're|named|called|act as|write as|reply as|text as|text like|write like)"
LABELLED = 0.8  # of the user turns begin with `Name: ` if the data names speakers at all
FIRST = 20  # labels of a reply that are looked up
ALWAYS = 0.2  # of a split's replies begin with the same label: no person writes like that, but a format does
OFTEN = 0.03  # the same for one of SIDES: people joke "me: … also me: …", but not this often
USUAL = 0.05  # of the rows begin with this name, which then counts as a speaker in all rows
SAMPLE = 1000  # rows per split, evenly spread, that are searched for the usual names


def labels_of(chats: dict) -> set[str]:
    """The speakers named in the user turns, in lower case; empty if most turns name none."""
    found, turns = Counter(), 0
    for rows in chats.values():
        for _, row in rows:
            turns += 1
            if match := _first_label(_user_turn(row)):
                found[match.casefold()] += 1
    return set(found) if turns and found.total() >= LABELLED * turns else set()


def usual_labels(chats: dict) -> set[str]:
    """The names that begin many rows or occur in a third of them, in lower case. A rare label is not a name."""
    found, lines, turns = Counter(), Counter(), 0
    for rows in chats.values():
        for _, row in rows[:: max(1, len(rows) // SAMPLE)]:
            turns += 1
            turn = _user_turn(row)
            found[(_first_label(turn) or "").casefold()] += 1
            lines.update({name.casefold() for name in LABELS.findall(turn)})
    usual = {name for name, times in found.items() if name and times >= 5 and times > USUAL * turns}
    return usual | {name for name, times in lines.items() if times >= 5 and times > turns / 3}


def only_labels(text: str, labels: set[str]) -> bool:
    """True if a user turn consists only of tags and of names with no text after them."""
    if not labels or len(text) > 200:
        return False
    rest = [line.strip() for line in TAG.sub("", text).splitlines() if line.strip()]
    names = [LABEL.fullmatch(line) for line in rest]
    return all(names) and (not rest or any(name["name"].casefold() in labels for name in names))


def check(inputs: RunInputs, chats: dict, labels: set[str]) -> list[dict]:
    """The finding on replies that begin with a speaker. `labels`: from `labels_of`."""
    hits, labelled = (
        [(name, number, f"the reply is {quoted(said)}") for name, number, said in found]
        for found in tagged(inputs, chats, labels)
    )
    constant = in_rows(
        inputs,
        SPEAKER_TAG,
        "info",
        labelled,
        "whose reply begins with the same label as many others",
        cause="Nothing in the data says that this is a speaker's name. The model learns to begin its replies like that.",
        fix="No action needed if your app wants this label; leave it out if it is a name.",
    )
    return in_rows(inputs, SPEAKER_TAG, "error", hits, "whose reply names its speaker") + constant


def owners_of(inputs: RunInputs) -> set[str]:
    """The owner's name and its parts, in lower case."""
    owner = inputs.owner.casefold()
    return {owner, *(part for part in owner.split() if len(part) > 2 and not part.endswith("."))} - {"the"}


def tagged(inputs: RunInputs, chats: dict, labels: set[str]) -> tuple[list, list]:
    """(split, line, reply) of the replies that name a speaker, and of those with a label that no speaker has."""
    owners, usual = owners_of(inputs), usual_labels(chats) if labels else set()
    hits, labelled = [], []
    for name, rows in chats.items():
        named, unknown, total = [], {}, 0
        for number, row in rows:
            reply = row["messages"][-1]
            if reply["role"] != "assistant":
                continue
            total += 1
            match, dashed = PLAIN.match(reply["content"]), _dashed(reply["content"])
            if is_tag(reply["content"], match, row, owners, labels, usual) or persona(dashed, row, owners):
                named.append((number, reply["content"]))
            elif match:
                unknown.setdefault(match["name"].casefold(), []).append((number, reply["content"]))
            elif dashed and (dashed.casefold() in usual | labels or _named(row, dashed)):
                unknown.setdefault(f"{dashed.casefold()} -", []).append((number, reply["content"]))
        for label, found in unknown.items():
            if len(found) >= min(5, max(3, total)) and len(found) > (OFTEN if label in SIDES else ALWAYS) * total:
                if label in SIDES or label.endswith(" -"):
                    named += found
                else:
                    labelled += [(name, *one) for one in found]
        hits += [(name, *one) for one in sorted(named)]
    return hits, labelled


def _dashed(reply: str) -> str | None:
    """What comes before the first dash or bar of a reply."""
    match = None if reply.isalnum() else DASHED.match(reply)
    return match["name"] if match else None


def persona(name: str | None, row: dict, owners: set[str]) -> bool:
    """True for the owner and the persona in the system text. With other names it may be a greeting: "Ann - hi"."""
    if name is None:
        return False
    first = row["messages"][0]
    return name.casefold() in owners or (
        first["role"] == "system" and bool(re.search(rf"\b{PERSONA} {re.escape(name)}\b", first["content"]))
    )


def is_tag(reply: str, match, row: dict, owners: set[str], labels: set[str], usual: set[str]) -> bool:
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
        # The reply may contain someone else's next message, taken for part of it.
        names.update(LABELS.findall(reply)[:FIRST])
    return bool(names) and speak(names, row, owners, labels, usual)


def speak(names: set[str], row: dict, owners: set[str], labels: set[str], usual: set[str]) -> bool:
    """True if one of these is the owner, speaks in this row or in many, or is named in the row's system text."""
    folded = {name.casefold() for name in names}
    if folded & owners or folded & usual:
        return True
    if folded & labels and folded & labels & {name.casefold() for name in LABELS.findall(_user_turn(row))}:
        return True
    return any(_named(row, name) for name in names)


def _named(row: dict, name: str) -> bool:
    first = row["messages"][0]
    return first["role"] == "system" and _names(first["content"], name)


def _names(system: str, name: str) -> bool:
    """True if a system text names this person. A word that only begins a sentence, or a label, is not a name."""
    if name.casefold() == name and name.upper() != name:  # in lower case
        return bool(re.search(rf"\b{PERSONA} (?i:{re.escape(name)})\b", system))
    # In capitals it is the same name: SAM for Sam, but not NO for no.
    shape = f"{name[0]}(?i:{re.escape(name[1:])})" if name.isupper() and name[0].isalpha() else re.escape(name)
    places = re.finditer(rf"(?<!\w){shape}(?!\w)(?!\s?[:：])", system)
    before = (system[: place.start()].rstrip(" ")[-1:] for place in places)
    return any(character and character not in ".!?:\n" for character in before)


def _user_turn(row: dict) -> str:
    return "\n".join(message["content"] for message in row["messages"][:-1] if message["role"] == "user")


def _first_label(turn: str) -> str | None:
    """The name in the first line after any tags and headings ("Context:") on their own lines."""
    for line in turn.splitlines():
        if not line.strip() or TAG.fullmatch(line.strip()):
            continue
        match = LABEL.match(line)
        if match and not line[match.end() :].strip():
            continue
        return match["name"] if match else None
    return None
