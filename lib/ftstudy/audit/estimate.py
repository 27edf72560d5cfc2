"""What a training will take, estimated before it starts: its peak memory, and the arithmetic to be done.

Follows from the model's shapes, the config and the rows' real lengths. It is an estimate: docs/training.md compares it
with measured trainings.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import numpy
from mlx.utils import tree_flatten

from ..chat_format.loss_mask import PAD_TO
from ..configs import study
from ..engine import machine
from ..machine_failures import pass_on
from ..models import base_models
from ..progress import span
from ..wording import gigabytes
from . import architecture
from .config.values import sound

UNSURE = 2.5  # the factor by which the time may be off
LOGITS = 4  # arrays as large as the logits: they, their exponentials, their softmax and their gradient
SCORES = 4  # arrays as large as the attention scores, in the layer whose gradient is being computed
STATES = {"adafactor": 1, "sgd": 1, "muon": 1}  # arrays that an optimizer keeps of what it trains; 2 for the others
EFFICIENCY = 0.5  # of the speed of one large product, in a whole training
NARROW = 64  # the speed of smaller products says nothing
STEP = 0.005  # seconds that a step takes in each layer, however little there is to compute


# --- how large a model is, by the shapes of its weights alone: they are not read --------------------


@dataclass(frozen=True)
class ModelSize:
    """Counts are of numbers, `weights` is in bytes."""

    weights: int
    item: int  # bytes of a number that the layers compute with
    dtype: mx.Dtype
    hidden: int  # width of the states between the layers
    heads: int  # of attention, 0 if unknown
    vocabulary: int
    layers: list[list[tuple[int, int]]]  # for each layer, its matrices as a token meets them: (inputs, outputs)
    trained: int
    adapted: int  # layers, the last ones


def measure(folder: Path, config: dict) -> ModelSize | None:
    """`config`: with valid values, over mlx-lm's defaults. None if the model or its adapter can't be built."""
    described = architecture.model_config(folder)
    try:
        model = base_models.load_lazily(folder)
        arrays = [array for _, array in tree_flatten(model.parameters())]
        floats = [array.dtype for array in arrays if mx.issubdtype(array.dtype, mx.floating)]
        embedding = next(module for _, module in model.named_modules() if hasattr(module, "as_linear"))
        layers = [[*_matrices(layer, _text(described))] for layer in model.layers]
        model.freeze()
        kind, count = config["fine_tune_type"], config["num_layers"]
        shapes = architecture.trained(model, kind, count, config["lora_parameters"])
    except Exception as error:  # whatever an odd model or adapter raises has its own findings
        pass_on(error)
        return None
    return ModelSize(
        weights=sum(array.nbytes for array in arrays),
        item=floats[0].size,
        dtype=floats[0],
        hidden=_text(described).get("hidden_size") or layers[0][0][0],
        heads=_text(described).get("num_attention_heads") or 0,
        vocabulary=embedding.weight.shape[0],
        layers=layers,
        trained=sum(math.prod(shape) for shape in shapes.values()),
        adapted=min(count, len(layers)) if count > 0 else len(layers),
    )


def _text(described: dict) -> dict:
    """The part of a config.json that describes the language model."""
    part = described.get("text_config")
    return part if isinstance(part, dict) else described


def _matrices(layer, described: dict):
    for _, module in layer.named_modules():
        weight = module.get("weight") if hasattr(module, "get") else None
        if weight is None or weight.ndim not in (2, 3) or not architecture.can_be_adapted(module):
            continue
        outputs, inputs = weight.shape[-2:]
        inputs = inputs * 32 // module.bits if "scales" in module else inputs
        experts = described.get("num_experts_per_tok") or 1 if weight.ndim == 3 else 1
        yield from [(inputs, outputs)] * experts


# --- what a run takes ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """Of each row of a split: its tokens, and how many of them are trained."""

    lengths: numpy.ndarray
    trained: numpy.ndarray


def rows(inputs, split: str) -> Rows | None:
    """None if the split has no rows, or none that can be rendered."""
    if split not in inputs.splits:
        return None
    try:
        if inputs.splits[split].schema == "text":
            lengths = numpy.array([len(ids) for ids in inputs.text_ids(split)], dtype=int)
            return Rows(lengths, lengths) if len(lengths) else None
        mask = inputs.loss_mask(split)
        return mask and Rows(mask.lengths, numpy.array([len(trained) for _, trained in mask.rows()], dtype=int))
    except Exception as error:  # tokenizers and templates raise all kinds at odd rows, which have their own findings
        pass_on(error)
        return None


def memory(size: ModelSize, train: Rows, config: dict) -> dict[str, int]:
    """Bytes at the peak of a training, by what they are for: `weights`, `trained` (the adapter, its gradient and the
    optimizer's state), `activations` (kept for the backward pass, in the longest batch) and `logits`.

    `config`: with valid values. With an `ftstudy:` block, logits are computed only where a token is trained.
    """
    tokens, width, logits = _largest_batch(train, config)
    arrays = 2 + STATES.get(config["optimizer"], 2) + (config["grad_accumulation_steps"] > 1)
    scores = size.heads * width
    per_layer = [sum(a + b for a, b in layer) + scores for layer in size.layers[-size.adapted :]]
    at_work = max(per_layer) + (SCORES - 1) * scores  # of the layer whose gradient is being computed
    kept = sum(per_layer)
    if config["grad_checkpoint"]:  # only each layer's input is kept, and one layer is computed again
        kept = min(kept, size.hidden * size.adapted + max(per_layer))
    return {
        "weights": size.weights,
        "trained": size.trained * arrays * (size.item if config["fine_tune_type"] == "full" else 4),
        "activations": tokens * (kept + at_work) * size.item,
        "logits": logits * size.vocabulary * LOGITS * 4,
    }


def _largest_batch(train: Rows, config: dict) -> tuple[int, int, int]:
    """(tokens with padding, tokens of a row, positions with logits) of the batch that takes the most memory."""
    batch, limit = config["batch_size"], config["max_seq_length"]
    longest = numpy.sort(numpy.minimum(train.lengths, limit))[::-1][:batch]
    width = int(longest[0])
    if study(config):  # rows of similar length, of which each core gets some
        return int(longest.sum()), width, int(numpy.sort(train.trained)[::-1][:batch].sum())
    width = min(1 + PAD_TO * -(-width // PAD_TO), limit)  # mlx-lm puts rows of any length into a batch
    return batch * width, width, batch * width


def operations(size: ModelSize, train: Rows, valid: Rows | None, config: dict) -> float:
    """Multiplications and additions of the whole run: all steps, and all evaluations."""
    adapted, every = size.layers[-size.adapted :], size.layers
    forward, through = (2 * sum(a * b for layer in some for a, b in layer) for some in (every, adapted))
    backward = through * (2 if config["fine_tune_type"] == "full" else 1)
    backward += through if config["grad_checkpoint"] else 0
    head = 2 * size.hidden * size.vocabulary

    def once(some: Rows, back: bool) -> numpy.ndarray:
        """Operations of each row."""
        length = numpy.minimum(some.lengths, config["max_seq_length"]).astype(float)
        logits = some.trained if study(config) else length
        attention = 4 * length**2 * size.hidden * (len(every) + 2 * len(adapted) * back)
        return length * (forward + backward * back) + attention + logits * head * (1 + back)

    steps = config["iters"] * config["batch_size"] * once(train, True).mean()
    if valid is None:
        return float(steps)
    asked = len(valid.lengths) if config["val_batches"] == -1 else config["val_batches"] * config["batch_size"]
    evaluations = 1 + -(-config["iters"] // config["steps_per_eval"])
    return float(steps + evaluations * min(asked, len(valid.lengths)) * once(valid, False).mean())


def seconds(size: ModelSize, train: Rows, valid: Rows | None, config: dict) -> float:
    """How long the run takes on this machine, within a factor of UNSURE; measures its speed for a moment."""
    inside, outside = max((one for layer in size.layers for one in layer), key=lambda one: one[0] * one[1])
    tokens = min(2048, _largest_batch(train, config)[0])
    speed = EFFICIENCY * machine.speed(tokens, max(inside, NARROW), max(outside, NARROW), size.dtype)
    steps = config["iters"] * len(size.layers) * STEP
    return operations(size, train, valid, config) / speed + steps


def of(inputs) -> tuple | None:
    """(size, rows of train, rows of valid, config with valid values) of a run; None if something isn't known."""
    if inputs.model is None or inputs.problem is not None:
        return None
    config, train = sound(inputs.config), rows(inputs, "train")
    size = train and measure(inputs.model, config)
    return size and (size, train, rows(inputs, "valid"), config)


def in_words(inputs) -> str:
    """What the run takes on this machine, in a sentence; empty if that can't be known."""
    known = of(inputs)
    if known is None:
        return ""
    size, train, valid, config = known
    took, needed, room = seconds(*known), sum(memory(size, train, config).values()), machine.memory()
    has = f" (this machine has {gigabytes(room)})" if room else ""
    return (
        f"Training would take about {span(took)} on this machine, probably between {span(took / UNSURE)} and "
        f"{span(took * UNSURE)}, and about {gigabytes(needed)} of memory at its peak{has}."
    )
