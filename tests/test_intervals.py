"""Intervals, verdicts, seeds and the factorial, against values worked out by hand on small tables.

With two conversations, each resample is one of them twice (a quarter of the time each) or both: the 95% interval
runs from the mean of the one to the mean of the other.
"""

import numpy as np
import pytest
from conftest import scores
from ftstudy.compare import attribution, intervals


def test_resamples_are_of_whole_conversations():
    drawn = intervals.weights(["a", "b", "a"])
    assert drawn.shape == (2000, 3)
    assert (drawn[:, 0] == drawn[:, 2]).all() and (drawn[:, 0] + drawn[:, 1] == 2).all()
    assert np.mean(drawn[:, 1]) == pytest.approx(1, abs=0.05)
    alone = intervals.weights(["a"] * 3)
    assert (alone.sum(axis=1) == 3).all() and len({tuple(row) for row in alone}) == 10


def test_a_mean_is_per_token_and_its_interval_runs_from_one_conversation_to_the_other():
    value, bounds = intervals.mean(np.array([2.0, 4.0, 12.0]), np.array([1, 1, 2]), ["a", "a", "b"])
    assert value == 18 / 4 and bounds == [3.0, 6.0]
    assert set(intervals.draws(np.array([1.0, 0.0]), np.array([1, 0]), ["a", "b"])) == {0.0, 1.0}
    assert intervals.mean(np.zeros(2), np.zeros(2), ["a", "b"]) == (None, None)
    assert intervals.mean(np.array([3.0]), np.array([2]), ["a"]) == (1.5, None)


@pytest.mark.parametrize("conversations, hits", [(3, 3), (4, 3), (8, 3)])
def test_an_interval_leaves_two_and_a_half_percent_on_each_side(conversations, hits):
    """One conversation in n has the value 1. It is drawn k times with a binomial chance: of 3, three times in 3.7%;
    of 4, three times or more in 5.1%, four times in 0.4%; of 8, three or more in 6.7%, four or more in 1.1%."""
    nats = np.array([1.0] + [0.0] * (conversations - 1))
    names, tokens = [str(at) for at in range(conversations)], np.ones(conversations)
    assert intervals.mean(nats, tokens, names)[1] == pytest.approx([0, hits / conversations])
    assert intervals.mean(-nats, tokens, names)[1] == pytest.approx([-hits / conversations, 0])


@pytest.mark.parametrize(
    "bounds, said",
    [
        ([-2, -1], "better"),
        ([1, 2], "worse"),
        ([-1, 1], "not distinguishable"),
        ([-1, 0], "not distinguishable"),
        ([0, 1], "not distinguishable"),
        ([-1.0, -0.01], "better"),
        ([0.01, 1.0], "worse"),
        (None, "not distinguishable"),
    ],
)
def test_a_verdict_needs_an_interval_without_zero(bounds, said):
    assert intervals.verdict(bounds) == said


def test_a_difference_is_left_minus_right_for_replies_and_for_ends():
    left = scores([1, 2, 9], [1, 1, 2], [5, 6, np.nan])
    right = scores([3, 3, 5], [1, 1, 2], [1, 4, 2])
    found = intervals.difference(left, right, ["a", "a", "b"])
    assert found["nats_per_reply_token"] == 1 / 4 and found["interval"] == [-1.5, 2.0]
    assert found["verdict"] == "not distinguishable"
    end = found["end_of_turn"]
    assert end["nats"] == 3 and end["interval"] == [2.0, 4.0] and end["verdict"] == "worse"
    other = intervals.difference(right, left, ["a", "a", "b"])
    assert other["end_of_turn"]["nats"] == -3 and other["end_of_turn"]["verdict"] == "better"
    assert intervals.difference(scores([1, 2]), scores([2, 4]), ["a", "b"])["end_of_turn"] is None


def test_share_lost_is_of_the_whole_gain_and_its_interval_runs_from_one_conversation_to_the_other():
    """Training gains 1 nat in the one conversation and 3 in the other; fusing loses half a nat in the first only."""
    base, tuned, fused = scores([5, 5]), scores([4, 2]), scores([4.5, 2])
    assert intervals.share_lost(base, tuned, fused, ["a", "b"]) == (0.5 / 4, [0, 0.5])
    alone = [{"reply": one["reply"][:1]} for one in (base, tuned, fused)]
    assert intervals.share_lost(*alone, ["a"]) == (0.5, None)


def test_three_seeds_widen_the_interval_by_students_t():
    """Every reply differs by 0, 1 and 2 nats: no chance in the replies. t(0.975, 2) = 4.303, times 1/√3 = 2.484."""
    left, right = [scores([shift] * 4) for shift in (5, 6, 7)], [scores([5] * 4)] * 3
    found = intervals.over_seeds(left, right, list("abcd"))
    assert found["each_seed"] == [0, 1, 2] and found["nats_per_reply_token"] == 1 and found["seeds"] == 3
    assert found["interval"] == pytest.approx([1 - 2.484, 1 + 2.484], abs=0.3)
    assert found["covers"] == "test replies and training seeds" and found["verdict"] == "not distinguishable"


def test_five_seeds_have_four_degrees_of_freedom():
    """Differences of 1 to 5 nats: sd 1.581, over √5 is 0.707, times t(0.975, 4) = 2.776 is 1.963."""
    left, right = [scores([shift] * 4) for shift in (1, 2, 3, 4, 5)], [scores([0] * 4)] * 5
    found = intervals.over_seeds(left, right, list("abcd"))
    assert found["interval"] == pytest.approx([3 - 1.963, 3 + 1.963], abs=0.2) and found["verdict"] == "worse"


def test_two_seeds_and_single_replies_say_what_they_cover():
    left, right = [scores([1, 3]), scores([3, 5])], [scores([0, 0])] * 2
    found = intervals.over_seeds(left, right, ["a", "b"])
    assert found["interval"] == [2.0, 4.0] and found["covers"] == "test replies only"
    alone = intervals.over_seeds([scores([1])] * 3, [scores([0])] * 3, ["a"])
    assert alone["interval"] is None and alone["covers"] == "test replies only"


def test_the_factorial_of_three_faults():
    """v = a + 2b + 4c + 6ab + 12abc. Shapley: a pair's 6 is halved, the triple's 12 is split in three.

    Main effect of a: 1 + 6/2 (b present half the time) + 12/4 = 7. Interaction of a and b: half of 6 + 12/2.
    """
    value = lambda one: (  # noqa: E731
        ("a" in one) + 2 * ("b" in one) + 4 * ("c" in one) + 6 * ({"a", "b"} <= one) + 12 * (len(one) == 3)
    )
    sets = attribution._subsets(["a", "b", "c"])
    by_set = {one: scores([10 + value(one)] * 2, [1, 1]) for one in sets}
    found = attribution.attribute(by_set, ["a", "b", "c"], ["x", "y"])
    nats = lambda rows: [row["nats_per_reply_token"] for row in rows]  # noqa: E731
    assert found["whole"]["nats_per_reply_token"] == 25
    assert nats(found["main"]) == pytest.approx([7, 8, 7])
    assert {"".join(row["faults"]): row["nats_per_reply_token"] for row in found["interactions"]} == pytest.approx(
        {"ab": 6, "ac": 3, "bc": 3}
    )
    assert nats(found["shares"]) == pytest.approx([8, 9, 8])
    assert {row["verdict"] for row in found["shares"]} == {"worse"}


def test_a_single_fault_costs_what_it_costs_alone():
    by_set = {frozenset(): scores([1, 1]), frozenset("a"): scores([1.5, 1.5])}
    found = attribution.attribute(by_set, ["a"], ["x", "y"])
    assert found["interactions"] == []
    for one in (found["whole"], *found["main"], *found["shares"]):
        assert one["nats_per_reply_token"] == 0.5 and one["interval"] == [0.5, 0.5]


def fault(name, *faults):
    return {"name": name, "faults": list(faults)}


def test_factors_need_every_combination_and_change_a_token():
    formats = [
        fault("aligned"),
        fault("s", "s"),
        fault("n", "n"),
        fault("u", "u"),
        fault("t", "t"),
        fault("su", "s", "u"),
    ]
    same = {"t": "aligned"}
    assert attribution.factors(formats, same) == (["s", "u"], ["t"])  # "n" excludes "s": they were never combined
    assert attribution.factors(formats, same, among=["n", "t"]) == (["n"], ["t"])
    whole = fault("app") | {"profile": {}}
    assert attribution.factors([fault("aligned"), whole], {}) == ([], [])


def test_formats_with_the_same_tokens_share_their_scores():
    formats = [fault("aligned"), fault("s", "s"), fault("u", "u"), fault("su", "s", "u")]
    measured = {"aligned": scores([1, 1]), "s": scores([2, 2]), "u": scores([4, 4])}
    found = attribution.of_model(measured, formats, {"su": "u"}, ["x", "y"])
    assert found["faults"] == ["s", "u"] and found["whole"]["nats_per_reply_token"] == 3
    assert attribution.of_model(measured, formats, {}, ["x", "y"]) is None  # "su" is missing
    models = [{"name": "m", "formats": None}, {"name": "other", "formats": ["aligned"]}]
    plan = {"models": models, "combinations": formats, "same": {"su": "u"}, "heldout": {"conversations": ["x", "y"]}}
    assert attribution.of_models({("m", name): one for name, one in measured.items()}, plan) == {"m": found}
