"""Repairs of how rows are divided: whole conversations are held out, and none is in two files."""

from collections import Counter, defaultdict
from functools import partial

from ..audit.splits import leaks, rows_of
from ..extract import conversations
from ..wording import count
from .draft import audited
from .kinds import Repair

SHARE, MOST = 10, 3  # a tenth of the conversations is held out, and never more than a third of the rows
TIMES = 6  # rounds of moving rows, until no leak is left
Place = tuple[str, int]
"""(split, place among its rows, from 0)."""


def held_out(draft: dict, inputs, name: str) -> tuple[dict, list[str]]:
    """The latest conversations of train in the split `name`, if it has no rows and the run needs it."""
    made = audited(draft, inputs)
    if name in made.splits or "train" not in made.splits or name == "test" and made.config.get("test") is not True:
        return draft, []
    rows, batch = draft["rows"]["train"], made.config.get("batch_size")
    batch = batch if type(batch) is int and batch > 0 else 1
    groups = defaultdict(list)
    for at, group in enumerate(conversations.infer(_said(made.splits["train"]))):
        groups[group].append(at)
    wanted, taken = max(-(-len(rows) // SHARE), batch), []
    for group in sorted(groups.values(), key=max, reverse=True):
        if len(taken) < wanted and len(taken) + len(group) <= min(2 * wanted, len(rows) // MOST):
            taken += group
    if len(taken) < batch:
        return draft, []
    moved = set(taken)
    parts = {"train": [row for at, row in enumerate(rows) if at not in moved], name: [rows[at] for at in sorted(moved)]}
    note = f"{count(len(moved), 'row')} of the latest conversations moved from train.jsonl to {name}.jsonl"
    return draft | {"rows": draft["rows"] | parts}, [note]


def _said(split) -> list[dict]:
    """A split's rows as `conversations.infer` takes them."""
    key = split.features["text"]
    chats = [split.conversation(row, split.schema) or row for row in split.rows]
    if split.schema == "text":
        chats = [
            {"messages": [{"role": "text", "content": row.get(key)}]} if isinstance(row, dict) else {} for row in chats
        ]
    return [row if isinstance(row, dict) and isinstance(row.get("messages"), list) else {} for row in chats]


def divided(draft: dict, inputs) -> tuple[dict, list[str]]:
    """Conversations that are in several files, each in one, so that every file keeps about its size."""
    made, moved, lost = draft, 0, 0
    for turn in range(TIMES):
        links = _links(made, inputs)
        if not links:
            break
        made, moves, copies = _moved(made, inputs, links, is_last=turn >= TIMES // 2)
        moved, lost = moved + moves, lost + copies
        if not moves:
            break
    if (
        made is draft
        or _links(made, inputs)
        or any(found and not made["rows"][name] for name, found in draft["rows"].items())
    ):
        return draft, []
    notes = [f"{count(moved - lost, 'row')} moved, so that no conversation is in two files"] if moved > lost else []
    if lost:
        notes.append(f"{count(lost, 'row')} left out that {'is' if lost == 1 else 'are'} in the other file, too")
    return made, notes


def _links(draft: dict, inputs) -> list[tuple[Place, Place]]:
    """Pairs of rows in two files of which one gives away the other."""
    splits = audited(draft, inputs).splits
    rows = [row for split in splits.values() for row in rows_of(split)]
    if len({row.split for row in rows}) < 2:
        return []
    places = [(row.split, row.number - 1) for row in rows]
    return [(places[at], places[to]) for found in leaks.find(rows, list(splits)) for at, to in found.items()]


def _moved(draft: dict, inputs, links: list, is_last: bool) -> tuple[dict, int, int]:
    """The draft with linked conversations in one file each, how many rows moved, and how many copies were left out.

    `is_last`: only the rows that leak move, and all of them to train.
    """
    rows = draft["rows"]
    units = _units(draft, inputs, links, is_last)
    inside = [Counter(name for name, _ in unit) for unit in units]
    leaking = sum(inside, Counter())
    room = {name: leaking[name] for name in rows if name != "train"}  # what may come back to a file
    target = {}
    for unit, names in sorted(zip(units, inside), key=lambda one: len(one[0])):
        name = max(names, key=lambda name: (name != "train", names[name]))
        if is_last or "train" not in rows or len(unit) > room.get(name, 0):
            name = "train" if "train" in rows else max(names, key=names.get)
        else:
            room[name] -= len(unit)
        target |= dict.fromkeys(unit, name)
    made = {
        name: [row for at, row in enumerate(found) if target.get((name, at), name) == name]
        for name, found in rows.items()
    }
    moves = copies = 0
    for (name, at), to in sorted(target.items()):
        if to != name:
            moves += 1
            if rows[name][at] in made[to]:
                copies += 1
            else:
                made[to].append(rows[name][at])
    return draft | {"rows": made}, moves, copies


def _units(draft: dict, inputs, links: list, is_last: bool) -> list[list[Place]]:
    """The rows that belong together, of those that are linked: with the rest of their conversations."""
    splits = audited(draft, inputs).splits
    places = [(name, at) for name, split in splits.items() for at in range(len(split.rows))]
    groups = places if is_last else conversations.infer([row for split in splits.values() for row in _said(split)])
    root = dict(zip(places, groups))
    parent = {group: group for group in groups}

    def find(group):
        while parent[group] != group:
            group = parent[group]
        return group

    for one, other in links:
        parent[find(root[one])] = find(root[other])
    linked, units = {find(root[place]) for pair in links for place in pair}, defaultdict(list)
    for place in places:
        if (group := find(root[place])) in linked:
            units[group].append(place)
    return list(units.values())


REPAIRS = (
    Repair(
        "data.no_valid",
        "rows",
        "the missing valid.jsonl",
        partial(held_out, name="valid"),
        ("data.no_valid",),
        measured=False,
    ),
    Repair(
        "data.no_test", "rows", "the missing test.jsonl", partial(held_out, name="test"), ("data.no_test",), True, False
    ),
    Repair(
        "splits_leak",
        "rows",
        "conversations in several files",
        divided,
        ("splits.exact_duplicate", "splits.near_duplicate", "splits.reply_in_context", "splits.same_session"),
        measured=False,
    ),
)
"""In the order in which they run, after all other repairs of rows."""
