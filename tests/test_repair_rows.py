"""Repairs of rows: what is wrong with a row is taken out of it, and nothing else."""

import copy

import pytest
from ftstudy.audit.run_inputs import RunInputs
from ftstudy.repair.rows import REPAIRS

BY_ID = {repair.id: repair for repair in REPAIRS}


def inputs_of(folder, owner="Sam", **config):
    config = {"model": "tiny", "data": str(folder), "config": "config.yaml"} | config
    return RunInputs(config=config, given={}, folder=folder, splits={}, profile=None, owner=owner)


@pytest.fixture
def inputs(tiny, tmp_path):
    return inputs_of(tmp_path)


def turns(*contents):
    return {"messages": [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(contents)]}


def said(*pairs):
    return {"messages": [{"role": role, "content": text} for role, text in pairs]}


def draft_of(*rows, config=None, **splits):
    return {"config": config or {}, "rows": splits or {"train": list(rows)}, "profile": None}


def fixed(inputs, repair_id, draft):
    """The draft after one repair, which leaves the one given as it is and has nothing to do the second time."""
    before = copy.deepcopy(draft)
    made, notes = BY_ID[repair_id].apply(draft, inputs)
    assert draft == before
    again, more = BY_ID[repair_id].apply(made, inputs)
    assert again == made and more == []
    return made["rows"], notes


GOOD = [turns("Ann: dinner at eight?", "yes pls"), turns("Ann: bring the blue one", "on my way")]


@pytest.mark.parametrize("repair", REPAIRS, ids=lambda repair: repair.id)
def test_good_rows_stay_as_they_are(repair, inputs):
    draft = draft_of(*GOOD)
    assert repair.apply(draft, inputs) == (draft, [])


CASES = [
    ("empty_turns", turns("Ann: hey", " "), None),
    ("empty_turns", turns("\u200b", "yes"), None),
    ("empty_turns", turns("Ann: hey", "", "Ann: there?", "yes"), said(("user", "Ann: hey"), ("user", "Ann: there?"), ("assistant", "yes"))),
    ("nothing_trained", turns("Ann: hey", "yo", "Ann: ok"), turns("Ann: hey", "yo")),
    ("nothing_trained", turns("Ann: hey"), None),
    ("speaker_tags", turns("Ann: hey", "Sam: yo"), turns("Ann: hey", "yo")),
    ("speaker_tags", turns("Ann: hey", "assistant: yo"), turns("Ann: hey", "yo")),
    ("speaker_tags", turns("Ann: hey", "<|assistant|>yo"), turns("Ann: hey", "yo")),
    ("speaker_tags", turns("Ann: hey", "yo\nSam: there\nAnn: ok?\nSam: no"), turns("Ann: hey", "yo\nthere")),
    ("data.odd_characters", turns("Ann: hey", "canâ€™t make it"), turns("Ann: hey", "can’t make it")),
    ("data.odd_characters", turns("Ann: hey", "a\x07b\r\nc"), turns("Ann: hey", "ab\nc")),
    ("data.roles", said(("user", "a"), ("user", "b"), ("assistant", "c")), turns("a\nb", "c")),
    ("data.roles", said(("human", "a"), ("gpt", "c")), turns("a", "c")),
    ("data.roles", said(("ann", "a"), ("sam", "c")), turns("a", "c")),
    ("data.roles", said(("assistant", "hm"), ("user", "a"), ("assistant", "c")), turns("a", "c")),
    ("data.roles", said(("assistant", "a")), None),
    ("same_rows", None, None),
]  # fmt: skip


@pytest.mark.parametrize("repair_id, bad, right", CASES[:-1])
def test_a_bad_row_is_repaired_and_the_others_stay(repair_id, bad, right, inputs):
    rows, notes = fixed(inputs, repair_id, draft_of(GOOD[0], bad, GOOD[1]))
    assert rows == {"train": [GOOD[0], *[right] * (right is not None), GOOD[1]]}
    assert notes


def test_the_first_of_several_copies_is_kept(inputs):
    long = turns(
        "Ann: " + " ".join("one two three four five six seven eight nine ten eleven".split()), "twelve thirteen"
    )
    rows, notes = fixed(inputs, "same_rows", draft_of(GOOD[0], long, GOOD[1], long, long))
    assert rows == {"train": [GOOD[0], long, GOOD[1]]}
    assert notes == ["2 rows left out that repeat an earlier row word for word."]
