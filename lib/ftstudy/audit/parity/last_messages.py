"""Is the message that an app is asked to answer really the other person's?"""

import re

from ...chat_format.messages import has_turns, last_speaker, text_of
from ..evidence import in_rows
from ..findings import Check, Finding
from ..run_inputs import RunInputs

OWN_LAST_MESSAGE = Check(
    "parity.own_last_message",
    ("info",),
    "The app's last message is the owner's own in some rows.",
    cause="In these rows the owner wrote again before anybody answered, so the last message of the user turn is theirs. "
    "An app that is asked only when a message comes in never sends such a prompt.",
    fix="No action is needed for a few rows; otherwise leave them out of the data.",
    bad='user turn "Ann: hey\\nSam: yo", reply by Sam   # {last_message} is "yo"',
    good='user turn "Sam: yo\\nAnn: hey", reply by Sam   # {last_message} is "hey"',
)
CHECKS = (OWN_LAST_MESSAGE,)


def check(inputs: RunInputs) -> list[Finding]:
    """Findings on rows where a profile's {last_message} was written by the person who replies."""
    profile = inputs.profile
    if not any("{last_message}" in str(profile.get(key, "")) for key in ("template", "user", "system")):
        return []
    hits = []
    for name in inputs.splits:
        rows = inputs.conversations(name)
        for line, row in zip(rows.numbers, rows.rows):
            if not has_turns(row, profile) and (speaker := last_speaker(row)) and _is_owner(speaker, row, inputs.owner):
                hits.append((name, line, f"the last message is by {speaker}"))
    return in_rows(inputs, OWN_LAST_MESSAGE, "info", hits, "where {last_message} is the owner's own")


def _is_owner(speaker: str, row: dict, owner: str) -> bool:
    """Whether this is the owner's name, or one that only the owner has."""
    if speaker.lower() in ("me", "i", owner.lower()):
        return True
    system = next((text_of(message) for message in row["messages"] if message["role"] == "system"), "")
    return bool(re.search(rf"\bYou are {re.escape(speaker)}\b", system))
