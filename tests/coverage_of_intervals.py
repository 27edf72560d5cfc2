"""How often an interval holds the truth, simulated: replies of 10 per conversation on average, of 7 tokens or so."""

import numpy as np
from ftstudy.compare import intervals, multiple_testing


def covered(
    conversations: int, largest: float | None, alike: float, draws: int, skewed: bool = False, method=intervals.mean
) -> float:
    """The share of intervals that hold a true difference of zero.

    `largest`: the share of the replies that the first conversation has; None for equal sizes. `alike`: how much of the
    variance is between conversations. `skewed`: exponential differences instead of normal ones.
    """
    generator = np.random.default_rng(conversations)
    shares = np.full(conversations, 1 / conversations)
    if largest:
        shares = np.array([largest, *[(1 - largest) / (conversations - 1)] * (conversations - 1)])
    cluster = np.repeat(np.arange(conversations), np.round(shares * 10 * conversations).astype(int))
    names, hits = [str(at) for at in cluster], 0
    for _ in range(draws):
        tokens = np.maximum(1, np.round(np.exp(generator.normal(2, 0.7, len(cluster)))))
        between, within = (_differences(generator, size, skewed) for size in (conversations, len(cluster)))
        nats = (np.sqrt(alike) * between[cluster] + np.sqrt(1 - alike) * within * np.sqrt(7.4 / tokens)) * tokens
        low, high = method(nats, tokens, names)[1]
        hits += low <= 0 <= high
    return hits / draws


def _differences(generator, size: int, skewed: bool) -> np.ndarray:
    return generator.exponential(size=size) - 1 if skewed else generator.normal(size=size)


def family_errors(conversations: int, draws: int, size: int = 10) -> tuple[float, float]:
    """How often a family of true-zero differences has a verdict, before and after correction."""
    generator = np.random.default_rng(conversations)
    names, before, after = [str(at) for at in range(conversations)], 0, 0
    for _ in range(draws):
        differences = generator.normal(size=(size, conversations))
        rows = [intervals.judged(*intervals.estimate(nats, np.ones(conversations), names)) for nats in differences]
        before += any(row["verdict"] != intervals.EQUAL for row in rows)
        multiple_testing.correct(rows, "simulated")
        after += any(row["verdict"] != intervals.EQUAL for row in rows)
    return before / draws, after / draws


def told_apart(nats: float, largest: float | None, draws: int) -> float:
    """How often a true difference is told from zero with as many conversations as `power.needed` asks for.

    `largest`: the share of the replies that one conversation in ten has; None for equal sizes.
    """
    generator = np.random.default_rng(7)
    sizes = np.full(10, 5)
    if largest:
        sizes = np.array([round(largest * 50), *[round((1 - largest) * 50 / 9)] * 9])

    def drawn(conversations: int, shift: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
        cluster = np.repeat(np.arange(conversations), np.resize(sizes, conversations))
        between, within = generator.normal(0, 0.1, conversations), generator.normal(0, 0.2, len(cluster))
        return shift + between[cluster] + within, np.ones(len(cluster)), [str(at) for at in cluster]

    (found,) = [one for one in intervals.compared(*drawn(2000, 0.0))["needed"] if one["nats"] == nats]
    count = found["conversations"]
    found = (intervals.judged(*intervals.estimate(*drawn(count, nats))) for _ in range(draws))
    return sum(one["verdict"] != intervals.EQUAL for one in found) / draws
