"""Would more help? By the curves of made-up trainings."""

import math
import random

import pytest
from ftstudy import diagnosis
from ftstudy.cli import study_summary
from ftstudy.diagnosis import scaling
from ftstudy.report import conclusions
from hypothesis import given
from hypothesis import strategies as some

GIVEN = {"config": "my.yaml", "data": "", "model": "", "adapter": "", "existing": False, "fused": ""}
EVERY, LAST = 100, 1000


def advice(held_out, train=lambda at: 3.0, epochs=2.0, every=EVERY, noise=0.0, **more):
    """The advice on a training whose losses are these functions of the iteration."""
    draw = random.Random(0)
    curve = [{"iteration": 0, "validation_loss": 4.0}]
    for at in range(10, LAST + 1, 10):
        curve.append({"iteration": at, "train_loss": train(at) + draw.gauss(0, 0.01), "trained_tokens": at})
        if at % every == 0:
            curve.append({"iteration": at, "validation_loss": held_out(at) + draw.gauss(0, noise)})
    entry = {
        "name": "my",
        "config": "my.yaml",
        "data": "rows",
        "model": "LiquidAI/LFM2-350M",
        "adapter": "adapters",
        "iterations": LAST,
        "epochs": epochs,
        "batch_size": 2,
        "examples": 1000,
        "parameters": 354_000_000,
        "learning_rate": 1e-4,
        "diverged": False,
        "stopped": None,
        "curve": curve,
    }
    results = dict.fromkeys(diagnosis.RESULTS)
    results["training"] = {"configs": [entry | more]}
    results["format_audit"] = {"own_findings": [], "given": GIVEN, "asked_for": ""}
    return diagnosis.diagnose(results, "mine")["advice"]


def ids(found):
    return [one["id"] for one in found]


def falling(at):
    return 4.0 - 0.1 * math.log2(at)


def test_a_curve_that_falls_asks_for_another_epoch_and_says_what_it_brings():
    (one,) = advice(falling)
    assert one["id"] == "another_epoch"
    assert "1,500 iterations instead of 1,000" in one["what"]
    assert f"{-0.1 * math.log2(1.5):.3f}".replace("-", "−") in one["why"]
    assert one["command"] == "make report RUN=mine CONFIG=my.yaml ITERS=1500"
    assert one["cost"] == {"time": 1.5, "memory": 1.0}


def test_a_curve_that_is_flat_on_both_sides_asks_for_a_larger_model():
    enough, larger = advice(lambda at: 3.2)
    assert (enough["id"], larger["id"]) == ("enough", "larger_model")
    assert "LFM2 with 0.7 billion parameters" in larger["what"]
    assert larger["cost"]["memory"] == pytest.approx(0.7 / 0.354)


def test_a_flat_curve_whose_training_loss_goes_on_falling_asks_for_more_data():
    found = advice(lambda at: 3.2, train=lambda at: 3.2 - 0.4 * at / LAST)
    assert ids(found) == ["enough", "more_data"]
    assert "gap between training and held-out loss grew by 0.2" in found[1]["why"]


def test_a_curve_that_rises_asks_to_stop_at_its_lowest_and_for_more_data():
    found = advice(lambda at: 3.2 + 0.3 * abs(at - 400) / LAST, train=lambda at: 3.2 - 0.5 * at / LAST)
    assert ids(found) == ["stop_earlier", "more_data"]
    assert "400 iterations" in found[0]["what"]


def test_a_loss_that_never_falls_below_its_start_is_not_a_reason_to_train_for_longer():
    (one,) = advice(lambda at: 4.5 - at / 10_000)
    assert one["id"] == "unknown" and "never fell below its start" in one["why"]


def test_a_curve_that_only_scatters_says_that_it_says_nothing():
    assert ids(advice(lambda at: 3.2, noise=0.1, every=200)) in (["unknown"], ["stop_earlier", "more_data"])
    (one,) = advice(lambda at: 3.2 + (0.1 if at in (700, 900) else 0.0))
    assert one["id"] == "unknown" and "scatter" in one["why"]


@pytest.mark.parametrize("every, times", [(LAST, "1 time"), (LAST // 2, "2 times"), (10 * LAST, "0 times")])
def test_fewer_than_three_evaluations_are_not_a_trend(every, times):
    (one,) = advice(falling, every=every)
    assert one["id"] == "unknown" and times in one["why"] and one["command"] == ""


def test_without_a_training_there_is_no_advice():
    assert diagnosis.diagnose(dict.fromkeys(diagnosis.RESULTS))["advice"] == []
    assert advice(falling, curve=[]) == []


def test_a_training_that_diverged_is_not_extrapolated():
    (one,) = advice(falling, diverged=True, stopped="the loss is nan")
    assert one["id"] == "unknown" and "learning rate" in one["why"]


@given(some.lists(some.floats(0.1, 12), min_size=0, max_size=12), some.floats(0.01, 50))
def test_any_curve_gets_advice_and_no_seconds_of_this_machine(losses, epochs):
    curve = [{"iteration": 10 * at, "validation_loss": loss} for at, loss in enumerate(losses)]
    for one in advice(falling, epochs=epochs, curve=curve):
        assert one["what"] and one["why"] and "nan" not in one["why"]
        assert one["cost"] is None or set(one["cost"]) == {"time", "memory"}


def test_families_end_at_their_largest_model():
    assert (
        scaling.larger("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008)[0] == "SmolLM2 with 0.36 billion parameters"
    )
    assert scaling.larger("data/models/SmolLM2-1.7B", 1_711_000_000) is None
    assert scaling.larger("mine", 1_000_000) is None


def test_the_page_says_what_it_cost_here_and_would_cost_there():
    spent = {"seconds": 120.0, "peak_memory_gigabytes": 1.0, "machine_memory_gigabytes": 8.0}
    (one,) = conclusions.more(advice(falling), spent)
    assert "took 2 min and 1.0 GB of memory here; that would take about 3 min and 1.0 GB." in one["text"]
    _, larger = conclusions.more(advice(lambda at: 3.2), spent | {"machine_memory_gigabytes": 1.5})
    assert "2.0 GB. This machine has only 1.5 GB." in larger["text"]
    assert "would take" not in conclusions.more(advice(falling), None)[0]["text"]


def test_the_terminal_ends_with_the_first_advice_if_there_is_any():
    verdict = {"usable": True, "headline": "It is usable", "sentence": "It works."}

    def said(advised):
        return " ".join(line for line, _ in study_summary.lines({"verdict": verdict, "causes": [], "advice": advised}))

    assert "Would more help? Train another epoch" in said(advice(falling))
    assert "Would more help" not in said(advice(falling, every=LAST)) + said([])
