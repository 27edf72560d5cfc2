"""Reading Telegram Desktop's result.json."""

import json
from datetime import UTC, datetime

import pytest
from conftest import refused, table_or_study_error
from ftstudy.sources import COLUMNS, check, read_messages, telegram
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ME, ANNA, BEN = 1001, 4711, 4712
START = 1_714_564_800  # 2024-05-01 12:00 UTC


def message(text="hello", sender=ANNA, name="Anna", number=1, **more):
    return {
        "id": number,
        "type": "message",
        "date": "2024-05-01T14:00:00",
        "date_unixtime": str(START + number),
        "from": name,
        "from_id": f"user{sender}",
        "text": text,
        "text_entities": [{"type": "plain", "text": text}],
    } | more


def mine(text="hey", number=2, **more):
    return message(text, ME, "Sam", number, **more)


def chat(*messages, name="Anna", type_="personal_chat", number=ANNA):
    return {"name": name, "type": type_, "id": number, "messages": list(messages)}


def account(*chats, **more):
    personal = {"personal_information": {"user_id": ME, "first_name": "Sam"}}
    return {"about": "…"} | personal | {"chats": {"about": "…", "list": list(chats)}} | more


@pytest.fixture
def read(tmp_path):
    def write_and_read(export, **more):
        file = tmp_path / "result.json"
        file.write_text(json.dumps(export, indent=1), encoding="utf-8")
        return telegram.read(file, **more)

    return write_and_read


def rows(table, *columns):
    return table[list(columns)].values.tolist()


def test_table_has_documented_columns_and_types(read):
    table = check(read(chat(message(), mine(reply_to_message_id=1))))
    assert list(table.columns) == COLUMNS
    assert table["timestamp"].tolist() == [datetime(2024, 5, 1, 12, 0, second, tzinfo=UTC) for second in (1, 2)]
    assert table["message_id"].tolist() == ["4711/1", "4711/2"]
    assert table["reply_to"].tolist() == [None, "4711/1"]
    assert rows(table, "conversation", "sender", "is_owner") == [["Anna", "Anna", False], ["Anna", "me", True]]


SOMETHING = st.text(min_size=1).filter(lambda text: not text.isspace())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        SOMETHING | st.lists(SOMETHING | st.fixed_dictionaries({"type": SOMETHING, "text": SOMETHING})), min_size=1
    )
)
def test_any_text_round_trips_exactly(read, texts):
    table = read(chat(*(message(text, number=number) for number, text in enumerate(texts))))
    whole = ["".join(part if isinstance(part, str) else part["text"] for part in text) for text in texts]
    assert [text.encode() for text in table["text"]] == [text.encode() for text in whole]


def test_text_entities_replace_missing_text(read):
    entities = [{"type": "plain", "text": "see "}, {"type": "link", "text": "example.org"}]
    row = message(text_entities=entities)
    assert read(chat(row))["text"][0] == "hello"
    del row["text"]
    assert read(chat(row))["text"][0] == "see example.org"


def test_whole_account_with_left_chats(read):
    group = chat(message(name="Ben", sender=BEN), mine(), name="Team", type_="private_supergroup", number=77)
    table = read(account(chat(message(), mine()), left_chats={"about": "…", "list": [group]}))
    assert sorted(set(table["conversation"])) == ["Anna", "group:Team"]
    assert table["is_group"].tolist() == [False, True, False, True]
    assert table.groupby("conversation")["is_owner"].sum().tolist() == [1, 1]


def test_owner_in_older_export_without_number_prefix(read):
    old = [message() | {"from_id": ANNA}, mine() | {"from_id": ME}]
    assert read(account(chat(*old)))["sender"].tolist() == ["Anna", "me"]


def test_owner_of_personal_chat_is_not_the_partner(read):
    assert read(chat(message(), mine()), me=["Anna"])["sender"].tolist() == ["Anna", "me"]


def test_owner_known_from_personal_chats_is_found_in_groups(read):
    group = chat(message(name="Ben", sender=BEN), mine(), name="Team", type_="private_group", number=77)
    export = account(chat(message(), mine()), group) | {"personal_information": None}
    assert read(export).groupby("conversation")["is_owner"].sum().to_dict() == {"Anna": 1, "group:Team": 1}


@pytest.mark.parametrize("me, owner", [("Sam", "Sam"), ("sam", "sam"), ("SAM", "Sam,sam"), ("Ben", "")])
def test_owner_of_group_by_exact_name_then_any_case(read, me, owner):
    senders = ["Sam", "sam", "Anna"]
    group = [message(name, BEN + number, name, number) for number, name in enumerate(senders)]
    table = read(chat(*group, name="Team", type_="private_group", number=77), me=[me])
    assert ",".join(table["text"][table["is_owner"]]) == owner


def test_owner_by_name_if_partner_number_differs_from_chat(read):
    table = read(chat(message(), mine(), number=99), me=["Sam"])
    assert table["sender"].tolist() == ["Anna", "me"]
    assert not read(chat(message(), mine(), number=99))["is_owner"].any()


def test_contact_called_me_is_not_owner(read):
    assert read(chat(message(name="me"), mine(), name="me"))["sender"].tolist() == ["me (not the owner)", "me"]


def test_contacts_with_same_or_no_name_stay_apart(read):
    other = chat(message(sender=BEN), name="Anna", number=BEN)
    gone = chat(message(name=None, sender=5), name=None, number=5)
    table = read(account(chat(message()), other, gone))
    assert sorted(table["conversation"]) == ["Anna (4711)", "Anna (4712)", "Deleted account (5)"]
    assert sorted(table["sender"]) == ["Anna", "Anna", "Deleted account 5"]


def test_contact_called_like_a_group_stays_apart(read):
    table = read(
        account(chat(message(), name="group:Team"), chat(message(), name="Team", type_="private_group", number=7))
    )
    assert set(table["conversation"]) == {"group:Team (4711)", "group:Team (7)"}
    table = read(account(chat(message(), name="group:Team")))
    assert set(table["conversation"]) == {"group:Team (4711)"}


@pytest.mark.parametrize(
    "more, kind, text",
    [
        ({"type": "service", "action": "phone_call", "text": ""}, "system", ""),
        ({"photo": "photos/1.jpg", "text": ""}, "attachment", "[photo]"),
        ({"photo": "(File not included.)", "text": "look\nhere"}, "attachment", "[photo] look\nhere"),
        ({"file": "a.heic", "mime_type": "image/heic", "text": ""}, "attachment", "[photo]"),
        ({"file": "a.pdf", "mime_type": "application/pdf", "text": "x"}, "attachment", "[attachment] x"),
        ({"file": "a.webp", "media_type": "sticker", "sticker_emoji": "x", "text": ""}, "attachment", "[attachment]"),
        ({"file": "a.ogg", "media_type": "voice_message", "text": ""}, "attachment", "[attachment]"),
        ({"file": "a.mp4", "media_type": "video_message", "text": ""}, "attachment", "[attachment]"),
        ({"forwarded_from": "Ben"}, "forward", "hello"),
        ({"forwarded_from": None}, "forward", "hello"),
        ({"poll": {"question": "when"}, "text": ""}, "app", ""),
        ({"location_information": None, "text": ""}, "app", ""),
        ({"contact_information": {"phone_number": "555-0100"}, "text": ""}, "app", ""),
        ({"game_title": "Chess", "text": ""}, "app", ""),
        ({"invoice_information": {}, "text": ""}, "app", ""),
        ({"via_bot": "@gif", "file": "a.mp4", "text": ""}, "app", "[attachment]"),
        ({"text": ""}, "empty", ""),
        ({"text": " \n"}, "empty", " \n"),
        ({"date_unixtime": "0"}, "undated", "hello"),
        ({"date_unixtime": "soon", "date": "soon"}, "undated", "hello"),
        ({"text": "half \ud83d"}, "unreadable", "half ?"),
    ],
)
def test_kinds_of_messages(read, more, kind, text):
    assert rows(read(chat(message() | more)), "kind", "text") == [[kind, text]]


def test_unsupported_message_keeps_its_row(read):
    table = read(chat(message(), {"id": 9, "type": "unsupported"}))
    assert sorted(table["kind"]) == ["text", "undated"]


def test_bot_chat_is_all_app(read):
    assert set(read(chat(message(), mine(), type_="bot_chat"))["kind"]) == {"app"}


@pytest.mark.parametrize("type_", ["saved_messages", "public_channel", "private_channel", "replies"])
def test_channels_and_notes_to_self_are_counted(read, type_):
    table = read(account(chat(message(), mine()), chat(message("news"), mine("x"), type_=type_, number=3)))
    (entry,) = table.attrs["skipped"].values()
    assert len(table) == 2 and entry == {"count": 2, "examples": ["news", "x"]}


def test_times_without_unixtime_are_utc_and_noted(read):
    row = message()
    del row["date_unixtime"]
    table = read(chat(row, mine()))
    assert table["timestamp"].max() == datetime(2024, 5, 1, 14, tzinfo=UTC)
    assert "1 messages have a local time" in table.attrs["notes"][0]
    assert read(chat(message())).attrs["notes"] == []


def test_reply_to_another_chat(read):
    table = read(chat(message(reply_to_message_id=8, reply_to_peer_id="channel55")))
    assert table["reply_to"].tolist() == ["55/8"]


def test_telegram_control_characters(tmp_path):
    text = json.dumps(chat(message("tab_\\xAB and _")))
    file = tmp_path / "result.json"
    file.write_text(text.replace(" and _", "\\x1F\\n\\\\x1F"), encoding="utf-8")
    assert telegram.read(file)["text"][0] == "tab_\\xAB\x1f\n\\x1F"


def test_folder_with_result_json(read, tmp_path):
    table = read(chat(message(), mine()))
    assert telegram.read(tmp_path).equals(table) and read_messages(tmp_path).equals(table)


def test_reading_is_repeatable_and_repeated_chats_are_read_once(read):
    export = account(chat(message(), mine()), chat(message(), mine()))
    table = read(export)
    assert table.equals(read(export)) and table.attrs["skipped"]["a second copy of a message"]["count"] == 2


def test_malformed_rows_and_chats_are_counted(read):
    bad = [None, 5, [], {"id": None}, message() | {"id": "x"}, message(7), message([7]), message([{"text": None}])]
    table = read(account(chat(message(), *bad), "no chat", {"messages": 5}, {"id": 3, "messages": {}}))
    assert [entry["count"] for entry in table.attrs["skipped"].values()] == [3, len(bad)]


@pytest.mark.parametrize(
    "export",
    [[], 5, "x", None, {}, {"messages": []}, {"messages": {}}, {"id": 1, "messages": 5}]
    + [
        {"chats": []},
        {"chats": {"list": {}}},
        {"chats": {"list": []}},
        chat(),
        chat(message(), type_="public_channel"),
    ],
)
def test_error_for_other_json_says_how_to_export(read, export):
    refused(lambda: read(export), "result.json", "Telegram", "machine-readable JSON")


def test_truncated_file_and_folder_without_json(tmp_path):
    refused(lambda: telegram.read(tmp_path), "result.json", "machine-readable JSON")
    file = tmp_path / "result.json"
    file.write_text(json.dumps(chat(message(), mine()))[:-30])
    refused(lambda: telegram.read(file), "not a complete JSON", "Telegram")
    file.write_text(json.dumps(chat(message("\\x1")))[:-30].replace("\\\\", "\\"))
    refused(lambda: telegram.read(file), "not a complete JSON", "Telegram")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["me", "user1", "0", "Anna"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "list", "id"]), inner),
    max_leaves=5,
)
KEYS = [*message(), "actor", "forwarded_from", "file", "reply_to_message_id"]
JUNK = st.lists(VALUES | st.dictionaries(st.sampled_from(KEYS), VALUES).map(lambda row: message() | row), max_size=6)
CHATS = st.fixed_dictionaries(
    {
        "name": VALUES,
        "type": VALUES | st.sampled_from(["personal_chat", "private_group"]),
        "id": VALUES,
        "messages": JUNK,
    }
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.builds(account, CHATS, CHATS, VALUES, personal_information=VALUES) | CHATS)
def test_any_json_gives_a_table_or_a_study_error(read, export):
    table_or_study_error(lambda: read(export, me=["Anna"]))
