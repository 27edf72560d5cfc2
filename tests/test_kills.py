"""Stages killed while they write, and run again: nothing is lost. `make bench` does the same with many kills."""

import sys

import pytest
from ftstudy import paths

sys.path.append(str(paths.ROOT / "bench"))

import kills


@pytest.mark.slow
def test_killed_stages_run_again_give_the_results_of_undisturbed_ones(tmp_path):
    planned = {"extract": 1, "train": 2, "01_extract": 1, "report": 1}
    done, wrong = kills.trial(tmp_path, planned, seed=1)
    assert wrong == []
    assert sum(done.values()) >= 5, done


@pytest.mark.parametrize(
    "name, whole, cut",
    [
        ("a.json", b'{"a": 1}\n', b'{"a": '),
        ("a.jsonl", b'{"a": 1}\n{"a": 2}\n', b'{"a": 1}\n{"a": 2}'),
        ("a.html", b"<html></html>\n", b"<html>"),
        ("a.safetensors", b"\x2a" + bytes(7) + b'{"w":{"data_offsets":[0,4],"dtype":"F32"}}' + bytes(4), bytes(6)),
    ],
)
def test_half_written_files_are_noticed(name, whole, cut, tmp_path):
    (tmp_path / name).write_bytes(whole)
    assert kills._half_written(tmp_path) == []
    (tmp_path / name).write_bytes(cut)
    assert kills._half_written(tmp_path) == [name]
    (tmp_path / name).rename(tmp_path / f".{name}")
    assert kills._half_written(tmp_path) == []
