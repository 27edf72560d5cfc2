"""Replies that repeat themselves, in several scripts; and a person's, which don't."""

import pytest
from ftstudy.compare.loops import loops, words

SENTENCE = "I was going to go and talk to you"


@pytest.mark.parametrize(
    "text",
    [
        "yeah\n" * 16,
        "yeah " * 8,
        "i was like\n" * 3,
        "I am from Nebraska. I am from Nebraska. I am from Nebraska. I am fr",  # and cut off
        "yeah thats a good point\nI think so too\nI think so too\nI think so too",
        f"well, {SENTENCE}. {SENTENCE.upper()}! {SENTENCE}.",
        f"{SENTENCE}. {SENTENCE}. {SENTENCE[:20]}",
        "Contact:\n" * 9,
        "!" * 40,
        "." * 200,
        "so good " + "\N{FACE WITH TEARS OF JOY}" * 15,
        "\N{FIRE}\N{HUNDRED POINTS SYMBOL}" * 20,
        "\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}" * 15,
        "ha" * 60,
        "no sé qué decir, no sé qué decir, no sé qué decir",
        "Ich weiß es nicht. Ich weiß es nicht. Ich weiß es nicht.",
        "не знаю что сказать\n" * 4,
        "لا أعرف ماذا أقول " * 3,
        "मुझे नहीं पता " * 3,
        "我不知道" * 4,
        "わからない、" * 4,
        "ฉันไม่รู้" * 4,
        "모르겠어요 정말로 " * 5,
        "哈" * 30,
    ],
)
def test_loops_are_recognized(text):
    assert loops(text) and loops(f"ok then. {text}")


def test_half_of_a_reply_said_before_is_a_loop():
    assert loops(f"{SENTENCE}. {SENTENCE}.") and not loops(f"ok then. {SENTENCE}. {SENTENCE}.")
    assert loops(f"I am here. {SENTENCE}. Oh, {SENTENCE} and I am here and {SENTENCE}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ok",
        "no no no",
        "no no no no no no",
        "haha haha haha",
        "hahahahahahahahaha",
        "ja ja",
        "ja ja ja ja",
        "yeah yeah yeah I know",
        "bye bye bye!!!",
        "oh no oh no oh no",
        "what?! what?!",
        "noooooooooooooooooooooo",
        "wait..................",
        "omg!!!!!!!!!!!!!!",
        "\N{FACE WITH TEARS OF JOY}" * 8,
        "哈哈哈哈哈哈",
        "好的好的好的",
        "笑笑笑笑",
        "ใช่ๆๆๆ",
        "sí sí sí sí",
        "love you\nlove you too\nmiss you",
        "I was going to call you but then I was going to be late for the train so I ran",
        "do you want to go to the one on main street or do you want to go to the new one by the park?",
    ],
)
def test_what_people_write_is_not_a_loop(text):
    assert not loops(text)


def test_the_limits_are_what_they_say():
    for block, times in (("yeah ", 8), ("i got it ", 3), ("oh no ", 4), ("\N{FIRE}", 15), ("!", 40)):
        assert loops(block * times) and not loops(block * (times - 1)), block
    half, less = (
        "one two three four five six " * 2,
        "one two three four five six seven " + "one two three four five six",
    )
    assert loops(half) and not loops(less)  # 6 of 12 words were said before, 6 of 13


def test_three_words_said_twice_and_begun_again_are_not_a_loop():
    assert not loops("ok i got it i got it i got") and loops("ok i got it i got it i got it")


def test_words_that_were_said_before_count_four_at_a_time():
    assert loops("one two three four, and one two three four, so one two three four")
    assert not loops("one two three, and one two three, so one two three, or one two three")


def test_a_block_has_up_to_eight_characters():
    assert loops("abcdefgh" * 15) and not loops("abcdefghi" * 15)


def test_words_are_characters_in_scripts_without_spaces():
    assert words("Oh NO! 好的… don't") == ["oh", "no", "好", "的", "don't"]
    assert words(" \n!? ") == []
