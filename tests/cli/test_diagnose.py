"""Somebody's own project: rows by another script, an adapter by plain mlx-lm, an app; diagnosed from its folder."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import types

import httpx
import mlx.core as mx
import pytest
import yaml
from ftstudy import paths
from ftstudy.models import base_models
from ftstudy.models.recipes import DEMO_MODEL
from mlx_lm import lora
from record.test_record import command, free_port

APP = '''
def build_prompt(example):
    """The app has a system text of its own, and writes ChatML by hand."""
    said = example["messages"][-2]["content"]  # the last is the reply
    return f"<|im_start|>system\\nYou are a helpful bot.<|im_end|>\\n<|im_start|>user\\n{said}<|im_end|>\\n<|im_start|>assistant\\n"
'''
CONFIG = {
    "data": "data",
    "adapter_path": "adapters",
    "train": True,
    "iters": 30,
    "batch_size": 2,
    "num_layers": 2,
    "learning_rate": 1e-3,
    "mask_prompt": True,
    "save_every": 10,
    "steps_per_eval": 10,
    "max_seq_length": 256,
}


def conversation(number: int) -> list[dict]:
    """Rows of one conversation, each with the turns before it."""
    draw = random.Random(number)
    words = [f"{draw.choice(['boat', 'tea', 'bus', 'cat', 'rain'])} {draw.randrange(100, 999)}" for _ in range(8)]
    turns = [{"role": "system", "content": "You are Kim. Text as Kim does."}]
    rows = []
    for at in range(0, 8, 2):
        turns += [
            {"role": "user", "content": f"what about {words[at]} today {number}?"},
            {"role": "assistant", "content": f"yo {words[at + 1]} lol"},
        ]
        rows.append({"messages": [dict(turn) for turn in turns]})
    return rows


def write_rows(folder, **splits):
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in splits.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def diagnose(project, *arguments):
    """`ftstudy diagnose`, run in the project's folder by the interpreter of the tests."""
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT / "lib")}
    command = [sys.executable, "-m", "ftstudy", "diagnose", *map(str, arguments)]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)


def files_of(project):
    """Every file of the project but the reports, with its bytes."""
    found = [path for path in project.rglob("*") if path.is_file() and "reports" not in path.parts]
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with rows in two files, an adapter by mlx-lm's own loop, and an app. Paths as its owner wrote them."""
    folder = tmp_path_factory.mktemp("project")
    rows = [conversation(number) for number in range(14)]
    flat = lambda some: [row for talk in some for row in talk]  # noqa: E731
    write_rows(folder / "data", train=flat(rows[:10]), valid=flat(rows[10:]))
    model = base_models.resolve("tiny")
    (folder / "model").symlink_to(model)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"model": "model"}))
    (folder / "my_app.py").write_text(APP)
    (folder / "my_app.yaml").write_text("kind: callable\nfunction: my_app:build_prompt\n")
    here = os.getcwd()
    os.chdir(folder)
    try:
        mx.random.seed(0)
        lora.run(types.SimpleNamespace(**lora.CONFIG_DEFAULTS | CONFIG | {"model": "model"}))
    finally:
        os.chdir(here)
    return folder


@pytest.fixture(scope="module")
def diagnosed(project):
    before = files_of(project)
    said = diagnose(project, "config.yaml", "--inference", "my_app.yaml")
    assert files_of(project) == before, f"{said.stdout} {said.stderr}"
    assert (project / "reports" / "config" / "index.html").is_file(), said.stderr
    results = {path.stem: json.loads(path.read_text()) for path in (project / "reports" / "config").glob("*.json")}
    page = (project / "reports" / "config" / "index.html").read_text(encoding="utf-8")
    return said, results, page


@pytest.mark.slow
def test_one_command_measures_an_adapter_that_exists(diagnosed):
    said, results, _ = diagnosed
    errors = results["findings"]["summary"]["error"]
    assert said.returncode == (1 if errors else 0), said.stderr
    arms = {(arm["model"], arm["format"]) for arm in results["comparison"]["arms"]}
    assert {("base", "aligned"), ("tuned", "aligned"), ("tuned", results["comparison"]["app"])} <= arms
    assert results["comparison"]["app"] != "aligned"


@pytest.mark.slow
def test_held_out_replies_come_from_valid_and_the_report_says_so(diagnosed):
    _, results, page = diagnosed
    assert results["comparison"]["heldout"]["split"] == "valid"
    assert "There is no test.jsonl" in page


@pytest.mark.slow
def test_conversations_are_inferred_and_the_report_says_how_sure_that_is(diagnosed):
    _, results, page = diagnosed
    assert results["comparison"]["heldout"]["grouping"] == {"known": "inferred", "linked": 16, "rows": 16}
    assert {arm["conversations"] for arm in results["comparison"]["arms"]} == {4}
    assert "16 of 16 share lines" in page


@pytest.mark.slow
def test_the_prompt_of_the_app_is_compared_with_training(diagnosed):
    _, results, page = diagnosed
    checks = {(one["check"], one["severity"]) for one in results["findings"]["findings"]}
    assert any(check.startswith("parity.") and severity == "error" for check, severity in checks)
    assert "my_app" in page


@pytest.mark.slow
def test_the_report_shows_the_findings_and_leaves_out_what_does_not_apply(diagnosed):
    _, results, page = diagnosed
    for one in results["findings"]["findings"]:
        if one["severity"] == "error":
            assert one["check"] in page
    assert "What the original report said" not in page
    assert "Loss over iterations" not in page and "Validation loss" not in page
    assert "ferry" not in page  # of the demo's chats


@pytest.mark.slow
def test_without_an_app_there_is_no_parity_error_and_the_report_says_how_to_describe_one(project):
    before = files_of(project)
    said = diagnose(project, "config.yaml", "--run", "no-app", "--replies", "6")
    assert files_of(project) == before, "an audit without errors writes no contract into the adapter's folder"
    found = json.loads((project / "reports" / "no-app" / "findings.json").read_text())
    assert not [one for one in found["findings"] if one["check"].startswith("parity.") and one["severity"] != "info"]
    page = (project / "reports" / "no-app" / "index.html").read_text(encoding="utf-8")
    assert "ftstudy record" in page and "historical" in page, said.stderr
    assert "Which fault costs what" not in page and "no fault that changes a token" not in page
    assert "ftstudy diagnose config.yaml" in page and "<code>make " not in page and "FULL=1" not in page


@pytest.mark.slow
def test_without_an_adapter_the_rows_and_the_prompt_are_diagnosed(project, tmp_path):
    copied = tmp_path / "copy"
    write_rows(copied / "data", train=conversation(1), valid=conversation(2))
    (copied / "model").symlink_to(base_models.resolve("tiny"))
    (copied / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"model": "model"}))
    said = diagnose(copied, "config.yaml")
    page = (copied / "reports" / "config" / "index.html").read_text(encoding="utf-8")
    assert "There is no adapter in adapters" in page
    assert said.returncode in (1, 2) and "--adapter" in said.stderr


@pytest.mark.parametrize(
    "option, says", [("--log", "no file"), ("--fused", "no fused model"), ("--inference", "inference profile")]
)
def test_a_wrong_path_is_reported_before_any_notebook_runs(tmp_path, option, says):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"model": "tiny"}))
    said = diagnose(tmp_path, "config.yaml", option, "nowhere")
    assert said.returncode == 2 and says in said.stderr and "nowhere" in said.stderr and said.stdout == ""


@pytest.mark.slow
def test_rows_that_cannot_be_found_are_an_error_that_names_the_folder(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"model": "tiny", "data": "rows"}))
    said = diagnose(tmp_path, "config.yaml")
    assert said.returncode == 2 and "rows" in said.stderr and "Traceback" not in said.stderr


# --- the demo's model, and an app that asks a server ------------------------------------------------


def answers(address: str) -> None:
    """Wait until a server answers at all."""
    for _ in range(1200):
        try:
            httpx.get(address, trust_env=False, timeout=5)
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at {address}")


def server_app(address: str, rows: list[dict]) -> None:
    """An app with a system text of its own, which lets a server render its messages."""
    for row in rows:
        said = [turn for turn in row["messages"][:-1] if turn["role"] != "system"]
        messages = [{"role": "system", "content": "You are a friendly assistant."}, *said]
        httpx.post(
            f"{address}/v1/chat/completions", json={"messages": messages, "max_tokens": 1}, timeout=120, trust_env=False
        ).raise_for_status()


def first_layers(source, folder, count: int):
    """A model with the tokenizer, template and weights of another, but only its first layers."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    settings = json.loads((source / "config.json").read_text()) | {"num_hidden_layers": count}
    (folder / "config.json").write_text(json.dumps(settings))
    weights = mx.load(str(source / "model.safetensors"))
    layer = lambda name: int(name.split(".")[2]) if name.startswith("model.layers.") else 0  # noqa: E731
    kept = {name: value for name, value in weights.items() if layer(name) < count}
    mx.save_safetensors(str(folder / "model.safetensors"), kept, {"format": "mlx"})
    return folder


@pytest.mark.slow
def test_a_server_app_is_recorded_and_its_adapter_of_the_demo_model_is_diagnosed(tmp_path):
    """Two layers of the model: what is recorded and compared is its tokenizer's and its template's."""
    model, server_port, port = (
        first_layers(base_models.resolve(DEMO_MODEL), tmp_path / "model", 2),
        free_port(),
        free_port(),
    )
    train, valid = ([row for number in numbers for row in conversation(number)] for numbers in (range(4), (8,)))
    write_rows(tmp_path / "data", train=train, valid=valid)
    changes = {"model": str(model), "iters": 2, "save_every": 2, "val_batches": 1, "num_layers": 2, "batch_size": 1}
    config = CONFIG | changes | {"learning_rate": 1e-4}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    settings = {"data": str(tmp_path / "data"), "adapter_path": str(tmp_path / "adapters")}
    lora.run(types.SimpleNamespace(**lora.CONFIG_DEFAULTS | config | settings))

    server = command("mlx_lm.server", "--model", model, "--port", server_port)
    given = ("--server", f"127.0.0.1:{server_port}", "--data", tmp_path / "data", "--out", tmp_path / "sent.jsonl")
    try:
        answers(f"http://127.0.0.1:{server_port}/health")
        recorder = command("ftstudy", "record", *given, "--port", port, "--model", model)
        try:
            answers(f"http://127.0.0.1:{port}/health")
            server_app(f"http://127.0.0.1:{port}", valid)
        finally:
            recorder.send_signal(signal.SIGINT)
            said, _ = recorder.communicate(timeout=60)
    finally:
        server.kill()
        server.communicate()
    assert "4 prompts recorded" in said

    made = diagnose(tmp_path, "config.yaml", "--inference", "sent.jsonl", "--replies", "4")
    results = tmp_path / "reports" / "config"
    comparison, findings = (json.loads((results / f"{name}.json").read_text()) for name in ("comparison", "findings"))
    assert made.returncode == 1, made.stderr
    assert ("parity.system_text", "error") in {(one["check"], one["severity"]) for one in findings["findings"]}
    assert {("tuned", "aligned"), ("tuned", comparison["app"])} <= {
        (arm["model"], arm["format"]) for arm in comparison["arms"]
    }
    assert comparison["attribution"]["tuned"]["faults"] == ["system"]
    assert (results / "index.html").stat().st_size < 3e6


def test_a_model_that_cannot_be_had_is_said_before_anything_is_written(tmp_path):
    write_rows(tmp_path / "data", train=conversation(1), valid=conversation(2))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"model": "./gone"}))
    said = diagnose(tmp_path, "config.yaml")
    assert said.returncode == 2 and "No model folder at gone" in said.stderr
    assert not (tmp_path / "reports").exists()
