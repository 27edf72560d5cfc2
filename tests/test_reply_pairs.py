"""Messages become reply pairs, splits and files."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftstudy import reply_pairs
from ftstudy.errors import StudyError
from ftstudy.sources import make_table


def table(*rows):
    """Rows of (minute, who, text) or (minute, who, text, changes); `who` is "me" or a name."""
    made = []
    for number, (minute, who, text, *changes) in enumerate(rows):
        row = {
            "conversation": "ann" if who == "me" else who,
            "is_group": False,
            "sender": who,
            "is_owner": who == "me",
            "timestamp": 1_700_000_000_000_000 + int(minute * 60_000_000),
            "text": text,
            "kind": "text",
            "message_id": f"m{number}",
            "reply_to": None,
        }
        made.append(row | (changes[0] if changes else {}))
    return make_table(made)


def replies(*rows, **options):
    pairs, _ = reply_pairs.build(table(*rows), **options)
    return [pair["reply"] for pair in pairs]


def test_a_burst_is_one_reply_joined_by_line_breaks():
    assert replies((0, "ann", "hi"), (1, "me", "yo"), (2, "me", "sup")) == ["yo\nsup"]


def test_a_pause_of_more_than_the_burst_begins_another_reply():
    assert replies((0, "ann", "hi"), (1, "me", "yo"), (5, "me", "sup")) == ["yo", "sup"]


def test_context_does_not_reach_over_a_long_silence():
    pairs, _ = reply_pairs.build(table((0, "ann", "old"), (1, "me", "ok"), (70, "ann", "new"), (71, "me", "yes")))
    assert [text for _, text in pairs[1]["context"]] == ["new"]


def test_context_is_at_most_eight_messages_and_the_newest():
    rows = [(number / 10, "ann", f"n{number}") for number in range(12)] + [(2, "me", "ok")]
    pairs, _ = reply_pairs.build(table(*rows))
    assert [text for _, text in pairs[0]["context"]] == [f"n{number}" for number in range(4, 12)]


def test_an_owner_who_speaks_first_has_no_context_to_reply_to():
    assert replies((0, "me", "hello?"), (9, "me", "anyone?")) == []


def test_one_word_replies_stay_and_text_is_kept_byte_for_byte():
    assert replies((0, "ann", "hi"), (1, "me", "  ﬁne…\u200b")) == ["  ﬁne…\u200b"]


@pytest.mark.parametrize("kind", ["tapback", "system", "unsent", "app", "deleted", "empty"])
def test_rows_of_other_kinds_are_neither_target_nor_context(kind):
    rows = (
        (0, "ann", "hi"),
        (0.5, "ann", "Liked that", {"kind": kind}),
        (1, "me", "no", {"kind": kind}),
        (2, "me", "yo"),
    )
    pairs, funnel = reply_pairs.build(table(*rows))
    assert [pair["reply"] for pair in pairs] == ["yo"]
    assert [text for _, text in pairs[0]["context"]] == ["hi"]
    assert any(step["step"].startswith(kind) and step["removed"] == 2 for step in funnel)


def test_groups_links_and_lone_attachments_are_no_targets():
    group = {"is_group": True, "conversation": "g"}
    assert replies((0, "ann", "hi"), (1, "me", "https://example.org/x")) == []
    assert replies((0, "ann", "hi"), (1, "me", "[photo]", {"kind": "attachment"})) == []
    assert replies((0, "ann", "hi", group), (1, "me", "yo", group)) == []


def test_very_long_texts_are_counted_out():
    assert replies((0, "ann", "hi"), (1, "me", "x" * 1001)) == []
    assert replies((0, "ann", "x" * 1001), (1, "me", "ok")) == []
    pairs, _ = reply_pairs.build(table((0, "ann", "x" * 800), (1, "ann", "y" * 800), (2, "me", "ok")))
    assert [text[0] for _, text in pairs[0]["context"]] == ["y"]


@st.composite
def histories(draw):
    count = draw(st.integers(1, 60))
    minutes = sorted(draw(st.lists(st.integers(0, 3000), min_size=count, max_size=count)))
    return [(minute, draw(st.sampled_from(["me", "ann", "bo"])), draw(st.text(max_size=5))) for minute in minutes]


@settings(deadline=None)
@given(histories())
def test_the_funnel_accounts_for_every_message(rows):
    messages = table(*rows)
    pairs, funnel = reply_pairs.build(messages)
    for unit in ("messages", "replies"):
        steps = [step for step in funnel if step["unit"] == unit]
        for before, after in zip(steps, steps[1:]):
            assert before["left"] - after["removed"] == after["left"]
    assert funnel[0]["left"] == len(messages) and funnel[-1]["left"] == len(pairs)


@settings(deadline=None)
@given(histories())
def test_no_reply_of_one_split_stands_in_another_splits_context(rows):
    parts = reply_pairs.split(reply_pairs.build(table(*rows))[0])
    for name, part in parts.items():
        targets = {one for pair in part for one in pair["reply_ids"]}
        for other in set(parts) - {name}:
            assert not targets & {one for pair in parts[other] for one in pair["context_ids"]}


def long_history(sessions=20, answers=3):
    rows = []
    for session in range(sessions):
        for answer in range(answers):
            minute = session * 600 + answer * 10
            rows += [(minute, "ann", f"q {session} {answer}"), (minute + 1, "me", f"the answer {session} {answer}")]
    return reply_pairs.build(table(*rows))[0]


def test_the_newest_sessions_are_test_and_none_is_divided():
    parts = reply_pairs.split(long_history())
    assert [len(parts[name]) for name in reply_pairs.SPLITS] == [48, 6, 6]
    assert max(p["timestamp"] for p in parts["train"]) < min(p["timestamp"] for p in parts["valid"])
    assert max(p["timestamp"] for p in parts["valid"]) < min(p["timestamp"] for p in parts["test"])


ORIGIN = {"source": "a.db", "owner": "Sam", "kind": "imessage"}


def test_files_are_written_in_mlx_lms_form_with_message_ids_beside_them(tmp_path):
    written = reply_pairs.write_variant(long_history(), "Sam", "raw_style_variable", tmp_path, ORIGIN)
    folder = tmp_path / "raw_style_variable"
    row = json.loads((folder / "train.jsonl").read_text().splitlines()[0])
    assert row == {
        "messages": [
            {"role": "system", "content": "You are Sam. Reply to text messages the way Sam texts."},
            {"role": "user", "content": "Contact: q 0 0"},
            {"role": "assistant", "content": "the answer 0 0"},
        ]
    }
    assert written["train"] == {"bytes": (folder / "train.jsonl").stat().st_size, "examples": 48}
    assert len((folder / "meta.jsonl").read_text().splitlines()) == 60
    assert reply_pairs.conversations_of(folder, "test", 6) == ["ann"] * 6


def test_a_variant_without_rows_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(StudyError, match="raw_style_variable"):
        reply_pairs.write_variant(long_history(1), "Sam", "raw_style_variable", tmp_path, ORIGIN)
    assert list(tmp_path.iterdir()) == []


def test_data_from_another_source_is_never_replaced(tmp_path):
    reply_pairs.write_variant(long_history(), "Sam", "raw_style_variable", tmp_path, ORIGIN)
    before = (tmp_path / "raw_style_variable" / "train.jsonl").read_bytes()
    with pytest.raises(StudyError, match="b.db"):
        reply_pairs.write_variant(long_history(30), "Sam", "raw_style_variable", tmp_path, ORIGIN | {"source": "b.db"})
    assert (tmp_path / "raw_style_variable" / "train.jsonl").read_bytes() == before
    reply_pairs.write_variant(long_history(30), "Sam", "raw_style_variable", tmp_path, ORIGIN)
    assert (tmp_path / "raw_style_variable" / "train.jsonl").read_bytes() != before


def test_raw_style_has_its_minimum_and_its_cap_and_they_are_counted():
    pairs = long_history(70, 4)
    pairs[0] = pairs[0] | {"reply": "ok"}
    funnel = []
    assert len(reply_pairs.select(pairs, "raw_style", funnel)) == 200
    assert [step["removed"] for step in funnel] == [1, 79]
    assert len(reply_pairs.select(pairs, "raw_style_variable", [])) == 280


def test_an_unknown_variant_is_an_error():
    with pytest.raises(StudyError, match="raw_style_variable"):
        reply_pairs.preset_of("cataware")
