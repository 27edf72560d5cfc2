"""A base model that can't be loaded ends every command in a sentence, and no code in its folder runs."""

import json
import os

import pytest
import yaml
from conftest import example, refused
from ftstudy import cli
from ftstudy.models import base_models, loadable


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


@pytest.fixture
def study(tiny, tmp_path, write_split):
    """A config that trains the test's own tiny model."""
    for name in ("train", "valid", "test"):
        write_split(tmp_path / "data", name, [example(reply=f"yes {at}") for at in range(8)])
    keys = {"model": str(tiny), "data": str(tmp_path / "data"), "adapter_path": str(tmp_path / "adapter")}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(keys | {"iters": 2, "batch_size": 2}), encoding="utf-8")
    return tmp_path


def ended(capsys, *arguments):
    """Exit status, and everything printed."""
    with pytest.raises(SystemExit) as caught:
        cli.main(list(map(str, arguments)))
    return caught.value.code, "".join(capsys.readouterr())


def with_code(tiny, mark):
    (tiny / "model.py").write_text(f"open({str(mark)!r}, 'w').close()\n", encoding="utf-8")
    edit(tiny / "config.json", model_file="model.py")


def with_tokenizer_code(tiny, mark):
    (tiny / "own.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Own: pass\n", encoding="utf-8")
    edit(tiny / "tokenizer_config.json", tokenizer_class="Own", auto_map={"AutoTokenizer": ["own.Own", None]})


@pytest.mark.parametrize("bring", [with_code, with_tokenizer_code])
def test_code_in_the_models_folder_never_runs(bring, study, tiny, capsys, monkeypatch):
    monkeypatch.chdir(study)
    bring(tiny, study / "it ran")
    for arguments in (
        ["audit", "--config", "config.yaml"],
        ["train", "--config", "config.yaml"],
        ["train", "--config", "config.yaml", "--force"],
        ["compare", "-p", "config", "config.yaml"],
        *([["diagnose", "config.yaml"]] if bring is with_code else []),  # which starts notebooks
    ):
        status, printed = ended(capsys, *arguments)
        assert status in (1, 2) and "usage:" not in printed and "Traceback" not in printed, (arguments, printed)
    refused(lambda: base_models.load(tiny), "tiny")
    assert not (study / "it ran").exists()


def test_audit_reports_what_training_would_stop_at(study, tiny, capsys):
    edit(tiny / "config.json", hidden_size=96)
    for verb in ("audit", "train"):
        status, printed = ended(capsys, verb, "--config", study / "config.yaml")
        assert status == 1 and "model.tensors" in printed or "weights don't fit" in printed, printed


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "model-2.safetensors", "x.jinja"]
)
def test_pipe_in_the_models_folder_is_refused_without_waiting(name, tiny):
    (tiny / name).unlink(missing_ok=True)
    os.mkfifo(tiny / name)
    (tiny / base_models.RECIPE).unlink()  # the user's own folder, not one that is built again
    for use in (base_models.load, base_models.load_tokenizer):
        refused(lambda use=use: use(tiny), name, "named pipe")


def test_every_kind_of_problem_has_a_fix_and_a_check():
    from ftstudy.audit import base_model

    assert set(loadable.FIXES) == set(base_model.OF_KIND) and len(loadable.FIXES) > 4
    assert all(check.id == f"model.{kind}" for kind, check in base_model.OF_KIND.items())


def test_layers_without_end_are_refused_before_the_model_is_built(tiny):
    edit(tiny / "config.json", num_hidden_layers=10**9)
    refused(lambda: base_models.load(tiny), "10,000 layers")
    edit(tiny / "config.json", num_hidden_layers=2, text_config={"n_layers": 1e300})
    refused(lambda: base_models.load(tiny), "10,000 layers")
