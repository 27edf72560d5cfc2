"""What WhatsApp writes in languages that no table has, recognized because it comes back word for word.

A person may write <laughs> once. A line in brackets that several people send again and again was written by the app.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

from .messages import kind_of_files, placeholder_of

TIMES = 5  # the least number of repetitions, by at least two people
WHOLE = re.compile(r"<(?=[^<>\n]{0,60}?[^\W\d_])[^<>\n]{3,60}>")
EDITED = re.compile(r"(.*\S) ?\u200e?(<[^<>\n]{3,60}>)", re.DOTALL)
ATTACHED = re.compile(r"([^\n]{1,200}\.\w{2,5}) \(([^()\n]{3,40})\)")


def repeated(messages: Iterable[tuple[str, str]]) -> tuple[set[str], set[str], set[str]]:
    """(placeholders, marks of an edit, words after a file's name), of the senders and texts of ordinary messages."""
    found = [defaultdict(lambda: (set(), set())) for _ in range(3)]  # text -> (its senders, what it came with)
    for number, (sender, text) in enumerate(messages):
        if text.endswith(">"):
            if WHOLE.fullmatch(text):
                _add(found[0][text], sender, number)
            elif match := EDITED.fullmatch(text):
                _add(found[1][match[2]], sender, match[1])
        elif text.endswith(")") and (match := ATTACHED.fullmatch(text)):
            _add(found[2][match[2]], sender, match[1])
    return tuple(
        {text for text, (senders, others) in one.items() if len(senders) > 1 and len(others) >= TIMES} for one in found
    )


def _add(entry: tuple[set, set], sender: str, other) -> None:
    entry[0].add(sender)
    entry[1].add(other)


def kind_and_text(text: str, known: tuple[set[str], set[str], set[str]]) -> tuple[str, str]:
    """The kind of an ordinary message, and its text, by what is `repeated`."""
    placeholders, edited, attached = known
    if text in placeholders:
        return "placeholder", text
    if edited and text.endswith(">") and (match := EDITED.fullmatch(text)) and match[2] in edited:
        return "text", match[1]
    if attached and text.endswith(")") and (match := ATTACHED.fullmatch(text)) and match[2] in attached:
        return kind_of_files([match[1]]), placeholder_of(match[1])
    return "text", text
