"""Rows of other trainers become rows of messages."""

import json

import pytest
from conftest import ftstudy
from ftstudy.chat_format.conversions import converted, form_of
from hypothesis import given
from hypothesis import strategies as st


def chat(*turns):
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


HEY = (("user", "hey"), ("assistant", "yo"))
SYSTEM = ("system", "Be Sam.")
ROWS = {
    "ShareGPT": (
        {"conversations": [{"from": "human", "value": "hey"}, {"from": "gpt", "value": "yo"}]},
        chat(*HEY),
        "ShareGPT rows (`from` and `value`)",
    ),
    "ShareGPT with a system text beside it": (
        {"system": "Be Sam.", "conversations": [{"from": "human", "value": "hey"}, {"from": "gpt", "value": "yo"}]},
        chat(SYSTEM, *HEY),
        "ShareGPT rows (`from` and `value`)",
    ),
    "Alpaca": (
        {"instruction": "Reply.", "input": "hey", "output": "yo"},
        chat(("user", "Reply.\n\nhey"), ("assistant", "yo")),
        "Alpaca rows (`instruction`, `input` and `output`)",
    ),
    "Alpaca without input, with earlier turns": (
        {"instruction": "hey", "input": "", "output": "yo", "history": [["hi", "hm"]], "system": "Be Sam."},
        chat(SYSTEM, ("user", "hi"), ("assistant", "hm"), *HEY),
        "Alpaca rows (`instruction`, `input` and `output`)",
    ),
    "question and answer": ({"question": "hey", "answer": "yo"}, chat(*HEY), "pairs (`question` and `answer`)"),
    "a system text beside messages": (chat(*HEY) | {"system": "Be Sam.", "id": 3}, chat(SYSTEM, *HEY), None),
    "a system text in both": (chat(SYSTEM, *HEY) | {"system": "Be Ann."}, chat(SYSTEM, *HEY), None),
    "messages with tools": (chat(*HEY) | {"tools": [{}]}, chat(*HEY) | {"tools": [{}]}, None),
}


@pytest.mark.parametrize("row, made, form", ROWS.values(), ids=ROWS)
def test_rows_of_other_trainers_become_messages(row, made, form):
    assert converted(row) == made and form_of(row) == form


@pytest.mark.parametrize(
    "row",
    [7, [], {}, {"text": "hey"}, {"conversations": [{"from": "nobody", "value": "hey"}]}, {"instruction": "hey"}],
)
def test_rows_without_a_known_conversation_are_left(row):
    assert converted(row) is None


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda one: st.lists(one) | st.dictionaries(st.sampled_from(["from", "value", "role", "content", "system"]), one),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["conversations", "messages", "instruction", "output", "history", "input"]), VALUES)
)
def test_any_row_is_converted_or_left(row):
    form_of(row)
    made = converted(row)
    assert made is None or all(
        isinstance(message["role"], str | None) or "role" in message for message in made["messages"]
    )


def test_a_folder_is_converted_and_never_overwritten(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("train", "valid"):
        lines = [json.dumps(row) for row, _, form in ROWS.values() if form]
        (tmp_path / "data" / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    arguments = ("convert", "--data", "data", "--out", "data-messages")
    done = ftstudy(*arguments, cwd=tmp_path)
    assert done.returncode == 0 and "train 5, valid 5" in done.stdout, done.stderr
    lines = (tmp_path / "data-messages" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [made for _, made, form in ROWS.values() if form]
    again = ftstudy(*arguments, cwd=tmp_path)
    assert again.returncode == 2 and "exists already" in again.stderr
    (tmp_path / "data" / "valid.jsonl").write_text('{"text": "hey"}\n')
    refused = ftstudy("convert", "--data", "data", "--out", "more", cwd=tmp_path)
    assert refused.returncode == 2 and "valid.jsonl line 1" in refused.stderr and not (tmp_path / "more").exists()
