"""How a claim is written down, and how a measurement becomes a verdict."""

from ..wording import corrected, effect

CONFIRMED, REFUTED, PARTLY, UNTESTABLE = "confirmed", "refuted", "partly", "not testable here"
MARGIN = 0.05  # nats per reply token, 5% of perplexity: smaller effects don't matter in practice


def claim(number: int, statement: str, test: str, measurement: str, verdict: str) -> dict:
    return {"number": number, "statement": statement, "test": test, "measurement": measurement, "verdict": verdict}


def untestable(number: int, statement: str, why: str) -> dict:
    return claim(number, statement, "–", why, UNTESTABLE)


def describe(difference: dict) -> str:
    """A difference as a change in likelihood, in nats and with its interval."""
    return effect(difference["nats_per_reply_token"], difference["interval"])


def judge(difference: dict, expected: str) -> str:
    """The verdict on "this is `expected`", "better" or "worse".

    Verdicts of differences are corrected for their number. Refuted if it is the opposite, or if its whole interval is
    within MARGIN of zero. Not testable if it is not distinguishable, but may be larger than MARGIN.
    """
    if difference["verdict"] == expected:
        return CONFIRMED
    bounds = difference["interval"]
    if difference["verdict"] == "not distinguishable" and (bounds is None or max(map(abs, bounds)) > MARGIN):
        return UNTESTABLE
    return REFUTED


def too_wide(difference: dict, expected: str) -> str:
    """Why `judge` calls it not testable; empty if it does not."""
    if judge(difference, expected) != UNTESTABLE:
        return ""
    if note := corrected(difference):
        return f". Not distinguishable{note}: only more replies could decide"
    return f". The interval includes both zero and more than {MARGIN} nats: only more replies could decide"
