"""Means per token, paired differences, their intervals and verdicts.

An interval is the 95% percentile interval of a bootstrap that resamples whole conversations
(Efron & Tibshirani 1993, chapter 13; replies of one conversation are not independent). Of a
single conversation the replies are resampled: an interval over it alone would have no width,
and claim a certainty that is not there. Of a single reply there is none.
"""

import numpy as np

RESAMPLES = 2000
LEVELS = [2.5, 97.5]
BETTER, WORSE, EQUAL = "better", "worse", "not distinguishable"


def weights(conversations: list[str], resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each reply stands in each resample, (resamples, replies)."""
    names, cluster = np.unique(unit_of(conversations), return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return draws[:, cluster]


def unit_of(conversations: list[str]) -> list[str]:
    """What is resampled: each reply's conversation, or the reply itself where there is only one."""
    return conversations if len(set(conversations)) > 1 else [str(at) for at in range(len(conversations))]


def mean(nats: np.ndarray, tokens: np.ndarray, conversations: list[str]) -> tuple[float | None, list[float] | None]:
    """Sum of nats over sum of tokens, with its interval. None where there is no token, or one reply alone."""
    if not tokens.sum():
        return None, None
    value = float(nats.sum() / tokens.sum())
    return value, None if len(conversations) < 2 else bounds(draws(nats, tokens, conversations))


def draws(nats: np.ndarray, tokens: np.ndarray, conversations: list[str]) -> np.ndarray:
    """The mean in every resample."""
    drawn = weights(conversations)
    return (drawn @ nats) / np.maximum(drawn @ tokens, 1)


def bounds(values: np.ndarray) -> list[float]:
    return [float(value) for value in np.percentile(values, LEVELS)]


def verdict(interval: list[float] | None) -> str:
    """Of a difference in nats: fewer is better; an interval that holds zero tells nothing apart."""
    if interval is None:
        return EQUAL
    return BETTER if interval[1] < 0 else WORSE if interval[0] > 0 else EQUAL


def difference(left: dict, right: dict, conversations: list[str]) -> dict:
    """Left minus right on the same replies: nats per reply token, and per end of turn, each with interval and verdict.

    `left`, `right`: scores, as `likelihood.score` gives them.
    """
    value, interval = mean(left["reply"] - right["reply"], left["tokens"], conversations)
    result = {"nats_per_reply_token": value, "interval": interval, "verdict": verdict(interval), "end_of_turn": None}
    ended = ~np.isnan(left["end"] + right["end"])
    if ended.any():
        names = [name for name, on in zip(conversations, ended) if on]
        value, interval = mean((left["end"] - right["end"])[ended], np.ones(ended.sum()), names)
        result["end_of_turn"] = {"nats": value, "interval": interval, "verdict": verdict(interval)}
    return result


def over_seeds(left: list[dict], right: list[dict], conversations: list[str]) -> dict:
    """The mean difference between two ways of training, each trained with several seeds in the same order.

    Two sources of chance add up: the test replies (the bootstrap), and the seed, as Student's t
    with one degree of freedom fewer than seeds, times the standard error over the seeds' own
    differences: few seeds give a wide interval, as they should. With fewer than three, it covers the
    test replies only, and `covers` says so.
    """
    pairs = list(zip(left, right))
    each = [mean(a["reply"] - b["reply"], a["tokens"], conversations)[0] for a, b in pairs]
    together = sum(a["reply"] - b["reply"] for a, b in pairs) / len(pairs)
    value, interval = mean(together, pairs[0][0]["tokens"], conversations)
    enough = len(pairs) >= 3 and interval is not None
    if enough:
        chance = np.random.default_rng(1).standard_t(len(pairs) - 1, size=RESAMPLES)
        spread = np.std(each, ddof=1) / np.sqrt(len(pairs))
        interval = bounds(draws(together, pairs[0][0]["tokens"], conversations) + chance * spread)
    return {
        "nats_per_reply_token": value,
        "interval": interval,
        "verdict": verdict(interval),
        "seeds": len(pairs),
        "each_seed": each,
        "covers": "test replies and training seeds" if enough else "test replies only",
    }
