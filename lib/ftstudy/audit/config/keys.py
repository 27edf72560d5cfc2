"""The keys themselves: those that mlx-lm never reads, and those that never apply."""

from ...configs import STUDY as OUR_KEYS
from . import lora
from .trainer_keys import installed, optimizer_options
from .values import enumerated, say, shown_key, shown_value, sound

CHECKS = {
    "config.unknown_key": (
        "error or warning",
        "A key that the trainer never reads; it stands in adapter_config.json all the same, as if it had been applied.",
    ),
    "config.dead_key": (
        "warning or info",
        "A key that the trainer declares, but never applies from a config file, or not beside the other keys.",
    ),
    "config.train_off": ("error or info", "The config does not say `train: true`, so that running it trains nothing."),
}
IGNORED = (
    "mlx-lm ignores keys that it does not know, and writes them into adapter_config.json as if they had been applied."
)
FIXES = {
    "lora_parameters": "a block with `rank`, `scale` and `dropout`, and `keys` if wanted",
    "lora_parameters.scale": "scale is what PEFT calls alpha / rank",
    "iters": "iterations of one batch each: epochs × rows / batch_size",
    "mask_prompt": "true where only the reply is to be trained",
    "lora_parameters.keys": "a list of names as inside a layer, such as self_attn.q_proj",
    "lr_schedule.warmup": "a number of optimizer updates; lr_schedule needs `name` and `arguments` too",
    "lr_schedule": "a block with `name`, `arguments` and, if wanted, `warmup`",
    "lr_schedule.arguments": "a list: the first rate, then what the schedule takes besides",
    "optimizer_config": "a block for each optimizer: `optimizer_config: {adamw: {weight_decay: 0.01}}`",
    "fine_tune_type": "lora, dora or full",
    "data": "a folder with train.jsonl, valid.jsonl and test.jsonl",
}


def check(inputs) -> list[dict]:
    return [
        *_unknown_keys(inputs),
        *_our_keys(inputs),
        *_optimizer_blocks(inputs),
        *_dead_keys(inputs),
        *_train_off(inputs),
    ]


def _unknown_keys(inputs) -> list[dict]:
    keys, given, found = installed(), inputs.given, []
    top = {key.split(".")[0] for key in keys.live} | keys.dead.keys() | {"ftstudy"}
    for key, value in given.items():
        # By custom a key with one of these marks is nobody's: a place for YAML anchors.
        if isinstance(key, str) and key not in top and not key.startswith(("x-", "_", ".")):
            found.append(_unknown(inputs, key, value))
    for name in sorted(top):
        inside = keys.section(name)
        blocks = given.get(name)
        for block in blocks if isinstance(blocks, list) else [blocks]:
            for key, value in block.items() if isinstance(block, dict) and inside else ():
                if key not in inside and not (name == "lora_parameters" and key in lora.ALPHA):
                    found.append(_unknown(inputs, key, value, name))
    return found


def _our_keys(inputs) -> list[dict]:
    ours = inputs.given.get("ftstudy")
    if ours is None:
        return []
    if not isinstance(ours, dict):
        return [
            say(
                inputs,
                "config.unknown_key",
                "warning",
                "`ftstudy` is no block of keys",
                f"ftstudy: {shown_value(ours)}",
                "What stands there is not read.",
                f"Write a block with {', '.join(OUR_KEYS)}, or take it out.",
            )
        ]
    return [
        say(
            inputs,
            "config.unknown_key",
            "warning",
            f"`ftstudy.{shown_key(key)}` is no key of this study",
            f"ftstudy.{shown_key(key)}: {shown_value(value)}",
            "Nothing reads it.",
            f"Use one of {', '.join(OUR_KEYS)}, or take it out.",
        )
        for key, value in ours.items()
        if key not in OUR_KEYS
    ]


def _unknown(inputs, key, value, section: str = "") -> dict:
    keys, path = installed(), f"{section}.{shown_key(key)}" if section else shown_key(key)
    if key in OUR_KEYS and not section:
        return _below_ours(inputs, key, value)
    live = keys.meant(key, section) if isinstance(key, str) else None
    if (
        isinstance(value, dict)
        and not section
        and live not in {name.split(".")[0] for name in keys.live if "." in name}
    ):
        # What stands inside tells more than what the block is called: `lora: {rank: 8}`, `training: {iters: 5}`.
        home = keys.home(value)
        if home == "":
            return _nested(inputs, key, value)
        live = home or live
    title = f"`{path}: {shown_value(value)}` is not read by mlx-lm"
    if live:
        title += f", which {_applied(inputs, live)}"
    return say(
        inputs,
        "config.unknown_key",
        "warning",
        title,
        f"{path}: {shown_value(value)}",
        IGNORED,
        f"Set `{live}` instead" + (f" ({FIXES[live]})." if live in FIXES else ".")
        if live
        else "Take the key out, or find its name in mlx-lm's LORA.md.",
    )


def _below_ours(inputs, key: str, value) -> dict:
    return say(
        inputs,
        "config.unknown_key",
        "warning",
        f"`{key}: {shown_value(value)}` is not read by mlx-lm, and by this study only below `ftstudy`",
        f"{key}: {shown_value(value)}",
        IGNORED,
        f"Write `ftstudy: {{{key}: {shown_value(value)}}}`, or take it out.",
    )


def _nested(inputs, key: str, block: dict) -> dict:
    names = dict.fromkeys(name for inner in block if isinstance(inner, str) and (name := installed().named(inner)))
    return say(
        inputs,
        "config.unknown_key",
        "warning",
        f"`{shown_key(key)}: {shown_value(block)}` is not read by mlx-lm: its keys belong at the top level",
        f"{shown_key(key)}: {shown_value(block)}",
        IGNORED,
        f"Write {enumerated([f'`{name}`' for name in names])} at the top level, not below `{shown_key(key)}`.",
    )


def _applied(inputs, live: str) -> str:
    """What training really uses in the place of a key that was never read."""
    section, _, name = live.rpartition(".")
    block = inputs.config.get(section) if section else inputs.config
    value = block.get(name) if isinstance(block, dict) else None
    if value is None or isinstance(value, dict):
        return f"reads `{live}`" + ("" if inputs.given.get(section or name) else "; that is not set")
    told = name in inputs.given if not section else section in inputs.given
    return f"uses {live} {shown_value(value)}, " + ("as the config says there" if told else "its default")


def _optimizer_blocks(inputs) -> list[dict]:
    keys, blocks = installed(), inputs.given.get("optimizer_config")
    if not isinstance(blocks, dict):
        return []
    chosen = sound(inputs.config)["optimizer"]
    takes = {name: optimizer_options(name, keys) for name in (chosen, *keys.optimizers)}
    found = [
        say(
            inputs,
            "config.unknown_key",
            "warning",
            f"`optimizer_config.{shown_key(name)}` is not read by mlx-lm",
            f"optimizer_config: {{{shown_key(name)}: {shown_value(value)}}}",
            f"Below optimizer_config stands a block for each optimizer, and mlx-lm reads the one of `{chosen}`.",
            f"Write `optimizer_config: {{{host}: {{{shown_key(name)}: {shown_value(value)}}}}}`, with `optimizer: {host}`."
            if (host := next((host for host, options in takes.items() if name in options), None))
            else f"Use one of {', '.join(keys.optimizers)}.",
        )
        for name, value in blocks.items()
        if name not in keys.optimizers
    ]
    others = sorted(name for name in keys.optimizers if name != chosen and blocks.get(name))
    if others and chosen not in blocks:
        found.append(
            say(
                inputs,
                "config.dead_key",
                "warning",
                f"`optimizer_config` holds settings of {', '.join(others)}, but the optimizer is {chosen}",
                f"optimizer: {chosen}",
                "mlx-lm reads the block of the chosen optimizer alone.",
                f"Set `optimizer: {others[0]}`, or move the settings to `{chosen}`.",
            )
        )
    options = blocks.get(chosen)
    for option, value in options.items() if isinstance(options, dict) else ():
        if option not in takes[chosen]:
            found.append(
                say(
                    inputs,
                    "config.unknown_key",
                    "error",
                    f"The optimizer {chosen} has no option `{shown_key(option)}`",
                    f"optimizer_config.{chosen}.{shown_key(option)}: {shown_value(value)}",
                    "mlx-lm hands the block to the optimizer as it is, which aborts the run."
                    + (" The learning rate is handed over apart." if option == "learning_rate" else ""),
                    f"Use {', '.join(takes[chosen])}, or take it out.",
                )
            )
    return found


def _dead_keys(inputs) -> list[dict]:
    keys = installed()
    return [
        say(
            inputs,
            "config.dead_key",
            "warning",
            f"`{key}: {shown_value(inputs.given[key])}` never applies from a config file; "
            f"mlx-lm uses {shown_value(keys.defaults.get(key))}",
            f"{key}: {shown_value(inputs.given[key])}",
            f"mlx-lm declares the key, but {why}.",
            "Take it out" + (f", or give `--{key.replace('_', '-')}` on the command line." if key != "config" else "."),
        )
        for key, why in sorted(keys.dead.items())
        # The value that applies anyway does no harm.
        if inputs.given.get(key) is not None and inputs.given[key] != keys.defaults.get(key)
    ]


def _train_off(inputs) -> list[dict]:
    if inputs.config.get("train"):
        return []
    tests = bool(inputs.config.get("test"))
    return [
        say(
            inputs,
            "config.train_off",
            # Left out, it may be meant to be given on the command line.
            "error" if "train" in inputs.given or tests else "info",
            "The config does not say `train: true`, so "
            + ("it evaluates an adapter that is there already" if tests else "running it aborts"),
            f"train: {shown_value(inputs.given.get('train', False))}"
            + ("" if "train" in inputs.given else "  (mlx-lm's default)"),
            "mlx-lm trains only with `train: true` in the config or `--train` on the command line.",
            "Add `train: true` to the config.",
        )
    ]
