"""PiSSA: a LoRA that starts at a layer's principal singular vectors instead of at zero.

F. Meng, Z. Wang, M. Zhang: PiSSA: Principal Singular Values and Singular Vectors Adaptation of
Large Language Models, 2024, arXiv 2404.02948. With the singular values S of a weight
W = U S Vᵀ in descending order, rank r and the LoRA layer's `scale` s, a layer starts from

    A₀ = V[:, :r] √(S[:r] / s)     B₀ = √(S[:r] / s) U[:, :r]ᵀ     W_res = W - s (A₀ B₀)ᵀ

so that its output is the base model's, and the trained part carries most of the weight. W_res is
frozen. An adapter for the unmodified W needs the difference, which has rank 2r:

    W_res + s (A B)ᵀ = W + s ([A, A₀] [B; -B₀])ᵀ

    linear_to_lora_layers(model, num_layers, lora_parameters)        # mlx-lm's
    initial = pissa.start(model)                                     # now train
    trained = dict(tree_flatten(model.trainable_parameters()))
    tensors, lora_parameters = pissa.as_lora(trained, initial, lora_parameters)

A and B alone, which is what mlx-lm's own trainer would save, give nonsense on the base model. Dropout, which
the paper doesn't use, would drop the principal part too.
"""

from collections import Counter

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.tuner.lora import LoRALinear

from ..errors import StudyError


def start(model: nn.Module) -> dict[str, mx.array]:
    """Set every LoRA layer to its principal part and its base weight to the remainder, in place.

    `model` is what mlx-lm's `linear_to_lora_layers` has just converted. Returns the start's
    factors under the names of an adapter file: `….lora_a` (inputs, rank) and `….lora_b`
    (rank, outputs), in the LoRA layers' own dtype (float32). They follow from the base weights,
    so a resumed run gets them by calling this on a fresh model. The remainder keeps its weight's
    dtype: in bfloat16 the start equals the base model to that precision.

    Raises StudyError, and changes nothing, if there is no LoRA layer, or one is of another kind, has been trained
    already, has a quantized or shared base, or a rank or scale that doesn't fit.
    """
    modules = model.named_modules()
    layers = [(name, module) for name, module in modules if "lora_a" in module]
    if not layers:
        raise StudyError("PiSSA found no LoRA layer in the model; check num_layers and lora_parameters.keys.")
    uses = Counter(id(module) for _, module in modules)
    for name, layer in layers:
        _check(name, layer, uses)
    initial = {}
    for name, layer in layers:
        weight = layer.linear.weight.astype(mx.float32)
        u, s, v = truncated_svd(weight, layer.lora_a.shape[1])
        root = mx.sqrt(s / layer.scale)
        a, b = (v * root).astype(layer.lora_a.dtype), (u * root).T.astype(layer.lora_b.dtype)
        layer.lora_a, layer.lora_b = a, b
        remainder = weight - layer.scale * (a @ b).T  # from the rounded factors, so that the sum is W
        layer.linear.weight = remainder.astype(layer.linear.weight.dtype)
        initial |= {f"{name}.lora_a": a, f"{name}.lora_b": b}
        mx.eval(layer.parameters())
    return initial


def as_lora(
    tensors: dict[str, mx.array], initial: dict[str, mx.array], lora_parameters: dict
) -> tuple[dict[str, mx.array], dict]:
    """The trained factors as a LoRA of twice the rank, which loads on the unmodified base model.

    `tensors` are the trained factors and `initial` what `start` returned, under the same
    names. Returns the tensors for `adapters.safetensors`, `lora_a` (inputs, 2 rank) and
    `lora_b` (2 rank, outputs), and the `lora_parameters` for `adapter_config.json`: those given,
    with the rank doubled. Raises StudyError if the two dicts differ in names or shapes.
    """
    if {name: value.shape for name, value in tensors.items()} != {name: a.shape for name, a in initial.items()}:
        raise StudyError(
            "The trained PiSSA factors and the initial ones differ in names or shapes. Take both from one run: call "
            "start() with that run's base model, num_layers and lora_parameters."
        )
    doubled = {}
    for name, value in tensors.items():
        sign, axis = (1, 1) if name.endswith("lora_a") else (-1, 0)
        doubled[name] = mx.concatenate([value, sign * initial[name]], axis)
    return doubled, {**lora_parameters, "rank": 2 * lora_parameters["rank"]}


def _check(name: str, layer: nn.Module, uses: Counter) -> None:
    """Raises StudyError if PiSSA cannot start this layer."""
    if type(layer) is not LoRALinear:
        reason = f"it is a {type(layer).__name__}; use plain LoRA, with only linear layers in lora_parameters.keys"
    elif not isinstance(layer.linear, nn.Linear):
        kind = type(layer.linear).__name__
        reason = f"its base is a {kind}, whose rounding would spoil the remainder; train on the unquantized model"
    elif uses[id(layer.linear)] > 1:
        reason = "another layer shares its base weight and would change too; leave it out of lora_parameters.keys"
    elif layer.lora_a.shape[1] > (most := min(layer.linear.weight.shape)):
        reason = f"its weight has only {most} singular values; lower lora_parameters.rank to that"
    elif layer.scale <= 0:
        reason = f"its scale is {layer.scale}; set lora_parameters.scale above 0"
    elif mx.any(layer.lora_b).item():
        reason = "it was already trained or started; use a freshly loaded base model"
    else:
        return
    raise StudyError(f"PiSSA cannot start layer {name}: {reason}.")


def truncated_svd(matrix: mx.array, rank: int) -> tuple[mx.array, mx.array, mx.array]:
    """The largest singular values of a float32 matrix: U (rows, rank), S (rank,) descending, V (columns, rank).

    Signs are fixed: the largest entry of each column of V is positive.
    """
    tall = matrix.shape[0] >= matrix.shape[1]
    # MLX's SVD computes all of U, (rows, rows), which takes 10 GB for a vocabulary. R's is small.
    q, r = mx.linalg.qr(matrix if tall else matrix.T, stream=mx.cpu)
    left, s, right = mx.linalg.svd(r, stream=mx.cpu)
    left, right = q @ left[:, :rank], right[:rank].T
    u, v = (left, right) if tall else (right, left)
    largest = mx.take_along_axis(v, mx.argmax(mx.abs(v), axis=0, keepdims=True), axis=0)
    sign = mx.where(largest < 0, -1.0, 1.0)
    return u * sign, s[:rank], v * sign
