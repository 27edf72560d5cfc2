"""Does the fix help, and what did each fault cost? The fine-tune is trained as it was, as fixed, and with each fault left in.

faults     the faults that a repair takes out, and the fine-tune with any of them left in
budget     which trainings fit into a time          trainings    each one, kept, and resumed after a stop
scores     how likely each model finds replies that no training has seen
result     each fault's cost with its interval, and the proof in a sentence
"""

from collections.abc import Callable
from pathlib import Path
from statistics import median

from .. import audit, repair, resource_use, training
from ..engine.hidden_states import HiddenStates
from ..errors import StudyError
from ..files import write_json
from ..files.folders import make_folder
from ..paths import shown
from ..progress import remaining, seconds_left
from ..wording import listed
from . import budget, faults, result, scores, speed, trainings

FOLDER = "proof"  # in the run's folder
ALL = 10**6  # layers, more than any model has: each training shares all that lie below its own adapter
NOTHING = "There is nothing to prove: the audit finds no fault that changes what is learned, or how the app asks."


def plan(
    run: Path,
    inputs: audit.RunInputs,
    fixed: Path,
    known: dict,
    replies: int,
    limit: str = "",
    seeds: int = budget.SEEDS,
) -> dict:
    """What `prove` will train: `budget.plan` with what `faults.read` returns, and `said`, the plan in a sentence.

    `inputs`: the fine-tune as it was; `fixed`: the folder of its repaired copy; `known`: what the run's diagnosis says,
    `expected`, the cost of each fault, and `measured`, as for `repair.read`; `replies`: how many held-out replies to
    measure on; `limit`: the time for everything, "" for no limit. Raises StudyError if `limit` is not a time, or if the
    copy can't be read.
    """
    seconds, found = budget.seconds(limit), faults.read(inputs, fixed, known["measured"])
    trained = [one["id"] for one in found["faults"] if one["id"] != faults.PROMPT]
    forms = 1 + (len(trained) < len(found["faults"]))
    length = {which: trainings.iterations(found["left_in"](which)) for which in faults.sets(trained)}
    lengths = {" + ".join(sorted(which)): iters for which, iters in length.items()}
    asked = {"lengths": lengths, "limit": seconds, "replies": replies, "seeds": seeds}
    planned = budget.kept(run / FOLDER, asked)
    if planned is None:
        took = speed.measured(run, run / FOLDER, inputs, found["copy"], replies, forms)
        planned = budget.plan(trained, length.__getitem__, seconds, took, known["expected"], seeds)
    said = budget.said(planned) if found["faults"] else nothing(found["aborting"])
    more = {"trained": trained, "asked": asked, "was": inputs, "fixed": fixed, "replies": replies, "said": said}
    return found | planned | more


def nothing(aborting: list[str]) -> str:
    """Why there is nothing to prove. `aborting`: the faults that make training abort, as `faults.read` returns them."""
    if not aborting:
        return NOTHING
    return (
        f"There is nothing to compare: as it was, training aborts because of {listed(aborting)}. As fixed it doesn't, "
        "and no other fault changes what is learned, or how the app asks."
    )


def prove(run: Path, plan: dict, tell: Callable[[str], None] = print) -> dict:
    """Train and measure what was planned, and write the result to the run's proof.json; also returned.

    What an earlier, interrupted proof has trained and measured is kept. Raises StudyError if the repaired copy can't be
    trained, or no reply is left to measure on.
    """
    started, folder, origin = resource_use.clock(), run / FOLDER, repair.origin(plan["was"])
    if not plan["faults"]:
        write_json(run / "proof.json", made := {"faults": [], "helped": None, "sentence": plan["said"]} | origin)
        return made
    make_folder(folder)
    budget.keep(folder, plan["asked"], plan)
    named = [(which, seed, faults.name_of(which, plan["trained"])) for which, seed in plan["trainings"]]
    read = {
        (which, seed): trainings.prepare(folder, plan["left_in"](which), name, seed, plan["most"])
        for which, seed, name in named
    }
    fixed = plan["copy"]
    has_prompt = any(one["id"] == faults.PROMPT for one in plan["faults"])
    asked = scores.asked(
        fixed, list(read.values()), plan["profile"] if has_prompt else None, plan["replies"], plan["was"]
    )
    if asked["why_not"] and not plan["trained"]:
        raise StudyError(
            f"The app's prompt is all that was repaired, and it can't be measured as it was: {asked['why_not']}"
        )
    runs = {key: training.run_id(inputs) for key, inputs in read.items()}
    with HiddenStates(ALL, folder) as shared:
        found, done = _measured(folder, named, read, runs, fixed.config["model"], asked, plan, shared, tell)
    chosen = [one for one in plan["trained"] if (frozenset({one}), 0, scores.FIXED) in found]
    measured = result.result(found, plan["faults"], chosen, _idle(runs, chosen), asked) | {
        "trainings": [{key: value for key, value in one.items() if key != "seconds"} for one in done],
        "left_out": len(named) - len(done),
        "most": plan["most"] if plan["cut"] else None,
        "edited": plan["edited"],
        "fixed_copy": shown(plan["fixed"]),
        "replies": len(asked["targets"]),
        "conversations": len(set(asked["conversations"])),
        "seen": asked["seen"],
        "prompt_not_measured": asked["why_not"],
        **origin,
    }
    write_json(run / "proof.json", measured)
    resource_use.record(run, "proof", resource_use.clock() - started)
    return measured


def _measured(
    folder: Path, named: list, read: dict, runs: dict, model: str, asked: dict, plan: dict, shared, tell
) -> tuple[dict, list]:
    """What `result.result` is made of, and each training with its `name`, `faults` and `seed`."""

    def score(adapter: str | None, form: str, label: str) -> dict | None:
        return scores.score(folder / "scores", model, adapter, asked, form, f"{label}, {form}", shared)

    found = {("base", 0, form): score(None, form, "base") for form in asked["prompts"]}
    done, spent, started = [], [], resource_use.clock()
    to_train = {run for run in runs.values() if not trainings.finished(folder, run)}
    ends = (frozenset(), frozenset(plan["trained"]))  # always trained, whatever the budget
    for which, seed, name in named:
        label = f"{name}, seed {seed + 1}" if seed else name
        is_new = runs[which, seed] in to_train
        is_over = plan["limit"] is not None and spent and resource_use.clock() - started + median(spent) > plan["limit"]
        if is_new and is_over and (seed or which not in ends):
            continue
        left = seconds_left({"training": spent}, {"training": len(to_train)}) if to_train else None
        tell(f"{label}: {'training' if is_new else 'trained already'} ({remaining(len(done), len(named), left)})")
        begun = resource_use.clock()
        made = trainings.train(folder, read[which, seed], shared=shared)
        if not which and made["adapter"] is None:
            raise StudyError(f"The repaired copy in {shown(plan['fixed'])} can't be trained: {made['stopped']}")
        done.append({"name": label, "faults": sorted(which), "seed": seed} | made)
        for form in _forms(which, plan, asked):
            found[which, seed, form] = score(made["adapter"], form, label) if made["adapter"] else None
        if is_new:
            to_train.remove(runs[which, seed])
            spent.append(resource_use.clock() - begun)
    return found, done


def _idle(runs: dict, chosen: list[str]) -> list[str]:
    """The faults with which training is the same as without: a setting that nothing reads, or one beyond the cut."""
    return [one for one in chosen if runs[frozenset({one}), 0] == runs[frozenset(), 0]]


def _forms(which: frozenset, plan: dict, asked: dict) -> list[str]:
    """As the app asked too where that is part of a result: as fixed, as it was, or, for shares, everywhere."""
    every = 2 ** len(plan["trained"]) <= faults.MOST
    ends = which in (frozenset(), frozenset(plan["trained"]))
    return [form for form in asked["prompts"] if form == scores.FIXED or ends or every]
