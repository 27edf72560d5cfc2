"""Faster replacements for MLX's slow CPU functions, with the same results.

MLX computes exp on the CPU one number at a time. With a tuned BLAS, SwiGLU and the softmax of attention then take
longer than all matrix products of a small model. Here exp is a polynomial, which compilers vectorize; its relative
error is that of float32.

    speed_up(model)      # replaces the functions that the model's architecture uses, for float32 on the CPU
    dequantize(model)    # replaces quantized weights, whose products on the CPU take ten times as long

Everything else (another device, another type, attention sinks) still uses MLX's functions.
"""

import sys

import mlx.core as mx
import mlx.nn as nn
from mlx_lm import utils
from mlx_lm.models import activations, base

# Taylor's series of exp(r) for |r| <= ln 2 / 2; the first term left out is below 1e-8.
COEFFICIENTS = (1.0, 1.0, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720, 1 / 5040)
LOG2_E = 1.4426950408889634
LN_2 = (0.693359375, -2.1219444005469057e-4)  # in two parts: n times the first is exact (Cody and Waite 1980)
LOWEST, HIGHEST = -87.0, 88.0  # outside, exp isn't a normal float32


def applies() -> bool:
    """True on the CPU backend whose exp is slow; on macOS it uses Apple's."""
    return mx.default_device().type == mx.cpu and sys.platform == "linux"


def exp(x: mx.array) -> mx.array:
    """exp(x), float32: x = n ln 2 + r, where 2ⁿ is built from its bits and exp(r) is a polynomial."""
    x = mx.clip(x, LOWEST, HIGHEST)
    whole = mx.round(x * LOG2_E)
    rest = (x - whole * LN_2[0]) - whole * LN_2[1]
    value = COEFFICIENTS[-1]
    for coefficient in reversed(COEFFICIENTS[:-1]):
        value = coefficient + rest * value
    return value * ((whole.astype(mx.int32) + 127) << 23).view(mx.float32)


# --- SwiGLU: gate · sigmoid(gate) · x ---------------------------------------------------------


def _sigmoid(x):
    return 1 / (1 + exp(-x))


_swiglu_forward = mx.compile(lambda gate, x: gate * _sigmoid(gate) * x)


@mx.compile
def _swiglu_backward(gate, x, slope):
    sigmoid = _sigmoid(gate)
    silu = gate * sigmoid
    return slope * x * (sigmoid + silu * (1 - sigmoid)), slope * silu


@mx.custom_function
def _swiglu(gate, x):
    return _swiglu_forward(gate, x)


@_swiglu.vjp
def _(inputs, slope, _):
    return _swiglu_backward(*inputs, slope)


def swiglu(gate: mx.array, x: mx.array) -> mx.array:
    return _swiglu(gate, x) if gate.dtype == x.dtype == mx.float32 else activations.swiglu(gate, x)


# --- softmax, and attention -------------------------------------------------------------------

_exp = mx.compile(exp)  # takes a single array: compiled broadcasting is slow


@mx.custom_function
def softmax(scores: mx.array) -> mx.array:
    """Over the last axis, float32."""
    values = _exp(scores - scores.max(axis=-1, keepdims=True))
    return values * (1 / values.sum(axis=-1, keepdims=True))


@softmax.vjp
def _(_, slope, shares):
    return shares * (slope - (slope * shares).sum(axis=-1, keepdims=True))


def attention(queries, keys, values, cache, scale, mask, sinks=None):
    """mlx-lm's scaled_dot_product_attention, with the same arguments and result."""
    if sinks is not None or hasattr(cache, "bits") or queries.dtype != mx.float32 or queries.shape[2] == 1:
        return base.scaled_dot_product_attention(queries, keys, values, cache, scale, mask, sinks)
    rows, heads, length, size = queries.shape
    shared, width = keys.shape[1:3]
    # Query heads that share a key head form one matrix: fewer, larger products.
    together = (queries * scale).reshape(rows, shared, heads // shared * length, size)
    scores = (together @ keys.swapaxes(-1, -2)).reshape(rows, heads, length, width)
    if isinstance(mask, str):
        mask = base.create_causal_mask(length, width - length)
    if mask is not None:
        scores = mx.where(mask, scores, mx.finfo(scores.dtype).min) if mask.dtype == mx.bool_ else scores + mask
    shares = softmax(scores).reshape(rows, shared, heads // shared * length, width)
    return (shares @ values).reshape(rows, heads, length, values.shape[-1])


# --- cross-entropy ----------------------------------------------------------------------------


@mx.custom_function
def _cross_entropy(logits, targets):
    top = logits.max(axis=-1, keepdims=True)
    total = _exp(logits - top).sum(axis=-1)
    wanted = mx.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return mx.log(total) + top[..., 0] - wanted


@_cross_entropy.vjp
def _(inputs, slope, _):
    logits, targets = inputs
    at = targets[..., None]
    shares = softmax(logits)
    less = mx.put_along_axis(shares, at, mx.take_along_axis(shares, at, axis=-1) - 1, axis=-1)
    return less * slope[..., None], mx.zeros_like(targets)


def cross_entropy(logits: mx.array, targets: mx.array) -> mx.array:
    """Nats of each target, float32 of shape (…), from logits (…, vocabulary) and targets (…)."""
    logits = logits.astype(mx.float32)
    return _cross_entropy(logits, targets) if applies() else nn.losses.cross_entropy(logits, targets)


# --- use in a model ---------------------------------------------------------------------------

LARGEST = 8e9  # bytes of a model in float32
FASTER = {
    "swiglu": (activations.swiglu, swiglu),
    "scaled_dot_product_attention": (base.scaled_dot_product_attention, attention),
}


def speed_up(model) -> None:
    """Make the module that defines the model's architecture use the functions above, where they apply."""
    module = sys.modules[type(model).__module__]
    for name, (slow, fast) in FASTER.items():
        if applies() and getattr(module, name, None) is slow:
            setattr(module, name, fast)


def dequantize(model) -> None:
    """Replace quantized weights by the numbers they stand for, and everything by float32, where it applies and fits.

    Such a model gives the same answers, without the rounding of half precision. It can no longer be trained or saved as
    the quantized model that it was.
    """
    packed = [module for _, module in model.named_modules() if "scales" in module]
    if not applies() or not packed or any(module.mode != "affine" for module in packed):
        return
    if 4 * utils.get_total_parameters(model) <= LARGEST:
        utils.dequantize_model(model)
        model.set_dtype(mx.float32)
