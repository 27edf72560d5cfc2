"""Turns that make no conversation: empty ones, roles out of turn, and a last message that is not a reply."""

from ..audit.content import ROLES as KNOWN_ROLES
from ..audit.content import is_empty, order, speakers
from ..chat_format.conversions import ROLES
from ..chat_format.messages import in_words, text_of
from ..wording import count
from .chats import by_place, conversations, worded, written


def without_empty(draft: dict, inputs) -> tuple[dict, list[str]]:
    """Without empty turns. A row whose reply, or the turn that it answers, is empty is cut before that, or left out if
    nothing is left of it."""
    chats = conversations(draft, inputs)
    labels = speakers.labels_of(worded(chats))
    changes, cut = {}, 0
    for place, row in by_place(chats).items():
        messages = row["messages"]
        empty = [is_empty(message, labels) for message in in_words(row)["messages"]]
        if not any(empty):
            continue
        end = _answered(messages, empty)
        kept = [message for message, nothing in zip(messages[:end], empty) if not nothing]
        changes[place] = reordered(kept) or None  # nothing, where only what answers no question is left
        cut += changes[place] is not None and end < len(messages)
    lost = list(changes.values()).count(None)
    notes = [f"{count(lost, 'row')} with an empty reply or an empty question left out"] if lost else []
    if cut:
        notes.append(f"{count(cut, 'row')} cut after the last reply to a question, before an empty one")
    if len(changes) - lost > cut:
        notes.append(f"Empty turns were taken out of {count(len(changes) - lost - cut, 'row')}")
    return written(draft, inputs, changes), notes


def _answered(messages: list[dict], empty: list[bool]) -> int:
    """How many messages there are up to the last reply that says something, to a question that says something."""
    end = len(messages)
    is_chat = any(one["role"] == "user" for one in messages)
    while (
        end
        and is_chat
        and (messages[end - 1]["role"] != "assistant" or empty[end - 1] or not _is_asked(messages[:end], empty))
    ):
        end -= 1
    return end if is_chat or not empty[-1] else 0


def _is_asked(messages: list[dict], empty: list[bool]) -> bool:
    """Whether the reply answers a question: the last user's turn, or one that only empty turns follow."""
    asked = max((at for at, one in enumerate(messages) if one["role"] == "user"), default=None)
    if asked is None:
        return True
    while asked and empty[asked]:
        asked -= 1
    return messages[asked]["role"] == "user" and not empty[asked]


def ending_with_reply(draft: dict, inputs) -> tuple[dict, list[str]]:
    """Rows that go on after the last reply are cut there; those without one are left out."""
    chats, changes, notes = by_place(conversations(draft, inputs)), {}, []
    if _are_swapped(chats.values()):
        chats = {place: row | {"messages": _swapped(row["messages"])} for place, row in chats.items()}
        changes = {place: row["messages"] for place, row in chats.items()}
        notes = [f"User and assistant were mixed up, and swapped back, in {count(len(changes), 'row')}"]
    cut = 0
    for place, row in chats.items():
        messages = row["messages"]
        if messages[-1]["role"] == "assistant" or messages[-1]["role"] not in KNOWN_ROLES:
            continue
        last = max((at for at, one in enumerate(messages) if one["role"] == "assistant"), default=0)
        is_asked = any(one["role"] == "user" for one in messages[:last])
        changes[place] = messages[: last + 1] if last and is_asked else None
        cut += changes[place] is not None
    if lost := list(changes.values()).count(None):
        notes.append(f"{count(lost, 'row')} left out: no reply")
    if cut:
        notes.append(f"{count(cut, 'row')} cut after the last reply")
    return written(draft, inputs, changes), notes


SWAPPED = {"user": "assistant", "assistant": "user"}


def _swapped(messages: list[dict]) -> list[dict]:
    return [message | {"role": SWAPPED.get(_usual(message), message["role"])} for message in messages]


def _are_swapped(rows) -> bool:
    """Whether every row in which both sides say something begins with the assistant and ends with the user. The others
    can't tell."""
    sides = [said for said in map(_sides, rows) if len(set(said)) > 1]
    return bool(sides) and all(said[0] == "assistant" and said[-1] == "user" for said in sides)


def _sides(row: dict) -> list[str]:
    """Who says something, message by message."""
    said = [one for one in row["messages"] if not is_empty(in_words({"messages": [one]})["messages"][0], set())]
    return [role for role in map(_usual, said) if role != "system"]


def _usual(message: dict) -> str:
    """A message's role by its usual name, where it is one that other formats use."""
    return ROLES.get(message["role"].casefold(), message["role"])


def in_turn(draft: dict, inputs) -> tuple[dict, list[str]]:
    """Roles by their usual names, one system text in front, a user first, and one turn of each side after the other."""
    template = str(getattr(inputs.tokenizer_or_none, "chat_template", None) or "")
    owner, changes, greeted = inputs.owner.casefold(), {}, 0
    for place, row in by_place(conversations(draft, inputs)).items():
        if order([message["role"] for message in row["messages"]], template)[0]:
            messages = _in_turn(row["messages"], owner, template)
            while messages and messages[-1]["role"] != "assistant":
                messages.pop()
            roles = [message["role"] for message in messages]
            if not roles or order(roles, template)[1]:
                messages = None
            if messages != row["messages"]:
                changes[place] = messages
                greeted += messages is not None and _greets(row["messages"], owner, template)
    lost = list(changes.values()).count(None)
    notes = [f"{count(lost, 'row')} left out: the roles don't make a conversation"] if lost else []
    if len(changes) > lost:
        notes.append(f"The turns of {count(len(changes) - lost, 'row')} were put in order: the two sides take turns.")
    if greeted:
        notes.append(
            f"{count(greeted, 'row')} began with the assistant: what it said before anybody asked was taken off"
        )
    return written(draft, inputs, changes), notes


def _greets(messages: list[dict], owner: str, template: str) -> bool:
    users = any(message["role"] == "user" for message in messages)
    roles = [_role(message["role"], owner, template, users) for message in messages]
    return next((role for role in roles if role != "system"), None) == "assistant"


def _in_turn(messages: list[dict], owner: str, template: str) -> list[dict]:
    users = any(message["role"] == "user" for message in messages)
    named = [message | {"role": _role(message["role"], owner, template, users)} for message in messages]
    system = [message for message in named if message["role"] == "system"]
    turns = [message for message in named if message["role"] != "system"]
    while turns and turns[0]["role"] == "assistant":
        turns.pop(0)
    if len(system) > 1:
        system = [system[0] | {"content": "\n\n".join(dict.fromkeys(map(text_of, system)))}]
    return [*system, *joined(turns)]


def reordered(messages: list[dict]) -> list[dict]:
    """The messages with one system text in front, a user first, and one turn of each side after the other."""
    return _in_turn(messages, "", "")


def _role(role: str, owner: str, template: str, users: bool) -> str:
    """A role by its usual name. One that nobody knows is the other person, if no other turn is."""
    if role in KNOWN_ROLES or f"'{role}'" in template or f'"{role}"' in template:
        return role
    if role.casefold() == owner:
        return "assistant"
    return ROLES.get(role.casefold(), role if users else "user")


def joined(turns: list[dict]) -> list[dict]:
    """The turns, neighbours of the same side as one, with a line break between them."""
    made = []
    for turn in turns:
        plain = made and all(
            set(one) == {"role", "content"} and isinstance(one["content"], str) for one in (turn, made[-1])
        )
        if plain and turn["role"] == made[-1]["role"] in ("user", "assistant"):
            made[-1] = made[-1] | {"content": f"{made[-1]['content']}\n{turn['content']}"}
        else:
            made.append(turn)
    return made
