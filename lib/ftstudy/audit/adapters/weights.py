"""An adapter's weights and what they do: NaN, untrained, or without effect."""

from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx
import numpy

from ...chat_format.rendering import render
from ...engine.reply_logits import logits_function
from ...machine_failures import pass_on
from ...models import base_models, updates
from ...paths import absolute, shown
from ..config.values import sound
from ..findings import Check, Finding

NAN = Check(
    "adapter.nan",
    ("error",),
    meaning="The weights, or the model's outputs with them, are NaN or infinite.",
    cause="The loss became NaN at some iteration; mlx-lm saves such an adapter like any other.",
    fix="Look for rows without a token to train on, or lower learning_rate; then train again.",
    bad="layers.0.self_attn.q_proj.lora_b: 4,096 of 4,096 values NaN",
    good="layers.0.self_attn.q_proj.lora_b: 4,096 finite values",
)
ZERO_B = Check(
    "adapter.zero_b",
    ("error",),
    meaning="Nothing was learned: every lora_b is zero, or all weights are the base model's.",
    cause="Training starts like this: nothing was updated. With this adapter, you get the base model.",
    fix="Check iters, learning_rate and grad_accumulation_steps, and train again.",
    bad="layers.0.self_attn.q_proj.lora_b: all 0",
    good="layers.0.self_attn.q_proj.lora_b: mean size 0.003",
)
NO_EFFECT = Check(
    "adapter.no_effect",
    ("error",),
    meaning="The adapter doesn't change what the model says. Not measured above 2 GB without a GPU.",
    cause="The model gives the same probabilities with and without this adapter.",
    fix="Check iters, learning_rate and scale, and train again.",
    bad="mean KL divergence from the base model: 0.0 nats",
    good="mean KL divergence from the base model: 0.3 nats",
)
CHECKS = (NAN, ZERO_B, NO_EFFECT)
PROMPTS = 4  # on which the effect is measured
SMALLEST_EFFECT = 1e-12  # nats; the rounding of the logits is about 1e-14
SMALLEST_UPDATE, LARGEST_UPDATE = 1e-4, 10  # of a layer's weights; beyond these the model is asked
QUICK = 2e9  # bytes of a model that answers a prompt within seconds, even on a CPU


def check(inputs, made: dict, tensors: dict, file: Path) -> Iterator[Finding]:
    """Findings on the tensors' values. Empties `tensors`, so that only one is in memory at a time."""
    bad, some_b, all_zero, names = [], False, True, list(tensors)
    for name in names:
        value = tensors.pop(name)
        if not mx.issubdtype(value.dtype, mx.floating):
            continue
        finite = mx.isfinite(value)
        if not finite.all().item():
            bad.append(f"{name}: {value.size - int(finite.sum().item()):,} of {value.size:,} values")
        if name.endswith(".lora_b"):
            some_b, all_zero = True, all_zero and not mx.any(value != 0).item()
    if bad:
        title = f"{len(bad)} of {len(names)} tensors in {shown(file)} contain NaN or infinity"
        yield NAN.found("error", title, evidence=bad, where=shown(file))
    full = made.get("fine_tune_type") == "full"
    untrained_b = some_b and all_zero
    if untrained_b or full and not bad and _is_base(inputs.model, file):
        what = f"Every lora_b in {shown(file)} is zero"
        yield ZERO_B.found(
            "error",
            what if untrained_b else f"All {len(names)} tensors in {shown(file)} are the base model's",
            evidence=[name for name in names if full or name.endswith(".lora_b")],
            where=shown(file),
        )


def _is_base(folder: Path | None, file: Path) -> bool:
    """Whether every tensor is the base model's."""
    try:
        tensors = mx.load(str(file))
        base = {name: value for path in folder.glob("model*.safetensors") for name, value in mx.load(str(path)).items()}
    except Exception as error:  # without a readable model it can't be known
        pass_on(error)
        return False
    return bool(tensors) and all(
        name in base and base[name].shape == value.shape and mx.array_equal(base[name], value).item()
        for name, value in tensors.items()
    )


def is_quick(model: Path | None) -> bool:
    """Whether this model answers a prompt in seconds."""
    on_gpu = mx.default_device() != mx.Device(mx.cpu)
    return model is not None and (on_gpu or sum(path.stat().st_size for path in model.glob("*.safetensors")) < QUICK)


def has_effect(inputs, folder: Path) -> Iterator[Finding]:
    """A finding if the adapter changes nothing. Raises StudyError as `effect` does.

    Asks the model only if the size of the update leaves a doubt: it takes many times as long.
    """
    if _clearly_moves(inputs.model, folder):
        return
    with numpy.errstate(all="ignore"):
        moved = effect(inputs)
    if moved >= SMALLEST_EFFECT or not _prompts(inputs):
        return
    line = f"mean KL divergence from the base model after at most {PROMPTS} prompts: {moved:.2e} nats"
    if moved < SMALLEST_EFFECT:
        title = f"The adapter in {shown(folder)} changes nothing: {max(moved, 0):.1e} nats"
        yield NO_EFFECT.found("error", title, evidence=line, where=shown(folder))
    else:
        yield NAN.found(
            "error",
            f"With the adapter in {shown(folder)} the model's answers are NaN or infinite",
            evidence=line,
            where=shown(folder),
            cause="Its weights are so large that sums over them overflow.",
            fix="Lower learning_rate or scale, and train again.",
        )


def _clearly_moves(model: Path, adapter: Path) -> bool:
    """Whether the update is of a size that certainly changes what the model says, and overflows nowhere.

    An update of 1e-4 of the weights moves probabilities by far more than `SMALLEST_EFFECT`.
    """
    try:
        sizes = [layer["relative"] for layer in updates.by_layer(updates.norms(model, adapter))]
    except Exception as error:  # what MLX and mlx-lm raise for what they can't read; loading it reports the reason
        pass_on(error)
        return False
    return bool(sizes) and max(sizes) > SMALLEST_UPDATE and all(size < LARGEST_UPDATE for size in sizes)


def effect(inputs) -> float:
    """How much the adapter at `adapter_path` changes the model, in nats.

    The mean KL divergence from the base model's next-token distribution to the adapted one's, after a few prompts
    of the data; NaN without prompts. Raises StudyError if the model or the adapter can't be loaded.
    """
    prompts = _prompts(inputs)
    base, adapted = (
        _next_tokens(base_models.load(inputs.config["model"], adapter, to_ask=True)[0], prompts)
        for adapter in (None, absolute(inputs.config["adapter_path"]))
    )
    each = [float((numpy.exp(one) * (one - other)).sum()) for one, other in zip(base, adapted)]
    return sum(each) / len(each) if each else float("nan")


def _prompts(inputs) -> list:
    """The token ids of a few prompts, cut to what the trainer sees."""
    split = next((inputs.splits[name] for name in ("valid", "test", "train") if name in inputs.splits), None)
    chats = [chat for chat, _ in zip(split.chats(), range(PROMPTS))] if split else []
    longest = sound(inputs.config)["max_seq_length"]
    prompts = [prompt[:longest] for prompt in render(chats, inputs.tokenizer).prompts]
    return [prompt for prompt in prompts if len(prompt)]


def _next_tokens(model, prompts) -> list[numpy.ndarray]:
    """Log probabilities of the token after each prompt; one prompt at a time needs no padding.

    In double precision, because single precision would round away the divergence of two close distributions.
    """
    logits_at, found = logits_function(model), []
    for prompt in prompts:
        logits = logits_at(model, mx.array(prompt)[None], mx.array([[len(prompt) - 1]]))[0, 0].astype(mx.float32)
        exact = numpy.array(logits, numpy.float64)
        found.append(exact - numpy.logaddexp.reduce(exact))
    return found
