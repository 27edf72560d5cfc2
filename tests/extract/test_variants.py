"""Pairs are selected and written as rows."""

import json
import subprocess

import pytest
from conftest import make_pair, messages_table, refused
from ftstudy.extract import conversations, reply_pairs, splits, variant_folder, variants
from ftstudy.extract.variant_folder import HELDOUT
from hypothesis import given
from hypothesis import strategies as st

ORIGIN = {"source": "a.db", "owner": "Sam", "kind": "imessage"}


def long_history(sessions=20, answers=3, person="ann", begin=0):
    rows = []
    for session in range(sessions):
        for answer in range(answers):
            minute = begin + session * 600 + answer * 10
            ids = [{"message_id": f"{person} {session} {answer} {side}", "conversation": person} for side in "qa"]
            rows += [(minute, person, f"q {session} {answer}", ids[0])]
            rows += [(minute + 1, "me", f"the answer {session} {answer}", ids[1])]
    return reply_pairs.build(messages_table(*rows))[0]


def many_people(number=40):
    pairs = [pair for person in range(number) for pair in long_history(5, 2, f"person {person}", person / 60)]
    return sorted(pairs, key=lambda pair: pair["bubbles"][0].time)


def write(pairs, out, name="raw_style_variable", origin=ORIGIN, **changes):
    return variants.write(pairs, "Sam", [name], out, origin, [], **changes)[name]


def rows_of(folder, name):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


# --- selection ------------------------------------------------------------------------------


def test_presets():
    system = "You are {owner}. Reply to text messages the way {owner} texts."
    usual = {"form": "plain", "system": system, "min_words": 1, "min_characters": 1, "repeats": 100}
    usual |= {"per_contact": 2000, "category": False}
    assert variants.parameters_of("raw_style_variable") == usual
    assert variants.parameters_of("wrapped") == usual | {"form": "wrapped"}
    raw = {"form": "tagged", "system": "", "min_words": 3, "min_characters": 10, "per_contact": 200}
    assert variants.parameters_of("raw_style", system="") == usual | raw
    assert variants.parameters_of("category_aware", system="", repeats=None) == usual | {
        "form": "tagged",
        "system": "",
        "category": True,
    }


@pytest.mark.parametrize(
    "changes, steps, kept",
    [({}, 2, ["k", "ok", "a b"]), ({"min_words": 2}, 3, ["a b"]), ({"min_characters": 2}, 3, ["ok", "a b"])],
)
def test_minimum_length_is_a_step_of_the_funnel(changes, steps, kept):
    funnel = []
    pairs = [make_pair(reply=reply) for reply in ("k", "ok", "a b")]
    assert [pair["reply"] for pair in variants.select(pairs, "raw_style_variable", funnel, **changes)] == kept
    assert len(funnel) == steps


def test_only_raw_style_has_a_minimum_length():
    pairs = [make_pair(("ann", "hi"), reply=reply) for reply in ("ok", "sounds good", "i am on my way", "a b c")]
    for variant in variants.VARIANTS:
        left = [pair["reply"] for pair in variants.select(pairs, variant, [])]
        assert left == (["i am on my way"] if variant == "raw_style" else [pair["reply"] for pair in pairs])


def test_raw_style_takes_200_per_contact_spread_over_time():
    pairs, funnel = long_history(70, 4), []
    chosen = variants.select(pairs, "raw_style", funnel)
    assert len(chosen) == 200 and [step["removed"] for step in funnel] == [0, 0, 80]
    assert chosen[0] is pairs[0] and chosen[-1]["bubbles"][0].time > pairs[-5]["bubbles"][0].time
    assert len(variants.select(pairs, "raw_style_variable", [])) == 280


def test_repeats_of_a_reply_are_limited():
    pairs = [make_pair(("ann", str(number)), reply="lol") for number in range(30)] + [make_pair(reply="no")]
    chosen = variants.select(pairs, "raw_style_variable", [], repeats=10)
    assert [pair["reply"] for pair in chosen] == ["lol"] * 10 + ["no"]
    assert [pair["context"][0].text for pair in chosen[:10]] == [str(number) for number in range(0, 30, 3)]


def test_unknown_variant():
    refused(lambda: variants.parameters_of("cataware"), "cataware", "raw_style_variable")


# --- rows -----------------------------------------------------------------------------------


def test_form_and_system_text_of_each_variant(tmp_path):
    pairs = many_people(3)
    written = {name: write(pairs, tmp_path, name) for name in variants.VARIANTS}
    assert set(written) == {"raw_style", "raw_style_variable", "category_aware", "wrapped"}
    first = {name: rows_of(tmp_path / name, "train")[0]["messages"] for name in written}
    assert first["raw_style_variable"][1]["content"] == "Contact: q 0 0"
    assert first["raw_style"][1]["content"].startswith(
        "<conversation>\nContact: q 0 0\n</conversation>\n<last_message>"
    )
    assert first["category_aware"][1]["content"] == first["raw_style"][1]["content"] + "\nCategory: statement"
    assert first["wrapped"][1]["content"] == "Context:\nContact: q 0 0\n\nLast Message: q 0 0"
    systems = {name: messages[0]["content"] for name, messages in first.items()}
    assert len({systems[name] for name in ("raw_style_variable", "raw_style", "category_aware")}) == 3


def test_style_line_uses_only_train(tmp_path):
    pairs = long_history()
    write(pairs, tmp_path, "raw_style")
    before = rows_of(tmp_path / "raw_style", "train")[0]["messages"][0]["content"]
    parts = splits.split(pairs)
    for pair in parts["valid"] + parts["test"]:
        pair["reply"] = "LOUD 😂 AND\nLONG ENOUGH TO CHANGE ANY MEDIAN OF WORDS!"
    write(pairs, tmp_path, "raw_style")
    assert rows_of(tmp_path / "raw_style", "train")[0]["messages"][0]["content"] == before
    for pair in parts["train"]:
        pair["reply"] = "LOUD 😂 AND\nLONG ENOUGH TO CHANGE ANY MEDIAN OF WORDS!"
    write(pairs, tmp_path, "raw_style", repeats=1000)
    assert rows_of(tmp_path / "raw_style", "test")[0]["messages"][0]["content"] != before


def test_contacts_are_numbered_only_in_groups():
    said = ("ann", "hi"), (None, "yo"), ("bo", "hey"), ("ann", "so?")
    content = lambda pair: variants.to_example(pair, "Sam", "")["messages"][1]["content"]  # noqa: E731
    assert content(make_pair(*said, is_group=True)) == "Contact 1: hi\nSam: yo\nContact 2: hey\nContact 1: so?"
    assert content(make_pair(*said)) == "Contact: hi\nSam: yo\nContact: hey\nContact: so?"
    assert content(make_pair(*said[:2], is_group=True)) == "Contact: hi\nSam: yo"


def test_last_message_is_the_newest_of_the_context():
    pair = make_pair(("ann", "hi"), (None, "yo"), ("ann", "so?"))
    user = variants.to_example(pair, "Sam", "", "wrapped")["messages"][1]["content"]
    assert user == "Context:\nContact: hi\nSam: yo\nContact: so?\n\nLast Message: so?"


@given(st.lists(st.tuples(st.sampled_from([None, "ann", "bo"]), st.text()), min_size=1), st.text(), st.booleans())
def test_prompt_does_not_depend_on_the_reply(context, reply, category):
    one, other = (
        variants.to_example(make_pair(*context, reply=text), "Sam", "Be Sam.", "tagged", category)
        for text in (reply, "another")
    )
    assert one["messages"][:2] == other["messages"][:2] and one["messages"][2]["content"] == reply


def test_written_rows_and_meta(tmp_path):
    written = write(long_history(), tmp_path)
    folder = tmp_path / "raw_style_variable"
    assert rows_of(folder, "train")[0] == {
        "messages": [
            {"role": "system", "content": "You are Sam. Reply to text messages the way Sam texts."},
            {"role": "user", "content": "Contact: q 0 0"},
            {"role": "assistant", "content": "the answer 0 0"},
        ]
    }
    assert written["train"] == {"bytes": (folder / "train.jsonl").stat().st_size, "examples": 48}
    meta = rows_of(folder, "meta")
    assert len(meta) == 60
    assert meta[0] | {"session": ""} == {
        "split": "train",
        "row": 0,
        "conversation": "ann",
        "session": "",
        "context_ids": ["ann 0 0 q"],
        "reply_ids": ["ann 0 0 a"],
        "context": "Contact: q 0 0",
        "last_message": "q 0 0",
    }
    assert conversations.of_split(folder, "test", [{}] * 6)[0] == ["ann"] * 6
    assert variant_folder.origin_of(folder)["parameters"]["system"].startswith("You are Sam.")


def test_heldout_people_have_their_own_file(tmp_path):
    written = write(many_people(), tmp_path)
    assert written[HELDOUT]["examples"] == 20 == len(rows_of(tmp_path / "raw_style_variable", HELDOUT))
    assert HELDOUT not in write(long_history(), tmp_path / "other")


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for out in ("one", "two"):
        write(many_people(), tmp_path / out, "category_aware")
    for file in (tmp_path / "one" / "category_aware").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / "category_aware" / file.name).read_bytes()


def test_variant_without_rows_writes_nothing(tmp_path):
    refused(lambda: write(long_history(1), tmp_path), "raw_style_variable", "a.db")
    assert list(tmp_path.iterdir()) == []


def test_one_empty_variant_stops_all_variants(tmp_path):
    pairs = [pair | {"reply": "ok"} for pair in long_history()]
    call = lambda: variants.write(pairs, "Sam", ["raw_style_variable", "raw_style"], tmp_path, ORIGIN, [])  # noqa: E731
    refused(call, "raw_style would have no rows", "Nothing was written")
    assert list(tmp_path.iterdir()) == []


def test_data_from_another_source_is_not_replaced(tmp_path):
    write(long_history(), tmp_path)
    before = (tmp_path / "raw_style_variable" / "train.jsonl").read_bytes()
    refused(lambda: write(long_history(30), tmp_path, origin=ORIGIN | {"source": "b.db"}), "b.db", "a.db")
    assert (tmp_path / "raw_style_variable" / "train.jsonl").read_bytes() == before
    write(long_history(30), tmp_path)
    assert (tmp_path / "raw_style_variable" / "train.jsonl").read_bytes() != before


def test_written_data_is_ignored_by_git(tmp_path):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    write(many_people(), tmp_path / "my own folder")
    seen = subprocess.run(["git", "-C", tmp_path, "status", "--porcelain", "-uall"], capture_output=True, check=True)
    assert seen.stdout == b""
