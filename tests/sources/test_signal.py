"""Reading the folders that signal-export writes."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from conftest import refused, table_or_study_error
from ftstudy.sources import COLUMNS, check, read_messages, signal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NOON = datetime(2024, 5, 1, 12)


def message(body="hello", sender="Anna", minute=0, **more):
    return {
        "date": (NOON + timedelta(minutes=minute, milliseconds=minute % 7)).isoformat(),
        "sender": sender,
        "body": body + "  ",
        "quote": "",
        "sticker": None,
        "reactions": [],
        "attachments": [],
        "deleted": False,
        "call": False,
        "missed": False,
    } | more


@pytest.fixture
def export(tmp_path):
    """Append messages to a chat's data.json, as the exporter does; returns the export folder."""

    def append(*messages, chat="Anna"):
        (tmp_path / chat).mkdir(exist_ok=True)
        with (tmp_path / chat / "data.json").open("a", encoding="utf-8") as opened:
            opened.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in messages)
        return tmp_path

    return append


def test_table_has_documented_columns_and_types(export):
    table = check(signal.read(export(message(), message("hey", "Me", 1))))
    assert list(table.columns) == COLUMNS
    assert table["timestamp"].tolist() == [NOON.replace(tzinfo=UTC), datetime(2024, 5, 1, 12, 1, 0, 1000, tzinfo=UTC)]
    assert table["sender"].tolist() == ["Anna", "me"] and table["is_owner"].tolist() == [False, True]
    assert set(table["conversation"]) == {"Anna"} and not table["is_group"].any()
    assert table["text"].tolist() == ["hello", "hey"] and set(table["kind"]) == {"text"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["a  ", "\u2028", "\r"]), min_size=1)
)
def test_any_text_round_trips_without_exporter_spaces(tmp_path, texts):
    file = tmp_path / "data.json"
    lines = [json.dumps(message(text, minute=minute), ensure_ascii=False) for minute, text in enumerate(texts)]
    file.write_text("\n".join(lines), encoding="utf-8", newline="")
    assert [text.encode() for text in signal.read(file)["text"]] == [text.encode() for text in texts]


def test_dates_are_local_times_and_noted(export):
    table = read_messages(export(message(sender="Me")), time_zone="America/New_York")
    assert table["timestamp"][0] == datetime(2024, 5, 1, 16, tzinfo=UTC)
    assert "America/New_York" in table.attrs["notes"][0]


def test_folder_of_chats_one_chat_and_one_file(export):
    folder = export(message(), message("hey", "Me", 1))
    export(message(sender="Ben", minute=2), message("yo", "Me", 3), chat="Ben")
    export(chat="Empty")
    assert signal.read(folder)["conversation"].tolist() == ["Anna", "Anna", "Ben", "Ben"]
    assert signal.read(folder / "Ben").equals(signal.read(folder / "Ben" / "data.json"))
    assert signal.read(folder / "Ben")["text"].tolist() == ["hello", "yo"]


def test_second_export_adds_only_new_messages(export):
    first = [message(), message("ok", "Me", 1), message("ok", "Me", 2)]
    before = signal.read(export(*first))
    table = signal.read(export(*first, message("ok", "Me", 3)))
    assert table.attrs["skipped"]["a second copy of a message"]["count"] == 3
    assert len(table) == 4 and table[:3].equals(before)


def test_same_message_in_two_chats_is_two_messages(export):
    export(message("happy new year", "Me"))
    assert len(signal.read(export(message("happy new year", "Me"), chat="Ben"))) == 2


def test_group_has_two_other_senders(export):
    folder = export(message(), message(sender="Me", minute=1), message(sender="No-Sender", minute=2))
    export(message(), message(sender="Ben", minute=1), chat="Team")
    table = signal.read(folder)
    assert dict(zip(table["conversation"], table["is_group"])) == {"Anna": False, "Team": True}


@pytest.mark.parametrize(
    "more, kind, text",
    [
        ({"deleted": True, "body": "  "}, "unsent", ""),
        ({"call": True, "body": "Missed voice call  ", "missed": True}, "system", "Missed voice call"),
        ({"attachments": [{"name": "a.JPG", "path": "media/a.JPG"}], "body": "  "}, "attachment", "[photo]"),
        ({"attachments": [{"name": "a.pdf"}, {"name": "b.png"}]}, "attachment", "[attachment] [photo] hello"),
        ({"attachments": [{"name": "", "path": "", "missing_kind": "media"}]}, "attachment", "[attachment] hello"),
        ({"sticker": {"id": "1", "emoji": "x"}, "body": "  "}, "attachment", "[attachment]"),
        ({"reactions": [["Ben", "x"]], "quote": "\n\n> what\n\n"}, "text", "hello"),
        ({"body": "  "}, "empty", ""),
        ({"body": " \n  "}, "empty", " \n"),
        ({"body": "no spaces"}, "text", "no spaces"),
        ({"body": "Incoming call  "}, "text", "Incoming call"),
        ({"date": "1970-01-01T00:00:00"}, "undated", "hello"),
        ({"date": "soon"}, "undated", "hello"),
    ],
)
def test_kinds_of_messages(export, more, kind, text):
    table = signal.read(export(message() | more))
    assert table[["kind", "text", "reply_to"]].values.tolist() == [[kind, text, None]]


@pytest.mark.parametrize("body", ["Incoming call", "Outgoing call"])
def test_calls_in_older_exports(export, body):
    row = message(body)
    del row["call"], row["missed"]
    assert signal.read(export(row))["kind"].tolist() == ["system"]


def test_contact_called_me_is_not_owner(export):
    assert signal.read(export(message(sender="me")))["sender"].tolist() == ["me (not the owner)"]


def test_broken_lines_are_counted_with_line_numbers(export):
    folder = export(message(), 5, {"body": "x"}, message() | {"body": 5})
    with (folder / "Anna" / "data.json").open("a") as opened:
        opened.write('{"date": "2024-')
    (entry,) = signal.read(folder).attrs["skipped"].values()
    assert entry["count"] == 4 and entry["examples"][0] == "Anna, line 2: 5\n"


def test_error_for_other_files_says_how_to_export(tmp_path, export):
    refused(lambda: signal.read(tmp_path), "data.json", "signal-export")
    refused(lambda: signal.read(tmp_path / "nothing.json"), "There is no ")
    refused(lambda: signal.read(export(5, [], {})), "signal-export")
    refused(lambda: signal.read(tmp_path / "Anna", time_zone="Mars"), "Mars")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["me", "Me", "a\ud800"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "emoji"]), inner),
    max_leaves=4,
)
ROWS = st.dictionaries(st.sampled_from(list(message())), VALUES).map(lambda junk: message() | junk)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(VALUES | ROWS, min_size=1, max_size=6))
def test_any_json_gives_a_table_or_a_study_error(tmp_path, rows):
    (tmp_path / "data.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table_or_study_error(lambda: signal.read(tmp_path))
