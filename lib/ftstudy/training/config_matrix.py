"""Configs from one matrix: models × methods × variants of the data.

`write_examples` writes the few that are committed in ft_configs/. `make configs` writes the whole matrix into
ft_configs/generated/, also for your own data (`make configs DATA=data/anna`). A variant without data is refused;
the original's generator wrote its config all the same.
"""

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
from ..models.base_models import DEMO_MODEL
from ..paths import absolute, shown

# Paths are relative to the folder with the variants.
MAIN_VARIANTS = [
    {"id": "variable", "path": "raw_style_variable"},
    {"id": "rawstyle", "path": "raw_style"},
]
# The report's option A: the same pairs, trained in the form in which the app asks.
OPTION_A = {"id": "wrapped", "path": "wrapped"}


@dataclass(frozen=True)
class Model:
    """`size` is its name in file names, `source` a folder or hub name; `layers` are trained, `batch` rows at a time."""

    size: str
    source: str
    layers: int = 16
    batch: int = 4


DEMO = Model("135m", f"data/models/{DEMO_MODEL}", layers=8, batch=2)
SAMPLE = Model("tiny", "data/sample/tiny-chat", layers=4, batch=8)
REPORT = (  # the original's models; mlx-lm trained 16 layers of them, whatever its configs said
    Model("0.3b", "LiquidAI/LFM2-350M"),
    Model("0.7b", "LiquidAI/LFM2-700M"),
    Model("1.2b", "LiquidAI/LFM2-1.2B"),
    Model("2.6b", "LiquidAI/LFM2-2.6B", batch=2),
)


@dataclass(frozen=True)
class Method:
    """`kind` is mlx-lm's fine_tune_type, `scale` that of LoRA layers, `block` the method's lines under `ftstudy:`."""

    label: str
    kind: str
    rate: str
    scale: str = ""
    block: str = ""


METHODS = {
    "lora": Method("LoRA", "lora", "2.0e-04", scale="20.0"),
    "dora": Method("DoRA", "dora", "2.0e-04", scale="20.0"),
    # large weights need small steps
    "full": Method("All weights of the last layers", "full", "1.0e-05"),
    # its factors start at the size of the weights, so they need no scale
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
# Written by `make configs`. `mlx_lm.lora --config` reads it too.
model: {model}
data: {data}
adapter_path: {adapter}
train: true
seed: 0

# what is trained
fine_tune_type: {method}
num_layers: {layers:<14}# the last {layers} layers
{lora}mask_prompt: true         # loss on the reply only; otherwise most of it is on the prompt

# how long, and how fast
iters: 100
batch_size: {batch}
learning_rate: {rate}
max_seq_length: 1024

# how often it reports, evaluates and saves
steps_per_report: 10
steps_per_eval: 50
val_batches: 12
save_every: 100

# settings that mlx-lm does not have: `make train` reads them, mlx_lm.lora ignores them
ftstudy:
{block}  train_on: last          # loss on the last reply and its end-of-turn token; `all`: on every reply in the row
  early_stopping: 3       # stop after this many evaluations without improvement
"""
LORA = """\
lora_parameters:          # replaces all of mlx-lm's defaults, so list every key
  rank: 8
  scale: {scale}
  dropout: 0.0
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
    """Write one config per model, method and variant. `data` is the folder with the variants."""
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
    """StudyError for a variant without training rows in the folder `data`."""
    for variant in variants:
        folder = absolute(data) / variant["path"]
        if not statistics(folder).get("train", {}).get("examples"):
            how = f"make extract DATA={shown(data)} VARIANT={variant['path']}"
            raise StudyError(
                f"Not writing a config for `{variant['id']}`: {shown(folder)} has no training rows (train.jsonl). "
                + (f"Extract them first ({how} …)." if variant["path"] in VARIANTS else "No variant has that name.")
            )


PROFILE_NOTES = {
    "aligned": "The app builds its prompt as in training: the example's messages, the tokenizer's chat template.",
    "historical": "The original app's prompt: hard-coded ChatML, another system text, the user turn wrapped.",
}


class _Readable(yaml.SafeDumper):
    """Writes a text of several lines as a block, so that prompts can be read."""


_Readable.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def write_profiles(folder: Path, owner: str = OWNER) -> list[Path]:
    """Write the study's own inference profiles as files, which `INFERENCE=…` takes."""
    written = []
    for name, note in PROFILE_NOTES.items():
        body = yaml.dump(named_profiles(owner)[name], Dumper=_Readable, sort_keys=False, allow_unicode=True, width=1000)
        written.append(folder / f"inference_{name}.yaml")
        write_text(written[-1], f"# {note}\n# Written by `make configs`.\n{body}")
    return written


ALL_VARIANTS = [*MAIN_VARIANTS, OPTION_A]


def write_examples(folder: Path) -> list[Path]:
    """Write the configs that are committed: each method on the demo, the report's models, the sample, the profiles."""
    variants = MAIN_VARIANTS[:1]
    written = write_matrix(folder, variants, "data", methods=METHODS)
    written += write_matrix(folder, variants, "data/personal", prefix="personal", models=REPORT[:3])
    written += write_matrix(folder, variants, "reports/sample/data", prefix="sample", models=(SAMPLE,))
    return written + write_profiles(folder)


def write_all(folder: Path) -> list[Path]:
    """Write the whole matrix: every model, method and variant, for the demo's data and for data/personal."""
    written = write_matrix(folder, ALL_VARIANTS, "data", methods=METHODS)
    return written + write_matrix(
        folder, ALL_VARIANTS, "data/personal", prefix="personal", models=REPORT, methods=METHODS
    )


def write_for(data: str | Path, folder: Path) -> list[Path]:
    """Write the report's models × methods × variants for your data folder, named after it.

    Raises StudyError if a variant has no training rows.
    """
    check_data(ALL_VARIANTS, data)
    prefix = absolute(data).name
    return write_matrix(folder, ALL_VARIANTS, shown(data), prefix=prefix, models=REPORT, methods=METHODS)
