"""The configs in ft_configs/: one matrix, live keys only, and what the original's generator got wrong."""

import re
import subprocess
import sys

import pytest
import yaml
from conftest import example
from ftstudy import audit, configs
from ftstudy.audit.config.trainer_keys import installed
from ftstudy.errors import StudyError
from ftstudy.models.base_models import resolve
from ftstudy.original_report import config_matrix
from ftstudy.paths import ROOT

ROWS = [example(user=f"Contact: hey {number}", reply="yo " * (number % 5 + 1)) for number in range(12)]
COMMITTED = ROOT / "ft_configs"
MATRIX = sorted(path.name for path in COMMITTED.glob("*.yaml") if not path.name.startswith(("inference", "historical")))


def test_writing_them_again_changes_nothing(tmp_path):
    written = config_matrix.write_all(tmp_path)
    assert sorted(path.name for path in written) == sorted(path.name for path in COMMITTED.glob("*.yaml"))
    assert all(path.read_bytes() == (COMMITTED / path.name).read_bytes() for path in written)


def test_the_reports_models_methods_and_variants_are_all_there():
    assert {
        f"personal_{size}_{method}_{variant}.yaml"
        for size in ("0.3b", "0.7b", "1.2b", "2.6b")
        for method in ("lora", "dora", "full", "pissa", "galore")
        for variant in ("variable", "rawstyle")
    } <= set(MATRIX)


@pytest.mark.parametrize("name", MATRIX)
def test_a_config_has_live_keys_only_and_floats_that_are_floats(name):
    text = (COMMITTED / name).read_text()
    keys = yaml.safe_load(text)
    assert set(keys) <= {key.split(".")[0] for key in installed().live} | {"ftstudy"}
    assert set(keys["ftstudy"]) <= set(configs.STUDY)
    assert re.search(r"^learning_rate: \d\.\de-\d\d$", text, re.MULTILINE)  # 2e-4 would be a text to YAML
    assert isinstance(keys["learning_rate"], float)


def test_the_audit_catches_the_originals_dead_keys(tmp_path):
    found = audit.config.check(audit.read(COMMITTED / "historical_0.3b_lora_cataware.yaml"))
    unread = " ".join(item["title"] for item in found if item["check"] == "config.unknown_key")
    assert all(key in unread for key in ("lora_layers", "lora_rank", "lora_alpha", "lora_dropout"))


@pytest.mark.parametrize("method", config_matrix.METHODS)
def test_the_reports_command_works_and_the_audit_passes(method, tmp_path, write_split):
    for name in ("train", "valid", "test"):
        write_split(tmp_path / "data" / "raw_style_variable", name, ROWS)
    tiny = config_matrix.Model("tiny", str(resolve("tiny")), layers=2, batch=2)
    variants = config_matrix.FIXED_VARIANTS[:1]
    (path,) = config_matrix.write_matrix(
        tmp_path, variants, str(tmp_path / "data"), models=(tiny,), methods=(method,), prefix="my"
    )
    assert path.name == f"my_tiny_{method}_variable.yaml"
    assert [item for item in audit.config.check(audit.read(path)) if item["severity"] == "error"] == []
    command = ["--config", path, "--iters", "4", "--steps-per-eval", "2", "--adapter-path", tmp_path / "adapter"]
    made = subprocess.run([sys.executable, "-m", "mlx_lm", "lora", *map(str, command)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "adapter" / "adapters.safetensors").is_file()


def test_a_variant_without_data_is_refused_and_nothing_is_written(tmp_path, write_split):
    for variant in config_matrix.FIXED_VARIANTS:
        write_split(tmp_path / "anna" / variant["path"], "train", ROWS)
    (tmp_path / "anna" / "wrapped").mkdir()
    with pytest.raises(StudyError, match="wrapped.*make extract"):
        config_matrix.write_for(str(tmp_path / "anna"), tmp_path / "configs")
    assert not (tmp_path / "configs").exists()
    write_split(tmp_path / "anna" / "wrapped", "train", ROWS)
    written = config_matrix.write_for(str(tmp_path / "anna"), tmp_path / "configs")
    assert "anna_0.3b_lora_variable.yaml" in [path.name for path in written]
    assert configs.load(written[0])["data"].endswith("anna/raw_style_variable")


def test_a_variant_of_no_name_is_refused():
    with pytest.raises(StudyError, match="No variant has that name"):
        config_matrix.check_data([{"id": "mine", "path": "no_such_variant"}], "data")
