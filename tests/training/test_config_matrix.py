"""The configs: one matrix, only keys that mlx-lm reads, and what the original's generator got wrong."""

import re
import subprocess
import sys

import pytest
import yaml
from conftest import example
from ftstudy import audit, configs, training
from ftstudy.audit import run_inputs
from ftstudy.audit.config.mlx_lm_keys import installed
from ftstudy.errors import StudyError
from ftstudy.models.base_models import resolve
from ftstudy.paths import ROOT
from ftstudy.training import config_matrix

ROWS = [example(user=f"Contact: hey {number}", reply="yo " * (number % 5 + 1)) for number in range(12)]
COMMITTED = ROOT / "ft_configs"


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    """The whole matrix, as `make configs` writes it: {name: path}."""
    return {path.name: path for path in config_matrix.write_all(tmp_path_factory.mktemp("generated"))}


def test_committed_configs_are_what_the_matrix_writes(tmp_path):
    written = config_matrix.write_examples(tmp_path)
    originals = ["historical_0.3b_lora_cataware.yaml", "broken_135m_lora_variable.yaml"]
    committed = sorted(path.name for path in COMMITTED.glob("*.yaml"))
    assert sorted([*(path.name for path in written), *originals]) == committed
    assert all(path.read_bytes() == (COMMITTED / path.name).read_bytes() for path in written)
    assert 10 <= len(committed) <= 13


def test_matrix_has_every_model_method_and_variant(matrix):
    names = ["demo_135m", *(f"personal_{size}" for size in ("0.3b", "0.7b", "1.2b", "2.6b"))]
    assert set(matrix) == {
        f"{name}_{method}_{variant}.yaml"
        for name in names
        for method in ("lora", "dora", "full", "pissa", "galore")
        for variant in ("variable", "rawstyle", "wrapped")
    }


def test_matrix_has_the_committed_configs_unchanged(matrix):
    committed = [path for path in COMMITTED.glob("*.yaml") if path.name.startswith(("demo", "personal"))]
    assert len(committed) == 8
    assert all(path.read_bytes() == matrix[path.name].read_bytes() for path in committed)


def test_make_configs_writes_where_git_ignores():
    ignored = subprocess.run(["git", "check-ignore", "--quiet", "ft_configs/generated/demo.yaml"], cwd=ROOT)
    assert ignored.returncode == 0 or not (ROOT / ".git").exists()


def test_configs_have_only_keys_that_are_read_and_rates_that_are_floats(matrix):
    for path in [*matrix.values(), COMMITTED / "sample_tiny_lora_variable.yaml"]:
        text = path.read_text()
        keys = yaml.safe_load(text)
        assert set(keys) <= {key.split(".")[0] for key in installed().live} | {"ftstudy"}, path.name
        assert set(keys["ftstudy"]) <= set(configs.STUDY), path.name
        assert re.search(r"^learning_rate: \d\.\de-\d\d$", text, re.MULTILINE)  # YAML reads 2e-4 as text
        assert isinstance(keys["learning_rate"], float), path.name


@pytest.mark.parametrize("data", [True, False])
def test_audit_finds_nothing_in_the_whole_matrix(matrix, data, tmp_path, write_split, monkeypatch):
    monkeypatch.setattr(run_inputs.RunInputs, "model", None)  # the demo's model takes long to build
    folder = write_split(tmp_path / "data", "train", ROWS * 1000) if data else tmp_path / "none"
    for name, path in matrix.items():
        found = audit.config.check(run_inputs.read(path, data_folder=folder, model="tiny"))
        above = [item for item in audit.report(found)["findings"] if item["severity"] != "info"]
        assert above == [], name


def test_audit_finds_the_keys_of_the_original_that_nothing_reads(tmp_path):
    found = audit.config.check(audit.read(COMMITTED / "historical_0.3b_lora_cataware.yaml"))
    unread = " ".join(item.title for item in found if item.check == "config.unknown_key")
    assert all(key in unread for key in ("lora_layers", "lora_rank", "lora_alpha", "lora_dropout"))


def test_audit_of_the_demo_that_fails_finds_its_faults_and_no_others(tmp_path, write_split):
    for number, name in enumerate(("train", "valid")):
        rows = [example(user=f"Contact: hey {number} {row}", reply=f"yo {number} {row}") for row in range(200)]
        write_split(tmp_path, name, rows)
    inputs = audit.read(COMMITTED / "broken_135m_lora_variable.yaml", tmp_path, "data/sample/tiny-chat", "historical")
    found = [item for item in audit.check(inputs)["findings"] if item["severity"] != "info"]
    ignored = [item["title"].split(":")[0] for item in found if item["check"] == "config.unknown_key"]
    assert ignored == ["`lora_layers", "`lora_rank", "`lora_alpha", "`lora_dropout"]
    ours = {"config.unknown_key", "loss.on_prompt", "parity.system_text", "parity.user_wrapper"}
    assert {item["check"] for item in found} == ours | {"config.num_layers"}  # this small model has fewer than 16
    assert training.check_audit(inputs, force=True) == ["config.num_layers"]  # nothing else stops the training


def test_rate_of_the_demo_that_fails_suits_only_the_scale_that_was_meant():
    given = configs.load(COMMITTED / "broken_135m_lora_variable.yaml")
    meant, used = given["lora_alpha"] / given["lora_rank"], given["lora_parameters"]["scale"]
    recipe = float(config_matrix.METHODS["lora"].rate) * float(config_matrix.METHODS["lora"].scale)
    assert given["learning_rate"] * meant <= recipe < given["learning_rate"] * used / 2


@pytest.mark.parametrize("method", config_matrix.METHODS)
def test_plain_mlx_lm_trains_each_method_and_the_audit_finds_no_error(method, tmp_path, write_split):
    for name in ("train", "valid", "test"):
        write_split(tmp_path / "data" / "raw_style_variable", name, ROWS)
    tiny = config_matrix.Model("tiny", str(resolve("tiny")), layers=2, batch=2)
    variants = config_matrix.MAIN_VARIANTS[:1]
    (path,) = config_matrix.write_matrix(
        tmp_path, variants, str(tmp_path / "data"), models=(tiny,), methods=(method,), prefix="my"
    )
    assert path.name == f"my_tiny_{method}_variable.yaml"
    assert [item for item in audit.config.check(audit.read(path)) if item.severity == "error"] == []
    command = ["--config", path, "--iters", "4", "--steps-per-eval", "2", "--adapter-path", tmp_path / "adapter"]
    made = subprocess.run([sys.executable, "-m", "mlx_lm", "lora", *map(str, command)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "adapter" / "adapters.safetensors").is_file()


def test_variant_without_data_is_refused_and_nothing_is_written(tmp_path, write_split):
    for variant in config_matrix.MAIN_VARIANTS:
        write_split(tmp_path / "anna" / variant["path"], "train", ROWS)
    (tmp_path / "anna" / "wrapped").mkdir()
    with pytest.raises(StudyError, match="wrapped.*make extract"):
        config_matrix.write_for(str(tmp_path / "anna"), tmp_path / "configs")
    assert not (tmp_path / "configs").exists()
    write_split(tmp_path / "anna" / "wrapped", "train", ROWS)
    written = config_matrix.write_for(str(tmp_path / "anna"), tmp_path / "configs")
    assert "anna_0.3b_lora_variable.yaml" in [path.name for path in written]
    assert configs.load(written[0])["data"].endswith("anna/raw_style_variable")


def test_unknown_variant_is_refused():
    with pytest.raises(StudyError, match="No variant has that name"):
        config_matrix.check_data([{"id": "mine", "path": "no_such_variant"}], "data")
