"""How a person texts, measured on their replies, and described in one line for a system prompt."""

import re
from statistics import median

EMOJI = re.compile("[\u203c-\u3299\U0001f000-\U0001faff]")
PUNCTUATION = (".", "!", "?", "…")


def measures(replies: list[str]) -> dict:
    """`words` is the median number of words; the others are shares (0 to 1) of the replies that can have the trait."""
    cased = [text for text in replies if text[:1].isupper() != text[:1].islower()]

    def share(texts: list[str], has) -> float:
        return sum(map(has, texts)) / len(texts) if texts else 0.0

    return {
        "words": median(len(text.split()) for text in replies) if replies else 0,
        "lower_case": share(cased, lambda text: text[0].islower()),
        "punctuation": share(replies, lambda text: text.rstrip().endswith(PUNCTUATION)),
        "emoji": share(replies, lambda text: bool(EMOJI.search(text))),
        "several_messages": share(replies, lambda text: "\n" in text),
    }


def line(replies: list[str]) -> str:
    """The style of these replies in words; coarse, so that a few more replies do not change it."""
    found = measures(replies)
    return (
        f"Replies have about {found['words']:.0f} words, {_often(found['lower_case'])} start in lower case, "
        f"{_often(found['punctuation'])} end with punctuation, {_often(found['emoji'])} hold emoji, and "
        f"{_often(found['several_messages'])} are several lines."
    )


def _often(share: float) -> str:
    for limit, word in ((0.02, "never"), (0.2, "rarely"), (0.5, "sometimes"), (0.8, "mostly")):
        if share < limit:
            return word
    return "nearly always"
