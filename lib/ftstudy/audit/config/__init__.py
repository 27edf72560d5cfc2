"""Does the config say what its writer thinks it says? Which keys apply, and what training they make.

`values` looks at single values, `lora` at LoRA's settings, `training` at the
learning rate and how much is trained; here are the keys themselves, and the paths.
"""

import re

from ... import base_models
from ...errors import StudyError
from ...paths import from_root
from ..evidence import listed
from ..findings import finding
from . import lora, training, values
from .trainer_keys import installed, optimizer_options
from .values import shown_key, shown_value, sound

# The block `ftstudy:` of a config is ours: what mlx-lm has no key for.
OUR_KEYS = ("method", "early_stopping", "train_on")
CHECKS = {
    "config.unknown_key": (
        "error or warning",
        "A key that the trainer never reads; it stands in adapter_config.json all the same, as if it had been applied.",
    ),
    "config.dead_key": ("warning", "A key that the trainer declares, but never applies from a config file."),
    "config.train_off": ("error or info", "The config does not say `train: true`, so that running it trains nothing."),
    "config.path": ("error or warning", "A model, adapter or checkpoint that the config names is not there."),
    **values.CHECKS,
    **lora.CHECKS,
    **training.CHECKS,
}
HUB_NAME = r"\w[\w.-]*/\w[\w.-]*"  # organisation/model, which may be downloaded later
FIXES = {
    "lora_parameters.scale": "scale is what PEFT calls alpha / rank",
    "iters": "iterations of one batch each: epochs × rows / batch_size",
    "mask_prompt": "true where only the reply is to be trained",
    "lora_parameters.keys": "a list of names as inside a layer, such as self_attn.q_proj",
    "lr_schedule.warmup": "a number of optimizer updates; lr_schedule needs `name` and `arguments` too",
    "lr_schedule": "a block with `name`, `arguments` and, if wanted, `warmup`",
    "optimizer_config": "a block for each optimizer: `optimizer_config: {adamw: {weight_decay: 0.01}}`",
}


def check(subject) -> list[dict]:
    """Findings on a config's own content. `subject.given` may hold anything."""
    return [
        *_unknown_keys(subject),
        *_optimizer_blocks(subject),
        *_dead_keys(subject),
        *_train_off(subject),
        *_paths(subject),
        *values.check(subject),
        *lora.check(subject),
        *training.check(subject),
    ]


# --- keys -----------------------------------------------------------------------------------


def _unknown_keys(subject) -> list[dict]:
    keys, given, found = installed(), subject.given, []
    top = {key.split(".")[0] for key in keys.live} | keys.dead.keys() | {"ftstudy"}
    for key, value in given.items():
        # By custom a key with one of these marks is nobody's: a place for YAML anchors.
        if isinstance(key, str) and key not in top and not key.startswith(("x-", "_", ".")):
            found.append(_unknown(subject, key, value))
    for name in sorted(top):
        inside = keys.section(name)
        blocks = given.get(name)
        for block in blocks if isinstance(blocks, list) else [blocks]:
            for key, value in block.items() if isinstance(block, dict) and inside else ():
                if key not in inside and not (name == "lora_parameters" and key in lora.ALPHA):
                    found.append(_unknown(subject, key, value, name))
    ours = given.get("ftstudy")
    if isinstance(ours, dict):
        found += [
            _say(
                subject,
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
    elif ours is not None:
        found.append(
            _say(
                subject,
                "config.unknown_key",
                "warning",
                "`ftstudy` is no block of keys",
                f"ftstudy: {shown_value(ours)}",
                "What stands there is not read.",
                f"Write a block with {', '.join(OUR_KEYS)}, or take it out.",
            )
        )
    return found


def _unknown(subject, key, value, section: str = "") -> dict:
    path = f"{section}.{shown_key(key)}" if section else shown_key(key)
    live = installed().meant(key, section) if isinstance(key, str) else None
    title = f"`{path}: {shown_value(value)}` is not read by mlx-lm"
    if live:
        title += f", which {_applied(subject, live)}"
    return _say(
        subject,
        "config.unknown_key",
        "warning",
        title,
        f"{path}: {shown_value(value)}",
        "mlx-lm ignores keys that it does not know, and writes them into adapter_config.json as if they had been applied.",
        f"Set `{live}` instead" + (f" ({FIXES[live]})." if live in FIXES else ".")
        if live
        else "Take the key out, or find its name in mlx-lm's LORA.md.",
    )


def _applied(subject, live: str) -> str:
    """What training really uses in the place of a key that was never read."""
    section, _, name = live.rpartition(".")
    block = subject.config.get(section) if section else subject.config
    value = block.get(name) if isinstance(block, dict) else None
    if value is None or isinstance(value, dict):
        return f"reads `{live}`" + ("" if subject.given.get(section or name) else "; that is not set")
    told = name in subject.given if not section else section in subject.given
    return f"uses {live} {shown_value(value)}, " + ("as the config says there" if told else "its default")


def _optimizer_blocks(subject) -> list[dict]:
    keys, blocks = installed(), subject.given.get("optimizer_config")
    if not isinstance(blocks, dict):
        return []
    chosen = sound(subject.config)["optimizer"]
    takes = {name: optimizer_options(name, keys) for name in (chosen, *keys.optimizers)}
    found = [
        _say(
            subject,
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
            _say(
                subject,
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
                _say(
                    subject,
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


def _dead_keys(subject) -> list[dict]:
    keys = installed()
    return [
        _say(
            subject,
            "config.dead_key",
            "warning",
            f"`{key}: {shown_value(subject.given[key])}` never applies from a config file; "
            f"mlx-lm uses {shown_value(keys.defaults.get(key))}",
            f"{key}: {shown_value(subject.given[key])}",
            f"mlx-lm declares the key, but {why}.",
            "Take it out" + (f", or give `--{key.replace('_', '-')}` on the command line." if key != "config" else "."),
        )
        for key, why in sorted(keys.dead.items())
        # The value that applies anyway does no harm.
        if subject.given.get(key) is not None and subject.given[key] != keys.defaults.get(key)
    ]


def _train_off(subject) -> list[dict]:
    if subject.config.get("train"):
        return []
    tests = bool(subject.config.get("test"))
    return [
        _say(
            subject,
            "config.train_off",
            # Left out, it may be meant to be given on the command line.
            "error" if "train" in subject.given or tests else "info",
            "The config does not say `train: true`, so "
            + ("it evaluates an adapter that is there already" if tests else "running it aborts"),
            f"train: {shown_value(subject.given.get('train', False))}"
            + ("" if "train" in subject.given else "  (mlx-lm's default)"),
            "mlx-lm trains only with `train: true` in the config or `--train` on the command line.",
            "Add `train: true` to the config.",
        )
    ]


# --- paths ----------------------------------------------------------------------------------


def _paths(subject) -> list[dict]:
    config, given, found = subject.config, subject.given, []
    if subject.model is None and not _on_hub(config["model"]):
        try:
            base_models.resolve(config["model"])
        except StudyError as error:
            found.append(
                _path(subject, "error", "model", f"There is no model {shown_key(config['model'])}", str(error))
            )
    for key in ("model", "adapter_path", "resume_adapter_file"):
        if isinstance(given.get(key), str) and given[key].startswith("~") and given[key] == config[key]:
            found.append(
                _path(
                    subject,
                    "warning" if key == "adapter_path" else "error",
                    key,
                    f"`{key}` begins with ~, which mlx-lm does not take for the home folder",
                    "mlx-lm hands the path on as it is"
                    + (", and makes a folder of that name." if key == "adapter_path" else ", and finds nothing there."),
                )
            )
    resumed, adapter = config.get("resume_adapter_file"), config.get("adapter_path")
    if isinstance(resumed, str) and not (place(resumed) and place(resumed).is_file()):
        found.append(
            _path(
                subject,
                "error",
                "resume_adapter_file",
                f"There is no file {shown_key(resumed)} to resume from",
                "mlx-lm aborts after it has loaded the model and the data.",
            )
        )
    if isinstance(adapter, str):
        folder = place(adapter)
        if folder is None or any(path.is_file() for path in (folder, *folder.parents)):
            found.append(
                _path(
                    subject,
                    "error",
                    "adapter_path",
                    f"`adapter_path: {shown_key(adapter)}` cannot be a folder",
                    "mlx-lm makes this folder, and aborts where a file is in the way.",
                )
            )
    return found


def place(name: str):
    """The absolute path of a name; None where the system can have no such path."""
    try:
        path = from_root(name)
        path.stat()
    except FileNotFoundError:
        return path
    except (OSError, RuntimeError, ValueError) as error:
        return path if isinstance(error, NotADirectoryError) else None
    return path


def _on_hub(name: str) -> bool:
    return bool(re.fullmatch(HUB_NAME, name)) and not from_root(name.split("/")[0]).is_dir()


def _path(subject, severity, key, title, cause) -> dict:
    return _say(
        subject,
        "config.path",
        severity,
        title,
        f"{key}: {shown_value(subject.config[key])}",
        cause,
        f"Correct `{key}`; a path counts from the folder in which mlx-lm is started.",
    )


def _say(subject, check, severity, title, evidence, cause, fix) -> dict:
    return finding(check, severity, title, evidence=listed([evidence]), cause=cause, fix=fix, where=subject.where)
