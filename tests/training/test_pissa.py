"""PiSSA starts as the base model, split at its singular values, and its adapter loads on the base model."""

import json

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from conftest import refused
from ftstudy.models import base_models
from ftstudy.training import pissa
from mlx.utils import tree_flatten
from mlx_lm import utils
from mlx_lm.models.switch_layers import SwitchLinear
from mlx_lm.tuner.utils import linear_to_lora_layers

PARAMETERS = {"rank": 4, "scale": 5.0, "dropout": 0.0}


def converted(parameters=PARAMETERS, use_dora=False, change=lambda model: None):
    model, _ = base_models.load("tiny")
    change(model)
    model.freeze()
    linear_to_lora_layers(model, 2, parameters, use_dora)
    return model


def lora_layers(model):
    return {name: layer for name, layer in model.named_modules() if "lora_a" in layer}


def weights(model):
    return {name: layer.linear.weight for name, layer in lora_layers(model).items()}


def logits(model):
    model.eval()
    return np.array(model(mx.array([[5, 300, 17, 42, 8, 99]])).astype(mx.float32))


def trained(model):
    return dict(tree_flatten(model.trainable_parameters()))


def save(folder, tensors, parameters):
    folder.mkdir()
    mx.save_safetensors(str(folder / "adapters.safetensors"), tensors)
    config = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": parameters}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def perturbed(model, size=0.05):
    mx.random.seed(3)
    changed = [(name, value + size * mx.random.normal(value.shape)) for name, value in trained(model).items()]
    model.load_weights(changed, strict=False)
    return trained(model)


def test_the_initial_model_gives_the_base_models_logits():
    model = converted()
    before = logits(model)
    initial = pissa.start(model)
    np.testing.assert_allclose(logits(model), before, atol=1e-4)
    assert set(initial) == set(trained(model)) and len(initial) == 2 * 7 * 2
    for layer in lora_layers(model).values():
        assert mx.abs(layer.lora_b).max().item() > 0.01
        layer.lora_b = mx.zeros_like(layer.lora_b)
    assert np.abs(logits(model) - before).max() > 0.1  # the rest alone is another model


def test_the_factors_are_the_largest_singular_values_and_vectors():
    model = converted()
    before = {name: np.array(weight, np.float64) for name, weight in weights(model).items()}
    assert {shape.shape[0] < shape.shape[1] for shape in before.values()} == {True, False}
    initial = pissa.start(model)
    for name, layer in lora_layers(model).items():
        a, b = np.array(layer.lora_a, np.float64), np.array(layer.lora_b, np.float64)
        u, s, vt = np.linalg.svd(before[name])
        principal = 5.0 * (a @ b).T
        np.testing.assert_allclose(principal, u[:, :4] * s[:4] @ vt[:4], atol=1e-5)
        np.testing.assert_allclose(np.array(layer.linear.weight), before[name] - principal, atol=1e-6)
        np.testing.assert_allclose(np.linalg.svd(principal)[1][:4], s[:4], rtol=1e-5)
        # the two factors share the singular values equally: √(s / scale) each
        np.testing.assert_allclose(np.linalg.norm(a, axis=0), np.sqrt(s[:4] / 5), rtol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(b, axis=1), np.sqrt(s[:4] / 5), rtol=1e-5)
        assert (a.max(axis=0) == np.abs(a).max(axis=0)).all()
        assert (np.array(initial[f"{name}.lora_a"]) == a).all() and (np.array(initial[f"{name}.lora_b"]) == b).all()


def test_two_starts_are_equal():
    first, second = pissa.start(converted()), pissa.start(converted())
    assert all((first[name] == second[name]).all().item() for name in first)


@pytest.mark.parametrize("shape", [(6000, 8), (8, 6000)])
def test_a_vocabulary_sized_matrix_takes_little_memory(shape):
    matrix = mx.random.normal(shape)
    mx.eval(matrix)
    mx.reset_peak_memory()
    mx.eval(pissa.truncated_svd(matrix, 4))
    assert mx.get_peak_memory() < mx.get_active_memory() + 10e6  # bytes; all singular vectors are 144 MB


def test_a_trained_adapter_loads_on_the_unmodified_base_model(tmp_path):
    model = converted()
    base = logits(model)
    initial = pissa.start(model)
    factors = perturbed(model)
    save(tmp_path / "adapter", *pissa.as_lora(factors, initial, PARAMETERS))
    tuned, _ = utils.load(str(base_models.resolve("tiny")), adapter_path=str(tmp_path / "adapter"))
    assert {layer.lora_a.shape[1] for layer in lora_layers(tuned).values()} == {8}
    np.testing.assert_allclose(logits(tuned), logits(model), atol=1e-4)
    assert np.abs(logits(model) - base).max() > 0.1
    # what mlx-lm's trainer saves by itself does not belong to the base model
    save(tmp_path / "raw", factors, PARAMETERS)
    raw, _ = utils.load(str(base_models.resolve("tiny")), adapter_path=str(tmp_path / "raw"))
    assert np.abs(logits(raw) - logits(model)).max() > 0.1


def test_the_config_has_the_doubled_rank_and_the_same_scale():
    model = converted()
    initial = pissa.start(model)
    parameters = PARAMETERS | {"keys": ["self_attn.q_proj"]}
    tensors, changed = pissa.as_lora(trained(model), initial, parameters)
    assert changed == parameters | {"rank": 8} and parameters["rank"] == 4
    assert tensors["model.layers.0.mlp.up_proj.lora_a"].shape == (64, 8)
    assert tensors["model.layers.0.mlp.up_proj.lora_b"].shape == (8, 128)


def test_factors_of_another_run_are_rejected():
    model = converted()
    initial = pissa.start(model)
    narrower = pissa.start(converted(PARAMETERS | {"rank": 2}))
    refused(lambda: pissa.as_lora(trained(model), narrower, PARAMETERS), "start", "shapes")
    fewer = dict(list(initial.items())[:-2])
    refused(lambda: pissa.as_lora(trained(model), fewer, PARAMETERS), "start", "names")


def test_the_layers_keep_their_dtype():
    model = converted(change=lambda model: model.set_dtype(mx.bfloat16))
    before = logits(model)
    pissa.start(model)
    assert {weight.dtype for weight in weights(model).values()} == {mx.bfloat16}
    assert {value.dtype for value in trained(model).values()} == {mx.float32}
    # bfloat16 keeps 8 bits of each weight
    np.testing.assert_allclose(logits(model), before, atol=0.02 * np.abs(before).max())


def test_only_factors_are_trained():
    model = converted()
    pissa.start(model)
    assert {name.rsplit(".", 1)[1] for name in trained(model)} == {"lora_a", "lora_b"}


class Layers(nn.Module):
    """What `linear_to_lora_layers` needs of a model."""

    def __init__(self, **parts):
        super().__init__()
        block = nn.Module()
        for name, part in parts.items():
            setattr(block, name, part)
        self.layers = [block]


def test_layers_that_share_an_array_are_each_split_once():
    first, second = nn.Linear(12, 12, bias=False), nn.Linear(12, 12, bias=False)
    second.weight = first.weight
    model = Layers(first=first, second=second)
    linear_to_lora_layers(model, 1, PARAMETERS)
    x = mx.random.normal((3, 12))
    before = first(x)
    pissa.start(model)
    for layer in (model.layers[0].first, model.layers[0].second):
        assert mx.allclose(layer(x), before, atol=1e-5).item()


def shared():
    layer = nn.Linear(12, 12)
    model = Layers(first=layer, second=layer)
    linear_to_lora_layers(model, 1, PARAMETERS)
    return model


def switch():
    model = Layers(experts=SwitchLinear(12, 12, 2))
    linear_to_lora_layers(model, 1, PARAMETERS)
    return model


def started():
    model = converted()
    pissa.start(model)
    return model


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: converted(change=lambda model: nn.quantize(model, 32)), ["QuantizedLinear", "unquantized"]),
        (lambda: converted(use_dora=True), ["DoRALinear", "plain LoRA"]),
        (lambda: converted(PARAMETERS | {"keys": ["model.embed_tokens"]}), ["embed_tokens", "LoRAEmbedding"]),
        (switch, ["LoRASwitchLinear"]),
        (shared, ["shares its base"]),
        (lambda: converted(PARAMETERS | {"rank": 33}), ["only 32 singular values", "lower lora_parameters.rank"]),
        (lambda: converted(PARAMETERS | {"scale": 0.0}), ["scale is 0.0"]),
        (started, ["already trained"]),
        (lambda: base_models.load("tiny")[0], ["no LoRA layer"]),
    ],
    ids=["quantized", "DoRA", "embedding", "switch", "shared", "rank", "scale", "twice", "none"],
)
def test_unsuitable_layers_are_rejected(make, words):
    model = make()
    before = dict(tree_flatten(model.parameters()))
    refused(lambda: pissa.start(model), *words)
    assert all((value == before[name]).all().item() for name, value in tree_flatten(model.parameters()))
