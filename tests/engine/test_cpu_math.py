"""The faster CPU functions and their gradients equal MLX's own."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from ftstudy.engine import cpu_math
from ftstudy.models import base_models
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mlx_lm.models import activations, base
from mlx_lm.tuner.utils import linear_to_lora_layers

FLOATS = hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(-100, 100, width=32))


@settings(deadline=None, max_examples=50)
@given(FLOATS)
def test_exp_to_float32_precision(numbers):
    inside = np.clip(numbers.astype(np.float64), cpu_math.LOWEST, cpu_math.HIGHEST)
    np.testing.assert_allclose(np.array(cpu_math.exp(mx.array(numbers))), np.exp(inside), rtol=3e-7)


def test_exp_at_its_limits():
    found = np.array(cpu_math.exp(mx.array([0.0, -np.inf, np.inf, -1e30])))
    assert found[0] == 1 and 0 <= found[1] < 1e-37 and found[3] < 1e-37 and found[2] > 1e38


def close(left, right):
    return all(mx.allclose(a, b, rtol=1e-4, atol=1e-5).item() for a, b in zip(left, right))


@pytest.mark.parametrize("compiled", [True, False])
def test_swiglu(compiled):
    mx.random.seed(0)
    gate, x, slope = (mx.random.normal((7, 33)) * 5 for _ in range(3))

    def of(function):
        both = mx.value_and_grad(lambda gate, x: (function(gate, x) * slope).sum(), argnums=(0, 1))
        value, gradients = (mx.compile(both) if compiled else both)(gate, x)
        return [value, *gradients]

    assert close(of(cpu_math.swiglu), of(activations.swiglu))


MASKS = {
    "causal": "causal",
    "none": None,
    "bool": mx.array(np.tril(np.ones((5, 8), dtype=bool), 3)),
    "added": mx.array(np.where(np.tril(np.ones((5, 8)), 2) > 0, 0, -1e9).astype(np.float32)),
    "rows": mx.array(np.random.default_rng(0).random((3, 1, 5, 8)) < 0.7),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("heads, shared", [(6, 2), (4, 4), (4, 1)])
def test_attention(mask, heads, shared):
    mx.random.seed(1)
    queries, slope = mx.random.normal((3, heads, 5, 16)), mx.random.normal((3, heads, 5, 16))
    keys, values = (mx.random.normal((3, shared, 8, 16)) for _ in range(2))

    def of(function):
        def loss(queries, keys, values):
            return (function(queries, keys, values, cache=None, scale=0.25, mask=MASKS[mask]) * slope).sum()

        value, gradients = mx.value_and_grad(loss, argnums=(0, 1, 2))(queries, keys, values)
        return [value, *gradients]

    assert close(of(cpu_math.attention), of(base.scaled_dot_product_attention))


def test_cross_entropy():
    mx.random.seed(2)
    logits, targets = mx.random.normal((4, 3, 50)) * 10, mx.random.randint(0, 50, (4, 3))

    def of(function):
        value, gradient = mx.value_and_grad(lambda logits: (function(logits, targets) * mx.arange(3)).sum())(logits)
        return [function(logits, targets), value, gradient]

    assert close(of(cpu_math.cross_entropy), of(nn.losses.cross_entropy))


def test_other_dtypes_use_mlxs_own_functions():
    gate, x = (mx.random.normal((2, 8)).astype(mx.bfloat16) for _ in range(2))
    assert mx.array_equal(cpu_math.swiglu(gate, x), activations.swiglu(gate, x)).item()
    heads = [mx.random.normal((1, 2, 4, 8)).astype(mx.float16) for _ in range(3)]
    for function in (cpu_math.attention, base.scaled_dot_product_attention):
        found = function(*heads, cache=None, scale=1.0, mask="causal")
        assert found.dtype == mx.float16


def test_a_loaded_model_uses_them_and_gives_the_same_logits(monkeypatch):
    model, _ = base_models.load("tiny")
    ids = mx.array([[5, 6, 7, 8, 9]])
    fast = model(ids)
    import sys

    module = sys.modules[type(model).__module__]
    if cpu_math.applies():
        assert module.swiglu is cpu_math.swiglu and module.scaled_dot_product_attention is cpu_math.attention
    for name, (slow, _) in cpu_math.FASTER.items():
        monkeypatch.setattr(module, name, slow)
    assert mx.allclose(model(ids), fast, atol=1e-5).item()


@pytest.mark.parametrize("bits, kind", [(4, "lora"), (8, "lora"), (4, "dora"), (4, None)])
def test_dequantized_model_gives_the_same_answers(bits, kind, monkeypatch):
    monkeypatch.setattr(cpu_math, "applies", lambda: True)
    model = base_models.load("tiny")[0]
    nn.quantize(model, group_size=32, bits=bits)
    if kind:
        linear_to_lora_layers(model, 2, {"rank": 4, "scale": 2.0, "dropout": 0.0}, use_dora=kind == "dora")
        mx.random.seed(0)
        model.apply_to_modules(
            lambda _, one: "lora_b" in one and one.update({"lora_b": mx.random.normal(one.lora_b.shape)})
        )
    ids = mx.array([[5, 6, 7, 11]])
    before = model(ids)
    mx.eval(before)
    cpu_math.dequantize(model)
    assert not any("scales" in one for _, one in model.named_modules())
    assert mx.allclose(model(ids), before, rtol=1e-4, atol=1e-4).item()


def test_only_small_quantized_models_are_dequantized(monkeypatch):
    monkeypatch.setattr(cpu_math, "applies", lambda: True)
    model = base_models.load("tiny")[0].apply(lambda value: value.astype(mx.bfloat16))
    cpu_math.dequantize(model)
    assert model.layers[0].mlp.up_proj.weight.dtype == mx.bfloat16  # it was not quantized
    nn.quantize(model, group_size=32, bits=4)
    monkeypatch.setattr(cpu_math, "LARGEST", 1000)
    cpu_math.dequantize(model)
    assert "scales" in model.layers[0].mlp.up_proj
