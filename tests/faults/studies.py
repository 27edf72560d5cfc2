"""A clean run as a user would set it up, in a folder of its own: the start of every case, and a control.

data/{train,valid,test,meta}.jsonl  config.yaml  profile.yaml  model/  adapter/  fused/  app/  Modelfile  robin.gguf
"""

import json
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from threading import Lock
from unittest import mock

import yaml
from ftstudy import audit, chat_format
from ftstudy.files import write_json, write_jsonl
from ftstudy.models import base_models
from fusing import fuse, quantize
from served_models import CHATML_ONCE, GEMMA, write_gguf
from templates import tokenizer_folder

from . import conversations, forms

CHATML = chat_format.CHATML % "{context}"


@dataclass(frozen=True)
class Plan:
    """What a clean run is made of. `profile` is a profile's keys, "captured", "ollama" or "gguf" for one
    with a file, or None for no profile."""

    persona: str = "texter"
    template: str = "chatml"
    train: int = 200
    form: str = "plain"
    system: bool = True
    profile: tuple | str | None = (("kind", "messages"),)
    meta: bool = True
    adapter: bool = False
    fused: bool = False  # of a model that is wide enough to be quantized, to so many bits:
    bits: int = 0  # 0: not quantized
    rows: str = ""  # the form of the rows, one of FORMS; "": messages with texts
    without: tuple = ()  # splits that have no file
    config: tuple = ()  # changed keys


FORMS = {
    "calls": forms.calling(),
    "calls before": forms.called_before,
    "calls as text": forms.call_as_text,
    "parts": forms.in_parts,
    "thoughts": forms.thinking(),
    "labels": forms.labelled("Answer: {}"),
    "several": forms.several,
    "pairs": forms.completion,
    "chatml": forms.text(forms.IN_CHATML),
    "mistral": forms.text(forms.MISTRAL),
    "qa": forms.text(forms.QA),
}
TEXTS = ("chatml", "mistral", "qa")
UNMASKED = (("mask_prompt", False),)
PLANS = {
    "texter-chatml": Plan(),
    "texter-chatml-12": Plan(train=12, meta=False),
    "texter-think": Plan(template="think", train=60),
    "formal-smollm2": Plan("formal", "smollm2", profile=(("kind", "template"), ("template", CHATML))),
    "bilingual-llama3": Plan("bilingual", "llama3", train=100, profile="captured"),
    "emoji-chatml_bos": Plan("emoji", "chatml_bos", train=120),
    "persian-gemma": Plan("persian", "gemma", train=60, system=False),
    "hindi-mistral": Plan("hindi", "mistral", train=60),
    "labels-qwen3": Plan("labels", "qwen3", train=80),
    "stock-chatml": Plan("stock", train=240),
    "stock-mistral-tagged": Plan("stock", "mistral", form="tagged"),
    "turns-llama3": Plan("emoji", "llama3", train=80, form="turns"),
    "turns-gemma": Plan("bilingual", "gemma", train=80, form="turns", system=False),
    "turns-chatml": Plan(train=80, form="turns"),
    "nosystem-smollm2": Plan(template="smollm2", train=60, system=False),
    "nosystem-chatml_bos": Plan("labels", "chatml_bos", train=60, system=False),
    "wrapped-chatml": Plan(train=60, form="wrapped"),
    "app-chatml": Plan(train=60, profile=(("kind", "callable"), ("function", "faults.apps:the_examples_messages"))),
    "app-qwen3": Plan(
        "labels", "qwen3", train=60, profile=(("kind", "callable"), ("function", "faults.apps:qwen_without_thinking"))
    ),
    "configured-chatml": Plan(
        "labels", config=(("optimizer", "AdamW"), ("num_layers", -1), ("lora_parameters", None), ("batch_size", 8))
    ),
    "unasked-llama3": Plan("labels", "llama3", train=60, profile=None),
    "ollama-chatml": Plan(train=60, profile="ollama"),
    "ollama-gemma": Plan("persian", "gemma", train=60, system=False, profile="ollama"),
    "gguf-llama3": Plan("formal", "llama3", train=60, profile="gguf"),
    "trained-chatml": Plan(train=60, adapter=True),
    "trained-gemma": Plan("formal", "gemma", train=60, system=False, adapter=True),
    "calls-tools": Plan(template="tools", train=60, system=False, meta=False, rows="calls"),
    "calls-before-tools": Plan("formal", "tools_of_text", train=60, meta=False, rows="calls before"),
    "calls-tags": Plan("labels", "tags", train=60, meta=False, rows="calls as text"),
    "parts-parts": Plan("bilingual", "parts", train=60, meta=False, rows="parts"),
    "thoughts-thoughts": Plan(template="thoughts", train=60, meta=False, rows="thoughts"),
    "answers-smollm2": Plan("formal", "smollm2", train=60, meta=False, rows="labels"),
    "several-llama3": Plan("emoji", "llama3", train=60, meta=False, rows="several"),
    "pairs-chatml": Plan(train=60, meta=False, rows="pairs"),
    "notest-chatml": Plan(train=60, meta=False, without=("test",)),
    "text-smollm2": Plan(template="smollm2", train=60, meta=False, rows="chatml", config=UNMASKED),
    "text-mistral": Plan("formal", "mistral", train=60, meta=False, rows="mistral", config=UNMASKED),
    "text-qa": Plan(
        template="smollm2",
        train=60,
        meta=False,
        rows="qa",
        config=UNMASKED,
        profile=(("kind", "template"), ("template", forms.ASKED)),
    ),
    "fused-chatml": Plan(train=60, adapter=True, fused=True),
    "fused-chatml-8bit": Plan(train=60, adapter=True, fused=True, bits=8),
}
APP = """\
from mlx_lm import generate, load

model, tokenizer = load("models/mine")


def reply(messages):
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    return generate(model, tokenizer, prompt=prompt, max_tokens=200)
"""
BATCH = 4
ONE_CACHE = Lock()
CONFIG = {
    "train": True,
    "seed": 0,
    "fine_tune_type": "lora",
    "num_layers": 1,
    "lora_parameters": {"rank": 8, "scale": 20.0, "dropout": 0.0},
    "mask_prompt": True,
    "batch_size": BATCH,
    "learning_rate": 1e-4,
    "max_seq_length": 2048,
    "steps_per_report": 10,
    "steps_per_eval": 50,
    "val_batches": -1,
    "save_every": 100,
}


@dataclass
class Study:
    """The folder of one run, and the ways in which cases read and change it."""

    folder: Path
    plan: Plan

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def owner(self) -> str:
        return conversations.PERSONAS[self.plan.persona][0]

    @property
    def tokenizer(self):
        return base_models.load_tokenizer(self.folder / "model")

    def rows(self, split: str) -> list[dict]:
        return [json.loads(line) for line in (self.data / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]

    def meta(self) -> list[dict]:
        return [json.loads(line) for line in (self.data / "meta.jsonl").read_text(encoding="utf-8").splitlines()]

    def write(self, split: str, rows: list) -> None:
        write_jsonl(self.data / f"{split}.jsonl", rows)

    def lines(self, split: str, change) -> None:
        """The file's text is what `change` makes of its lines (bytes, without their ends)."""
        path = self.data / f"{split}.jsonl"
        path.write_bytes(b"\n".join(change(path.read_bytes().splitlines())) + b"\n")

    def configure(self, *without: str, **changes) -> None:
        path = self.folder / "config.yaml"
        config = yaml.safe_load(path.read_text(encoding="utf-8")) | changes
        kept = {key: value for key, value in config.items() if key not in without}
        path.write_text(yaml.safe_dump(kept, allow_unicode=True, sort_keys=False), encoding="utf-8")

    def ask(self, **profile) -> None:
        """The app's prompt is now as this profile says."""
        text = yaml.safe_dump({"kind": "messages"} | profile, allow_unicode=True)
        (self.folder / "profile.yaml").write_text(text, encoding="utf-8")

    def capture(self, change=None, splits=("train", "valid", "test")) -> None:
        """The app's prompt is now what was recorded of it: token ids, changed by `change(ids, tokenizer)`."""
        tokenizer, recorded = self.tokenizer, []
        for split in splits:
            for number, row in enumerate(self.rows(split)):
                ids = chat_format.prompt_ids(row, tokenizer)
                recorded.append({"split": split, "row": number, "ids": change(ids, tokenizer) if change else ids})
        write_jsonl(self.folder / "captured.jsonl", recorded)
        self.ask(kind="captured", file="captured.jsonl")

    def serve(self, template=None, system=None, stop="{eos}", lines="", gguf=True, **options) -> None:
        """The app is now a model of Ollama's, from a Modelfile and a GGUF without weights."""
        tokenizer = self.tokenizer
        (self.folder / "robin.gguf").unlink(missing_ok=True)
        if gguf:
            starts = {"add_bos": tokenizer.encode("a")[0] == tokenizer.bos_token_id}
            write_gguf(self.folder / "robin.gguf", tokenizer, tokenizer.chat_template, **starts | options)
        own = next((turn["content"] for turn in self.rows("train")[0]["messages"] if turn["role"] == "system"), None)
        template = template or (GEMMA if self.plan.template == "gemma" else CHATML_ONCE)
        text = f'FROM ./robin.gguf\nTEMPLATE """{template}"""\n{lines}'
        text += "" if own is None else f'SYSTEM """{own if system is None else system}"""\n'
        text += f'PARAMETER stop """{stop.format(eos=tokenizer.eos_token)}"""\n' if stop else ""
        (self.folder / "Modelfile").write_text(text, encoding="utf-8")
        self.ask(kind="ollama", file="Modelfile")

    def serve_gguf(self, template=None, **options) -> None:
        """The app is now llama.cpp's server with a GGUF of the model."""
        write_gguf(self.folder / "robin.gguf", self.tokenizer, template or self.tokenizer.chat_template, **options)
        self.ask(kind="gguf", file="robin.gguf")

    def audit(self) -> dict:
        profile, app, fused = (self.folder / name for name in ("profile.yaml", "app", "fused"))
        inference = profile if profile.is_file() else None
        if inference and b"function" in profile.read_bytes():
            with suppress(ValueError, yaml.YAMLError):
                keys = yaml.safe_load(profile.read_bytes())
                inference = keys if isinstance(keys, dict) else inference  # the apps are the tests' own modules
        with hub_cache(self.folder / "cache"):
            return audit.audit(
                self.folder / "config.yaml",
                inference=inference,
                app=app if app.is_dir() else None,
                fused=fused if fused.is_dir() else None,
            )

    def fuse(self) -> None:
        """Fuse the adapter, as it is now, into the model, as it is now."""
        fuse(*(self.folder / name for name in ("model", "adapter", "fused")))


@contextmanager
def hub_cache(folder: Path):
    """The Hugging Face cache is this folder, if it exists. One at a time: a benchmark audits in several threads."""
    if not folder.is_dir():
        yield
        return
    with ONE_CACHE, mock.patch("huggingface_hub.constants.HF_HUB_CACHE", str(folder)):
        yield


def build(name: str, folder: Path, seed: int = 0) -> Study:
    """A clean run of that name, ready to be spoiled. Another seed: other conversations."""
    plan = PLANS[name]
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(_model(plan.template, *((64, 2) if plan.fused else ())), folder / "model")
    if plan.bits:
        quantize(folder / "model", plan.bits)
    study = Study(folder, plan)
    fewer = max(2 * BATCH, plan.train // 8 // BATCH * BATCH) if plan.train > 12 else BATCH
    sizes = {"train": plan.train, "valid": fewer, "test": fewer}
    splits, meta = conversations.dataset(plan.persona, sizes, plan.form, plan.system, seed)
    form, numbers = FORMS.get(plan.rows), count()
    for split, rows in splits.items():
        if split not in plan.without:
            study.write(split, [form(row, next(numbers)) for row in rows] if form else rows)
    if plan.meta:
        write_jsonl(study.data / "meta.jsonl", meta)
        write_json(study.data / "origin.json", {"source": "chat.db", "owner": study.owner, "kind": "imessage"})
    paths = {"model": str(folder / "model"), "data": str(study.data), "adapter_path": str(folder / "adapter")}
    config = paths | CONFIG | {"iters": max(6, 3 * plan.train // BATCH)} | dict(plan.config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    if plan.profile == "captured":
        study.capture()
    elif plan.profile == "ollama":
        study.serve()
    elif plan.profile == "gguf":
        study.serve_gguf()
    elif plan.profile:
        study.ask(**dict(plan.profile))
    if name.startswith("app-"):
        (folder / "app").mkdir()
        (folder / "app" / "reply.py").write_text(APP, encoding="utf-8")
    if plan.adapter:
        train(study)
    if plan.fused:
        study.fuse()
    return study


def train(study: Study) -> None:
    """Leave an adapter as a run of the study's config leaves it: the config first, then the weights."""
    import mlx.core as mx
    from ftstudy import configs
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load, save_config

    config = configs.load(study.folder / "config.yaml")
    model, _ = load(config["model"])
    model.freeze()
    linear_to_lora_layers(model, config["num_layers"], config["lora_parameters"])
    folder = study.folder / "adapter"
    folder.mkdir()
    save_config(config | {"config": str(study.folder / "config.yaml")}, folder / "adapter_config.json")
    mx.random.seed(0)
    weights = {key: mx.random.normal(value.shape) * 0.01 for key, value in tree_flatten(model.trainable_parameters())}
    mx.save_safetensors(str(folder / "adapters.safetensors"), weights)


@cache
def _model(template: str, *size: int) -> Path:
    """`size`: width and layers, if not the smallest."""
    return tokenizer_folder(template, Path(_models().name) / "-".join([template, *map(str, size)]), *size)


@cache
def _models():
    return tempfile.TemporaryDirectory()  # lasts as long as the process
