"""Repairs of how rows are divided: nothing is in two files, whole conversations are held out, and no row is lost."""

import json
import random

import pytest
from faults import conversations
from ftstudy.audit import splits as audited_splits
from ftstudy.repair.draft import audited
from ftstudy.repair.splits import REPAIRS

from repair.test_repair_rows import draft_of, inputs_of

BY_ID = {repair.id: repair for repair in REPAIRS}


@pytest.fixture
def inputs(tiny, tmp_path):
    return inputs_of(tmp_path)


def dataset(**sizes):
    return conversations.dataset("texter", sizes, "plain", True, 0)[0]


def told(rows):
    return sorted(json.dumps(row) for found in rows.values() for row in found)


def leaks_in(draft, inputs):
    return [one.id for one in audited_splits.check(audited(draft, inputs)) if one.severity == "warning"]


def test_rows_divided_at_random_are_divided_again_by_conversations(inputs):
    rows = [row for found in dataset(train=160, valid=24, test=24).values() for row in found]
    random.Random(0).shuffle(rows)
    draft = draft_of(train=rows[:160], valid=rows[160:184], test=rows[184:])
    assert audited_splits.check(audited(draft, inputs))
    made, notes = BY_ID["splits_leak"].apply(draft, inputs)
    assert notes and not audited_splits.check(audited(made, inputs))
    assert told(made["rows"]) == told(draft["rows"])
    assert all(12 <= len(made["rows"][name]) <= 48 for name in ("valid", "test"))
    assert BY_ID["splits_leak"].apply(made, inputs) == (made, [])


def test_rows_that_are_in_two_files_stay_in_one(inputs):
    rows = dataset(train=120, valid=16, test=16)
    draft = draft_of(**(rows | {"valid": rows["valid"] + rows["train"][:8]}))
    made, notes = BY_ID["splits_leak"].apply(draft, inputs)
    assert notes and not audited_splits.check(audited(made, inputs))
    assert set(told(made["rows"])) == set(told(draft["rows"]))
    assert len(set(told(made["rows"]))) == len(told(made["rows"]))


@pytest.mark.parametrize("repair", REPAIRS, ids=lambda repair: repair.id)
def test_rows_that_are_well_divided_stay_where_they_are(repair, inputs):
    draft = draft_of(**dataset(train=80, valid=16, test=16))
    assert repair.apply(draft, inputs) == (draft, [])


@pytest.mark.parametrize("name", ["valid", "test"])
def test_the_latest_conversations_become_the_file_that_is_missing(name, inputs):
    draft = draft_of(config={"model": "tiny", "test": True}, train=dataset(train=120, valid=1, test=1)["train"])
    made, notes = BY_ID[f"data.no_{name}"].apply(draft, inputs)
    rows = made["rows"]
    assert notes and 12 <= len(rows[name]) <= 24
    assert told(rows) == told(draft["rows"])
    assert rows["train"] == [row for row in draft["rows"]["train"] if row in rows["train"]]
    assert BY_ID["splits_leak"].apply(made, inputs) == (made, [])
    assert BY_ID[f"data.no_{name}"].apply(made, inputs) == (made, [])


def test_a_test_that_nobody_asked_for_is_not_made(inputs):
    draft = draft_of(train=dataset(train=80, valid=1, test=1)["train"])
    assert BY_ID["data.no_test"].apply(draft, inputs) == (draft, [])


def test_a_few_rows_are_not_divided(inputs):
    draft = draft_of(train=dataset(train=5, valid=1, test=1)["train"])
    assert BY_ID["data.no_valid"].apply(draft, inputs) == (draft, [])
