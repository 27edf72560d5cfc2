"""What a proof has measured: whether the fix helped, and what each fault cost.

A fault's cost is how much less likely the true replies are to the fine-tune with only this fault left in, in nats
per reply token. Where every combination of faults was trained, Shapley shares say how much of the whole difference each
one made: those add up to it.
"""

import shlex

from ..compare import attribution, intervals, multiple_testing
from ..wording import capitalized, effect, listed, more_likely, number, uncapitalized
from .faults import PROMPT
from .scores import AS_WAS, FIXED

LEAST = 2  # degrees of freedom of what the seeds say


def result(found: dict, faults: list[dict], chosen: list[str], idle: list[str], asked: dict) -> dict:
    """The content of proof.json, but for what was trained.

    `found`: (set or "base", seed, form of the prompt) -> scores, None where training gave no usable model; `faults`: from
    `faults.read`; `chosen`: those that were trained alone; `idle`: those with which training is the same as without.
    """
    trained = frozenset(one["id"] for one in faults if one["id"] != PROMPT)
    names, form = asked["conversations"], AS_WAS if AS_WAS in asked["prompts"] else FIXED

    def seeds(which, form: str) -> list[dict]:
        every = [found[key] for key in sorted(found, key=lambda key: key[1]) if (key[0], key[2]) == (which, form)]
        return [one for one in every if one is not None]

    base, fixed, was = seeds("base", FIXED), seeds(frozenset(), FIXED), seeds(trained, form)
    chance = _chance([fixed, was], names)

    def minus(left: list, right: list, chance: tuple | None = chance) -> dict | None:
        pairs = min(len(left), len(right))
        return intervals.over_seeds(left[:pairs], right[:pairs], names, chance) if pairs else None

    against = {name: minus(one, base * len(one)) for name, one in (("was", was), ("fixed", fixed))}
    rows = []
    for one in faults:
        if one["id"] == PROMPT:
            cost = minus(seeds(frozenset(), AS_WAS), fixed, None)  # of the same trainings, whose chance cancels out
        else:
            cost = minus(seeds(frozenset({one["id"]}), FIXED), fixed) if one["id"] in chosen else None
        is_idle = one["id"] in idle
        rows.append(one | {"cost": None if is_idle else cost, "idle": is_idle, "broken": _broken(found, one["id"])})
    helped = minus(fixed, was)
    multiple_testing.correct(
        [row for row in (*against.values(), helped) if row], "the fine-tune as it was, as fixed, and its base"
    )
    multiple_testing.correct([row["cost"] for row in rows if row["cost"]], "the cost of each fault")
    made = {
        **against,
        "helped": helped,
        "faults": sorted(rows, key=_weight),
        "shares": _shares(found, faults, names),
        "was_broken": trained != frozenset() and not was,
    }
    return made | {"sentence": sentence(made)}


def has_helped(made: dict) -> bool:
    """Whether the fine-tune is better as fixed than as it was; where that gave no model, whether it is better than its
    base."""
    row = made["fixed"] if made.get("was_broken") else made["helped"]
    return row is not None and row["verdict"] == intervals.BETTER


def _chance(ends: list[list[dict]], conversations: list[str]) -> tuple[float, int] | None:
    """The variance of the difference between two trainings that differ in chance alone, as the seeds of the fine-tune as
    it was and as fixed show it together, and its degrees of freedom.

    None where both ends together have only one seed to spare: with one degree of freedom an interval is so wide that it
    says nothing, so the intervals cover the replies only, and say that.
    """
    each = [[intervals.mean(one["reply"], one["tokens"], conversations)[0] for one in end] for end in ends]
    known = intervals.of_seeds(each)
    return (2 * known[0], known[1]) if known and known[1] >= LEAST else None


def _broken(found: dict, fault: str) -> bool:
    """Whether the training with this fault alone gave no usable model."""
    return found.get((frozenset({fault}), 0, FIXED), 0) is None


def _weight(row: dict) -> tuple:
    return not row["broken"], -(row["cost"]["nats_per_reply_token"] if row["cost"] else float("-inf"))


def _shares(found: dict, faults: list[dict], conversations: list[str]) -> list[dict] | None:
    """Each fault's Shapley share of the first seed's whole difference; None unless every combination was measured."""
    ids = [one["id"] for one in faults]
    with_prompt = PROMPT in ids
    scores = {}
    for which, seed, form in found:
        if which != "base" and seed == 0:
            scores[which | ({PROMPT} if with_prompt and form == AS_WAS else set())] = found[which, seed, form]
    if len(scores) < 2 ** len(ids) or len(ids) < 2 or None in scores.values():
        return None
    return attribution.attribute(scores, ids, conversations, "the fine-tune as it was")["shares"]


# --- in words --------------------------------------------------------------------------------------------------------


def sentence(made: dict) -> str:
    """The proof in a sentence or two: what it was, what it is now, and what made the difference."""
    was, fixed, helped = (made[name] for name in ("was", "fixed", "helped"))
    if fixed is None:
        return "As fixed, training still gives no usable model."
    now = f"as fixed, {_against_base(fixed)}"
    if made["was_broken"] or was is None:
        return f"As it was, training gave no usable model; {now}."
    before = f"as it was, {_against_base(was)}"
    nats = helped["nats_per_reply_token"]
    if helped["verdict"] == intervals.WORSE:
        return f"The fix made it worse, by {number(nats, 2)} nats per reply token: {before}; {now}.{_harmful(made)}"
    text = f"{capitalized(before)}; {now}"
    if helped["verdict"] != intervals.BETTER:
        return f"{text}. The difference ({number(nats, 2, signed=True)}) could be chance.{_harmful(made)}"
    return f"{text}{_of_it(made)}.{_harmful(made)}"


def _against_base(row: dict) -> str:
    nats = row["nats_per_reply_token"]
    if row["verdict"] == intervals.EQUAL:
        return f"not distinguishable from its base ({number(nats, 2, signed=True)} nats per reply token)"
    way = "worse than" if row["verdict"] == intervals.WORSE else "better than"
    return f"{way} its base by {number(abs(nats), 2)} nats per reply token"


def _of_it(made: dict) -> str:
    """What made most of the difference: "; 0.50 of it was the learning rate"."""
    if made["shares"]:
        names = {one["id"]: one["fault"] for one in made["faults"]}
        costs = [(names[one["fault"]], one) for one in made["shares"]]
    else:
        costs = [(one["fault"], one["cost"]) for one in made["faults"] if one["cost"]]
    costs = sorted(costs, key=lambda one: -one[1]["nats_per_reply_token"])
    told = [(name, cost) for name, cost in costs if cost["verdict"] == intervals.WORSE][:2]
    if not told:
        return ""
    nats = [(name, number(cost["nats_per_reply_token"], 2)) for name, cost in told]
    if made["shares"]:
        return f"; of the difference, {listed([f'{amount} was {name}' for name, amount in nats])}"
    return f"; alone, {listed([f'{name} costs {amount}' for name, amount in nats])}"


def _harmful(made: dict) -> str:
    """The faults that were better left in, as a sentence; empty if there are none."""
    names = [one["fault"] for one in made["faults"] if one["cost"] and one["cost"]["verdict"] == intervals.BETTER]
    return f" Better left as it was: {listed(names)}." if names else ""


def told(made: dict) -> list[str]:
    """The proof as the terminal says it: the sentence, and a line for each fault."""
    lines = [made["sentence"]]
    if made["helped"] and made["helped"]["verdict"] != intervals.EQUAL:
        lines.append(f"With the fix, the true replies are {more_likely(made['helped']['nats_per_reply_token'])}.")
    for one in made["faults"]:
        is_unknown = one["id"] == PROMPT and made.get("prompt_not_measured")
        said = f"not measured: {made['prompt_not_measured']}" if is_unknown else f"{cost_in_words(one)}."
        lines.append(f"{capitalized(one['fault'])}: {said}")
    return [*lines, *without_chance(made)]


def without_chance(made: dict) -> list[str]:
    """That the intervals don't cover the seed, as a sentence in a list; empty if they do."""
    whole = made["helped"] or made["fixed"]
    if not whole or whole["covers"] != intervals.REPLIES:
        return []
    return [
        "The intervals cover the choice of replies, not the randomness of training: with more time "
        "(BUDGET=… or --budget), other seeds are trained too."
    ]


def next_step(made: dict | None) -> dict | None:
    """What to do after a proof that the fix helped, {"title", "text", "command"}; None otherwise."""
    if not (made and made["faults"] and has_helped(made)):
        return None
    text = f"It was trained for the proof only, and came out better: {uncapitalized(made['sentence'])}"
    config = made["fixed_copy"] and f"{made['fixed_copy']}/config.yaml"
    command = shlex.join(["ftstudy", "train", "--config", config]) if config else ""
    return {"title": "Train the repaired copy, and use it.", "text": text, "command": command}


def cost_in_words(one: dict) -> str:
    """What a fault costs: "with it alone, the true replies are 27% less likely (…)"."""
    if one["broken"]:
        return "with it alone, training gives no usable model"
    if not one["cost"]:
        return "with it alone, training is the same here" if one["idle"] else "not measured alone"
    row = one["cost"]
    said = f"with it alone, the true replies are {effect(row['nats_per_reply_token'], row['interval'])}"
    return said if row["verdict"] != intervals.EQUAL else f"{said}: not distinguishable from no cost"
