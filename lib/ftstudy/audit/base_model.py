"""Can mlx-lm load the base model? From its config.json and the headers of its weights alone."""

from collections.abc import Iterator

from ..files.reading import SETTINGS, read_json
from ..models import loadable
from ..paths import shown
from ..printable import cut
from .evidence import listed
from .findings import Check, Finding

DAMAGED = Check(
    "model.damaged",
    ("error",),
    meaning="A file of the base model is missing, cut off, or isn't what its name says.",
    cause="mlx-lm cannot load the model, so it cannot train it.",
    fix=loadable.FIXES["damaged"],
    bad="model.safetensors: its header announces 270 MB, the file has 12",
    good="model.safetensors: as long as its header says",
)
CODE = Check(
    "model.code",
    ("error", "info"),
    meaning="The base model brings its own code: in `model_file`, without which mlx-lm can't load it (an error), or "
    "in `auto_map`, which mlx-lm doesn't need.",
    cause="Loading such a model runs whatever its author wrote. Neither this study nor mlx-lm runs it unless asked to "
    "with trust_remote_code.",
    fix=loadable.FIXES["code"],
    bad='config.json: "model_file": "model.py"',
    good='config.json: "model_type": "llama"',
)
UNSUPPORTED = Check(
    "model.unsupported",
    ("error",),
    meaning="mlx-lm has no such `model_type`, or cannot build a model from config.json's values.",
    cause="mlx-lm aborts before it trains anything.",
    fix=loadable.FIXES["unsupported"],
    bad='config.json: "model_type": "lama"',
    good='config.json: "model_type": "llama"',
)
TENSORS = Check(
    "model.tensors",
    ("error",),
    meaning="The weights have other tensors, or of other shapes, than config.json describes.",
    cause="config.json and the weights come from different models, or one of them was edited. mlx-lm refuses to load "
    "them.",
    fix=loadable.FIXES["tensors"],
    bad='config.json: "hidden_size": 960\nmodel.safetensors: model.norm.weight: (576,)',
    good='config.json: "hidden_size": 576\nmodel.safetensors: model.norm.weight: (576,)',
)
QUANTIZATION = Check(
    "model.quantization",
    ("error",),
    meaning="`quantization` in config.json doesn't fit the weights: other bits or groups, or one of the two without "
    "the other.",
    cause="mlx-lm would unpack the weights in another way than they were packed, and refuses to load them.",
    fix=loadable.FIXES["quantization"],
    bad='config.json: "quantization": {"bits": 8, …}\nmodel.safetensors: packed in 4 bits',
    good='config.json: "quantization": {"bits": 4, …}\nmodel.safetensors: packed in 4 bits',
)
CHECKS = (DAMAGED, CODE, UNSUPPORTED, TENSORS, QUANTIZATION)
OF_KIND = dict(zip(loadable.FIXES, CHECKS))


def check(inputs) -> list[Finding]:
    """Findings on the base model's folder; none if it is missing, which the config's checks report."""
    return [] if inputs.model is None else [*_found(inputs)]


def _found(inputs) -> Iterator[Finding]:
    where, name = shown(inputs.model), inputs.config["model"]
    if problem := inputs.problem:
        title = f"mlx-lm cannot load {name}: {problem.what}"
        yield OF_KIND[problem.kind].found("error", title, evidence=listed(problem.evidence), where=where)
    elif lines := [*_own_code(inputs.model)]:
        title = f"{name} brings its own code, which is not run"
        yield CODE.found("info", title, evidence=lines, where=where, fix="No action needed.")


def _own_code(folder) -> Iterator[str]:
    for name in ("config.json", "tokenizer_config.json"):
        try:
            config = read_json(folder / name, SETTINGS)
        except (OSError, ValueError):
            continue
        if isinstance(config, dict) and config.get("auto_map"):
            yield f"{name}: auto_map: {cut(str(config['auto_map']), 100)}"
