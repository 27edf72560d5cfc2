"""What is to be seen in generated replies: do they stop, are they as long as the person's own, copied from training,
the same thing over and over, or like an assistant's?"""

import re
from statistics import fmean, median

from .loops import loops

ASSISTANT = re.compile(
    r"\bas an? (?:ai|language model|assistant)\b|\bi(?:'|’)?m (?:here|happy|glad) to (?:help|assist)\b"
    r"|\bi(?:'|’)?d be (?:happy|glad) to\b|\bhow (?:can|may) i (?:help|assist)\b|\b(?:feel free|don'?t hesitate) to\b"
    r"|\bplease (?:let me know|provide)\b|\blet me know if\b|\bi (?:apologi[sz]e|understand (?:that|your))\b"
    r"|^(?:certainly|absolutely|of course|sure thing|great question)[!,.]|\bit(?:'|’)s (?:important|worth noting)\b"
    r"|^\s*(?:\d+\.|[-*]) .*\n\s*(?:\d+\.|[-*]) |\*\*|^#+ ",
    re.IGNORECASE | re.MULTILINE,
)
OTHER_SPEAKER = re.compile(r"^Contact(?: \d+)?: ", re.MULTILINE)  # it continues the conversation by itself
COPIED_WORDS = 5  # shorter replies are everyone's, not copies


def measures(replies: list[dict], true: list[str], trained: set[str]) -> dict:
    """Shares of generated replies from 0 to 1, and their median number of words, next to the person's own.

    `looping`: the share that repeat themselves (`loops`). `length_ratio`: `words` over `true_words`, None without any.
    `trained`: the replies of the training split, each through `normal`.
    """
    texts = [reply["text"] for reply in replies]
    said, theirs = (median(len(text.split()) for text in side) for side in (texts, true))
    return {
        "end_of_turn_rate": fmean(reply["stopped"] for reply in replies),
        "words": said,
        "true_words": theirs,
        "length_ratio": said / theirs if theirs else None,
        "looping": fmean(loops(text) for text in texts),
        "empty": fmean(not text for text in texts),
        "copied": fmean(copied(text, trained) for text in texts),
        "assistant": fmean(bool(ASSISTANT.search(text)) for text in texts),
        "other_speaker": fmean(bool(OTHER_SPEAKER.search(text)) for text in texts),
    }


def marks(reply: dict, trained: set[str]) -> list[str]:
    """What is wrong with one reply, of "empty", "loops", "copied" and "cut" (at the token limit)."""
    found = {
        "empty": not reply["text"],
        "loops": loops(reply["text"]),
        "copied": copied(reply["text"], trained),
        "cut": not reply["stopped"],
    }
    return [name for name, so in found.items() if so]


def normal(text: str) -> str:
    return " ".join(text.lower().split())


def copied(text: str, trained: set[str]) -> bool:
    """True if it is a reply of the training split, word for word, and not a short one."""
    return len(text.split()) >= COPIED_WORDS and normal(text) in trained
