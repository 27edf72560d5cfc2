"""Does the run fit this machine's memory? If not: which setting to lower, and to what."""

from collections.abc import Iterator

from ...engine import machine
from ...wording import gigabytes, listed
from .. import estimate
from ..findings import Check, Finding

MEMORY = Check(
    "config.memory",
    ("warning",),
    meaning="Training will probably need more memory than this machine has.",
    cause="A process that runs out of memory is killed, or slows down to a crawl as the system swaps. The estimate is "
    "rough, and for this machine only.",
    fix="Lower batch_size, max_seq_length or num_layers, or set `grad_checkpoint: true`.",
    bad="batch_size: 32\nmax_seq_length: 4096  # of a 7B model, on 16 GB",
    good="batch_size: 2\nmax_seq_length: 1024\ngrad_checkpoint: true",
)
CHECKS = (MEMORY,)
LOWEST = {"batch_size": 1, "max_seq_length": 256, "num_layers": 1, "rank": 1}  # below this, another model is better
USUAL_RANK = 128  # higher ones bring little
NAMES = {
    "weights": "the model's weights",
    "trained": "what is trained, with its gradient and the optimizer's state",
    "activations": "the activations of the longest batch",
    "logits": "its logits",
}


def check(inputs) -> Iterator[Finding]:
    """Findings on this machine; another may have others."""
    yield from exceeding(inputs, machine.memory())


def exceeding(inputs, room: int | None) -> Iterator[Finding]:
    """The finding, if the run needs more than `room` bytes."""
    known = estimate.of(inputs) if room else None
    if known is None:
        return
    size, train, _, config = known
    needed = estimate.memory(size, train, config)
    if sum(needed.values()) <= room:
        return
    lower = fitting(inputs, train, config, len(size.layers), room)
    lines = [f"{NAMES[part]}: {gigabytes(bytes)}" for part, bytes in needed.items()]
    yield MEMORY.found(
        "warning",
        f"Training needs about {gigabytes(sum(needed.values()))} of memory, but this machine has {gigabytes(room)}",
        evidence=[*lines, f"this machine: {gigabytes(room)}"],
        fix=_fix(lower),
    )


def fitting(inputs, train: estimate.Rows, config: dict, layers: int, room: int) -> dict | None:
    """The settings that make the run fit, with their values: one setting if that is enough; None if all are not."""
    every = {}
    for key in ("batch_size", "grad_checkpoint", "max_seq_length", "num_layers", "rank"):
        for value in _lower(key, config, train, layers):
            alone, every = {key: value}, every | {key: value}
            if _fits(inputs, train, config, alone, room):
                return alone
    for key in [*every]:  # all at their lowest, then as many of them as are needed
        fewer = {name: value for name, value in every.items() if name != key}
        if not _fits(inputs, train, config, every, room):
            return None
        every = fewer if _fits(inputs, train, config, fewer, room) else every
    return every


def _lower(key: str, config: dict, train: estimate.Rows, layers: int) -> list:
    """The values below the config's, the highest first."""
    if key == "grad_checkpoint":
        return [] if config[key] else [True]
    value = (config["lora_parameters"] or {}).get(key) if key == "rank" else config[key]
    if key == "rank" and config["fine_tune_type"] == "full":
        return []
    if key == "max_seq_length":
        value = min(value, 2 * int(train.lengths.max()))
    if key == "num_layers" and value < 1:
        value = layers
    if key == "rank":
        value = min(value, 2 * USUAL_RANK)
    found = []
    while (value := value // 2) >= LOWEST[key]:
        found.append(value)
    return found


def _fits(inputs, train: estimate.Rows, config: dict, changes: dict, room: int) -> bool:
    changed = config | {key: value for key, value in changes.items() if key != "rank"}
    if "rank" in changes:
        changed["lora_parameters"] = {**config["lora_parameters"], "rank": changes["rank"]}
    size = estimate.measure(inputs.model, changed)
    return size is not None and sum(estimate.memory(size, train, changed).values()) <= room


def _fix(lower: dict | None) -> str:
    if lower is None:
        return "No lower setting makes it fit. Choose a smaller or a quantized model (mlx_lm.convert -q), or another machine."
    words = {"rank": "lora_parameters.rank"}
    said = [f"`{words.get(key, key)}: {str(value).lower()}`" for key, value in lower.items()]
    more = " To keep updates equal, raise grad_accumulation_steps as the batch shrinks." * ("batch_size" in lower)
    cut = " Rows longer than that are cut." * ("max_seq_length" in lower)
    return f"Set {listed(said)}, which is estimated to fit.{more}{cut}"
