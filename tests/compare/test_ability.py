"""What a model still knows: short questions with one right answer."""

import numpy as np
import pytest
from ftstudy.compare import ability
from scipy import stats


def test_each_question_has_one_right_answer_among_four():
    found = ability.questions()
    assert 60 <= len(found) <= 70 and len({one["question"] for one in found}) == len(found)
    for one in found:
        assert len(set(one["answers"])) == 4 and one["topic"], one["question"]


def scores(*nats, tokens=(1, 1, 1, 1)):
    return {"nats": np.array(nats, float), "tokens": np.array([tokens] * len(nats), float)}


def test_the_likeliest_answer_per_token_is_the_models():
    assert ability.right(scores([1, 2, 3, 4], [2, 1, 3, 4], [1, 1, 3, 4])).tolist() == [1, 0, 0]
    assert ability.right(scores([4, 2, 6, 8], tokens=(4, 1, 1, 1))).tolist() == [1]  # 1 nat per token


def test_what_was_lost_is_paired_over_questions():
    base = scores([1, 2, 2, 2], [1, 2, 2, 2], [3, 2, 2, 2], [1, 2, 2, 2])
    tuned = scores([3, 2, 2, 2], [1.5, 2, 2, 2], [3, 2, 2, 2], [3, 2, 2, 2])
    found = ability.summary({"base": base, "tuned": tuned})
    assert found["questions"] == 4 and found["models"] == [
        {"model": "base", "right": 0.75},
        {"model": "tuned", "right": 0.25},
    ]
    (one,) = found["differences"]
    for key, bounds, each in (("right", "interval", [-1, 0, 0, -1]), ("nats", "nats_interval", [2, 0.5, 0, 2])):
        known = stats.ttest_1samp(each, 0).confidence_interval()
        assert one[key] == pytest.approx(np.mean(each)) and one[bounds] == pytest.approx(list(known))
    assert one["verdict"] == "not distinguishable"

    assert (
        ability.summary({"base": scores(*[[1, 2, 2, 2]] * 40), "tuned": scores(*[[3, 2, 2, 2]] * 39, [1, 2, 2, 2])})[
            "differences"
        ][0]["verdict"]
        == "worse"
    )
    assert ability.summary({"base": base}) is None and ability.summary({}) is None


def test_base_tuned_and_fused_are_asked_and_stored(tmp_path):
    models = [{"name": name, "model": "tiny", "adapter": None} for name in ("base", "tuned", "another")]
    found = ability.measure(tmp_path, models)
    assert set(found["scores"]) == {"base", "tuned"} and not found["left_out"]
    assert found["scores"]["base"]["nats"].shape == (len(ability.questions()), 4)
    summary = ability.summary(found["scores"])
    assert summary["differences"][0]["right"] == 0 and len(list(tmp_path.glob("*.json"))) == 1
    missing = ability.measure(tmp_path, [models[0] | {"model": "no/such"}])
    assert not missing["scores"] and missing["left_out"][0]["arm"] == "questions, base"
