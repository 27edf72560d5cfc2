"""The verdicts on the original report's claims follow the measurements."""

import copy

import pytest
from conftest import example
from ftstudy.original_report import claims, verdicts

ROWS = [example(user=f"Contact: hey {number}", reply="yo") for number in range(3)]


def effect(value, low, high, **more):
    verdict = "better" if high < 0 else "worse" if low > 0 else "not distinguishable"
    return {"nats_per_reply_token": value, "interval": [low, high], "verdict": verdict, "end_of_turn": None} | more


BETTER, WORSE = effect(-0.2, -0.3, -0.1), effect(0.2, 0.1, 0.3)
NONE, UNSURE = effect(0.0, -0.01, 0.01), effect(0.0, -0.2, 0.2)


def between(left, right, found):
    return {"left": list(left), "right": list(right), **found}


def arm(model, name, bits=1.0, **more):
    return {"model": model, "format": name, "bits_per_byte": bits, **more}


@pytest.fixture
def evidence(tokenizer):
    """A run that trained well. The app's user turn costs something, its system text doesn't."""
    staged = lambda name, lines: {  # noqa: E731
        "config": f"personal_{name}.yaml",
        "data": f"data/{name}",
        "lines": lines,
        "findings": [] if lines else [{"check": "data.empty"}],
    }
    compared = {"examples": 3, "identical": 0, "termination": {"training": "<|im_end|>", "trained": True}}
    compared["rows"] = [{"region": region, "prompts": 3, "tokens": 20.0} for region in ("system", "user")]
    arms = [("tuned", "aligned"), ("tuned", "historical"), ("base", "aligned"), ("base", "historical")]
    return {
        "audited": {
            "inference": "historical",
            "staged": {
                "before": [staged("cataware", 0), staged("raw_style", 9)],
                "after": [staged("raw_style_variable", 9), staged("raw_style", 9)],
                "trainer": "ValueError: Training set not found or empty.",
            },
        },
        "parity": {"inference": compared, "aligned": compared | {"identical": 3, "rows": []}},
        "training": {"iterations": 100, "curve": [{"validation_loss": 4.0}, {"validation_loss": 3.5}]},
        "comparison": {
            "app": "historical",
            "arms": [arm(*one) for one in arms],
            "differences": [
                between(("tuned", "aligned"), ("base", "aligned"), BETTER),
                between(("tuned", "historical"), ("base", "historical"), BETTER),
                between(("tuned", "historical"), ("tuned", "aligned"), WORSE),
            ],
            "attribution": {
                "tuned": {"main": [{"fault": "system", **NONE}, {"fault": "user", **WORSE}]},
                "base": None,
            },
            "training_formats": None,
            "scaling": [],
            "generated": {"arms": [arm(*one, end_of_turn_rate=0.5, to_floor={"verdict": "better"}) for one in arms]},
        },
        "statistics": {
            name: {"bytes": size, "examples": 100}
            for name, size in (("train", 60000), ("valid", 49000), ("test", 50000))
        },
        "examples": ROWS,
        "tokenizer": tokenizer,
        "owner": "Sam",
        "category_leak": 0.4,
        "dead_keys": ["lora_rank: 16"],
        "unmasked": {"prompt": 90, "total": 100},
        "effect": 0.3,
    }


def verdict(evidence, number, change=lambda evidence: None):
    changed = {key: value if key == "tokenizer" else copy.deepcopy(value) for key, value in evidence.items()}
    change(changed)
    (row,) = [row for row in claims.claims(changed) if row["number"] == number]
    assert set(row) == {"number", "statement", "test", "measurement", "verdict"}
    return row["verdict"]


def test_every_statement_has_a_test_or_a_reason(evidence):
    rows = claims.claims(evidence)
    assert [row["number"] for row in rows] == list(range(1, 26))
    for row in rows:
        assert row["statement"] and row["measurement"]
        assert (row["verdict"] == verdicts.UNTESTABLE) == (row["test"] == "–")


CONFIRMED = {2, 4, 5, 7, 8, 9, 12, 17, 23, 25}
REFUTED = {1, 3, 6, 10, 11, 13, 14, 16, 20, 21, 22, 24}


def test_verdicts_of_a_good_run(evidence):
    found = {row["number"]: row["verdict"] for row in claims.claims(evidence)}
    assert {number for number, said in found.items() if said == "confirmed"} == CONFIRMED
    assert {number for number, said in found.items() if said == "refuted"} == REFUTED
    assert found[18] == "partly" and found[15] == found[19] == "not testable here"


def gains(found):
    def change(evidence):
        for row in evidence["comparison"]["differences"][:2]:
            row.update(found)

    return change


def test_verdicts_of_a_bad_run(evidence):
    assert verdict(evidence, 1, gains(WORSE)) == verdict(evidence, 13, gains(WORSE)) == "confirmed"
    assert verdict(evidence, 11, gains(WORSE)) == "partly"
    assert verdict(evidence, 24, gains(WORSE)) == "confirmed"  # the mismatch explains the whole loss
    assert verdict(evidence, 24, gains(effect(0.9, 0.8, 1.0))) == "partly"

    def dead(evidence):
        gains(NONE)(evidence)
        evidence["effect"] = 0.0

    assert verdict(evidence, 11, dead) == "confirmed"
    assert verdict(evidence, 1, lambda e: e["comparison"].update(differences=[])) == "not testable here"


def test_worse_style_makes_better_likelihood_a_partial_verdict(evidence):
    def change(evidence):
        evidence["comparison"]["generated"]["arms"][0]["to_floor"] = {"verdict": "worse"}

    assert verdict(evidence, 1, change) == "partly"


@pytest.mark.parametrize(
    "found, said", [(WORSE, "confirmed"), (NONE, "refuted"), (BETTER, "refuted"), (UNSURE, "not testable here")]
)
def test_small_effect_refutes_and_wide_interval_does_not(evidence, found, said):
    assert verdicts.judge(found, "worse") == said
    assert verdict(evidence, 14, lambda e: e["comparison"]["attribution"]["tuned"]["main"][0].update(found)) == said


@pytest.mark.parametrize("seeds, said", [(3, "confirmed"), (1, "not testable here")])
def test_verdict_on_options_needs_three_seeds(evidence, seeds, said):
    own = effect(-0.1, -0.15, -0.06, seeds=seeds, covers="what it covers")
    assert verdict(evidence, 15, lambda e: e["comparison"].update(training_formats={"own": own})) == said


@pytest.mark.parametrize(
    "interval, said",
    [
        ([-0.3, -0.1], "refuted"),
        ([0.1, 0.3], "confirmed"),
        ([-0.1, 0.1], "not testable here"),
        (None, "not testable here"),
    ],
)
def test_scaling_is_compared_with_aligning(evidence, interval, said):
    found = "not distinguishable" if interval is None or interval[0] <= 0 <= interval[1] else None
    ahead = {"bits_per_byte": 0.0, "interval": interval}
    ahead["verdict"] = found or ("better" if interval[0] > 0 else "worse")
    other = {"model": "larger", "saved": 0.2, "aligned": 0.01, "aligning_ahead": ahead}
    assert verdict(evidence, 19, lambda e: e["comparison"].update(scaling=[other])) == said


def test_wide_interval_refutes_nothing(evidence):
    for number in (1, 13, 24):
        assert verdict(evidence, number, gains(UNSURE)) == "not testable here"
    assert verdict(evidence, 1, gains(UNSURE | {"interval": None})) == "not testable here"

    def no_gap(evidence):
        gains(WORSE)(evidence)
        evidence["comparison"]["differences"][2].update(UNSURE)

    assert verdict(evidence, 24, no_gap) == "partly"  # worse, but not because of the mismatch


def test_data_claims_follow_the_folders(evidence):
    def full(evidence):
        evidence["audited"]["staged"]["before"] = evidence["audited"]["staged"]["after"]

    assert verdict(evidence, 2, full) == verdict(evidence, 4, full) == "refuted"

    def loads(evidence):
        evidence["audited"]["staged"]["trainer"] = "loads 0 rows without an error"

    assert verdict(evidence, 3, loads) == "confirmed"
    for number in (2, 3, 4, 23):
        assert verdict(evidence, number, lambda e: e["audited"].update(staged=None)) == "not testable here"


def test_unsaid_claims_are_judged(evidence):
    clean = {"dead_keys": [], "unmasked": {"prompt": 0, "total": 100}, "category_leak": 0.0}
    assert {verdict(evidence, number, lambda e: e.update(clean)) for number in (20, 21, 22)} == {"confirmed"}


def test_another_apps_prompt_makes_prompt_claims_untestable(evidence):
    def change(evidence):
        evidence["audited"]["inference"] = "mine"

    for number in (7, 8, 9, 12, 14, 16, 17, 24, 25):
        assert verdict(evidence, number, change) == "not testable here"
    assert verdict(evidence, 1, change) == "refuted"
