"""The `ftstudy:` block, which this study's trainer reads and mlx-lm ignores."""

from collections.abc import Iterator

from ...configs import STUDY as OUR_KEYS
from ...configs import GaLore, study, study_errors
from ..findings import Check, Finding
from .ignored_keys import UNKNOWN
from .values import shown_key, shown_line, shown_value

STUDY_BLOCK = Check(
    "config.study_block",
    ("error", "warning", "info"),
    meaning="A value below `ftstudy` that this study's trainer cannot use, or that doesn't go with another key.",
    cause="Training with this config is refused.",
    fix="Set it to {wanted}.",
    bad="fine_tune_type: lora\nftstudy: {train_on: first, method: galore}",
    good="fine_tune_type: full\nftstudy: {train_on: last, method: galore}",
)
CHECKS = (STUDY_BLOCK,)
NEEDS = {"pissa": "lora", "galore": "full"}


def check(inputs) -> Iterator[Finding]:
    yield from _unknown_keys(inputs)
    block = study(inputs.config)
    if block is not None:
        yield from _values(block)
        yield from _together(inputs, block)
        yield from _rows(inputs)


def _unknown_keys(inputs):
    ours = inputs.given.get("ftstudy")
    if ours is not None and not isinstance(ours, dict):
        ours = {"": ours}
    for key in ours.keys() - OUR_KEYS.keys() if ours else ():
        path = f"ftstudy.{shown_key(key)}" if key else "ftstudy"
        yield UNKNOWN.found(
            "warning",
            f"`{shown_line(path, ours[key])}` is not a setting of this study",
            evidence=shown_line(path, ours[key]),
            cause="Nothing reads it.",
            fix=f"Use {', '.join(OUR_KEYS)} below `ftstudy`, or delete it.",
        )


def _values(block: dict):
    for name, value, wanted in study_errors(block):
        key = f"ftstudy.{shown_key(name)}"
        line = f"{key}: {shown_value(value)}"
        yield STUDY_BLOCK.found(
            "error",
            f"`{line}` is not valid" if wanted else f"GaLore has no option `{key}`",
            evidence=line,
            fix=None if wanted else f"Use {', '.join(GaLore.model_fields)}.",
            wanted=wanted,
        )


def _together(inputs, block: dict):
    method, kind = block["method"], inputs.config.get("fine_tune_type")
    both = [shown_line("ftstudy.method", method), shown_line("fine_tune_type", kind)]
    if isinstance(method, str) and NEEDS.get(method, kind) != kind:
        yield STUDY_BLOCK.found(
            "error",
            f"The method {method} doesn't go with `fine_tune_type: {shown_value(kind)}`",
            evidence=both,
            cause="PiSSA initializes LoRA layers; GaLore is an optimizer for full weights. Training is refused.",
            fix=f"Set `fine_tune_type: {NEEDS[method]}`.",
        )
    if block["galore"] and method != "galore":
        yield STUDY_BLOCK.found(
            "warning",
            "`ftstudy.galore` has settings, but the method is not galore",
            evidence=both,
            cause="They are not read.",
            fix="Set `method: galore`, or delete them.",
        )
    lora = inputs.config.get("lora_parameters")
    dropout = lora.get("dropout") if method == "pissa" and isinstance(lora, dict) else None
    if type(dropout) in (int, float) and dropout > 0:
        yield STUDY_BLOCK.found(
            "warning",
            "With PiSSA, dropout drops part of the base model's own weights",
            evidence=f"lora_parameters.dropout: {dropout}",
            cause="PiSSA moves the weights' principal part into the LoRA layers, whose input is dropped out.",
            fix="Set `dropout: 0.0`, as in the paper.",
        )
    if not inputs.config.get("mask_prompt"):
        yield STUDY_BLOCK.found(
            "info",
            "With `ftstudy:` the loss covers only replies; `mask_prompt: false` is not read",
            evidence="mask_prompt: false",
            cause="Plain mlx_lm.lora doesn't read the block, and would train on the prompt too.",
            fix="Set `mask_prompt: true`, so that both do the same.",
        )


def _rows(inputs):
    train = inputs.splits.get("train")
    if inputs.config.get("hf_dataset"):
        what = "a dataset on a hub"
    elif train and train.rows and train.schema == "text":
        what = "plain text, without replies"
    else:
        return
    yield STUDY_BLOCK.found(
        "error",
        f"`ftstudy:` trains on replies, but the data is {what}",
        evidence=f"data: {inputs.config['data']}",
        cause="The study finds replies only in conversations in a local folder.",
        fix="Delete the block to train as mlx-lm does, or extract conversations.",
    )
