"""Intervals, verdicts, seeds and the factorial, against values worked out by hand on small tables.

With three conversations of one reply each, Student's t has 2 degrees of freedom: t(0.975, 2) = 4.30265. Values
0, 1 and 2 have mean 1 and standard deviation 1, so the interval is 1 ± 4.30265/√3 = 1 ± 2.48414.
"""

import numpy as np
import pytest
from conftest import example, scores
from coverage_of_intervals import covered
from ftstudy.compare import attribution, intervals, results, style_similarity
from scipy import stats
from scipy.spatial.distance import jensenshannon

WIDTH = 2.48414


def test_a_mean_is_per_token_and_its_interval_is_students():
    value, bounds = intervals.mean(np.array([0.0, 2.0, 4.0]), np.array([1, 1, 1]), list("abc"))
    assert value == 2 and bounds == pytest.approx([2 - 2 * WIDTH, 2 + 2 * WIDTH], abs=1e-4)
    assert intervals.mean(np.array([2.0, 4.0, 12.0]), np.array([1, 1, 2]), list("abc"))[0] == 18 / 4
    assert intervals.mean(np.zeros(2), np.zeros(2), list("ab")) == (None, None)


def test_conversations_are_the_units_whatever_the_order_of_replies():
    one = intervals.mean(np.array([0.0, 2.0, 4.0]), np.array([2, 2, 2]), list("abc"))
    split = intervals.mean(np.array([1.0, 3.0, 0.0, 1.0, 1.0]), np.array([1, 1, 2, 1, 1]), list("ccabb"))
    assert split == one == (1, pytest.approx([1 - WIDTH, 1 + WIDTH], abs=1e-4))


def test_the_standard_error_of_conversations_of_unequal_length():
    """Sums 1, 4, 7 of 1, 2 and 3 tokens: R = 2, residuals −1, 0, 1, so s² = 3/2 · 2 / 36. Shares 1/6, 1/3, 1/2: worth
    36/14 conversations, and 22/14 degrees of freedom."""
    value, error, freedom = intervals.estimate(np.array([1.0, 4.0, 7.0]), np.array([1, 2, 3]), list("abc"))
    assert (value, error, freedom) == (2, pytest.approx(np.sqrt(3 / 36)), pytest.approx(22 / 14))


@pytest.mark.parametrize(
    "tokens, names", [([1], "a"), ([1, 1], "aa"), ([1, 1], "ab"), ([3, 5], "ab"), ([8, 1, 1], "abc"), ([1] * 4, "aabb")]
)
def test_two_conversations_or_what_is_worth_no_more_have_no_interval(tokens, names):
    value, bounds = intervals.mean(np.arange(1.0, len(tokens) + 1), np.array(tokens), list(names))
    assert value > 0 and bounds is None and intervals.verdict(bounds) == "not distinguishable"


@pytest.mark.slow
@pytest.mark.parametrize("alike", [0.02, 0.5])
@pytest.mark.parametrize("largest", [None, 0.4])
@pytest.mark.parametrize("conversations", [5, 9, 20, 40])
def test_of_a_hundred_intervals_ninety_five_hold_the_truth(conversations, largest, alike):
    """94 to 97%; chance in 4,000 draws is 0.35% either way, twice that is allowed."""
    assert 0.933 <= covered(conversations, largest, alike, draws=4000) <= 0.977


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
    """Replies differ by 10, 11 and 12 nats, ends by −4, −5 and −6."""
    left, right = scores([11, 13, 15], 1, 0) | {"end": np.array([1, 1, 1])}, scores([1, 2, 3], 1, 0)
    right["end"] = np.array([5, 6, 7])
    found = intervals.difference(left, right, list("abc"))
    assert found["nats_per_reply_token"] == 11 and found["verdict"] == "worse"
    assert found["interval"] == pytest.approx([11 - WIDTH, 11 + WIDTH], abs=1e-4)
    end = found["end_of_turn"]
    assert end["nats"] == -5 and end["interval"] == pytest.approx([-5 - WIDTH, -5 + WIDTH], abs=1e-4)
    assert end["verdict"] == "better"
    other = intervals.difference(right, left, list("abc"))
    assert other["end_of_turn"]["nats"] == 5 and other["end_of_turn"]["verdict"] == "worse"
    assert other["verdict"] == "better"


def test_ends_that_were_not_scored_do_not_count():
    left, right = scores([1, 2, 3, 4]), scores([1, 2, 3, 4])
    left["end"], right["end"] = np.array([3, 4, 5, np.nan]), np.array([1, 1, 1, 1])
    end = intervals.difference(left, right, list("abcd"))["end_of_turn"]
    assert end["nats"] == 3 and end["interval"] == pytest.approx([3 - WIDTH, 3 + WIDTH], abs=1e-4)
    assert intervals.difference(scores([1, 2, 3]), scores([2, 4, 6]), list("abc"))["end_of_turn"] is None


def test_share_lost_is_of_the_whole_gain():
    """Training gains 1, 3 and 2 nats; fusing loses half of each, but for a nat more or less in two of them."""
    base, tuned = scores([5, 5, 5]), scores([4, 2, 3])
    value, bounds = intervals.share_lost(base, tuned, scores([4.5, 3.5, 4]), list("abc"))
    assert value == 0.5 and bounds == pytest.approx([0.5, 0.5])
    value, bounds = intervals.share_lost(base, tuned, scores([5.5, 2.5, 4]), list("abc"))
    # residuals 1, −1, 0: s² = 3/2 · 2 / 36, and 36/14 − 1 degrees of freedom, as above
    assert value == 0.5 and bounds[1] - value == pytest.approx(value - bounds[0])
    assert (bounds[1] - value) / np.sqrt(3 / 36) == pytest.approx(stats.t.ppf(0.975, 22 / 14))
    assert intervals.share_lost(scores([5]), scores([4]), scores([4.5]), ["a"]) == (0.5, None)


def test_a_jackknife_of_a_mean_is_its_students_interval():
    values = np.array([0.0, 2.0, 4.0])
    without = [np.delete(values, at).mean() for at in range(3)]
    found = intervals.jackknife(2, without, np.ones(3))
    assert found["interval"] == pytest.approx([2 - 2 * WIDTH, 2 + 2 * WIDTH], abs=1e-4)
    assert found["p"] == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    for few in (intervals.jackknife(2, [1.0, 3.0], np.ones(2)), intervals.jackknife(2, [], np.ones(1))):
        assert few == {"interval": None, "p": None, "verdict": "not distinguishable", "family": None}


def test_three_seeds_widen_the_interval_by_students_t():
    """Every reply differs by 0, 1 and 2 nats: no chance in the replies, and 2 degrees of freedom."""
    left, right = [scores([shift] * 4) for shift in (5, 6, 7)], [scores([5] * 4)] * 3
    found = intervals.over_seeds(left, right, list("abcd"))
    assert found["each_seed"] == [0, 1, 2] and found["nats_per_reply_token"] == 1 and found["seeds"] == 3
    assert found["interval"] == pytest.approx([1 - WIDTH, 1 + WIDTH], abs=1e-4)
    assert found["covers"] == "test replies and training seeds" and found["verdict"] == "not distinguishable"


def test_five_seeds_have_four_degrees_of_freedom():
    """Differences of 1 to 5 nats: sd 1.58114, over √5 is 0.70711, times t(0.975, 4) = 2.77645 is 1.96324."""
    left, right = [scores([shift] * 4) for shift in (1, 2, 3, 4, 5)], [scores([0] * 4)] * 5
    found = intervals.over_seeds(left, right, list("abcd"))
    assert found["interval"] == pytest.approx([3 - 1.96324, 3 + 1.96324], abs=1e-4) and found["verdict"] == "worse"


def test_chance_of_replies_and_of_seeds_adds_up():
    """Replies differ by 0, 1, 2 in each seed, and seeds by −1, 0, 1: a variance of 1/3 each, both with 2 degrees of
    freedom, so 2/3 with 4 (Satterthwaite): 1 ± 2.77645 · √(2/3)."""
    left = [scores([shift, shift + 1, shift + 2]) for shift in (-1, 0, 1)]
    found = intervals.over_seeds(left, [scores([0] * 3)] * 3, list("abc"))
    width = 2.77645 * np.sqrt(2 / 3)
    assert found["interval"] == pytest.approx([1 - width, 1 + width], abs=1e-4)


def test_two_seeds_and_single_replies_say_what_they_cover():
    found = intervals.over_seeds([scores([1, 3, 5])] * 2, [scores([0, 0, 0])] * 2, list("abc"))
    assert found["interval"] == pytest.approx([3 - 2 * WIDTH, 3 + 2 * WIDTH], abs=1e-4)
    assert found["covers"] == "test replies only"
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
    by_set = {one: scores([10 + value(one)] * 3) for one in sets}
    found = attribution.attribute(by_set, ["a", "b", "c"], ["x", "y", "z"])
    nats = lambda rows: [row["nats_per_reply_token"] for row in rows]  # noqa: E731
    assert found["whole"]["nats_per_reply_token"] == 25
    assert nats(found["main"]) == pytest.approx([7, 8, 7])
    assert {"".join(row["faults"]): row["nats_per_reply_token"] for row in found["interactions"]} == pytest.approx(
        {"ab": 6, "ac": 3, "bc": 3}
    )
    assert nats(found["shares"]) == pytest.approx([8, 9, 8])
    assert {row["verdict"] for row in found["shares"]} == {"worse"}


def test_a_single_fault_costs_what_it_costs_alone():
    by_set = {frozenset(): scores([1] * 3), frozenset("a"): scores([1.5] * 3)}
    found = attribution.attribute(by_set, ["a"], ["x", "y", "z"])
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
    found = attribution.of_model(measured, formats, {"su": "u"}, ["x", "y"], model="m")
    assert attribution.of_models({("m", name): one for name, one in measured.items()}, plan) == {"m": found}


# --- a second opinion -------------------------------------------------------------------------

VALUES = np.array([0.3, -0.1, 0.8, 0.4, 0.9])


def test_one_reply_a_conversation_is_a_paired_t_test():
    left, right = scores(7 + VALUES) | {"end": 2 * VALUES}, scores([7] * 5) | {"end": np.full(5, 0.1)}
    found = intervals.difference(left, right, list("abcde"))
    for one, test in (
        (found, stats.ttest_rel(7 + VALUES, [7] * 5)),
        (found["end_of_turn"], stats.ttest_rel(2 * VALUES, [0.1] * 5)),
    ):
        assert one["interval"] == pytest.approx(list(test.confidence_interval())) and one["p"] == pytest.approx(
            test.pvalue
        )
    assert found["end_of_turn"]["nats"] == pytest.approx(2 * VALUES.mean() - 0.1)
    assert intervals.difference(right, left, list("abcde"))["p"] == found["p"]  # two-sided


def test_the_p_value_of_unequal_conversations():
    """R = 2, s² = 3/36 and 22/14 degrees of freedom, as above."""
    found = intervals.compared(np.array([1.0, 4.0, 7.0]), np.array([1, 2, 3]), list("abc"))
    assert found["p"] == pytest.approx(2 * stats.t.sf(2 / np.sqrt(3 / 36), 22 / 14))
    assert found["interval"][0] == pytest.approx(2 - stats.t.ppf(0.975, 22 / 14) * np.sqrt(3 / 36))


@pytest.mark.parametrize(
    "value, error, freedom, p",
    [(1, 0, 5, 0), (0, 0, 5, 1), (-2.0, 1.0, 2.0, 0.1835), (2.0, 1.0, 1.0, None), (1.0, float("nan"), 0.0, None)],
)
def test_p_values_where_nothing_varies_or_too_little_is_known(value, error, freedom, p):
    assert intervals.judged(value, error, freedom)["p"] == pytest.approx(p, abs=1e-4)


def test_a_loss_that_is_not_a_number_has_no_p_value_and_no_verdict():
    found = intervals.difference(scores([np.nan, 1, 2]), scores([0, 0, 0]), list("abc"))
    assert found["p"] is None and found["verdict"] == "not distinguishable" and found["needed"] is None


def test_seeds_and_replies_are_welchs_two_samples():
    """Welch's t-test adds the variances of two means, with Satterthwaite's degrees of freedom: of 5 and of 4 here."""
    shifts = np.array([-0.2, 0.1, 0.5, -0.4])
    left = [scores(5 + VALUES + shift) for shift in shifts]
    found = intervals.over_seeds(left, [scores([5] * 5)] * 4, list("abcde"))
    test = stats.ttest_ind(VALUES + shifts.mean(), shifts - shifts.mean(), equal_var=False)
    assert found["interval"] == pytest.approx(list(test.confidence_interval())) and found["p"] == pytest.approx(
        test.pvalue
    )


def test_a_jackknife_of_a_ratio_against_its_formula():
    """Ratios of sums without each of four conversations: s² = (n − 1)/n Σ(wᵢ − w̄)², 3 degrees of freedom."""
    x, t = np.array([1.0, 5, 2, 6]), np.array([1.0, 2, 3, 4])
    without = [(14 - x[at]) / (10 - t[at]) for at in range(4)]  # 13/9, 9/8, 12/7, 8/6
    found = intervals.jackknife(1.4, without, np.full(4, 3))
    width = 3.18245 * np.sqrt(3 * np.var(without))
    assert found["interval"] == pytest.approx([1.4 - width, 1.4 + width], rel=1e-5)


def test_a_jackknife_has_the_degrees_of_freedom_of_its_effective_conversations():
    """Of 1, 2 and 3 replies: 36/14 conversations. s² = 2/3 · 2."""
    found = intervals.jackknife(3.0, [1.0, 2.0, 3.0], np.array([1, 2, 3]))
    assert found["p"] == pytest.approx(2 * stats.t.sf(3 / np.sqrt(4 / 3), 22 / 14))


def test_an_arm_in_all_its_units():
    """Replies of 2, 4 and 4 bytes that cost 2, 4 and 12 nats; two of them end."""
    found = scores([1, 2, 6]) | {"reply": np.array([2.0, 4, 12]), "tokens": np.array([1, 2, 3])}
    found["end"] = np.array([0.5, np.nan, 1.5])
    heldout = {"conversations": list("abc"), "examples": [example(reply=text) for text in ("ab", "éé", "abcd")]}
    one = results.arm("m", {"name": "aligned", "faults": []}, found, heldout)
    assert one["nats_per_reply_token"] == 3 and one["bits_per_byte"] == pytest.approx(18 / 10 / np.log(2))
    assert one["nats_per_end_of_turn"] == 1 and one["end_interval"] is None and one["reply_tokens"] == 6
    # residuals in nats per byte, 2 − 3.6, 4 − 7.2, 12 − 7.2, over 10 bytes; shares 0.2, 0.4, 0.4
    error = np.sqrt(1.5 * (1.6**2 + 3.2**2 + 4.8**2)) / 10 / np.log(2)
    width = stats.t.ppf(0.975, 1 / 0.36 - 1) * error
    assert one["bits_interval"] == pytest.approx([one["bits_per_byte"] - width, one["bits_per_byte"] + width])


def test_the_share_of_replies_that_end_has_the_interval_of_its_conversations():
    """Shares of 1, 1/2, 1 and 0 in four conversations of two replies: a t interval of those, cut at 1."""
    stopped = [{"stopped": bool(at)} for at in (1, 1, 1, 0, 1, 1, 0, 0)]
    low, high = results._share_interval(stopped, list("aabbccdd"))
    test = stats.ttest_1samp([1, 0.5, 1, 0], 0).confidence_interval()
    assert test[0] < 0 and test[1] > 1 and (low, high) == (0, 1)
    twice = [{"stopped": bool(at)} for at in (1, 0, 1, 0, 1, 1, 1, 0, 0, 1, 1, 0)]
    test = stats.ttest_1samp([0.5, 0.5, 1, 0.5, 0.5, 0.5], 0).confidence_interval()
    low, high = results._share_interval(twice, list("aabbccddeeff"))
    assert (low, high) == (pytest.approx(test[0]), pytest.approx(test[1])) and 0 < low < high < 1


@pytest.mark.parametrize(
    "left, right", [([1, 2, 3], [3, 2, 1]), ([5, 0, 1], [0, 4, 1]), ([1, 0], [0, 1]), ([2, 6], [1, 3])]
)
def test_a_style_distance_is_scipys_jensen_shannon(left, right):
    ours = style_similarity._jensen_shannon(np.array(left, float), np.array(right, float))
    assert ours == pytest.approx(jensenshannon(left, right, base=2), abs=1e-7)
