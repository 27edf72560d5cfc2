"""What the report says about its results, in sentences: checked against small results made by hand."""

import pytest
from ftstudy import wording
from ftstudy.report import conclusions


@pytest.mark.parametrize(
    "nats, said",
    [
        (-0.238, "27% more likely"),
        (0.238, "21% less likely"),
        (0.0, "equally likely"),
        (0.004, "0.4% less likely"),
        (-5.9229, "373 times as likely"),
        (-1.2, "3.3 times as likely"),
        (5.0, "99.3% less likely"),
    ],
)
def test_nats_become_a_relative_likelihood(nats, said):
    assert wording.more_likely(nats) == said


def test_an_effect_has_its_unit_its_interval_and_its_meaning():
    said = "27% more likely (−0.238 nats per token, 95% interval −0.300 to −0.196)"
    assert wording.effect(-0.2381, [-0.2999, -0.196]) == said
    assert wording.effect(0.1, None) == "10% less likely (+0.100 nats per token)"
    assert wording.effect(None, None) == "not measured"


def test_counts_agree_with_their_nouns():
    assert [wording.count(n, "error") for n in (0, 1, 2)] == ["0 errors", "1 error", "2 errors"]
    assert wording.count(1075, "reply", "replies") == "1,075 replies"
    assert [wording.listed(list(items)) for items in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


def test_formats_have_names_for_readers():
    assert wording.format_name("aligned, 4 similar examples") == "as in training, 4 similar examples"
    assert wording.format_name("aligned, 4 examples") == "as in training, 4 examples"
    assert wording.format_name("system + user") == "your app's system text + your app's wrapper"
    assert wording.format_name("mine + user") == "mine + user"
    assert wording.prompted("historical") == "with the original app's prompt"
    assert wording.prompted("aligned") == "as in training" and wording.prompted("mine") == "with the prompt “mine”"


def extraction(**sizes):
    return {"messages": 900, "pairs": 1, "variants": {"v": {name: {"examples": n} for name, n in sizes.items()}}}


def test_extraction_says_what_the_split_supports():
    said = conclusions.extraction(extraction(train=200, valid=10, test=40, heldout=5))
    assert said.startswith("900 messages gave 1 reply pair: 200 to train on, 10 to validate, 40 to test and 5 from")
    assert said.endswith("That is enough to train on, and enough to compare models on.")
    assert "199 examples are few" in conclusions.extraction(extraction(train=199, test=40))
    assert "39 test examples" in conclusions.extraction(extraction(train=200, test=39))
    assert "nothing to train on" in conclusions.extraction(extraction(test=39))
    assert "no models can be compared" in conclusions.extraction(extraction(train=200))


def test_empty_replies_are_reported_with_how_often_the_model_stops():
    arms = [{"model": "tuned", "format": name, "end_of_turn_rate": 1.0, "empty": 0.0} for name in ("aligned", "mine")]
    assert "says nothing" not in conclusions.stopping({"arms": arms}, "mine")
    arms[1]["empty"] = 0.8
    said = conclusions.stopping({"arms": arms}, "mine")
    assert said.endswith("But it says nothing at all in 80% of its replies (with the prompt “mine”).")


def test_rows_of_text_are_not_said_to_lack_replies():
    splits = [{"split": "train", "rows": 9, "schema": "text"}, {"split": "valid", "rows": 3, "schema": "text"}]
    described = {"splits": splits, "lengths": [], "replies": [], "different": {"systems": 0}}
    assert "plain text" in conclusions.rows(described) and "None of them" not in conclusions.rows(described)
    described["splits"][0]["schema"] = "messages"
    assert "None of them ends with a separate reply message" in conclusions.rows(described)


def test_conversations_that_share_no_lines_are_said_to_be_counted_one_by_one():
    found = {"split": "test", "leaked": 0, "grouping": {"known": "inferred", "linked": 0, "rows": 15}}
    assert "share no lines, so each counts as a conversation of its own" in conclusions.heldout(found, 15, 15)
    found["grouping"]["linked"] = 4
    assert "4 of 15 share lines" in conclusions.heldout(found, 15, 13)


def test_a_rise_of_somebody_elses_loss_may_be_chance():
    curve = [{"iteration": at, "validation_loss": loss} for at, loss in ((0, 6.0), (9, 5.0), (29, 5.1))]
    entry = {"curve": curve, "iterations": 30, "epochs": 1.0, "diverged": False, "stopped": None}
    assert conclusions.training(entry).endswith("over-fitted from there on, so that checkpoint was kept.")
    assert conclusions.training(entry | {"existing": True}).endswith("which may be over-fitting or chance.")


def test_the_audit_names_the_worst_finding_and_counts_no_facts():
    findings = [{"severity": level, "title": f"{level} here"} for level in ("info", "warning", "error", "error")]
    assert conclusions.audit(findings) == "2 errors, 1 warning. Fix this first: error here."
    assert conclusions.audit(findings[:2]).endswith("look at this first: warning here.")
    assert conclusions.audit(findings[:1]).startswith("0 errors, 0 warnings. The audit found nothing")


def test_key_differences_say_where_and_how_much():
    rows = [{"aspect": "System prompt", "prompts": 3, "tokens": 21.0}]
    found = {"examples": 5, "identical": 2, "rows": rows}
    said = (
        "Prompted with the prompt “mine”, 3 of 5 prompts differ from training: system prompt (21 tokens in 3 prompts)."
    )
    assert conclusions.key_differences(found, "mine") == said
    assert "all 5 prompts are identical to training" in conclusions.key_differences(found | {"identical": 5}, "mine")


def trained(*losses, **more):
    curve = [{"iteration": 10 * at, "validation_loss": loss} for at, loss in enumerate(losses)]
    return {"curve": curve, "iterations": 30, "epochs": 0.5, "diverged": False, "stopped": None} | more


@pytest.mark.parametrize(
    "losses, said",
    [
        ((4.0, 3.8, 3.7, 3.6), "from 4.000 to 3.600 nats per token in 30 iterations (0.50 epochs)"),
        ((4.0, 3.8, 3.7, 3.6), "a token 49% more likely. Best at iteration 30, the last evaluation"),
        ((4.0, 3.5, 3.6, 3.7), "Best at iteration 10, then it rose by 0.200: over-fitted"),
        ((4.0, 3.5, 3.504), "Best at iteration 10, and flat after that"),
        ((4.0, 4.0, 4.1), "never fell below its start, 4.000"),
        ((4.0,), "without validation losses"),
    ],
)
def test_training_says_what_the_curve_shows(losses, said):
    assert said in conclusions.training(trained(*losses))
    diverged = trained(*losses, diverged=True, stopped="the loss is NaN")
    assert conclusions.training(diverged).startswith("Training diverged (the loss is NaN). ")


def difference(left, right, nats, verdict):
    measured = {"nats_per_reply_token": nats, "interval": [nats - 0.1, nats + 0.1], "verdict": verdict}
    return {"left": left.split(", "), "right": right.split(", ")} | measured


def test_the_comparison_says_what_training_gained_and_what_the_prompt_costs():
    rows = [
        difference("tuned, aligned", "base, aligned", -0.2, "better"),
        difference("tuned, mine", "base, mine", 0.0, "not distinguishable"),
        difference("tuned, mine", "tuned, aligned", 0.3, "worse"),
    ]
    said = conclusions.comparison(rows, "mine")
    assert "22% more likely (−0.200 nats per token, 95% interval −0.300 to −0.100): fine-tuning helped." in said
    assert "“mine”, the tuned model finds the true replies equally likely" in said
    assert said.endswith("26% less likely (+0.300 nats per token, 95% interval +0.200 to +0.400): the mismatch hurts.")
    assert "could not be measured" in conclusions.comparison([], "aligned")


def effect(nats, verdict="worse", **more):
    return {"nats_per_reply_token": nats, "interval": None, "verdict": verdict} | more


def test_attribution_names_the_fault_that_costs_most():
    shares = [effect(0.01, "not distinguishable", fault="system"), effect(0.1, fault="user")]
    found = {"faults": ["system", "user"], "whole": effect(0.11), "shares": shares}
    assert conclusions.attribution(found).endswith(
        "Your app's wrapper costs most: 10% less likely (+0.100 nats per token)."
    )
    found["shares"][1]["verdict"] = "not distinguishable"
    assert "no single fault" in conclusions.attribution(found)
    one = {"faults": ["user"], "whole": effect(0.1), "shares": shares[1:]}
    assert conclusions.attribution(one).startswith("The prompt has one fault, your app's wrapper.")
    assert conclusions.attribution(None)


def wrote(model, name, rate, distance, verdict=None):
    to_aligned = verdict and {"verdict": verdict}
    style = {"total": distance}
    return {"model": model, "format": name, "end_of_turn_rate": rate, "style_distance": style, "to_aligned": to_aligned}


def test_stopping_and_style_are_held_against_the_untrained_model():
    arms = [wrote("base", "aligned", 0.02, 0.6), wrote("tuned", "aligned", 0.35, 0.3)]
    generated = {"ceiling": {"mean": 0.2}, "arms": [*arms, wrote("tuned", "mine", 0.5, 0.5, "worse")]}
    said = conclusions.stopping(generated, "mine")
    assert "35% of its replies (as in training) and 50%" in said and "the base model stops in 2%" in said
    assert "token limit" in said
    generated["arms"][1]["end_of_turn_rate"] = generated["arms"][2]["end_of_turn_rate"] = 0.9
    assert "token limit" not in conclusions.stopping(generated, "mine")
    said = conclusions.style(generated, "mine")
    assert "is 0.30, between the untrained model (0.60) and the person (0.20): 75% of the way." in said
    assert said.endswith("it is 0.50, further from the person.")
    generated["arms"][1]["style_distance"]["total"] = 0.7
    assert "no nearer than the untrained model" in conclusions.style(generated, "aligned")
    assert conclusions.style({"arms": arms[:1], "ceiling": None}, "mine") == "The tuned model wrote no replies."


def test_training_formats_and_claims():
    own = effect(-0.1, "better", seeds=3)
    said = "option B makes the true replies 11% more likely (−0.100 nats per token), over 3 seeds: option B is better."
    assert conclusions.training_formats({"own": own}).endswith(said)
    assert "FULL=1" in conclusions.training_formats(None)
    rows = [{"number": at, "verdict": verdict} for at, verdict in enumerate(("confirmed", "refuted", "refuted"))]
    said = "Of 3 statements, this run confirms 1, refutes 2 (numbers 1 and 2), confirms 0 in part, and cannot test 0."
    assert conclusions.claims(rows) == said


def test_loss_tokens_give_the_share_outside_the_reply_in_both_trainings():
    ours = {"prompt": 0, "reply": 8, "end_of_turn": 2, "after_end": 0, "padding": 0, "total": 10}
    stock = ours | {"after_end": 3, "padding": 2, "prompt": 5, "total": 20}
    said = conclusions.loss_tokens(ours, stock)
    assert "In stock mlx-lm, 50% of the loss" in said and "in this run, 0% is" in said
    assert "0% is" in conclusions.loss_tokens(dict.fromkeys(ours, 0), stock)


def test_stock_training_is_compared_on_replies_and_ends_of_turn():
    rows = [
        {"model": "this run", "reply": 2.0, "end_of_turn": 1.0},
        {"model": "stock mlx-lm", "reply": 2.1, "end_of_turn": 0.9},
    ]
    said = conclusions.stock([{"model": "base", "reply": 3.0, "end_of_turn": 4.0}, *rows])
    assert "the true replies 11% more likely (−0.100" in said and "ends of turn 10% less likely (+0.100" in said
    assert "STOCK=yes" in conclusions.stock([])


def test_the_end_of_the_turn_is_reported_where_it_was_measured():
    row = difference("tuned, aligned", "base, aligned, 4 examples", 0.1, "worse")
    row |= {"right": ["base", "aligned, 4 examples"], "end_of_turn": {"nats": -6.434, "verdict": "better"}}
    said = conclusions.against_examples(row)
    assert said.startswith("Compared with the base model that sees 4 examples in its prompt")
    assert said.endswith("examples beat training. The end of the turn: −6.434 nats, better.")
    assert conclusions.gain(row, "aligned").endswith("The end of the turn: −6.434 nats, better.")


def test_stock_training_is_compared_left_minus_right():
    rows = [
        {"model": name, "reply": nats, "end_of_turn": 1.0} for name, nats in (("this run", 3.0), ("stock mlx-lm", 3.2))
    ]
    said = conclusions.stock(rows)
    assert "the true replies 22% more likely (−0.200 nats per token), and their ends of turn equally likely" in said
    assert "STOCK=yes" in conclusions.stock([])


def test_loops_and_a_limit_too_short_for_the_person_are_reported_with_stopping():
    arms = [wrote("tuned", "aligned", 0.35, 0.3) | {"looping": 0.75, "too_long": 0.25}]
    said = conclusions.stopping({"arms": arms, "longest": 24, "ceiling": {"measures": {"looping": 0.0}}}, "mine")
    assert "It repeats itself in 75% of its replies (as in training); the person does in 0%." in said
    assert "The limit of 24 tokens would cut 25% of the person's own replies too" in said
    arms[0] |= {"looping": 0.05, "too_long": 0.0}
    said = conclusions.stopping({"arms": arms, "longest": 24}, "mine")
    assert "repeats itself" not in said and "person" not in said


def test_forgetting_and_repeated_messages_are_named():
    found = {"questions": 60, "models": [{"model": "base", "right": 0.5}, {"model": "tuned", "right": 0.3}]}
    found["differences"] = [{"model": "tuned", "verdict": "worse"}]
    said = conclusions.ability(found)
    assert "answers 30% of 60 short questions right, its base 50%: it has forgotten" in said and "rough check" in said
    found["differences"][0]["verdict"] = "not distinguishable"
    assert "no sign of forgetting" in conclusions.ability(found) and "not measured" in conclusions.ability(None)
    counts = [
        {"model": "base", "seen_count": 0, "unseen_count": 1},
        {"model": "tuned", "seen_count": 9, "unseen_count": 2},
    ]
    found = {"rows": 32, "other_rows": 20, "models": counts, "difference": {"verdict": "worse"}}
    said = conclusions.regurgitation(found)
    assert "completes 9 of 32" in said and "2 of 20" in said and "repeats private messages to whoever" in said
    found["difference"]["verdict"] = "not distinguishable"
    assert "no sign" in conclusions.regurgitation(found) and "not measured" in conclusions.regurgitation(None)
