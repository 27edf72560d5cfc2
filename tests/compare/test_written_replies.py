"""What is to be seen in generated replies, on made-up ones."""

import pytest
from ftstudy.compare import written_replies


@pytest.mark.parametrize(
    "text, sounds",
    [
        ("As an AI language model, I cannot text.", True),
        ("I'm here to help! What do you need?", True),
        ("Certainly! Here are three ideas.", True),
        ("1. Bring ice\n2. Bring chairs", True),
        ("let me know if you need anything else", True),
        ("of course lol", False),
        ("can u help me move", False),
        ("im happy for u", False),
        ("", False),
    ],
)
def test_assistant_phrases_are_recognised(text, sounds):
    assert bool(written_replies.ASSISTANT.search(text)) is sounds


def test_measures_are_shares_of_the_replies():
    trained = {written_replies.normal(text) for text in ["see you at the usual place", "ok"]}
    texts = ["See you  at the usual place", "ok", "", "Contact: hi\nSam: hey"]
    replies = [{"text": text, "stopped": text != ""} for text in texts]
    found = written_replies.measures(replies, ["a b", "c d e f"], trained)
    assert found["copied"] == found["empty"] == found["other_speaker"] == 0.25
    assert found["end_of_turn_rate"] == 0.75 and found["true_words"] == 3
    assert found["words"] == 2.5 and found["length_ratio"] == 2.5 / 3 and found["looping"] == 0
    looping = [{"text": text, "stopped": True} for text in ("oh man i see " * 3, "oh man i see")]
    assert written_replies.measures(looping, ["", ""], set()) | {"looping": 0.5, "length_ratio": None} == (
        written_replies.measures(looping, ["", ""], set())
    )


def test_copies_have_at_least_five_words():
    trained = {written_replies.normal(text) for text in ("one two three four five", "one two three four")}
    assert written_replies.copied("One two  three four FIVE", trained)
    assert not written_replies.copied("one two three four", trained)
    assert not written_replies.copied("one two three four six", trained)
