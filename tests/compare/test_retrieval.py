"""The most similar past conversations as examples in the prompt."""

import math

import pytest
from conftest import example
from ftstudy.chat_format import load_profile
from ftstudy.compare import prompt_formats, retrieval
from ftstudy.extract.conversations import LONG


def rows(*said):
    return [example(user=user, reply=reply) for user, reply in said]


TALK = rows(
    ("Contact: do you want pizza tonight", "always"),
    ("Contact: my train is late again", "oh no"),
    ("Contact: the train to Berlin is late", "take the bus"),
    ("Contact: good morning", "morning"),
)
ASKED = rows(("Contact: is the train to Berlin late?", "yes it is"))


def test_the_most_similar_come_first_and_ties_in_the_order_of_the_rows():
    assert retrieval.similar(ASKED, TALK, 2) == [[2, 1]]
    assert retrieval.similar(ASKED, TALK, 4) == [[2, 1, 3, 0]]  # "Contact" says more in a short one
    assert retrieval.similar(ASKED, TALK, 9) == retrieval.similar(ASKED, TALK, 4)
    assert retrieval.similar(rows(("Zzz", "x")), TALK, 4) == [[0, 1, 2, 3]]  # nothing shared
    assert retrieval.similar(rows(("", "x")), rows(("", "y"), ("?", "z")), 2) == [[0, 1]]


def test_the_ranking_is_that_of_the_formula_of_bm25():
    texts = ["a b c", "a a d", "d e", "b b b b c"]
    found = retrieval.similar(rows(("a b", "x")), rows(*((text, str(at)) for at, text in enumerate(texts))), 4)
    split = [text.split() for text in texts] + [["-"]]  # with the document that keeps the index from being empty
    mean, score = sum(map(len, split)) / len(split), []
    for words in split[:-1]:
        total = 0
        for term in "ab":
            having = sum(term in other for other in split)
            idf = math.log(1 + (len(split) - having + 0.5) / (having + 0.5))
            total += idf * words.count(term) / (words.count(term) + 1.5 * (0.25 + 0.75 * len(words) / mean))
        score.append(total)
    assert found == [sorted(range(4), key=lambda at: (-score[at], at))]


def test_a_row_that_gives_the_reply_away_is_not_an_example():
    asked = rows(("Contact: how was the long trip", "we drove all night to the sea\nlol"))
    itself, reply, context, short = rows(
        ("Contact: how was the long trip", "We drove all night to the sea\nlol"),
        ("Contact: how was the long trip home", "we drove all night to the sea"),
        ("Sam: we drove all night to the sea\nContact: how was the long trip", "great"),
        ("Contact: how was the long trip then", "lol"),
    )
    assert retrieval.similar(asked, [itself, reply, context, short], 4) == [[3]]
    brief = rows(("Contact: ok?", "yes"))
    assert retrieval.similar(brief, [*brief, *rows(("Contact: ok? or not", "yes"))], 2) == [[1]]  # all the same a reply


def test_of_windows_of_the_same_conversation_one_is_enough():
    first = "Contact: the train to Berlin is late\nSam: no way"
    again = rows((first, "again"), (f"{first}\nSam: again\nContact: yes", "poor you"), ("Contact: train", "what"))
    assert retrieval.similar(ASKED, again, 3) == [[0, 2]]
    assert retrieval.similar(ASKED, [TALK[2], TALK[2], TALK[1]], 3) == [[0, 2]]


@pytest.mark.parametrize("length, found", [(LONG, [[0, 2]]), (LONG - 1, [[0, 1, 2]])])
def test_a_long_line_that_two_conversations_share_makes_them_windows_of_one(length, found):
    line = "the train to Berlin is late, ".ljust(length, "o")
    assert retrieval.similar(ASKED, rows((line, "a"), (f"{line}\nhm", "b"), ("train", "c")), 3) == found


@pytest.mark.parametrize(
    "text, terms",
    [
        ("Oh NO, it's late!", ["oh", "no", "it's", "late"]),
        ("火车晚点了 ok", ["ok", "火车", "车晚", "晚点", "点了"]),
        ("好", ["好"]),
        ("поезд Опять", ["поезд", "опять"]),
    ],
)
def test_terms_are_words_and_pairs_of_characters(text, terms):
    assert retrieval.terms(text) == terms


def test_conversations_without_spaces_are_found():
    past = rows(("Contact: 今天天气很好", "是啊"), ("Contact: 火车又晚点了", "哎"), ("Contact: 晚上吃什么", "面"))
    assert retrieval.similar(rows(("Contact: 你的火车晚点了吗", "没有")), past, 1) == [[1]]


def test_each_prompt_has_its_own_examples_the_most_similar_last(tokenizer):
    asked = [*ASKED, *rows(("Contact: pizza?", "yes"))]
    heldout = {"examples": asked, "places": [("test", 7), ("test", 3)]}
    one = retrieval.few_shot(heldout, TALK, 2)
    assert one["name"] == "aligned, 2 similar examples" and one["shots"] == 2
    app = load_profile("aligned", "Sam")
    train, pizza = (
        tokenizer.decode(prompt_formats.prompt_ids(row, tokenizer, one, app, place, "Sam"))
        for row, place in zip(asked, heldout["places"])
    )
    assert train.index("my train is late") < train.index("take the bus") < train.index("is the train to Berlin late?")
    assert "pizza" not in train and "want pizza tonight" in pizza and train.count("You are Sam. Reply.") == 1
