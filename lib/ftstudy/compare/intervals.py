"""Means per token, paired differences, their 95% intervals, p-values and verdicts.

Replies in one conversation are not independent, so conversations are the units: a mean's standard error comes from
the sums of its linearised residuals over each conversation, and its interval from Student's t. The degrees of freedom
are those of conversations of equal size that would say as much (one fewer than their effective number: Carter,
Schnepel & Steigerwald 2017, Review of Economics and Statistics 99). `bench/intervals.py` measures how often such
intervals hold the truth. Two conversations or fewer say nothing about how far conversations differ: no interval.
A verdict here is on one difference alone; `multiple_testing` corrects those that belong together.
"""

from itertools import compress

import numpy as np
from scipy import special  # not `stats`, whose import takes a second longer

from .power import needed

RESAMPLES = 2000
REPLIES, SEEDS = "test replies only", "test replies and training seeds"  # what an interval covers
LEVEL = 0.95
BETTER, WORSE, EQUAL = "better", "worse", "not distinguishable"


def mean(nats: np.ndarray, tokens: np.ndarray, conversations: list[str]) -> tuple[float | None, list[float] | None]:
    """Sum of nats over sum of tokens, with its interval. Both None without tokens; no interval if the conversations
    are worth two or fewer of equal size."""
    if not tokens.sum():
        return None, None
    value, error, freedom = estimate(nats, tokens, conversations)
    return value, _around(value, error, freedom)


def estimate(nats: np.ndarray, tokens: np.ndarray, conversations: list[str]) -> tuple[float, float, float]:
    """Sum of nats over sum of tokens, its standard error, and the degrees of freedom of that.

    For n conversations with sums x and t: R = Σx/Σt; s² = n/(n−1) Σ(x − Rt)² / (Σt)²; Σ(t/Σt)² is one over their
    effective number. NaN and 0 for a single conversation.
    """
    names, cluster = np.unique(conversations, return_inverse=True)
    x, t = (np.bincount(cluster, np.asarray(part, float), len(names)) for part in (nats, tokens))
    value, total = float(x.sum() / t.sum()), t.sum()
    if len(names) < 2:
        return value, float("nan"), 0.0
    error = np.sqrt(len(names) / (len(names) - 1) * ((x - value * t) ** 2).sum()) / abs(total)
    return value, float(error), float(1 / ((t / total) ** 2).sum() - 1)


def _around(value: float, error: float, freedom: float) -> list[float] | None:
    if freedom <= 1 + 1e-9:
        return None
    width = special.stdtrit(freedom, (1 + LEVEL) / 2) * error
    return [float(value - width), float(value + width)]


def judged(value: float, error: float, freedom: float) -> dict:
    """The interval of a difference, its two-sided p-value (Student's t, as the interval), and its verdict."""
    bounds, p = _around(value, error, freedom), None
    if bounds and np.isfinite(bounds).all():
        p = float(2 * special.stdtr(freedom, -abs(value) / error)) if error else float(value == 0)
    return {"interval": bounds, "p": p, "verdict": verdict(bounds), "family": None}


def compared(
    differences: np.ndarray, tokens: np.ndarray, conversations: list[str], unit: str = "nats_per_reply_token"
) -> dict:
    """The mean of paired differences per token under the key `unit`, `judged`, and what is `needed` (see `power`)."""
    if not tokens.sum():
        return {unit: None, **judged(0.0, 0.0, 0.0), "needed": None}
    value, error, freedom = estimate(differences, tokens, conversations)
    more = needed(error, freedom, len(set(conversations)), len(conversations), level=LEVEL)
    return {unit: value, **judged(value, error, freedom), "needed": more}


def jackknife(value: float, without: list[float], sizes: np.ndarray) -> dict:
    """`judged` for any measure. `without`: the measure without each conversation; `sizes`: their replies.

    s² = (n−1)/n Σ(wᵢ − w̄)² (Efron & Tibshirani 1993, chapter 11), with the degrees of freedom of `estimate`.
    """
    count = len(without)
    if count < 2:
        return judged(value, float("nan"), 0.0)
    error = np.sqrt((count - 1) / count * ((np.array(without) - np.mean(without)) ** 2).sum())
    return judged(value, float(error), float(1 / ((sizes / sizes.sum()) ** 2).sum() - 1))


def weights(conversations: list[str], resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each bootstrap resample of whole conversations contains each reply, shape (resamples, replies)."""
    names, cluster = np.unique(conversations, return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return draws[:, cluster]


def verdict(interval: list[float] | None) -> str:
    """The verdict on a difference in nats: lower is better; not distinguishable if the interval includes zero."""
    if interval is None:
        return EQUAL
    return BETTER if interval[1] < 0 else WORSE if interval[0] > 0 else EQUAL


def difference(left: dict, right: dict, conversations: list[str]) -> dict:
    """Left minus right on the same replies: nats per reply token and per end of turn, each `compared`.

    `left`, `right`: scores from `likelihood.score`.
    """
    result = compared(left["reply"] - right["reply"], left["tokens"], conversations) | {"end_of_turn": None}
    ended = ~np.isnan(left["end"] + right["end"])
    if ended.any():
        gap, names = (left["end"] - right["end"])[ended], list(compress(conversations, ended))
        result["end_of_turn"] = compared(gap, np.ones(ended.sum()), names, "nats")
    return result


def share_lost(base: dict, tuned: dict, fused: dict, conversations: list[str]) -> tuple[float, list[float] | None]:
    """The share of the tuned model's gain over its base that the fused model lacks, with its interval.

    (fused − tuned) / (base − tuned), in nats: 0 if nothing is lost, 1 if all is, above 1 if the fused model is worse
    than the base. Only meaningful where the gain is distinguishable from zero.
    """
    return mean(fused["reply"] - tuned["reply"], base["reply"] - tuned["reply"], conversations)


def over_seeds(left: list[dict], right: list[dict], conversations: list[str], chance: tuple | None = None) -> dict:
    """The mean difference between two ways of training, each trained with the same seeds in the same order.

    Two sources of chance are added: the test replies, and the seed (the standard error of the seeds' differences,
    with one degree of freedom fewer than seeds). Their variances add, and Satterthwaite's formula gives the degrees
    of freedom of the sum, so few seeds give a wide interval. With fewer than three seeds, `chance` is taken instead, the
    variance of one seed's difference and its degrees of freedom, as other differences show it (`of_seeds`); without it
    the interval covers the test replies only. `covers` says which.
    """
    pairs = list(zip(left, right))
    tokens = pairs[0][0]["tokens"]
    each = each_seed(left, right, conversations)
    together = sum(a["reply"] - b["reply"] for a, b in pairs) / len(pairs)
    value, error, freedom = estimate(together, tokens, conversations)
    found, seeds_alone = judged(value, error, freedom), (0.0, 1.0)
    known = of_seeds([each]) if len(pairs) >= 3 else chance
    enough = known is not None and found["interval"] is not None
    more = (error, freedom, len(set(conversations)), len(conversations))
    if enough:
        variance, its_freedom = seeds_alone = known[0] / len(pairs), known[1]
        both = error**2 + variance
        if both:
            freedom = both**2 / (error**4 / freedom + variance**2 / its_freedom)
        found = judged(value, float(np.sqrt(both)), float(freedom))
    return {
        "nats_per_reply_token": value,
        **found,
        "needed": needed(*more, seeds_alone, LEVEL),
        "seeds": len(pairs),
        "each_seed": each,
        "covers": SEEDS if enough else REPLIES,
    }


def each_seed(left: list[dict], right: list[dict], conversations: list[str]) -> list[float]:
    """Each seed's difference, nats per reply token."""
    return [mean(a["reply"] - b["reply"], a["tokens"], conversations)[0] for a, b in zip(left, right)]


def of_seeds(differences: list[list[float]]) -> tuple[float, int] | None:
    """The variance of a difference from seed to seed, pooled over several differences, and its degrees of freedom. None
    if none of them has two seeds."""
    several = [each for each in differences if len(each) > 1]
    freedom = sum(len(each) - 1 for each in several)
    squares = sum(float(np.var(each, ddof=0)) * len(each) for each in several)
    return (squares / freedom, freedom) if freedom else None
