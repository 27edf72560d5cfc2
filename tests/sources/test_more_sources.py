"""Reading Signal's own export, Instagram, Messenger, WhatsApp-Chat-Exporter, Android's text messages, iPhone backups."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from conftest import refused, table_or_study_error
from ftstudy.demo.apple_messages import write_chat_db
from ftstudy.sources import check, iphone, meta, read_messages, signal_desktop, sms, whatsapp_json
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

START = datetime(2024, 9, 13, 10, tzinfo=UTC)
FREE = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["1", "2", "a\ud800"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "name", "body", "text"]), inner),
    max_leaves=5,
)


def at(minute):
    return int((START + timedelta(minutes=minute)).timestamp() * 1000)


def rows(table, *columns):
    return table[list(columns)].values.tolist()


# Signal Desktop


OWNER = {"recipient": {"id": "1", "self": {}}}
ADA = {
    "recipient": {"id": "2", "contact": {"profileGivenName": "Ada", "profileFamilyName": "L", "e164": "15550001111"}}
}
GROUP = {"recipient": {"id": "3", "group": {"snapshot": {"title": {"title": "Climbers"}}}}}
NEWS = {"recipient": {"id": "4", "releaseNotes": {}}}
CHATS = [{"chat": {"id": str(10 + number), "recipientId": str(number)}} for number in (1, 2, 3, 4)]


def item(minute=0, chat=12, by=2, text="hello", **more):
    said = (
        {}
        if more.keys() & {*signal_desktop.KINDS, "standardMessage"}
        else {"standardMessage": {"text": {"body": text}}}
    )
    direction = {"outgoing": {}} if by == 1 else {"incoming": {}}
    return {
        "chatItem": {"chatId": str(chat), "authorId": str(by), "dateSent": str(at(minute))} | direction | said | more
    }


@pytest.fixture
def signal(tmp_path):
    def read(*lines):
        text = "\n".join(
            json.dumps(line, ensure_ascii=False) for line in [{"version": "1", "backupTimeMs": "1"}, *lines]
        )
        (tmp_path / "main.jsonl").write_bytes(text.encode("utf-8", "surrogatepass"))
        return check(signal_desktop.read(tmp_path))

    return lambda *items: read(OWNER, ADA, GROUP, NEWS, *CHATS, *items)


@FREE
@given(TEXTS)
def test_signal_texts_round_trip_exactly(signal, texts):
    table = signal(*(item(minute, text=text) for minute, text in enumerate(texts)))
    assert [text.encode() for text in table["text"]] == [text.encode() for text in texts]


@pytest.mark.parametrize(
    "more, kind, text",
    [
        ({"updateMessage": {}}, "system", ""),
        ({"remoteDeletedMessage": {}}, "unsent", ""),
        ({"stickerMessage": {"sticker": {}}}, "attachment", "[attachment]"),
        ({"viewOnceMessage": {}}, "attachment", "[attachment]"),
        ({"contactMessage": {}}, "app", ""),
        ({"poll": {}}, "app", ""),
        (
            {
                "standardMessage": {
                    "text": {"body": "see"},
                    "attachments": [{"pointer": {"contentType": "image/png"}}, {}],
                }
            },
            "attachment",
            "[photo] [attachment] see",
        ),
        ({"standardMessage": {}}, "system", ""),
        ({"standardMessage": {"text": {"body": " "}}}, "empty", " "),
        ({"standardMessage": {"text": {"body": "a"}, "reactions": [{"emoji": "x"}]}, "revisions": [{}]}, "text", "a"),
    ],
)
def test_signal_kinds(signal, more, kind, text):
    assert rows(signal(item(**more)), "kind", "text") == [[kind, text]]


def test_signal_people_groups_and_quotes(signal):
    quote = {"targetSentTimestamp": str(at(0)), "authorId": "2"}
    said = {"text": {"body": "yes"}, "quote": quote}
    table = signal(
        item(), item(1, by=1, standardMessage=said), item(2, chat=13), item(3, chat=11, by=1), item(4, chat=14)
    )
    assert rows(table, "conversation", "is_group", "sender") == [
        ["Ada L", False, "Ada L"],
        ["Ada L", False, "me"],
        ["group:Climbers", True, "Ada L"],
    ]
    assert table["reply_to"][1] == table["message_id"][0]
    assert {reason: entry["count"] for reason, entry in table.attrs["skipped"].items()} == {
        "a note to oneself in Signal": 1,
        "Signal's own news": 1,
    }


def test_signal_names_that_two_people_have_get_their_numbers(signal):
    other = {"recipient": {"id": "5", "contact": {"profileGivenName": "Ada", "profileFamilyName": "L"}}}
    table = signal(other, {"chat": {"id": "15", "recipientId": "5"}}, item(), item(chat=15, by=5))
    assert set(table["conversation"]) == {"Ada L (2)", "Ada L (5)"}


def test_other_jsonl_is_not_signals(tmp_path):
    refused(lambda: signal_desktop.read(tmp_path), "main.jsonl", "Export chat history")
    (tmp_path / "main.jsonl").write_text('{"a": 1}\n5\nnot json\n')
    refused(lambda: signal_desktop.read(tmp_path), "no messages", "Export chat history")


@FREE
@given(
    st.lists(
        VALUES | st.dictionaries(st.sampled_from(["chatItem", "chat", "recipient", "account"]), VALUES), max_size=6
    )
)
def test_any_json_lines_give_a_table_or_a_study_error(signal, lines):
    table_or_study_error(lambda: signal(*lines))


ITEM_KEYS = "chatId authorId dateSent standardMessage updateMessage outgoing directStoryReplyMessage".split()


@FREE
@given(st.dictionaries(st.sampled_from(ITEM_KEYS), VALUES))
def test_any_signal_item_gives_a_table_or_a_study_error(signal, junk):
    table_or_study_error(lambda: signal(item(), {"chatItem": item()["chatItem"] | junk}))


# Instagram and Messenger


def garbled(text):
    return text.encode().decode("latin-1")


def said(minute, by="Ada", text="hey", **more):
    return {"sender_name": garbled(by), "timestamp_ms": at(minute), "content": garbled(text)} | more


def thread(*messages, people=("Ada", "Sam"), title="Ada", path="inbox/ada_1"):
    about = {"title": garbled(title), "is_still_participant": True, "thread_path": path, "magic_words": []}
    return {"participants": [{"name": garbled(name)} for name in people], "messages": [*reversed(messages)]} | about


@pytest.fixture
def download(tmp_path):
    """Write threads as an unpacked download has them, and read them."""

    def write_and_read(*threads, me=("Sam",)):
        folder = tmp_path / "your_instagram_activity"
        for number, one in enumerate(threads):
            file = folder / "messages" / one.get("thread_path", f"inbox/{number}") / f"message_{number}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(one), encoding="utf-8")
        (folder / "likes").mkdir(exist_ok=True)
        (folder / "likes" / "liked_posts.json").write_text('{"likes_media_likes": [{"title": "Ada"}]}')
        return read_messages(tmp_path, me=me)

    return write_and_read


@FREE
@given(TEXTS)
def test_garbled_texts_are_restored_exactly(tmp_path, texts):
    file = tmp_path / "message_1.json"
    file.write_text(json.dumps(thread(*(said(minute, text=text) for minute, text in enumerate(texts)))))
    assert [text.encode() for text in meta.read(file)["text"]] == [text.encode() for text in texts]


def test_threads_people_and_groups(download):
    table = download(
        thread(said(0, "Zoë", "grüße 🎉"), said(1, "Sam"), people=("Zoë", "Sam"), title="Zoë"),
        thread(said(2, "Zoë"), said(3, "Sam"), people=("Zoë", "Ada", "Sam"), title="Fête", path="inbox/fete_9"),
        thread(said(4), path="message_requests/ada_7"),
        thread(said(5), path="inbox/ada_8"),
    )
    assert rows(table, "conversation", "is_group", "sender", "text")[:3] == [
        ["Zoë", False, "Zoë", "grüße 🎉"],
        ["Zoë", False, "me", "hey"],
        ["group:Fête", True, "Zoë", "hey"],
    ]
    assert set(table["conversation"][4:]) == {"Ada (7)", "Ada (8)"}


def test_parts_of_a_thread_are_one_conversation(download):
    table = download(thread(said(0), said(1, "Sam")), thread(said(2), said(1, "Sam")))
    assert set(table["conversation"]) == {"Ada"} and table["text"].tolist() == ["hey"] * 3
    assert table.attrs["skipped"]["a second copy of a message"]["count"] == 1


def test_owner_is_who_takes_part_in_every_thread(download):
    other = thread(said(2, "Bea"), said(3, "Sam"), people=("Bea", "Sam"), path="inbox/bea_2")
    table = download(thread(said(0), said(1, "Sam")), other, me=["Nobody"])
    assert table["is_owner"].tolist() == [False, True, False, True] and "ME=" in table.attrs["notes"][0]


@pytest.mark.parametrize(
    "more, kind, text",
    [
        ({"is_unsent": True, "text": ""}, "unsent", ""),
        ({"photos": [{"uri": "a.jpg"}], "text": "look"}, "attachment", "[photo] look"),
        ({"videos": [{}], "photos": [{}], "text": "Ada sent an attachment."}, "attachment", "[photo] [attachment]"),
        ({"sticker": {"uri": "a.png"}, "text": ""}, "attachment", "[attachment]"),
        ({"text": "Ada sent an attachment.", "share": {"link": "x"}}, "app", "Ada sent an attachment."),
        ({"text": "see this", "share": {"link": "x"}}, "text", "see this"),
        ({"text": "Ada named the group Fun."}, "system", "Ada named the group Fun."),
        ({"text": "Ada started a call.", "call_duration": 3}, "system", "Ada started a call."),
        ({"text": "Reacted 😂 to your message "}, "tapback", "Reacted 😂 to your message "),
        ({"text": "Liked a message"}, "tapback", "Liked a message"),
        ({"text": "Reacted badly"}, "text", "Reacted badly"),
        ({"text": ""}, "empty", ""),
        ({"timestamp_ms": 1}, "undated", "hey"),
    ],
)
def test_kinds_of_messages_of_meta(tmp_path, more, kind, text):
    file = tmp_path / "message_1.json"
    file.write_text(json.dumps(thread(said(0, **more), said(1, "Sam"))))
    assert [kind, text] in rows(meta.read(file), "kind", "text")


def test_messengers_export_of_encrypted_chats(tmp_path):
    message = {
        "isUnsent": False,
        "media": [],
        "reactions": [],
        "senderName": "Zoë",
        "text": "grüße",
        "timestamp": at(0),
    }
    photo = message | {"media": [{"uri": "./media/a.jpg"}], "text": "", "senderName": "Sam", "timestamp": at(1)}
    chat = {"participants": ["Zoë", "Sam"], "threadName": "Zoë_12", "messages": [photo, message]}
    (tmp_path / "Zoe_12.json").write_text(json.dumps(chat, ensure_ascii=False), encoding="utf-8")
    table = read_messages(tmp_path / "Zoe_12.json", me=["Sam"])
    assert rows(table, "conversation", "sender", "text") == [["Zoë", "Zoë", "grüße"], ["Zoë", "me", "[photo]"]]


def test_no_id_of_meta_has_a_name_or_text(download):
    table = download(thread(said(0, text="a secret"), said(1, "Sam")))
    assert all(one.isalnum() and len(one) == 24 for one in table["message_id"])


@FREE
@given(
    st.lists(VALUES | st.dictionaries(st.sampled_from([*said(0), "photos", "share", "type"]), VALUES), max_size=5),
    VALUES,
)
def test_any_thread_gives_a_table_or_a_study_error(tmp_path, messages, junk):
    file = tmp_path / "message_1.json"
    file.write_text(json.dumps(thread(said(0), *messages) | ({"title": junk, "thread_path": junk} if junk else {})))
    table_or_study_error(lambda: meta.read(file, me=["Sam"]))
    file.write_text(json.dumps({"participants": [junk, "x"], "messages": [junk, *messages]}))
    table_or_study_error(lambda: meta.read(file, me=["Sam"]))


# WhatsApp-Chat-Exporter


def exported(minute, data="hey", mine=False, **more):
    record = {"from_me": mine, "timestamp": at(minute) / 1000, "time": "10:00", "media": False, "key_id": f"K{minute}"}
    return record | {"meta": False, "data": data, "sender": None, "reply": None, "caption": None, "mime": None} | more


@pytest.fixture
def exporter(tmp_path):
    def read(*messages, address="15550001111@s.whatsapp.net", name="Ada"):
        chat = {"name": name, "type": "android", "messages": {str(number): one for number, one in enumerate(messages)}}
        (tmp_path / "result.json").write_text(json.dumps({address: chat}), encoding="utf-8")
        return check(whatsapp_json.read(tmp_path))

    return read


def test_a_message_of_the_exporter_without_its_text_is_skipped_and_counted(exporter):
    damaged = exported(1, "b")
    del damaged["data"]
    table = exporter(exported(0, "a"), damaged, exported(2, "c"))
    assert list(table["text"]) == ["a", "c"]
    assert sum(one["count"] for one in table.attrs["skipped"].values()) == 1


@FREE
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<"), min_size=1), min_size=1, max_size=8
    )
)
def test_texts_of_the_exporter_round_trip_exactly(exporter, texts):
    table = exporter(*(exported(minute, text) for minute, text in enumerate(texts)))
    assert [text.encode() for text in table["text"]] == [text.encode() for text in texts]


@pytest.mark.parametrize(
    "more, kind, text",
    [
        ({"data": "one <br>two<br>three"}, "text", "one\ntwo\nthree"),
        ({"data": "Media/a.jpg", "media": True, "mime": "image/jpeg", "caption": "look"}, "attachment", "[photo] look"),
        ({"data": "Media/a.webp", "media": True, "sticker": True, "mime": "image/webp"}, "attachment", "[attachment]"),
        ({"data": "Media/a.pdf", "media": True}, "attachment", "[attachment]"),
        ({"data": "Ada changed the group", "meta": True}, "system", "Ada changed the group"),
        ({"data": "Message deleted", "meta": True}, "unsent", "Message deleted"),
        ({"data": None}, "empty", ""),
        ({"timestamp": None}, "undated", "hey"),
    ],
)
def test_kinds_of_messages_of_the_exporter(exporter, more, kind, text):
    assert rows(exporter(exported(0, **more)), "kind", "text") == [[kind, text]]


def test_groups_and_replies_of_the_exporter(exporter):
    table = exporter(exported(0, sender="Bea"), exported(1, mine=True, reply="K0"), address="123-45@g.us", name="Team")
    assert rows(table, "conversation", "is_group", "sender") == [
        ["group:Team", True, "Bea"],
        ["group:Team", True, "me"],
    ]
    assert table["reply_to"][1] == table["message_id"][0] and not table["message_id"].str.contains("123").any()
    assert set(exporter(exported(0), name=None)["conversation"]) == {"+15550001111"}


@FREE
@given(st.dictionaries(st.sampled_from(list(exported(0))), VALUES), VALUES)
def test_any_message_of_the_exporter_gives_a_table_or_a_study_error(exporter, junk, name):
    table_or_study_error(lambda: exporter(exported(0), exported(1) | junk, name=name))


# Android's text messages


BEGIN = "<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>\n<!--File Created By SMS Backup & Restore-->\n"
BEGIN += '<?xml-stylesheet type="text/xsl" href="sms.xsl"?>\n<smses count="2" type="full">\n'


def escaped(text):
    """As the app writes it: halves of characters outside the basic plane, each as a reference."""
    units = text.encode("utf-16-be", "surrogatepass")
    codes = [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
    plain = set(range(0x20, 0x7F)) - set(b"&<>\"'")
    return "".join(chr(code) if code in plain else f"&#{code};" for code in codes)


def text_message(minute, text="hey", kind=1, address="+1 (555) 000-1111", name="Ada", **more):
    about = {"protocol": 0, "address": address, "date": at(minute), "type": kind, "subject": "null", "body": text}
    about |= {"toa": "null", "read": 1, "contact_name": name} | more
    return "<sms " + " ".join(f'{key}="{escaped(str(value))}"' for key, value in about.items()) + " />\n"


def mms(minute, parts, box=1, address="+15550001111", name="Ada", wrote="+15550001111"):
    parts = "".join(
        f'<part seq="{at}" ct="{kind}" text="{escaped(text)}" data="{"QUJD" * 9}" />'
        for at, (kind, text) in enumerate(parts)
    )
    people = f'<addr address="{wrote}" type="137" charset="106" /><addr address="insert-address-token" type="151" />'
    head = f'<mms date="{at(minute)}" msg_box="{box}" address="{address}" contact_name="{escaped(name)}" text_only="0">'
    return f"{head}<parts>{parts}</parts><addrs>{people}</addrs></mms>\n"


@pytest.fixture
def texts(tmp_path):
    def read(*messages, begin=BEGIN, end="</smses>"):
        (tmp_path / "sms-2024.xml").write_text(begin + "".join(messages) + end, encoding="utf-8")
        return check(read_messages(tmp_path / "sms-2024.xml"))

    return read


XML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1)


@FREE
@given(
    st.lists(XML_TEXT | st.sampled_from(["a\nb\tc", "🎉👩‍👩‍👧", "&#55357;"]), min_size=1, max_size=8),
    st.integers(1, 400),
)
def test_text_messages_round_trip_exactly_whatever_the_pieces(tmp_path, said, piece):
    file = tmp_path / "sms.xml"
    file.write_text(
        BEGIN + "".join(text_message(n, one, 2) for n, one in enumerate(said)) + "</smses>", encoding="utf-8"
    )

    class Pieces:
        def __init__(self, source):
            self.source = source

        def read(self, size):
            return self.source.read(min(size, piece))

    with file.open("rb") as source:
        found = [row["text"] for row in sms._rows(Pieces(source), {})]
    assert [text.encode() for text in found] == [text.encode() for text in said]


def test_people_and_kinds_of_text_messages(texts):
    table = texts(
        text_message(0),
        text_message(1, kind=2, address="+15550001111"),
        text_message(2, kind=3),
        text_message(3, name="(Unknown)", address="+49 151 123456"),
        mms(4, [("application/smil", "null"), ("image/jpeg", "null"), ("text/plain", "look")]),
        mms(5, [("text/plain", "hi all")], address="+15550001111~+15550002222", name="Ada, Bea", wrote="+15550002222"),
        mms(6, [("text/plain", "hello")], 2, "+15550001111~+15550002222", "Ada, Bea", "insert-address-token"),
    )
    assert rows(table, "conversation", "is_group", "sender", "text", "kind") == [
        ["Ada", False, "Ada", "hey", "text"],
        ["Ada", False, "me", "hey", "text"],
        ["+49151123456", False, "+49151123456", "hey", "text"],
        ["Ada", False, "Ada", "[photo] look", "attachment"],
        ["group:Ada, Bea", True, "Bea", "hi all", "text"],
        ["group:Ada, Bea", True, "me", "hello", "text"],
    ]
    (entry,) = table.attrs["skipped"].values()
    assert entry["count"] == 1 and table["timestamp"][0] == START


ENTITIES = '<!DOCTYPE smses [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>\n<smses>'
OUTSIDE = '<!DOCTYPE smses [<!ENTITY a SYSTEM "file:///etc/hostname">]>\n<smses>'
REMOTE = '<!DOCTYPE smses SYSTEM "http://example.org/x.dtd">\n<smses>'


@pytest.mark.parametrize("begin", [ENTITIES, OUTSIDE, REMOTE], ids=["expansion", "external", "remote"])
def test_hostile_xml_is_refused(texts, begin):
    refused(
        lambda: texts(text_message(0).replace("hey", "&amp;a;"), begin=begin),
        "sms-2024.xml",
        "entities or a document type",
    )


@pytest.mark.parametrize("end", ["", "</smses", "<sms "])
def test_unfinished_xml_is_refused(texts, end):
    refused(lambda: texts(text_message(0, kind=2), end=end), "sms-2024.xml", "not a complete backup")


@FREE
@given(st.binary(max_size=200), st.integers(0, 600))
def test_any_xml_gives_a_table_or_a_study_error(tmp_path, junk, place):
    whole = (BEGIN + text_message(0) + mms(1, [("text/plain", "x")]) + "</smses>").encode()
    (tmp_path / "sms.xml").write_bytes(whole[:place] + junk + whole[place:])
    table_or_study_error(lambda: sms.read(tmp_path / "sms.xml"))


# iPhone backups


@pytest.fixture
def backup(tmp_path):
    folder = tmp_path / "Backup" / "00008030-ABC"
    (folder / "3d").mkdir(parents=True)
    messages = [
        {"chat": "+15550001111", "sender": None if n % 2 else "+15550001111", "time": START, "text": f"text {n}"}
        for n in range(4)
    ]
    write_chat_db(messages, tmp_path / "sms.db")
    shutil.move(tmp_path / "sms.db", folder / "3d" / iphone.MESSAGES)
    write_chat_db([], folder / "Manifest.db")
    return folder


def test_messages_of_a_backup_are_found(backup):
    assert iphone.MESSAGES == "3d0d7e5fb2ce288813306e4d4636395e047a3d28"
    for source in (backup, backup.parent, backup / "Manifest.db"):
        table = read_messages(source)
        assert table["text"].tolist() == [f"text {n}" for n in range(4)] and table.attrs["kind"] == "iphone"
        assert "00008030-ABC" in table.attrs["notes"][0]


def test_old_backup_without_inner_folders(backup):
    shutil.move(backup / "3d" / iphone.MESSAGES, backup / iphone.MESSAGES)
    (backup / "Manifest.db").rename(backup / "Manifest.mbdb")
    assert len(read_messages(backup)) == 4


def test_encrypted_empty_and_several_backups_are_refused(backup):
    (backup / "Manifest.db").write_bytes(b"\x8f" * 5000)
    refused(lambda: read_messages(backup), "encrypted", "without encryption")
    (backup / "3d" / iphone.MESSAGES).unlink()
    refused(lambda: read_messages(backup), "has no messages", "Manifest.db")
    shutil.copytree(backup, backup.parent / "other")
    refused(lambda: iphone.read(backup.parent), "2 backups (00008030-ABC, other)")
    (backup.parent.parent / "none").mkdir()
    refused(lambda: iphone.read(backup.parent.parent / "none"), "not an iPhone's backup")


def test_link_in_a_backup_is_not_followed(backup, tmp_path):
    shutil.move(backup / "3d" / iphone.MESSAGES, tmp_path / "elsewhere.db")
    (backup / "3d" / iphone.MESSAGES).symlink_to(tmp_path / "elsewhere.db")
    refused(lambda: read_messages(backup), "has no messages")


# Folders


def test_links_in_a_folder_of_exports_are_not_followed(tmp_path):
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "message_1.json").write_text(json.dumps(thread(said(0), said(1, "Sam"))))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "away")
    (tmp_path / "here" / "message_1.json").symlink_to(tmp_path / "away" / "message_1.json")
    refused(lambda: read_messages(tmp_path / "here"), "no known chat history")


def test_folder_with_exports_of_two_apps_asks_which(tmp_path):
    (tmp_path / "message_1.json").write_text(json.dumps(thread(said(0), said(1, "Sam"))))
    (tmp_path / "chat.txt").write_text("12/31/23, 9:15 PM - Ada: hi\n12/31/23, 9:15 PM - Sam: hi\n")
    refused(lambda: read_messages(tmp_path, me=["Sam"]), "several apps", "1 of meta", "1 of whatsapp", "KIND=")
    assert len(read_messages(tmp_path, "meta", me=["Sam"])) == 2 == len(read_messages(tmp_path, "whatsapp", me=["Sam"]))
