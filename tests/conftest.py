"""Shared by the tests: the tiny model, its tokenizer, refusals, and small data folders."""

import json
import os

import pytest

from ftstudy import base_models, paths
from ftstudy.errors import StudyError

os.environ["FTSTUDY_HEADLESS"] = "1"  # no progress bars, nor in the kernels that tests start


@pytest.fixture(scope="session")
def tokenizer():
    """ChatML that injects a default system prompt, as SmolLM2's does."""
    return base_models.load_tokenizer(base_models.TINY_MODEL)


@pytest.fixture
def models(tmp_path, monkeypatch):
    """An empty folder in the place of `data/models`."""
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def tiny(models):
    """The tiny model's folder, a test's own."""
    return base_models.resolve("tiny")


def refused(call, *words):
    """The call raises a StudyError: one paragraph that holds all these words."""
    with pytest.raises(StudyError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def greedy(model, tokenizer, question, longest=30):
    import mlx_lm

    prompt = tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True)
    return mlx_lm.generate(model, tokenizer, prompt=prompt, max_tokens=longest)


def example(system="You are Sam. Reply.", user="Contact: hey\nSam: yo\nContact: dinner?", reply="yes pls"):
    return {
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": user},
            {"role": "assistant", "content": reply},
        ]
    }


@pytest.fixture
def write_split():
    def write(folder, name, rows):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return folder

    return write
