"""mlx-lm configs: reading one as mlx-lm would, and generating ft_configs/ from one matrix."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from .base_models import DEMO_MODEL, TINY_MODEL
from .chat_format import named_profiles
from .demo import OWNER
from .errors import StudyError
from .files import write_text
from .paths import ROOT, from_root, shown

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


@dataclass(frozen=True)
class Model:
    """A row of the matrix: how configs name the size, and where the model comes from."""

    size: str
    source: str
    layers: int
    batch: int


DEMO = Model("135m", DEMO_MODEL, layers=8, batch=2)
SAMPLE = Model("tiny", TINY_MODEL, layers=2, batch=2)

TEMPLATE = """\
# {purpose}
# Written by `make configs`; `mlx_lm.lora --config` takes it as it is.
model: {model}
data: {data}
adapter_path: {adapter}
train: true
seed: 0

# what is trained
fine_tune_type: lora
num_layers: {layers}            # the last {layers} layers
lora_parameters:          # replaces mlx-lm's defaults as a whole, so all keys stand here
  rank: 8
  scale: 20.0
  dropout: 0.0
mask_prompt: true         # loss on the reply; without it, nearly all loss is on the prompt

# how long, and how fast
iters: 100
batch_size: {batch}
learning_rate: 2.0e-04
max_seq_length: 1024

# what is reported
steps_per_report: 10
steps_per_eval: 50
val_batches: 6
save_every: 100
"""


def config_name(model: Model, variant: dict, prefix: str) -> str:
    return f"{prefix}_{model.size}_lora_{variant['id']}"


def write_matrix(
    folder: Path,
    variants: list[dict],
    data: str,
    *,
    prefix: str = "demo",
    models: tuple[Model, ...] = (DEMO,),
) -> list[Path]:
    """One config a model and variant; `data` is the folder that holds the variants."""
    written = []
    for model in models:
        for variant in variants:
            name = config_name(model, variant, prefix)
            text = TEMPLATE.format(
                purpose=f"LoRA on {model.source}, data variant {variant['path']}",
                model=f"data/models/{model.source}",
                data=f"{data}/{variant['path']}",
                adapter=f"data/adapters/{name}",
                layers=model.layers,
                batch=model.batch,
            )
            write_text(folder / f"{name}.yaml", text)
            written.append(folder / f"{name}.yaml")
    return written


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


def given(path: str | Path) -> dict:
    """The keys that a config file itself holds. Raises StudyError where there is no file, or
    where it is not a YAML mapping."""
    from mlx_lm.lora import yaml_loader  # reads 1e-5 as a number

    path = from_root(path)
    if not path.is_file():
        raise StudyError(f"There is no config {shown(path)}; name one of ft_configs/*.yaml with CONFIG=… or --config.")
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), yaml_loader)
    # PyYAML's constructors raise the last four kinds themselves, at `2020-99-99`, `._` or `!!bool x`.
    except (yaml.YAMLError, OSError, RecursionError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise StudyError(
            f"{shown(path)} is not readable YAML: {' '.join(str(error).split())}. Mend that line."
        ) from error
    if not isinstance(found, dict):
        raise StudyError(
            f"{shown(path)} holds no `key: value` pairs, so mlx-lm cannot use it; start from one of ft_configs/*.yaml."
        )
    return found


def load(
    path: str | Path, *, data: str | Path | None = None, model: str | None = None, adapter: str | None = None
) -> dict:
    """A config as `mlx_lm.lora --config` sees it: its keys over mlx-lm's defaults.

    `data`, `model` and `adapter` replace the file's; `data` is the folder with train.jsonl, or the
    folder of variants that holds it. `config` is the file's own path. Raises StudyError where there is no file,
    where it is not a YAML mapping, or where its data or model cannot be the name of a file.
    """
    from mlx_lm.lora import CONFIG_DEFAULTS

    path = from_root(path)
    given_keys = {key: value for key, value in given(path).items() if value is not None}
    config = {**CONFIG_DEFAULTS, **given_keys}
    for key, instead in (("data", data), ("model", model)):
        config[key] = str(config[key])  # a number here is a finding of the audit, not a traceback
        try:
            for name in (config[key], instead or ""):
                from_root(name).exists()
                str(name).encode()
        except (OSError, RuntimeError, ValueError) as error:
            raise StudyError(
                f"`{key}` of {shown(path)} cannot be the name of a file or folder: {' '.join(str(error).split())[:200]}. "
                "Correct it."
            ) from error
    if data:
        variant = from_root(data) / Path(config["data"]).name
        config["data"] = shown(variant if variant.is_dir() else from_root(data))
    instead = {"model": model or config["model"], "adapter_path": adapter or config["adapter_path"]}
    return {**config, **instead, "config": shown(path)}


if __name__ == "__main__":
    folder = ROOT / "ft_configs"
    written = write_matrix(folder, FIXED_VARIANTS, "data")
    written += write_matrix(folder, FIXED_VARIANTS[:1], "reports/sample/data", prefix="sample", models=(SAMPLE,))
    for path in written + write_profiles(folder):
        print(shown(path))
