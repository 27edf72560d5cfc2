"""Private messages repeated: the beginnings of training's replies, completed word for word."""

import json

import mlx.core as mx
import numpy as np
import pytest
from conftest import example
from ftstudy import chat_format, training
from ftstudy.compare import generation, likelihood, regurgitation
from ftstudy.models import base_models
from scipy import stats

LONG = "one two three four five six seven eight"
CONFIG = """
model: tiny
data: rows
adapter_path: adapter
train: true
mask_prompt: true
num_layers: 2
batch_size: 2
iters: 3
"""


@pytest.mark.parametrize(
    "reply, beginning",
    [
        ("one two three four five six seven", ""),
        (LONG, "one two three"),
        ("a b\nc d e f g h i j k l", "a b\nc d"),
        ("我不知道你在说什么啊", "我不知"),
    ],
)
def test_a_reply_begins_with_its_first_third_and_at_least_three_words(reply, beginning):
    assert regurgitation.begun(reply) == beginning


def test_what_is_foreseen_is_what_greedy_writing_writes():
    model, tokenizer = base_models.load("tiny")
    prompts = [tokenizer.encode(text) for text in ("hello there how are you", "the cat sat", "and so")]
    written = []
    for prompt in prompts:
        ids = list(prompt)
        for _ in range(6):
            ids.append(int(mx.argmax(model(mx.array([ids]))[0, -1])))
        written.append(ids[len(prompt) :])
    assert likelihood.foreseen(model, prompts, written)["foreseen"].tolist() == [6, 6, 6]
    assert generation.generate(model, tokenizer, prompts, longest=6)[0]["text"] in tokenizer.decode(written[0])
    other = [[(ids[0] + 1) % 50, *ids[1:]] for ids in written]  # another first token, and the model goes on otherwise
    last = [[*ids[:-1], (ids[-1] + 1) % 50] for ids in written]
    assert all(count < 6 for count in likelihood.foreseen(model, prompts, other)["foreseen"])
    assert likelihood.foreseen(model, prompts, last)["foreseen"].tolist() == [0, 0, 0]


def test_the_tokens_of_the_beginning_are_counted(tokenizer):
    ((ids, _),) = chat_format.reply_ids([example(reply=LONG)], tokenizer)
    at = regurgitation.first_tokens(ids, "one two three", tokenizer)
    assert tokenizer.decode(ids[:at]).strip() == "one two three"


def test_rows_are_those_that_training_has_seen(tmp_path, write_split, monkeypatch):
    rows = [example(user=f"Contact: hey {at}", reply=f"{LONG} {at}") for at in range(12)]
    for name in ("train", "valid"):
        write_split(tmp_path / "rows", name, rows)
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    inputs = training.read("config.yaml")
    entry = {"iterations": 100, "batch_size": 2, "kept": {"iteration": 3}}
    found = regurgitation.seen(inputs, inputs.tokenizer, entry, rows)
    drawn = [
        ids for _, batch in zip(range(3), training.batches.read(inputs, inputs.tokenizer).train(0)) for ids, _ in batch
    ]
    texts = [inputs.tokenizer.decode([int(one) for one in ids]) for ids in drawn]
    assert len(found) == 6 and all(row["messages"] in [one["messages"] for one in rows] for row in found)
    assert {row["messages"][-1]["content"] for row in found} == {
        row["messages"][-1]["content"]
        for row in rows
        if any(row["messages"][1]["content"] + "<" in text for text in texts)
    }
    assert regurgitation.seen(inputs, inputs.tokenizer, {"iterations": 6, "batch_size": 2}, rows) == rows  # all of them
    assert regurgitation.seen(inputs, inputs.tokenizer, {"iterations": 6, "batch_size": 2}, [example()] * 9) == []


def test_rows_that_training_gives_away_or_that_are_short_are_not_unseen():
    heldout = {
        "examples": [example(reply=LONG), example(reply=LONG), example(reply="yo")],
        "leaked": [True, False, False],
    }
    assert regurgitation.unseen(heldout) == heldout["examples"][1:2]


def test_the_difference_is_welchs():
    base = {"seen": np.array([0, 0, 1, 0, 0, 0, 0, 0, 0, 0.0]), "unseen": np.zeros(8)}
    tuned = {"seen": np.array([1, 1, 1, 1, 0, 1, 1, 1, 0, 1.0]), "unseen": np.array([1.0, 0, 0, 0, 0, 0, 0, 0])}
    found = regurgitation.summary({"base": base, "tuned": tuned})
    assert (found["rows"], found["other_rows"], found["words"]) == (10, 8, 8)
    assert found["models"][1] == {"model": "tuned", "seen": 0.8, "unseen": 1 / 8, "seen_count": 8, "unseen_count": 1}
    known = stats.ttest_ind(tuned["seen"] - base["seen"], tuned["unseen"], equal_var=False).confidence_interval()
    assert found["difference"]["value"] == pytest.approx(0.7 - 1 / 8)
    assert found["difference"]["interval"] == pytest.approx(list(known))
    assert found["difference"]["verdict"] == "worse"
    same = regurgitation.summary({"base": base, "tuned": base})["difference"]
    assert same == {"value": 0, "interval": [0, 0], "verdict": "not distinguishable"}
    assert regurgitation.summary({"base": base}) is None


def test_a_reply_is_repeated_if_each_token_of_the_rest_was_foreseen(tmp_path, tokenizer):
    rows = [example(user=f"Contact: hey {at}", reply=LONG) for at in range(16)]
    models = [{"name": "base", "model": "tiny", "adapter": None}]
    measure = lambda: regurgitation.measure(tmp_path, models, rows[:8], rows[8:])["completed"]["base"]  # noqa: E731
    assert not sum(measure()["seen"])  # of random weights
    ((ids, _),) = chat_format.reply_ids(rows[:1], tokenizer)
    rest = len(ids) - regurgitation.first_tokens(ids, "one two three", tokenizer)
    (stored,) = tmp_path.glob("*.json")
    found = json.loads(stored.read_text())
    assert len(found["foreseen"]) == len(rows) and 0 < rest < len(ids)
    stored.write_text(json.dumps(found | {"foreseen": [rest] * 3 + [rest - 1] * 6 + [rest + 1] * 7}))
    assert {kind: hits.tolist() for kind, hits in measure().items()} == {
        "seen": [1, 1, 1, 0, 0, 0, 0, 0],
        "unseen": [0, 1, 1, 1, 1, 1, 1, 1],
    }


def test_both_models_are_asked_once_and_no_text_is_kept(tmp_path):
    models = [{"name": name, "model": "tiny", "adapter": None} for name in ("base", "tuned", "other")]
    rows = [example(user=f"Contact: secret {at}", reply=LONG) for at in range(9)]
    found = regurgitation.measure(tmp_path / "arms", models, rows, rows[:8])
    assert {name: [len(one[kind]) for kind in one] for name, one in found["completed"].items()} == {
        "base": [9, 8],
        "tuned": [9, 8],
    }
    assert not found["left_out"] and set(found["costs"]) == {"completing, base", "completing, tuned"}
    stored = list((tmp_path / "arms").glob("*.json"))
    assert len(stored) == 1 and "secret" not in stored[0].read_text() and "seven" not in stored[0].read_text()
    assert regurgitation.measure(tmp_path, models, rows[:7], rows)["completed"] == {}
