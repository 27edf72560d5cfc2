"""How often an interval holds the truth, simulated: replies of 10 per conversation on average, of 7 tokens or so."""

import numpy as np
from ftstudy.compare import intervals


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
