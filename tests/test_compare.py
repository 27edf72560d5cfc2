"""Scores, intervals and replies."""

import mlx.core as mx
import numpy as np
import pytest
from conftest import example

from ftstudy import base_models, chat_format, compare

ROWS = [example(user=f"Contact: hey {number}", reply="yo" + " there" * (number % 4)) for number in range(10)]
PROFILE = {"kind": "messages"}


def test_scores_are_those_of_scoring_one_by_one():
    model, tokenizer = base_models.load("tiny")
    for profile in (PROFILE, chat_format.load_profile("historical", "Sam")):
        scores = compare.score(model, tokenizer, ROWS, profile, list(range(10)), batch_size=4)
        for at, row in enumerate(ROWS):
            prompt = chat_format.prompt_ids(row, tokenizer, profile)
            reply, end = chat_format.reply_ids(row, tokenizer)
            ids = mx.array([prompt + reply + end])
            logits = model(ids[:, :-1])[0].astype(mx.float32)
            losses = np.array(mx.logsumexp(logits, -1) - mx.take_along_axis(logits, ids[0, 1:, None], -1)[:, 0])[
                len(prompt) - 1 :
            ]
            assert scores["tokens"][at] == len(reply)
            assert scores["reply"][at] == pytest.approx(losses[: len(reply)].sum(), abs=1e-4)
            assert scores["end"][at] == pytest.approx(losses[-1], abs=1e-4)


def scores(values):
    return {"reply": np.array(values, float), "tokens": np.full(len(values), 2), "end": np.full(len(values), np.nan)}


def test_an_arms_mean_is_per_token_and_its_interval_holds_it():
    made = compare.arm("base", "aligned", scores([2, 4, 6, 8]), ["a", "a", "b", "c"])
    assert made["nats_per_reply_token"] == 2.5
    assert made["interval"][0] < 2.5 < made["interval"][1]
    assert (made["replies"], made["conversations"], made["reply_tokens"]) == (4, 3, 8)
    assert made["nats_per_end_of_turn"] is None


def test_verdicts():
    names = [str(at) for at in range(40)]
    noise = np.random.default_rng(0).normal(0, 1, 40)
    arms = {
        ("tuned", "x"): scores(noise + 4),
        ("base", "x"): scores(noise + 6),
        ("other", "x"): scores(noise[::-1] + 4),
    }
    verdict = lambda left, right: compare.difference((left, "x"), (right, "x"), arms, names)["verdict"]  # noqa: E731
    assert verdict("tuned", "base") == "better"
    assert verdict("base", "tuned") == "worse"
    assert verdict("tuned", "tuned") == "not distinguishable"
    assert verdict("tuned", "other") == "not distinguishable"


def test_the_bootstrap_resamples_conversations_not_replies():
    values = scores([1] * 50 + [9] * 50)
    together = compare.arm("m", "f", values, ["a"] * 50 + ["b"] * 50)["interval"]
    apart = compare.arm("m", "f", values, [str(at) for at in range(100)])["interval"]
    assert together[1] - together[0] > 3 * (apart[1] - apart[0])


def test_held_out_rows_are_spread_over_the_split():
    _, conversations, rows = compare.held_out(list(range(100)), [str(at // 10) for at in range(100)], 10)
    assert rows[0] == 0 and rows[-1] == 99 and len(set(conversations)) == 10
    assert compare.held_out([1, 2], ["a", "b"], 50)[2] == [0, 1]


def test_replies_end_or_are_said_to_be_cut():
    model, tokenizer = base_models.load("tiny")
    replies = compare.replies(model, tokenizer, ROWS[:3], PROFILE, [0, 1, 2], max_tokens=5)
    assert len(replies) == 3
    assert all(isinstance(reply["text"], str) and isinstance(reply["stopped"], bool) for reply in replies)
