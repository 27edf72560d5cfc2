"""Pairs are divided into train, valid, test and heldout."""

import random
from collections import defaultdict
from itertools import combinations

import pytest
from audit.test_audit_data import inputs_of
from conftest import make_pair, messages_table
from ftstudy import audit, sources
from ftstudy.extract import reply_pairs, splits, variants
from ftstudy.extract.variant_folder import HELDOUT, SPLITS
from hypothesis import given, settings
from hypothesis import strategies as st

from extract.test_reply_pairs import histories
from extract.test_variants import long_history, many_people

SHARES = dict(zip(SPLITS, (0.8, 0.1, 0.1)))


def history(chats, name="person {}", groups=False):
    """Reply pairs of conversations with sessions of these numbers of replies. All conversations begin on one day."""
    rows = []
    for chat, sizes in enumerate(chats):
        person, about = name.format(chat), {"conversation": name.format(chat), "is_group": groups}
        for session, size in enumerate(sizes):
            for turn in range(2 * size):
                who, minute = ("me" if turn % 2 else person), session * 3000 + turn * 5 + chat / 60
                text, number = f"{name} {session} {turn}", f"{chat}-{session}-{turn}"
                rows.append((minute, who, text, about | {"message_id": number}))
    return reply_pairs.build(messages_table(*rows), groups=groups)[0]


def by_conversation(parts):
    """Conversation -> split -> its sessions' sizes, oldest first."""
    found = defaultdict(lambda: {name: defaultdict(int) for name in parts})
    for name, pairs in parts.items():
        for pair in pairs:
            found[pair["conversation"]][name][pair["session"]] += 1
    return {chat: {name: list(one.values()) for name, one in where.items()} for chat, where in found.items()}


def replies(parts):
    """Split -> the ids of its replies, in the order of its rows."""
    return {
        name: [message.message_id for pair in pairs for message in pair["bubbles"]] for name, pairs in parts.items()
    }


def assert_no_reply_is_in_another_splits_context(parts, key=lambda message: message.message_id):
    targets = {name: {key(one) for pair in pairs for one in pair["bubbles"]} for name, pairs in parts.items()}
    contexts = {name: {key(one) for pair in pairs for one in pair["context"]} for name, pairs in parts.items()}
    for one, other in combinations(parts, 2):
        assert not targets[one] & (targets[other] | contexts[other]) and not contexts[one] & targets[other]


# --- of each conversation -------------------------------------------------------------------


def test_newest_sessions_of_each_conversation_are_test():
    parts = splits.split(history([[2] * 10, [3] * 20, [1] * 40]), heldout_share=0)
    assert by_conversation(parts) == {
        "person 0": {"train": [2] * 8, "valid": [2], "test": [2], HELDOUT: []},
        "person 1": {"train": [3] * 16, "valid": [3] * 2, "test": [3] * 2, HELDOUT: []},
        "person 2": {"train": [1] * 32, "valid": [1] * 4, "test": [1] * 4, HELDOUT: []},
    }
    for chat in range(3):
        times = [
            [p["bubbles"][0].time for p in parts[name] if p["conversation"] == f"person {chat}"] for name in SPLITS
        ]
        assert max(times[0]) < min(times[1]) and max(times[1]) < min(times[2])


def test_sessions_of_a_split_are_in_order_of_time():
    parts = splits.split(history([[2] * 20] * 3))
    for pairs in parts.values():
        began = {}
        for pair in pairs:
            began.setdefault(pair["session"], pair["bubbles"][0].time)
        assert list(began.values()) == sorted(began.values())
        assert [pair["session"] for pair in pairs] == [session for session in began for _ in range(2)]


def test_what_a_conversation_cannot_give_is_owed_by_the_next():
    one_session_each = splits.split(history([[5]] * 40), heldout_share=0)
    assert [len(one_session_each[name]) for name in SPLITS] == [160, 20, 20]
    two_sessions_each = splits.split(history([[5, 5]] * 40), heldout_share=0)
    assert [len(two_sessions_each[name]) for name in SPLITS] == [320, 40, 40]
    # The long conversation has no session border near its share, the short ones have many.
    parts = by_conversation(splits.split(history([[40, 40], *[[1] * 20] * 8]), heldout_share=0))
    assert parts["person 0"]["train"] == [40, 40]
    assert sum(len(where["test"]) for where in parts.values()) == 24


def test_a_session_too_long_for_a_share_does_not_keep_other_conversations_out_of_test():
    parts = by_conversation(splits.split(history([[90], *[[2] * 15] * 10]), heldout_share=0))
    assert all(where[name] for chat, where in parts.items() if chat != "person 0" for name in SPLITS)


def sessions(*sizes):
    """Pairs of one chat, in sessions with these numbers of pairs."""
    pairs = [make_pair(("ann", "hi"), reply="ok") for _ in range(sum(sizes))]
    starts = [session for session, size in enumerate(sizes) for _ in range(size)]
    return [pair | {"session": session} for pair, session in zip(pairs, starts)]


@pytest.mark.parametrize(
    "sizes, expected",
    [
        ([1] * 10, [8, 1, 1]),
        ([5] * 20, [80, 10, 10]),
        ([1, 1, 1], [1, 1, 1]),
        ([1, 1, 8], [1, 1, 8]),
        ([8, 1, 1], [8, 1, 1]),
        ([1, 8, 1], [1, 8, 1]),
        ([7, 1, 1, 1], [8, 1, 1]),
        ([6, 1, 2, 1], [7, 2, 1]),
        ([70, 9, 4, 9, 8], [79, 13, 8]),  # borders at 70, 79, 83 and 92: the nearest to 80 and 90
        ([60, 19, 2, 8, 3, 8], [79, 10, 11]),  # 79, 81 and 89, 92
        ([20, 60, 5, 5, 10], [80, 10, 10]),
        ([3, 2], [3, 2, 0]),
        ([4], [4, 0, 0]),
        ([], [0, 0, 0]),
    ],
)
def test_splits_end_at_the_nearest_session_border(sizes, expected):
    parts = splits.split(sessions(*sizes), heldout_share=0)
    assert [len(parts[name]) for name in SPLITS] == expected
    assert sum((parts[name] for name in SPLITS), []) == sessions(*sizes)


def test_splits_are_by_time_and_whole_sessions():
    parts = splits.split(long_history())
    assert [len(parts[name]) for name in SPLITS] == [48, 6, 6]
    last = {name: max(pair["bubbles"][0].time for pair in parts[name]) for name in SPLITS}
    assert last["train"] < last["valid"] < last["test"]
    found = [{pair["session"] for pair in parts[name]} for name in SPLITS]
    assert not found[0] & found[1] and not found[1] & found[2]


def test_shares_of_the_splits():
    parts = splits.split(sessions(*[1] * 20), valid_share=0.3, test_share=0.2, heldout_share=0)
    assert [len(parts[name]) for name in SPLITS] == [10, 6, 4]


# --- whatever the conversations -------------------------------------------------------------

CHATS = st.lists(st.lists(st.integers(1, 3) | st.integers(1, 15), min_size=1, max_size=12), min_size=1, max_size=9)
FREE = settings(deadline=None, max_examples=40)


@FREE
@given(CHATS, st.sampled_from([0, 0.05, 0.5]), st.booleans())
def test_every_reply_is_in_one_split_and_its_session_is_whole(chats, share, groups):
    pairs = history(chats, groups=groups)
    parts = splits.split(pairs, heldout_share=share)
    assert sorted(sum(replies(parts).values(), [])) == sorted(replies({"": pairs})[""])
    assert_no_reply_is_in_another_splits_context(parts)
    found = {name: {pair["session"] for pair in part} for name, part in parts.items()}
    assert sum(map(len, found.values())) == len(set().union(*found.values())) == sum(map(len, chats))


@FREE
@given(CHATS)
def test_shares_are_within_a_session_and_no_split_is_empty(chats):
    parts = splits.split(history(chats), heldout_share=0)
    total, longest = sum(map(sum, chats)), max(map(max, chats))
    for name, share in SHARES.items():
        assert abs(len(parts[name]) - share * total) <= (2 if name == "train" else 1) * longest
        assert parts[name] or sum(map(len, chats)) < 3


@FREE
@given(CHATS)
def test_conversations_of_short_sessions_are_in_all_splits_by_time(chats):
    parts = by_conversation(splits.split(history(chats), heldout_share=0))
    fits = [max(sizes) <= min(SHARES.values()) * sum(sizes) for sizes in chats]
    for number, sizes in enumerate(chats):
        where = parts[f"person {number}"]
        if any(fits):  # if not, a split could be empty, and all sessions are divided as if they were one conversation's
            assert where["train"] + where["valid"] + where["test"] == sizes
        assert all(where[name] for name in SPLITS) or not fits[number]


@FREE
@given(CHATS, st.integers(0))
def test_names_and_order_do_not_matter(chats, seed):
    pairs = history(chats)
    renamed = history(chats, "{} the person, by a name of another order")
    random.Random(seed).shuffle(renamed)
    assert replies(splits.split(renamed)) == replies(splits.split(pairs))


@settings(deadline=None)
@given(histories())
def test_no_reply_is_in_the_context_of_another_split(rows):
    assert_no_reply_is_in_another_splits_context(splits.split(reply_pairs.build(messages_table(*rows))[0]))


# --- people held out, and copies ------------------------------------------------------------


def test_heldout_people_are_in_no_other_split():
    parts = splits.split(many_people())
    people = {name: {pair["conversation"] for pair in part} for name, part in parts.items()}
    assert len(parts[HELDOUT]) == 20 and len(people[HELDOUT]) == 2
    assert not people[HELDOUT] & (people["train"] | people["valid"] | people["test"])


def test_people_above_the_heldout_share_are_not_held_out():
    assert splits.split(long_history())[HELDOUT] == []
    assert splits.split(many_people(), heldout_share=0)[HELDOUT] == []


def whatsapp(folder, chats):
    """Exports of chats: title -> (minute, sender, text) of each message, "" for the owner."""
    folder.mkdir()
    for title, messages in chats.items():
        lines = [
            f"{1 + minute // 1440:02d}/01/2024, {minute // 60 % 24:02d}:{minute % 60:02d} - {sender or 'Sam'}: {text}\n"
            for minute, sender, text in messages
        ]
        (folder / f"WhatsApp Chat with {title}.txt").write_text("".join(lines), encoding="utf-8")
    messages = sources.read_messages(folder, "whatsapp", me=["Sam"], date_order="dmy")
    return reply_pairs.build(messages)[0]


def chat(name, seed, first=0, sessions=12):
    dice = random.Random(seed)
    for session in range(first, sessions):
        for turn in range(2 * dice.randint(2, 6)):
            said = " ".join(
                dice.choices("apple river quiet engine purple seven garden letter window coffee".split(), k=9)
            )
            yield session * 2400 + turn * 4 + seed, "" if turn % 2 else name, f"{said} {seed} {session} {turn}"


def at_the_time(message):
    return message.time, message.text


def test_exports_of_a_chat_under_two_names_count_as_one_conversation(tmp_path):
    first = {name: list(chat(name, seed)) for seed, name in enumerate(["Bo", "Cy", "Di"])}
    for seed in range(3, 8):
        chats = first | {"Anna": list(chat("Anna", seed)), "Anna Berg": list(chat("Anna Berg", seed))[7:-9]}
        pairs = whatsapp(tmp_path / str(seed), chats)
        assert {pair["conversation"] for pair in pairs} == set(chats)
        for share in (0.05, 0.3):
            parts = splits.split(pairs, heldout_share=share)
            assert_no_reply_is_in_another_splits_context(parts, at_the_time)
            where = by_conversation(parts)
            assert bool(where["Anna"][HELDOUT]) == bool(where["Anna Berg"][HELDOUT])


def test_exports_of_a_chat_under_one_name_are_one_conversation(tmp_path):
    messages = list(chat("Anna", 3))
    once = whatsapp(tmp_path / "once", {"Anna": messages})
    twice = whatsapp(tmp_path / "twice", {"Anna": messages, "Anna (1)": messages[:-9]})
    assert replies(splits.split(once)) == replies(splits.split(twice))


def test_the_same_greeting_to_everyone_does_not_make_one_conversation_of_them(tmp_path):
    wishes = [(0, "{}", "happy new year!"), (0, "", "happy new year!"), (0, "", "see you soon")]
    names = ["Anna", "Bo", "Cy", "Di"]
    chats = {
        name: [(at, who.format(name), text) for at, who, text in wishes] + list(chat(name, seed, 1))
        for seed, name in enumerate(names)
    }
    where = by_conversation(splits.split(whatsapp(tmp_path / "chats", chats), heldout_share=0))
    assert all(where[name]["train"] and where[name]["test"] for name in names)


def test_audit_has_nothing_against_our_own_splits(tmp_path):
    origin = {"source": "chats", "owner": "Sam", "kind": "whatsapp"}
    pairs = whatsapp(
        tmp_path / "chats", {name: list(chat(name, at)) for at, name in enumerate(["Anna", "Bo", "Cy", "Di"])}
    )
    variants.write(pairs, "Sam", ["raw_style_variable"], tmp_path / "data", origin, [])
    found = audit.splits.check(inputs_of(tmp_path / "data" / "raw_style_variable", None))
    assert {item.severity for item in found} <= {"info"}
