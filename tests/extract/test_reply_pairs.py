"""Messages become reply pairs, and the funnel counts the rest."""

import pytest
from conftest import messages_table
from ftstudy.extract import reply_pairs
from hypothesis import given, settings
from hypothesis import strategies as st


def replies(*rows, **options):
    pairs, _ = reply_pairs.build(messages_table(*rows), **options)
    return [pair["reply"] for pair in pairs]


def contexts(*rows, **options):
    pairs, _ = reply_pairs.build(messages_table(*rows), **options)
    return [[message.text for message in pair["context"]] for pair in pairs]


def removed(*rows, **options):
    """Step -> (removed, examples), for the steps that removed something."""
    _, funnel = reply_pairs.build(messages_table(*rows), **options)
    return {row["step"]: (row["removed"], row["examples"]) for row in funnel if row["removed"]}


def test_burst_is_one_reply_joined_by_line_breaks():
    assert replies((0, "ann", "hi"), (1, "me", "yo"), (2, "me", "sup")) == ["yo\nsup"]


def test_long_pause_begins_another_reply():
    rows = (0, "ann", "hi"), (1, "me", "yo"), (5, "me", "sup")
    assert replies(*rows) == ["yo", "sup"]
    assert replies(*rows, burst_minutes=4) == ["yo\nsup"]


def test_message_of_another_person_ends_a_burst():
    assert replies((0, "ann", "hi"), (1, "me", "yo"), (1.5, "ann", "!"), (2, "me", "sup")) == ["yo", "sup"]


def test_long_silence_ends_context():
    rows = (0, "ann", "old"), (1, "me", "ok"), (70, "ann", "new"), (71, "me", "yes")
    assert contexts(*rows)[1] == ["new"]
    assert contexts(*rows, session_minutes=69)[1] == ["old", "ok", "new"]


def test_limits_are_exact():
    microsecond, rows = 1.5 / 60_000_000, ((0, "ann", "hi"), (1, "me", "yo"))
    assert replies(*rows, (4, "me", "sup")) == ["yo\nsup"]
    assert replies(*rows, (4 + microsecond, "me", "sup")) == ["yo", "sup"]
    assert contexts(*rows, (61, "ann", "new"), (62, "me", "yes"))[1] == ["hi", "yo", "new"]
    assert contexts(*rows, (61 + microsecond, "ann", "new"), (62, "me", "yes"))[1] == ["new"]
    assert replies((0, "ann", "x" * 1000), (1, "me", "y" * 1000)) == ["y" * 1000]


def test_burst_ends_with_its_session():
    assert replies((0, "ann", "hi"), (1, "me", "yo"), (2, "me", "sup"), session_minutes=0.5, burst_minutes=3) == []


def test_context_has_the_newest_eight_messages():
    rows = [(number / 10, "ann", f"n{number}") for number in range(12)] + [(2, "me", "ok")]
    assert contexts(*rows) == [[f"n{number}" for number in range(4, 12)]]
    assert contexts(*rows, context_messages=2) == [["n10", "n11"]]


def test_owner_writing_first_is_not_a_reply():
    rows = (0, "me", "hello?"), (9, "me", "anyone?")
    assert replies(*rows) == []
    assert removed(*rows)["nobody else wrote before it"] == (2, ["hello?", "anyone?"])


def test_reply_text_is_kept_exactly():
    assert replies((0, "ann", "hi"), (1, "me", "  ﬁne…\u200b")) == ["  ﬁne…\u200b"]


@pytest.mark.parametrize(
    "kind", ["tapback", "system", "app", "unsent", "deleted", "undated", "unreadable", "oversized", "empty"]
)
def test_other_kinds_are_neither_target_nor_context(kind):
    rows = (
        (0, "ann", "hi"),
        (0.5, "ann", "Liked that", {"kind": kind}),
        (1, "me", "no", {"kind": kind}),
        (2, "me", "yo"),
    )
    assert replies(*rows) == ["yo"] and contexts(*rows) == [["hi"]]
    step = next(step for step in removed(*rows) if step.startswith(kind))
    assert removed(*rows)[step] == (2, ["Liked that", "no"])


def test_white_space_alone_is_neither_target_nor_context():
    rows = (0, "ann", "hi"), (1, "ann", "\n"), (2, "me", "  "), (3, "me", "yo")
    assert contexts(*rows) == [["hi"]] and replies(*rows) == ["yo"]
    assert removed(*rows)["empty: no text and nothing else known"] == (2, [])  # nothing to quote


def test_groups_are_optional():
    group = {"is_group": True, "conversation": "g"}
    rows = (0, "ann", "hi", group), (1, "me", "yo", group)
    assert replies(*rows) == [] and removed(*rows)["group chats"] == (2, ["hi", "yo"])
    (pair,), _ = reply_pairs.build(messages_table(*rows), groups=True)
    assert pair["reply"] == "yo" and pair["is_group"] and pair["conversation"] == "g"
    (pair,), _ = reply_pairs.build(messages_table((0, "ann", "hi"), (1, "me", "yo")), groups=True)
    assert not pair["is_group"] and pair["session"] == "m0"


@pytest.mark.parametrize(
    "text, label",
    [
        ("https://example.org/x", "only a link"),
        ("[link]", "only a link"),
        ("your verification code is 482913", "a one-time code"),
        ("[phone] [email]", "only masked text"),
        ("x" * 1001, "over 1,000 bytes"),
        ("é" * 501, "over 1,000 bytes"),
    ],
)
def test_unusable_replies_are_counted_with_their_text(text, label):
    rows = (0, "ann", "hi"), (1, "me", text), (1.5, "ann", "?"), (2, "me", "fine")
    assert replies(*rows) == ["fine"]
    assert removed(*rows)[label] == (1, [text[:200]])


def test_attachments_are_context_but_not_target():
    photo = {"kind": "attachment"}
    assert contexts((0, "ann", "[photo]", photo), (1, "me", "wow")) == [["[photo]"]]
    assert replies((0, "ann", "hi"), (1, "me", "[photo]", photo)) == []
    assert replies((0, "ann", "hi"), (1, "me", "[photo]", photo), (2, "me", "me in Rome")) == ["me in Rome"]
    assert replies((0, "ann", "hi"), (1, "me", "look [photo] here", photo)) == []
    rows = (0, "ann", "hi"), *((minute, "me", f"[photo]{' ' * minute}", photo) for minute in (1, 2, 3))
    assert removed(*rows)["the owner's attachments next to text"][0] == 2
    assert removed(*rows)["only attachments"] == (1, ["[photo] "])


def test_forwards_are_context_but_not_target():
    forward = {"kind": "forward"}
    assert contexts((0, "ann", "a poem", forward), (1, "me", "nice")) == [["a poem"]]
    assert replies((0, "ann", "hi"), (1, "me", "a poem", forward), (2, "me", "read this")) == []


def test_automated_chats_are_left_out():
    code = {"conversation": "72345", "is_owner": False, "sender": "72345"}
    rows = (0, "72345", "Reply YES to confirm", code), (1, "me", "YES", {"conversation": "72345"})
    assert replies(*rows) == []
    assert removed(*rows)["chats with an automated sender"][0] == 2


def test_context_byte_limit():
    rows = (0, "ann", "x" * 800), (1, "ann", "y" * 800), (2, "me", "ok")
    assert contexts(*rows) == [["y" * 800]]
    assert replies((0, "ann", "x" * 1001), (1, "me", "ok")) == []
    assert replies((0, "ann", "x" * 1001), (1, "me", "ok"), context_bytes=2000) == ["ok"]


def test_funnel_shows_three_different_examples():
    rows = [(number, "ann", text, {"kind": "system"}) for number, text in enumerate("aabcd")]
    step = removed(*rows, (9, "ann", "hi"))["system: somebody joined, left, called, renamed the group, …"]
    assert step == (5, ["a", "b", "c"])


def test_funnel_examples_are_short_and_different():
    rows = [(number, "ann", "x" * 200 + end, {"kind": "system"}) for number, end in enumerate("abc")]
    (step,) = (step for step in removed(*rows, (9, "ann", "hi")).items() if step[0].startswith("system"))
    assert step[1] == (3, ["x" * 200])


def test_funnel_begins_with_what_the_reader_skipped():
    messages = messages_table((0, "ann", "hi"), (1, "me", "yo"))
    messages.attrs["skipped"] = {"a broken line": {"count": 2, "examples": ["x"]}}
    first, second, *_ = reply_pairs.build(messages)[1]
    assert first["left"] == 4 and first["removed"] == 0
    broken = {"step": "a broken line", "unit": "messages", "removed": 2, "left": 2, "examples": ["x"]}
    assert second == broken


@st.composite
def histories(draw):
    count = draw(st.integers(1, 60))
    minutes = sorted(draw(st.lists(st.integers(0, 3000), min_size=count, max_size=count)))
    kinds = st.sampled_from(["text", "text", "text", "attachment", "forward", "system"])
    texts = st.sampled_from(["hi", "[photo]", "see [photo]", "", " ", "https://example.org/a", "x" * 1200, "no\nyes"])
    return [
        (minute, draw(st.sampled_from(["me", "ann", "bo"])), draw(texts), {"kind": draw(kinds)}) for minute in minutes
    ]


@settings(deadline=None)
@given(histories())
def test_funnel_counts_every_message(rows):
    messages = messages_table(*rows)
    pairs, funnel = reply_pairs.build(messages)
    for unit in ("messages", "replies"):
        steps = [step for step in funnel if step["unit"] == unit]
        for before, after in zip(steps, steps[1:]):
            assert before["left"] - after["removed"] == after["left"]
    assert funnel[0]["left"] == len(messages) and funnel[-1]["left"] == len(pairs)
    assert [step["left"] for step in funnel if step["step"] == "the owner's bursts"] == [
        [step for step in funnel if step["unit"] == "messages"][-1]["left"]
    ]


@settings(deadline=None)
@given(histories())
def test_every_reply_is_the_owners_text(rows):
    messages = messages_table(*rows)
    text_of = dict(zip(messages["message_id"], zip(messages["text"], messages["is_owner"], messages["kind"])))
    for pair in reply_pairs.build(messages)[0]:
        bubbles = [text_of[message.message_id] for message in pair["bubbles"]]
        assert pair["reply"] == "\n".join(text for text, _, _ in bubbles)
        assert all(is_owner and kind == "text" for _, is_owner, kind in bubbles)
        assert len(pair["context"]) <= 8
