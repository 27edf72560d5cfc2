"""Can mlx-lm load the base model, and does it suit these rows? Judged by config.json and the
headers of the weights alone."""

import re
from collections.abc import Iterator

from ..files.reading import SETTINGS, read_json
from ..models import loadable
from ..paths import shown
from ..printable import cut
from . import end_token
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
    meaning="The weights' tensors or their shapes aren't those config.json describes.",
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
    cause="mlx-lm would unpack the weights the wrong way, and refuses to load them.",
    fix=loadable.FIXES["quantization"],
    bad='config.json: "quantization": {"bits": 8, …}\nmodel.safetensors: packed in 4 bits',
    good='config.json: "quantization": {"bits": 4, …}\nmodel.safetensors: packed in 4 bits',
)
NO_TEMPLATE = Check(
    "model.no_template",
    ("error",),
    meaning="The tokenizer has no chat template, but the rows are conversations.",
    cause="mlx-lm renders conversations with the tokenizer's chat template, and aborts if there is none. A base "
    "model has none: it was never trained on conversations.",
    fix="Use the model's instruction-tuned variant, often the name plus -Instruct or -it. To train the base model, "
    "write rows of `text` with turn markers and an end token, and have the app prompt in exactly that form.",
    bad="model: meta-llama/Llama-3.2-1B, with rows of messages",
    good="model: meta-llama/Llama-3.2-1B-Instruct, with rows of messages",
)
CHECKS = (DAMAGED, CODE, UNSUPPORTED, TENSORS, QUANTIZATION, NO_TEMPLATE, *end_token.CHECKS)
KINDS = {"chat": "rows of messages", "completion": "rows of a prompt and a completion"}
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
    if inputs.problem is None:
        yield from _template(inputs) if _lacks_template(inputs) else end_token.check(inputs)


def _lacks_template(inputs) -> bool:
    conversations = [split for split in inputs.splits.values() if split.schema in ("chat", "completion")]
    return bool(conversations) and not inputs.has_template


def _template(inputs) -> Iterator[Finding]:
    name, where = inputs.config["model"], shown(inputs.model)
    tuned = re.search(r"(?i)instruct|chat|(?:^|[-_])it(?:$|[-_])", str(name).rstrip("/").rpartition("/")[2])
    yield NO_TEMPLATE.found(
        "error",
        f"{name} has no chat template" + ("" if tuned else ": it is a base model") + ", but the rows are conversations",
        evidence=[
            f"{where}: no chat_template.jinja, and no chat_template in tokenizer_config.json",
            *(f"{split.path.name}: {KINDS[split.schema]}" for split in inputs.splits.values() if split.schema in KINDS),
        ],
        where=where,
        cause="The model's name says that it was trained on conversations, so its template was lost on the way, as "
        "conversions sometimes leave out chat_template.jinja. mlx-lm aborts at the first row without one."
        if tuned
        else None,
        fix="Copy chat_template.jinja, or `chat_template` in tokenizer_config.json, from the original model."
        if tuned
        else None,
    )


def _own_code(folder) -> Iterator[str]:
    for name in ("config.json", "tokenizer_config.json"):
        try:
            config = read_json(folder / name, SETTINGS)
        except (OSError, ValueError):
            continue
        if isinstance(config, dict) and config.get("auto_map"):
            yield f"{name}: auto_map: {cut(str(config['auto_map']), 100)}"
