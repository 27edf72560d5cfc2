"""What an adapter's weights are, and what they do: NaN, nothing at all, or no change of what is said."""

from pathlib import Path

import mlx.core as mx
import numpy

from ...chat_format.rendering import render
from ...engine.reply_logits import logits_function
from ...models import base_models
from ...paths import from_root, shown
from ..config.values import sound
from ..evidence import listed
from ..findings import finding

CHECKS = {
    "adapter.nan": ("error", "The weights hold values that are no finite numbers."),
    "adapter.zero_b": ("error", "Nothing was learned: every lora_b is zero, or all weights are the base model's."),
    "adapter.no_effect": (
        "error",
        "The adapter does not change what the model says (not measured for more than 2 GB without a GPU).",
    ),
}
PROMPTS = 4  # on which the effect is measured
SMALLEST_EFFECT = 1e-12  # nats; the rounding of the logits is some 1e-14
QUICK = 2e9  # bytes of a model that answers a prompt within seconds, also on a CPU


def say(check, severity, title, evidence, cause, fix, where: Path) -> dict:
    title, *lines = (" ".join(text.encode("utf-8", "backslashreplace").decode().split()) for text in (title, *evidence))
    return finding(check, severity, title, evidence=listed(lines), cause=cause, fix=fix, where=shown(where))


def values(inputs, made: dict, tensors: dict, weights: Path) -> list[dict]:
    bad, some_b, all_zero = [], False, True
    names = list(tensors)
    for name in names:
        value = tensors.pop(name)  # read from disk now, and let go of before the next
        if not mx.issubdtype(value.dtype, mx.floating):
            continue
        finite = mx.isfinite(value)
        if not finite.all().item():
            bad.append(f"{name}: {value.size - int(finite.sum().item()):,} of {value.size:,} values")
        if name.endswith(".lora_b"):
            some_b, all_zero = True, all_zero and not mx.any(value != 0).item()
    found = []
    if bad:
        found.append(
            say(
                "adapter.nan",
                "error",
                f"{len(bad)} of {len(names)} tensors in {shown(weights)} hold NaN or infinity",
                bad,
                "The loss was not a number at some iteration, and mlx-lm saves such an adapter as any other.",
                "Look for rows without a token to train on, or lower learning_rate; then train again.",
                weights,
            )
        )
    full = made.get("fine_tune_type") == "full"
    if some_b and all_zero or full and not bad and _is_base(inputs.model, weights):
        found.append(
            say(
                "adapter.zero_b",
                "error",
                f"Every lora_b in {shown(weights)} is zero"
                if some_b
                else f"All {len(names)} tensors in {shown(weights)} are the base model's own",
                [name for name in names if full or name.endswith(".lora_b")],
                "Training begins there, so no update was made. The model with this adapter is the base model.",
                "Look at iters, learning_rate and grad_accumulation_steps, and train again.",
                weights,
            )
        )
    return found


def _is_base(folder: Path | None, weights: Path) -> bool:
    """Whether every tensor is the base model's own."""
    try:
        tensors = mx.load(str(weights))
        base = {name: value for path in folder.glob("model*.safetensors") for name, value in mx.load(str(path)).items()}
    except Exception:  # no model, or one that cannot be read: then nobody can say
        return False
    return bool(tensors) and all(
        name in base and base[name].shape == value.shape and mx.array_equal(base[name], value).item()
        for name, value in tensors.items()
    )


def effect(inputs) -> float:
    """How far the adapter at `adapter_path` moves the model: the mean KL divergence (nats) from
    the base model's next-token distribution to the adapted one's, after a few prompts of the
    data. Raises StudyError where the model or the adapter cannot be loaded."""
    prompts = _prompts(inputs)
    base, adapted = (
        _next_tokens(base_models.load(inputs.config["model"], adapter)[0], prompts)
        for adapter in (None, from_root(inputs.config["adapter_path"]))
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
    In double precision: the divergence of two near distributions is lost in the rounding of single."""
    logits_at, found = logits_function(model), []
    for prompt in prompts:
        logits = logits_at(model, mx.array(prompt)[None], mx.array([[len(prompt) - 1]]))[0, 0].astype(mx.float32)
        exact = numpy.array(logits, numpy.float64)
        found.append(exact - numpy.logaddexp.reduce(exact))
    return found


def is_quick(model: Path | None) -> bool:
    """Can a prompt be put to this model in seconds?"""
    on_gpu = mx.default_device() != mx.Device(mx.cpu)
    return model is not None and (on_gpu or sum(path.stat().st_size for path in model.glob("*.safetensors")) < QUICK)


def effect_findings(inputs, folder: Path) -> list[dict]:
    """Finding on an adapter that changes nothing. Raises StudyError as `effect` does."""
    with numpy.errstate(all="ignore"):
        moved = effect(inputs)
    if moved >= SMALLEST_EFFECT or not _prompts(inputs):
        return []
    if not moved < SMALLEST_EFFECT:
        return [
            say(
                "adapter.nan",
                "error",
                f"With the adapter in {shown(folder)} the model's answers are no finite numbers",
                [f"KL divergence from the base model after {PROMPTS} prompts at most: {moved}"],
                "Its weights are so large that sums over them overflow.",
                "Lower learning_rate or scale, and train again.",
                folder,
            )
        ]
    return [
        say(
            "adapter.no_effect",
            "error",
            f"The adapter in {shown(folder)} changes nothing: {max(moved, 0):.1e} nats",
            [f"mean KL divergence from the base model after {PROMPTS} prompts at most: {moved:.2e} nats"],
            "The model with this adapter gives the same probabilities as without it.",
            "Look at iters, learning_rate and scale, and train again.",
            folder,
        )
    ]
