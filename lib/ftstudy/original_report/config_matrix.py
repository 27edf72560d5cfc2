"""ft_configs/ from one matrix: models × methods × variants of the data (`make configs`).

The same matrix writes what is committed, and configs for a person's own data folder
(`make configs DATA=data/anna`); a variant without data is refused, which the original's
generator did not do.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..chat_format import named_profiles
from ..demo.build import OWNER
from ..errors import StudyError
from ..extract.variant_folder import statistics
from ..extract.variants import VARIANTS
from ..files import write_text
from ..models.base_models import DEMO_MODEL, TINY_MODEL
from ..paths import ROOT, from_root, shown

# The matrix of the original report, before and after its fix. `cataware` is the entry
# whose folder was empty. Paths are relative to the folder that holds the variants.
HISTORICAL_VARIANTS = [
    {"id": "cataware", "path": "category_aware"},
    {"id": "rawstyle", "path": "raw_style"},
]
FIXED_VARIANTS = [
    {"id": "variable", "path": "raw_style_variable"},
    {"id": "rawstyle", "path": "raw_style"},
]
# The report's option A: the same pairs, trained in the form in which the app asked.
OPTION_A = {"id": "wrapped", "path": "wrapped"}


@dataclass(frozen=True)
class Model:
    """How configs name the size, where the model comes from, how many layers are trained, rows a batch."""

    size: str
    source: str
    layers: int = 16
    batch: int = 4


DEMO = Model("135m", f"data/models/{DEMO_MODEL}", layers=8, batch=2)
SAMPLE = Model("tiny", f"data/models/{TINY_MODEL}", layers=2, batch=2)
REPORT = (  # the original's models; 16 layers are what mlx-lm trained there, whatever its configs said
    Model("0.3b", "LiquidAI/LFM2-350M"),
    Model("0.7b", "LiquidAI/LFM2-700M"),
    Model("1.2b", "LiquidAI/LFM2-1.2B"),
    Model("2.6b", "LiquidAI/LFM2-2.6B", batch=2),
)


@dataclass(frozen=True)
class Method:
    """What is said of it, mlx-lm's name for what it trains, learning rate, scale of LoRA layers, and our own block."""

    label: str
    kind: str
    rate: str
    scale: str = ""
    block: str = ""


METHODS = {
    "lora": Method("LoRA", "lora", "2.0e-04", scale="20.0"),
    "dora": Method("DoRA", "dora", "2.0e-04", scale="20.0"),
    # full moves weights that are not small
    "full": Method("All weights of the last layers", "full", "1.0e-05"),
    # its factors begin at the size of the weights, so that they need no scale
    "pissa": Method(
        "PiSSA",
        "lora",
        "2.0e-05",
        scale="1.0",
        block="  method: pissa           # LoRA from the principal singular vectors; plain mlx_lm.lora trains LoRA\n",
    ),
    "galore": Method(
        "GaLore, on all weights of the last layers",
        "full",
        "1.0e-05",
        block=(
            "  method: galore          # Adam in the gradient's main directions; plain mlx_lm.lora trains with Adam\n"
            "  galore:\n    rank: 64\n    update_every: 50\n    scale: 1.0\n"
        ),
    ),
}

TEMPLATE = """\
# {purpose}
# Written by `make configs`; `mlx_lm.lora --config` takes it as it is.
model: {model}
data: {data}
adapter_path: {adapter}
train: true
seed: 0

# what is trained
fine_tune_type: {method}
num_layers: {layers}            # the last {layers} layers
{lora}mask_prompt: true         # loss on the reply; without it, nearly all loss is on the prompt

# how long, and how fast
iters: 100
batch_size: {batch}
learning_rate: {rate}
max_seq_length: 1024

# what is reported
steps_per_report: 10
steps_per_eval: 50
val_batches: 12
save_every: 100

# what mlx-lm has no key for: `make train` reads it, and plain mlx_lm.lora passes over it
ftstudy:
{block}  train_on: last          # the loss is on the reply and its end-of-turn token; `all`: on every reply of a row
  early_stopping: 3       # evaluations in a row that are no better
"""
LORA = """\
lora_parameters:          # replaces mlx-lm's defaults as a whole, so all keys stand here
  rank: 8
  scale: {scale}
  dropout: 0.0
"""
HISTORICAL = """\
# A config as the original wrote them, kept for the audit to find fault with (it is not to be trained):
# mlx-lm reads none of lora_layers, lora_rank, lora_alpha and lora_dropout. Every run had rank 8, scale 20,
# dropout 0 and 16 layers, whatever its config said; and this one's data folder was empty.
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


def write_matrix(
    folder: Path,
    variants: Iterable[dict],
    data: str,
    *,
    prefix: str = "demo",
    models: Iterable[Model] = (DEMO,),
    methods: Iterable[str] = ("lora",),
) -> list[Path]:
    """One config a model, method and variant; `data` is the folder that holds the variants."""
    written = []
    for model in models:
        for method in methods:
            for variant in variants:
                path = folder / f"{prefix}_{model.size}_{method}_{variant['id']}.yaml"
                write_text(path, _config(model, method, variant, data, path.stem))
                written.append(path)
    return written


def _config(model: Model, method: str, variant: dict, data: str, name: str) -> str:
    of = METHODS[method]
    return TEMPLATE.format(
        purpose=f"{of.label}: {Path(model.source).name}, data variant {variant['path']}",
        model=model.source,
        data=f"{data}/{variant['path']}",
        adapter=f"data/adapters/{name}",
        method=of.kind,
        layers=model.layers,
        lora=LORA.format(scale=of.scale) if of.scale else "",
        batch=model.batch,
        rate=of.rate,
        block=of.block,
    )


def check_data(variants: Iterable[dict], data: str | Path) -> None:
    """StudyError for a variant of which the folder holds nothing to train on."""
    for variant in variants:
        folder = from_root(data) / variant["path"]
        if not statistics(folder).get("train", {}).get("examples"):
            how = f"make extract DATA={shown(data)} VARIANT={variant['path']}"
            raise StudyError(
                f"No config is written for `{variant['id']}`: {shown(folder)} has no row in a train.jsonl. "
                + (f"Extract it first ({how} …)." if variant["path"] in VARIANTS else "No variant has that name.")
            )


PROFILE_NOTES = {
    "aligned": "The app builds its prompt as in training: the example's messages, the tokenizer's chat template.",
    "historical": "The original app's prompt: hard-coded ChatML, another system text, the user turn wrapped.",
}


class _Readable(yaml.SafeDumper):
    """Texts of several lines as blocks: a prompt is there to be read."""


_Readable.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def write_profiles(folder: Path, owner: str = OWNER) -> list[Path]:
    """The inference profiles that the study compares, as files for `INFERENCE=…`."""
    written = []
    for name, note in PROFILE_NOTES.items():
        body = yaml.dump(named_profiles(owner)[name], Dumper=_Readable, sort_keys=False, allow_unicode=True, width=1000)
        written.append(folder / f"inference_{name}.yaml")
        write_text(written[-1], f"# {note}\n# Written by `make configs`.\n{body}")
    return written


def write_all(folder: Path) -> list[Path]:
    """What is committed: the demo's and the report's models, the sample, the historical config, the profiles."""
    variants = [*FIXED_VARIANTS, OPTION_A]
    written = write_matrix(folder, variants, "data", methods=METHODS)
    written += write_matrix(folder, variants, "data/personal", prefix="personal", models=REPORT, methods=METHODS)
    written += write_matrix(folder, FIXED_VARIANTS[:1], "reports/sample/data", prefix="sample", models=(SAMPLE,))
    historical = folder / "historical_0.3b_lora_cataware.yaml"
    write_text(historical, HISTORICAL)
    return [*written, historical, *write_profiles(folder)]


def write_for(data: str, folder: Path) -> list[Path]:
    """The report's matrix for a person's own data folder, whose name the configs bear. StudyError: `check_data`."""
    variants = [*FIXED_VARIANTS, OPTION_A]
    check_data(variants, data)
    prefix = from_root(data).name
    return write_matrix(folder, variants, shown(data), prefix=prefix, models=REPORT, methods=METHODS)


if __name__ == "__main__":
    try:
        made = write_for(sys.argv[1], ROOT / "ft_configs") if sys.argv[1:] else write_all(ROOT / "ft_configs")
    except StudyError as error:
        sys.exit(f"ftstudy: {error}")
    print(f"{shown(ROOT / 'ft_configs')}: {len(made)} files")
