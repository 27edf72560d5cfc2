"""The original report's situation, reproduced: its configs, its empty folder, its texts."""

import types
from pathlib import Path

from .. import audit, configs
from ..extract import variant_folder
from ..failures import pass_on
from ..files import write_text
from ..files.folders import replace_folder
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
CONFIG = """\
# A config as the original project wrote them. It is an example for the audit; do not train it.
# mlx-lm ignores lora_layers, lora_rank, lora_alpha and lora_dropout: every run had rank 8, scale 20, dropout 0 and
# 16 layers, whatever its config said. And this config's data folder was empty.
# Written by `make configs`.
model: LiquidAI/LFM2-350M
data: data/personal/category_aware
adapter_path: data/adapters/historical_0.3b_lora_cataware
train: true
iters: 600
batch_size: 4
learning_rate: 2.0e-04
lora_layers: 8
lora_rank: 16
lora_alpha: 32
lora_dropout: 0.05
"""
# The same project after the report's fix, at the size of the demo: its "small test (100 iterations)" was never measured.
FAILING = "broken"  # the run of the demo that fails, `make report RUN=broken`
BROKEN = """\
# The original project as it plausibly was after its first fix, on the demo's model and chats: `make report RUN=broken`.
# There are rows now, and it still comes out worse than its base.
# mlx-lm ignores lora_layers, lora_rank, lora_alpha and lora_dropout, so it trains 16 layers at rank 8 and scale 20. At
# the scale that was meant, lora_alpha / lora_rank = 2, this rate still teaches something; at 20 it destroys.
# Written by `make configs`.
model: data/models/SmolLM2-135M-Instruct
data: data/raw_style_variable
adapter_path: data/adapters/broken_135m_lora_variable
train: true
iters: 60
batch_size: 1
learning_rate: 6.0e-04
lora_layers: 8
lora_rank: 16
lora_alpha: 32
lora_dropout: 0.05
val_batches: 12
"""


def write_configs(folder: Path) -> list[Path]:
    """Write the configs as the original project wrote them: one to audit, and one to study, which fails."""
    written = {"historical_0.3b_lora_cataware.yaml": CONFIG, "broken_135m_lora_variable.yaml": BROKEN}
    for name, text in written.items():
        write_text(folder / name, text)
    return [folder / name for name in written]


def stage(run: Path, data: Path) -> dict:
    """Write the configs from before and after the report's fix into the run's folder, and audit their data.

    `data` has the extracted variants and is only read. `before` and `after` have one entry per config: `config`,
    `data`, `bytes`, `lines` (of train.jsonl), `listing` and `findings`. `trainer` is mlx-lm's own answer to the
    empty folder.
    """
    variants = {"before": VARIANTS, "after": config_matrix.FIXED_VARIANTS}
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
