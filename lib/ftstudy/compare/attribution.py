"""Which fault costs what: a factorial over the faults that can be combined.

Costs are in nats per reply token, against the prompt of training. Three views of the same
2^k arms, where v(S) is the mean with the faults S:

main effect      the mean of v(S + fault) - v(S) over all sets S of the other faults
interaction      of two faults: half of how much the effect of one changes, on average, when the
                 other is present (Box, Hunter & Hunter 2005, chapter 5)
Shapley share    the mean of v(S + fault) - v(S) over all orders of adding the faults;
                 the shares add up to the cost of all faults together (Shapley 1953)
"""

from itertools import combinations
from math import factorial

from . import arms, intervals, multiple_testing


def attribute(scores: dict, faults: list[str], conversations: list[str], prompt: str = "the prompt") -> dict:
    """The factorial of one model. `scores`: a frozenset of faults -> scores, for all 2^k sets.

    Returns `whole`, `main`, `interactions` and `shares`, each effect with its interval and verdict ("worse":
    the fault makes the true replies less likely). Main effects, interactions and shares are a family of verdicts each;
    `prompt` names them.
    """
    sets = _subsets(faults)
    tokens = scores[frozenset()]["tokens"]

    def effect(weight_of: dict) -> dict:
        nats = sum(weight * scores[chosen]["reply"] for chosen, weight in weight_of.items())
        return intervals.compared(nats, tokens, conversations)

    size = 2 ** (len(faults) - 1)
    found = {
        "faults": faults,
        "whole": effect({frozenset(faults): 1, frozenset(): -1}),
        "main": [
            {"fault": fault} | effect({one: (1 if fault in one else -1) / size for one in sets}) for fault in faults
        ],
        "interactions": [
            {"faults": list(pair)} | effect({one: (1 if len(one & set(pair)) != 1 else -1) / size for one in sets})
            for pair in combinations(faults, 2)
        ],
        "shares": [{"fault": fault} | effect(_shapley(fault, faults, sets)) for fault in faults],
    }
    multiple_testing.correct([found["whole"]], f"all faults of {prompt}")
    multiple_testing.correct(found["main"], f"faults of {prompt}: main effects")
    multiple_testing.correct(found["interactions"], f"faults of {prompt}: interactions")
    multiple_testing.correct(found["shares"], f"faults of {prompt}: Shapley shares")
    return found


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


def factors(formats: list[dict], same: dict[str, str], among: list[str] | None = None) -> tuple[list[str], list[str]]:
    """The faults to combine, and those that change no token for this model.

    `same`: a format's name -> the name of the one with the same tokens. A fault is a factor if every combination
    with the factors before it exists; of two that exclude each other, the first is taken. `among`: consider only
    these faults.
    """
    made = {frozenset(one["faults"]) for one in formats if "profile" not in one}
    singles = [one for one in formats if len(one["faults"]) == 1 and "profile" not in one]
    singles = [one for one in singles if among is None or one["faults"][0] in among]
    without = [one["faults"][0] for one in singles if same.get(one["name"]) == "aligned"]
    chosen = []
    for one in singles:
        if one["faults"][0] not in without and all(set_ in made for set_ in _subsets([*chosen, *one["faults"]])):
            chosen += one["faults"]
    return chosen, without


def of_models(scores: dict, plan: dict, among: list[str] | None = None) -> dict[str, dict | None]:
    """A model's name -> `of_model`, for every model that is measured in all formats.

    `scores`: (model, format) -> scores; `plan`: from `plan.plan`.
    """
    names = [model["name"] for model in plan["models"] if model["formats"] is None]
    given = (plan["combinations"], plan["same"], plan["heldout"]["conversations"], among)
    return {name: of_model(arms.by_model(scores, name), *given, name) for name in names}


def of_model(
    scores: dict,
    formats: list[dict],
    same: dict[str, str],
    conversations: list[str],
    among: list[str] | None = None,
    model: str = "",
) -> dict | None:
    """`attribute` for one model's scores, format -> scores.

    None if no fault changes a token, or if an arm is missing.
    """
    chosen, _ = factors(formats, same, among)
    names = {frozenset(one["faults"]): one["name"] for one in formats if "profile" not in one}
    by_faults = {one: scores.get(same.get(names[one], names[one])) for one in _subsets(chosen)}
    if not chosen or None in by_faults.values():
        return None
    prompt = "the prompt" if among is None else "the app's prompt"
    return attribute(by_faults, chosen, conversations, f"{prompt} ({model})" if model else prompt)
