"""Reading the JSON files of DiscordChatExporter."""

import json
from datetime import UTC, datetime

import pytest
from conftest import refused, table_or_study_error
from ftstudy.sources import COLUMNS, check, discord, read_messages
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ME, ANNA, BEN = "1001", "1002", "1003"


def author(number=ANNA, name="anna", nickname="Anna", **more):
    return {
        "id": number,
        "name": name,
        "discriminator": "0000",
        "nickname": nickname,
        "isBot": False,
        "roles": [],
    } | more


SAM = author(ME, "sam.w", "Sam", discriminator="1234")


def message(content="hello", number=1, by=None, **more):
    return {
        "id": str(number),
        "type": "Default",
        "timestamp": f"2024-05-01T14:00:{number % 60:02}.1234567+02:00",
        "timestampEdited": None,
        "isPinned": False,
        "content": content,
        "author": by or author(),
        "attachments": [],
        "embeds": [],
        "stickers": [],
        "reactions": [{"emoji": {"name": "x"}, "count": 1}],
        "mentions": [],
    } | more


def export(*messages, name="Anna", type_="DirectTextChat", number="55", guild="Direct Messages", **more):
    channel = {"id": number, "type": type_, "category": "Private", "name": name, "topic": None}
    about = {"guild": {"id": "0", "name": guild}, "channel": channel, "dateRange": {"after": None, "before": None}}
    return about | {"messages": list(messages), "messageCount": len(messages)} | more


@pytest.fixture
def read(tmp_path):
    def write_and_read(*exports, **more):
        for number, one in enumerate(exports):
            (tmp_path / f"{number}.json").write_text(json.dumps(one, indent=2), encoding="utf-8")
        return discord.read(tmp_path / "0.json" if len(exports) == 1 else tmp_path, **more)

    return write_and_read


def test_table_has_documented_columns_and_types(read):
    answer = message("hey", 2, SAM, type="Reply", reference={"type": "Default", "messageId": "1", "channelId": "55"})
    table = check(read(export(message(), answer), me=["sam.w"]))
    assert list(table.columns) == COLUMNS
    assert table["timestamp"].tolist()[0] == datetime(2024, 5, 1, 12, 0, 1, 123456, tzinfo=UTC)
    assert table["message_id"].tolist() == ["1", "2"] and table["reply_to"].tolist() == [None, "1"]
    assert table["sender"].tolist() == ["Anna", "me"] and table["is_owner"].tolist() == [False, True]
    assert set(table["conversation"]) == {"Anna"} and not table["is_group"].any()
    assert set(table["kind"]) == {"text"} and table.attrs == {"skipped": {}, "notes": []}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=20))
def test_any_text_round_trips_exactly(read, texts):
    table = read(export(*(message(text, number) for number, text in enumerate(texts))))
    assert [text.encode() for text in table["text"]] == [text.encode() for text in texts]


@pytest.mark.parametrize("me", ["sam.w", "SAM.W", "Sam", "sam", "sam.w#1234", ME])
def test_owner_by_name_nickname_discriminator_or_id(read, me):
    assert read(export(message(), message(number=2, by=SAM)), me=[me])["is_owner"].tolist() == [False, True]


def test_account_name_wins_over_nickname(read):
    other = author(BEN, "ben", "sam.w")
    table = read(export(message(by=other), message(number=2, by=SAM), type_="GuildTextChat"), me=["sam.w"])
    assert table["is_owner"].tolist() == [False, True] and table.attrs["notes"] == []


def test_nickname_of_two_accounts_is_noted(read):
    table = read(export(message(by=author(BEN, "ben", "Sam")), message(number=2, by=SAM)), me=["Sam"])
    assert table["is_owner"].all() and "2 accounts (1001, 1003)" in table.attrs["notes"][0]


def test_missing_owner_error_lists_senders(read, tmp_path):
    assert not read(export(message(), message(number=2, by=SAM)))["is_owner"].any()
    refused(lambda: read_messages(tmp_path / "0.json", me=["Zoe"]), "no message by Zoe", "Anna (1)", "Sam (1)")


def test_contact_called_me_is_not_owner(read):
    table = read(export(message(by=author(nickname="me")), message(number=2, by=SAM)), me=["Sam"])
    assert table["sender"].tolist() == ["me (1002)", "me"]


def test_two_people_with_the_same_nickname_stay_apart(read):
    table = read(export(message(), message(number=2, by=author(BEN)), type_="GuildTextChat"))
    assert table["sender"].tolist() == ["Anna (1002)", "Anna (1003)"]


def test_different_nicknames_are_one_sender(read):
    one = export(message(), name="general", type_="GuildTextChat", guild="Chess")
    two = export(message(number=2, by=author(nickname="Annie")), number="56")
    assert read(one, two)["sender"].nunique() == 1


@pytest.mark.parametrize("type_", ["DirectGroupTextChat", "GuildTextChat", "GuildPublicThread", None])
def test_server_channels_are_groups_named_with_server(read, type_):
    table = read(export(message(), name="general", type_=type_, guild="Chess"))
    assert table[["conversation", "is_group"]].values.tolist() == [["group:Chess/general", True]]


def test_channels_with_same_name_get_their_ids(read):
    table = read(
        export(message()), export(message(number=2), number="56"), export(message(number=3), number="57", name="B")
    )
    assert table["conversation"].tolist() == ["Anna (55)", "Anna (56)", "B"]


def test_parts_and_overlapping_exports_are_merged(read):
    rows = [message(str(number), number) for number in range(1, 6)]
    table = read(export(*rows[2:]), export(*rows[:3]))
    assert table["text"].tolist() == ["1", "2", "3", "4", "5"] and set(table["conversation"]) == {"Anna"}
    assert table.attrs["skipped"]["a second copy of a message"]["count"] == 1


FORWARD = {"content": "news", "attachments": [{"fileName": "a.png"}], "embeds": [], "stickers": []}


@pytest.mark.parametrize(
    "more, kind, text",
    [
        ({"type": "RecipientAdd", "content": "Added Ben."}, "system", "Added Ben."),
        ({"type": "Call", "content": "Started a call."}, "system", "Started a call."),
        ({"type": "20"}, "system", "hello"),
        ({"type": None}, "system", "hello"),
        ({"author": author(isBot=True)}, "app", "hello"),
        ({"interaction": {"id": "1", "name": "play"}}, "app", "hello"),
        ({"content": "", "forwardedMessage": FORWARD, "reference": {"type": "Forward"}}, "forward", "news [photo]"),
        ({"content": "", "reference": {"type": "Forward", "messageId": "9"}}, "forward", ""),
        ({"attachments": [{"fileName": "a.JPG"}], "content": ""}, "attachment", "[photo]"),
        ({"attachments": [{"fileName": "a.pdf"}, {"fileName": "b.png"}]}, "attachment", "hello [attachment] [photo]"),
        ({"stickers": [{"name": "wave"}], "content": ""}, "attachment", "[attachment]"),
        ({"embeds": [{"title": "a card"}], "content": ""}, "app", ""),
        ({"embeds": [{"title": "a card"}], "content": "see example.org"}, "text", "see example.org"),
        ({"content": ""}, "empty", ""),
        ({"content": None}, "empty", ""),
        ({"timestamp": None}, "undated", "hello"),
        ({"timestamp": "1970-01-01T00:00:00+00:00"}, "undated", "hello"),
        ({"content": "half \ud83d"}, "unreadable", "half ?"),
    ],
)
def test_kinds_of_messages(read, more, kind, text):
    table = read(export(message() | more))
    assert table[["kind", "text", "reply_to"]].values.tolist() == [[kind, text, None]]


def test_malformed_rows_are_counted(read):
    bad = [None, 5, [], {}, message() | {"author": None}, message() | {"id": "x"}, message() | {"content": []}]
    (entry,) = read(export(message(number=9), *bad)).attrs["skipped"].values()
    assert entry["count"] == len(bad)


def test_read_messages_recognizes_file_and_folder(read, tmp_path):
    table = read(export(message(), message(number=2, by=SAM)), me=["Sam"])
    assert read_messages(tmp_path, me=["Sam"]).equals(table)
    assert read_messages(tmp_path / "0.json", me=["Sam"]).equals(table)


@pytest.mark.parametrize(
    "wrong",
    [[], 5, None, {}, export() | {"messages": {}}, export() | {"guild": 1}, export() | {"channel": []}]
    + [export() | {"channel": {}}, export(), export(None)],
)
def test_error_for_other_json_says_how_to_export(read, wrong):
    refused(lambda: read(wrong), "0.json", "DiscordChatExporter", "JSON")


def test_truncated_file_and_empty_folder(read, tmp_path):
    refused(lambda: discord.read(tmp_path), "No .json in the folder", "DiscordChatExporter")
    (tmp_path / "cut.json").write_text(json.dumps(export(message()))[:-20])
    refused(lambda: read(export(message()), export(message())), "cut.json", "not a complete JSON")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["me", "1", "Default", "a\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["id", "name", "nickname", "fileName", "content", "messageId", "type"]), inner
        )
    ),
    max_leaves=5,
)
KEYS = [*message(), "reference", "forwardedMessage", "interaction"]
ROWS = st.dictionaries(st.sampled_from(KEYS), VALUES).map(lambda junk: message() | junk)
PEOPLE = st.fixed_dictionaries({"id": st.sampled_from(["1", "2"]), "name": VALUES, "nickname": VALUES})
EXPORTS = st.builds(
    export,
    st.just(message()),
    VALUES | ROWS,
    VALUES | PEOPLE.map(lambda by: message(number=2, by=by)),
    name=VALUES,
    type_=VALUES | st.just("DirectTextChat"),
    number=st.sampled_from(["1", "2"]) | VALUES,
    guild=VALUES,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EXPORTS, EXPORTS)
def test_any_json_gives_a_table_or_a_study_error(read, one, two):
    table = table_or_study_error(lambda: read(one, two, me=["anna", "a?"]))
    if table is not None:
        table["sender"].map(str.encode), table["conversation"].map(str.encode)
