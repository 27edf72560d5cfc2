"""What a proof trains within a budget of time: which faults, which seeds, and how much all trainings are shortened."""

import math
import re

from ..errors import StudyError
from ..progress import span
from ..wording import count
from .faults import sets

SEEDS = 3  # of the fine-tune as it was and as fixed: they say how much of a difference is chance
LEAST = 0.25  # of its length, to which a training is shortened before faults are left out
UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float | None:
    """A budget, such as 10m, 90s or 1h30m; None for an empty one. Raises StudyError for anything else."""
    if not text:
        return None
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smh])", text)
    if not parts or "".join(amount + unit for amount, unit in parts) != re.sub(r"\s", "", text):
        raise StudyError(f"BUDGET={text} is not a time. Write it like 10m, 90s or 1h30m.")
    return sum(float(amount) * UNITS[unit] for amount, unit in parts)


def plan(trained: list[str], budget: float | None, each: float | None, expected: dict[str, float], seeds: int) -> dict:
    """Which trainings to run: `trainings` [(set, number of the seed)], in the order in which they run; `chosen`, the
    faults that are measured alone; `share`, to which each training is shortened; and `seconds`, for all of them.

    `trained`: the ids of the faults that training has; `each`: the seconds that one whole training takes with its
    scoring, None if not known; `expected`: a fault -> what it is expected to cost, in any unit. Within the budget,
    trainings are shortened down to LEAST; then seeds are left out, then the faults that are expected to cost least.
    """
    ranked = sorted(trained, key=lambda one: -expected.get(one, 0.0))
    for chosen, repeats in [(ranked, seeds), *((ranked[:most], 1) for most in range(len(ranked), -1, -1))]:
        trainings = _trainings(trained, [one for one in trained if one in chosen], repeats)
        share = 1.0
        if budget and each:
            share = min(1.0, budget / (len(trainings) * each))
        if share >= LEAST:
            break
    return {
        "trainings": trainings,
        "chosen": [one for one in trained if one in chosen],
        "share": share,
        "seconds": each and each * share * len(trainings),
    }


def _trainings(trained: list[str], chosen: list[str], seeds: int) -> list[tuple[frozenset, int]]:
    """With the first seed every set of the chosen faults, and the fine-tune as it was; with others only the fine-tune
    as fixed and as it was."""
    wanted = [one for one in sets(trained) if len(one) != 1 or one <= set(chosen) or one == set(trained)]
    if len(chosen) < len(trained):
        wanted = [one for one in wanted if len(one) <= 1 or one == set(trained)]
    ends = list(dict.fromkeys([frozenset(), frozenset(trained)]))
    return [(one, 0) for one in wanted] + [(one, seed) for seed in range(1, seeds) for one in ends]


def said(plan: dict, faults: list[dict]) -> str:
    """The plan in a sentence, before anything is trained: 6 trainings, about 40 min."""
    time = f", about {span(plan['seconds'])}" if plan["seconds"] else ""
    short = f", each shortened to {plan['share']:.0%} of its steps" if plan["share"] < 1 else ""
    left = [one["fault"] for one in faults if one["part"] != "app" and one["id"] not in plan["chosen"]]
    without = f". Not measured alone within this budget: {', '.join(left)}" if left else ""
    return f"{count(len(plan['trainings']), 'training')}{time}{short}{without}."


def shortened(config: dict, share: float) -> dict:
    """A config with `share` of its steps, its learning-rate schedule shortened as well."""
    if share >= 1:
        return config
    schedule = config.get("lr_schedule")
    changed = config | {"iters": max(1, math.ceil(config["iters"] * share))}
    if isinstance(schedule, dict):
        arguments = [_fewer(value, share) for value in schedule.get("arguments") or []]
        changed["lr_schedule"] = schedule | {"arguments": arguments}
        if "warmup" in schedule:
            changed["lr_schedule"]["warmup"] = _fewer(schedule["warmup"], share)
    return changed


def _fewer(value, share: float):
    """A number of steps, which is whole and above 1; other arguments of a schedule are rates."""
    is_steps = isinstance(value, int) and not isinstance(value, bool) and value > 1
    return max(1, math.ceil(value * share)) if is_steps else value
