"""Two processes at once: one works, the other says who does; nothing is mixed, nothing lost."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import refused
from ftstudy import cli
from ftstudy.compare import preference
from ftstudy.files import locks
from ftstudy.models import adapters
from ftstudy.record.captures import Captures
from ftstudy.training import results

LIB = Path(locks.__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.fspath(LIB)}


def started(folder, *command, **more):
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


HOLD = "import pathlib, sys, ftstudy.files.locks as l\nwith l.held(pathlib.Path(sys.argv[1])): print('held', flush=True); input()"


@pytest.fixture
def holder(tmp_path):
    """A process that holds a lock of this folder until it is told to end."""
    process = started(tmp_path, "-c", HOLD, tmp_path / "run" / ".lock", stdin=subprocess.PIPE)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_held_lock_is_refused_in_a_sentence_with_the_process(tmp_path, holder):
    wanted = locks.held(tmp_path / "run" / ".lock", "The run is being written", "Wait.")
    refused(wanted.__enter__, f"The run is being written by process {holder.pid} (since ", "). Wait.")


def test_a_lock_is_free_after_its_holder_ended_or_was_killed(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "run" / ".lock").exists()
    with locks.held(tmp_path / "run" / ".lock", "The run is being written"):
        pass
    assert not (tmp_path / "run" / ".lock").exists()


def test_the_folder_of_a_lock_goes_with_it_unless_something_was_written(tmp_path):
    for at, left in enumerate(([], [".gitignore", "result.json"])):
        with locks.held(tmp_path / str(at) / ".lock"):
            if left:
                (tmp_path / str(at) / "result.json").write_text("{}")
        folder = tmp_path / str(at)
        assert folder.exists() == bool(left) and (not left or sorted(one.name for one in folder.iterdir()) == left)


def test_a_lock_that_its_holder_removed_is_taken_by_one_of_those_who_wait(tmp_path):
    """Each of four processes adds to a number 25 times, in a folder that disappears between two of them."""
    script = (
        "import pathlib, ftstudy.files.locks as locks\n"
        "for at in range(25):\n"
        "    with locks.held(pathlib.Path('run/.lock')):\n"
        "        number = int(pathlib.Path('number').read_text())\n"
        "        pathlib.Path('number').write_text(str(number + 1))\n"
    )
    (tmp_path / "number").write_text("0")
    processes = [started(tmp_path, "-c", script) for _ in range(4)]
    assert [process.communicate()[1] for process in processes] == [""] * 4
    assert (tmp_path / "number").read_text() == "100"
    assert [path.name for path in tmp_path.iterdir()] == ["number"]


UPDATES = """
import pathlib, sys
from ftstudy import resource_use
from ftstudy.compare import preference
from ftstudy.training import results
who, run = sys.argv[1], pathlib.Path("run")
for at in range(20):
    resource_use.put(run, f"{who} {at}", {"seconds": at})
    results.save_result(run, {"name": f"{who} {at}"})
    preference.choose(run, {"row": at, "arms": ["a", "b"], "texts": [who, "x"]}, "1")
    results.remove_result(run, f"{who} {at - 10}")
"""


def test_no_update_of_a_json_file_is_lost(tmp_path):
    processes = [started(tmp_path, "-c", UPDATES, who) for who in "ab"]
    assert [process.communicate()[1] for process in processes] == ["", ""]
    everything = {f"{who} {at}" for who in "ab" for at in range(20)}
    assert json.loads((tmp_path / "run" / "cost.json").read_text()).keys() == everything
    kept = {name for name in everything if int(name.split()[1]) >= 10}
    assert {entry["name"] for entry in results._entries(tmp_path / "run")} == kept
    assert len(preference.choices(tmp_path / "run")) == 40
    assert [path.name for path in (tmp_path / "run").glob(".*")] == [".gitignore"]


def test_recording_into_one_file_twice_is_refused(tmp_path):
    first = Captures(tmp_path / "captures.jsonl")
    first.add(("test", 0), "hello")
    refused(lambda: Captures(tmp_path / "captures.jsonl"), "captures.jsonl is being recorded", "--out")
    first.close()
    Captures(tmp_path / "captures.jsonl").close()


@pytest.mark.parametrize("verb", ["diagnose", "notebook", "compare"])
def test_a_run_that_is_being_written_is_refused(tmp_path, monkeypatch, capsys, verb, finished):
    monkeypatch.chdir(tmp_path)
    given = {
        "diagnose": ["mine.yaml", "--run", "mine"],
        "notebook": ["01_extract", "--run", "mine"],
        "compare": ["--run", "mine", "-p", "config", "mine.yaml"],
    }
    holder = started(tmp_path, "-c", HOLD, tmp_path / "reports" / "mine" / ".lock", stdin=subprocess.PIPE)
    assert holder.stdout.readline() == "held\n"
    before = sorted((tmp_path / "reports" / "mine").iterdir())
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, *given[verb]])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and f"reports/mine is being written by process {holder.pid}" in said, said
    assert sorted((tmp_path / "reports" / "mine").iterdir()) == before
    holder.communicate("\n")


# --- training --------------------------------------------------------------------------------


def rows(count):
    return [
        {"messages": [{"role": "user", "content": f"hey {at}"}, {"role": "assistant", "content": "yo " * (at % 4 + 1)}]}
        for at in range(count)
    ]


@pytest.fixture
def config(tmp_path, write_split):
    for name in ("train", "valid", "test"):
        write_split(tmp_path / "rows", name, rows(9))

    def make(name, **settings):
        keys = {"model": "tiny", "data": "rows", "adapter_path": "adapters/mine", "train": True, "batch_size": 2}
        keys |= {"num_layers": 2, "mask_prompt": True, "steps_per_eval": 5, "iters": 5, "steps_per_report": 1}
        (tmp_path / f"{name}.yaml").write_text(json.dumps(keys | settings))
        return name

    return make


def train(folder, name, *more):
    return started(folder, "-m", "ftstudy", "train", "--config", f"{name}.yaml", "--run", "mine", *more)


@pytest.fixture
def finished(tmp_path, config):
    """A run with one trained adapter."""
    process = train(tmp_path, config("mine"))
    assert process.wait() == 0, process.stderr.read()


@contextmanager
def in_the_middle(folder, name):
    """A training that is stopped in its middle during the block, and then runs to its end."""
    process = train(folder, name)
    while not (folder / "reports" / "mine" / f"{name}.metrics.jsonl").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)
    assert (folder / "adapters" / "mine" / ".lock").exists()
    yield process
    process.send_signal(signal.SIGCONT)
    assert process.wait() == 0, process.stderr.read()


@pytest.mark.slow
@pytest.mark.parametrize(
    "other", [{"learning_rate": 1e-2}, {"lora_parameters": {"rank": 4, "scale": 2.0, "dropout": 0.0}}]
)
def test_of_two_trainings_into_one_folder_one_trains_and_the_other_says_so(tmp_path, config, other):
    with in_the_middle(tmp_path, config("first", iters=200)) as first:
        second = train(tmp_path, config("second", **other))
        said = second.communicate()[1]
    assert second.returncode == 2 and "Traceback" not in said and len(said.splitlines()) == 1
    assert f"adapters/mine is being trained by process {first.pid} (since " in said and "adapter_path" in said
    (entry,) = results._entries(tmp_path / "reports" / "mine")
    assert entry["name"] == "first" and entry["iterations"] == 200
    assert adapters.identity(tmp_path / "adapters" / "mine") == entry["run_id"]
    metrics = (tmp_path / "reports" / "mine" / "first.metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in metrics] == entry["curve"]
    made = {path.name for path in (tmp_path / "adapters" / "mine").iterdir()}
    assert made == {".gitignore", "adapter_config.json", "adapters.safetensors", "prompt_contract.json"}


@pytest.mark.slow
def test_two_configs_of_one_name_in_one_run_are_refused_and_of_two_names_both_trained(tmp_path, config):
    (tmp_path / "elsewhere").mkdir()
    config("elsewhere/one", adapter_path="adapters/other")
    with in_the_middle(tmp_path, config("one", iters=200)) as first:
        same, other = train(tmp_path, "elsewhere/one"), train(tmp_path, config("two", adapter_path="adapters/two"))
        said = same.communicate()[1]
        assert other.wait() == 0, other.stderr.read()
    assert same.returncode == 2 and f"one of reports/mine is being trained by process {first.pid}" in said, said
    assert {entry["name"] for entry in results._entries(tmp_path / "reports" / "mine")} == {"one", "two"}
    assert {path.name for path in (tmp_path / "adapters").iterdir()} == {".gitignore", "mine", "two"}


@pytest.mark.slow
def test_processes_that_train_together_hold_one_lock_and_end_together_if_it_is_taken(tmp_path, config):
    with in_the_middle(tmp_path, config("first", iters=200)) as first:
        second = train(tmp_path, config("second"), "--hosts", "2")
        said = "".join(second.communicate(timeout=200))
    assert second.returncode == 2 and f"is being trained by process {first.pid}" in said, said
    together = train(tmp_path, "second", "--hosts", "2")
    assert together.wait() == 0, together.stderr.read()
    assert {entry["name"] for entry in results._entries(tmp_path / "reports" / "mine")} == {"first", "second"}
