"""From a model's name to its folder. Each test builds the tiny model in its own folder."""

import json
import os
import shutil
import subprocess
import sys
import threading

import pytest
from conftest import greedy, refused
from ftstudy.errors import StudyError
from ftstudy.models import base_models, recipes

import mlx.core as mx  # isort: skip  # after ftstudy, which puts the tuned BLAS under it

# The tiny model and how a model is built


def test_tiny_is_built_once_loads_and_answers(models, monkeypatch):
    model, tokenizer = base_models.load("Tiny")
    assert len(model.layers) == 2
    assert isinstance(greedy(model, tokenizer, "hello", 5), str)
    assert {path.name for path in models.iterdir()} == {"tiny", ".gitignore"}
    monkeypatch.setattr(recipes, "_write_settings", None)
    assert base_models.resolve("tiny") == base_models.resolve(models / "tiny") == models / "tiny"


def test_a_changed_recipe_or_missing_file_triggers_a_rebuild(tiny, monkeypatch):
    (tiny / "model.safetensors").unlink()
    base_models.resolve("tiny")
    before = (tiny / "model.safetensors").read_bytes()
    (tiny / "from before").write_text("")
    monkeypatch.setitem(recipes.TINY_RECIPE, "seed", 8)
    base_models.resolve("tiny")
    assert (tiny / "model.safetensors").read_bytes() != before
    assert not (tiny / "from before").exists()
    assert json.loads((tiny / base_models.RECIPE).read_text())["seed"] == 8
    (tiny / base_models.RECIPE).write_text("{")
    base_models.resolve("tiny")
    assert json.loads((tiny / base_models.RECIPE).read_text())["seed"] == 8


def test_a_users_own_copy_is_left_alone(tiny):
    (tiny / base_models.RECIPE).unlink()
    (tiny / "config.json").write_text("{}")
    assert base_models.resolve("tiny") == tiny
    assert (tiny / "config.json").read_text() == "{}"
    (tiny / "tokenizer.json").unlink()
    refused(lambda: base_models.resolve("tiny"), "tokenizer.json", "Copy the missing files")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_build_leaves_no_files(models, monkeypatch, interruption):
    def interrupted(*_, **__):
        raise interruption

    monkeypatch.setattr(mx, "save_safetensors", interrupted)
    with pytest.raises((KeyboardInterrupt, StudyError)):
        base_models.resolve("tiny")
    assert not models.exists()
    monkeypatch.undo()


def test_a_full_disk_is_reported(models, monkeypatch):
    def full(*_, **__):
        raise RuntimeError("[write] Unable to write 10 bytes to file.")

    monkeypatch.setattr(mx, "save_safetensors", full)
    refused(lambda: base_models.resolve("tiny"), "tiny", "Unable to write", "room")


def test_leftovers_of_a_killed_build_are_deleted(models):
    (models / ".tiny.new.a1b2c3d4").mkdir(parents=True)
    (models / ".tiny.new.a1b2c3d4" / "model.safetensors").write_text("half")
    base_models.resolve("tiny")
    assert {path.name for path in models.iterdir()} == {"tiny"}


def test_concurrent_processes_build_once(models, tmp_path):
    script = f"""
from pathlib import Path
from ftstudy import paths
from ftstudy.models import base_models
paths.MODELS = Path({str(models)!r})
recipe, build = base_models.BUILT_HERE["tiny"]
def counted(folder):
    with open({str(tmp_path / "builds")!r}, "a") as file:
        file.write("built\\n")
    build(folder)
base_models.BUILT_HERE["tiny"] = recipe, counted
base_models.load("tiny")
"""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    processes = [subprocess.Popen([sys.executable, "-c", script], env=environment) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    assert (tmp_path / "builds").read_text() == "built\n"
    assert {path.name for path in models.iterdir()} == {"tiny", ".gitignore"}


def test_concurrent_threads_build_once(models):
    found = []
    threads = [threading.Thread(target=lambda: found.append(base_models.resolve("tiny"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [models / "tiny"] * 3


# Folders, the hub, adapters, the tokenizer alone


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_an_incomplete_folder_is_rejected(tiny, tmp_path, file):
    folder = tmp_path / "mine"
    shutil.copytree(tiny, folder)
    assert base_models.resolve(folder) == folder
    (folder / file).unlink()
    refused(lambda: base_models.resolve(folder), "mine", f"no {file.split('.')[0].replace('model', 'weights')}")


@pytest.mark.parametrize("name", ["data/modles/mine", "./models/mine", "nonsense", "/no/such/place"])
def test_a_missing_folder_is_reported_without_asking_the_hub(name, monkeypatch):
    monkeypatch.setattr(base_models, "_from_hub", None)
    refused(lambda: base_models.resolve(name), name.removeprefix("./"), "No model folder", "SmolLM2")


def test_a_hub_name_goes_through_mlx_lm(tiny, monkeypatch):
    import mlx_lm.utils

    asked = []
    monkeypatch.setattr(mlx_lm.utils, "snapshot_download", lambda name, **_: asked.append(name) or str(tiny))
    assert base_models.resolve("someone/some-model.v1") == tiny
    assert asked == ["someone/some-model.v1"]
    (tiny / "tokenizer.json").unlink()
    refused(lambda: base_models.resolve("someone/some-model.v1"), "tokenizer")


def test_hub_failures_are_explained(monkeypatch, tmp_path):
    import httpx2
    import mlx_lm.utils
    from huggingface_hub import constants, errors

    answer = httpx2.Response(401, request=httpx2.Request("GET", "https://example.org"))
    for error, words in [
        (errors.GatedRepoError("x", response=answer), ("gated", "hf auth login")),
        (errors.RepositoryNotFoundError("x", response=answer), ("no such model", "spelling")),
        (errors.HfHubHTTPError("a\nb", response=answer), ("network", "HfHubHTTPError")),
        (httpx2.ConnectError("a\nb"), ("network", "ConnectError")),
        (OSError(28, "No space left on device"), ("disk space",)),
    ]:
        with monkeypatch.context() as patch:

            def fail(*_, error=error, **__):
                raise error

            patch.setattr(mlx_lm.utils, "snapshot_download", fail)
            refused(lambda: base_models.resolve("someone/model"), "someone/model", "SmolLM2", *words)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    refused(lambda: base_models.resolve("someone/model"), "someone/model", "HF_HUB_OFFLINE")


def lora(folder, model, rank=4, layers=2, **more):
    """An adapter folder as mlx-lm writes it, with weights that change something."""
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.utils import linear_to_lora_layers

    parameters = {"rank": rank, "scale": 20.0, "dropout": 0.0}
    model.freeze()
    linear_to_lora_layers(model, layers, parameters)
    weights = {name: mx.full(w.shape, 0.05) for name, w in tree_flatten(model.trainable_parameters())}
    folder.mkdir()
    mx.save_safetensors(str(folder / "adapters.safetensors"), weights)
    settings = {"fine_tune_type": "lora", "num_layers": layers, "lora_parameters": parameters} | more
    (folder / "adapter_config.json").write_text(json.dumps(settings))


def test_adapters(tiny, tmp_path):
    model, _ = base_models.load(tiny)
    before = model(mx.array([[5, 6, 7]]))
    mx.eval(before)
    adapter = tmp_path / "adapter"
    lora(adapter, model)
    tuned, _ = base_models.load("tiny", adapter)
    assert not mx.allclose(tuned(mx.array([[5, 6, 7]])), before)

    settings = json.loads((adapter / "adapter_config.json").read_text())
    settings["lora_parameters"]["rank"] = 8
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    refused(lambda: base_models.load("tiny", adapter), "adapter", "does not match", "trained on this very model")
    (adapter / "adapter_config.json").write_text("{}")
    refused(lambda: base_models.load("tiny", adapter), "adapter", "cannot load")
    for file in ("adapters.safetensors", "adapter_config.json"):
        (adapter / file).unlink()
        refused(lambda: base_models.load("tiny", adapter), "isn't an adapter folder", file)
    refused(lambda: base_models.load("tiny", tmp_path / "missing"), "missing", "Train the adapter")


def test_a_model_that_cannot_be_loaded_is_reported(tiny):
    config = (tiny / "config.json").read_text()
    (tiny / "config.json").write_text(config.replace('"llama"', '"unheard_of"'))
    refused(lambda: base_models.load(tiny), "tiny", "unheard_of not supported")
    (tiny / "config.json").write_text(config)
    (tiny / "model.safetensors").write_bytes(b"half a file")
    refused(lambda: base_models.load(tiny), "tiny", "cannot load")


def test_the_tokenizer_alone_has_the_same_end_tokens_as_the_loaded_model(tiny):
    assert base_models.load_tokenizer("tiny").eos_token_ids == base_models.load("tiny")[1].eos_token_ids == {2}
    settings = json.loads((tiny / "generation_config.json").read_text())
    (tiny / "generation_config.json").write_text(json.dumps(settings | {"eos_token_id": [0, 2]}))
    assert base_models.load_tokenizer("tiny").eos_token_ids == base_models.load("tiny")[1].eos_token_ids == {0, 2}
    (tiny / "config.json").write_text("[]")
    refused(lambda: base_models.load_tokenizer("tiny"), "tiny", "cannot be loaded")
