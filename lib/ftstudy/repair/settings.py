"""Settings of a draft's config: what the audit finds in them, and drafts with some of them changed."""

from mlx_lm.lora import CONFIG_DEFAULTS

from ..audit.config.values import sound
from ..audit.findings import Finding
from ..audit.run_inputs import RunInputs
from .draft import audited

FINE_TUNED, ALL_WEIGHTS = 1e-4, 1e-5  # the recipe's rates, of LoRA layers and of a model's own weights, with Adam


def found(module, draft: dict, inputs: RunInputs, *checks: str) -> list[Finding]:
    """What a module of the audit finds in the draft, of these checks; mere facts are left out."""
    return [one for one in module.check(audited(draft, inputs)) if one.check in checks and one.severity != "info"]


def settings_of(draft: dict, inputs: RunInputs) -> dict:
    """The draft's settings as `sound` gives them: what can't be used is mlx-lm's default."""
    return sound(audited(draft, inputs).config)


def with_key(draft: dict, key: str, value, why: str) -> dict:
    """The draft with a key of its config set; with None, without it. A dotted key is one of a block, which has
    mlx-lm's defaults where the config has no such block."""
    section, _, name = key.rpartition(".")
    config = dict(draft["config"])
    if section:
        block = config.get(section)
        block = dict(block) if isinstance(block, dict) else dict(CONFIG_DEFAULTS.get(section) or {})
        config[section] = block | {name: value}
        if value is None:
            del config[section][name]
    elif value is None:
        config.pop(name, None)
    else:
        config[name] = value
    return draft | {"config": config, "why": draft["why"] | {section or name: why}}


def rate_of(config: dict) -> float:
    """The recipe's learning rate for what a config trains."""
    return ALL_WEIGHTS if config.get("fine_tune_type") == "full" else FINE_TUNED


def rows_in(draft: dict, split: str = "train") -> int:
    return len(draft["rows"].get(split, ()))


def updates(values: dict) -> int:
    """How often a run with these values, `sound` ones, updates the weights."""
    return max(1, values["iters"] // values["grad_accumulation_steps"])
