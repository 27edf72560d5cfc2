"""An adapter that exists already: described, checked and scored without training."""

import contextlib
import io
import json
import os
import shutil
import types

import mlx.core as mx
import numpy as np
import pytest
import yaml
from cli.test_diagnose import CONFIG, conversation, write_rows
from conftest import refused
from ftstudy import audit, configs, training
from ftstudy.compare import checkpoints as scoring
from ftstudy.models import adapters, base_models, checkpoints, updates
from ftstudy.report import conclusions, tables
from ftstudy.training import logs
from mlx_lm import lora

RUN = {"iters": 30, "save_every": 10, "steps_per_report": 5, "steps_per_eval": 10, "val_batches": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project as plain mlx-lm leaves it, with what it printed in training.log."""
    folder = tmp_path_factory.mktemp("plain")
    flat = [row for number in range(14) for row in conversation(number)]
    write_rows(folder / "data", train=flat[:40], valid=flat[40:])
    config = CONFIG | RUN | {"model": "tiny", "data": str(folder / "data"), "adapter_path": str(folder / "adapters")}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    mx.random.seed(0)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        model = {"model": str(base_models.resolve("tiny"))}
        lora.run(types.SimpleNamespace(**lora.CONFIG_DEFAULTS | config | model))
    (folder / "training.log").write_text(printed.getvalue())
    return folder


@pytest.fixture
def project(made, tmp_path):
    """A copy of its own, with the paths of the copy."""
    folder = tmp_path / "project"
    shutil.copytree(made, folder)
    configure(folder)
    return folder


def configure(folder, **changes):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    paths = {"data": str(folder / "data"), "adapter_path": str(folder / "adapters")}
    (folder / "config.yaml").write_text(yaml.safe_dump(config | paths | changes))
    path = folder / "adapters" / "adapter_config.json"
    if path.is_file():
        times = os.stat(path)
        path.write_text(json.dumps(json.loads(path.read_text()) | paths | changes))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def read(folder, config="config.yaml"):
    return training.read(folder / config)


# --- described ------------------------------------------------------------------------------


def test_what_it_adapts(project):
    entry = training.take(read(project))
    adapts = entry["adapts"]
    assert adapts["kind"] == "lora" and adapts["rank"] == [8] and adapts["scale"] == [20.0]
    assert adapts["layers"] == [0, 1] and "self_attn.q_proj" in adapts["modules"] and not adapts["zero"]
    tensors = mx.load(str(project / "adapters" / "adapters.safetensors"))
    assert entry["parameters_trained"] == sum(value.size for value in tensors.values())
    assert adapts["tensors"] == len(tensors)
    assert entry["existing"] and entry["curve"] == [] and entry["iterations"] == 30
    assert entry["epochs"] == 30 * 2 / 40
    rows = tables.adapter(adapts)[0]
    assert {"what": "Complete", "value": "yes"} in rows


def test_update_norms_are_those_of_the_fused_weights(project):
    """scale · ‖A·B‖ / ‖W‖ of a layer, from the product itself."""
    folder = base_models.resolve("tiny")
    base = {name: module.weight for name, module in base_models.load(folder)[0].named_modules() if "weight" in module}
    tensors = mx.load(str(project / "adapters" / "adapters.safetensors"))
    moved, whole = {}, {}
    for name in (name.removesuffix(".lora_a") for name in tensors if name.endswith(".lora_a")):
        layer = int(name.split(".")[2])
        update = 20 * (tensors[f"{name}.lora_a"] @ tensors[f"{name}.lora_b"])
        moved[layer] = moved.get(layer, 0) + (update**2).sum().item()
        whole[layer] = whole.get(layer, 0) + (base[name] ** 2).sum().item()
    rows = updates.by_layer(updates.norms(folder, project / "adapters"))
    assert [row["layer"] for row in rows] == sorted(moved)
    for row in rows:
        assert row["relative"] == pytest.approx((moved[row["layer"]] / whole[row["layer"]]) ** 0.5, rel=1e-3)


def test_a_run_that_stopped_early_is_noticed_by_its_checkpoints(project):
    folder = project / "adapters"
    configure(project, iters=60)
    found = checkpoints.progress(folder)
    assert found == {"asked": 60, "last": 30, "kept": 30, "stopped": True}
    entry = training.take(read(project))
    assert entry["stopped"] == "stopped at iteration 30 of 60" and entry["iterations"] == 30
    assert "stopped at iteration 30 of 60" in conclusions.adapter(entry)
    (finding,) = [one for one in audit.adapters.check(read(project)) if one.check == "adapter.stopped"]
    assert "30 of 60" in finding.title and "0000030_adapters.safetensors" in finding.fix


def test_an_earlier_checkpoint_that_was_chosen_is_no_early_stop(project):
    folder = project / "adapters"
    shutil.copy(folder / "0000020_adapters.safetensors", folder / "adapters.safetensors")
    assert checkpoints.progress(folder) == {"asked": 30, "last": 30, "kept": 20, "stopped": False}


def test_without_numbered_checkpoints_nothing_is_claimed(project):
    for _, path in checkpoints.numbered(project / "adapters"):
        path.unlink()
    entry = training.take(read(project))
    assert entry["stopped"] is None and entry["adapts"]["progress"]["last"] is None
    assert "cannot be told" in {row["what"]: row["value"] for row in tables.adapter(entry["adapts"])[0]}["Complete"]


def test_its_adapter_config_serves_as_the_config(project):
    path = project / "adapters" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"config": "config.yaml"}))  # as the command line writes
    config = configs.load(path)
    assert config["adapter_path"] == str(project / "adapters") and config["iters"] == 30
    inputs = read(project, "adapters/adapter_config.json")
    found = audit.check(inputs)
    assert not [one for one in found["findings"] if one["severity"] == "error"], found["findings"]
    keys = ("adapter.config_differs", "config.unknown_key", "config.dead_key")
    assert not [one for one in found["findings"] if one["check"] in keys]
    assert training.take(inputs)["adapter"] == str(project / "adapters")


def test_adapter_config_of_peft_is_refused_as_a_config(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 8, "lora_alpha": 16}))
    refused(lambda: configs.load(tmp_path / "adapter_config.json"), "PEFT", "adapter_path:")


# --- saved, and handed on ---------------------------------------------------------------------


def test_the_entry_is_taken_by_later_stages_until_the_weights_are_replaced(project, tmp_path):
    run = tmp_path / "reports" / "mine"
    training.save_result(run, training.take(read(project)))
    entry = training.load_result(run, "config")
    assert entry["existing"] and entry["run_id"] == adapters.identity(project / "adapters")
    assert not (run / "cost.json").exists()
    shutil.copy(project / "adapters" / "0000010_adapters.safetensors", project / "adapters" / "adapters.safetensors")
    refused(lambda: training.load_result(run, "config"), "isn't the adapter described", "Run notebook 03 again")


# --- refused ------------------------------------------------------------------------------------


def change(folder, change):
    path = folder / "adapters" / "adapters.safetensors"
    tensors = {name: mx.array(value) for name, value in mx.load(str(path)).items()}
    mx.eval(tensors)
    mx.save_safetensors(str(path), change(tensors))


BAD = {
    "NaN": (lambda all: {k: v * float("nan") for k, v in all.items()}, ["adapter.nan", "NaN"]),
    "missing": (
        lambda all: {k: v for k, v in all.items() if "layers.0." not in k},
        ["adapter.missing_tensors", "lacks"],
    ),
    "other base": (
        lambda all: {k: mx.concatenate([v, v]) if k.endswith("lora_a") else v for k, v in all.items()},
        ["adapter.base_model", "name the model that the adapter was trained on"],
    ),
}


@pytest.mark.parametrize("spoil, words", BAD.values(), ids=BAD)
def test_a_bad_adapter_is_not_measured_and_the_cause_is_said(project, spoil, words):
    change(project, spoil)
    refused(lambda: training.take(read(project)), "not measured", *words)


def test_a_model_that_cannot_be_had(project, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(project / "cache"))
    configure(project, model="someone/model")
    refused(lambda: training.take(read(project)), "someone/model", "could not be downloaded", "HF_HUB_OFFLINE")


# --- the checkpoints, scored ------------------------------------------------------------------


def test_every_checkpoint_is_scored_on_the_same_replies(project):
    found = scoring.score(read(project), 8)
    assert [row["iteration"] for row in found["rows"]] == [0, 10, 20, 30]
    assert found["split"] == "valid" and found["replies"] == 8 and found["own"] == 30 and found["left_out"] == []
    nats = {row["iteration"]: row["nats_per_reply_token"] for row in found["rows"]}
    assert nats[30] < nats[0] and len(set(nats.values())) == 4
    # The adapter itself gives the same as its copy in another folder, without the checkpoints.
    for _, path in checkpoints.numbered(project / "adapters")[:-1]:
        path.unlink()
    alone = {row["iteration"]: row["nats_per_reply_token"] for row in scoring.score(read(project), 8)["rows"]}
    assert alone == {0: nats[0], 30: nats[30]}


def test_a_checkpoint_of_another_run_is_left_out(project):
    shutil.copy(
        base_models.resolve("tiny") / "model.safetensors", project / "adapters" / "0000005_adapters.safetensors"
    )
    (project / "adapters" / "0000006_adapters.safetensors").write_bytes(b"cut off")
    found = scoring.score(read(project), 4)
    of_another_run, unreadable = found["left_out"]
    assert of_another_run["checkpoint"] == "0000005_adapters.safetensors" and "another run" in of_another_run["why"]
    assert unreadable["checkpoint"] == "0000006_adapters.safetensors" and unreadable["why"]
    assert not {5, 6} & {row["iteration"] for row in found["rows"]}


NAMES = [f"chat {at // 2}" for at in range(40)]
NOISE = np.random.default_rng(0).normal(0, 0.05, 40)


def scores(nats, noise=0.0):
    return {"reply": (nats + noise * NOISE) * 4, "tokens": np.full(40, 4), "end": np.full(40, 0.5)}


def judged(base, own=None, **nats):
    saved = {int(at[1:]): scores(value, number) for number, (at, value) in enumerate(nats.items(), 1)}
    return scoring.judge(scores(base), saved, own or max(saved), NAMES)


@pytest.mark.parametrize(
    "nats, keep, fit, word",
    [
        ({"i10": 3.0, "i20": 2.8, "i30": 3.4}, 20, "over-fitted", "Keep iteration 20 instead"),
        ({"i10": 4.0, "i20": 3.0, "i30": 2.0}, 30, "under-fitted", "longer training may help"),
        ({"i10": 3.0, "i20": 2.0, "i30": 2.0001}, 30, "well fitted", "well fitted"),
        ({"i10": 5.0, "i20": 5.0, "i30": 5.0001}, None, "not distinguishable", "Nothing was learned"),
        ({"i10": 6.0, "i20": 7.0, "i30": 8.0}, None, "not distinguishable", "worse than its base"),
        ({"i30": 3.0}, 30, "not distinguishable", "only one checkpoint"),
    ],
    ids=["over", "under", "well", "nothing learned", "hurt", "one checkpoint"],
)
def test_which_checkpoint_to_keep(nats, keep, fit, word):
    found = judged(5.0, **nats)
    assert (found["keep"], found["fit"]) == (keep, fit)
    assert word in conclusions.checkpoints(found)


def test_a_later_checkpoint_that_is_better_means_stopped_too_early():
    found = judged(5.0, own=10, i10=4.0, i20=3.0)
    assert (found["keep"], found["fit"]) == (20, "under-fitted")


def test_a_difference_within_chance_keeps_the_adapter():
    saved = {10: scores(3.0), 20: scores(3.0, 20.0)}
    saved[20]["reply"] = saved[20]["reply"] - saved[20]["reply"].mean() + 3.001 * 4
    found = scoring.judge(scores(5.0), saved, 20, NAMES)
    assert found["lowest"] == 10 and found["keep"] == 20 and found["fit"] == "well fitted"
    assert "iteration 10 is lowest, but not distinguishable from it" in conclusions.checkpoints(found)


# --- a saved log ------------------------------------------------------------------------------


def test_the_log_of_the_installed_mlx_lm_gives_the_curve(project):
    curve = logs.curve(project / "training.log")
    assert [row["iteration"] for row in curve if "train_loss" in row] == [5, 10, 15, 20, 25, 30]
    assert [row["iteration"] for row in curve if "validation_loss" in row] == [0, 9, 19, 29]
    assert all(0 < row.get("train_loss", row.get("validation_loss")) < 20 for row in curve)
    assert training.take(read(project), str(project / "training.log"))["curve"] == curve


OLD = """Loading pretrained model
Iter 1: Val loss 2.903, Val took 1.2s
Iter 10: Train loss 2.345, Learning Rate 1.000e-05, It/sec 3.4, Tokens/sec 345.6, Trained Tokens 1016, Peak mem 1.2 GB
\x1b[32mIter 20: Train loss nan, Learning Rate 1.000e-05, It/sec 3.4, Tokens/sec 345.6, Trained Tokens 2044, Peak mem 1 GB\x1b[0m
"""


def test_the_log_of_an_older_mlx_lm(tmp_path):
    (tmp_path / "log.txt").write_text(OLD)
    first, second, third = logs.curve(tmp_path / "log.txt")
    assert first == {"iteration": 0, "validation_loss": 2.903}
    assert second == {"iteration": 10, "train_loss": 2.345, "trained_tokens": 1016}
    assert third["iteration"] == 20 and np.isnan(third["train_loss"])


def test_of_several_runs_in_a_log_the_last_counts(tmp_path):
    (tmp_path / "log.txt").write_text(OLD + OLD.replace("2.345", "1.5"))
    curve = logs.curve(tmp_path / "log.txt")
    assert len(curve) == 3 and curve[1]["train_loss"] == 1.5


def test_a_file_that_is_no_log(tmp_path):
    (tmp_path / "notes.txt").write_text("Iteration ten went well.\n")
    refused(lambda: logs.curve(tmp_path / "notes.txt"), "No loss in", "notes.txt")
    refused(lambda: logs.curve(tmp_path / "missing.txt"), "missing.txt", "cannot be read")
