"""The original report's situation, reproduced: its configs, its empty folder, its texts."""

import types
from pathlib import Path

from .. import audit, configs
from ..extract import variant_folder
from ..files.folders import replace_folder
from ..machine_failures import pass_on
from ..paths import absolute, shown
from ..training import config_matrix

# What the report prints as the training text of its example (section "Training Format").
PRINTED_EXAMPLE = {
    "messages": [
        {"role": "system", "content": "You are Jwalin. Reply to text messages..."},
        {"role": "user", "content": "Contact: Hello\nJwalin: Hey"},
        {"role": "assistant", "content": "what's up"},
    ]
}
PRINTED_TRAINING_TEXT = (
    "<|im_start|>system\nYou are Jwalin. Reply to text messages...\n<|im_end|>\n"
    "<|im_start|>user\nContact: Hello\nJwalin: Hey\n<|im_end|>\n"
    "<|im_start|>assistant\nwhat's up<|im_end|>"
)
# Its "Data Statistics": bytes and examples of each split.
PRINTED_STATISTICS = {"train": (5_807_622, 10_000), "valid": (730_799, 1_500), "test": (755_852, 1_500)}
# The original's matrix before its fix, with the folder that was empty.
VARIANTS = [
    {"id": "cataware", "path": "category_aware"},
    {"id": "rawstyle", "path": "raw_style"},
]
# The run of the demo that fails, on ft_configs/broken_135m_lora_variable.yaml.
FAILING = "broken"


def stage(run: Path, data: Path) -> dict:
    """Write the configs from before and after the report's fix into the run's folder, and audit their data.

    `data` has the extracted variants and is only read. `before` and `after` have one entry per config: `config`,
    `data`, `bytes`, `lines` (of train.jsonl), `listing` and `findings`. `trainer` is mlx-lm's own answer to the
    empty folder.
    """
    variants = {"before": VARIANTS, "after": config_matrix.MAIN_VARIANTS}
    with replace_folder(run / "staged") as folder:
        (folder / "data" / "category_aware").mkdir(parents=True)
        for variant in ("raw_style", "raw_style_variable"):
            (folder / "data" / variant).symlink_to(data / variant)
        names = {
            when: [
                path.name
                for path in config_matrix.write_matrix(
                    folder / when, listed, shown(run / "staged" / "data"), prefix="personal"
                )
            ]
            for when, listed in variants.items()
        }
    return {when: [_look(run / "staged" / when / name) for name in found] for when, found in names.items()} | {
        "trainer": trainer_on(run / "staged" / "data" / "category_aware")
    }


def _look(path: Path) -> dict:
    config = configs.load(path)
    folder = absolute(config["data"])
    splits = variant_folder.statistics(folder)
    return {
        "config": path.name,
        "data": config["data"],
        "bytes": sum(part["bytes"] for part in splits.values()),
        "lines": splits.get("train", {}).get("examples", 0),
        "listing": audit.data.listing(folder),
        "findings": audit.report(audit.data.check_data(folder, config["batch_size"]))["findings"],
    }


def trainer_on(folder: Path) -> str:
    """What mlx-lm's own data loading answers to this folder: its error, or how many rows it loads."""
    from mlx_lm.tuner import datasets

    arguments = types.SimpleNamespace(data=str(folder), train=True, test=False)
    try:
        train, _, _ = datasets.load_dataset(arguments, tokenizer=None)
    except Exception as error:  # whatever it raises is the measurement
        pass_on(error)
        return f"{type(error).__name__}: {error}"
    return f"loads {len(train)} rows without an error"
