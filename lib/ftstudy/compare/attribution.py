"""Which fault costs what: a factorial over the faults that can be combined.

Costs are in nats per reply token, against the prompt of training. Three views of the same
2^k arms, where v(S) is the mean with the faults S:

main effect      the mean over all settings of the other faults of v(S + fault) - v(S)
interaction      of two faults: half the mean of how the effect of one changes when the other is
                 there (Box, Hunter & Hunter 2005, chapter 5)
Shapley share    the mean of v(S + fault) - v(S) over all orders in which the faults could come;
                 the shares add up to the cost of all together (Shapley 1953)
"""

from itertools import combinations
from math import factorial

from . import intervals


def attribute(scores: dict, faults: list[str], conversations: list[str]) -> dict:
    """The factorial of one model. `scores`: a frozenset of faults -> scores, for all 2^k sets.

    Returns `whole`, `main`, `interactions` and `shares`, each effect with its interval and verdict
    ("better" and "worse" are said of the prompt with the fault).
    """
    sets = _subsets(faults)
    tokens = scores[frozenset()]["tokens"]

    def effect(weight_of: dict) -> dict:
        nats = sum(weight * scores[chosen]["reply"] for chosen, weight in weight_of.items())
        value, interval = intervals.mean(nats, tokens, conversations)
        return {"nats_per_reply_token": value, "interval": interval, "verdict": intervals.verdict(interval)}

    size = 2 ** (len(faults) - 1)
    return {
        "faults": faults,
        "whole": effect({frozenset(faults): 1, frozenset(): -1}),
        "main": [
            {"fault": fault} | effect({one: (1 if fault in one else -1) / size for one in sets}) for fault in faults
        ],
        "interactions": [
            {"faults": list(pair)}
            | effect({one: (1 if len(one & set(pair)) != 1 else -1) / size for one in sets})
            for pair in combinations(faults, 2)
        ],
        "shares": [{"fault": fault} | effect(_shapley(fault, faults, sets)) for fault in faults],
    }


def _shapley(fault: str, faults: list[str], sets: list[frozenset]) -> dict:
    count, weights = len(faults), dict.fromkeys(sets, 0.0)
    for one in sets:
        if fault not in one:
            weight = factorial(len(one)) * factorial(count - len(one) - 1) / factorial(count)
            weights[one | {fault}] += weight
            weights[one] -= weight
    return weights


def _subsets(faults: list[str]) -> list[frozenset]:
    return [frozenset(chosen) for count in range(len(faults) + 1) for chosen in combinations(faults, count)]


def factors(formats: list[dict], prompts: dict) -> tuple[list[str], list[dict]]:
    """The faults to combine, and the single ones that change nothing.

    `prompts`: a format's name -> its prompts' token ids. A fault is a factor where alone it changes
    the tokens of some prompt, and where every combination with the other factors was made; of two
    that exclude each other the first is taken.
    """
    by_faults = {frozenset(one["faults"]): one["name"] for one in formats if "profile" not in one}
    aligned, chosen, without = prompts["aligned"], [], []
    for one in formats:
        if len(one["faults"]) != 1 or "profile" in one:
            continue
        (fault,) = one["faults"]
        changed = sum(left != right for left, right in zip(prompts[one["name"]], aligned))
        if not changed:
            without.append({"fault": fault, "prompts": len(aligned)})
        elif all(frozenset(more) in by_faults for more in _subsets([*chosen, fault])):
            chosen.append(fault)
    return chosen, without


