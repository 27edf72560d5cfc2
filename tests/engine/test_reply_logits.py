"""Selected logits, shared prefixes and parallel rows give the same numbers as the full computation."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from conftest import example
from ftstudy.engine import blas, reply_logits
from ftstudy.models import base_models
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm import utils
from mlx_lm.tuner import datasets, trainer
from mlx_lm.tuner.utils import linear_to_lora_layers

ROWS = [example(user=f"Contact: hey {number}", reply="yo " * (number % 5 + 1)) for number in range(12)]
LFM2 = {
    "model_type": "lfm2",
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "norm_eps": 1e-5,
    "conv_bias": False,
    "conv_L_cache": 3,
    "block_dim": 32,
    "block_ff_dim": 48,
    "block_multiple_of": 8,
    "block_ffn_dim_multiplier": 1.0,
    "block_auto_adjust_ff_dim": False,
    "full_attn_idxs": [1],
    "rope_theta": 10000.0,
}
GEMMA = {
    "model_type": "gemma2",
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "head_dim": 8,
    "rms_norm_eps": 1e-5,
    "num_key_value_heads": 2,
}


def architecture(config: dict):
    mx.random.seed(0)
    made, arguments = utils._get_classes(config)
    model = made(arguments.from_dict(config))
    mx.eval(model.parameters())
    return model


MODELS = {
    "llama": lambda: base_models.load("tiny")[0],
    "lfm2": lambda: architecture(LFM2),
    "gemma2": lambda: architecture(GEMMA),
}


def plainly(model, rows):
    """Nats of every selected token, row by row, from all logits."""
    found = []
    for ids, steps in rows:
        losses = nn.losses.cross_entropy(model(mx.array(ids[None, :-1])), mx.array(ids[None, 1:]))
        found += np.array(losses)[0][steps - 1].tolist()
    return sorted(found)


def ours(model, rows, prefix):
    groups = reply_logits.grouped(rows, len(prefix))
    nats = reply_logits.nats_function(model, prefix)(model, groups)
    return sorted(value for found, group in zip(nats, groups) for value in np.array(found)[np.array(group[3]) > 0])


def made_rows(lengths, shared, seed=0):
    random = np.random.default_rng(seed)
    beginning = random.integers(1, 60, shared)
    return [
        (
            np.concatenate([beginning, random.integers(1, 60, length + 2)]).astype(np.int32),
            np.arange(shared + 1 + length // 2, shared + length + 2),
        )
        for length in lengths
    ]


@pytest.mark.parametrize("kind", MODELS)
@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=7), st.integers(0, 20), st.integers(0, 3))
def test_likelihoods_equal_the_full_computation(kind, lengths, shared, seed):
    model = MODELS[kind]()
    rows = made_rows(lengths, shared, seed)
    assert ours(model, rows, np.zeros(0, dtype=np.int32)) == pytest.approx(plainly(model, rows), abs=1e-4)
    prefix = reply_logits.shared_prefix(model, rows, 64)
    assert ours(model, rows, prefix) == pytest.approx(plainly(model, rows), abs=1e-4)


def test_compiled_steps_use_few_different_lengths(monkeypatch):
    monkeypatch.setattr(reply_logits.cpu_math, "applies", lambda: False)
    model = MODELS["llama"]()
    rows = made_rows([5, 9, 14, 3], 12)
    groups = reply_logits.grouped(rows)
    assert len(groups) == 1 and groups[0][0].shape[1] % reply_logits.LENGTH == 0
    for prefix in (np.zeros(0, dtype=np.int32), reply_logits.shared_prefix(model, rows, 64)):
        assert ours(model, rows, prefix) == pytest.approx(plainly(model, rows), abs=1e-4)


@pytest.mark.parametrize("kind", MODELS)
def test_gradients_equal_the_full_computation(kind):
    model = MODELS[kind]()
    model.freeze()
    linear_to_lora_layers(model, 2, {"rank": 4, "scale": 2.0, "dropout": 0.0})
    for name, module in model.named_modules():
        if "lora_b" in module:
            module.lora_b = mx.random.normal(module.lora_b.shape) * 0.1
    rows = made_rows([5, 9, 14, 3], 12)
    prefix = reply_logits.shared_prefix(model, rows, 64)
    assert len(prefix) >= 8
    nats = reply_logits.nats_function(model, prefix)
    groups = reply_logits.grouped(rows, len(prefix))

    def short(model):
        return sum((found * group[3]).sum() for found, group in zip(nats(model, groups), groups))

    def plain(model):
        total = 0
        for ids, steps in rows:
            losses = nn.losses.cross_entropy(model(mx.array(ids[None, :-1])), mx.array(ids[None, 1:]))
            total = total + losses[0][mx.array(steps - 1)].sum()
        return total

    from mlx.utils import tree_flatten

    found, wanted = (dict(tree_flatten(nn.value_and_grad(model, loss)(model)[1])) for loss in (short, plain))
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert mx.allclose(found[name], value, rtol=1e-3, atol=1e-3).item(), name


def test_the_shared_prefix_ends_before_the_first_selected_token():
    model = MODELS["llama"]()
    rows = made_rows([4, 4], 20)
    assert len(reply_logits.shared_prefix(model, rows, 8)) == 20
    assert len(reply_logits.shared_prefix(model, rows, 2)) == 0  # too few to be worth it
    early = [(ids, np.arange(10, len(ids))) for ids, _ in rows]
    assert len(reply_logits.shared_prefix(model, early, 64)) == 9
    assert len(reply_logits.shared_prefix(model, [], 64)) == 0


def test_every_row_is_in_one_part_and_parts_have_similar_size(monkeypatch):
    rows = made_rows([3, 50, 9, 4, 30, 12, 11], 0)
    for cores in (1, 2, 3, 7, 16):
        monkeypatch.setattr(reply_logits, "parallel", lambda cores=cores: cores)
        groups = reply_logits.grouped(rows)
        assert sum(len(group[0]) for group in groups) == 7 and len(groups) <= cores
        assert sum(int(group[3].sum()) for group in groups) == sum(len(steps) for _, steps in rows)


@pytest.mark.parametrize("mask_prompt", [True, False])
def test_the_loss_equals_mlx_lms(mask_prompt, tokenizer):
    from ftstudy.training import batches, loss

    model, _ = base_models.load("tiny")
    dataset = datasets.ChatDataset(ROWS, tokenizer, mask_prompt=mask_prompt)
    theirs = [
        trainer.default_loss(model, *batch)
        for batch in trainer.iterate_batches(datasets.CacheDataset(dataset), 4, 64, seed=0)
    ]
    loss_of = loss.loss_function(reply_logits.nats_function(model, np.zeros(0, dtype=np.int32)))
    drawn = batches.stock(dataset, 4, 64, seed=0)
    for their_mean, their_tokens in theirs:
        arguments, _ = loss.arrange(next(drawn), 0)
        mean, tokens = loss_of(model, *arguments)
        assert tokens.item() == their_tokens.item()
        assert mean.item() == pytest.approx(their_mean.item(), abs=1e-5)


def test_a_model_that_caps_its_logits_computes_all_of_them():
    assert reply_logits.logits_function(MODELS["llama"]()) is reply_logits._selected
    assert reply_logits.logits_function(MODELS["gemma2"]()) is reply_logits._all


def test_threads_are_shared_and_restored(monkeypatch):
    before = blas.describe()["threads"]
    with blas.share_threads(2):
        assert blas.describe()["threads"] in (None, max(1, (before or 1) // 2))
    assert blas.describe()["threads"] == before
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    assert blas.threads() == 3
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "many")
    assert blas.threads() == blas.usable_cores()
