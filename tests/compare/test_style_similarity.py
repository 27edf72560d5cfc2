"""Style distance, copies, assistant phrases, and the choices of the blind test."""

import numpy as np
import pytest
from ftstudy.compare import preference, style_similarity
from ftstudy.report import blind_test
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

OWN = ["yeah idk", "lol ok", "omw", "thats fine w me", "u coming?", "nah im good", "haha true", "k", "see u there"] * 12
FORMAL = [
    "Certainly! How can I help you today?",
    "I would be glad to assist you.",
    "That is an excellent question.",
] * 4


def test_own_replies_are_near_and_an_assistants_far():
    to = style_similarity.reference(OWN, 12)
    own, formal = (style_similarity.distance(replies, to)["total"] for replies in (OWN[:12], FORMAL))
    assert own < 0.3 < 0.5 < formal <= 1
    assert to["ceiling"]["interval"][0] <= to["ceiling"]["mean"] <= to["ceiling"]["interval"][1] < formal


@pytest.mark.parametrize(
    "part, changed",
    [
        ("case", [text.upper() for text in OWN[:20]]),
        ("punctuation", [text + "!" for text in OWN[:20]]),
        ("length", [f"{text} and then some more words after that one" for text in OWN[:20]]),
        ("abbreviations", ["fine", "certainly", "coming along", "agreed"] * 5),
    ],
)
def test_each_part_responds_to_its_trait(part, changed):
    to = style_similarity.reference(OWN, 20)
    assert style_similarity.distance(changed, to)[part] > style_similarity.distance(OWN[:20], to)[part] + 0.2


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=12))
def test_distance_is_between_0_and_1_for_any_text(replies):
    to = style_similarity.reference(OWN, len(replies))
    assert all(0 <= value <= 1 for value in style_similarity.distance(replies, to).values())


def test_a_paired_difference_has_a_verdict():
    to, names = style_similarity.reference(OWN, 12), [str(at) for at in range(12)]
    found = style_similarity.distance_difference(OWN[:12], FORMAL, names, to)
    assert found["distance"] < 0 and found["verdict"] == "better"
    same = style_similarity.distance_difference(FORMAL, FORMAL, names, to)
    equal = {"distance": 0.0, "interval": [0.0, 0.0], "p": 1.0, "verdict": "not distinguishable", "family": None}
    assert same == equal


@pytest.mark.parametrize(
    "text, places",  # of length, case, punctuation, abbreviations
    [
        ("", (0, 3, 0, 0)),
        ("OK.", (1, 2, 1, 1)),
        ("I", (1, 1, 0, 0)),
        ("im u?", (2, 0, 3, 3)),
        ("dont go now", (3, 0, 0, 2)),
        ("12 34 56 78", (3, 3, 0, 0)),
        ("Yes it is so now! ", (4, 1, 2, 0)),
        ("a " * 8 + "…", (5, 0, 4, 0)),
        ("a " * 16 + ",", (6, 0, 5, 0)),
        ("a " * 32 + ")", (7, 0, 6, 0)),
        ("a " * 32, (6, 0, 0, 0)),
    ],
)
def test_the_features_of_a_reply(text, places):
    counts = style_similarity._counts(text, {"places": {}})
    assert tuple(part.argmax() for part in counts[:4]) == places
    assert [len(part) for part in counts[:4]] == [8, 4, 7, 4] and all(part.sum() == 1 for part in counts[:4])


def test_character_trigrams_are_lower_cased_padded_and_the_unknown_ones_counted_together():
    *_, characters = style_similarity._counts("Hi you", {"places": {" hi": 0, "you": 1}})
    assert characters.tolist() == [1, 1, 4]  # of " hi", "hi ", "i y", " yo", "you", "ou "


@pytest.mark.parametrize(
    "left, right, distance",
    [
        ([1, 0], [0, 1], 1),
        ([2, 2], [5, 5], 0),
        # middle (3/4, 1/4): ½(½ log₂ ⅔ + ½ log₂ 2) + ½ log₂ 4/3 = 0.31128, and its root
        ([1, 1], [1, 0], 0.55792),
        ([0, 0], [0, 0], 0),
        ([0, 0], [1, 0], 1),
        ([1, 0], [0, 0], 1),
    ],
)
def test_jensen_shannon_distances(left, right, distance):
    found = style_similarity._jensen_shannon(np.array(left, float), np.array(right, float))
    assert found == pytest.approx(distance, abs=1e-5)


def test_the_distance_is_the_mean_of_its_five_parts():
    to = style_similarity.reference(["yo"] * 8, 2)
    assert to["ceiling"] == {"mean": 0, "interval": [0, 0]} and to["counts"][0].tolist() == [0, 4, 0, 0, 0, 0, 0, 0]
    found = style_similarity.distance(["Yo.", "yo"], to)  # " yo" and "yo " are shared, "yo." and "o. " are not
    assert found["length"] == found["abbreviations"] == 0
    assert found["case"] == found["punctuation"] == pytest.approx(0.55792, abs=1e-5)
    assert found["total"] == pytest.approx(sum(found[part] for part in style_similarity.PARTS) / 5)


def test_the_reference_is_one_half_and_its_ceiling_is_drawn_from_the_other():
    to = style_similarity.reference(["yo"] * 5, 2)
    assert to["counts"][0].sum() == 2
    assert style_similarity.reference(["yo"], 2)["counts"][0].sum() == 1
    two = style_similarity.reference(["yo", "Indeed, certainly."], 1)["ceiling"]  # one against the other, always
    assert two["mean"] > 0.5 and two["interval"] == pytest.approx([two["mean"]] * 2)
    many = style_similarity.reference(OWN, 12)
    assert len(many["places"]) < style_similarity.TRIGRAMS and many["ceiling"]["interval"][0] > 0
    few = style_similarity.reference(OWN[:12], 12)  # 6 replies, drawn again and again
    assert few["ceiling"]["interval"][1] > few["ceiling"]["mean"] > few["ceiling"]["interval"][0]


def test_one_reply_has_a_distance_and_no_interval():
    to = style_similarity.reference(OWN, 1)
    found = style_similarity.distance_difference(["yeah idk"], ["Certainly, I will."], ["a"], to)
    assert found["distance"] < 0 and found["interval"] is None and found["verdict"] == "not distinguishable"


def test_a_paired_difference_is_of_whole_conversations():
    """Its interval is the jackknife's, from the differences without each conversation in turn."""
    to = style_similarity.reference(OWN, 4)
    left, right = ["yeah idk", "Indeed.", "lol ok", "k"], ["Certainly.", "lol ok", "I see.", "Very well, sir."]
    found = style_similarity.distance_difference(left, right, list("abca"), to)
    total = lambda texts: style_similarity.distance(texts, to)["total"]  # noqa: E731
    without = [[1, 2], [0, 2, 3], [0, 1, 3]]
    left_out = [total([left[at] for at in kept]) - total([right[at] for at in kept]) for kept in without]
    assert found["distance"] == pytest.approx(total(left) - total(right))
    spread = np.sqrt(2 / 3 * ((np.array(left_out) - np.mean(left_out)) ** 2).sum())
    low, high = found["interval"]
    assert (low + high) / 2 == pytest.approx(found["distance"])
    # two replies, one and one: worth 16/6 conversations
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 16 / 6 - 1) * spread)
    assert style_similarity.distance_difference(left, right, list("abba"), to)["interval"] is None


@pytest.mark.slow
@pytest.mark.parametrize("conversations", [9, 20])
def test_of_a_hundred_style_intervals_about_ninety_five_hold_the_truth(conversations):
    """Two models that write in the same style, each conversation with habits of its own."""
    to, generator, hits = style_similarity.reference(OWN, 4 * conversations), np.random.default_rng(0), 0
    names = [str(at) for at in np.repeat(np.arange(conversations), 4)]
    for _ in range(400):
        habits = [generator.choice(OWN, 6) for _ in range(conversations)]
        sides = [[str(generator.choice(habits[int(name)])) for name in names] for _ in "lr"]
        low, high = style_similarity.distance_difference(*sides, names, to)["interval"]
        hits += low <= 0 <= high
    assert 0.92 <= hits / 400 <= 0.99


# --- the blind test ---------------------------------------------------------------------------

LEFT, RIGHT = ("tuned", "aligned"), ("base", "aligned")
TESTED = {
    "rows": list(range(20)),
    "examples": [
        {"messages": [{"role": "user", "content": f"hey {at}"}, {"role": "assistant", "content": "yo"}]}
        for at in range(20)
    ],
}
WRITTEN = {
    LEFT: [{"text": f"yo {at}"} for at in range(20)],
    RIGHT: [{"text": "Hello!" if at else "yo 0"} for at in range(20)],
}


def test_order_is_hidden_and_identical_replies_are_skipped():
    pairs = preference.pairs(WRITTEN, LEFT, RIGHT, TESTED)
    assert len(pairs) == 19 and pairs == preference.pairs(WRITTEN, LEFT, RIGHT, TESTED)
    first = [pair["arms"][0] for pair in pairs]
    assert 4 < first.count("tuned, aligned") < 16
    assert all(pair["texts"][pair["arms"].index("base, aligned")] == "Hello!" for pair in pairs)
    assert preference.pairs({}, LEFT, RIGHT, TESTED) == []


def choose_all(folder, pairs, choice):
    for at, pair in enumerate(pairs):
        preference.choose(folder, pair, choice(at, pair))


def always_tuned(at, pair):
    return str(pair["arms"].index("tuned, aligned") + 1)


def test_choices_are_saved_and_win_rates_have_an_interval(tmp_path):
    pairs = preference.pairs(WRITTEN, LEFT, RIGHT, TESTED)
    assert preference.result(pairs, preference.choices(tmp_path)) is None
    choose_all(tmp_path, pairs[:3], always_tuned)
    assert preference.undecided(pairs, preference.choices(tmp_path)) == pairs[3:]
    choose_all(tmp_path, pairs, lambda at, pair: "0" if at >= 12 else always_tuned(at, pair))
    found = preference.result(pairs, preference.choices(tmp_path))
    assert (found["wins"], found["losses"], found["ties"]) == (12, 0, 7)
    assert found["left"] == "tuned, aligned" and found["win_rate"] == 1 and found["verdict"] == "better"
    # Wilson's interval of 12 of 12, by its closed form z² / (n + z²)
    assert found["interval"] == pytest.approx([12 / (12 + 1.959964**2), 1])


def test_losing_every_pair_is_worse_and_half_is_inconclusive(tmp_path):
    pairs = preference.pairs(WRITTEN, LEFT, RIGHT, TESTED)
    other = lambda at, pair: str(2 - pair["arms"].index("tuned, aligned"))  # noqa: E731
    choose_all(tmp_path, pairs, other)
    assert preference.result(pairs, preference.choices(tmp_path))["verdict"] == "worse"
    choose_all(tmp_path, pairs, lambda at, pair: (other if at % 2 else always_tuned)(at, pair))
    assert preference.result(pairs, preference.choices(tmp_path))["verdict"] == "not distinguishable"


def test_choices_about_other_replies_do_not_count(tmp_path):
    pairs = preference.pairs(WRITTEN, LEFT, RIGHT, TESTED)
    choose_all(tmp_path, pairs, always_tuned)
    retrained = WRITTEN | {LEFT: [{"text": f"yoo {at}"} for at in range(20)]}
    assert preference.result(preference.pairs(retrained, LEFT, RIGHT, TESTED), preference.choices(tmp_path)) is None


def test_the_widget_takes_keys_and_buttons(tmp_path):
    pairs = preference.pairs(WRITTEN, LEFT, RIGHT, TESTED)[:3]
    shown, row, said, _ = blind_test.ask(tmp_path, pairs).children
    field, first, _, neither, _ = row.children
    assert pairs[0]["texts"][0] in shown.value and "tuned" not in shown.value
    field.value = "2"
    assert field.value == "" and said.value.startswith("1 of 3")
    field.value = "x"
    assert said.value.startswith("1 of 3")
    first.click()
    neither.click()
    assert [one["choice"] for one in preference.choices(tmp_path)] == [1, 0, None]
    assert "Every pair is decided" in shown.value and "tuned" in said.value
