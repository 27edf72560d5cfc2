"""Rows of a dataset on a hub that `data:` names: Parquet files in a made-up local Hugging Face cache."""

import datetime
import decimal
import json
import math
import sys

import pyarrow
import pytest
from faults import matrix
from faults.hub_faults import NAME, on_hub, snapshot, write_shards
from faults.studies import build
from ftstudy import audit
from ftstudy.audit import hub_data
from ftstudy.chat_format import parquet_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

PLAIN = "texter-chatml-12"


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return build(PLAIN, tmp_path)


def inputs_of(study):
    return audit.read(study.folder / "config.yaml")


def read(path, **config):
    return parquet_rows.read_parquet([path], "train", path, config)


def written(path, rows):
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def texts(number):
    return [{"text": f"row {at}"} for at in range(number)]


def test_the_rows_of_several_parquet_files_are_counted_over_all_of_them(study):
    rows = {split: study.rows(split) for split in ("train", "test")}
    on_hub()(study)
    found = inputs_of(study)
    assert found.hub == NAME and {name: split.rows for name, split in found.splits.items()} == rows
    train = found.splits["train"]
    assert train.path.name == "train-*.parquet" and train.numbers == list(range(1, 13)) and train.lines == 12
    assert found.splits["test"].where.endswith("data/test-*.parquet") and train.schema == "chat"


@pytest.mark.parametrize("place, name", [("", "train.parquet"), ("data", "train.parquet"), ("default", "train-00000-of-00001.parquet")])  # fmt: skip
def test_parquet_files_are_found_where_datasets_have_them(study, place, name):
    folder = snapshot(study.folder / "cache") / place
    folder.mkdir(exist_ok=True)
    written(folder / name, texts(3))
    assert hub_data.read(NAME, {})["train"].rows == texts(3)


def test_the_rows_of_an_hf_dataset_block_are_said_not_to_be_checked(study):
    on_hub()(study)
    study.configure(hf_dataset={"path": NAME})
    report = study.audit()
    assert any("The rows of `hf_dataset`" in one for one in report["not_checked"])
    (found,) = [one for one in report["findings"] if one["check"] == "config.hf_dataset"]
    assert "`data: organisation/name`" in found["fix"]


def test_rows_on_lines_are_read_before_parquet(study):
    folder = snapshot(study.folder / "cache")
    written(folder / "train.parquet", texts(3))
    (folder / "train.jsonl").write_text(json.dumps({"text": "hi"}) + "\n")
    assert hub_data.read(NAME, {})["train"].rows == [{"text": "hi"}]


def test_without_pyarrow_the_audit_says_that_it_is_needed(study, monkeypatch):
    on_hub()(study)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    report = study.audit()
    found = [one for one in report["findings"] if one["severity"] != "info"]
    assert [one["check"] for one in found] == ["config.hf_dataset"]
    assert "they are Parquet, which pyarrow reads; install it with `pip install pyarrow`" in found[0]["cause"]
    assert any("which pyarrow reads" in one for one in report["not_checked"])


def test_a_file_that_the_cache_lacks_is_mentioned(study):
    on_hub(damage=lambda path: path.unlink())(study)
    assert len(inputs_of(study).splits["train"].rows) == 6
    said = " ".join(study.audit()["not_checked"])
    assert "The rest of train: only 1 of its 2 files were read" in said


def test_no_more_is_read_than_memory_allows_and_the_audit_says_so(study, monkeypatch):
    on_hub()(study)
    monkeypatch.setattr(parquet_rows, "BATCH", 4)
    monkeypatch.setattr(parquet_rows, "MOST", 1)
    train = inputs_of(study).splits["train"]
    assert (len(train.rows), train.lines, train.unread) == (4, 4, 8) and not train.broken
    report = study.audit()
    assert "The last 8 rows of train: only the first 4 are read." in report["not_checked"]
    assert "data.tail_rows" not in {one["check"] for one in report["findings"]}


def test_a_small_file_that_unpacks_to_far_more_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "UNPACKED", 64 << 20)
    path = written(tmp_path / "train.parquet", [{"text": "x" * (1 << 20)}] * 200)
    assert path.stat().st_size < 1 << 20
    assert any("unpack to more than" in why for why in read(path).broken)


def test_values_that_json_cannot_say_become_text(tmp_path):
    row = {
        "text": "hi", "day": datetime.date(2024, 5, 1), "price": decimal.Decimal("1.50"), "picture": b"\xff\xd8",
        "score": math.nan, "number": 3, "on": True, "none": None, "parts": [{"at": datetime.datetime(2024, 5, 1)}],
    }  # fmt: skip
    (found,) = read(written(tmp_path / "train.parquet", [row])).rows
    assert found == {
        "text": "hi", "day": "2024-05-01", "price": "1.50", "picture": "2 bytes",
        "score": "nan", "number": 3, "on": True, "none": None, "parts": [{"at": "2024-05-01 00:00:00"}],
    }  # fmt: skip
    json.dumps(found, allow_nan=False)


def test_renamed_keys_count_for_parquet_too(tmp_path):
    path = written(tmp_path / "train.parquet", [{"body": "hi"}])
    assert read(path, text_feature="body").schema == "text" and read(path).schema is None


def test_alpaca_rows_in_parquet_get_a_fix_that_can_be_followed(study):
    rows = [{"instruction": "Reply.", "input": f"hey {at}", "output": f"yo {at}"} for at in range(8)]
    write_shards(snapshot(study.folder / "cache") / "data", "train", rows)
    study.configure(data=NAME)
    (found,) = [one for one in study.audit()["findings"] if one["check"] == "data.bad_messages"]
    assert "Save them as train.jsonl" in found["fix"] and "--data FOLDER" in found["fix"], found["fix"]


def test_a_file_without_rows_is_empty(study):
    folder = snapshot(study.folder / "cache") / "data"
    folder.mkdir()
    parquet.write_table(pyarrow.table({"text": pyarrow.array([], pyarrow.string())}), folder / "train.parquet")
    study.configure(data=NAME)
    report = study.audit()
    (found,) = [one for one in report["findings"] if one["check"] == "data.zero_bytes"]
    assert found["evidence"] == ["train.parquet  0 rows"], matrix.told(report)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=30), st.booleans())
def test_any_bytes_in_a_parquet_file_give_rows_or_a_reason(tmp_path_factory, at, patch, is_cut):
    path = written(tmp_path_factory.mktemp("any") / "train.parquet", texts(50))
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at : at + len(patch)] = patch
    path.write_bytes(data[:at] if is_cut else data)
    split = read(path)
    assert split.broken or len(split.rows) == split.lines == 50
    assert all(isinstance(row, dict) for row in split.rows) and all("\n" not in why for why in split.broken)


@pytest.mark.parametrize("write", [lambda path: path.mkdir(), lambda path: path.write_bytes(b""), lambda path: None])
def test_what_is_not_a_parquet_file_has_a_reason(tmp_path, write):
    path = tmp_path / "train.parquet"
    write(path)
    assert read(path).rows == [] and len(read(path).broken) == 1
