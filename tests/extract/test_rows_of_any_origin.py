"""Rows, whoever wrote them: what they contain, which belong to one conversation, and which are held out."""

import json

import pytest
from conftest import example, refused
from ftstudy.chat_format import EXTRACTED
from ftstudy.extract import conversations, description, variant_folder


def chat(*texts, system=None):
    """A row of user and assistant in turn."""
    roles = ["user", "assistant"] * len(texts)
    turns = [{"role": role, "content": text} for role, text in zip(roles, texts)]
    return {"messages": ([{"role": "system", "content": system}] if system else []) + turns}


def write(folder, **files):
    for name, lines in files.items():
        lines = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return folder


# --- what rows contain ------------------------------------------------------------------------


def test_rows_are_counted_by_roles_system_texts_speakers_and_replies(tmp_path):
    first = chat("Ann: hi\nAnn: are you there?", " ok ", system="Be Sam.") | {"tools": [{}]}
    train = [first, chat("Bob: hey", "ok", system="Be Sam."), "", "{broken", chat("a", "b", "bcd", "fine")]
    write(
        tmp_path,
        train=train,
        valid=[{"prompt": "hey", "completion": "ok"}],
        test=[{"text": "plain"}, {"messages": ["odd"]}],
    )
    found = description.describe(tmp_path)
    assert found["roles"] == [
        ("system → user → assistant", 2),
        ("(user → assistant) several times", 1),
        ("user → assistant", 1),
    ]
    assert found["systems"] == [("Be Sam.", 2)] and found["speakers"] == [("Ann", 1), ("Bob", 1)]
    assert found["replies"] == [("ok", 3)]
    assert found["different"] == {"roles": 3, "systems": 1, "speakers": 2, "replies": 2}
    assert (found["lengths"], found["turns"], found["tools"]) == ([2, 2, 4, 2], [3, 3, 4, 2], 1)
    whole, pairs, plain = found["splits"]
    size = (tmp_path / "train.jsonl").stat().st_size
    assert whole == {"split": "train", "bytes": size, "rows": 3, "schema": "messages", "blank": 1, "broken": 1} | {
        "turns": 3,
        "user": 8,  # of 27, 8 and 5 characters
        "reply": 2,
    }
    assert (pairs["schema"], pairs["user"], pairs["reply"]) == ("prompt and completion", 3, 2)
    assert (plain["schema"], plain["turns"], plain["user"]) == ("text", None, None)


def test_the_eight_most_frequent_entries_are_listed_and_cut_at_300_characters(tmp_path):
    write(tmp_path, train=[chat("hi", "x" * 400)] * 2 + [chat(f"{name}: hi", "b") for name in "abcdefghi"])
    found = description.describe(tmp_path)
    assert found["speakers"] == [(name, 1) for name in "abcdefgh"]
    assert found["replies"] == [("b", 9), ("x" * 300, 2)]


def test_a_folder_without_rows_is_refused(tmp_path):
    refused(lambda: description.describe(tmp_path), "no such folder, or it is empty")
    write(tmp_path, other=["x"])
    refused(lambda: description.describe(tmp_path), "this folder has other.jsonl.")


# --- which rows belong together ---------------------------------------------------------------

LONG, SHORT, OTHER = "thirty characters or more than that", "twelve or so", "also twelve!"


@pytest.mark.parametrize(
    "one, other, linked",
    [
        (LONG, LONG, True),
        (f"Ann: {LONG}", LONG, True),
        (f"{LONG}\nmore", f"less\n  {LONG}", True),
        (LONG[:29], LONG[:29], False),  # one short line may be chance
        (LONG[:30], LONG[:30], True),
        (f"{SHORT}\n{OTHER}", f"{OTHER}\n{SHORT}", True),
        (f"{SHORT[:11]}\n{OTHER}", f"{OTHER}\n{SHORT[:11]}", False),
        (LONG, OTHER, False),
    ],
)
def test_rows_are_linked_by_one_long_line_or_two_short_ones(one, other, linked):
    rows = [chat("hello", "yes"), chat(one, "no"), chat(other, "well", system=LONG), chat("x", "y", system=LONG)]
    assert conversations.infer(rows) == ["row 0", "row 1", "row 1" if linked else "row 2", "row 3"]


def test_links_go_on_from_row_to_row():
    lines = [f"{letter * 30} is a line" for letter in "abc"]
    rows = [chat(lines[2], "x"), chat("alone", "x"), chat(f"{lines[0]}\n{lines[1]}", "x"), chat(lines[0], lines[2])]
    assert conversations.infer(rows) == ["row 0", "row 1", "row 0", "row 0"]


@pytest.mark.parametrize("rows, different", [(20, 1), (21, 21)])
def test_a_line_in_more_than_20_rows_is_a_stock_phrase(rows, different):
    assert len(set(conversations.infer([chat(LONG, "x")] * rows))) == different


def test_conversations_are_recorded_or_inferred(tmp_path):
    rows = [chat(LONG, "x"), chat(LONG, "x"), chat("hey", "x")]
    inferred = (["row 0", "row 0", "row 2"], {"known": "inferred", "linked": 2, "rows": 3})
    assert conversations.of_split(tmp_path, "test", rows) == inferred
    meta = [{"split": "test", "row": 2, "conversation": "ann"}, {"split": "train", "row": 0, "conversation": "bob"}]
    write(tmp_path, meta=meta)
    recorded = (["row 0", "row 1", "ann"], {"known": "recorded", "linked": 3, "rows": 3})
    assert conversations.of_split(tmp_path, "test", rows) == recorded
    assert conversations.of_split(tmp_path, "valid", rows) == inferred


# --- which rows are read, and held out --------------------------------------------------------


def test_rows_are_loaded_with_what_the_extraction_recorded_of_them(tmp_path):
    texts = [{"context": f"c{number}", "last_message": f"m{number}"} for number in range(3)]
    meta = [{"split": split, "row": row} | texts[row] for split, row in (("test", 1), ("train", 0), ("test", 2))]
    write(tmp_path, test=[example(), example(), "5"], meta=[*meta, meta[0] | {"row": 0, "context": 5}])
    assert variant_folder.load_examples(tmp_path, "test") == [example(), example() | {EXTRACTED: texts[1]}, 5]
    write(tmp_path, test=[example(), "{"])
    refused(lambda: variant_folder.load_examples(tmp_path, "test"), "test.jsonl is not JSONL (line 2:")
    refused(lambda: variant_folder.load_examples(tmp_path, "valid"), "There is no")


def test_a_folder_of_other_files_is_not_replaced(tmp_path):
    (tmp_path / ".gitignore").write_text("*")
    variant_folder.check_origin(tmp_path, {"source": "a.db"})
    write(tmp_path, train=[example()])
    refused(lambda: variant_folder.check_origin(tmp_path, {"source": "a.db"}), "an unrecorded source", "a.db")


def test_replies_are_held_out_from_the_first_split_with_rows(tmp_path):
    write(tmp_path, train=[example()], valid=[example()], test=["", " "])
    assert variant_folder.heldout_split(tmp_path) == "valid"
    write(tmp_path, test=[example()])
    assert variant_folder.heldout_split(tmp_path) == "test"
    assert variant_folder.heldout_split(tmp_path, ("valid", "test")) == "valid"
    write(tmp_path, test=[], valid=[])
    refused(lambda: variant_folder.heldout_split(tmp_path), "neither a test.jsonl nor a valid.jsonl")


def test_spread_takes_the_first_the_last_and_evenly_between():
    assert variant_folder.spread(range(10), 4) == [0, 3, 6, 9]
    assert variant_folder.spread(range(3), 5) == [0, 1, 2] and variant_folder.spread([], 3) == []
