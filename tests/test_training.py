"""A real mlx-lm run on the tiny model, and what it leaves behind."""

import json

import mlx.core as mx
import numpy as np
import pytest
from conftest import example
from mlx_lm.tuner import datasets, trainer

from ftstudy import audit, base_models, chat_format, configs, reply_logits, training
from ftstudy.errors import StudyError

ROWS = [example(user=f"Contact: hey {number}", reply="yo " * (number % 5 + 1)) for number in range(12)]


@pytest.fixture
def config(tmp_path, write_split):
    for name in ("train", "valid", "test"):
        write_split(tmp_path / "data", name, ROWS)
    path = tmp_path / "tiny.yaml"
    path.write_text(
        f"model: tiny\ndata: {tmp_path}/data\nadapter_path: {tmp_path}/adapter\ntrain: true\nmask_prompt: true\n"
        "num_layers: 2\nbatch_size: 2\niters: 6\nlearning_rate: 1.0e-02\nsteps_per_report: 2\nsteps_per_eval: 3\nval_batches: 2\n"
    )
    return configs.load(path)


def test_a_run_learns_and_its_adapter_loads(config, tmp_path):
    result = training.train(config, tmp_path / "metrics.jsonl")
    losses = [row["train_loss"] for row in result["curve"] if "train_loss" in row]
    assert losses[-1] < losses[0]
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == result["curve"]
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapters.safetensors",
    ]
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["adapter_path"].endswith("adapter")
    base, tokenizer = base_models.load("tiny")
    tuned, _ = base_models.load("tiny", tmp_path / "adapter")
    ids = mx.array([tokenizer.encode("hey you")])
    assert not mx.allclose(base(ids), tuned(ids)).item()


def test_the_same_seed_gives_the_same_curve(config, tmp_path):
    first = training.train(config, tmp_path / "a.jsonl")["curve"]
    assert training.train(config, tmp_path / "b.jsonl")["curve"] == first


def test_a_run_that_fails_leaves_the_adapter_that_was_there(config, tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "mine").write_text("keep")
    (tmp_path / "data" / "train.jsonl").write_text("")
    with pytest.raises(StudyError, match="audit"):
        training.train(config, tmp_path / "metrics.jsonl")
    assert (tmp_path / "adapter" / "mine").read_text() == "keep"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_without_data_the_error_names_the_folder(config, tmp_path):
    with pytest.raises(StudyError, match="nowhere"):
        training.train(config | {"data": str(tmp_path / "nowhere")}, tmp_path / "metrics.jsonl")


def test_a_loss_that_is_not_a_number_keeps_no_adapter(config, tmp_path):
    with pytest.raises(StudyError, match="not a number"):
        training.train(config | {"learning_rate": 1e30, "iters": 8}, tmp_path / "metrics.jsonl")
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize("mask_prompt", [True, False])
def test_our_way_to_the_loss_is_mlx_lms_loss(mask_prompt, tokenizer):
    model, _ = base_models.load("tiny")
    dataset = datasets.CacheDataset(datasets.ChatDataset(ROWS, tokenizer, mask_prompt=mask_prompt))
    np.random.seed(0)
    theirs = [trainer.default_loss(model, *batch) for batch in trainer.iterate_batches(dataset, 4, 64)]
    np.random.seed(0)
    loss = reply_logits.make_loss(model)
    ours = [loss(model, *batch) for batch in reply_logits.iterate_batches(dataset, 4, 64)]
    assert len(ours) == 3
    for (mean, tokens), (their_mean, their_tokens) in zip(ours, theirs):
        assert tokens.item() == their_tokens.item()
        assert mean.item() == pytest.approx(their_mean.item(), abs=1e-5)


def test_a_model_that_scales_its_logits_takes_the_whole_way(tokenizer):
    model, _ = base_models.load("tiny")
    assert reply_logits.logits_function(model) is reply_logits._short

    class Capped:
        """A model that caps its logits behind the product with the vocabulary."""

        def __init__(self, inner):
            self.inner, self.model, self.lm_head = inner, inner.model, inner.lm_head

        def __call__(self, ids):
            return 0.01 * mx.tanh(self.inner(ids) / 0.01)

    assert reply_logits.logits_function(Capped(model)) is reply_logits._whole


def test_loss_tokens_are_counted_as_the_trainer_masks_them(tokenizer):
    rows = ROWS[:4]
    config = {"batch_size": 4, "max_seq_length": 512}
    dataset = datasets.ChatDataset(rows, tokenizer, mask_prompt=True)
    counts = training.loss_tokens(dataset, tokenizer, config)
    replies = sum(len(chat_format.reply_ids(row, tokenizer)[0]) for row in rows)
    # one end token and one line break a row; one padding token behind each row
    own = sum(len(chat_format.training_ids(row, tokenizer)[0]) for row in rows)
    assert counts.pop("masked_share") == pytest.approx(1 - (replies + 8) / own)
    assert counts == {
        "prompt": 0,
        "reply": replies,
        "end_of_turn": 4,
        "after_end": 4,
        "padding": 4,
        "total": replies + 12,
        "rows": 4,
    }
    batch, lengths = next(trainer.iterate_batches([dataset.process(row) for row in rows], 4, 512))
    model, _ = base_models.load("tiny")
    assert trainer.default_loss(model, batch, lengths)[1].item() == counts["total"]


def test_without_mask_prompt_nearly_all_loss_is_on_the_prompt(tokenizer):
    counts = training.loss_tokens(
        datasets.ChatDataset(ROWS, tokenizer), tokenizer, {"batch_size": 4, "max_seq_length": 512}
    )
    assert counts["prompt"] / counts["total"] > 0.7


def test_results_are_kept_one_entry_a_config(tmp_path):
    training.record(tmp_path, {"name": "a", "x": 1})
    training.record(tmp_path, {"name": "b", "x": 2})
    training.record(tmp_path, {"name": "a", "x": 3})
    assert training.recorded(tmp_path, "a")["x"] == 3 and training.recorded(tmp_path, "b")["x"] == 2
    with pytest.raises(StudyError, match="c"):
        training.recorded(tmp_path, "c")


def test_a_run_that_the_audit_finds_an_error_in_does_not_begin_unless_it_is_forced(config, tmp_path):
    path = tmp_path / "tiny.yaml"
    assert training.admit(audit.read(path)) == []
    rows = [example(user=f"Contact: hey {number}", reply="Sam: yo") for number in range(12)]
    (tmp_path / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(StudyError, match="data.speaker_tag.*FORCE=1"):
        training.admit(audit.read(path))
    assert training.admit(audit.read(path), force=True) == ["data.speaker_tag"]


def test_an_older_adapter_keeps_no_new_run_from_beginning(config, tmp_path):
    training.train(config, tmp_path / "metrics.jsonl")
    (tmp_path / "adapter" / "adapters.safetensors").write_bytes(b"")
    assert training.admit(audit.read(tmp_path / "tiny.yaml")) == []


def test_what_else_lies_in_the_adapters_folder_stays(config, tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "mine").write_text("keep")
    training.train(config, tmp_path / "metrics.jsonl")
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapters.safetensors",
        "mine",
    ]
