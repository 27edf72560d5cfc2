"""Means per token, paired differences, their intervals and verdicts.

An interval is the 95% percentile interval of a bootstrap that resamples whole conversations
(Efron & Tibshirani 1993, chapter 13), because replies in one conversation are not independent.
If there is only one conversation, its replies are resampled instead: resampling conversations
would give a width of zero, and false certainty. A single reply has no interval.
"""

import numpy as np

RESAMPLES = 2000
LEVELS = [2.5, 97.5]
BETTER, WORSE, EQUAL = "better", "worse", "not distinguishable"


def weights(conversations: list[str], resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each resample contains each reply, shape (resamples, replies)."""
    names, cluster = np.unique(unit_of(conversations), return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return draws[:, cluster]


def unit_of(conversations: list[str]) -> list[str]:
    """The unit to resample for each reply: its conversation, or the reply itself if there is only one conversation."""
    return conversations if len(set(conversations)) > 1 else [str(at) for at in range(len(conversations))]


def mean(nats: np.ndarray, tokens: np.ndarray, conversations: list[str]) -> tuple[float | None, list[float] | None]:
    """Sum of nats over sum of tokens, with its interval. Both None without tokens; no interval for a single reply."""
    if not tokens.sum():
        return None, None
    value = float(nats.sum() / tokens.sum())
    return value, None if len(conversations) < 2 else bounds(draws(nats, tokens, conversations))


def draws(nats: np.ndarray, tokens: np.ndarray, conversations: list[str]) -> np.ndarray:
    """The mean in each resample."""
    drawn = weights(conversations)
    return (drawn @ nats) / np.maximum(drawn @ tokens, 1)


def bounds(values: np.ndarray) -> list[float]:
    return [float(value) for value in np.percentile(values, LEVELS)]


def verdict(interval: list[float] | None) -> str:
    """The verdict on a difference in nats: lower is better; not distinguishable if the interval includes zero."""
    if interval is None:
        return EQUAL
    return BETTER if interval[1] < 0 else WORSE if interval[0] > 0 else EQUAL


def difference(left: dict, right: dict, conversations: list[str]) -> dict:
    """Left minus right on the same replies: nats per reply token and per end of turn, with intervals and verdicts.

    `left`, `right`: scores from `likelihood.score`.
    """
    value, interval = mean(left["reply"] - right["reply"], left["tokens"], conversations)
    result = {"nats_per_reply_token": value, "interval": interval, "verdict": verdict(interval), "end_of_turn": None}
    ended = ~np.isnan(left["end"] + right["end"])
    if ended.any():
        names = [name for name, on in zip(conversations, ended) if on]
        value, interval = mean((left["end"] - right["end"])[ended], np.ones(ended.sum()), names)
        result["end_of_turn"] = {"nats": value, "interval": interval, "verdict": verdict(interval)}
    return result


def share_lost(base: dict, tuned: dict, fused: dict, conversations: list[str]) -> tuple[float, list[float] | None]:
    """The share of the tuned model's gain over its base that the fused model lacks, with its interval.

    (fused − tuned) / (base − tuned), in nats: 0 if nothing is lost, 1 if all is, above 1 if the fused model is worse
    than the base. Only meaningful where the gain is distinguishable from zero.
    """
    lost, gained = fused["reply"] - tuned["reply"], base["reply"] - tuned["reply"]
    drawn = weights(conversations)
    interval = None if len(conversations) < 2 else bounds((drawn @ lost) / (drawn @ gained))
    return float(lost.sum() / gained.sum()), interval


def over_seeds(left: list[dict], right: list[dict], conversations: list[str]) -> dict:
    """The mean difference between two ways of training, each trained with the same seeds in the same order.

    Two sources of chance are added: the test replies (the bootstrap), and the seed (Student's t with one degree
    of freedom fewer than seeds, times the standard error of the seeds' differences). So few seeds give a wide
    interval. With fewer than three seeds the interval covers the test replies only; `covers` says which.
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
