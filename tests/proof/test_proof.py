"""Proofs: which trainings a budget buys, what each fault cost, and what is kept, edited or refused."""

import numpy as np
import pytest
from ftstudy.errors import StudyError
from ftstudy.proof import budget, faults, result
from ftstudy.proof.scores import AS_WAS, FIXED
from hypothesis import given
from hypothesis import strategies as st

NAMES = ["learning_rate", "prompt_trained", "speaker_tags", "under_trained"]
CHATS = [f"chat {at % 12}" for at in range(48)]

# --- which trainings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text, wanted", [("", None), ("10m", 600), ("90s", 90), ("1h30m", 5400), ("1.5 h", 5400)])
def test_a_budget_is_a_time(text, wanted):
    assert budget.seconds(text) == wanted


@pytest.mark.parametrize("text", ["10", "ten minutes", "10m!", "-5m", "m", "1d"])
def test_a_budget_that_is_no_time_is_refused(text):
    with pytest.raises(StudyError, match="is not a time"):
        budget.seconds(text)


def test_a_budget_of_no_time_is_refused():
    with pytest.raises(StudyError, match="leaves no time"):
        budget.seconds("0m")


def test_few_faults_are_trained_in_every_combination_and_many_one_at_a_time():
    assert len(faults.sets(NAMES[:3])) == 8
    assert faults.sets(NAMES) == [frozenset(), frozenset(NAMES), *(frozenset({one}) for one in NAMES)]
    assert faults.sets([]) == [frozenset()] and len(faults.sets(["one"])) == 2


def planned(limit=None, speed=(0.5, 10.0), costs=None, seeds=3, length=lambda which: 100):
    return budget.plan(NAMES, length, limit, speed, costs or {}, seeds)


def test_without_a_budget_everything_is_trained_whole():
    plan = planned()
    assert (plan["most"], plan["cut"], len(plan["trainings"]), plan["seconds"]) == (100, False, 6 + 4, 600)
    assert [seed for _, seed in plan["trainings"]] == [0] * 6 + [1, 1, 2, 2]
    assert planned(limit=60, speed=None)["cut"] is False


def test_a_budget_cuts_all_alike_and_the_costliest_faults_come_first():
    costs = {"learning_rate": 0.5, "prompt_trained": 0.1, "speaker_tags": 0.3, "under_trained": 0.0}
    plan = planned(400, costs=costs)
    assert (
        plan["most"] == 60 and budget.said(plan) == "10 training runs, about 7 min, each cut to 60 iterations at most."
    )
    first = [which for which, _ in plan["trainings"]][:4]
    assert first == [frozenset(), frozenset(NAMES), frozenset({"learning_rate"}), frozenset({"speaker_tags"})]
    short = planned(140, costs=costs)
    assert short["most"] == 50 and "as many of the others as fit into 2 min, the costliest" in budget.said(short)


def test_a_stopped_proof_goes_on_with_its_plan_though_the_speed_is_known_better(tmp_path):
    asked, first = {"lengths": {"": 100}, "limit": 400.0}, planned(400)
    assert budget.kept(tmp_path, asked) is None
    budget.keep(tmp_path, asked, first)
    assert planned(400, speed=(0.4, 10.0))["most"] != first["most"]
    assert budget.kept(tmp_path, asked) == first
    assert budget.kept(tmp_path, asked | {"limit": 500.0}) is None
    (tmp_path / budget.PLAN).write_text("[")
    assert budget.kept(tmp_path, asked) is None


def test_a_short_training_is_a_fault_and_not_what_all_are_cut_to():
    plan = planned(600, length=lambda which: 60 if "under_trained" in which else 8590)
    assert 60 <= plan["most"] < 8590


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8),
    st.one_of(st.none(), st.floats(1, 1e5)),
    st.one_of(st.none(), st.tuples(st.floats(0.001, 100), st.floats(0, 100))),
    st.integers(1, 4),
    st.integers(1, 10_000),
    st.integers(1, 10_000),
)
def test_every_plan_trains_as_it_was_and_as_fixed_first_and_each_fault(names, limit, speed, seeds, short, long):
    plan = budget.plan(names, lambda which: short if which else long, limit, speed, {}, seeds)
    first = [which for which, seed in plan["trainings"] if seed == 0]
    assert first[0] == frozenset() and frozenset(names) in first[:2] and len(set(first)) == len(first)
    assert all(frozenset({one}) in first for one in names) and 1 <= plan["most"] <= max(short, long)
    assert len(plan["trainings"]) == len(set(plan["trainings"]))


def test_a_shortened_config_has_a_shortened_schedule():
    schedule = {"name": "cosine_decay", "warmup": 20, "warmup_init": 1e-7, "arguments": [1e-4, 400, 1e-6]}
    found = budget.shortened({"iters": 400, "lr_schedule": schedule}, 100)
    assert found == {"iters": 100, "lr_schedule": schedule | {"warmup": 5, "arguments": [1e-4, 100, 1e-6]}}
    assert budget.shortened({"iters": 400}, 1000) == {"iters": 400}


# --- what each fault cost --------------------------------------------------------------------------------------------


def scores(mean, seed=0):
    """48 replies of ten tokens in 12 conversations, `mean` nats per token, with a little noise."""
    noise = np.random.default_rng(seed).normal(0, 0.02, 48)
    return {"reply": 10 * (mean + noise), "tokens": np.full(48, 10.0), "end": np.full(48, 1.0)}


def fault(name, part="config"):
    return {"id": name, "fault": f"the {name}", "part": part, "notes": [f"{name} repaired."]}


ASKED = {"conversations": CHATS, "prompts": {FIXED: [], AS_WAS: []}}


def measured(was=4.5, fixed=3.8, rate=4.3, tags=3.8, app=3.85, base=4.1):
    """Two faults of training and the app's prompt, three seeds as it was and as fixed."""
    both = frozenset({"rate", "tags"})
    found = {("base", 0, FIXED): scores(base), ("base", 0, AS_WAS): scores(base)}
    for seed in range(3):
        found[frozenset(), seed, FIXED] = scores(fixed + 0.01 * seed, seed)
        found[frozenset(), seed, AS_WAS] = scores(app + 0.01 * seed, seed)
        found[both, seed, FIXED] = scores(was - 0.05, seed + 10)
        found[both, seed, AS_WAS] = scores(was, seed + 10)
    for form in (FIXED, AS_WAS):
        more = 0.05 * (form == AS_WAS)
        found[frozenset({"rate"}), 0, form] = scores(rate + more, 20)
        found[frozenset({"tags"}), 0, form] = scores(tags + more, 21)
    return found


FAULTS = [fault("rate"), fault("tags", "rows"), fault("prompt", "app")]


def test_a_proof_says_what_it_was_what_it_is_now_and_what_made_the_difference():
    made = result.result(measured(), FAULTS, ["rate", "tags"], [], ASKED)
    by_name = {one["id"]: one["cost"] for one in made["faults"]}
    assert made["was"]["verdict"] == "worse" and made["fixed"]["verdict"] == "better"
    assert by_name["rate"]["verdict"] == "worse" and by_name["rate"]["nats_per_reply_token"] == pytest.approx(
        0.5, abs=0.02
    )
    assert by_name["tags"]["verdict"] == "not distinguishable"
    assert made["faults"][0]["id"] == "rate"
    assert made["sentence"].startswith(
        "As it was, worse than its base by 0.40 nats per reply token; as fixed, better than"
    )
    assert "was the rate" in made["sentence"]


def test_shares_add_up_to_the_whole_difference_of_the_first_seed():
    found = measured()
    made = result.result(found, FAULTS, ["rate", "tags"], [], ASKED)
    both = frozenset({"rate", "tags"})
    whole = (found[both, 0, AS_WAS]["reply"] - found[frozenset(), 0, FIXED]["reply"]).sum() / 480
    assert sum(one["nats_per_reply_token"] for one in made["shares"]) == pytest.approx(whole)


def test_a_single_training_of_a_fault_has_the_chance_of_seeds_in_its_interval():
    quiet, loud = measured(), measured()
    for seed in range(3):
        loud[frozenset(), seed, FIXED] = scores(3.8 + 0.2 * seed, seed)
    costs = [
        next(
            one["cost"]
            for one in result.result(found, FAULTS, ["rate", "tags"], [], ASKED)["faults"]
            if one["id"] == "rate"
        )
        for found in (quiet, loud)
    ]
    widths = [high - low for low, high in (one["interval"] for one in costs)]
    assert widths[1] > 3 * widths[0] and all(one["covers"] == "test replies and training seeds" for one in costs)


def with_seeds(was, fixed):
    """As measured, with so many seeds of the fine-tune as it was and as fixed, which differ by chance."""
    found = {
        (which, seed, form): one
        for (which, seed, form), one in measured().items()
        if which == "base" or seed < (was if which else fixed)
    }
    found[frozenset(), fixed - 1, FIXED] = scores(3.85, 1)
    return result.result(found, FAULTS, ["rate", "tags"], [], ASKED)


@pytest.mark.parametrize("was, fixed, covers", [(1, 2, "test replies only"), (2, 2, "test replies and training seeds")])
def test_one_seed_to_spare_says_nothing_of_chance_and_the_proof_says_so(was, fixed, covers):
    made = with_seeds(was, fixed)
    assert made["helped"]["covers"] == covers and made["helped"]["verdict"] == "better"
    assert ("not the randomness of training" in result.told(made)[-1]) == (covers == "test replies only")


def test_the_chance_of_a_training_is_not_in_the_cost_of_a_prompt():
    costs = {one["id"]: one["cost"] for one in with_seeds(2, 2)["faults"]}
    low, high = costs["prompt"]["interval"]
    assert high - low < 0.1 < np.diff(costs["rate"]["interval"])


def test_a_fix_that_made_it_worse_says_so_first():
    made = result.result(measured(was=3.6, fixed=4.0, rate=3.6, tags=4.0, app=4.0), FAULTS, ["rate", "tags"], [], ASKED)
    assert made["sentence"].startswith("The fix made it worse, by 0.4")
    assert "Better left as it was: the rate" in made["sentence"]


def test_a_difference_that_is_chance_is_not_called_a_gain():
    made = result.result(measured(was=3.8, rate=3.8, app=3.8), FAULTS, ["rate", "tags"], [], ASKED)
    assert "could be chance" in made["sentence"]
    assert not any("With the fix" in line for line in result.told(made))


def test_a_training_that_gave_no_model_is_a_result_and_not_an_error():
    found = measured()
    for key in list(found):
        if key[0] == frozenset({"rate"}) or key[0] == frozenset({"rate", "tags"}):
            found[key] = None
    made = result.result(found, FAULTS, ["rate", "tags"], [], ASKED)
    assert made["sentence"].startswith("As it was, training gave no usable model; as fixed, better than its base")
    assert made["faults"][0]["broken"] and made["faults"][0]["cost"] is None and made["shares"] is None
    assert "training gives no usable model" in result.told(made)[1]
    assert result.has_helped(made)


def test_a_prompt_that_could_not_be_built_is_not_called_measured():
    made = result.result(measured(), FAULTS, ["rate", "tags"], [], ASKED)
    said = result.told(made | {"prompt_not_measured": "No module named app."})
    assert "The prompt: not measured: No module named app." in said


def test_a_fault_that_training_does_not_see_has_no_cost():
    made = result.result(measured(), FAULTS, ["rate", "tags"], ["tags"], ASKED)
    tags = next(one for one in made["faults"] if one["id"] == "tags")
    assert tags["cost"] is None and result.cost_in_words(tags) == "with it alone, training is the same here"
