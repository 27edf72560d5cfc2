"""The style of replies, and the category of the message they answer."""

import pytest
from conftest import make_pair
from ftstudy.extract import categories, style
from hypothesis import given
from hypothesis import strategies as st


def test_measures_are_shares_of_replies():
    found = style.measures(["hey there", "Ok.", "lol 😂", "no\nyes!"])
    assert found == {"words": 2, "lower_case": 0.75, "punctuation": 0.5, "emoji": 0.25, "several_messages": 0.25}


def test_replies_without_letters_have_no_case():
    assert style.measures(["👍", "7", "ok"])["lower_case"] == 1


def test_no_replies_measure_zero():
    assert set(style.measures([]).values()) == {0}


def test_style_line_in_words():
    line = style.line(["yeah ok"] * 9 + ["No."])
    assert "about 2 words" in line and "nearly always start in lower case" in line and "rarely end with" in line
    assert "never hold emoji" in line


@given(st.lists(st.text()))
def test_any_replies_have_a_style_line(replies):
    assert style.line(replies).endswith(".")


@pytest.mark.parametrize(
    "text, category",
    [
        ("where are you?", "open question"),
        ("so what time", "statement"),
        ("What time", "open question"),
        ("hey. how was it?", "open question"),
        ("are you home?", "question"),
        ("you coming?? 🥺", "question"),
        ("can you pick me up", "request"),
        ("call me", "request"),
        ("wanna get food", "plan"),
        ("i land at 7 pm", "plan"),
        ("thank you so much", "thanks"),
        ("heyyy", "greeting"),
        ("hahaha no way", "laugh"),
        ("😂😂", "laugh"),
        ("https://example.org/a", "photo or link"),
        ("[photo]", "photo or link"),
        ("i had soup", "statement"),
        ("", "photo or link"),
    ],
)
def test_category_of_a_message(text, category):
    assert categories.category_of(text) == category


def test_category_of_a_context():
    pair = make_pair(("ann", "where are you?"), (None, "thanks"), reply="hahaha")
    assert categories.category_of_context(pair["context"]) == "open question"


def test_leak_is_the_share_of_changed_categories():
    pairs = [make_pair(("ann", "you ok?"), reply=reply) for reply in ("you?", "fine", "thanks", "no")]
    assert categories.leak(pairs) == 0.75
    assert categories.leak([]) == 0
