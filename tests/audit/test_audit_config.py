"""Config checks, and the facts about the installed mlx-lm that they rely on; junk never breaks them."""

import json
import re
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from unittest import mock

import mlx.core as mx
import mlx_lm
import pytest
import yaml
from conftest import example, tiny_settings
from ftstudy import configs
from ftstudy.audit import config, run_inputs
from ftstudy.audit.config import mlx_lm_keys, paths
from ftstudy.audit.config.key_aliases import ALIASES, meant
from ftstudy.audit.findings import report
from ftstudy.errors import StudyError
from ftstudy.models import base_models
from ftstudy.paths import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx import optimizers
from mlx_lm import lora
from mlx_lm.tuner import trainer as tuner

ROWS = [example(user=f"Contact: hey {number}", reply=f"yo {number}") for number in range(8)]
PACKAGE = Path(mlx_lm.__file__).parent


class Quoting(yaml.SafeDumper):
    """Quotes every text: PyYAML writes "1e-5" without quotes, and mlx-lm reads that as a number."""


Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def as_yaml(keys):
    return yaml.dump(keys, Dumper=Quoting, sort_keys=False)


@pytest.fixture
def write(tmp_path, write_split):
    """Write a valid config for the tiny model (2 layers) with some keys changed; None deletes a key."""
    for name in ("train", "valid", "test"):
        write_split(tmp_path / "data", name, ROWS)
    sound = tiny_settings(tmp_path, iters=8, save_every=4)

    def write(changes=None):
        path = tmp_path / "config.yaml"
        keys = {key: value for key, value in (sound | (changes or {})).items() if value is not None}
        path.write_text(as_yaml(keys))
        return path

    return write


@pytest.fixture
def audit(write):
    return lambda changes=None: config.check(run_inputs.read(write(changes)))


def above_info(findings):
    return {(item.check, item.severity) for item in findings if item.severity != "info"}


def infos(findings):
    return {item.check for item in findings if item.severity == "info"}


def one(findings, check):
    (found,) = [item for item in findings if item.check == check]
    return found


# --- clean ----------------------------------------------------------------------------------


def test_clean_config_has_only_facts_about_its_length(audit):
    found = audit()
    assert above_info(found) == set()
    assert "2.00 epochs of 8 rows" in one(found, "config.epochs").title
    assert re.search(r"about [\d,]+ tokens", one(found, "config.epochs").title)


@pytest.mark.parametrize("path", sorted((ROOT / "ft_configs").glob("[dps]*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("data", [True, False])
def test_own_configs_are_clean_with_and_without_data(path, data, tmp_path, write_split, monkeypatch):
    monkeypatch.setattr(run_inputs.RunInputs, "model", None)  # the demo's model is large to build
    folder = write_split(tmp_path / "data", "train", ROWS * 1000) if data else tmp_path / "none"
    assert above_info(config.check(run_inputs.read(path, data_folder=folder, model="tiny"))) == set()


@pytest.mark.parametrize(
    "changes",
    [
        {"num_layers": -1},
        {"ftstudy": {"method": "pissa"}},
        {"x-shared": {"rank": 8}, "_note": "mine"},
        {"trust_remote_code": False, "clear_cache_threshold": 0},
        {"fine_tune_type": "full", "lora_parameters": {}},
        {"lora_parameters": {"rank": 4, "scale": 2, "dropout": 0, "keys": ["self_attn.q_proj"]}},
        {"lora_parameters": {"rank": 4, "scale": 2, "dropout": 0, "keys": ["self_attn.q_proj", "lm_head"]}},
        {"lr_schedule": {"name": "cosine_decay", "arguments": [1e-4, 8, 1e-6], "warmup": 2}, "learning_rate": 1e-4},
        {"optimizer": "AdamW", "optimizer_config": {"adamw": {"betas": [0.9, 0.98], "weight_decay": 0.01}}},
        {"optimizer": "adafactor", "optimizer_config": {"adafactor": {"beta_1": 0.9, "warmup_init": False}}},
        {"hf_dataset": {}},
        {"fine_tune_type": "full", "lora_parameters": {"rank": 8, "scale": 20.0, "dropout": 0.0}},
        {"optimizer": "sgd", "learning_rate": 0.5},
        {"optimizer": "muon", "learning_rate": 0.02},
        {"optimizer": "adafactor", "optimizer_config": {"adafactor": {"relative_step": False}}, "learning_rate": 1e-3},
        {"lr_schedule": {"name": "linear_schedule", "arguments": [1e-5, 1e-4, 8]}, "learning_rate": 1e-5},
        {"lr_schedule": {"name": "cosine_decay", "arguments": [1e-4, 8], "warmup": 7, "warmup_init": 1e-5}},
        {"chat_feature": "messages", "report_to": "", "resume_adapter_file": None, "val_batches": -1},
        {"iters": 4, "save_every": 100, "grad_accumulation_steps": 3},
    ],
)
def test_valid_settings_have_no_findings(audit, changes):
    assert above_info(audit(changes)) == set()


# --- faults ---------------------------------------------------------------------------------

LORA = {"rank": 8, "scale": 2.0, "dropout": 0.0}
COSINE = {"name": "cosine_decay", "arguments": [1e-4, 8]}
FAULTS = [
    ({"lora_rank": 16}, "config.unknown_key", "warning", ["lora_parameters.rank 8", "default"]),
    ({"lora_layers": 1}, "config.unknown_key", "warning", ["num_layers 2"]),
    ({"lernrate": 0.1}, "config.unknown_key", "warning", ["learning_rate 1e-05"]),
    ({"max_seq_len": 64}, "config.unknown_key", "warning", ["max_seq_length 2048"]),
    ({"gradient_accumulation_steps": 4}, "config.unknown_key", "warning", ["grad_accumulation_steps 1"]),
    ({"colour": "red"}, "config.unknown_key", "warning", ["colour"]),
    ({"lora_parameters": LORA | {"r": 4}}, "config.unknown_key", "warning", ["lora_parameters.rank 8"]),
    ({"lr_schedule": COSINE | {"warmup_steps": 1}}, "config.unknown_key", "warning", ["lr_schedule.warmup"]),
    ({"lora": {"rank": 8}}, "config.unknown_key", "warning", ["lora_parameters"]),
    ({"lora_config": {"r": 8, "bias": "none"}}, "config.unknown_key", "warning", ["lora_parameters"]),
    ({"steps_per_save": 5}, "config.unknown_key", "warning", ["save_every 4"]),
    ({"training": {"iters": 5}}, "config.unknown_key", "warning", ["its keys belong at the top level"]),
    ({"training_args": {"num_train_epochs": 3, "lr": 1e-4}}, "config.unknown_key", "warning", ["top level"]),
    ({"assistant_only_loss": True}, "config.unknown_key", "warning", ["mask_prompt true"]),
    ({"early_stopping": True}, "config.unknown_key", "warning", ["below `ftstudy`"]),
    ({"hf_dataset": {"path": "a/b"}}, "config.hf_dataset", "error", ["'a/b'", "not the folder", "not installed"]),
    ({"hf_dataset": [{"path": "a/b"}, {"path": "c/d"}]}, "config.hf_dataset", "error", ["'a/b', 'c/d'"]),
    ({"hf_dataset": "a/b"}, "config.type", "error", ["is not a block"]),
    ({"hf_dataset": {"train_split": "train"}}, "config.type", "error", ["dataset's `path`"]),
    ({"learning_rate": 10.0}, "config.learning_rate", "warning", ["10", "above"]),
    ({"learning_rate": 1e-15}, "config.learning_rate", "warning", ["1e-15", "nothing is learned"]),
    ({"optimizer": "sgd", "learning_rate": 3}, "config.learning_rate", "warning", ["sgd"]),
    ({"lr_schedule": {"name": "cosine_decay", "arguments": [0.5, 8]}}, "config.learning_rate", "warning", ["0.5"]),
    ({"optimizer": "adafactor", "learning_rate": 1e-4}, "config.dead_key", "warning", ["chooses its steps"]),
    (
        {"lr_schedule": {"name": "cosine_decay", "arguments": [1e-4, 8], "warmup": 8}},
        "config.lr_schedule",
        "warning",
        ["warms up for 8", "the run has 8", "never reached"],
    ),
    (
        {"lr_schedule": {"name": "cosine_decay", "arguments": [1e-5, 8], "warmup_init": 1e-7}},
        "config.lr_schedule",
        "warning",
        ["warmup_init: 1e-07", "ignored"],
    ),
    (
        {"lr_schedule": {"name": "cosine_decay", "arguments": [1e-4, 8], "warmup": 0.1}},
        "config.lr_schedule_invalid",
        "error",
        ["steps"],
    ),
    ({"lora_parameters": LORA | {"scale": 1e-6}}, "config.lora_scale", "warning", ["1e-06", "too small"]),
    ({"lora_parameters": LORA | {"dropout": 0.5}}, "config.type", "warning", ["50%"]),
    ({"lora_parameters": LORA | {"keys": ["input_layernorm"]}}, "config.lora_keys", "error", ["cannot be adapted"]),
    (
        {"lora_parameters": LORA | {"keys": ["self_attn", "self_attn.q_proj"]}},
        "config.lora_keys",
        "error",
        ["cannot be adapted: self_attn"],
    ),
    ({"max_seq_length": 0}, "config.type", "error", ["2 or more"]),
    ({"max_seq_length": -1}, "config.type", "error", ["2 or more"]),
    ({"max_seq_length": 1}, "config.type", "error", ["2 or more"]),
    ({"test": True, "test_batches": 0}, "config.val_batches", "warning", ["no rows"]),
    ({"save_every": -2}, "config.type", "warning", ["1 or more"]),
    ({"iters": 1e30}, "config.type", "error", ["usable number"]),
    ({"resume_adapter_file": str(ROOT)}, "config.path", "error", ["is a folder"]),
    ({"ftstudy": {"methode": "pissa"}}, "config.unknown_key", "warning", ["ftstudy.methode"]),
    ({"optimizer_config": {"weight_decay": 0.1}}, "config.unknown_key", "warning", ["weight_decay"]),
    ({"optimizer_config": {"adam": {"weight_decay": 1}}}, "config.unknown_key", "error", ["weight_decay"]),
    ({"optimizer_config": {"adam": {"learning_rate": 1}}}, "config.unknown_key", "error", ["learning_rate"]),
    ({"optimizer_config": {"adamw": {"eps": 1e-6}}}, "config.dead_key", "warning", ["adamw", "adam"]),
    ({"trust_remote_code": True}, "config.dead_key", "warning", ["trust_remote_code: true", "false"]),
    ({"clear_cache_threshold": 100}, "config.dead_key", "warning", ["100", "uses 0"]),
    ({"train": False, "test": True}, "config.train_off", "error", ["evaluates"]),
    ({"lora_parameters": LORA | {"keys": ["q_proj"]}}, "config.lora_keys", "error", ["q_proj"]),
    ({"lora_parameters": LORA | {"keys": []}}, "config.lora_keys", "error", ["no module"]),
    ({"lora_parameters": LORA | {"keys": "self_attn.q_proj"}}, "config.lora_keys", "error", ["list"]),
    ({"lora_parameters": LORA | {"keys": ["self_attn.q_proj", "v_proj"]}}, "config.lora_keys", "warning", ["v_proj"]),
    ({"lora_parameters": {"rank": 4}}, "config.lora_incomplete", "error", ["scale and dropout"]),
    ({"lora_parameters": {}}, "config.lora_incomplete", "error", ["rank, scale and dropout"]),
    ({"lora_parameters": LORA | {"alpha": 16}}, "config.lora_alpha", "warning", ["alpha: 16"]),
    ({"lora_parameters": LORA | {"scale": 128}}, "config.lora_scale", "warning", ["128"]),
    ({"lora_parameters": LORA | {"scale": 0}}, "config.lora_scale", "error", ["multiplied by 0"]),
    ({"num_layers": 16}, "config.num_layers", "error", ["16", "2 layers"]),
    ({"num_layers": None}, "config.num_layers", "error", ["the default"]),
    ({"lr_schedule": COSINE, "learning_rate": 1e-3}, "config.lr_schedule", "warning", ["0.001", "ignored"]),
    ({"lr_schedule": COSINE | {"warmup": 50}}, "config.lr_schedule", "warning", ["warms up for 50", "run has 8"]),
    ({"lr_schedule": COSINE, "grad_accumulation_steps": 2}, "config.lr_schedule", "warning", ["8", "4 optimizer"]),
    ({"lr_schedule": COSINE, "iters": 32}, "config.lr_schedule", "warning", ["8 of 32"]),
    ({"lr_schedule": {"name": "cosine", "arguments": [1, 2]}}, "config.lr_schedule_invalid", "error", ["cosine"]),
    ({"lr_schedule": {"name": "cosine_decay"}}, "config.lr_schedule_invalid", "error", ["arguments"]),
    ({"lr_schedule": {"arguments": [1e-4, 8]}}, "config.lr_schedule_invalid", "error", ["name"]),
    ({"lr_schedule": COSINE | {"arguments": [1e-4]}}, "config.lr_schedule_invalid", "error", ["decay_steps"]),
    ({"lr_schedule": COSINE | {"arguments": ["1e-4", 8]}}, "config.lr_schedule_invalid", "error", ["1e-4"]),
    ({"lr_schedule": COSINE | {"arguments": [0, 8]}}, "config.lr_schedule_invalid", "error", ["from 0 to 0"]),
    ({"lr_schedule": "cosine_decay"}, "config.lr_schedule_invalid", "error", ["not a block"]),
    ({"iters": 100}, "config.epochs", "warning", ["25.00 epochs"]),
    ({"iters": 3, "grad_accumulation_steps": 4}, "config.grad_accumulation", "error", ["nothing"]),
    ({"val_batches": 0}, "config.val_batches", "warning", ["not a number"]),
    ({"fine_tune_type": "qlora"}, "config.fine_tune_type", "error", ["qlora"]),
    ({"optimizer": "adamw_torch"}, "config.optimizer", "error", ["adamw_torch"]),
    ({"model": "data/models/nowhere"}, "config.path", "error", ["no model"]),
    ({"model": "~/nowhere"}, "config.path", "error", ["no model"]),
    ({"resume_adapter_file": "nowhere.safetensors"}, "config.path", "error", ["nowhere.safetensors"]),
    ({"adapter_path": str(ROOT / "README.md" / "x")}, "config.path", "error", ["README.md"]),
    ({"learning_rate": "1e-5"}, "config.type", "error", ["text", "a number"]),
    ({"batch_size": "4"}, "config.type", "error", ["text", "a whole number"]),
    ({"iters": 10.5}, "config.type", "error", ["fraction"]),
    ({"iters": 2e3}, "config.type", "error", ["a whole number written as a fraction"]),
    ({"mask_prompt": "false"}, "config.type", "error", ["text", "true or false"]),
    ({"grad_checkpoint": "true"}, "config.type", "warning", ["text", "true or false"]),
    ({"num_layers": "all"}, "config.type", "error", ["num_layers"]),
    ({"iters": 0}, "config.type", "error", ["1 or more"]),
    ({"batch_size": -1}, "config.type", "error", ["1 or more"]),
    ({"learning_rate": -1e-5}, "config.type", "error", ["above 0"]),
    ({"learning_rate": float("nan")}, "config.type", "error", ["learning_rate"]),
    ({"learning_rate": 10**400}, "config.type", "error", ["usable number"]),
    ({"steps_per_report": 0}, "config.type", "error", ["1 or more"]),
    ({"seed": -1}, "config.type", "error", ["0 or more"]),
    ({"lora_parameters": LORA | {"rank": 0}}, "config.type", "error", ["1 or more"]),
    ({"lora_parameters": LORA | {"dropout": 1}}, "config.type", "error", ["below 1"]),
    ({"lora_parameters": LORA | {"rank": "8"}}, "config.type", "error", ["lora_parameters.rank"]),
    ({"lora_parameters": [8, 20]}, "config.type", "error", ["a list"]),
    ({True: 1}, "config.unknown_key", "error", ["keys must be text"]),
]


@pytest.mark.parametrize("changes, check, severity, words", FAULTS, ids=lambda value: str(value)[:40])
def test_each_fault_found_under_its_own_id(audit, changes, check, severity, words):
    found = audit(changes)
    ours = [item for item in found if (item.check, item.severity) == (check, severity)]
    assert ours and all(word in ours[0].title for word in words), found
    assert {name for name, _ in above_info(found)} == {check} | (
        {"config.path"} if changes.get("model", "").startswith("~") else set()
    )


BLOCKS = [
    ({"train_on": "first"}, {}, "error", "`last` (reply of a conversation) or `all`"),
    ({"method": "lisa"}, {}, "error", "`pissa`, `galore`"),
    ({"method": ["pissa"]}, {}, "error", "`pissa`, `galore`"),
    ({"early_stopping": -1}, {}, "error", "whole number"),
    ({"early_stopping": True}, {}, "error", "whole number"),
    ({"method": "pissa"}, {"fine_tune_type": "full"}, "error", "fine_tune_type: lora"),
    ({"method": "galore"}, {}, "error", "fine_tune_type: full"),
    ({"galore": {"rank": 8}}, {}, "warning", "method: galore"),
    ({"method": "galore", "galore": {"rank": 0}}, {"fine_tune_type": "full"}, "error", "from 1"),
    ({"method": "galore", "galore": {"rnk": 8}}, {"fine_tune_type": "full"}, "error", "rank, update_every, scale"),
    ({"method": "galore", "galore": 8}, {"fine_tune_type": "full"}, "error", "a block"),
    ({"method": "pissa"}, {"lora_parameters": {"rank": 8, "scale": 1.0, "dropout": 0.05}}, "warning", "dropout: 0.0"),
    ({"train_on": "last"}, {"mask_prompt": None}, "info", "mask_prompt: true"),
]


@pytest.mark.parametrize("block, changes, severity, fix", BLOCKS, ids=lambda value: str(value)[:40])
def test_faults_in_ftstudy_block(audit, block, changes, severity, fix):
    found = one(audit({"ftstudy": block, **changes}), "config.study_block")
    assert found.severity == severity and fix in found.fix


@pytest.mark.parametrize(
    "block", [{}, {"train_on": "all", "early_stopping": 3}, {"method": "pissa"}, {"train_on": "last"}]
)
def test_valid_ftstudy_block_is_clean_and_hides_facts_about_stock_mlx_lm(audit, block):
    lora = {"rank": 8, "scale": 1.0, "dropout": 0.0} if block.get("method") else None
    found = audit({"ftstudy": block, "val_batches": 1, **({"lora_parameters": lora} if lora else {})})
    assert above_info(found) == set() and not {"config.kept_adapter", "config.val_batches"} & infos(found)


@pytest.mark.parametrize("lora", [5, [1], "x"])
def test_pissa_with_lora_parameters_of_wrong_type(audit, lora):
    assert "config.type" in {item.check for item in audit({"ftstudy": {"method": "pissa"}, "lora_parameters": lora})}


def test_misnamed_key_shows_its_real_name_and_the_value_in_use(audit):
    found = one(audit({"lora_alpha": 32}), "config.unknown_key")
    assert "`lora_parameters.scale`" in found.fix and "scale 20.0" in found.title
    assert found.evidence == ["lora_alpha: 32"]


TEXTS = [
    ({"iters": 1e30}, "config.type", "fix", "a whole number, or delete", "1000"),
    ({"iters": 10**40}, "config.type", "fix", "a whole number, or delete", "1000"),
    ({"iters": "1,5"}, "config.type", "fix", "Write a whole number", "15"),
    ({"iters": "90"}, "config.type", "fix", "`iters: 90`, without quotes", "90.0"),
    ({"iters": "090"}, "config.type", "fix", "`iters: 90`.", "quotes"),
    ({"iters": 90.0}, "config.type", "fix", "`iters: 90`.", "quotes"),
    ({"mask_prompt": 1}, "config.type", "fix", "`mask_prompt: true`.", "quotes"),
    ({"mask_prompt": "yes"}, "config.type", "fix", "`mask_prompt: true`, without quotes", "1"),
    ({"learning_rate": float("nan")}, "config.type", "cause", "ends without an error", "abort"),
    ({"learning_rate": float("inf")}, "config.type", "cause", "ends without an error", "abort"),
    ({"lora_parameters": LORA | {"scale": float("nan")}}, "config.type", "cause", "ends without an error", "abort"),
    ({"steps_per_report": 0}, "config.type", "cause", "aborts with a division by zero", "multiple"),
    ({"steps_per_report": -2}, "config.type", "cause", "at every multiple of its size", "abort"),
    ({"batch_size": -1}, "config.type", "cause", "forever", "abort"),
    ({"training": {"iters": 5, "lr": 1}}, "config.unknown_key", "fix", "`iters` and `learning_rate` at the top", "train`"),
    ({"save_every": 4, "steps_per_eval": 4}, "config.kept_adapter", "fix", "that iteration's checkpoint", "set save_every"),
    ({"save_every": 4, "steps_per_eval": 2}, "config.kept_adapter", "fix", "set save_every to steps_per_eval, 2", "checkpoint"),
    ({"lr_schedule": COSINE | {"arguments": [0, 8]}}, "config.lr_schedule_invalid", "cause", "trains anyway", "abort"),
    ({"resume_adapter_file": str(ROOT)}, "config.path", "fix", "adapters.safetensors", "counts from"),
]  # fmt: skip


@pytest.mark.parametrize("changes, check, part, says, never", TEXTS, ids=lambda value: str(value)[:40])
def test_text_fits_the_value(audit, changes, check, part, says, never):
    text = getattr(one(audit(changes), check), part)
    assert says in text and never not in text, text


def test_hf_dataset_is_a_warning_without_epochs_if_datasets_is_installed(audit, monkeypatch):
    monkeypatch.setattr(paths, "find_spec", lambda name: name)
    found = audit({"hf_dataset": {"path": "a/b"}, "iters": 1000})
    assert above_info(found) == {("config.hf_dataset", "warning")}
    assert "config.epochs" not in infos(found)


def test_no_epochs_for_fewer_rows_than_a_batch(audit):
    assert not [item for item in audit({"batch_size": 100, "iters": 900}) if item.check == "config.epochs"]


def test_lora_parameters_unused_in_full_training(audit):
    found = one(audit({"fine_tune_type": "full", "lora_parameters": LORA}), "config.dead_key")
    assert found.severity == "info" and "not used" in found.title


# --- repeated keys ----------------------------------------------------------------------


@pytest.fixture
def audit_text(write):
    """The findings of one check on the valid config with text appended."""

    def audit_text(text, check="config.duplicate_key"):
        path = write()
        path.write_text(path.read_text() + text)
        return [item for item in config.check(run_inputs.read(path)) if item.check == check]

    return audit_text


def test_repeated_key_shows_both_values_with_their_lines(audit_text):
    (found,) = audit_text("batch_size: 8\n")
    assert found.severity == "warning"
    assert "`batch_size` is set twice: 2 (line 6) and 8 (line 10); the last value wins" in found.title
    assert found.evidence == ["line 6: batch_size: 2", "line 10: batch_size: 8"]


@pytest.mark.parametrize(
    "text, keys",
    [
        ("lora_parameters:\n  rank: 8\n  scale: 2.0\n  dropout: 0.0\n  rank: 4\n", ["lora_parameters.rank"]),
        ("optimizer_config: {adam: {eps: 1, eps: 2}}\n", ["optimizer_config.adam.eps"]),
        ("hf_dataset:\n- {path: a, path: b}\n", ["hf_dataset.path"]),
        ("iters: 9\n'batch_size': 4\n", ["batch_size", "iters"]),
        ("lora_parameters: {rank: 8}\nlora_parameters: {rank: 9}\n", ["lora_parameters"]),
        ("x-a: &a {rank: 8, scale: 2.0}\nlora_parameters:\n  <<: *a\n  rank: 4\n  dropout: 0.0\n", []),
        ("x-a: &a {b: 1}\nx-b: &b {c: 1}\nx-c:\n  <<: *a\n  <<: *b\n", []),
        ("x-a: &a [*a]\nx-b: &b {c: *b, d: *a}\n", []),
        ("x-a: &a {b: 1, b: 2}\nx-c: *a\nx-d: *a\n", ["x-a.b"]),
    ],
)
def test_repeated_keys_found_at_any_depth_ignoring_anchors(audit_text, text, keys):
    found = audit_text(text)
    assert [item.title.split("`")[1] for item in found] == keys
    assert {item.severity for item in found} <= {"warning"}


def test_repeated_key_with_equal_values_is_an_info(audit_text):
    assert [item.severity for item in audit_text("batch_size: 2\n")] == ["info"]


def test_fix_names_the_full_module_and_converts_alpha(audit):
    found = audit({"lora_parameters": LORA | {"alpha": 16, "keys": ["q_proj"]}})
    assert "self_attn.q_proj" in one(found, "config.lora_keys").fix
    assert "scale: 2`" in one(found, "config.lora_alpha").fix


def test_normal_settings_are_only_infos(audit):
    found = audit({"num_layers": 0, "iters": 5, "save_every": 100, "grad_accumulation_steps": 2, "val_batches": 1})
    assert infos(found) == {
        "config.num_layers",
        "config.save_every",
        "config.grad_accumulation",
        "config.val_batches",
        "config.kept_adapter",
        "config.epochs",
        "config.lora_scale",
    }
    assert above_info(found) == set()


def test_lora_keys_without_a_model_judged_by_their_form(write, monkeypatch):
    monkeypatch.setattr(run_inputs.RunInputs, "model", None)

    def checks(keys):
        path = write({"lora_parameters": LORA | {"keys": keys}, "num_layers": 99})
        return above_info(config.check(run_inputs.read(path)))

    assert checks(["q_proj"]) == {("config.lora_keys", "error")}
    assert checks(["attention.q_proj", "lm_head"]) == set()


# --- mlx-lm itself: what the checks rely on ----------------------------------------------------


@pytest.fixture
def trainer(write, monkeypatch):
    """Run `mlx_lm.lora --config` on the valid config with changes, in this process."""

    def run(changes):
        path = write({"report_to": ""} | changes)
        monkeypatch.setattr(sys, "argv", ["mlx_lm.lora", "--config", str(path)])
        monkeypatch.setattr(lora, "rprint", lambda *_: None)
        resolved = str(base_models.resolve("tiny"))
        original = lora.load
        monkeypatch.setattr(lora, "load", lambda name, **rest: original(resolved, **rest))
        lora.main()

    return run


ABORTS = [
    {"train": None},
    {"lora_parameters": {"rank": 4}},
    {"lora_parameters": LORA | {"keys": "self_attn.q_proj"}},
    {"lora_parameters": LORA | {"dropout": 1}},
    {"lora_parameters": LORA | {"keys": ["q_proj"]}},
    {"lora_parameters": LORA | {"keys": ["input_layernorm", "self_attn.q_proj"]}},
    {"lora_parameters": LORA | {"keys": ["self_attn", "self_attn.q_proj"]}},
    {"lora_parameters": LORA | {"rank": -1}},
    {"max_seq_length": 0},
    {"max_seq_length": -1},
    {"max_seq_length": 1},
    {"batch_size": 0},
    {"steps_per_eval": 0, "iters": 2},
    {"save_every": 0},
    {"hf_dataset": {"path": "a/b"}},
    {"hf_dataset": "a/b"},
    {"resume_adapter_file": str(ROOT)},
    {"num_layers": 16},
    {"lr_schedule": COSINE | {"arguments": [1e-4]}},
    {"fine_tune_type": "qlora"},
    {"optimizer": "adamw_torch"},
    {"learning_rate": "1e-5"},
    {"iters": 1e3},
    {"batch_size": "4"},
    {"steps_per_report": 0},
    {"seed": -1},
    {"optimizer_config": {"adam": {"weight_decay": 1}}},
    {"optimizer_config": {"adam": {"learning_rate": 1}}},
    {"resume_adapter_file": "nowhere.safetensors"},
    {True: 1},
]


@pytest.mark.parametrize("changes", ABORTS, ids=str)
def test_mlx_lm_aborts_as_the_audit_says(trainer, changes):
    with pytest.raises(Exception):
        trainer({"iters": 1} | changes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["learning_rate", "scale"])
def test_mlx_lm_trains_with_nan_and_saves_nan(trainer, tmp_path, key, value):
    trainer({"iters": 3} | ({"lora_parameters": LORA | {key: value}} if key == "scale" else {key: value}))
    saved = mx.load(str(tmp_path / "adapter" / "adapters.safetensors"))
    assert all(mx.isnan(tensor).any() for tensor in saved.values())


def test_mlx_lm_searches_forever_for_a_batch_of_negative_size(monkeypatch):
    """With `batch_size: -1` there is never a batch, and the trainer loops."""
    rounds = iter(range(100))
    monkeypatch.setattr(tuner.np.random, "permutation", lambda number: (next(rounds), [])[1])
    with pytest.raises(RuntimeError, match="StopIteration"):
        next(tuner.iterate_batches([([1, 2], 0)] * 8, -1, 16, loop=True))


def test_adafactor_ignores_learning_rate_by_default():
    def updated(rate, **options):
        parameters = {"w": mx.ones((2, 2))}
        chosen = optimizers.Adafactor(learning_rate=rate, **options)
        return chosen.apply_gradients({"w": mx.ones((2, 2))}, parameters)["w"].tolist()

    assert updated(1e-9) == updated(1.0)
    assert updated(1e-9, relative_step=False) != updated(1.0, relative_step=False)


def test_run_reads_only_keys_found_in_the_source(trainer, monkeypatch):
    read, original = set(), lora.run

    class Recorder:
        def __init__(self, values):
            self.__dict__.update(values)

        def __getattribute__(self, name):
            read.add(name)
            return object.__getattribute__(self, name)

    monkeypatch.setattr(lora, "run", lambda args: original(Recorder(vars(args))))
    trainer({"iters": 1, "colour": "red"})
    keys = mlx_lm_keys.installed()
    live = {key.split(".")[0] for key in keys.live} | keys.dead.keys()
    assert {"iters", "lora_parameters", "mask_prompt", "seed"} <= read - {"__dict__", "__class__"} <= live


def test_what_mlx_lm_recorded_in_adapter_config_json_is_not_a_dead_key(write, tmp_path):
    path = write({"trust_remote_code": True, "config": "config.yaml"})
    assert "config.dead_key" in {item.check for item in config.check(run_inputs.read(path))}
    recorded = path.rename(tmp_path / "adapter_config.json")
    assert "config.dead_key" not in {item.check for item in config.check(run_inputs.read(recorded))}


def test_dead_keys_never_apply_and_live_ones_do(write, monkeypatch):
    seen = []
    monkeypatch.setattr(lora, "run", seen.append)
    path = write({"trust_remote_code": True, "clear_cache_threshold": 7, "seed": 7, "max_seq_length": 7})
    monkeypatch.setattr(sys, "argv", ["mlx_lm.lora", "--config", str(path)])
    lora.main()
    assert (seen[0].trust_remote_code, seen[0].clear_cache_threshold) == (False, 0)
    assert (seen[0].seed, seen[0].max_seq_length) == (7, 7)


# --- the trainer's keys -----------------------------------------------------------------------


def test_keys_found_in_the_source():
    keys = mlx_lm_keys.installed()
    assert {"iters", "mask_prompt", "lr_schedule", "hf_dataset", "chat_feature", "lora_parameters"} <= keys.live
    assert keys.section("lora_parameters") == {"rank", "scale", "dropout", "keys"}
    assert keys.section("lr_schedule") == {"name", "arguments", "warmup", "warmup_init"}
    assert {"path", "train_split", "config", "text_feature"} <= keys.section("hf_dataset")
    assert {"trust_remote_code", "clear_cache_threshold", "config"} == keys.dead.keys()
    assert not {"lora_layers", "lora_rank", "epochs", "get", "items"} & keys.live
    assert (keys.types["iters"], keys.types["mask_prompt"], keys.types["lora_parameters.scale"]) == (int, bool, float)
    assert set(keys.choices["optimizer"]) == keys.optimizers.keys()


def test_every_default_and_option_is_live_or_dead():
    keys = mlx_lm_keys.installed()
    options = {action.dest for action in lora.build_parser()._actions} - {"help"}
    assert options | lora.CONFIG_DEFAULTS.keys() == (options | lora.CONFIG_DEFAULTS.keys()) & (
        keys.live | keys.dead.keys()
    )


@pytest.mark.parametrize(
    "file, old, new, changed",
    [
        ("lora.py", "args.save_every", "args.save_interval", {"save_every", "save_interval"}),
        ("lora.py", '"seed": 0,', '"seed": 0, "unread": 1,', set()),
        ("lora.py", '"--seed", type=int', '"--seed", type=int, default=3', {"seed"}),
        ("tuner/utils.py", 'config["rank"]', 'config["r"]', {"lora_parameters.rank", "lora_parameters.r"}),
        ("tuner/utils.py", '"warmup_init"', '"start"', {"lr_schedule.warmup_init", "lr_schedule.start"}),
        ("tuner/datasets.py", '"chat_feature"', '"talk_feature"', None),
    ],
)
def test_changed_source_changes_the_keys(tmp_path, file, old, new, changed):
    copy = tmp_path / "mlx_lm"
    shutil.copytree(PACKAGE, copy, ignore=lambda folder, names: [n for n in names if n in ("models", "__pycache__")])
    text = (copy / file).read_text()
    assert old in text
    before = mlx_lm_keys.analyse(copy)
    (copy / file).write_text(text.replace(old, new))
    after = mlx_lm_keys.analyse(copy)
    assert before.live == mlx_lm_keys.installed().live
    difference = before.live ^ after.live
    if changed is None:
        changed = {f"{at}{name}_feature" for at in ("", "hf_dataset.") for name in ("chat", "talk")}
    # `rank` is shown in the header of a run as well, so that it stays a key that is read.
    assert difference == changed - ({"lora_parameters.rank"} & after.live)
    assert ("unread" in after.dead) == ("unread" in new)


def test_source_of_unknown_structure_is_rejected(tmp_path):
    (tmp_path / "lora.py").write_text("def main(): pass")
    with pytest.raises(StudyError, match="requirements.lock"):
        mlx_lm_keys.analyse(tmp_path)


def test_other_trainers_names_lead_to_live_keys():
    keys = mlx_lm_keys.installed()
    assert ALIASES.keys() <= keys.live
    for wrong, right in {
        "lora_layers": "num_layers",
        "r": "lora_parameters.rank",
        "target_modules": "lora_parameters.keys",
        "num_train_epochs": "iters",
        "cutoff_len": "max_seq_length",
        "lr": "learning_rate",
        "per_device_train_batch_size": "batch_size",
        "train_on_inputs": "mask_prompt",
        "warmup_steps": "lr_schedule.warmup",
        "eval_steps": "steps_per_eval",
        "learningRate": "learning_rate",
        "batch-size": "batch_size",
        "lora_paramters": "lora_parameters",
        "lora_config": "lora_parameters",
        "peft_config": "lora_parameters",
        "steps_per_save": "save_every",
        "saves_per_epoch": "save_every",
        "completion_only_loss": "mask_prompt",
        "assistant_only_loss": "mask_prompt",
        "lora_attn_modules": "lora_parameters.keys",
        "sequence_len": "max_seq_length",
        "cosine_decay": "lr_schedule",
        "log_every_n_steps": "steps_per_report",
        "enable_activation_checkpointing": "grad_checkpoint",
        "lora_model_dir": "resume_adapter_file",
        "dataset_text_field": "text_feature",
        "hf_datasets": "hf_dataset",
        "optim_args": "optimizer_config",
    }.items():
        assert meant(wrong) == right
    assert meant("name", "hf_dataset") == "hf_dataset.path"
    assert meant("decay_steps", "lr_schedule") == "lr_schedule.arguments"
    assert meant("modules", "lora_parameters") == "lora_parameters.keys"
    assert meant("zzz") is None
    repeated = Counter(alias for aliases in ALIASES.values() for alias in aliases.split())
    assert max(repeated.values()) == 1 and not repeated.keys() & keys.live


# --- junk -------------------------------------------------------------------------------------

KEYS = sorted({key.split(".")[0] for key in mlx_lm_keys.installed().live} | {"ftstudy", "trust_remote_code", "colour"})
INNER = ["rank", "scale", "dropout", "keys", "alpha", "name", "arguments", "warmup", "adam", "eps", "method"]
TEXT = st.text(st.characters(exclude_characters="/"), max_size=12)  # with a slash it may be a hub's name
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.dates(), st.just(10**400), st.sampled_from(
        ["cosine_decay", "linear_schedule", "join_schedules", "lora", "full", "dora", "~nobody", "x" * 300, "1e-5"]
    ),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER) | TEXT, inner, max_size=4),
)
MAPPINGS = st.dictionaries(st.sampled_from(KEYS) | TEXT | st.integers() | st.booleans(), VALUES, max_size=8)


def check_text(folder: Path, text: str):
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    no_network = mock.patch.object(base_models, "_from_hub", side_effect=StudyError("no network in tests"))
    try:
        with no_network:
            found = config.check(run_inputs.read(path))
    except StudyError:
        return []
    for item in found:
        assert item.check in {check.id for check in config.CHECKS}
        assert all(len(line) <= 250 for line in item.evidence) and "\n" not in item.title
    json.dumps(report(found), ensure_ascii=False).encode("utf-8")
    return found


@settings(max_examples=150, deadline=None)
@given(junk=MAPPINGS)
def test_any_mapping_yields_findings_or_one_paragraph(junk):
    with tempfile.TemporaryDirectory() as folder:
        keys = {"data": f"{folder}/none", "model": f"{folder}/none"} | junk
        check_text(Path(folder), as_yaml(keys))


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(exclude_characters="/"), max_size=60))
def test_any_text_yields_findings_or_one_paragraph(text):
    with tempfile.TemporaryDirectory() as folder:
        check_text(Path(folder), f"model: {folder}/none\n{text}")


@pytest.mark.parametrize(
    "text",
    [
        "day: 2020-99-99",
        "a: ._",
        "a: !!bool x",
        "a: &a [*a]",
        "? [1, 2]\n: 3",
        "a: [" * 2000,
        "a: 1\na: 2\n? !!str a\n: 3\n=: 1\n=: 2",
        "<<: {a: 1}\n<<: {a: 2}",
        "lora: {1: 2, [a]: 3}\ntraining: {? {a: 1} : 2}",
        "hf_dataset: [{path: [1]}, 3, {}]",
        "lora_parameters: &a {rank: *a}",
        "a: !!set {b}",
        'data: "\\0"',
        'model: "\\ud800"',
        '"\\ud800": 1',
        "data: " + "x" * 300,
        "adapter_path: " + "x" * 300,
        "adapter_path: ~nobody/x\nresume_adapter_file: ~nobody/y",
        "a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c]",
    ],
)
def test_odd_yaml_yields_findings_or_one_paragraph(tmp_path, text):
    check_text(tmp_path, text if "model:" in text else f"model: {tmp_path}/none\n{text}")


@pytest.mark.parametrize(
    "text, says",
    [
        ("a: 1\nday: 2020-99-99", "quote the value to make it text) in line 2"),
        ("a: 1\nb: !!bool x", "quote the value to make it text) in line 2"),
        ("iters: " + "9" * 5000, "quote the value to make it text) in line 1"),
        ("a: [" * 2000, "remove some brackets"),
        (b"# h\xe9llo\na: 1", "save it as UTF-8"),
        ("a: 1\nb: \0", "Fix line 2"),
        ("a: 1\n\tb: 2", "line 2, column 1"),
        ('model: ""', "`model` of"),
        ('data: "a\\0b"', "`data` of"),
    ],
)
def test_a_config_that_cannot_be_read_is_refused_with_what_to_mend(tmp_path, text, says):
    path = tmp_path / "config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StudyError) as refused:
        configs.load(path)
    assert says in str(refused.value) and "unicode string" not in str(refused.value)
    assert ("Fix that line" in str(refused.value)) == ("column" in str(refused.value))


def test_number_as_data_folder_is_a_finding(write):
    path = write({"data": 5})
    assert configs.load(path)["data"] == "5"
    assert ("config.type", "error") in above_info(config.check(run_inputs.read(path)))


def test_a_device_to_resume_from_is_not_called_missing(tmp_path):
    (tmp_path / "mine.yaml").write_text("model: tiny\nresume_adapter_file: /dev/zero\n")
    found = config.check(run_inputs.read(tmp_path / "mine.yaml", tmp_path))
    assert ["not a regular file" in one.title for one in found if one.check == "config.path"] == [True]
