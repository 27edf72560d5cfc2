"""Recording an unmodified app while it calls mlx-lm, and auditing the recording like any profile."""

import importlib
import json

import pytest
from conftest import check_parity, example, refused
from ftstudy import chat_format
from ftstudy.chat_format import capture
from ftstudy.models import base_models

APP = """\
import mlx_lm
from mlx_lm import batch_generate, generate, stream_generate
from mlx_lm.generate import generate_step, speculative_generate_step

def ids(tokenizer, messages):
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True)

def by_generate(model, tokenizer, messages):
    generate(model, tokenizer, ids(tokenizer, messages), max_tokens=1)

def by_string(model, tokenizer, messages):
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    mlx_lm.generate(model, tokenizer, prompt=text, max_tokens=1)

def by_stream(model, tokenizer, messages):
    for _ in stream_generate(model, tokenizer, ids(tokenizer, messages), max_tokens=2):
        break

def by_step(model, tokenizer, messages):
    import mlx.core as mx
    next(generate_step(prompt=mx.array(ids(tokenizer, messages)), model=model, max_tokens=1))

def by_draft(model, tokenizer, messages):
    generate(model, tokenizer, ids(tokenizer, messages), max_tokens=1, draft_model=model)

def by_batch(model, tokenizer, messages):
    batch_generate(model, tokenizer, [ids(tokenizer, messages)], max_tokens=1)
"""
WAYS = ["by_generate", "by_string", "by_stream", "by_step", "by_draft", "by_batch"]
ROWS = [example(user=f"Contact: hey {number}", reply=f"yo {number}") for number in range(3)]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Imported before any recording begins."""
    import importlib.util

    path = tmp_path_factory.mktemp("app") / "an_app.py"
    path.write_text(APP)
    spec = importlib.util.spec_from_file_location("an_app", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def loaded():
    return base_models.load("tiny")


def rows_in(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def findings(path, tokenizer):
    profile = chat_format.load_profile({"kind": "captured", "file": str(path)})
    return {item.check for item in check_parity(ROWS, tokenizer, profile, "here")}


@pytest.mark.parametrize("way", WAYS)
def test_app_with_the_training_prompt_has_no_findings(app, loaded, tmp_path, way):
    model, tokenizer = loaded
    with capture.recording(tmp_path / "sent.jsonl"):
        for row in ROWS:
            getattr(app, way)(model, tokenizer, row["messages"][:-1])
    assert rows_in(tmp_path / "sent.jsonl") == [
        {"split": "test", "row": number, "ids": chat_format.prompt_ids(row, tokenizer)}
        for number, row in enumerate(ROWS)
    ]
    assert findings(tmp_path / "sent.jsonl", tokenizer) == set()


@pytest.mark.parametrize("way", WAYS)
def test_app_with_another_prompt_is_found(app, loaded, tmp_path, way):
    model, tokenizer = loaded
    with capture.recording(tmp_path / "sent.jsonl"):
        for row in ROWS:
            getattr(app, way)(model, tokenizer, row["messages"][1:-1])
    assert findings(tmp_path / "sent.jsonl", tokenizer) == {"parity.default_system"}


def test_split_and_row_can_be_set(app, loaded, tmp_path):
    model, tokenizer = loaded
    with capture.recording(tmp_path / "sent.jsonl", split="valid", row=4) as recorder:
        app.by_generate(model, tokenizer, ROWS[0]["messages"][:-1])
        app.by_generate(model, tokenizer, ROWS[0]["messages"][:-1])
        recorder.split, recorder.row = "test", 0
        app.by_batch(model, tokenizer, ROWS[0]["messages"][:-1])
    places = [(row["split"], row["row"]) for row in rows_in(tmp_path / "sent.jsonl")]
    assert places == [("valid", 4), ("valid", 5), ("test", 0)]


def test_a_relative_path_counts_from_where_the_recording_begins(app, loaded, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with capture.recording("sent.jsonl"):
        app.by_generate(*loaded, ROWS[0]["messages"][:-1])
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(rows_in(tmp_path / "sent.jsonl")) == 1 and not list((tmp_path / "elsewhere").iterdir())
    refused(lambda: chat_format.load_profile({"kind": "captured", "file": "sent.jsonl"}), "sent.jsonl")
    monkeypatch.chdir(tmp_path)
    assert len(chat_format.load_profile({"kind": "captured", "file": "sent.jsonl"})["rows"]) == 1
    assert len(chat_format.load_profile("sent.jsonl")["rows"]) == 1


def machinery():
    module = importlib.import_module("mlx_lm.generate")
    names = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    codes = [names[name].__code__ for name in capture.STEPS]
    return names, codes, module.BatchGenerator.insert_segments


def test_mlx_lm_is_restored_after_a_recording_and_after_an_error(app, loaded, tmp_path):
    before = machinery()
    with capture.recording(tmp_path / "sent.jsonl"):
        assert machinery() != before
    assert machinery() == before
    with pytest.raises(ZeroDivisionError):
        with capture.recording(tmp_path / "other.jsonl"):
            app.by_generate(*loaded, ROWS[0]["messages"][:-1])
            1 / 0
    assert machinery() == before
    assert [path.name for path in tmp_path.iterdir()] == ["sent.jsonl"]


def test_nothing_is_recorded_after_the_block(app, loaded, tmp_path):
    with capture.recording(tmp_path / "sent.jsonl") as recorder:
        pass
    app.by_generate(*loaded, ROWS[0]["messages"][:-1])
    assert recorder.rows == [] and (tmp_path / "sent.jsonl").read_text() == ""


def test_recordings_can_be_nested(app, loaded, tmp_path):
    ask = lambda: app.by_generate(*loaded, ROWS[0]["messages"][:-1])  # noqa: E731
    before = machinery()
    with capture.recording(tmp_path / "outer.jsonl"):
        ask()
        with capture.recording(tmp_path / "inner.jsonl"):
            ask()
        ask()
    assert machinery() == before
    assert [len(rows_in(tmp_path / name)) for name in ("outer.jsonl", "inner.jsonl")] == [3, 1]


def test_prompt_continued_from_a_cache_is_marked_and_refused(loaded, tmp_path):
    from mlx_lm import generate
    from mlx_lm.models.cache import make_prompt_cache

    model, tokenizer = loaded
    ids, cache = chat_format.prompt_ids(ROWS[0], tokenizer), make_prompt_cache(model)
    with capture.recording(tmp_path / "sent.jsonl") as recorder:
        generate(model, tokenizer, ids[:5], prompt_cache=cache, max_tokens=1)
        recorder.row = 0
        generate(model, tokenizer, ids[5:], prompt_cache=cache, max_tokens=1)
    first, second = rows_in(tmp_path / "sent.jsonl")
    assert "cached" not in first and second["cached"] >= 5 and second["ids"] == ids[5:]
    assert "parity.profile_fails" in findings(tmp_path / "sent.jsonl", tokenizer)


def test_tokens_already_in_a_batchs_cache_belong_to_the_prompt(loaded, tmp_path):
    import mlx.core as mx
    from mlx_lm.generate import BatchGenerator, generate_step
    from mlx_lm.models.cache import ArraysCache, make_prompt_cache

    model, tokenizer = loaded
    ids, cache = chat_format.prompt_ids(ROWS[0], tokenizer), make_prompt_cache(model)
    model(mx.array([ids[:5]]), cache=cache)
    with capture.recording(tmp_path / "sent.jsonl"):
        BatchGenerator(model).insert_segments([[ids[5:9], ids[9:]]], caches=[cache], all_tokens=[ids[:5]])
        BatchGenerator(model).insert_segments([[ids]], caches=[[ArraysCache(2)]])  # its length is unknown, so 0
        with pytest.raises(ValueError):
            BatchGenerator(model).insert_segments([[[]]])
        with pytest.raises(TypeError):
            generate_step(promt=[1])
    assert rows_in(tmp_path / "sent.jsonl") == [{"split": "test", "row": row, "ids": ids} for row in (0, 1)]
