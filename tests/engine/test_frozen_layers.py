"""Sharing what the layers below an adapter compute changes no number, only how often it is computed."""

import json
import os

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from conftest import example
from ftstudy import training
from ftstudy.compare import likelihood
from ftstudy.engine import cpu_math, frozen_layers, hidden_states, reply_logits
from ftstudy.engine.hidden_states import HiddenStates
from ftstudy.models import base_models
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers

from engine.test_reply_logits import GEMMA, LFM2, architecture, made_rows

LLAMA = {
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}
KINDS = {
    "llama": LLAMA,
    "qwen3": LLAMA | {"model_type": "qwen3", "head_dim": 8},
    "gemma2": GEMMA | {"num_hidden_layers": 4},
    "gemma3_text": GEMMA
    | {"model_type": "gemma3_text", "num_hidden_layers": 4, "sliding_window": 16, "sliding_window_pattern": 2},
    "lfm2": LFM2 | {"num_hidden_layers": 4},
    "qwen3_moe": LLAMA
    | {
        "model_type": "qwen3_moe",
        "head_dim": 8,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "moe_intermediate_size": 16,
        "norm_topk_prob": True,
    },
}
ADAPTER = {"rank": 4, "scale": 2.0, "dropout": 0.0}
EMPTY = np.zeros(0, dtype=np.int32)
ROWS = made_rows([5, 9, 14, 3, 11, 2], 24)


def adapted(model, layers, **changes):
    """The model with an adapter on its last layers that changes its answers, ready to be trained."""
    model.freeze()
    linear_to_lora_layers(model, layers, ADAPTER | changes)
    for _, module in model.named_modules():
        if "lora_b" in module:
            module.lora_b = mx.random.normal(module.lora_b.shape) * 0.1
    return model


def nats_of(model, prefix, frozen=None, rows=ROWS):
    groups = reply_logits.grouped(rows, len(prefix), frozen)
    found = reply_logits.nats_function(model, prefix, frozen=frozen)(model, groups)
    return np.concatenate([np.array(nats)[np.array(group[3]) > 0] for nats, group in zip(found, groups)])


def gradients_of(model, prefix, frozen=None):
    groups = reply_logits.grouped(ROWS, len(prefix), frozen)
    nats = reply_logits.nats_function(model, prefix, frozen=frozen)

    def loss(model):
        return sum((found * group[3]).sum() for found, group in zip(nats(model, groups), groups))

    return dict(tree_flatten(nn.value_and_grad(model, loss)(model)[1]))


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert mx.allclose(found[name], value, rtol=1e-4, atol=1e-4).item(), name


# --- the same numbers -------------------------------------------------------------------------


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_nats_and_gradients_equal_the_plain_path(kind, cores, monkeypatch):
    monkeypatch.setattr(reply_logits, "parallel", lambda: cores)
    model = adapted(architecture(KINDS[kind]), 2)
    prefix = reply_logits.shared_prefix(model, ROWS, 64)
    assert len(prefix) == (0 if kind == "gemma3_text" else 24)  # its sliding windows keep no prefix
    shared = HiddenStates(layers=4)
    frozen = frozen_layers.below(model, shared, ROWS, prefix, trained=True)
    for again in (0, 1):
        assert nats_of(model, prefix, frozen) == pytest.approx(nats_of(model, prefix), abs=1e-4)
        assert_same(gradients_of(model, prefix, frozen), gradients_of(model, prefix))
        assert (shared.computed, shared.found) == (6, 6 + 12 * again)


def test_half_precision_and_quantized_layers_are_kept_as_they_are():
    for dtype in (mx.bfloat16, mx.float16):
        model = architecture(LLAMA)
        model.set_dtype(dtype)
        nn.quantize(model, group_size=32, bits=4)
        shared = HiddenStates(layers=3)
        frozen = frozen_layers.below(model, shared, ROWS, EMPTY)
        assert nats_of(model, EMPTY, frozen) == pytest.approx(nats_of(model, EMPTY), abs=1e-4)
        assert shared.in_memory == sum(int(steps[-1]) for _, steps in ROWS) * 32 * 2  # bytes of a half


def test_rows_are_found_again_under_another_prefix_and_with_other_ends():
    model, shared = architecture(LLAMA), HiddenStates(layers=2)
    long, short = ROWS[0][0][:24], ROWS[0][0][:10]
    longer_rows = [(np.append(ids, 7), steps) for ids, steps in ROWS]
    for prefix, rows, computed in ((short, ROWS, 6), (long, ROWS, 6), (long, longer_rows, 6), (EMPTY, ROWS, 12)):
        frozen = frozen_layers.below(model, shared, ROWS, prefix)
        assert nats_of(model, prefix, frozen, rows) == pytest.approx(nats_of(model, EMPTY), abs=1e-4)
        assert shared.computed == computed


def test_a_base_model_and_its_adapters_share(tmp_path):
    base, random = architecture(LLAMA), np.random.default_rng(0)
    prompts = [random.integers(3, 60, size).tolist() for size in (30, 9, 12, 21, 30)]
    targets = [(random.integers(3, 60, size).tolist(), [2]) for size in (1, 4, 2, 8, 3)]
    with HiddenStates(layers=2) as shared:
        for model in (base, adapted(architecture(LLAMA), 2), adapted(architecture(LLAMA), 1)):
            model.eval()
            plain = likelihood.score(model, prompts, targets)
            found = likelihood.score(model, prompts, targets, shared=shared)
            assert found["reply"] == pytest.approx(plain["reply"], abs=1e-4)
            assert found["end"] == pytest.approx(plain["end"], abs=1e-4)
            replies = [reply for reply, _ in targets]
            plain = likelihood.foreseen(model, prompts, replies)["foreseen"]
            assert (likelihood.foreseen(model, prompts, replies, shared=shared)["foreseen"] == plain).all()
        # Without the end of the turn a row ends one token earlier, so it counts as another one.
        assert (shared.computed, shared.found) == (10, 20)


def test_a_store_never_mixes_models():
    def quantized(model):
        nn.quantize(model, group_size=32, bits=8)
        return model

    def changed(model):
        model.model.layers[0].mlp.up_proj.weight *= 1.5
        return model

    shared = HiddenStates(layers=2)
    models = [
        architecture(LLAMA),
        changed(architecture(LLAMA)),
        quantized(architecture(LLAMA)),
        architecture(LLAMA | {"rope_theta": 100.0}),
    ]
    for at, model in enumerate(models):
        frozen = frozen_layers.below(model, shared, ROWS, EMPTY)
        assert nats_of(model, EMPTY, frozen) == pytest.approx(nats_of(model, EMPTY), abs=1e-4)
        assert shared.computed == 6 * (at + 1)
    shared.layers = 1  # the same model, cut elsewhere
    frozen = frozen_layers.below(models[0], shared, ROWS, EMPTY)
    assert nats_of(models[0], EMPTY, frozen) == pytest.approx(nats_of(models[0], EMPTY), abs=1e-4)


# --- where there is nothing to share ------------------------------------------------------------


def test_layers_count_up_to_the_first_that_is_trained_or_adapted():
    assert frozen_layers.count(architecture(LLAMA)) == 4
    assert frozen_layers.count(architecture(LLAMA), trained=True) == 0
    assert frozen_layers.count(adapted(architecture(LLAMA), 1)) == 3
    assert frozen_layers.count(adapted(architecture(LLAMA), 3), trained=True) == 1
    assert frozen_layers.count(adapted(architecture(LLAMA), 4)) == 0
    keys = ["self_attn.q_proj", "model.embed_tokens"]
    assert frozen_layers.count(adapted(architecture(LLAMA), 1, keys=keys)) == 0
    model = adapted(architecture(LLAMA), 1)
    model.model.embed_tokens.unfreeze()
    assert frozen_layers.count(model) == 3 and frozen_layers.count(model, trained=True) == 0
    model = architecture(LLAMA)
    model.freeze()
    model.layers[2].mlp.unfreeze()
    assert frozen_layers.count(model, trained=True) == 2
    model = adapted(architecture(LLAMA), 1)
    model.layers[1].dropout = nn.Dropout(0.1)
    assert frozen_layers.count(model, trained=True) == 1


class Pairs(nn.Module):
    """A layer that returns more than the hidden states."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def __call__(self, x, *more, **named):
        return (self.layer(x[0] if isinstance(x, tuple) else x, *more, **named),)


class Twice(nn.Module):
    """A model that runs through its layers twice, so that a layer has two outputs for a row."""

    def __init__(self, model):
        super().__init__()
        self.once = model

    @property
    def layers(self):
        return self.once.layers

    def __call__(self, inputs, cache=None):
        hidden = self.once.model.embed_tokens(inputs)
        for layer in [*self.layers, *self.layers]:
            hidden = layer(hidden, "causal")
        return self.once.model.embed_tokens.as_linear(hidden)


def test_where_the_paths_differ_nothing_is_shared():
    shared, model = HiddenStates(layers=2), architecture(LLAMA)
    for layers in (0, -1):
        assert frozen_layers.below(model, HiddenStates(layers), ROWS, EMPTY) is None
    assert frozen_layers.below(model, shared, [], EMPTY) is None
    assert frozen_layers.below(adapted(architecture(LLAMA), 4), shared, ROWS, EMPTY) is None
    model.model.layers = [Pairs(layer) for layer in model.layers]
    assert frozen_layers.below(model, shared, ROWS, EMPTY) is None
    model = Twice(architecture(LLAMA))
    assert np.isfinite(np.array(model(mx.array([[1, 2, 3]])))).all()
    assert frozen_layers.below(model, shared, ROWS, EMPTY) is None
    broken = architecture(LLAMA)
    broken.model.layers[3].mlp.up_proj.weight *= float("nan")
    assert frozen_layers.below(broken, shared, ROWS, EMPTY) is None
    assert shared.computed == shared.in_memory == 0


def test_trying_it_leaves_the_model_and_the_random_numbers_as_they_were():
    model = adapted(architecture(LLAMA), 2, dropout=0.5)
    model.layers[0].eval()
    modes, kinds = [module.training for module in model.modules()], [type(layer) for layer in model.layers]
    assert True in modes and False in modes
    before = mx.random.state[0].tolist()
    frozen = frozen_layers.below(model, HiddenStates(2), ROWS, EMPTY, trained=True)
    reply_logits.grouped(ROWS, 0, frozen)
    assert mx.random.state[0].tolist() == before
    assert [module.training for module in model.modules()] == modes
    assert [type(layer) for layer in model.layers] == kinds


# --- the store ----------------------------------------------------------------------------------


def states(number):
    return np.full((10, 32), number, np.float32)


def test_states_go_to_memory_first_then_to_disk_and_then_nowhere(tmp_path):
    size = states(0).nbytes
    with HiddenStates(2, tmp_path / "arms", memory=2 * size, disk=3 * size + 1) as shared:
        for number in range(8):
            shared.put(number, 5, states(number))
        assert (shared.in_memory, shared.on_disk) == (2 * size, 3 * size)
        for number in range(5):
            assert (shared.get(number, 5) == states(number)).all()
            assert (shared.get(number, 7) == states(number)[2:]).all()
            assert shared.get(number, 4) is None
        assert all(shared.get(number, 5) is None for number in (5, 6, 7, "unknown"))
        shared.put(0, 3, states(9))
        assert shared.in_memory == 2 * size and (shared.get(0, 5) == states(9)[2:]).all()


def test_no_one_else_can_open_what_is_on_disk_and_nothing_is_left(tmp_path):
    with HiddenStates(2, tmp_path / "arms", memory=0, disk=1_000_000) as shared:
        shared.put("row", 0, states(1))
        assert shared.on_disk == states(1).nbytes
        assert [path.name for path in (tmp_path / "arms").iterdir()] == [".gitignore"]
        assert os.stat(shared._file.fileno()).st_nlink == 0  # gone even after a kill
        assert os.stat(shared._file.fileno()).st_mode & 0o077 == 0
    assert shared.get("row", 0) is None
    shared.put("row", 0, states(1))
    assert shared.get("row", 0) is None and shared.in_memory == shared.on_disk == 0


def test_states_on_a_disk_that_is_full_are_computed_again(tmp_path):
    model = architecture(LLAMA)
    with HiddenStates(2, tmp_path, memory=0, disk=1_000_000) as shared:
        shared._file.close()
        shared._file = open("/dev/full", "wb")
        frozen = frozen_layers.below(model, shared, ROWS, EMPTY)
        for _ in range(2):
            assert nats_of(model, EMPTY, frozen) == pytest.approx(nats_of(model, EMPTY), abs=1e-4)
        assert (shared.computed, shared.found, shared.on_disk) == (12, 0, 0)


def test_by_default_a_quarter_of_what_is_free(tmp_path):
    shared = HiddenStates(2)
    assert 0 < shared.memory < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    assert shared.disk == 0
    with HiddenStates(2, tmp_path) as shared:
        assert shared.disk > 0
    assert hidden_states.SHARE == 4


# --- training -----------------------------------------------------------------------------------

CONVERSATIONS = [example(user=f"Contact: hey {number}", reply="yo " * (number % 5 + 1)) for number in range(9)]


@pytest.fixture
def train(tmp_path, write_split):
    """Train the tiny model, of two layers; returns the curve and the adapter's tensors."""

    def run(name, shared=None, **settings):
        for split in ("train", "valid", "test"):
            write_split(tmp_path / "data", split, CONVERSATIONS)
        config = {"model": "tiny", "mask_prompt": True, "num_layers": 1, "batch_size": 2, "iters": 6, "val_batches": 2}
        config |= {"data": f"{tmp_path}/data", "adapter_path": f"{tmp_path}/{name}", "learning_rate": 1.0e-2}
        config |= {"steps_per_report": 2, "steps_per_eval": 3, **settings}
        path = tmp_path / f"{name}.yaml"
        path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in config.items()))
        result = training.train(training.read(path), tmp_path / "metrics.jsonl", shared=shared)
        return result["curve"], mx.load(f"{tmp_path}/{name}/adapters.safetensors")

    return run


SETTINGS = {
    "study": {"ftstudy": {"train_on": "last"}},
    "stock": {},
    "dropout": {"lora_parameters": ADAPTER | {"dropout": 0.3}, "ftstudy": {"train_on": "last"}},
    "dora": {"fine_tune_type": "dora"},
    "full": {"fine_tune_type": "full", "lora_parameters": None},
    "checkpointed": {"grad_checkpoint": True, "ftstudy": {"train_on": "last"}},
    "accumulated": {"grad_accumulation_steps": 2},
    "all layers": {"num_layers": -1},
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", SETTINGS)
def test_a_training_ends_with_the_same_weights(kind, compiled, train, monkeypatch):
    if compiled:
        monkeypatch.setattr(cpu_math, "applies", lambda: False)
    curve, tensors = train("plain", **SETTINGS[kind])
    with HiddenStates(layers=1) as shared:
        computed = []
        for name in ("first", "second"):
            found = train(name, shared, **SETTINGS[kind])
            computed.append(shared.computed)
            assert [row.keys() for row in found[0]] == [row.keys() for row in curve]
            for one, other in zip(found[0], curve):
                assert one == pytest.approx(other, abs=1e-4)
            assert_same(found[1], tensors)
        assert computed[0] == computed[1]
        assert (computed[0] == 0) == (kind == "all layers")
        assert (shared.found == 0) == (kind == "all layers")


def test_layers_that_several_runs_can_share(tmp_path, write_split):
    def run(layers):
        write_split(tmp_path / "data", "train", CONVERSATIONS)
        path = tmp_path / f"{layers}.yaml"
        path.write_text(f"model: tiny\ndata: {tmp_path}/data\nnum_layers: {layers}\n")
        return training.read(path)

    assert len(base_models.load("tiny")[0].layers) == 2
    assert training.layers_to_share([run(1)]) == training.layers_to_share([run(1), run(-1), run(2)]) == 1
    assert training.layers_to_share([run(2)]) == training.layers_to_share([run(-1)]) == 0
    assert training.layers_to_share([]) == 0
