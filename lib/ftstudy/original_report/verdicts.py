"""How a claim is written down, and how a measurement becomes a verdict."""

from ..report.wording import interval, number

CONFIRMED, REFUTED, PARTLY, UNTESTABLE = "confirmed", "refuted", "partly", "not testable here"
MARGIN = 0.05  # nats per reply token, 5% of perplexity: an effect that is surely smaller is none worth speaking of


def claim(number: int, statement: str, test: str, measurement: str, verdict: str) -> dict:
    return {"number": number, "statement": statement, "test": test, "measurement": measurement, "verdict": verdict}


def untestable(number: int, statement: str, why: str) -> dict:
    return claim(number, statement, "–", why, UNTESTABLE)


def told(difference: dict) -> str:
    """A difference in nats with its interval."""
    return f"{number(difference['nats_per_reply_token'], signed=True)} {interval(difference['interval'], signed=True)} nats"


def holds(difference: dict, expected: str) -> str:
    """A verdict on "this differs as `expected` ("better" or "worse")": refuted by the opposite, and by an
    interval within MARGIN; one that holds zero and more than that says nothing either way."""
    if difference["verdict"] == expected:
        return CONFIRMED
    bounds = difference["interval"]
    if difference["verdict"] == "not distinguishable" and (bounds is None or max(map(abs, bounds)) > MARGIN):
        return UNTESTABLE
    return REFUTED


def too_wide(difference: dict, expected: str) -> str:
    """Why such a verdict is "not testable here", or nothing."""
    if holds(difference, expected) != UNTESTABLE:
        return ""
    return f": the interval holds both zero and more than {MARGIN} nats, so that more replies are needed to say"
