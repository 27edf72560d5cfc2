"""Shared by the tests: the tiny model, its tokenizer, refusals, and small data folders."""

import json
import os
import subprocess
import sys

if "PYTEST_XDIST_WORKER" in os.environ:  # one core for each worker, or their BLAS threads wait for one another
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
import yaml
from ftstudy import paths
from ftstudy.audit.parity import findings_of
from ftstudy.audit.parity.prompts import compare_all, rows_of
from ftstudy.chat_format.rendering import render
from ftstudy.chat_format.template import Template
from ftstudy.errors import StudyError
from ftstudy.extract.reply_pairs import Message
from ftstudy.models import base_models
from ftstudy.sources import check, make_table
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a machine that does other things as well is no bug
settings.load_profile("untimed")
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


START = 1_700_000_000_000_000  # microseconds since 1970


def messages_table(*rows):
    """Rows of (minute, who, text) or (minute, who, text, changes); `who` is "me" or a name."""
    made = []
    for number, (minute, who, text, *changes) in enumerate(rows):
        row = {
            "conversation": "ann" if who == "me" else who,
            "is_group": False,
            "sender": who,
            "is_owner": who == "me",
            "timestamp": START + int(minute * 60_000_000),
            "text": text,
            "kind": "text",
            "message_id": f"m{number}",
            "reply_to": None,
        }
        made.append(row | (changes[0] if changes else {}))
    return make_table(made)


def make_pair(*context, reply="ok", is_group=False):
    """A reply pair whose context is (sender or None for the owner, text), ...; the reply is one bubble."""
    rows = [*context, (None, reply)]
    bubbles = [
        Message(who is None, who or "me", text, "text", START + number, f"m{number}")
        for number, (who, text) in enumerate(rows)
    ]
    return {
        "conversation": "ann",
        "is_group": is_group,
        "session": "m0",
        "context": bubbles[:-1],
        "bubbles": bubbles[-1:],
        "reply": reply,
    }


def check_parity(examples, tokenizer, profile, where, mask_prompt=True):
    """Findings on an app's prompts of these conversations, taken to be the file `where`."""
    rows = rows_of("test", render(list(enumerate(examples, 1)), tokenizer))
    template = Template(tokenizer)
    return findings_of(compare_all(rows, template, profile), template, profile, {"test": where}, mask_prompt)


def scores(reply, tokens=1, end=np.nan):
    """What scoring replies gives: of each its nats, its tokens, and the nats of its end of turn."""
    reply = np.array(reply, float)
    return {"reply": reply} | {key: np.full(len(reply), value) for key, value in (("tokens", tokens), ("end", end))}


def ftstudy(*arguments, cwd=None):
    """A run of the command line."""
    command = [sys.executable, "-m", "ftstudy", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def tiny_config(data="data/raw_style_variable", iterations=4, **more):
    """The text of a config that trains the tiny model, evaluated twice; `more`: further keys, as YAML."""
    settings = {"model": "tiny", "data": data, "adapter_path": "adapter", "train": True, "mask_prompt": True}
    settings |= {"num_layers": 2, "batch_size": 2, "iters": iterations, "steps_per_eval": iterations // 2}
    return yaml.safe_dump(settings | {"val_batches": 2} | more, sort_keys=False)


def tiny_settings(folder, **changes):
    """The keys of a short training of the tiny model on the rows in `folder`/data."""
    settings = {"model": "tiny", "data": f"{folder}/data", "adapter_path": f"{folder}/adapter", "train": True}
    return settings | {"num_layers": 2, "batch_size": 2, "iters": 2, "mask_prompt": True} | changes


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


def cases(text):
    """The cases in a text, separated by `|` or line ends."""
    return [case.strip() for line in text.strip().splitlines() for case in line.split("|")]


def table_or_study_error(read):
    """What `read` returns is a messages table, or it raises a StudyError of one paragraph; returns the table or None."""
    try:
        return check(read())
    except StudyError as error:
        assert "\n" not in str(error) and str(error).endswith(".")
