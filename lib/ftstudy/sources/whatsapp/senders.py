"""Who wrote each message: the sender split off from the words, and which senders are the owner."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from .phrases import MARKS, SYSTEM_PARTS

LONGEST_NAME = 120
QUOTED = re.compile('"[^"]*"|“[^”]*”|„[^“”]*[“”]|«[^»]*»|「[^」]*」')


def split(bodies: list[str], me: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(sender, text) of each message; the sender is "" in WhatsApp's own sentences.

    A sentence by WhatsApp may hold a colon (`Anna changed the subject to "Party: now"`): its part
    before the colon has a quotation that is not closed, or words that no name has. A name with a
    colon in it is one of `me`, or that of somebody with at least five messages, all of whose
    texts would else begin with the same words and a colon.
    """
    lines = [body[:1000].partition("\n")[0] for body in bodies]  # a name is short
    parts = [line.split(": ", 2) for line in lines]
    counts, second = Counter(), {}
    for one in parts:
        if len(one) > 1:
            counts[one[0]] += 1
            second.setdefault(one[0], set()).add(one[1] if len(one) > 2 else None)
    longer = {
        name: f"{name}: {rest}" for name, (rest, *more) in second.items() if rest and not more and counts[name] > 4
    }
    known = [name for name in me if ": " in name]
    system = {name for name, count in counts.items() if len(name) <= LONGEST_NAME and _is_system(name, count)}
    for body, line, one in zip(bodies, lines, parts):
        name = next((name for name in known if line.startswith(f"{name}: ")), longer.get(one[0], one[0]))
        if name in system or len(name) > LONGEST_NAME:
            yield "", body
        elif len(one) > 1:
            yield name, body[len(name) + 2 :]
        elif line.endswith(":") and line[:-1] in counts:  # an editor took the space at the line's end
            yield line[:-1], body[len(line) :]
        else:
            yield "", body


def _is_system(name: str, count: int) -> bool:
    open_quotation = count < 3 and any(mark in QUOTED.sub("", name) for mark in '"“„«「')
    return open_quotation or any(part in name.casefold() for part in SYSTEM_PARTS)


def owners(senders: set[str], me: Iterable[str]) -> set[str]:
    """The senders that are one of `me`, exactly or, where nobody is, but for marks, case and a tilde."""
    found = set()
    for name in me:
        found |= {name} & senders or {sender for sender in senders if _plain(sender) == _plain(name)}
    return found


def _plain(name: str) -> str:
    """A name without marks, its case, and the ~ before somebody who is no contact."""
    name = MARKS.sub("", name).replace("\u00a0", " ").replace("\u202f", " ")
    return name.strip().removeprefix("~").strip().casefold()
