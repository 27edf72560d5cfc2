"""Texts with their invisible parts marked, so that a reader sees what a model sees."""

import re

MARKS = {"\n": "⏎\n", "\r": "␍", "\t": "⇥"}
JOINERS = "\u200d\u200c\ufe0f"  # they join and colour emoji: marks would split the emoji
LONG, KEPT = 400, 150  # characters of a shared piece of a diff: a longer one is shortened to its ends


def visible(text: str) -> str:
    """A token's text with its white space and invisible characters to be seen; lines still break."""
    return _marked(text, MARKS | {" ": "·"})


def piece(text: str, differs: bool) -> str:
    """A piece of a diff: all that is invisible is marked, but only those spaces that are easily missed."""
    if not differs and len(text) > LONG:
        left_out = len(text) - 2 * KEPT
        text = f"{text[:KEPT]} ⋯ {left_out:,} characters that are the same ⋯ {text[-KEPT:]}"
    # At the ends of lines, two or more in a row; all of them where there is nothing else.
    easily_missed = " " if differs and not text.strip() else r"^ +| +$| {2,}"
    dotted = re.sub(easily_missed, lambda match: "·" * len(match[0]), text, flags=re.MULTILINE)
    return _marked(dotted, MARKS)


def _marked(text: str, marks: dict[str, str]) -> str:
    return "".join(
        marks.get(letter)
        or (letter if letter.isprintable() or letter in JOINERS or letter == " " else f"‹U+{ord(letter):04X}›")
        for letter in text
    )
