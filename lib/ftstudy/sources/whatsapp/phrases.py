"""What WhatsApp itself writes into an export, in the languages for which it is known (phrases.toml).

What is in no table is found by its repetition (`repeats`).
"""

import re
import tomllib
from pathlib import Path

# Direction marks. iPhones put LRM before everything that nobody typed.
LRM = "\u200e"
MARKS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _by_phrase(by_language: dict[str, list[str]]) -> dict[str, str]:
    """Phrase -> language, or "" if several languages have it."""
    found: dict[str, str] = {}
    for language, phrases in by_language.items():
        for phrase in phrases:
            found[phrase] = language if found.get(phrase, language) == language else ""
    return found


# Table -> phrase -> language.
PHRASES = {
    name: _by_phrase(table)
    for name, table in tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")).items()
}
# Phrase -> language; one of several languages says nothing.
LANGUAGE_OF = {
    phrase: language
    for table in ("photo_omitted", "file_omitted", "card_omitted", "unsent", "calls", "edited")
    for phrase, language in PHRASES[table].items()
}
