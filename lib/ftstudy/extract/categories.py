"""The category of the last message, for the variant `category_aware`.

The original project predicted the category from the *reply*. In training that gives away part of the
answer, and an app cannot know it before the reply is written. Here the category comes from the
context alone; `leak` measures how often the original's method would differ.
"""

import re

from ..privacy import is_link_only
from ..sources import ATTACHMENT, PHOTO

_OPEN = r"(?:what|who|where|when|why|how|which|whats|hows|wheres|wann|wo|wer|was|wie|warum|qué|quién|dónde|cuándo|cómo|où|quand|pourquoi|comment)"
# The first rule that fits gives the category. Mostly English; in other languages `?` decides most cases.
RULES = {
    "photo or link": lambda text: is_link_only(text) or not text.replace(PHOTO, "").replace(ATTACHMENT, "").strip(),
    "open question": re.compile(
        rf"(?:^|[.!\n,]\s*)(?:so |and |but |ok |hey )?{_OPEN}\b.*\?|^{_OPEN}\b", re.I | re.S
    ).search,
    "question": re.compile(r"\?\s*\W*$").search,
    "request": re.compile(
        r"^(?:can|could|would|will) (?:you|u|ya)\b|\b(?:please|pls|plz|bitte|por favor|s'il te plaît)\b|^(?:let me know|lmk|tell me|send me|call me|text me)\b",
        re.I,
    ).search,
    "plan": re.compile(
        r"\b(?:tonight|tomorrow|tmrw|tmr|weekend|mon|tues|wednes|thurs|fri|satur|sun)(?:day)?\b|\b(?:let'?s|wanna|meet|free at)\b|\b\d{1,2}(?::\d\d)? ?(?:am|pm)\b",
        re.I,
    ).search,
    "thanks": re.compile(r"\b(?:thanks|thank you|thx|ty|tysm|danke|gracias|merci)\b", re.I).search,
    "greeting": re.compile(
        r"^(?:hey+|hi+|hello+|yo+|sup|good (?:morning|night|evening)|gm|gn|hola|hallo|salut)\b", re.I
    ).search,
    "laugh": re.compile(r"^\W*(?:l+o+l+|lmf?ao+|(?:ha){2,}h?|rofl|jaja\w*|😂|🤣|💀)", re.I).search,
}
OTHER = "statement"


def category_of(text: str) -> str:
    """The category of a message: a key of RULES, or "statement"."""
    return next((name for name, fits in RULES.items() if fits(text)), OTHER)


def category_of_context(context) -> str:
    """The category of the other person's last message in a context (a list of Message)."""
    return category_of(next((message.text for message in reversed(context) if not message.is_owner), ""))


def leak(pairs: list[dict]) -> float:
    """The share of pairs whose category would change if it were taken from the reply."""
    differ = [category_of_context(pair["context"]) != category_of(pair["reply"]) for pair in pairs]
    return sum(differ) / len(differ) if differ else 0.0
