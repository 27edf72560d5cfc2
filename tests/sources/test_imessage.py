"""Reading Apple Messages, from databases with Apple's schema."""

import sqlite3
from datetime import UTC, datetime, timedelta

import imessage_chatdb
import pytest
from conftest import cases
from ftstudy.demo.apple_messages import write_chat_db
from ftstudy.errors import StudyError
from ftstudy.privacy import contacts
from ftstudy.sources import COLUMNS, KINDS, check, imessage, imessage_database, read_messages
from hypothesis import HealthCheck, given, settings, strategies

ANNA, ANNA_MAIL, BEN = "+12125550111", "anna@example.org", "+12125550122"
GROUP = {"chat7": {"name": "Team", "members": [ANNA, BEN]}}
START = datetime(2024, 5, 1, 12, tzinfo=UTC)


def message(text="hello", sender=ANNA, minute=0, chat=ANNA, **more):
    return {"chat": chat, "sender": sender, "time": START + timedelta(minutes=minute), "text": text, **more}


@pytest.fixture
def read(tmp_path):
    """Write messages, run SQL on them, read them back."""

    def write_and_read(*messages, sql="", people=None):
        path = write_chat_db(list(messages), tmp_path / "chat.db", GROUP, people)
        connection = sqlite3.connect(path)
        connection.executescript(sql)
        connection.close()
        return imessage.read(path)

    return write_and_read


def kinds(table):
    return list(table["kind"])


def test_table_has_documented_columns_and_types(read):
    table = read(message("hi"), message("hey", sender=None, minute=1))
    assert list(table.columns) == COLUMNS
    assert str(table["timestamp"].dtype) == "datetime64[us, UTC]"
    assert table["is_owner"].tolist() == [False, True]
    assert table["sender"].tolist() == [ANNA, "me"]
    assert table["timestamp"][1] == START + timedelta(minutes=1)
    assert table["reply_to"].tolist() == [None, None]
    assert set(table["conversation"]) == {ANNA}
    check(table)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    strategies.lists(
        strategies.tuples(
            strategies.text(strategies.characters(exclude_characters="\ufffc", exclude_categories=["Cs"])),
            strategies.booleans(),
            strategies.booleans(),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_text_round_trips_exactly(tmp_path, written):
    rows = [message(text, sender=None if mine else ANNA, plain=plain) for text, mine, plain in written]
    table = imessage.read(write_chat_db(rows, tmp_path / "chat.db"))
    assert [text.encode() for text in table["text"]] == [text.encode() for text, _, _ in written]
    assert table["is_owner"].tolist() == [mine for _, mine, _ in written]


def test_newlines_and_spaces_are_kept(read):
    text = "  one\n\n two\u00a0ﬁ e\u0301 \u200d🤷🏽‍♀️ \n"
    assert read(message(text))["text"][0] == text


def test_sorted_by_date_then_rowid(read):
    table = read(message("third", minute=5), message("first"), message("second"))
    assert table["text"].tolist() == ["first", "second", "third"]


def test_message_in_two_chats_is_read_once_and_counted(read):
    table = read(message("once", chat=[ANNA, "chat7"]), message("other", minute=1))
    assert table["text"].tolist() == ["once", "other"]
    assert table.attrs["skipped"]["a second copy of a message"]["count"] == 1


def test_paging_neither_loses_nor_repeats_messages(read, monkeypatch):
    rows = [message(str(number), minute=number, chat=[ANNA, "chat7"] if number % 2 else ANNA) for number in range(9)]
    whole = read(*rows)
    for page in (3, 4, 12, 13, 14):
        monkeypatch.setattr(imessage, "PAGE", page)
        table = read(*rows)
        assert table.equals(whole) and table.attrs["skipped"]["a second copy of a message"]["count"] == 4


def test_is_from_me_wins_over_handle(read):
    # An outgoing message has the handle of its recipient.
    table = read(message("mine", sender=None), sql="UPDATE message SET handle_id = 1")
    assert table["sender"][0] == "me" and table["is_owner"][0]


def test_handle_zero_in_a_group_is_the_owner(read):
    table = read(
        message(chat="chat7", sender=BEN),
        message(chat="chat7", minute=1),
        sql="UPDATE message SET handle_id = 0, is_from_me = 0 WHERE ROWID = 2",
    )
    assert table["sender"].tolist() == [BEN, "me"]


def test_handle_zero_in_a_one_to_one_chat_is_the_partner(read):
    assert read(message(), sql="UPDATE message SET handle_id = 0")["sender"][0] == ANNA


def test_style_43_is_a_group_and_45_is_not(read):
    table = read(message(chat="chat7"), message(minute=1))
    assert table["is_group"].tolist() == [True, False]
    assert table["conversation"].nunique() == 2


def test_phone_and_email_of_one_person_are_one_conversation(read):
    people = {ANNA: "P", ANNA_MAIL: "P"}
    table = read(
        message("a"),
        message("b", sender=ANNA_MAIL, chat=ANNA_MAIL, minute=1),
        message("c", sender=None, chat=ANNA_MAIL, minute=2),
        people=people,
    )
    assert set(table["conversation"]) == {ANNA}
    assert table["sender"].tolist() == [ANNA, ANNA, "me"]


def test_sms_and_imessage_of_one_address_are_one_person(read):
    table = read(
        message("a"),
        message("b", sender=ANNA_MAIL, chat=ANNA_MAIL, minute=1),
        people={ANNA: "P", ANNA_MAIL: "P"},
        sql="INSERT INTO handle (id, service) VALUES ('+1 (212) 555-0111', 'SMS');"
        "UPDATE message SET handle_id = 3, service = 'SMS' WHERE ROWID = 1;",
    )
    assert set(table["sender"]) == {ANNA}


def test_two_people_without_a_person_centric_id_stay_two(read):
    table = read(message(), message(sender=BEN, chat=BEN, minute=1))
    assert table["conversation"].tolist() == [ANNA, BEN]


def test_contacts_join_addresses_of_one_person(read):
    anna = {"name": "Anna Berg", "given": "Anna", "family": "Berg", "nicknames": []}
    table = read(
        message("a"),
        message("b", sender=ANNA_MAIL, chat=ANNA_MAIL, minute=1),
        message("c", sender=None, chat=ANNA_MAIL, minute=2, columns={"service": "SMS"}),
        message("d", sender=BEN, chat=BEN, minute=3),
    )
    table = check(contacts.apply(table, [anna | {"addresses": ["(212) 555-0111", ANNA_MAIL]}]))
    assert table["conversation"].tolist() == ["Anna Berg"] * 3 + [BEN]
    assert table["sender"].tolist() == ["Anna Berg", "Anna Berg", "me", BEN]


@pytest.mark.parametrize("number", [1000, *range(2000, 2008), *range(3000, 3008)])
@pytest.mark.parametrize("sender", [None, ANNA])
def test_tapbacks_and_stickers_of_both_sides(read, number, sender):
    table = read(
        message(guid="TARGET"),
        message(
            "Loved “hello”",
            sender=sender,
            minute=1,
            columns={"associated_message_type": number, "associated_message_guid": "p:0/TARGET"},
        ),
    )
    assert kinds(table) == ["text", "tapback"]
    assert table["reply_to"].tolist() == [None, "TARGET"]


@pytest.mark.parametrize(
    "text",
    cases("""
        Liked “see you at 8” | Laughed at "ok" | Emphasized “hm” | Questioned “what” | Disliked “no”
        Loved an image | Liked 2 photos | Removed a heart from “hi” | Removed 😂 from “hi” | Reacted 😂 to “hi”
        Reacted ❤️ to “a b” | A aimé « oui » | A adoré «\u00a0à demain\u00a0» | N’a pas aimé « bof »
        A réagi 😂 à « oui » | Gefällt „bis morgen“ | Lacht über „ok“ | Le gustó “mañana” | Le encantó “sí”
        Gostou de “sim” | Riu de “kkk” | Ha adorato “ciao”
    """)
    + ["Loved “two\nlines”"],
)
def test_sms_reactions_are_tapbacks(read, text):
    assert kinds(read(message(text, columns={"service": "SMS"}))) == ["tapback"]


@pytest.mark.parametrize(
    "text",
    cases("""
        Liked it a lot | loved “Dune”, you? | I Liked “Dune” | Liked “Dune” more | “Dune” | Reacted badly to “Dune”
        Removed it from “drafts” | Loved a dog once | Mag ich
    """),
)
def test_messages_about_liking_stay_text(read, text):
    assert kinds(read(message(text))) == ["text"]


def test_item_type_is_a_system_message(read):
    table = read(
        message(None, chat="chat7", columns={"item_type": 1}), message("named it", minute=1, columns={"item_type": 2})
    )
    assert kinds(table) == ["system", "system"]


def test_unsent_and_edited_messages(read):
    table = read(
        message(None, columns={"date_edited": 1}),
        message(None, minute=1, columns={"date_retracted": 1}),
        message("corrected", minute=2, columns={"date_edited": 1}),
    )
    assert kinds(table) == ["unsent", "unsent", "text"]


def test_attachments_become_placeholders(read):
    photo, file = ["a.heic", "image/heic"], ["a.pdf", "application/pdf"]
    table = read(
        message("\ufffc", attachments=[photo]),
        message("look \ufffc and\n\ufffc!", minute=1, attachments=[photo, file]),
        message(None, minute=2, attachments=[file]),
        message("gone \ufffc", minute=3),
        message("no placeholder", minute=4, attachments=[photo]),
    )
    texts = ["[photo]", "look [photo] and\n[attachment]!", "[attachment]", "gone [attachment]", "no placeholder"]
    assert table["text"].tolist() == texts
    assert set(table["kind"]) == {"attachment"}


def test_link_preview_is_text_and_app_is_not(read):
    card = ["x.pluginPayloadAttachment", None]
    table = read(
        message(
            "see example.org",
            attachments=[card],
            columns={"balloon_bundle_id": "com.apple.messages.URLBalloonProvider"},
        ),
        message("\ufffc", minute=1, columns={"balloon_bundle_id": "com.example.game"}),
        message("poll", minute=2, columns={"associated_message_type": 3}),
    )
    assert kinds(table) == ["text", "app", "app"]


def test_message_in_no_chat_is_deleted(read):
    table = read(message(), message("secret", chat=[], minute=1))
    assert kinds(table) == ["text", "deleted"]
    assert table["conversation"][1] != ANNA


def test_undated_and_empty_messages_keep_their_row(read):
    table = read(
        message("when"),
        message(None, minute=1),
        message("", minute=2),
        message(" \n", minute=3),
        sql="UPDATE message SET date = 0 WHERE ROWID = 1",
    )
    assert kinds(table) == ["undated", "empty", "empty", "empty"]
    assert set(table["kind"]) <= set(KINDS)


def test_undecodable_body_is_unreadable(read):
    table = read(message(), sql="UPDATE message SET attributedBody = x'0102'")
    assert kinds(table) == ["unreadable"]


def test_inline_reply(read):
    table = read(message(guid="ONE"), message(minute=1, columns={"thread_originator_guid": "ONE"}))
    assert table["reply_to"].tolist() == [None, "ONE"]


def test_dates_in_nanoseconds_and_seconds(read):
    old = "UPDATE message SET date = 86400 WHERE ROWID = 2"
    precise = START.replace(microsecond=123457)
    table = read(message() | {"time": precise}, message(), sql=old)
    assert table["timestamp"].tolist() == [datetime(2001, 1, 2, tzinfo=UTC), precise]


def test_older_schemas_without_newer_columns(read):
    dropped = cases("""
        associated_message_emoji | date_retracted | date_edited | is_spam | thread_originator_guid
        thread_originator_part
    """)
    sql = "".join(f"ALTER TABLE message DROP COLUMN {column};" for column in dropped)
    table = read(
        message(), message(sender=None, minute=1), sql=sql + "ALTER TABLE handle DROP COLUMN person_centric_id;"
    )
    assert kinds(table) == ["text", "text"]


@pytest.fixture
def in_use(tmp_path):
    """A database whose change from "old" to "new" is only in its -wal file, and its open connection."""
    path = write_chat_db([message("old")], tmp_path / "chat.db")
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("UPDATE message SET text = 'new', attributedBody = NULL")
    writer.commit()
    yield path, writer
    writer.close()


def test_database_in_use_is_read_with_its_wal_and_not_changed(in_use):
    path, writer = in_use
    writer.execute("UPDATE message SET text = 'unfinished'")
    before = path.read_bytes(), path.with_name("chat.db-wal").read_bytes()
    assert imessage.read(path)["text"].tolist() == ["new"]
    assert (path.read_bytes(), path.with_name("chat.db-wal").read_bytes()) == before


def test_copy_without_wal(in_use, tmp_path):
    copy = tmp_path / "copy.db"
    copy.write_bytes(in_use[0].read_bytes())
    assert imessage.read(copy)["text"].tolist() == ["old"]


def test_read_only_volume_is_read_from_a_copy(in_use, monkeypatch):
    path, _ = in_use
    opened, connect = [], imessage_chatdb.ChatDB.connect

    def read_only(database):  # what SQLite says if it cannot create its -shm file
        opened.append(database.path)
        if database.path == path:
            raise imessage_chatdb.ChatDBAccessError("unable to open database file", path=str(path))
        return connect(database)

    monkeypatch.setattr(imessage_chatdb.ChatDB, "connect", read_only)
    assert imessage.read(path)["text"].tolist() == ["new"]
    assert not opened[-1].exists()


def test_invalid_utf8_loses_one_message(read):
    sql = "UPDATE message SET text = CAST(x'68ff69' AS TEXT), attributedBody = NULL WHERE ROWID = 1"
    table = read(message(), message("fine", minute=1), sql=sql)
    assert kinds(table) == ["unreadable", "text"]
    assert table["text"].tolist() == ["h?i", "fine"]


@pytest.mark.parametrize("year", [1970, 2200])
def test_impossible_dates_are_undated(read, year):
    table = read(message("when") | {"time": datetime(year, 1, 2, tzinfo=UTC)}, message("now"))
    assert sorted(zip(table["text"], kinds(table))) == [("now", "text"), ("when", "undated")]


def test_ten_megabyte_message_keeps_only_its_beginning(read):
    table = read(message("x" * 10_000_000), message("hi", minute=1))
    assert kinds(table) == ["oversized", "text"] and len(table["text"][0]) < 300


def refusal(path, **more):
    with pytest.raises(StudyError) as caught:
        read_messages(path, **more)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def test_unknown_kind():
    assert "imessage" in refusal("x", kind="pigeon")


def test_folder_of_messages(tmp_path):
    assert "has no known chat history" in refusal(tmp_path)
    write_chat_db([message(), message("mine", sender=None, minute=1)], tmp_path / "chat.db")
    assert read_messages(tmp_path)["text"].tolist() == ["hello", "mine"]
    assert "There is no" in refusal(tmp_path / "Library" / "Messages", kind="imessage")


def test_missing_file(tmp_path):
    assert "There is no " in refusal(tmp_path / "nothing.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content, words",
    [(b"", "chat.db is empty"), (b"hello, this is an export\n" * 50, "chat.db cannot be read: file is not a database")],
)
def test_other_files(tmp_path, content, words):
    (tmp_path / "chat.db").write_bytes(content)
    assert words in refusal(tmp_path / "chat.db")


def test_other_database(tmp_path):
    connection = sqlite3.connect(tmp_path / "notes.db")
    connection.execute("CREATE TABLE note (text)")
    connection.close()
    assert "not a Messages database" in refusal(tmp_path / "notes.db")


def test_history_without_owner_or_messages(tmp_path):
    path = write_chat_db([message(), message(sender=BEN, chat=BEN, minute=1)], tmp_path / "chat.db")
    assert "no message by its owner" in refusal(path) and ANNA in refusal(path)
    assert "has no messages" in refusal(write_chat_db([], path))


def test_unused_setting_is_refused(tmp_path):
    path = write_chat_db([message(sender=None)], tmp_path / "chat.db")
    assert "date_order" in refusal(path, date_order="dmy")


def test_damaged_database(tmp_path):
    path = write_chat_db([message(minute=number) for number in range(300)], tmp_path / "chat.db")
    path.write_bytes(path.read_bytes()[:40_000])
    assert "chat.db cannot be read: " in refusal(path)


def test_locked_database(tmp_path, monkeypatch):
    monkeypatch.setattr(imessage_database, "BUSY_SECONDS", 0.05)
    path = write_chat_db([message()], tmp_path / "chat.db")
    writer = sqlite3.connect(path)
    writer.execute("BEGIN EXCLUSIVE")
    assert "is locked" in refusal(path)
    writer.close()


def test_error_without_full_disk_access(tmp_path, monkeypatch):
    folder = tmp_path / "Library" / "Messages"
    path = write_chat_db([message()], folder / "chat.db")

    def denied(*_, **__):
        raise imessage_chatdb.ChatDBAccessError("authorization denied", path=str(path))

    monkeypatch.setattr(imessage_chatdb.ChatDB, "connect", denied)
    for source in (path, folder):
        text = refusal(source)
        assert "authorization denied" in text and "Full Disk Access" in text


def test_error_without_permission_to_list(tmp_path, monkeypatch):
    def denied(path, *_, **__):
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr("os.stat", denied)
    monkeypatch.setattr("pathlib.Path.stat", denied)
    monkeypatch.setattr("pathlib.Path.open", denied)
    text = refusal(tmp_path / "Library" / "Messages" / "chat.db")
    assert "Operation not permitted" in text and "Full Disk Access" in text


@pytest.mark.parametrize(
    "column, value, complaint",
    [
        ("kind", "poem", "unknown kinds"),
        ("sender", "me", "is_owner"),
        ("text", None, "text"),
        ("message_id", "TWICE", "twice"),
        ("is_group", [True, False], "group"),
        ("reply_to", 5, "reply_to"),
    ],
)
def test_check_refuses_wrong_tables(read, column, value, complaint):
    table = read(message(), message(minute=1))
    table[column] = value if isinstance(value, list) else [value] * 2
    with pytest.raises(ValueError, match=complaint):
        check(table)


def test_check_refuses_unsorted_tables(read):
    table = read(message(), message(minute=1))
    with pytest.raises(ValueError, match="order of time"):
        check(table[::-1])
