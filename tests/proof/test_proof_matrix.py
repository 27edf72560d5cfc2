"""Staged faults on a small model that learns: each is fixed, and what the proof says it costs is what an independent,
longer measurement finds.

Every fault is put into the same healthy fine-tune, so that the fix of each leads back to it, and its trainings are shared.
"""

import contextlib
import io
import random

import pytest
import yaml
from ftstudy import audit, proof, repair
from ftstudy.files.folders import make_folder
from ftstudy.stages import proving
from staged_finetunes import CONFIG, rows_of_sam, templated, write_rows

from ftstudy.demo import small_talk, tiny_chat  # isort: skip

pytestmark = pytest.mark.slow
HEALTHY = CONFIG | {"model": str(tiny_chat.FOLDER), "iters": 40, "batch_size": 4, "learning_rate": 4e-4}
ROWS = 150  # to train on: an epoch is 38 iterations
LINES = 5  # of a row's conversation at most: longer rows take several times as long to train
OTHER_SEEDS, ALL = 100, 10**6
DRAFT = "Conversation:\n{context}\n\nWrite the next message."


def replies(change):
    """Rows whose replies are changed; `change`: (number of the row, reply) -> reply."""

    def changed(splits):
        return {
            split: [
                row
                | {
                    "messages": [
                        *row["messages"][:-1],
                        row["messages"][-1] | {"content": change(at, row["messages"][-1]["content"])},
                    ]
                }
                for at, row in enumerate(rows)
            ]
            for split, rows in splits.items()
        }

    return changed


def copies(splits):
    """Half of the training rows are copies of the other half's first row."""
    rows = splits["train"]
    return splits | {"train": rows + [rows[0]] * len(rows)}


def as_sharegpt(row):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    return {"conversations": [{"from": names[one["role"]], "value": one["content"]} for one in row["messages"]]}


FAULTS = {
    "learning_rate": {"config": {"learning_rate": 0.05}},
    "too low a rate": {"id": "learning_rate", "config": {"learning_rate": 1e-7}},
    "prompt_trained": {"config": {"mask_prompt": False}},
    "under_trained": {"config": {"iters": 2}},
    "replies_cut": {"config": {"max_seq_length": 80}},
    "config.lora_scale": {"config": {"lora_parameters": {"rank": 8, "scale": 400.0, "dropout": 0.0}}},
    "settings_ignored": {
        "config": {"lora_parameters": None, "num_layers": None, "lora_rank": 8, "lora_alpha": 32, "lora_layers": 4}
    },
    "speaker_tags": {"rows": replies(lambda at, text: f"{small_talk.OWNER}: {text}")},
    "templated_content": {"rows": templated},
    "empty_turns": {"rows": replies(lambda at, text: "" if at % 2 else text)},
    "data.odd_characters": {"rows": replies(lambda at, text: f"{text} {'it’s'.encode().decode('cp1252')} {at}")},
    "same_rows": {"rows": copies},
    "prompt": {"app": {"user": DRAFT}},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder in which the trainings of all faults are kept."""
    folder = tmp_path_factory.mktemp("proofs")
    with contextlib.chdir(folder):
        yield folder


@pytest.fixture(scope="module")
def held():
    """A fault's name -> whether the interval of its proof holds what the longer measurement finds."""
    return {}


def staged(folder, fault, seed=0, longer=False):
    """The fine-tune with this fault, as an audit reads it; held out is a third of the replies, or the two others."""
    make_folder(folder)
    rows = {split: [row for row in found if _lines(row) <= LINES] for split, found in rows_of_sam().items()}
    test = rows["test"]
    some = set(random.Random(0).sample(range(len(test)), len(test) // 3))
    rows |= {
        "train": rows["train"][:ROWS],
        "valid": rows["valid"][:40],
        "test": [row for at, row in enumerate(test) if (at in some) != longer],
    }
    write_rows(folder / "data", fault.get("rows", dict)(rows))
    places = {"data": str(folder / "data"), "adapter_path": str(folder / "adapters"), "seed": seed}
    config = {key: value for key, value in (HEALTHY | places | fault.get("config", {})).items() if value is not None}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "app.yaml").write_text(yaml.safe_dump({"kind": "messages"} | fault.get("app", {})))
    return audit.read(folder / "config.yaml", inference=str(folder / "app.yaml"))


def _lines(row):
    return len(row["messages"][1]["content"].splitlines())


def proved(folder, run, fault, seed=0, longer=False):
    """The proof of a fine-tune that has just this fault; fixed and audited before."""
    inputs = staged(folder, fault, seed, longer)
    with contextlib.redirect_stdout(io.StringIO()):
        fixed = proving.fixed(inputs, folder)
    left = audit.check(audit.read(fixed / repair.CONFIG))["findings"]
    assert [one for one in left if one["severity"] == "error"] == []
    plan = proof.plan(run, inputs, fixed, {"expected": {}, "measured": {}}, ALL)
    return proof.prove(run, plan, lambda line: None)


@pytest.mark.parametrize("name", FAULTS)
def test_a_staged_fault_is_fixed_and_its_cost_is_measured(name, project, held):
    fault, folder = FAULTS[name], project / name.replace(" ", "-")
    made = proved(folder, project / "first", fault)
    (found,) = made["faults"]
    assert found["id"] == fault.get("id", name)
    assert made["fixed"]["verdict"] == "better", "the model doesn't learn"
    longer = proved(folder / "longer", project / "longer", fault, OTHER_SEEDS, longer=True)
    assert longer["replies"] > 1.5 * made["replies"]
    low, high = made["helped"]["interval"]
    held[name] = low <= longer["helped"]["nats_per_reply_token"] <= high
    print(
        name, made["helped"]["nats_per_reply_token"], (low, high), longer["helped"]["nats_per_reply_token"], held[name]
    )


def test_the_intervals_of_proofs_hold_what_longer_measurements_find(held):
    """95% of them, as intervals do: of so many, two may miss."""
    assert len(held) == len(FAULTS) >= 10
    assert sum(held.values()) >= len(held) - 2, [name for name, holds in held.items() if not holds]
