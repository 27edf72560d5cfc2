"""`ftstudy verify`: a run repeated is equal to the byte, and what differs is named without quoting anybody."""

import json
import os
import shutil

import mlx.core as mx
import pytest
from conftest import ftstudy, refused, tiny_config
from ftstudy import paths
from ftstudy.stages import differences, rerun

SAMPLE = paths.ROOT / "data" / "sample" / "chat.db"
ROWS = "rows/raw_style_variable"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a run, `reports/mine`, of two notebooks: its own rows, an adapter, and one more adapter."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "config.yaml").write_text(tiny_config(ROWS))
    (folder / "other.yaml").write_text(tiny_config(ROWS, adapter_path="other", seed=1))
    source = ["-p", "source", SAMPLE, "-p", "out", "rows", "-p", "contacts", "", "-p", "config", "config.yaml"]
    steps = [
        ["notebook", "01_extract", "--run", "mine", *source, "-p", "variants", "[raw_style_variable]"],
        ["train", "--config", "other.yaml", "--run", "mine"],
        ["notebook", "03_train", "--run", "mine", "-p", "config", folder / "config.yaml"]
        + ["-p", "adapter", "", "-p", "iterations", "0", "-p", "evaluate_every", "0", "-p", "stock", "false"],
    ]
    for arguments in steps:
        result = ftstudy(*arguments, cwd=folder)
        assert result.returncode == 0, result.stderr
    return folder


def files_of(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_run_repeated_is_equal_to_the_byte_and_is_not_touched(made):
    before = files_of(made)
    result = ftstudy("verify", "--run", "mine", cwd=made)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "other: running again" in result.stdout and "all equal" in result.stdout
    assert files_of(made) == before
    compared = repetition_files(made)
    assert {
        "rows/raw_style_variable/train.jsonl",
        "adapter/adapters.safetensors",
        "other/adapters.safetensors",
    } <= compared
    assert {"reports/mine/training.json", "reports/mine/extraction.json"} <= compared


def repetition_files(folder):
    run = folder / "reports" / "mine"
    rows, adapters = [folder / "rows" / "raw_style_variable"], [folder / "adapter", folder / "other"]
    old = os.getcwd()
    os.chdir(folder)
    try:
        return {str(path) for path in differences.compared(run, rows, adapters) if path.exists()}
    finally:
        os.chdir(old)


@pytest.mark.slow
def test_an_edited_row_is_found_by_its_line_and_not_quoted(made):
    rows = made / "rows" / "raw_style_variable" / "train.jsonl"
    lines = rows.read_text(encoding="utf-8").splitlines()
    row = json.loads(lines[2])
    row["messages"][-1]["content"] = "edited-by-hand"
    lines[2] = json.dumps(row, ensure_ascii=False)
    rows.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = ftstudy("verify", "--run", "mine", cwd=made)
    assert result.returncode == 1, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if "train.jsonl" in line]
    assert line.startswith("rows/raw_style_variable/train.jsonl  line 3.messages[2].content: a text of 14 characters")
    assert "edited-by-hand" not in result.stdout and "1 differs" in result.stdout


def test_what_cannot_be_run_again_ends_with_status_2(tmp_path):
    result = ftstudy("verify", "--run", "none", cwd=tmp_path)
    assert result.returncode == 2 and "no notebooks to run again" in result.stderr


def test_a_notebook_without_recorded_parameters_is_refused(tmp_path):
    shutil.copy(paths.NOTEBOOKS / "01_extract.ipynb", tmp_path)
    refused(lambda: rerun.recorded(tmp_path), "01_extract.ipynb", "no record of its parameters")


def test_outputs_outside_the_current_folder_are_refused(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    run = tmp_path / "here" / "reports" / "mine"
    refused(lambda: rerun.repeat(run, {}, [tmp_path / "rows"], [], tmp_path / "private", print), "outside", "rows")


@pytest.mark.parametrize(
    "one, other, told",
    [
        ({"a": [1, {"b": 2.5}]}, {"a": [1, {"b": 2.25}]}, ["a[1].b: 2.5 in the run, 2.25 now"]),
        ({"a": 1}, {"a": 1.0}, ["a: 1 in the run, 1.0 now"]),
        ({"a": True}, {"a": 1}, ["a: True in the run, 1 now"]),
        ({"a": "secret"}, {"a": "other"}, ["a: a text of 6 characters in the run, a text of 5 characters now"]),
        ({"a": "same"}, {}, ["a: a text of 4 characters in the run, nothing now"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a[1]: 2 in the run, nothing now"]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, ["differs in bytes, not in values"]),
        ({"a": 1}, {"a": 1}, []),
        (
            list(range(30)),
            [-1] * 30,
            [f"[{at}]: {at} in the run, -1 now" for at in range(10)] + ["and 20 more differences"],
        ),
    ],
)
def test_differences_of_json_name_key_and_both_values(one, other, told, tmp_path):
    for name, value in (("one", one), ("other", other)):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    assert differences.differences(tmp_path / "one.json", tmp_path / "other.json") == told


def test_differences_of_lines_weights_and_missing_files(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, lines, weight in ((one, '{"a": 1}\n{"a": 2}\n', 1.0), (other, '{"a": 1}\n', 1.5)):
        folder.mkdir()
        (folder / "rows.jsonl").write_text(lines)
        mx.save_safetensors(str(folder / "w.safetensors"), {"same": mx.ones(2), "moved": mx.array([weight, 1.0])})
    (other / "more.json").write_text("{}")
    names = ("rows.jsonl", "w.safetensors", "more.json", "none.json")
    assert [differences.differences(one / name, other / name) for name in names] == [
        ["line 2: 1 value in the run, nothing now"],
        ["moved: values differ by up to 0.5"],
        ["is missing in the run"],
        [],
    ]
