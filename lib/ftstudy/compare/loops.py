"""Does a reply repeat itself? A model that hasn't learned to stop often says the same thing until it is cut off.

A reply loops if, back to back,

    several words are said at least 3 times     "I got it I got it I got it"
    one word is said at least 8 times           "yeah yeah yeah yeah yeah yeah yeah yeah"
    a few characters come at least 15 times     "哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈", emoji, and "!!!!!" or "hahaha" of 40 letters

or if half of it or more was said before in the same reply, four words or more at a time. In scripts without spaces,
a character counts as a word. People repeat themselves too ("no no no", "haha haha", "!!!!!"), but less often in a row:
the limits are set so that nearly none of a person's own replies loops.
"""

import re

SEVERAL, ONE, CHARACTERS = 3, 8, 15  # how often in a row
REPEATED = 5  # words that only repeat others: fewer, as in "oh no oh no oh no", are a person's
MOST_CHARACTERS = 8  # of a block: an emoji can have as many
BYTES = 40  # of UTF-8 that such characters must fill: people do write "ohhhhhhhhhhhhhhhhhhhh"
RUN = 4  # words in a row that were said before …
AT_LEAST = 12  # … count in replies of so many words
# Scripts without spaces: Thai, Lao, Burmese, Khmer, kana, Chinese characters and their extensions.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
UNSPACED += "\uff66-\uff9d\U00020000-\U0003ffff"
EDGES = ".,!?;:…\"'’‘“”()[]*~-–—。、，！？；：「」『』（）"


def loops(text: str) -> bool:
    """True if a reply repeats itself."""
    said = words(text)
    return (
        any(_in_a_row(said, size) >= (SEVERAL if size > 1 else ONE) for size in range(1, len(said) // SEVERAL + 1))
        or any(_characters("".join(text.split()), size) for size in range(1, MOST_CHARACTERS + 1))
        or len(said) >= AT_LEAST
        and 2 * _said_before(said) >= len(said)
    )


def words(text: str) -> list[str]:
    """Lower-cased words without the punctuation around them; in scripts without spaces, characters."""
    found = re.findall(f"[{UNSPACED}]|[^\\s{UNSPACED}]+", text.lower())
    return [word for word in (one.strip(EDGES) for one in found) if word]


def _in_a_row(said: list[str], size: int) -> int:
    """The most times that a block of `size` different words is said back to back; 1 if too little is repeated."""
    longest, run = 0, 0
    for at in range(size, len(said)):
        run = run + 1 if said[at] == said[at - size] else 0
        if run > longest and (size == 1 or len(set(said[at - size + 1 : at + 1])) > 1):
            longest = run
    return 1 + longest // size if longest >= REPEATED else 1


def _characters(text: str, size: int) -> bool:
    """Whether a block of `size` characters comes back to back as often as in a loop."""
    run = 0
    for at in range(size, len(text)):
        run = run + 1 if text[at] == text[at - size] else 0
        if 1 + run // size >= CHARACTERS and len(text[at - size - run + 1 : at + 1].encode(errors="replace")) >= BYTES:
            return True
    return False


def _said_before(said: list[str]) -> int:
    """How many words are in a run of RUN words that was said earlier in the reply."""
    seen, repeated = set(), set()
    for at in range(len(said) - RUN + 1):
        run = tuple(said[at : at + RUN])
        if run in seen:
            repeated |= set(range(at, at + RUN))
        seen.add(run)
    return len(repeated)
