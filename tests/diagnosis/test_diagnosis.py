"""The diagnosis: is it usable, what is wrong, what does each thing cost, in which order?"""

import itertools
import json
import shlex

import pytest
from ftstudy import audit, diagnosis, wording
from ftstudy.audit.findings import SEVERITIES
from ftstudy.compare import prompt_formats
from ftstudy.diagnosis import reasons, serving
from hypothesis import given
from hypothesis import strategies as some

CONVERSATIONS = {"replies": 40, "conversations": 20, "reply_tokens": 800}


def difference(left, right, nats, width=0.02, **more):
    """A row of comparison.json's `differences`, with its interval `width` on both sides."""
    bounds = [nats - width, nats + width]
    verdict = "better" if bounds[1] < 0 else "worse" if bounds[0] > 0 else "not distinguishable"
    row = {"left": left.split(", ", 1), "right": right.split(", ", 1), "nats_per_reply_token": nats}
    return row | {"interval": bounds, "verdict": verdict, "needed": None} | more


def finding(check, severity="error", title="", evidence=("a line",), fix="Mend it."):
    title = title or f"what {check} found"
    return {"check": check, "severity": severity, "title": title, "evidence": list(evidence), "cause": "", "fix": fix}


@pytest.fixture
def healthy():
    return results_of_a_healthy_run()


def results_of_a_healthy_run():
    """Nothing is wrong in it."""
    writes = {"end_of_turn_rate": 1.0, "end_of_turn_interval": [0.95, 1.0], "empty": 0.0, "looping": 0.0, "copied": 0.0}
    writes |= {"too_long": 0.0, "to_floor": {"distance": -0.3, "interval": [-0.4, -0.2], "verdict": "better"}}
    arm = {"format": "aligned", "nats_per_end_of_turn": 0.3, "end_interval": [0.2, 0.4]} | CONVERSATIONS
    examples, similar = "aligned, 4 examples", "aligned, 4 similar examples"
    return {
        "extraction": {"rows": {"splits": [{"split": "train", "rows": 1000}]}},
        "findings": {"findings": [], "summary": {"error": 0, "warning": 0, "info": 0}},
        "format_audit": {
            "inference": None,
            "asked_for": "",
            "own_findings": [],
            "given": {"config": "my.yaml", "data": "", "model": "", "adapter": "", "existing": False, "fused": ""},
        },
        "training": {
            "configs": [
                {
                    "name": "my",
                    "config": "my.yaml",
                    "data": "rows",
                    "model": "a/base",
                    "adapter": "adapters",
                    "iterations": 1000,
                    "epochs": 2.0,
                    "batch_size": 2,
                    "examples": 1000,
                    "learning_rate": 1e-4,
                    "diverged": False,
                    "stopped": None,
                    "curve": curve((0, 4.0), (250, 3.4), (500, 3.21), (750, 3.2), (1000, 3.2)),
                }
            ]
        },
        "comparison": {
            "trained": "my",
            "app": "aligned",
            "formats": [
                {"name": "aligned", "shots": 0, "retrieved": False},
                {"name": examples, "shots": 4, "retrieved": False},
                {"name": similar, "shots": 4, "retrieved": True},
            ],
            "arms": [arm | {"model": "base"}, arm | {"model": "tuned"}],
            "differences": [
                difference("tuned, aligned", "base, aligned", -0.5),
                difference("tuned, aligned", f"base, {examples}", -0.3),
                difference("tuned, aligned", f"base, {similar}", -0.2),
            ],
            "attribution": {},
            "generated": {"longest": 48, "arms": [writes | {"model": "tuned", "format": "aligned"}]},
        },
    }


def trained(results):
    return results["training"]["configs"][0]


def tuned(results, part):
    rows = results["comparison"]["generated"]["arms"] if part == "writes" else results["comparison"]["arms"]
    return next(row for row in rows if row["model"] == "tuned")


def to_base(results, *nats, **more):
    """Change how the tuned model compares with its base."""
    results["comparison"]["differences"][0] = difference("tuned, aligned", "base, aligned", *nats, **more)


def ask_otherwise(results, nats=-0.4):
    """The app has a prompt of its own, under which the tuned model compares with its base by `nats`."""
    compared = results["comparison"]
    compared["app"] = "mine"
    compared["differences"].append(difference("tuned, mine", "base, mine", nats))
    compared["arms"].append(tuned(results, "arm") | {"format": "mine"})


def lose_by_fusing(results, nats):
    results["comparison"]["fusing"] = {"aligned": {"lost": 2 * nats, "interval": [0.2, 0.8], "verdict": "worse"}}
    results["comparison"]["differences"].append(difference("fused, aligned", "tuned, aligned", nats))


def curve(*losses):
    return [{"iteration": at, "validation_loss": loss} for at, loss in losses]


def ids(found):
    return [one["id"] for one in diagnosis.worst(found)]


def steps(found):
    return {one["step"]: one["passed"] for one in found["verdict"]["steps"]}


def test_nothing_wrong_is_said_of_a_healthy_run(healthy):
    found = diagnosis.diagnose(healthy)
    assert found["verdict"]["usable"] is True and found["verdict"]["step"] is None
    assert set(steps(found).values()) == {True} and len(steps(found)) == 8
    assert found["causes"] == []
    assert diagnosis.told(found)[-1] == "Nothing wrong was found."
    assert "65% more likely" in found["verdict"]["sentence"]  # exp(0.5) - 1


def test_a_step_that_was_not_asked_for_is_left_out(healthy):
    healthy["comparison"]["formats"] = healthy["comparison"]["formats"][:1]
    found = diagnosis.diagnose(healthy)
    assert found["verdict"]["usable"] is True
    assert not {"beats_examples", "beats_similar_examples"} & steps(found).keys()


def spoil_end(results):
    tuned(results, "writes").update(end_of_turn_rate=0.3, end_of_turn_interval=[0.1, 0.5])


def spoil_sound(results):
    tuned(results, "writes").update(looping=0.7)


def spoil_style(results):
    tuned(results, "writes")["to_floor"] = {"distance": 0.1, "interval": [0.05, 0.15], "verdict": "worse"}


def spoil_likelihood(results):
    to_base(results, 0.2)


def spoil_examples(results):
    results["comparison"]["differences"][1] = difference("tuned, aligned", "base, aligned, 4 examples", 0.1)


def spoil_similar(results):
    results["comparison"]["differences"][2] = difference("tuned, aligned", "base, aligned, 4 similar examples", 0.1)


def spoil_data(results):
    for row in results["comparison"]["differences"]:
        row |= {"interval": None, "verdict": "not distinguishable"}


def spoil_measuring(results):
    results["comparison"] = None


SPOILT = {
    "measured": spoil_measuring,
    "enough_data": spoil_data,
    "replies_end": spoil_end,
    "replies_sound": spoil_sound,
    "closer_in_style": spoil_style,
    "likelier": spoil_likelihood,
    "beats_examples": spoil_examples,
    "beats_similar_examples": spoil_similar,
}


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations_with_replacement(SPOILT, 2)))
def test_the_first_step_that_fails_names_the_verdict(healthy, first, second):
    SPOILT[second](healthy)
    if healthy["comparison"]:
        SPOILT[first](healthy)
    found = diagnosis.diagnose(healthy)
    assert found["verdict"]["step"] == (first if second != "measured" else "measured")
    assert found["verdict"]["usable"] is (None if found["verdict"]["step"] in ("measured", "enough_data") else False)


HEADLINES = {
    "measured": "Not known yet: no model was measured",
    "enough_data": "Not known yet: too little held-out data",
    "replies_end": "Not usable yet: its replies do not end",
    "replies_sound": "Not usable yet: its replies are empty, loop, or are copied",
    "closer_in_style": "Not usable yet: it sounds no more like the person than its base",
    "likelier": "Not usable yet: it is worse than its base",
    "beats_examples": "Not usable yet: its base does better with a few examples in the prompt",
    "beats_similar_examples": "Not usable yet: its base does better with similar past conversations in the prompt",
}


@pytest.mark.parametrize("step", SPOILT)
def test_the_headline_says_why_it_is_not_usable(healthy, step):
    SPOILT[step](healthy)
    assert diagnosis.diagnose(healthy)["verdict"]["headline"] == HEADLINES[step]


def test_a_model_that_got_worse_is_called_that_whatever_else_is_wrong(healthy):
    to_base(healthy, 0.0, 0.01)
    assert diagnosis.diagnose(healthy)["verdict"]["headline"] == "Not usable yet: it is no better than its base"
    spoil_likelihood(healthy)
    spoil_end(healthy)
    verdict = diagnosis.diagnose(healthy)["verdict"]
    assert verdict["headline"] == "Not usable yet: it is worse than its base, and its replies do not end"
    first, second = (
        next(one["sentence"] for one in verdict["steps"] if one["step"] == step) for step in ("likelier", "replies_end")
    )
    assert verdict["sentence"] == f"Don't use this fine-tune yet. {first} {second}"


def test_a_model_that_wrote_nothing_is_not_judged_by_its_replies(healthy):
    healthy["comparison"]["generated"] = None
    found = diagnosis.diagnose(healthy)
    assert found["verdict"]["headline"] == "Not known yet: whether its replies end is unclear"
    unknown = {"replies_end", "replies_sound", "closer_in_style"}
    assert {step for step, passed in steps(found).items() if passed is None} == unknown


@pytest.mark.parametrize("rate, usable", [(0.9, True), (0.89, False)])
def test_nine_of_ten_replies_have_to_end(healthy, rate, usable):
    tuned(healthy, "writes").update(end_of_turn_rate=rate, end_of_turn_interval=[0.8, 0.95])
    assert diagnosis.diagnose(healthy)["verdict"]["usable"] is usable


def test_replies_that_may_end_often_enough_are_a_doubt(healthy):
    tuned(healthy, "writes").update(end_of_turn_rate=0.8, end_of_turn_interval=[0.5, 1.0])
    assert diagnosis.diagnose(healthy)["verdict"]["headline"].startswith("Not known yet")


def test_one_in_ten_unsound_replies_is_too_many_whatever_their_fault(healthy):
    tuned(healthy, "writes").update(empty=0.04, looping=0.05)
    assert diagnosis.diagnose(healthy)["verdict"]["usable"] is True
    tuned(healthy, "writes").update(copied=0.01)
    said = "Of its replies, 4% are empty, 5% repeat themselves and 1% are copied from training"
    assert said in diagnosis.diagnose(healthy)["verdict"]["sentence"]


def test_what_cannot_be_told_is_neither_usable_nor_not(healthy):
    to_base(healthy, -0.05, 0.2, needed=[{"nats": 0.05, "replies": 900, "conversations": 120}])
    found = diagnosis.diagnose(healthy)
    assert (found["verdict"]["usable"], found["verdict"]["step"]) == (None, "likelier")
    assert "900 replies from 120 conversations" in found["verdict"]["sentence"]


@pytest.mark.parametrize("width, usable", [(0.01, False), (0.019, False), (0.021, None)])
def test_less_than_a_fiftieth_of_a_nat_is_no_difference(healthy, width, usable):
    to_base(healthy, 0.0, width)
    assert diagnosis.diagnose(healthy)["verdict"]["usable"] is usable


def test_replies_are_judged_as_the_app_asks_for_them(healthy):
    ask_otherwise(healthy)
    healthy["comparison"]["formats"].append({"name": "mine", "shots": 0})
    written = healthy["comparison"]["generated"]["arms"]
    written.append(tuned(healthy, "writes") | {"format": "mine", "end_of_turn_rate": 0.1})
    assert diagnosis.diagnose(healthy)["verdict"]["step"] == "replies_end"


def test_a_limit_too_short_for_the_persons_own_replies_is_said(healthy):
    spoil_end(healthy)
    tuned(healthy, "writes").update(too_long=0.4, end_of_turn_rate=0.2)
    found = diagnosis.diagnose(healthy)
    assert "40% of the person's own replies are longer" in found["verdict"]["sentence"]
    tuned(healthy, "writes").update(end_of_turn_rate=0.58)  # nearly all that fit
    assert diagnosis.diagnose(healthy)["verdict"]["usable"] is True


def test_replies_that_do_not_end_because_no_end_was_trained_are_said_to(healthy):
    spoil_end(healthy)
    assert "never trained" not in diagnosis.diagnose(healthy)["verdict"]["sentence"]
    healthy["format_audit"]["own_findings"] = [finding("loss.end_of_turn")]
    assert "The end of a turn was never trained." in diagnosis.diagnose(healthy)["verdict"]["sentence"]


# --- causes ----------------------------------------------------------------------------------------------------------


def test_causes_are_ordered_void_measured_known_slight_notes(healthy):
    spoil_end(healthy)
    trained(healthy).update(iterations=100, epochs=0.2, curve=curve((0, 4.0), (50, 3.9), (100, 3.8)))
    share = {"interval": [0.01, 0.05], "verdict": "worse", "nats_per_reply_token": 0.03}
    none = {"interval": [-0.02, 0.03], "verdict": "not distinguishable", "nats_per_reply_token": 0.005}
    ask_otherwise(healthy)
    shares = [{"fault": "user"} | share, {"fault": "system"} | none]
    healthy["comparison"]["attribution"] = {"tuned": {"shares": shares}}
    healthy["format_audit"]["own_findings"] = [
        finding("loss.shares", "info"),
        finding("data.identifiers", "warning"),
        finding("loss.on_prompt", "warning"),
        finding("parity.system_text"),
        finding("parity.user_wrapper"),
        finding("adapter.config_newer"),
        finding("data.empty"),
    ]
    found = diagnosis.diagnose(healthy)
    assert [one["id"] for one in found["causes"]] == [
        "no_rows",
        "adapter_of_another_run",
        "under_trained",  # estimated at 0.1, and explains that replies don't end
        "prompt: user",
        "replies_do_not_end",
        "prompt_trained",
        "data.identifiers",
        "prompt: system",
        "loss.shares",
    ]
    by_id = {one["id"]: one for one in found["causes"]}
    assert by_id["prompt: user"]["checks"] == ["parity.user_wrapper"]
    assert by_id["prompt: user"]["cost"]["nats"] == 0.03
    assert by_id["prompt: user"]["cost"]["share_of_gain"] == pytest.approx(0.06)
    assert by_id["under_trained"]["cost"]["nats"] == pytest.approx(0.1)
    assert by_id["replies_do_not_end"]["cost"]["nats"] == pytest.approx(0.3 * 40 / 800)
    assert by_id["under_trained"]["evidence"][-1] == (
        "it may explain this: replies do not end: 70% run into the token limit"
    )
    assert by_id["no_rows"]["kind"] == "void" and by_id["loss.shares"]["kind"] == "note"


def test_the_end_of_turn_that_was_never_trained_explains_replies_that_do_not_end(healthy):
    spoil_end(healthy)
    spoil_sound(healthy)
    healthy["format_audit"]["own_findings"] = [finding("loss.end_of_turn")]
    found = diagnosis.diagnose(healthy)
    assert ids(found) == ["end_untrained"]
    assert found["causes"][0]["cost"]["nats"] == pytest.approx(0.3 * 40 / 800)
    assert any("run into the token limit" in line for line in found["causes"][0]["evidence"])
    assert any("repeat themselves" in line for line in found["causes"][0]["evidence"])
    assert found["causes"][0]["kind"] == "measured"
    written = {"id", "what", "evidence", "cost", "certainty", "kind", "severity", "fix", "apply", "prove", "checks"}
    assert found["causes"][0].keys() == written


def test_a_symptom_without_a_cost_adds_nothing_to_what_its_cause_costs(healthy):
    spoil_sound(healthy)
    healthy["format_audit"]["own_findings"] = [finding("loss.end_of_turn")]
    (cause,) = diagnosis.diagnose(healthy)["causes"]
    assert (cause["id"], cause["kind"], cause["cost"]) == ("end_untrained", "known", None)
    healthy["format_audit"]["own_findings"] = []
    trained(healthy).update(iterations=100, epochs=0.2, curve=curve((0, 4.0), (50, 3.9), (100, 3.8)))
    lose_by_fusing(healthy, 0.2)
    assert ids(diagnosis.diagnose(healthy)) == ["fusing", "under_trained", "replies_loop"]


@pytest.mark.parametrize("nats, found", [(-0.03, ["base_as_good"]), (-0.05, [])])
def test_a_base_less_than_a_twentieth_of_a_nat_behind_is_as_good(healthy, nats, found):
    to_base(healthy, nats, 0.01)
    assert ids(diagnosis.diagnose(healthy)) == found


def test_findings_with_one_cause_are_its_evidence(healthy):
    healthy["format_audit"]["own_findings"] = [finding("data.duplicates"), finding("data.dominating_reply", "warning")]
    (cause,) = diagnosis.diagnose(healthy)["causes"]
    assert cause["id"] == "same_rows" and cause["what"] == "what data.duplicates found"
    assert cause["evidence"] == [
        "data.duplicates: a line",
        "data.dominating_reply: what data.dominating_reply found",
    ]


def test_each_setting_that_is_ignored_keeps_its_own_fix(healthy):
    names = ("lora_rank", "lora_alpha", "lora_rank")
    healthy["format_audit"]["own_findings"] = [
        finding("config.unknown_key", "warning", f"`{name}` is ignored", fix=f"Mend {name}.") for name in names
    ] + [finding("config.dead_key", "warning", fix="Remove it.")]
    (cause,) = diagnosis.diagnose(healthy)["causes"]
    assert cause["id"] == "settings_ignored" and cause["fix"] == "Mend lora_rank. Mend lora_alpha."


@pytest.mark.parametrize(
    ("check", "cause"),
    [
        ("config.learning_rate", "learning_rate"),
        ("data.templated", "templated_content"),
        ("data.speaker_tag", "speaker_tags"),
        ("loss.truncated", "replies_cut"),
        ("loss.on_prompt", "prompt_trained"),
    ],
)
def test_a_fault_that_the_audit_knows_explains_a_model_that_got_worse(healthy, check, cause):
    spoil_likelihood(healthy)
    healthy["format_audit"]["own_findings"] = [finding(check, "warning")]
    found = diagnosis.diagnose(healthy)
    assert ids(found) == [cause]
    assert found["causes"][0]["cost"]["nats"] == 0.2 and found["causes"][0]["certainty"] == "likely"


@pytest.mark.parametrize("last", [3.2, 4.0])
@pytest.mark.parametrize(
    "check, why", [("loss.on_prompt", ": most of it is on the prompt, not on the reply"), ("a", "")]
)
def test_a_loss_that_fell_while_the_model_got_worse_is_evidence(healthy, check, why, last):
    spoil_likelihood(healthy)
    healthy["format_audit"]["own_findings"] = [finding(check, "warning")]
    trained(healthy)["curve"] = curve((0, 4.0), (500, 4.0), (1000, last))
    lines = [
        line for one in diagnosis.diagnose(healthy)["causes"] for line in one["evidence"] if "still fell, from" in line
    ]
    fell = f"the validation loss still fell, from 4.000 to 3.200{why}"
    assert lines == ([fell] if last < 4 else [])


def test_a_model_that_got_worse_without_a_known_reason_is_a_cause_of_its_own(healthy):
    spoil_likelihood(healthy)
    found = diagnosis.diagnose(healthy)
    assert ids(found) == ["training_hurt"]
    cost = {"nats": 0.2, "interval": pytest.approx([0.18, 0.22])}
    cost |= {"in_words": "each word piece of the true replies is 18% less likely"}
    assert found["causes"][0]["cost"] == cost | {"share_of_gain": None}  # it gained nothing
    assert found["causes"][0]["evidence"] == [
        "the tuned model against its base, both prompted as in training: the true replies are 18% less likely "
        "(+0.200 nats per token, 95% interval +0.180 to +0.220)",
        "the validation loss still fell, from 4.000 to 3.200",
    ]


@pytest.mark.parametrize("verdict, share", [("better", 0.4), ("not distinguishable", None)])
def test_a_cost_is_a_share_of_what_training_gained_if_it_gained(healthy, verdict, share):
    healthy["comparison"]["differences"][0]["verdict"] = verdict
    lose_by_fusing(healthy, 0.2)
    (fusing,) = (one for one in diagnosis.diagnose(healthy)["causes"] if one["id"] == "fusing")
    assert fusing["cost"]["share_of_gain"] == share


@pytest.mark.parametrize("moved, name", [(0.51, "learning_rate"), (0.49, "training_hurt")])
def test_weights_moved_by_half_mean_a_learning_rate_too_high(healthy, moved, name):
    spoil_likelihood(healthy)
    trained(healthy)["adapts"] = {"by_layer": [{"relative": 0.01}, {"relative": moved}]}
    (cause,) = diagnosis.diagnose(healthy)["causes"]
    assert cause["id"] == name
    if name == "learning_rate":
        assert cause["evidence"][:2] == ["the adapter moves weights by up to 51%", "learning_rate: 0.0001"]


@pytest.mark.parametrize("scale", [70, 90])
@pytest.mark.parametrize("known_from", [lambda scale: {"scale": scale}, lambda scale: {"adapts": {"scale": [scale]}}])
def test_steps_of_twice_the_usual_length_mean_a_learning_rate_too_high_if_training_hurt(healthy, scale, known_from):
    trained(healthy).update(known_from(scale))
    assert ids(diagnosis.diagnose(healthy)) == []
    spoil_likelihood(healthy)
    (cause,) = diagnosis.diagnose(healthy)["causes"]
    assert cause["id"] == ("learning_rate" if scale == 90 else "training_hurt")
    if scale == 90:
        step = "learning_rate × scale, which sets how far each step goes, is 0.009: 2 times the 0.004 of this study's recipe"
        assert cause["evidence"][:2] == [step, "learning_rate: 0.0001"]
        assert cause["cost"]["nats"] == healthy["comparison"]["differences"][0]["nats_per_reply_token"]


def test_a_training_that_diverged_says_where(healthy):
    trained(healthy).update(diverged=True, stopped="its loss was NaN at iteration 12")
    (cause,) = diagnosis.diagnose(healthy)["causes"]
    assert (cause["id"], cause["severity"]) == ("learning_rate", "error")
    assert cause["evidence"] == ["training diverged: its loss was NaN at iteration 12", "learning_rate: 0.0001"]


def test_a_loss_that_rises_means_a_learning_rate_too_high(healthy):
    spoil_likelihood(healthy)
    trained(healthy)["curve"] = curve((0, 4.0), (500, 5.0), (1000, 6.0))
    found = diagnosis.diagnose(healthy)
    assert ids(found) == ["learning_rate"]
    assert found["causes"][0]["apply"] == "ftstudy fix my.yaml --out fixed"
    healthy["format_audit"]["given"]["existing"] = True
    command = diagnosis.diagnose(healthy)["causes"][0]["apply"]
    assert command == "mlx_lm.lora --config my.yaml --train --data rows --learning-rate 1e-05"


@pytest.mark.parametrize("last, found", [(4.03, ["learning_rate"]), (4.01, [])])
def test_two_losses_are_enough_to_see_that_it_rose(healthy, last, found):
    trained(healthy)["curve"] = curve((0, 4.0), (1000, last))
    assert ids(diagnosis.diagnose(healthy)) == found


def test_a_base_that_is_as_good_is_said_only_where_training_had_its_chance(healthy):
    to_base(healthy, -0.005, 0.01)
    trained(healthy)["curve"] = curve((0, 3.2), (500, 3.2), (1000, 3.2))
    found = diagnosis.diagnose(healthy)
    assert ids(found) == ["base_as_good"]
    assert found["causes"][0]["evidence"][1] == "validation loss: 3.200 before training, 3.200 after"
    trained(healthy)["curve"] = []  # an adapter without a log
    assert ids(diagnosis.diagnose(healthy)) == ["base_as_good"]
    trained(healthy).update(iterations=3, epochs=0.01)
    assert ids(diagnosis.diagnose(healthy)) == ["under_trained"]
    healthy["training"] = None
    assert ids(diagnosis.diagnose(healthy)) == []


def test_a_better_checkpoint_is_named_with_the_command_that_takes_it(healthy):
    row = difference("own", "lowest", 0.08)
    trained(healthy)["checkpoints"] = {
        "keep": 400,
        "own": 1000,
        "fit": "over-fitted",
        "rows": [{"iteration": 1000, "to_lowest": row}],
    }
    found = diagnosis.diagnose(healthy)["causes"][0]
    assert found["id"] == "over_fitted" and found["cost"]["nats"] == 0.08
    assert found["apply"] == "cp adapters/0000400_adapters.safetensors adapters/adapters.safetensors"


def test_what_fusing_lost_is_one_cause_with_the_audits_finding(healthy):
    healthy["format_audit"]["own_findings"] = [finding("fused.update", "warning", "56% of the update")]
    lose_by_fusing(healthy, 0.3)
    found = diagnosis.diagnose(healthy)
    assert ids(found) == ["fusing"] and found["causes"][0]["cost"]["nats"] == 0.3
    assert found["causes"][0]["checks"] == ["fused.update"]


def test_a_leak_costs_what_it_flatters(healthy):
    healthy["comparison"]["differences"][0] |= {
        "leaked": 12,
        "without_leaked": {"nats_per_reply_token": -0.1, "interval": [-0.2, 0.0], "verdict": "not distinguishable"},
    }
    healthy["format_audit"]["own_findings"] = [finding("splits.exact_duplicate", "warning")]
    found = diagnosis.diagnose(healthy)
    assert ids(found) == ["splits_leak"] and found["causes"][0]["cost"]["nats"] == pytest.approx(0.4)


def test_forgetting_and_giving_away_are_causes(healthy):
    healthy["comparison"]["ability"] = {
        "questions": 60,
        "differences": [{"model": "tuned", "right": -0.2, "verdict": "worse"}],
    }
    healthy["comparison"]["regurgitation"] = {
        "models": [{"model": "base", "seen": 0.0}, {"model": "tuned", "seen": 0.5}],
        "difference": {"value": 0.5, "verdict": "worse"},
    }
    assert ids(diagnosis.diagnose(healthy)) == ["forgetting", "regurgitation"]


def test_an_app_whose_prompt_cannot_be_taken_apart_is_one_cause(healthy):
    ask_otherwise(healthy, -0.3)
    healthy["comparison"]["differences"].append(difference("tuned, mine", "tuned, aligned", 0.2))
    healthy["format_audit"]["own_findings"] = [finding("parity.user_wrapper"), finding("parity.role_header")]
    found = diagnosis.diagnose(healthy)
    assert ids(found) == ["prompt"] and found["causes"][0]["checks"] == ["parity.user_wrapper", "parity.role_header"]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_faults_with_one_cause_the_one_with_a_cost_counts(healthy, order):
    costs = {"interval": [0.05, 0.15], "verdict": "worse", "nats_per_reply_token": 0.1}
    none = {"interval": [-0.02, 0.03], "verdict": "not distinguishable", "nats_per_reply_token": 0.005}
    ask_otherwise(healthy)
    shares = [{"fault": "header"} | costs, {"fault": "template"} | none][::order]
    healthy["comparison"]["attribution"] = {"tuned": {"shares": shares}}
    healthy["format_audit"]["own_findings"] = [finding("parity.role_header")]
    cause = diagnosis.diagnose(healthy)["causes"][0]
    assert (cause["id"], cause["kind"], cause["cost"]["nats"]) == ("prompt: header", "measured", 0.1)


def test_each_command_is_one_that_a_shell_takes_as_meant(healthy):
    nasty = "my config; rm -rf $HOME `x`.yaml"
    healthy["format_audit"]["given"] |= {"config": nasty, "existing": True, "adapter": "an adapter"}
    healthy["format_audit"]["own_findings"] = [finding("data.empty"), finding("data.speaker_tag")]
    found = diagnosis.diagnose(healthy, "mine")
    void, known = (shlex.split(one["prove"]) for one in found["causes"])
    assert void == ["ftstudy", "audit", "--config", nasty, "--adapter", "an adapter"]
    assert known == ["ftstudy", "prove", nasty, "--run", "mine"]
    assert shlex.split(found["causes"][1]["apply"]) == ["ftstudy", "fix", nasty, "--run", "mine"]
    assert shlex.split(found["again"]) == ["ftstudy", "diagnose", nasty, "--adapter", "an adapter", "--run", "mine"]


@pytest.mark.parametrize(
    "check, fix, proof",
    [
        ("data.dominating_reply", "", "make report RUN=mine CONFIG=my.yaml 'INFERENCE=my app.yaml'"),  # no repair
        ("data.speaker_tag", "ftstudy fix {}", "ftstudy prove {}"),
        ("loss.on_prompt", "ftstudy fix {}", "ftstudy prove {}"),
        ("data.bad_json", "ftstudy fix {}", "ftstudy audit --config reports/mine/fixed/config.yaml"),
    ],
)
def test_commands_that_fix_a_cause_and_prove_it(healthy, check, fix, proof):
    healthy["format_audit"] |= {"own_findings": [finding(check)], "asked_for": "my app.yaml"}
    (cause,) = diagnosis.diagnose(healthy, "mine")["causes"]
    given = "my.yaml --inference 'my app.yaml' --run mine"
    assert cause["apply"] == fix.format(given) and cause["prove"] == proof.format(given)


def test_why_no_model_was_measured_is_the_verdict(healthy):
    healthy["comparison"] = None
    found = diagnosis.diagnose(healthy, "", "The disk is full.")
    assert found["verdict"]["step"] == "measured" and found["verdict"]["sentence"].endswith("The disk is full.")


@given(some.sets(some.sampled_from(["extraction", "findings", "format_audit", "training", "comparison"])))
def test_any_result_may_be_missing(missing):
    results = results_of_a_healthy_run()
    for name in missing:
        results[name] = None
    found = diagnosis.diagnose(results)
    assert json.loads(json.dumps(found)) == found
    assert found["verdict"]["sentence"]


def test_every_fault_of_a_prompt_has_its_words_and_its_cause():
    assert set(prompt_formats.FAULTS) <= set(wording.FORMATS)
    assert set(prompt_formats.FAULTS) - {"unread"} == set(serving.CAUSES)


def test_every_check_that_is_named_exists_and_is_named_once():
    known = {check.id for check in audit.checks()}
    named = [check for checks in reasons.VOID.values() for check in checks]
    assert set(named) <= known and len(named) == len(set(named))
    named = [check for checks in reasons.KNOWN.values() for check in checks]
    assert set(named) <= known and len(named) == len(set(named))


@given(
    some.lists(
        some.tuples(some.sampled_from(sorted(check.id for check in audit.checks())), some.sampled_from(SEVERITIES))
    )
)
def test_no_finding_is_lost_whatever_the_audit_finds(found):
    results = results_of_a_healthy_run()
    results["format_audit"]["own_findings"] = [finding(check, severity) for check, severity in found]
    causes = diagnosis.diagnose(results)["causes"]
    assert {check for one in causes for check in one["checks"]} == {check for check, _ in found}
    kinds = [diagnosis.ranking.KINDS.index(one["kind"]) for one in causes]
    assert kinds == sorted(kinds)
    assert len({one["id"] for one in causes}) == len(causes)


def test_what_makes_a_run_void_forbids_a_verdict_on_what_was_measured(healthy):
    healthy["format_audit"]["own_findings"] = [finding("data.empty", title="The folder rows is empty")]
    found = diagnosis.diagnose(healthy)
    assert (found["verdict"]["usable"], found["verdict"]["step"]) == (None, "measured")
    assert "The folder rows is empty." in found["verdict"]["sentence"]
    assert found["verdict"]["headline"] == "This run is void"


@pytest.mark.parametrize("key", ["empty", "looping", "copied"])
def test_what_the_person_does_too_is_no_fault(healthy, key):
    tuned(healthy, "writes")[key] = 0.5
    assert diagnosis.diagnose(healthy)["verdict"]["step"] == "replies_sound"
    healthy["comparison"]["generated"]["ceiling"] = {"measures": {key: 0.45}}
    assert diagnosis.diagnose(healthy)["verdict"]["usable"] is True


@pytest.mark.parametrize(("ratio", "name"), [(0.2, "replies_too_short"), (4.0, "replies_too_long")])
def test_replies_of_another_length_than_the_persons_are_named(healthy, ratio, name):
    tuned(healthy, "writes").update(length_ratio=ratio, words=2.0, true_words=10.0)
    assert ids(diagnosis.diagnose(healthy)) == [name]


def test_the_command_to_train_for_longer_is_of_whoever_trains(healthy):
    trained(healthy).update(iterations=100, epochs=0.1, curve=[])
    cause = diagnosis.diagnose(healthy, "mine")["causes"][0]
    assert cause["apply"] == cause["prove"] == "make report RUN=mine CONFIG=my.yaml ITERS=1000"
    healthy["format_audit"]["given"]["existing"] = True
    command = diagnosis.diagnose(healthy)["causes"][0]["apply"]
    assert command == "mlx_lm.lora --config my.yaml --train --data rows --iters 1000"


def test_too_short_a_training_says_what_it_saw_and_what_more_would_bring(healthy):
    trained(healthy).update(iterations=100, epochs=0.2, curve=curve((0, 4.0), (50, 3.9), (100, 3.8)))
    (cause,) = diagnosis.diagnose(healthy)["causes"]
    assert cause["what"] == "It was trained for too short a time, 100 iterations"
    assert cause["evidence"] == [
        "100 iterations, 0.20 epochs: 200 of 1,000 rows were seen",
        "the validation loss still fell by 0.100 nats per token in the second half of training",
    ]
    assert cause["cost"]["in_words"] == "twice the training would probably make each word piece 11% more likely"
    assert cause["severity"] == "error" and "one epoch is 500 iterations." in cause["fix"]
    trained(healthy).update(epochs=0.5)  # most rows were seen
    assert diagnosis.diagnose(healthy)["causes"][0]["severity"] == "warning"
    trained(healthy).update(epochs=200.0)
    assert "twice as long is 200 iterations." in diagnosis.diagnose(healthy)["causes"][0]["fix"]


def test_a_loss_is_still_falling_only_if_it_ends_at_its_lowest(healthy):
    falls = (0, 4.0), (400, 3.7), (500, 3.5)
    trained(healthy)["curve"] = curve(*falls, (600, 3.3), (1000, 3.2))
    assert ids(diagnosis.diagnose(healthy)) == ["under_trained"]
    trained(healthy)["curve"] = curve(*falls, (600, 3.1), (1000, 3.2))
    assert ids(diagnosis.diagnose(healthy)) == []
    trained(healthy)["curve"] = curve((0, 4.0), (1, 5.0), (1000, 3.0))  # at iteration 500 it was about 4
    assert diagnosis.diagnose(healthy)["causes"][0]["cost"]["nats"] == pytest.approx(1.0, abs=0.01)


def test_an_adapter_better_than_the_checkpoint_before_it_was_trained_for_too_short_a_time(healthy):
    trained(healthy)["checkpoints"] = {"keep": 1000, "own": 1000, "fit": "under-fitted", "rows": []}
    (cause,) = diagnosis.diagnose(healthy)["causes"]
    assert (cause["id"], cause["cost"], cause["kind"]) == ("under_trained", None, "known")
    assert cause["evidence"][-1] == "the adapter is distinguishably better than the checkpoint before it"


@pytest.mark.parametrize("rows, found", [(199, ["few_rows"]), (200, [])])
def test_few_rows_are_a_cause(healthy, rows, found):
    trained(healthy)["examples"] = rows
    assert ids(diagnosis.diagnose(healthy)) == found


def test_a_later_checkpoint_that_is_better_is_not_over_fitting(healthy):
    row = {"iteration": 500, "to_lowest": difference("own", "lowest", 0.08)}
    trained(healthy)["checkpoints"] = {"keep": 1000, "own": 500, "fit": "well fitted", "rows": [row]}
    (cause,) = diagnosis.diagnose(healthy)["causes"]
    assert cause["id"] == "wrong_checkpoint" and "over-fitted" not in cause["fix"]


def test_a_cause_shows_three_lines_of_evidence_and_that_there_are_more_or_says_which_check_found_it(healthy):
    many = finding("data.speaker_tag", evidence=["one", "two", "three", "four"])
    healthy["format_audit"]["own_findings"] = [many, finding("loss.truncated", evidence=())]
    tags, cut = diagnosis.diagnose(healthy)["causes"]
    assert tags["evidence"] == [f"data.speaker_tag: {line}" for line in ("one", "two", "three", "…")]
    assert cut["evidence"] == ["loss.truncated says so."]


def test_most_rows_unseen_is_too_short_a_training_unless_the_loss_is_flat(healthy):
    trained(healthy).update(iterations=100, epochs=0.1, curve=curve((0, 4), (50, 3.6), (100, 3.58)))
    assert ids(diagnosis.diagnose(healthy)) == ["under_trained"]
    trained(healthy)["curve"][-1]["validation_loss"] = 3.6
    assert ids(diagnosis.diagnose(healthy)) == []


def test_the_command_that_repeats_a_study_is_empty_where_it_is_not_known_how_it_was_asked_for():
    nothing = dict.fromkeys(diagnosis.RESULTS)
    assert diagnosis.diagnose(nothing, "mine")["again"] == ""
    given = {"config": "my.yaml", "data": "", "model": "", "adapter": "", "existing": False, "fused": ""}
    audited = {"own_findings": [], "given": given, "asked_for": "mine.yaml"}
    again = diagnosis.diagnose(nothing | {"format_audit": audited}, "mine")["again"]
    assert again == "make report RUN=mine CONFIG=my.yaml INFERENCE=mine.yaml"
