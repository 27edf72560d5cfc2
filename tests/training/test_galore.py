"""GaLore against the paper's algorithm, against Adam, compiled, stored, and in mlx-lm's trainer."""

import json

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optimizers
import numpy as np
import pytest
from conftest import example, refused
from ftstudy.models import base_models
from ftstudy.training import galore
from ftstudy.training.galore import GaLore
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.tuner import datasets, trainer
from mlx_lm.tuner.callbacks import TrainingCallback

SHAPES = {"wide": (6, 10), "tall": (9, 5), "square": (7, 7), "thin": (3, 20), "row": (8,), "cube": (8, 6, 6)}


def arrays(seed):
    random = np.random.default_rng(seed)
    return {name: mx.array(random.normal(size=shape).astype(np.float32)) for name, shape in SHAPES.items()}


def steps(optimizer, count=5):
    """The parameters after some updates with the same made-up gradients."""
    parameters = arrays(0)
    for number in range(count):
        parameters = optimizer.apply_gradients(arrays(number + 1), parameters)
    return {name: np.array(value) for name, value in parameters.items()}


@pytest.mark.parametrize("bias_correction", [True, False])
@pytest.mark.parametrize("rate", [0.1, optimizers.linear_schedule(0.1, 0.01, 4)], ids=["number", "schedule"])
def test_a_full_rank_step_equals_adams(bias_correction, rate):
    options = {"betas": (0.8, 0.95), "eps": 1e-6, "bias_correction": bias_correction}
    ours = steps(GaLore(rate, rank=7, update_every=2, scale=0.25, **options))
    adams = steps(optimizers.Adam(rate, **options))
    for name, value in adams.items():
        np.testing.assert_allclose(ours[name], value, atol=1e-5)
    lower = steps(GaLore(rate, rank=4, update_every=2, scale=0.25, **options))
    projected = {name for name in adams if not np.allclose(lower[name], adams[name], atol=1e-3)}
    assert projected == {"wide", "tall", "square"}


def test_weight_decay_equals_adamws():
    options = {"betas": (0.9, 0.999), "weight_decay": 0.1, "bias_correction": True}
    ours, theirs = steps(GaLore(0.1, rank=7, **options)), steps(optimizers.AdamW(0.1, **options))
    assert all(np.allclose(ours[name], theirs[name], atol=1e-6) for name in theirs)
    # a step that moves nothing leaves the decay alone, on the whole weight
    still = steps(GaLore(0.1, rank=4, scale=0.0, **options))
    np.testing.assert_allclose(still["wide"], np.array(arrays(0)["wide"]) * 0.99**5, rtol=1e-5)


@pytest.mark.parametrize("name", ["wide", "tall", "square"])
def test_steps_follow_the_papers_algorithm(name):
    rank, every, scale, rate, b1, b2, eps = 3, 2, 0.25, 0.1, 0.9, 0.999, 1e-8
    weight = np.array(arrays(0)[name], np.float64)
    turned = weight.shape[0] > weight.shape[1]
    weight = weight.T if turned else weight
    m = v = 0
    for t in range(5):
        gradient = np.array(arrays(t + 1)[name], np.float64)
        gradient = gradient.T if turned else gradient
        if t % every == 0:
            u, _, vt = np.linalg.svd(gradient, full_matrices=False)
            p = u[:, :rank]
            # the moments outlive a projector, so its signs matter: ours are the other side's
            side = p if turned else vt[:rank].T
            p = p * np.sign(side[np.abs(side).argmax(axis=0), range(rank)])
        r = p.T @ gradient
        m, v = b1 * m + (1 - b1) * r, b2 * v + (1 - b2) * r**2
        n = m / (1 - b1 ** (t + 1)) / (np.sqrt(v / (1 - b2 ** (t + 1))) + eps)
        weight = weight - rate * scale * p @ n
    ours = steps(GaLore(rate, rank, every, scale, (b1, b2), eps))[name]
    np.testing.assert_allclose(ours, weight.T if turned else weight, atol=1e-5)


def test_the_state_has_the_low_rank():
    optimizer = GaLore(0.1, rank=4)
    optimizer.init(arrays(0))
    shapes = {
        name: {key: value.shape for key, value in optimizer.state[name].items()} for name in ("wide", "tall", "square")
    }
    assert shapes == {
        "wide": {"projector": (6, 4), "m": (4, 10), "v": (4, 10)},
        "tall": {"projector": (5, 4), "m": (9, 4), "v": (9, 4)},
        "square": {"projector": (7, 4), "m": (4, 7), "v": (4, 7)},
    }
    for name in ("thin", "row", "cube"):
        assert {key: value.shape for key, value in optimizer.state[name].items()} == dict.fromkeys("mv", SHAPES[name])


@pytest.mark.parametrize("shape", [(60, 90), (90, 60), (60, 60)])
def test_directions_of_small_singular_values_are_found(shape):
    random = np.random.default_rng(0)
    u, _, vt = np.linalg.svd(random.normal(size=shape), full_matrices=False)
    values = np.logspace(0, -6, 60)  # as steep as those of a real gradient
    found = np.array(galore._directions(mx.array(((u * values) @ vt).astype(np.float32)), 40), np.float64)
    np.testing.assert_allclose(found.T @ found, np.eye(40), atol=1e-5)
    true = u if shape[0] <= shape[1] else vt.T
    assert ((found.T @ true[:, :38]) ** 2).sum(axis=0).min() > 0.99


def regression():
    """A linear model of fixed data, and its loss function without arguments."""
    mx.random.seed(1)
    model = nn.Linear(24, 16)
    x = mx.random.normal((64, 24))
    y = x @ mx.random.normal((24, 16))
    return model, lambda model: nn.losses.mse_loss(model(x), y)


def descend(model, loss, optimizer, count, compiled):
    losses = []
    state = [model.state, optimizer.state]
    value_and_grad = nn.value_and_grad(model, loss)

    def step():
        value, gradients = value_and_grad(model)
        optimizer.update(model, gradients)
        return value

    if compiled:
        step = mx.compile(step, inputs=state, outputs=state)
    for _ in range(count):
        if compiled:
            optimizer.prepare()
        losses.append(step())
        mx.eval(state, losses)
    return [value.item() for value in losses]


def test_the_loss_falls():
    model, loss = regression()
    losses = descend(model, loss, GaLore(0.1, rank=4, update_every=10, scale=1.0), 120, compiled=False)
    assert losses[-1] < 0.1 * losses[0]


def test_a_compiled_step_gives_the_same_and_decomposes_only_when_due(monkeypatch):
    traced = []
    true = galore._directions
    monkeypatch.setattr(galore, "_directions", lambda *arguments: traced.append(1) or true(*arguments))
    model, loss = regression()
    plain = descend(model, loss, GaLore(0.1, rank=4, update_every=5), 20, compiled=False)
    assert len(traced) == 4
    model, loss = regression()
    optimizer = GaLore(0.1, rank=4, update_every=5)
    optimizer.init(model.trainable_parameters())
    traced.clear()
    compiled = descend(model, loss, optimizer, 20, compiled=True)
    assert len(traced) == 1  # in the graph of the steps that are due, and not in the other
    np.testing.assert_allclose(compiled, plain, rtol=1e-4)
    other_rhythm, loss = regression()
    assert not np.allclose(descend(other_rhythm, loss, GaLore(0.1, 4, 20), 20, compiled=True), plain, rtol=1e-4)


def test_a_compiled_step_without_prepare_is_rejected():
    model, loss = regression()
    optimizer = GaLore(0.1, rank=4)
    state = [model.state, optimizer.state]
    step = mx.compile(
        lambda: optimizer.update(model, nn.value_and_grad(model, loss)(model)[1]), inputs=state, outputs=state
    )
    refused(step, "prepare()", "prepare()")


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("stop", [5, 7])  # before a step that is due, and before one that is not
def test_a_saved_state_continues_identically(tmp_path, compiled, stop):
    def make():
        return GaLore(optimizers.cosine_decay(0.1, 20), rank=4, update_every=5)

    model, loss = regression()
    whole = descend(model, loss, make(), 12, compiled)
    model, loss = regression()
    optimizer = make()
    descend(model, loss, optimizer, stop, compiled)
    mx.save_safetensors(str(tmp_path / "state.safetensors"), dict(tree_flatten(optimizer.state)))
    mx.savez(str(tmp_path / "state.npz"), **dict(tree_flatten(optimizer.state)))
    for file in ("state.safetensors", "state.npz"):
        again, _ = regression()
        again.update(model.parameters())
        optimizer = make()
        optimizer.state = tree_unflatten(list(mx.load(str(tmp_path / file)).items()))
        assert descend(again, loss, optimizer, 12 - stop, compiled) == whole[stop:]


def test_dtypes_are_kept_and_a_nan_gradient_gives_nan():
    optimizer = GaLore(0.1, rank=2)
    parameters = {"weight": mx.ones((4, 6), mx.bfloat16)}
    updated = optimizer.apply_gradients({"weight": mx.random.normal((4, 6)).astype(mx.bfloat16)}, parameters)["weight"]
    assert updated.dtype == mx.bfloat16 and not mx.array_equal(updated, parameters["weight"]).item()
    assert {value.dtype for value in optimizer.state["weight"].values()} == {mx.bfloat16}
    optimizer = GaLore(0.1, rank=2)
    updated = optimizer.apply_gradients({"weight": mx.full((4, 6), float("nan"))}, {"weight": mx.ones((4, 6))})
    assert mx.isnan(updated["weight"]).all().item()


@pytest.mark.parametrize("options", [{"rank": 0}, {"update_every": 0}])
def test_invalid_settings_are_rejected(options):
    refused(lambda: GaLore(0.1, **options), "1 or more")


class Curve(TrainingCallback):
    def __init__(self, optimizer):
        self.losses, self.projectors, self.optimizer = [], [], optimizer

    def on_train_loss_report(self, train_info):
        self.losses.append(train_info["train_loss"])
        self.projectors.append(self.optimizer.state["model"]["layers"][1]["mlp"]["up_proj"]["weight"]["projector"])


def prepared(optimizer):
    """mlx-lm's batches, with the optimizer prepared before each step."""

    def batches(**options):
        for batch in trainer.iterate_batches(**options):
            optimizer.prepare()
            yield batch

    return batches


@pytest.mark.parametrize("accumulation", [1, 2])
def test_it_works_in_mlx_lms_own_trainer(tmp_path, tokenizer, accumulation):
    np.random.seed(0)
    mx.random.seed(0)
    rows = [example(user=f"Contact: hey {number}", reply="yo " * (number % 5 + 1)) for number in range(12)]
    dataset = datasets.CacheDataset(datasets.ChatDataset(rows, tokenizer, mask_prompt=True))
    model, _ = base_models.load("tiny")
    model.freeze()
    for layer in model.layers:  # as mlx-lm does for fine_tune_type full
        layer.unfreeze()
    optimizer = GaLore(1e-2, rank=8, update_every=2, scale=1.0)
    curve = Curve(optimizer)
    arguments = trainer.TrainingArgs(
        batch_size=2,
        iters=6 * accumulation,
        val_batches=1,
        steps_per_report=accumulation,
        steps_per_eval=3,
        adapter_file=str(tmp_path / "adapters.safetensors"),
        grad_accumulation_steps=accumulation,
    )
    trainer.train(
        model,
        optimizer,
        dataset,
        dataset,
        arguments,
        iterate_batches=prepared(optimizer),
        training_callback=curve,
    )
    assert len(curve.losses) == 6 and curve.losses[-1] < 0.9 * curve.losses[0]
    new = [not mx.array_equal(*pair).item() for pair in zip(curve.projectors, curve.projectors[1:])]
    assert new == [False, True, False, True, False]  # two updates each
    state = dict(tree_flatten(optimizer.state))
    low = sum(value.size for name, value in state.items() if name.endswith((".m", ".v")))
    assert low < 0.3 * 2 * sum(value.size for _, value in tree_flatten(model.trainable_parameters()))
    # what was trained loads as mlx-lm's full fine-tuning does
    (tmp_path / "adapter_config.json").write_text(json.dumps({"fine_tune_type": "full", "num_layers": 2}))
    tuned, _ = base_models.load("tiny", tmp_path)
    ids = mx.array([[5, 300, 17]])
    model.eval()
    assert mx.allclose(tuned(ids), model(ids), atol=1e-5).item()
    assert not mx.allclose(tuned(ids), base_models.load("tiny")[0](ids), atol=1e-2).item()
