"""A measured cause as plain data, and what it costs."""

from ..wording import effect, more_likely
from . import evidence

LITTLE = 0.02  # nats per reply token: a difference that nobody would notice
AS_MEASURED = "Build the app's prompt as training does (ftstudy.chat_format), or train on the app's form."


def cause(name: str, what: str, lines: list[str], fix: str, **more) -> dict:
    """A cause; by default measured for certain, worth a warning, without a cost, and explained by nothing else.

    `explained_by`: the causes that explain it if they are found too, the likeliest first.
    """
    given = {
        "cost": None,
        "certainty": "measured",
        "kind": "measured",
        "severity": "warning",
        "explained_by": (),
    } | more
    return {"id": name, "what": what, "evidence": lines, "fix": fix, "checks": []} | given


def cost(nats: float, interval: list[float] | None, found: dict, in_words: str = "") -> dict:
    """A cost in nats per reply token, in words, and as a share of what training gained (None if it gained nothing)."""
    row = evidence.gain(found)
    gained = -row["nats_per_reply_token"] if row and row["verdict"] == "better" else None
    return {
        "nats": nats,
        "interval": interval,
        "in_words": in_words or f"each word piece of the true replies is {more_likely(nats)}",
        "share_of_gain": nats / gained if gained else None,
    }


def cost_of(row: dict, found: dict) -> dict:
    """The cost that a difference shows."""
    return cost(row["nats_per_reply_token"], row["interval"], found)


def said(row: dict) -> str:
    """A difference in words."""
    return f"the true replies are {effect(row['nats_per_reply_token'], row['interval'])}"
