"""What a proof trains within a budget of time: which faults, which seeds, and for how many iterations at most."""

import math
import re
from bisect import bisect_right
from collections.abc import Callable

from ..errors import StudyError
from ..progress import span
from ..wording import count
from .faults import sets

SEEDS = 3  # of the fine-tune as it was and as fixed: they say how much of a difference is chance
LEAST = 0.25  # of the longest training, to which all are cut before seeds and faults are left out …
FEW = 50  # … but never to fewer iterations than these, or than the fine-tune as it was had
UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float | None:
    """A budget, such as 10m, 90s or 1h30m; None for an empty one. Raises StudyError for anything else."""
    if not text:
        return None
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smh])", text)
    if not parts or "".join(amount + unit for amount, unit in parts) != re.sub(r"\s", "", text):
        raise StudyError(f"BUDGET={text} is not a time. Write it like 10m, 90s or 1h30m.")
    return sum(float(amount) * UNITS[unit] for amount, unit in parts)


def plan(
    trained: list[str],
    length: Callable[[frozenset], int],
    limit: float | None,
    speed: tuple[float, float] | None,
    expected: dict[str, float],
    seeds: int,
) -> dict:
    """Which trainings to run: `trainings` [(set, number of the seed)], in the order in which they run; `chosen`, the
    faults that are measured alone; `most`, the iterations that a training has at most; `cut`, whether that shortens
    any; and `seconds`, for all of them (None if not known).

    `trained`: the ids of the faults that training has; `length`: a set -> its iterations; `limit`: the seconds for
    everything; `speed`: the seconds of an iteration, and those of a training's scoring; `expected`: a fault -> what it is
    expected to cost, in any unit. Within the limit all trainings are cut to the same length, down to LEAST; then seeds
    are left out, then the faults that are expected to cost least. Raises StudyError if the limit is too little even
    then.
    """
    ranked = sorted(trained, key=lambda one: -expected.get(one, 0.0))
    for chosen, repeats in [(ranked, seeds), *((ranked[:most], 1) for most in range(len(ranked), -1, -1))]:
        trainings = _trainings(trained, [one for one in trained if one in chosen], repeats)
        lengths = [length(which) for which, _ in trainings]
        longest = most = max(lengths)
        if limit is not None and speed:
            steps = (limit - len(lengths) * speed[1]) / speed[0]
            most = max(1, bisect_right(range(longest + 1), steps, key=lambda most: _total(lengths, most)) - 1)
        least = min(longest, max(FEW, min(math.ceil(LEAST * longest), *lengths)))
        if most >= least:
            break
    else:
        needed = _total(lengths, least) * speed[0] + len(lengths) * speed[1]
        raise StudyError(
            f"Even the shortest proof, {count(len(lengths), 'training')} of {count(least, 'iteration')} at most, would take "
            f"about {span(needed)} here. Give it that much with BUDGET=… or --budget, or ask for fewer replies."
        )
    time = speed and _total(lengths, most) * speed[0] + len(lengths) * speed[1]
    chosen = [one for one in trained if one in chosen]
    return {"trainings": trainings, "chosen": chosen, "most": most, "cut": most < longest, "seconds": time}


def _total(lengths: list[int], most: int) -> int:
    return sum(min(one, most) for one in lengths)


def _trainings(trained: list[str], chosen: list[str], seeds: int) -> list[tuple[frozenset, int]]:
    """With the first seed every set of the chosen faults, and the fine-tune as it was; with others only the fine-tune
    as fixed and as it was."""
    ends = list(dict.fromkeys([frozenset(), frozenset(trained)]))
    if len(chosen) == len(trained):
        wanted = sets(trained)
    else:
        wanted = list(dict.fromkeys([*ends, *(frozenset({one}) for one in chosen)]))
    return [(one, 0) for one in wanted] + [(one, seed) for seed in range(1, seeds) for one in ends]


def said(plan: dict, faults: list[dict]) -> str:
    """The plan in a sentence, before anything is trained: 6 trainings, about 40 min."""
    time = f", about {span(plan['seconds'])}" if plan["seconds"] else ""
    short = f", each cut to {count(plan['most'], 'iteration')} at most" if plan["cut"] else ""
    left = [one["fault"] for one in faults if one["part"] != "app" and one["id"] not in plan["chosen"]]
    without = f". Not measured alone within this budget: {', '.join(left)}" if left else ""
    return f"{count(len(plan['trainings']), 'training')}{time}{short}{without}."


def shortened(config: dict, most: int) -> dict:
    """A config cut to `most` iterations, its learning-rate schedule shortened as well."""
    share = most / config["iters"]
    if share >= 1:
        return config
    schedule = config.get("lr_schedule")
    changed = config | {"iters": most}
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
