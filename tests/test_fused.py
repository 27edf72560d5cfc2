"""A fused model: what the comparison says that fusing cost."""

import numpy as np
import pytest
from ftstudy.compare import arms, results
from ftstudy.report import conclusions

NAMES = [f"chat {at // 2}" for at in range(40)]


def scores(nats):
    each = np.broadcast_to(np.asarray(nats, float), 40)
    return {"reply": each * 4, "tokens": np.full(40, 4), "end": np.full(40, 0.5)}


def fusing(base, tuned, fused):
    found = {
        ("base", "aligned"): scores(base),
        ("tuned", "aligned"): scores(tuned),
        ("fused", "aligned"): scores(fused),
    }
    return results.fusing(found, "mine", NAMES)


NOISE = np.random.default_rng(0).normal(0, 0.1, 40)


def test_share_of_the_gain_that_fusing_lost():
    found = fusing(5.0 + NOISE, 4.0, 4.43 + NOISE / 2)
    assert list(found) == ["aligned"]  # the app's prompt was not measured
    one = found["aligned"]
    assert one["lost"] == pytest.approx(0.43, abs=0.02) and one["verdict"] == "worse"
    assert one["interval"][0] < one["lost"] < one["interval"][1] < 0.55
    said = conclusions.fusing(found)
    assert said.startswith(f"Fusing lost {one['lost']:.0%} of what training gained (95% interval ")
    assert said.endswith(f": 4.000 → {one['fused']:.3f} nats per reply token, prompted as in training.")


def test_lossless_fusing_is_said_to_have_lost_nothing():
    found = fusing(5.0 + NOISE, 4.0, 4.0 + NOISE / 100)
    assert conclusions.fusing(found).startswith("Fusing lost nothing that can be distinguished: 4.000 → 4.00")


@pytest.mark.parametrize("tuned", [5.0, 6.0])
def test_without_a_gain_nothing_is_said(tuned):
    assert fusing(5.0 + NOISE, tuned, 5.0) == {} and conclusions.fusing({}) == ""


def test_fused_model_is_compared_with_base_and_tuned():
    entry = {"name": "mine", "model": "m", "adapter": "a"}
    formats = [{"name": name} for name in ("aligned", "user", "app")]
    made = arms.models([entry], formats, "app", "wrapped", fused="f")
    assert [one["name"] for one in made] == ["base", "tuned", "fused"]
    fused = made[-1]
    assert (fused["model"], fused["adapter"], fused["formats"]) == ("f", None, ["aligned", "app"])
    measured = {(one["name"], name): scores(4.0) for one in made for name in (one["formats"] or ["aligned", "app"])}
    rows = results.differences(measured, made, formats, {"conversations": NAMES, "leaked": [False] * 40})
    pairs = {(*row["left"], *row["right"]) for row in rows}
    for name in ("aligned", "app"):
        assert {("fused", name, "tuned", name), ("fused", name, "base", name)} <= pairs
    assert results.scaling(measured, made, "app", {"examples": [], "conversations": []}) == []
