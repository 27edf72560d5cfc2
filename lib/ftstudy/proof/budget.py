"""What a proof trains within a budget of time: which faults, which seeds, and for how many iterations at most."""

import math
import re
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

from ..errors import StudyError
from ..files import write_json
from ..files.reading import read_json
from ..progress import span
from ..wording import count
from .faults import sets

SEEDS = 3  # of the fine-tune as it was and as fixed: they say how much of a difference is chance
LEAST = 0.25  # of the longest training, to which all are cut at most …
FEW = 50  # … but never to fewer iterations than these, or than the fine-tune as it was had
PLAN = "plan.json"  # in the proof's folder
UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float | None:
    """A budget, such as 10m, 90s or 1h30m; None for an empty one. Raises StudyError for anything else."""
    if not text:
        return None
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smh])", text)
    if not parts or "".join(amount + unit for amount, unit in parts) != re.sub(r"\s", "", text):
        raise StudyError(f"BUDGET={text} is not a time. Write it like 10m, 90s or 1h30m.")
    found = sum(float(amount) * UNITS[unit] for amount, unit in parts)
    if not found:
        raise StudyError(f"BUDGET={text} leaves no time for any training. Leave it out for all of them, or write 10m.")
    return found


def plan(
    trained: list[str],
    length: Callable[[frozenset], int],
    limit: float | None,
    speed: tuple[float, float] | None,
    expected: dict[str, float],
    seeds: int,
) -> dict:
    """Which trainings to run: `trainings` [(set, number of the seed)], in the order in which they run, so that a proof
    that must end early has measured what matters most; `most`, the iterations that a training has at most; `cut`,
    whether that shortens any; `seconds`, for all of them (None if not known); and `limit`.

    `trained`: the ids of the faults that training has; `length`: a set -> its iterations; `limit`: the seconds for
    everything; `speed`: the seconds of an iteration, and those of a training's scoring; `expected`: a fault -> what it is
    expected to cost, in any unit. To stay within the limit all trainings are cut to the same length, down to LEAST.
    """
    trainings = _ordered(sorted(trained, key=lambda one: -expected.get(one, 0.0)), frozenset(trained), seeds)
    lengths = [length(which) for which, _ in trainings]
    longest = most = max(lengths)
    if limit is not None and speed:
        steps = (limit - len(lengths) * speed[1]) / speed[0]
        fits = bisect_right(range(longest + 1), steps, key=lambda most: _total(lengths, most)) - 1
        most = max(fits, min(longest, max(FEW, min(math.ceil(LEAST * longest), *lengths))))
    time = speed and _total(lengths, most) * speed[0] + len(lengths) * speed[1]
    return {"trainings": trainings, "most": most, "cut": most < longest, "seconds": time, "limit": limit}


def keep(folder: Path, asked: dict, planned: dict) -> None:
    """Write down a plan, so that a proof that was stopped goes on with it: once the speed is known better, another one
    would cut trainings differently, and none that is finished could be used. `asked`: what the plan was made for."""
    trainings = [[sorted(which), seed] for which, seed in planned["trainings"]]
    found = {key: planned[key] for key in ("most", "cut", "seconds", "limit")}
    write_json(folder / PLAN, {"asked": asked, "planned": found | {"trainings": trainings}})


def kept(folder: Path, asked: dict) -> dict | None:
    """The plan that was made for the same; None if there is none."""
    try:
        found = read_json(folder / PLAN)
        if found["asked"] != asked:
            return None
        trainings = [(frozenset(which), seed) for which, seed in found["planned"]["trainings"]]
        return found["planned"] | {"trainings": trainings}
    except (OSError, ValueError, KeyError, TypeError):
        return None  # nothing was planned yet, or the file is damaged


def _total(lengths: list[int], most: int) -> int:
    return sum(min(one, most) for one in lengths)


def _ordered(ranked: list[str], every: frozenset, seeds: int) -> list[tuple[frozenset, int]]:
    """As fixed, as it was, and each fault alone, the costliest first; then both ends with other seeds; then the other
    sets. `ranked`: the faults, the costliest first."""
    ends = list(dict.fromkeys([frozenset(), every]))
    alone = [(frozenset({one}), 0) for one in ranked]
    again = [(one, seed) for seed in range(1, seeds) for one in ends]
    return list(dict.fromkeys([*((one, 0) for one in ends), *alone, *again, *((one, 0) for one in sets(ranked))]))


def said(plan: dict) -> str:
    """The plan in a sentence, before anything is trained: 6 training runs, about 40 min."""
    time = f", about {span(plan['seconds'])}" if plan["seconds"] else ""
    short = f", each cut to {count(plan['most'], 'iteration')} at most" if plan["cut"] else ""
    too_long = plan["limit"] is not None and (plan["seconds"] or 0) > plan["limit"]
    as_many = (
        f". The original and the repaired copy are always trained, and as many of the others as fit into "
        f"{span(plan['limit'])}, the costliest faults first"
        if too_long
        else ""
    )
    return f"{count(len(plan['trainings']), 'training run')}{time}{short}{as_many}."


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
