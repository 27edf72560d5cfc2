"""The block `ftstudy:`, which the study's own trainer reads and mlx-lm passes over."""

from ...configs import STUDY, study
from .values import say, shown_key, shown_value

CHECKS = {
    "config.study_block": (
        "error, warning or info",
        "Below `ftstudy`: a value that the study's trainer cannot use, or one that does not go with another key.",
    ),
}
# What each key may be, and how that is said.
ALLOWED = {
    "train_on": (lambda value: value in ("last", "all"), "`last` or `all`"),
    "method": (lambda value: value in (None, "pissa", "galore"), "`pissa` or `galore`, or out"),
    "early_stopping": (lambda value: _whole(value, 0), "a whole number of evaluations, or 0 for never"),
    "galore": (lambda value: isinstance(value, dict), "a block with rank, update_every and scale"),
}
GALORE = {
    "rank": (lambda value: _whole(value, 1), "a whole number from 1"),
    "update_every": (lambda value: _whole(value, 1), "a whole number from 1, of updates"),
    "scale": (lambda value: type(value) in (int, float) and value > 0, "a number above 0"),
}
NEEDS = {"pissa": "lora", "galore": "full"}


def check(inputs) -> list[dict]:
    block = study(inputs.config)
    if block is None:
        return []
    return [*_values(inputs, block), *_together(inputs, block), *_rows(inputs)]


def _whole(value, least: int) -> bool:
    return type(value) is int and value >= least


def _values(inputs, block: dict) -> list[dict]:
    options = block["galore"] if isinstance(block["galore"], dict) else {}
    given = [(f"ftstudy.{key}", block[key], *ALLOWED[key]) for key in STUDY]
    given += [(f"ftstudy.galore.{key}", value, *GALORE[key]) for key, value in options.items() if key in GALORE]
    found = [
        _say(
            inputs,
            "error",
            f"`{key}: {shown_value(value)}` is none of its values",
            f"{key}: {shown_value(value)}",
            "The run would not begin, or not do what it says.",
            f"Set it to {may_be}.",
        )
        for key, value, is_allowed, may_be in given
        if not is_allowed(value)
    ]
    for key in [key for key in options if key not in GALORE]:
        told = f"ftstudy.galore.{shown_key(key)}"
        found.append(
            _say(
                inputs,
                "error",
                f"GaLore has no option `{shown_key(key)}`",
                f"{told}: {shown_value(options[key])}",
                "The run would not begin.",
                f"Use {', '.join(GALORE)}.",
            )
        )
    return found


def _together(inputs, block: dict) -> list[dict]:
    found, method, kind = [], block["method"], inputs.config.get("fine_tune_type")
    told = [f"ftstudy.method: {shown_value(method)}", f"fine_tune_type: {shown_value(kind)}"]
    if isinstance(method, str) and NEEDS.get(method, kind) != kind:
        found.append(
            _say(
                inputs,
                "error",
                f"The method {method} does not go with `fine_tune_type: {shown_value(kind)}`",
                told,
                "PiSSA is another start for LoRA layers; GaLore is an optimizer for whole weights. The run would not begin.",
                f"Set `fine_tune_type: {NEEDS[method]}`.",
            )
        )
    if block["galore"] and method != "galore":
        found.append(
            _say(
                inputs,
                "warning",
                "`ftstudy.galore` holds settings, and the method is not galore",
                told,
                "They are not read.",
                "Set `method: galore`, or take them out.",
            )
        )
    lora = inputs.config.get("lora_parameters")
    dropout = lora.get("dropout") if method == "pissa" and isinstance(lora, dict) else None
    if type(dropout) in (int, float) and dropout > 0:
        found.append(
            _say(
                inputs,
                "warning",
                "Dropout with PiSSA drops a part of the base model's own weights",
                f"lora_parameters.dropout: {dropout}",
                "PiSSA's layers begin with the weights' principal part, which is "
                "dropped out like the rest of a LoRA layer's input.",
                "Set `dropout: 0.0`, as in the paper.",
            )
        )
    if not inputs.config.get("mask_prompt"):
        found.append(
            _say(
                inputs,
                "info",
                "With `ftstudy:` the loss is on replies alone; `mask_prompt: false` is not read",
                "mask_prompt: false",
                "Plain mlx_lm.lora, which does not read the block, would train the prompt, too.",
                "Set `mask_prompt: true`, so that both do the same.",
            )
        )
    return found


def _rows(inputs) -> list[dict]:
    train = inputs.splits.get("train")
    if inputs.config.get("hf_dataset"):
        what = "a dataset from a hub"
    elif train and train.rows and train.schema == "text":
        what = "plain text, without replies"
    else:
        return []
    return [
        _say(
            inputs,
            "error",
            f"`ftstudy:` trains replies, and the data is {what}",
            f"data: {inputs.config['data']}",
            "Which tokens are a reply can be told of conversations in a local folder only.",
            "Take the block out, so that mlx-lm's own rules hold, or extract conversations.",
        )
    ]


def _say(inputs, severity, title, evidence, cause, fix) -> dict:
    return say(inputs, "config.study_block", severity, title, evidence, cause, fix)
