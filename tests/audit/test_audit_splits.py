"""What splits share: found in divided sessions and copies, and not in the small talk of clean histories."""

import json
import math
import random
from array import array
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import example
from ftstudy.audit import splits
from ftstudy.audit.splits import leaks, overlap

from audit.test_audit_data import SPLITS, inputs_of

STOCK = ["ok", "yes please", "on my way", "see you soon", "lol", "thanks!!", "no worries", "haha", "good night x"]
WORDS = """apple river quiet engine purple seven garden letter window coffee marble ticket yellow mountain paper
little monday rain bicycle hammer brother kitchen planet singer winter button castle doctor forest guitar harbour island
jacket ladder mirror number orange pencil rabbit silver tunnel violin wallet zebra bottle candle dragon eleven flower
went took found lost called asked brought left forgot bought the a my your our his her that this some and but so then
maybe really just still never always with without about before after near from into""".split()


def history(sessions, seed=0, stock=0.4):
    """Sessions of random messages, many of them stock: lists of (who, text, id), the owner's last."""
    dice = random.Random(seed)

    def text():
        if dice.random() < stock:
            return dice.choice(STOCK)
        return " ".join(dice.choices(WORDS, k=dice.randint(3, 12)))

    made = []
    for session in range(sessions):
        who = [name for _ in range(dice.randint(1, 4)) for name in ["Contact"] * dice.randint(1, 2) + ["Sam"]]
        made.append([(name, text(), f"m{seed}-{session}-{at}") for at, name in enumerate(who)])
    return made


def rows_of(session, conversation="ann"):
    """(row, what meta.jsonl says of it) for each of the owner's messages, with eight messages of context."""
    for at, (name, text, _) in enumerate(session):
        if name == "Sam":
            context = session[max(0, at - 8) : at]
            user = "\n".join(f"{who}: {said}" for who, said, _ in context)
            meta = {"conversation": conversation, "session": session[0][2]}
            ids = {"context_ids": [one for _, _, one in context], "reply_ids": [session[at][2]]}
            yield example(user=user, reply=text), meta | ids


@pytest.fixture
def found(tmp_path, write_split):
    """The findings on splits given as lists of (row, meta): {check: (severity, number in the title)}."""

    def check(parts, meta=True):
        items = []
        for name, pairs in parts.items():
            write_split(tmp_path, name, [row for row, _ in pairs])
            items += [{"split": name, "row": at} | meta_row for at, (_, meta_row) in enumerate(pairs)]
        (tmp_path / "meta.jsonl").unlink(missing_ok=True)
        if meta:
            (tmp_path / "meta.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
        report = splits.check(inputs_of(tmp_path, None))
        assert all(item.check in {check.id for check in splits.CHECKS} for item in report)
        numbers = [int(item.title.split()[0].replace(",", "")) for item in report]
        # The first of a check is the worst: conversations may be shared in two ways.
        return {item.check: (item.severity, number) for item, number in reversed(list(zip(report, numbers)))}

    return check


def by_time(seed=0, size=300, stock=0.4):
    """Train, valid and test of whole sessions in their order."""
    pairs = [list(rows_of(session)) for session in history(size, seed, stock)]
    cut = [0, size * 8 // 10, size * 9 // 10, size]
    return {name: sum(pairs[a:b], []) for name, a, b in zip(SPLITS, cut, cut[1:])}


def by_lot(seed=0, size=300):
    """The same rows, divided at random."""
    pairs = [pair for part in by_time(seed, size).values() for pair in part]
    random.Random(seed).shuffle(pairs)
    cut = len(pairs) // 10
    return {"train": pairs[2 * cut :], "valid": pairs[:cut], "test": pairs[cut : 2 * cut]}


@pytest.mark.parametrize("seed, size, stock", [(0, 300, 0.4), (1, 300, 0.8), (2, 20, 0.4), (3, 1500, 0.9)])
def test_history_split_by_time_and_sessions_is_clean(found, seed, size, stock):
    parts = by_time(seed, size, stock)
    assert found(parts, meta=False) == {}
    assert found(parts) == {"splits.same_conversation": ("info", 1)}


def test_random_split_is_found_by_ids_and_by_texts(found):
    parts = by_lot()
    assert {"splits.same_session", "splits.reply_in_context", "splits.near_duplicate"} <= set(found(parts))
    assert {"splits.reply_in_context", "splits.near_duplicate"} <= set(found(parts, meta=False))


@pytest.mark.parametrize("seed, size", [(1, 30), (2, 2000)])
def test_random_split_is_found_in_small_and_large_histories(found, seed, size):
    parts = by_lot(seed, size)
    report = found(parts, meta=False)
    assert report["splits.near_duplicate"][1] >= 0.1 * len(parts["valid"])


def longest(pairs, number):
    return sorted(pairs, key=lambda pair: -len(pair[0]["messages"][1]["content"]))[:number]


@pytest.mark.parametrize("source, target", [("train", "valid"), ("valid", "test"), ("train", "heldout")])
def test_same_row_in_two_splits(found, source, target):
    parts = by_time()
    parts[target] = parts.get(target, list(rows_of(history(1, 9)[0]))) + longest(parts[source], 1)
    assert found(parts, meta=False) == {"splits.exact_duplicate": ("warning", 1)}


def test_small_talk_is_exempt_unless_it_is_most_of_a_split(found):
    talk = [(example(user=f"Contact: {said}", reply="lol"), {}) for said in STOCK]
    parts = by_time()
    parts["train"] += talk
    assert found(parts | {"valid": parts["valid"] + talk[:3]}, meta=False) == {}
    assert found({"train": parts["train"], "valid": talk}, meta=False) == {"splits.exact_duplicate": ("warning", 9)}
    shouted = [(example(user=f"Contact: {said.upper()}", reply="LOL!"), {}) for said in STOCK]
    assert found({"train": parts["train"], "valid": shouted}, meta=False) == {"splits.near_duplicate": ("warning", 9)}


def test_one_split_shares_nothing(found):
    assert found({"train": by_time()["train"]}) == {}


def test_lines_that_train_gives_away_are_counted_from_1(tmp_path, write_split):
    parts = by_time()
    (given,) = longest(parts["train"], 1)
    line = parts["train"].index(given) + 1
    parts["valid"].insert(2, given)
    for name, pairs in parts.items():
        write_split(tmp_path, name, [row for row, _ in pairs])
    inputs = inputs_of(tmp_path, None)
    assert splits.leaking(inputs, "valid") == ({3}, {line}) and splits.leaking(inputs, "test") == (set(), set())
    (tmp_path / "train.jsonl").unlink()
    assert splits.leaking(inputs_of(tmp_path, None), "valid") == (set(), set())


@pytest.mark.parametrize(
    "number, session, people", [(1, "1 session is", "1 conversation is"), (2, "2 sessions are", "2 conversations are")]
)
def test_divided_sessions_and_conversations_are_counted_and_named(tmp_path, write_split, number, session, people):
    names = ["train", "valid"]
    for name in names:
        write_split(tmp_path, name, [example(user=f"Contact: {name} {at}", reply=name) for at in range(number)])
    ids = {"context_ids": [], "reply_ids": []}
    meta = [
        {"split": name, "row": at, "conversation": f"ann {at}", "session": at} | ids
        for name in names
        for at in range(number)
    ]
    (tmp_path / "meta.jsonl").write_text("".join(json.dumps(item) + "\n" for item in meta))
    found = splits.check(inputs_of(tmp_path, None))
    assert [item.title for item in found] == [
        f"{session} divided between splits",
        f"{people} in more than one split",
    ]
    each = "train.jsonl 1 row, valid.jsonl 1 row"
    assert [item.evidence[0] for item in found] == [f'"0": {each}', f'"ann 0": {each}']


CHANGES = {
    "capitals": str.upper,
    "punctuation": lambda text: text.replace(" and", ", and") + "!!",
    "blanks": lambda text: "  " + text.replace(" ", "  "),
    "a word more": lambda text: text + " now",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_slightly_changed_row_in_another_split(found, change):
    parts = by_time()
    (row, meta_row) = longest(parts["train"], 1)[0]
    system, user, reply = row["messages"]
    parts["test"].append((example(system["content"], change(user["content"]), change(reply["content"])), meta_row))
    assert found(parts, meta=False) == {"splits.near_duplicate": ("warning", 1)}


def test_session_divided_between_splits(found):
    parts = by_time(stock=0.0)
    sessions = [meta_row["session"] for _, meta_row in parts["valid"]]
    divided = max(sessions, key=sessions.count)
    at = sessions.index(divided) + 1
    parts["valid"], parts["test"] = parts["valid"][:at], parts["valid"][at:] + parts["test"]
    report = found(parts)
    assert report["splits.same_session"] == ("warning", 1)
    assert report["splits.reply_in_context"][0] == "warning"


def test_replies_of_valid_in_contexts_of_train_by_text_only(found):
    parts = by_time(stock=0.0)
    answers = sorted((row["messages"][2]["content"] for row, _ in parts["valid"]), key=len)[-10:]
    for (row, _), answer in zip(parts["train"], answers):
        row["messages"][1]["content"] = f"Sam: {answer}\n" + row["messages"][1]["content"]
    report = found(parts, meta=False)
    assert report == {"splits.reply_in_context": ("warning", 10)}


def test_replies_of_several_lines_in_contexts(found):
    parts = by_time(stock=0.0)
    parts["test"].sort(key=lambda pair: len(pair[0]["messages"][2]["content"]))
    for (row, _), (later, _) in zip(parts["train"], parts["test"][-10:]):
        later["messages"][2]["content"] += "\nok"
        row["messages"][1]["content"] = f"Sam: {later['messages'][2]['content']}\n" + row["messages"][1]["content"]
    assert found(parts, meta=False) == {"splits.reply_in_context": ("warning", 10)}


def test_earlier_replies_of_a_row_count_as_context(found):
    parts = by_time(stock=0.0)
    answers = sorted((row["messages"][2]["content"] for row, _ in parts["test"]), key=len)[-10:]
    for (row, _), answer in zip(parts["train"], answers):
        row["messages"][1:1] = [{"role": "user", "content": "and?"}, {"role": "assistant", "content": answer}]
    assert found(parts, meta=False) == {"splits.reply_in_context": ("warning", 10)}


def test_heldout_people_in_other_splits_are_found(found):
    parts = by_time()
    stranger = list(rows_of(history(1, 9)[0], "bob"))
    assert found(parts | {"heldout": stranger}) == {"splits.same_conversation": ("info", 1)}
    friend = list(rows_of(history(1, 9)[0], "ann"))
    assert found(parts | {"heldout": friend})["splits.same_conversation"][0] == "warning"


def test_incomplete_meta_is_ignored(found, tmp_path):
    parts = by_lot()
    found(parts)
    lines = (tmp_path / "meta.jsonl").read_text().splitlines()
    (tmp_path / "meta.jsonl").write_text("\n".join(lines[1::2]))
    report = {item.check for item in splits.check(inputs_of(tmp_path, None))}
    assert report == {"splits.near_duplicate", "splits.reply_in_context"}


def test_message_ids_are_unique_only_within_a_conversation(found):
    parts = by_time()
    for conversation, pairs in parts.items():
        for at, (_, meta_row) in enumerate(pairs):
            meta_row |= {"conversation": conversation, "session": str(at), "context_ids": [1, 2], "reply_ids": [1]}
    assert found(parts) == {}


def rows_in(sizes):
    return [leaks.Row(split, line, (), "", None) for split, size in sizes.items() for line in range(size)]


@pytest.mark.parametrize("bits", [-math.inf, 0, overlap.SURE - 1])
@pytest.mark.parametrize(
    "kind, size, enough, enough_if_sure",
    [("exact", 50, 2, 1), ("exact", 1000, 11, 1), ("near", 50, 3, 1), ("near", 1000, 21, 1)]
    + [("reply", 50, 4, 3), ("reply", 1000, 51, 11)],
)
def test_number_of_common_rows_that_is_a_leak(kind, size, enough, enough_if_sure, bits):
    sizes = {"train": 1, "valid": size}
    for number, certainty, is_leak in (
        *((enough - 1, bits, False), (enough, bits, True)),
        *((enough_if_sure - 1, overlap.SURE, False), (enough_if_sure, overlap.SURE, True)),
    ):
        pairs = {at: (0, certainty) for at in range(1, number + 1)}
        assert leaks._enough(rows_in(sizes), pairs, sizes, kind) == ({at: 0 for at in pairs} if is_leak else {})


@pytest.mark.parametrize(
    "size, common, bits, is_leak",
    [(4, 2, -1, False), (4, 3, -1, True), (20, 5, -1, False), (20, 6, -1, True), (20, 1, 0, True), (20, 1, -1, False)],
)
def test_same_rows_beyond_chance_or_most_of_a_split(size, common, bits, is_leak):
    sizes = {"train": size, "valid": size}
    rows, keys = rows_in(sizes), [f"train {at}" for at in range(size)] + [f"valid {at}" for at in range(size)]
    keys[size : size + common] = keys[:common]
    words = SimpleNamespace(bits_of=lambda row: overlap.chance(size, size) + bits)
    found = {at: (before, round(beyond)) for at, (before, beyond) in leaks._same(rows, keys, words, sizes).items()}
    assert found == ({size + at: (at, bits) for at in range(common)} if is_leak else {})


def test_bits_of_a_reply_are_those_of_its_longest_line():
    said = "one two three four five six\nok"
    rows = [leaks.Row("train", 1, (f"Sam: {said}",), "x", None), leaks.Row("valid", 1, ("hi there",), said, None)]
    spans = {(1, 2, 8): 100.0}  # "one" to "six", the third to the eighth word of the second row
    words = SimpleNamespace(start=[0, 9, 18], bits_of=lambda *span: spans.get(span, 0.0))
    found = leaks._by_text(rows, overlap.line_reader(), words, {"train": 1, "valid": 1})
    assert found == {1: (0, 100 - overlap.chance(1, 1))}


def test_rows_without_a_key_are_never_the_same():
    rows, words = rows_in({"train": 3, "valid": 3}), SimpleNamespace(bits_of=lambda row: 1000)
    assert leaks._same(rows, [None] * 6, words, {"train": 3, "valid": 3}) == {}


# --- bits -------------------------------------------------------------------------------------


def read(*rows):
    return overlap.read([array("i", row) for row in rows], np.arange(len(rows)))


def test_bits_of_words_come_from_the_three_words_that_end_in_them():
    """Of six places each run of three words is in one, so a word has a third of log2(6) bits; twice, log2(12/2)."""
    row = [1, 2, 3, 1, 2, 4]
    for words in (read(row), read(row, row)):
        assert words.bits_of(0) == pytest.approx(2 * math.log2(6))
        assert words.bits_of(0, 1, 3) == pytest.approx(2 / 3 * math.log2(6))


def test_phrase_said_over_and_over_is_shared_once():
    """Its nine runs of five words have 8.6 of a row's 17.6 bits, fewer than chance needs; all 20 places would have
    all of them."""
    words = read([1, 2, 3, 4, 5] * 4, [1, 2, 3, 4, 5] * 4)
    assert words.bits_of(0) == pytest.approx(17.64, abs=0.01)
    assert overlap.alike(words, np.array([0, 1])) == {}


def test_rows_of_the_same_words_are_alike():
    """Of ten words in 20 places each has a third of log2(20 / 2) bits; 12 are what chance may give."""
    row = list(range(1, 11))
    found = overlap.alike(read(row, row), np.array([0, 1]))
    assert found == {}  # 11.07 bits
    row = list(range(1, 13))
    assert overlap.alike(read(row, row), np.array([0, 1])) == {1: (0, pytest.approx(4 * math.log2(12) - 12))}


@pytest.mark.parametrize("shared, is_alike", [(0, False), (62, False), (65, True), (100, True)])
def test_rows_that_share_three_fifths_of_their_bits_are_alike(shared, is_alike):
    """Two rows of 100 words that start with the same ones: a shared word has log2(200 / 2) / 3 = 2.21 bits, another
    log2(200) / 3 = 2.55, so 62 shared words have 58.6% of a row's bits and 65 have 61.7%."""
    words = read(list(range(1, 101)), [*range(1, shared + 1), *range(101, 201 - shared)])
    assert set(overlap.alike(words, np.array([0, 1]))) == ({1} if is_alike else set())


def test_rows_without_words_are_not_alike():
    assert overlap.alike(read([], []), np.array([0, 1])) == {}
