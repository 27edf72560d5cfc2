"""Speakers' names come off replies, and what somebody else says within a reply is cut off."""

from collections import Counter

from ..audit.content import speakers
from ..audit.content.characters import visible
from ..audit.content.speakers import BRACKETED, DASHED, FIRST, HEADER, LABELS, PLAIN, persona, speak
from ..wording import count
from .chats import audited, by_place, conversations, worded, written


def untagged(draft: dict, inputs) -> tuple[dict, list[str]]:
    """The draft's replies without the names that data.speaker_tag finds."""
    made, chats = audited(draft, inputs), conversations(draft, inputs)
    words = worded(chats)
    labels = speakers.labels_of(words)
    known = speakers.owners_of(made), labels, speakers.usual_labels(words) if labels else set()
    rows, changes, cut = by_place(chats), {}, 0
    tagged = {(name, number): reply for name, number, reply in speakers.tagged(made, words, labels)[0]}
    for place in [*tagged, *_of_same_name(rows, tagged, known[0])]:
        row = rows[place]
        *before, reply = row["messages"]
        if not isinstance(reply.get("content"), str):
            continue
        said, is_cut = _alone(reply["content"], row, known)
        if said != reply["content"]:
            earlier = [_earlier(message, reply["content"], row, known) for message in before]
            changes[place] = [*earlier, reply | {"content": said}] if visible(said) else None
            cut += is_cut
    notes, lost = [], list(changes.values()).count(None)
    if changes:
        notes.append(f"The speaker's name was cut from {count(len(changes), 'reply')}")
    if lost:
        notes.append(f"{count(lost, 'row')} left out whose reply is only a name")
    if cut:
        notes.append(f"Somebody else's lines were cut from {count(cut, 'reply')}")
    return written(draft, inputs, changes), notes


def _of_same_name(rows: dict, tagged: dict, owners: set[str]) -> list[tuple[str, int]]:
    """(split, line) of the other rows whose reply begins with a name that tagged replies begin with."""
    times = Counter(_name(reply) for reply in tagged.values())
    names = {name for name, often in times.items() if name and (name in owners or often > 2)}
    replies = {place: row["messages"][-1] for place, row in rows.items() if place not in tagged}
    return [
        place for place, one in replies.items() if one["role"] == "assistant" and _name(one.get("content")) in names
    ]


def _name(reply) -> str:
    """The name that a reply begins with, in lower case; empty if it begins with none."""
    match = PLAIN.match(reply) if isinstance(reply, str) else None
    return match["name"].casefold() if match else ""


def _earlier(message: dict, reply: str, row: dict, known: tuple) -> dict:
    """An earlier message of the row: one of the owner's without the name in front, as the row's reply has it."""
    text = message.get("content")
    if message["role"] != "assistant" or not isinstance(text, str):
        return message
    said, match = _without_tags(text, row, known), PLAIN.match(reply) or DASHED.match(reply)
    if said == text and match and text.startswith(match.group().rstrip()):
        said = text[len(match.group().rstrip()) :].lstrip()
    return message | {"content": said}  # a turn that was only a name is an empty one now


def _without_tags(text: str, row: dict, known: tuple) -> str:
    while text and (end := _tag(text, row, known)):
        text = text[end:].lstrip()
    return text


def _alone(reply: str, row: dict, known: tuple) -> tuple[str, bool]:
    """A reply without names, and whether somebody else's lines were cut off."""
    text = _without_tags(reply, row, known)
    owners, *_ = known
    if text == reply and not any(speak({name}, row, *known) for name in LABELS.findall(text)[:FIRST]):
        # What makes this one a tag is how many replies begin with it.
        match = PLAIN.match(text) or DASHED.match(text)
        return (text[match.end() :].lstrip() if match else text), False
    if text == reply and _introduces(text, row, known):
        return text, False
    kept, at = [], 0
    for label in LABELS.finditer(text):
        if not speak({label[1]}, row, *known):
            continue
        if not persona(label[1], row, owners):
            return "".join([*kept, text[at : label.start()]]).rstrip(), True
        kept.append(text[at : label.start()])
        at = label.end() + (text[label.end() : label.end() + 1] == " ")
    return "".join([*kept, text[at:]]), False


def _introduces(text: str, row: dict, known: tuple) -> bool:
    """Whether the names in a reply belong to what it says, such as a dialogue or a list: a line with a colon at its end
    comes before the first of them."""
    first = next((label for label in LABELS.finditer(text) if speak({label[1]}, row, *known)), None)
    return first is not None and text[: first.start()].rstrip().endswith((":", "："))


def _tag(text: str, row: dict, known: tuple) -> int:
    """Where the name, role or header that a text begins with ends; 0 if there is none."""
    if match := HEADER.match(text):
        return match.end()
    match = PLAIN.match(text)
    if match and (match["name"].casefold() in speakers.ROLES or speak({match["name"]}, row, *known)):
        return match.end()
    if match := BRACKETED.match(text):
        name = next(group for group in match.group("a", "b", "c") if group)
        is_side = name.casefold() in speakers.SIDES and (match["colon"] or match["b"])
        if is_side or speak({name}, row, *known):
            return match.end()
    match = DASHED.match(text)
    return match.end() if match and persona(match["name"], row, known[0]) else 0
