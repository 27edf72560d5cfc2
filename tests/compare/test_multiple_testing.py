"""Verdicts corrected for their number, and how much data they would take, against values from elsewhere."""

import numpy as np
import pytest
from conftest import example, scores
from coverage_of_intervals import family_errors, told_apart
from ftstudy import wording
from ftstudy.compare import archaeology, attribution, checkpoints, intervals, multiple_testing, power, results
from ftstudy.report import conclusions, tables
from scipy import stats


@pytest.mark.parametrize(
    "values, rejected",
    [
        ([0.01, 0.04, 0.03, 0.005], [True, False, False, True]),  # 0.005 ≤ 0.05/4, 0.01 ≤ 0.05/3, 0.03 > 0.05/2
        ([0.04, 0.02], [True, True]),  # 0.02 ≤ 0.05/2, 0.04 ≤ 0.05
        ([0.0125, 0.0167, 0.025, 0.05], [True, False, False, False]),  # 0.0167 > 0.05/3, so the others stand too
        ([0.05], [True]),
        ([0.0501], [False]),
        ([0.03, 0.03], [False, False]),
        ([0.025, 0.05, 0.9], [False, False, False]),  # 0.025 > 0.05/3
        ([0.0, 1.0], [True, False]),
        ([], []),
    ],
)
def test_holm_by_hand(values, rejected):
    assert multiple_testing.holm(values) == rejected


def row(p, verdict, needed="much"):
    return {"p": p, "verdict": verdict, "family": None, "needed": needed}


def test_a_corrected_verdict_is_never_stronger_than_its_interval():
    rows = [row(0.001, "worse"), row(0.02, "better"), row(0.03, "worse"), row(None, "not distinguishable", None)]
    multiple_testing.correct(rows, "these")
    assert [one["verdict"] for one in rows] == ["worse", "better", "worse", "not distinguishable"]
    assert [one["needed"] for one in rows] == [None] * 4
    assert [one["family"] for one in rows] == [{"name": "these", "size": 3}] * 4  # what was not compared doesn't count
    rows = [row(0.02, "better"), row(0.03, "worse"), row(0.6, "not distinguishable"), row(0.05, "not distinguishable")]
    multiple_testing.correct(rows, "these")
    assert [one["verdict"] for one in rows] == ["not distinguishable"] * 4
    assert [one["needed"] for one in rows] == ["much"] * 4
    edge = [row(0.05, "not distinguishable")]  # its interval ends at zero
    multiple_testing.correct(edge, "alone")
    assert edge[0]["verdict"] == "not distinguishable"


NOISY = np.random.default_rng(3).normal(0, 1, 12)
CHATS = [str(at) for at in range(12)]
MODELS = [
    {"name": name, "base": base} for name, base in (("base", None), ("tuned", "base"), ("fused", "base"), ("b", "base"))
]


def arms(**shifts):
    """Scores of twelve conversations; the ends of turn move the other way."""
    found = {}
    for name, shift in shifts.items():
        model, _, asked = name.partition("_")
        found[model, asked] = scores(10 + shift) | {"end": 5 - np.asarray(shift) * np.ones(12)}
    return found


def test_the_families_of_differences():
    formats = [{"name": name} for name in ("aligned", "app", "shot")]
    formats[2]["shots"] = 2
    found = arms(
        base_aligned=NOISY, base_app=2 * NOISY, base_shot=3 * NOISY, tuned_aligned=-1 + NOISY**2, tuned_app=0 * NOISY
    ) | arms(fused_aligned=NOISY**2, b_aligned=-5 * NOISY)
    rows = results.differences(found, MODELS, formats, {"conversations": CHATS, "leaked": [False] * 12})
    by = {}
    for one in rows:
        by.setdefault(one["family"]["name"], []).append(one)
        assert one["end_of_turn"]["family"] == {
            "name": f"{one['family']['name']}: ends of turn",
            "size": one["family"]["size"],
        }
    assert {name: len(one) for name, one in by.items()} == {
        "trained models against their base": 7,  # four pairs of the same format, and three models against examples
        "prompt formats of base against training's": 2,
        "prompt formats of tuned against training's": 1,
        "fused against tuned": 1,
    }
    assert all(one["family"]["size"] == len(group) for group in by.values() for one in group)


def test_what_training_gives_away_is_a_family_of_its_own():
    found = arms(base_aligned=NOISY, tuned_aligned=0 * NOISY)
    leaked = {"conversations": CHATS, "leaked": [True] + [False] * 11}
    (one,) = results.differences(found, MODELS, [{"name": "aligned"}], leaked)
    assert one["without_leaked"]["family"] == {
        "name": "trained models against their base, without replies that training gives away",
        "size": 1,
    }


def barely(p, others):
    """A difference of a verdict alone, in a family with `others` that are not: shifted so that its p-value is p."""
    value, error, freedom = intervals.estimate(NOISY, np.ones(12), CHATS)
    return NOISY - value + stats.t.isf(p / 2, freedom) * error, [NOISY - value] * others


@pytest.mark.parametrize("p, verdict", [(0.011, "not distinguishable"), (0.009, "worse")])
def test_correction_changes_verdicts_and_is_said(p, verdict):
    """Five formats: the smallest p-value has to be 0.01."""
    one, others = barely(p, 4)
    found = arms(tuned_aligned=0 * NOISY, tuned_one=one, **{f"tuned_f{at}": each for at, each in enumerate(others)})
    formats = [{"name": name} for name in ("aligned", "one", "f0", "f1", "f2", "f3")]
    rows = results.differences(found, MODELS, formats, {"conversations": CHATS, "leaked": [False] * 12})
    assert rows[0]["p"] == pytest.approx(p) and rows[0]["interval"][0] > 0
    assert rows[0]["verdict"] == verdict and rows[0]["family"]["size"] == 5
    said = " after correction for 5 comparisons"
    assert wording.verdict(rows[0]) == verdict + (said if verdict == "not distinguishable" else "")
    assert wording.verdict(rows[1]) == "not distinguishable"
    assert tables.differences(rows)[0][0]["verdict"] == wording.verdict(rows[0])
    told = conclusions.prompt_cost(rows[0], "one")
    assert (said in told) == ("A verdict would take" in told) == (verdict == "not distinguishable")
    assert (rows[0]["needed"] is None) == (verdict == "worse")


def test_the_faults_of_a_prompt_are_three_families():
    """Each effect is that of one table of twelve conversations, so scipy's t-test knows its interval and p-value."""
    a, b, both = NOISY / 9 + 0.1, NOISY**2 / 9, NOISY**3 / 9
    sets = {frozenset(): 0 * a, frozenset("a"): a, frozenset("b"): b, frozenset("ab"): both}
    found = attribution.attribute({one: scores(5 + nats) for one, nats in sets.items()}, ["a", "b"], CHATS, "x")
    expected = {
        "whole": [both],
        "main": [(a + both - b) / 2, (b + both - a) / 2],
        "interactions": [(both - a - b) / 2],
        "shares": [(a + both - b) / 2, (b + both - a) / 2],
    }
    for key, effects in expected.items():
        rows = [found["whole"]] if key == "whole" else found[key]
        for one, effect in zip(rows, effects, strict=True):
            test = stats.ttest_1samp(effect, 0)
            assert one["nats_per_reply_token"] == pytest.approx(effect.mean())
            assert one["interval"] == pytest.approx(list(test.confidence_interval()))
            assert one["p"] == pytest.approx(test.pvalue) and one["family"]["size"] == len(effects)
    assert found["shares"][0]["family"]["name"] == "faults of x: Shapley shares"


def test_an_origin_needs_verdicts_that_survive_correction():
    """Two other formats, each apart alone with p = 0.03; Holm asks 0.025 of the first."""
    gap, _ = barely(0.03, 0)
    base = {name: scores(20 + 0 * NOISY) for name in "xyz"}
    tuned = {"x": scores(10 + 0 * NOISY), "y": scores(10 + gap), "z": scores(10 + gap)}
    _, y, z = rows = archaeology.rank(base, tuned, CHATS)
    for one in (y["behind"], y["above_lowest"], z["behind"], z["above_lowest"]):
        assert one["interval"][0] > 0 and one["p"] == pytest.approx(0.03) and one["verdict"] == "not distinguishable"
        assert one["family"]["size"] == 2
    assert archaeology.summary(rows).startswith("Inconclusive")
    assert archaeology.summary(archaeology.rank(base, {name: tuned[name] for name in "xy"}, CHATS)).startswith(
        "The adapter was trained under “x”"
    )


def test_option_a_and_b_and_other_trainings_are_families():
    gap, (equal,) = barely(0.03, 1)
    models = [{"name": option, "option": option, "seed": 0, "base": "base"} for option in "AB"]
    found = arms(A_wrapped=0 * NOISY, A_app=0 * NOISY, B_aligned=gap, B_app=equal)
    made = results.training_formats(found, models, CHATS, "wrapped", "app")
    assert made["own"]["p"] == pytest.approx(0.03) and made["own"]["interval"][0] > 0
    assert made["own"]["verdict"] == "not distinguishable" and made["own"]["family"]["size"] == 2
    assert "not distinguishable after correction for 2 comparisons. A verdict" in conclusions.training_formats(made)
    assert tables.training_formats(made)[0][0]["verdict"].endswith("2 comparisons")

    heldout = {"conversations": CHATS, "examples": [example(reply="four")] * 12}
    others = [{"name": name, "base": "base", "option": None} for name in ("larger", "longer")]
    found = arms(tuned_aligned=0 * NOISY, tuned_app=gap, larger_aligned=0 * NOISY, longer_aligned=-9 + equal)
    larger, longer = (one["aligning_ahead"] for one in results.scaling(found, others, "app", heldout))
    assert larger["p"] == pytest.approx(0.03) and larger["bits_per_byte"] > 0
    assert longer["bits_per_byte"] < 0 and longer["verdict"] == "worse" and longer["family"]["size"] == 2
    again = results.scaling(found | arms(longer_aligned=0 * NOISY), others, "app", heldout)
    assert [one["aligning_ahead"]["verdict"] for one in again] == ["not distinguishable"] * 2  # both 0.03 > 0.025
    (alone,) = results.scaling(found, others[:1], "app", heldout)
    assert alone["aligning_ahead"]["verdict"] == "better" and alone["aligning_ahead"]["p"] == pytest.approx(0.03)


def test_checkpoints_are_two_families():
    """Alone, each would be better than the base (p = 0.03); of two, neither is, so none is kept."""
    gap, _ = barely(0.03, 0)
    base, same = scores(10 + 0 * NOISY), scores(10 - gap)
    found = checkpoints.judge(base, {10: same, 20: same}, 20, CHATS)
    assert (
        found["keep"] is None
        and [one["to_base"]["verdict"] for one in found["rows"][1:]] == ["not distinguishable"] * 2
    )
    assert found["rows"][1]["to_base"]["family"] == {"name": "checkpoints against the base", "size": 2}
    assert "its base after correction for 2 comparisons" in conclusions.checkpoints(found)
    assert found["rows"][0]["to_lowest"]["verdict"] == "not distinguishable"
    assert checkpoints.judge(base, {20: same}, 20, CHATS)["keep"] == 20


def test_style_distances_are_two_families():
    """The untrained model is not compared with itself."""
    heldout = {"conversations": CHATS, "examples": [example(reply="yo man")] * 12}
    written = {
        key: [{"text": text + " !" * at, "stopped": True} for at in range(12)]
        for key, text in (
            (("base", "aligned"), "Certainly"),
            (("tuned", "aligned"), "yo"),
            (("tuned", "app"), "yo man"),
        )
    }
    measured = {"written": written, "scores": {key: scores(0 * NOISY) for key in written}, "longest": 9}
    first, second, third = results.generated(measured, heldout, ["yo", "hey man"] * 12)["arms"]
    assert first["to_floor"]["family"] is None and first["to_aligned"] is second["to_aligned"] is None
    name = "style against the untrained model"
    assert second["to_floor"]["family"] == third["to_floor"]["family"] == {"name": name, "size": 2}
    assert third["to_aligned"]["family"] == {"name": "style against the prompt of training", "size": 1}


# --- power ------------------------------------------------------------------------------------


def test_the_sample_sizes_of_paired_t_tests():
    """Cohen's d of 0.2, 0.5 and 1 with 80% power at 5%, two-sided: 199, 34 and 10 pairs (G*Power 3)."""
    found = power.needed(0.1 / np.sqrt(50), 49, 50, 150)
    assert found == [
        {"nats": 0.02, "conversations": 199, "replies": 597},
        {"nats": 0.05, "conversations": 34, "replies": 102},
        {"nats": 0.1, "conversations": 10, "replies": 30},
    ]


def test_half_the_effective_number_takes_no_fewer_conversations_and_never_two():
    even = power.needed(0.01, 49, 50, 50)
    uneven = power.needed(0.01, 24, 50, 50)  # 50 conversations, worth 25
    assert all(one["conversations"] <= other["conversations"] for one, other in zip(even, uneven))
    assert power.needed(1e-6, 49, 50, 50)[2]["conversations"] == 3  # two have no interval
    assert power.needed(1e-6, 24, 50, 75)[2] == {"nats": 0.1, "conversations": 5, "replies": 8}


@pytest.mark.parametrize("error, freedom", [(0.0, 9), (float("nan"), 0.0), (0.1, 1.0), (float("nan"), 9)])
def test_nothing_is_said_without_a_spread(error, freedom):
    assert power.needed(error, freedom, 10, 20) is None
    assert wording.needed({"needed": None}) == ""
    assert power.needed(0.1, 1.5, 10, 20) is not None


def test_conversations_do_not_make_up_for_seeds():
    """Three seeds of variance 0.01 leave 0.01/3: 0.1 nats are (t(0.975, 2) + t(0.8, 2)) · 0.058 = 0.31 or more."""
    left = [scores(NOISY / 9 + shift) for shift in (-0.1, 0, 0.1)]
    found = intervals.over_seeds(left, [scores(0 * NOISY)] * 3, CHATS)
    assert found["needed"] == [{"nats": nats, "conversations": None, "replies": None} for nats in (0.02, 0.05, 0.1)]
    assert wording.needed(found).endswith("of 0.1 nats, more training seeds.")
    alone = intervals.over_seeds(left[:2], [scores(0 * NOISY)] * 2, CHATS)
    assert alone["needed"] == intervals.compared(NOISY / 9, np.ones(12), CHATS)["needed"]


def test_what_is_known_from_few_seeds_takes_more_conversations_than_from_many():
    few, many = (power.needed(0.05, 49, 50, 50, seeds=(4e-5, freedom))[1] for freedom in (1, 100))
    assert few["conversations"] > many["conversations"] > power.needed(0.05, 49, 50, 50)[1]["conversations"]


def test_power_is_said_in_words():
    found = {"needed": [{"nats": 0.02, "conversations": 1200, "replies": 5400}]}
    said = " A verdict would take, on a difference of 0.02 nats, about 5,400 replies from 1,200 conversations."
    assert wording.needed(found) == said


@pytest.mark.parametrize("largest", [None, 0.3])
def test_with_the_replies_that_are_said_to_be_needed_power_is_80_percent(largest):
    """In 1,500 draws, chance moves 80% by 1% either way; three times that, and the approximation, are allowed."""
    assert 0.76 <= told_apart(0.1, largest, draws=1500) <= 0.84


def test_of_families_of_ten_true_zero_differences_one_in_twenty_has_a_wrong_verdict():
    """Without correction it is 1 − 0.95¹⁰ = 40%. Chance in 600 draws is 0.9% either way for 5%, 2% for 40%."""
    before, after = family_errors(9, draws=600)
    assert 0.33 <= before <= 0.47 and 0.02 <= after <= 0.075
