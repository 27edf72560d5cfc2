"""The chat histories of the demo and the sample, compared with their sources."""

import sqlite3
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta

import chitchat_dataset
import pandas
import pytest
from ftstudy.demo import apple_messages, build, sample
from ftstudy.errors import StudyError
from ftstudy.sources import read_messages

SENDER = "549cc1d1"


@pytest.fixture(scope="module")
def demo_path(tmp_path_factory):
    return build.build_demo(tmp_path_factory.mktemp("demo") / "chat.db")


@pytest.fixture(scope="module")
def table(demo_path):
    return read_messages(demo_path)


@pytest.fixture(scope="module")
def corpus():
    """The sender's conversations with one other person, as lists of (time, is_owner, text)."""
    found = []
    for conversation in chitchat_dataset.Dataset().values():
        bubbles = [bubble for turn in conversation["messages"] for bubble in turn]
        senders = {bubble["sender"] for bubble in bubbles}
        if len(senders) == 2 and any(sender.startswith(SENDER) for sender in senders):
            found.append(
                [
                    (datetime.fromisoformat(bubble["timestamp"]), bubble["sender"].startswith(SENDER), bubble["text"])
                    for bubble in bubbles
                ]
            )
    return found


def synthetic(table):
    return table[table["message_id"].str.startswith("SYNTHETIC")]


def real(table):
    return table[~table["message_id"].str.startswith("SYNTHETIC")]


def query(path, sql):
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql).fetchall()


def dump(path):
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


# --- the demo ---


def test_bodies_are_mostly_archives(demo_path):
    sql = "SELECT sum(attributedBody IS NOT NULL), sum(text IS NOT NULL) FROM message"
    ((archives, plain),) = query(demo_path, sql)
    assert 0.05 < plain / (archives + plain) < 0.2


def test_real_messages_keep_time_and_text(table, corpus):
    written = Counter(message for conversation in corpus for message in conversation)
    rows = real(table)
    found = Counter(zip(rows["timestamp"].dt.to_pydatetime(), rows["is_owner"], rows["text"]))
    assert found == written
    assert set(rows["kind"]) <= {"text", "empty"}


def test_sessions_are_single_conversations_in_order(table, corpus):
    """A session is one conversation of the corpus or part of one, never a mix of two."""
    known = Counter()
    for conversation in corpus:
        known.update(sessions(pandas.DataFrame(conversation, columns=["timestamp", "is_owner", "text"])))
    found = Counter()
    for _, chat in real(table).groupby("conversation"):
        found.update(sessions(chat))
    assert found == known


def sessions(chat):
    number = (chat["timestamp"].diff() >= pandas.Timedelta(minutes=60)).cumsum()
    return [tuple(zip(session["is_owner"], session["text"])) for _, session in chat.groupby(number)]


def test_synthetic_rows_are_never_targets(table):
    rows = synthetic(table)
    assert not (rows["kind"].eq("text") & ~rows["is_group"]).any()
    marked = table["text"].str.contains(build.SYNTHETIC, regex=False)
    assert not (marked & ~table["message_id"].isin(rows["message_id"])).any()
    unmarked = rows[~marked.loc[rows.index]]
    assert set(unmarked["text"]) <= {"", "[photo]"}


def test_synthetic_rows_cover_kinds_and_both_sides(demo_path, table):
    rows = synthetic(table)
    assert set(rows["kind"]) == {"text", "tapback", "unsent", "system", "attachment"}
    for kind in ("tapback", "unsent"):
        assert set(rows.loc[rows["kind"] == kind, "is_owner"]) == {True, False}
    group = rows[rows["is_group"] & rows["kind"].eq("text")]
    assert group["is_owner"].sum() >= 5 and group["sender"].nunique() >= 3
    assert table.attrs["skipped"]["a second copy of a message"]["count"] == 1
    types = {number for (number,) in query(demo_path, "SELECT DISTINCT associated_message_type FROM message")}
    ((in_words,),) = query(demo_path, "SELECT count(*) FROM message WHERE service = 'SMS'")
    assert types == {0, *range(2000, 2007), *range(3000, 3007)}
    assert in_words >= 5


def test_tapbacks_target_the_other_side(table):
    by_id = table.set_index("message_id")
    tapbacks = table[table["kind"].eq("tapback") & table["reply_to"].notna()]
    targets = by_id.loc[tapbacks["reply_to"]]
    assert (targets["is_owner"].to_numpy() != tapbacks["is_owner"].to_numpy()).all()
    assert (targets["conversation"].to_numpy() == tapbacks["conversation"].to_numpy()).all()


def test_person_with_two_addresses_is_one_conversation(demo_path, table):
    sql = "SELECT id FROM handle WHERE person_centric_id IS NOT NULL ORDER BY id"
    addresses = [address for (address,) in query(demo_path, sql)]
    ((chats,),) = query(demo_path, "SELECT count(*) FROM chat WHERE style = 45")
    assert len(addresses) == 2 and addresses[0][0] == "+" and "@" in addresses[1]
    assert table.loc[~table["is_group"], "conversation"].nunique() == chats - 1
    assert set(addresses) & set(table["conversation"]) == {addresses[0]}


def test_addresses_are_fictional(table):
    partners = table.loc[~table["is_owner"], "sender"].unique()
    assert len(partners) > 100
    assert all(one.endswith("@example.org") or one[5:10] == "55501" for one in partners)


def test_builds_are_identical(demo_path, tmp_path):
    assert build.build_demo(tmp_path / "again.db").read_bytes() == demo_path.read_bytes()


def test_rebuilt_only_for_another_recipe(tmp_path):
    path = build.build_demo(tmp_path / "chat.db", sender="720840be")
    first = path.stat().st_ino, path.stat().st_mtime_ns
    assert build.build_demo(path, sender="720840be") == path
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == first
    query(path, "UPDATE _SqliteDatabaseProperties SET value = 'older'")
    build.build_demo(path, sender="720840be")
    assert path.stat().st_mtime_ns != first[1]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("module", [build, apple_messages])
def test_recipe_covers_the_code(demo_path, tmp_path, monkeypatch, module):
    class Rebuilt(Exception):
        pass

    def rebuild(_):
        raise Rebuilt

    monkeypatch.setattr(build, "_conversations", rebuild)
    assert build.build_demo(demo_path) == demo_path
    (tmp_path / "changed.py").write_text("# another recipe")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "changed.py"))
    with pytest.raises(Rebuilt):
        build.build_demo(demo_path)


@pytest.mark.parametrize("sender, count", [("nobody", 0), ("5", None)])
def test_ambiguous_or_unknown_sender(tmp_path, sender, count):
    with pytest.raises(StudyError, match="exactly one") as caught:
        build.build_demo(tmp_path / "chat.db", sender=sender)
    assert count is None or str(caught.value).startswith(f"{count} senders")
    assert list(tmp_path.iterdir()) == []


# --- the committed sample ---


def test_committed_sample_matches_its_readable_form(tmp_path):
    assert dump(build.build_sample(tmp_path / "chat.db")) == dump(build.SAMPLE)
    assert build.SAMPLE.stat().st_size < 150_000


def test_sample_has_enough_replies_and_special_cases():
    table = read_messages(build.SAMPLE)
    direct = table[~table["is_group"] & table["kind"].eq("text")]
    replies, last_days = [], timedelta(0)
    for _, chat in direct.groupby("conversation"):
        replied = chat["is_owner"] & ~chat["is_owner"].shift(fill_value=True)
        replies += list(chat.loc[replied, "timestamp"])
        last_days = max(last_days, chat["timestamp"].max() - chat["timestamp"].min())
    assert len(replies) >= 60 and last_days > timedelta(days=21)
    assert direct["conversation"].nunique() == 4
    assert Counter(table["kind"]) >= Counter({"tapback": 1, "unsent": 1, "attachment": 1})
    assert table["is_group"].sum() >= 5
    assert not set(table["sender"]) & {"jonas@example.org"}  # the second address of one person


def test_the_committed_telegram_sample_is_what_the_code_builds(tmp_path):
    assert sample.build_telegram(tmp_path / "telegram.json").read_bytes() == sample.TELEGRAM.read_bytes()
    assert sample.TELEGRAM.stat().st_size < 400_000


def test_the_telegram_sample_has_everything_written_by_hand_and_enough_conversations():
    table, by_hand = read_messages(sample.TELEGRAM), read_messages(build.SAMPLE)
    direct = table[~table["is_group"]]
    texts = by_hand.loc[by_hand["kind"].eq("text"), "text"]
    assert set(texts) <= set(table["text"]) and Counter(table["kind"])["attachment"] == 1
    assert direct["conversation"].nunique() == by_hand.loc[~by_hand["is_group"], "conversation"].nunique() + 24
    assert table["is_group"].sum() == by_hand["is_group"].sum()
    assert direct.groupby("conversation")["timestamp"].apply(lambda times: times.is_monotonic_increasing).all()
