"""Several configs into one table, and one config on several processes."""

import json
import re

import pytest
from conftest import example, ftstudy
from ftstudy import paths, training
from ftstudy.models import adapters
from ftstudy.training import sweep

ROWS = [example(user=f"Contact: hey {number}", reply="yo " * (number % 5 + 1)) for number in range(13)]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run's folder in reports/, where the started processes find it too."""
    folder = paths.absolute("reports") / f"test-{tmp_path.name}"
    yield folder
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def config(tmp_path, write_split):
    for name in ("train", "valid", "test"):
        write_split(tmp_path / "data", name, ROWS)

    def make(name, **settings):
        keys = {"model": "tiny", "data": f"{tmp_path}/data", "adapter_path": f"{tmp_path}/{name}", "train": True}
        keys |= {"num_layers": 2, "batch_size": 4, "iters": 6, "learning_rate": 1e-2, "steps_per_report": 1}
        keys |= {
            "steps_per_eval": 3,
            "val_batches": 2,
            "mask_prompt": True,
            "ftstudy": {"train_on": "last"},
            **settings,
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items()))
        return path

    return make


@pytest.mark.slow
def test_sweep_continues_after_failures_skips_finished_configs_and_prints_a_table(config, run, tmp_path):
    good, dora = config("good"), config("dora", fine_tune_type="dora")
    bad = config("bad", data=str(tmp_path / "nowhere"))
    made = ftstudy("sweep", bad, good, dora, "--run", run.name)
    assert made.returncode == 1 and "Traceback" not in made.stderr
    rows = {row["config"]: row for row in json.loads((run / "sweep.json").read_text())["configs"]}
    assert [rows[name]["status"] for name in ("bad", "good", "dora")] == ["failed", "trained", "trained"]
    assert "nowhere" in rows["bad"]["why"] and rows["good"]["best"] < rows["good"]["before"]
    assert {"tokens_per_second", "seconds", "peak_memory_gigabytes"} <= rows["dora"].keys()
    table = made.stdout.splitlines()
    assert re.search(r"config +status", made.stdout) and any(re.match(r"good +trained", line) for line in table)
    # Again: finished configs are kept, changed ones are trained.
    config("dora", fine_tune_type="dora", seed=3)
    ftstudy("sweep", good, dora, "--run", run.name)
    again = {row["config"]: row["status"] for row in json.loads((run / "sweep.json").read_text())["configs"]}
    assert again == {"good": "kept from before", "dora": "trained"}


@pytest.mark.slow
def test_failed_config_has_no_result_from_its_older_run(config, run, tmp_path):
    path = config("mine")
    assert ftstudy("train", "--config", path, "--run", run.name).returncode == 0
    assert training.load_result(run, "mine")
    (tmp_path / "data" / "train.jsonl").write_text("")
    rows = sweep.sweep([path], run, None, None, [])
    assert rows[0]["status"] == "failed"
    assert training.find_result(run, "mine") is None and (tmp_path / "mine" / "adapters.safetensors").is_file()


@pytest.mark.slow
def test_two_processes_give_the_same_loss_as_one(config, run, tmp_path):
    """MLX's ring on the loopback: the same global batches, so the same curve except for rounding."""
    alone, together = config("alone"), config("together")
    assert ftstudy("train", "--config", alone, "--run", run.name).returncode == 0
    made = ftstudy("train", "--config", together, "--run", run.name, "--hosts", "2")
    assert made.returncode == 0, made.stderr
    curves = [training.load_result(run, name)["curve"] for name in ("alone", "together")]
    assert [row.keys() for row in curves[0]] == [row.keys() for row in curves[1]]
    for one, two in zip(*curves):
        assert one.get("trained_tokens") == two.get("trained_tokens") and one["iteration"] == two["iteration"]
        for key in one.keys() & {"train_loss", "validation_loss"}:
            assert two[key] == pytest.approx(one[key], abs=1e-4)
    assert adapters.run_of(tmp_path / "together")
    assert made.stdout.count("kept: iteration") == 1  # only the first process prints
    broken = config("together", data=str(tmp_path / "nowhere"))
    assert ftstudy("train", "--config", broken, "--run", run.name, "--hosts", "2").returncode == 2
