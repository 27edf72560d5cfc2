"""How much data a verdict would take."""

from math import inf, sqrt

from scipy import special

DIFFERENCES = (0.02, 0.05, 0.1)  # nats
POWER = 0.8
MOST = 1_000_000  # conversations: nobody has more


def needed(
    error: float,
    freedom: float,
    conversations: int,
    replies: int,
    seeds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
) -> list[dict] | None:
    """The fewest conversations, and replies in them, that tell each of DIFFERENCES from zero with 80% power.

    From what was measured: the standard error, its degrees of freedom, and the number of conversations and replies.
    `seeds`: the variance that more replies do not lower, and its degrees of freedom. A difference is told apart if it
    is (t(1 − α/2) + t(power)) standard errors large (Snedecor & Cochran 1989, section 6.14, with t for z). The squared
    error falls with the number of conversations, and their effective number grows with it, if long and short ones stay
    as frequent as they were. A single test is meant, not one corrected for others. None if there is no interval or no
    spread; None for a difference that no number of conversations would show, because seeds differ too much.
    """
    if not freedom > 1 + 1e-9 or not error > 0:  # either may be NaN
        return None

    def smallest(count: int) -> float:
        more = count / conversations
        ours, our_freedom = error**2 / more, (freedom + 1) * more - 1
        if our_freedom <= 1:
            return inf
        both = ours + seeds[0]
        total = both**2 / (ours**2 / our_freedom + seeds[0] ** 2 / seeds[1])
        return (special.stdtrit(total, (1 + level) / 2) + special.stdtrit(total, POWER)) * sqrt(both)

    found = []
    for nats in DIFFERENCES:
        low, high = 1, 2  # `low` conversations are too few
        while high <= MOST and smallest(high) > nats:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if smallest(middle) > nats else (low, middle)
        enough = high <= MOST
        found.append(
            {
                "nats": nats,
                "conversations": high if enough else None,
                "replies": -(-high * replies // conversations) if enough else None,
            }
        )
    return found
