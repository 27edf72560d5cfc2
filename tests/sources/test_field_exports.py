"""Exports as phones and apps write them, from public bug reports; every text in them is invented.

`field_exports/<case>/` has the files; what is right about them is written here.
"""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas
import pytest
from conftest import refused
from ftstudy import cli
from ftstudy.errors import StudyError
from ftstudy.sources import read_messages

CASES = Path(__file__).parent / "field_exports"


def read(case, me=("Sam",), **more):
    return read_messages(CASES / case, me=me, **more)


def rows(table, *columns):
    return table[list(columns)].values.tolist()


# Private data


@pytest.fixture
def extract(tmp_path):
    """The files that `ftstudy extract` writes, name -> text."""

    def run(case):
        with pytest.raises(SystemExit) as ended:
            cli.main(["extract", "--source", str(CASES / case), "--owner", "Sam", "--out", str(tmp_path / "out")])
        assert ended.value.code == 0
        return {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "out").rglob("*") if path.is_file()}

    return run


def training_texts(files):
    named = [files[name] for name in ("train.jsonl", "valid.jsonl", "test.jsonl")]
    return [turn["content"] for text in named for line in text.splitlines() for turn in json.loads(line)["messages"]]


def test_phone_numbers_with_typographic_dashes_are_masked(extract):
    files = extract("20-mask-phones-with-u2011/_chat.txt")
    said = "you can reach @\u2068[phone]\u2069 or [phone] or [phone] about it, day "
    assert sum(text.count(said) for text in training_texts(files)) > 20
    everything = re.sub(r"\D", "", "".join(files.values()))
    assert not [digits for digits in ("521234567", "2126647665", "81234567890") if digits in everything]


def test_mentions_by_digits_are_masked(extract):
    files = extract("21-mask-mentions-by-digits/_chat.txt")
    assert sum(text.count("you can reach @[phone] about it, day ") for text in training_texts(files)) > 20
    assert "4915123456789" not in "".join(files.values())


# WhatsApp's own words


@pytest.mark.parametrize(
    "file", sorted((CASES / "03-android-other-languages").glob("*.txt")), ids=lambda file: file.stem
)
def test_whatsapp_words_of_many_languages_are_not_text(file):
    table = read_messages(file, "whatsapp", me=["Sam", "Ada"])
    expected = file.with_suffix(".right").read_text(encoding="utf-8").splitlines()
    found = [f'text: "{text}"' if kind == "text" else kind for kind, text in rows(table, "kind", "text")]
    assert found == expected


def test_null_is_what_android_writes_for_calls():
    table = read("04-android-null/WhatsApp Chat with Ada.txt")
    assert rows(table, "text", "kind") == [
        ["hey there", "text"],
        ["null", "system"],
        ["null", "system"],
        ["hello you", "text"],
    ]


@pytest.mark.parametrize(
    "case, expected",
    [
        ("tr", ["bak [photo]", "ekte [photo]"]),
        ("zh", ["好看 [photo]", "看\n[photo]"]),
    ],
)
def test_caption_before_the_mark_of_an_iphone(case, expected):
    table = read(f"06-iphone-caption-before-mark/{case}/_chat.txt")
    assert table.loc[table["is_owner"], "text"].tolist() == expected
    assert set(table.loc[table["is_owner"], "kind"]) == {"attachment"}


def test_notices_without_direction_marks():
    table = read("09-iphone-without-lrm/_chat.txt")
    assert table["kind"].tolist() == ["system", "text", "text", "system"]


def test_attachment_of_an_old_iphone():
    table = read("16-old-iphone-attachment/_chat.txt")
    assert rows(table, "text", "kind")[1] == ["[photo]", "attachment"]


# Messages that run into each other, forms of dates


def test_byte_order_mark_before_a_later_header():
    table = read("08-bom-before-a-later-header/WhatsApp Chat with Ada.txt")
    assert rows(table, "sender", "text") == [["Ada", "one"], ["me", "two"], ["Ada", "three"], ["me", "four"]]


@pytest.mark.parametrize("order, day", [("dmy", "2024-09-02"), ("mdy", "2024-02-09")])
def test_date_order_decides_only_the_file_that_leaves_it_open(order, day):
    table = read("02-folder-mixed-date-orders", date_order=order)
    first = {name: str(days.min().date()) for name, days in table.groupby("conversation")["timestamp"]}
    assert first == {"Ada": "2024-09-13", "Bea": "2024-09-13", "Cy": day} and len(table) == 18


def test_folder_with_one_open_file_asks_for_that_file():
    refused(lambda: read("02-folder-mixed-date-orders"), "with Cy.txt", "ambiguous", "DATE_ORDER=dmy")


@pytest.mark.parametrize("file", sorted((CASES / "11-headers-refused").iterdir()), ids=lambda file: file.stem)
def test_forms_of_date_lines(file):
    table = read_messages(file, me=["Sam"])
    day = "2024-09-27" if file.stem in ("bg", "bg-iphone", "uz") else "2024-09-13"
    assert rows(table, "sender", "text") == [["Ada", "one two"], ["me", "three four"]]
    assert [f"{time:%Y-%m-%d %H:%M}" for time in table["timestamp"]] == [f"{day} 17:45", f"{day} 17:46"]


def test_buddhist_years():
    table = read("12-thai-year/WhatsApp Chat with Ada.txt")
    assert [f"{time:%Y-%m-%d}" for time in table["timestamp"][::2]] == ["2024-09-13", "2024-09-14", "2024-09-15"]
    assert set(table["kind"]) == {"text"} and "Buddhist: 2567 was read as 2024" in " ".join(table.attrs["notes"])


# Tables


@pytest.mark.parametrize("file", sorted((CASES / "14-table-dates").iterdir()), ids=lambda file: file.stem)
def test_dates_of_a_table_that_leave_no_doubt(file):
    table = read_messages(file, me=["Sam"])
    assert set(table["kind"]) == {"text"} and len(table) == 20
    assert [f"{time:%Y-%m-%d %H:%M}" for time in table["timestamp"]] == [f"2024-09-13 10:{n:02d}" for n in range(20)]
    no_zone = "have no time zone" in " ".join(table.attrs["notes"])
    assert no_zone == (file.stem in ("iso-12h", "slash", "us"))


# Other apps, and folders as they come


@pytest.mark.parametrize("source", ["export", "export/main.jsonl"])
def test_signals_own_export(source):
    table = read(f"01-signal-official-json/{source}", me=())
    assert rows(table, "conversation", "sender", "kind", "text") == [
        ["Ada L", "Ada L", "text", "are you coming?"],
        ["Ada L", "me", "text", "yes, at eight"],
        ["Ada L", "Ada L", "system", ""],
        ["Ada L", "Ada L", "unsent", ""],
        ["group:Climbers", "Ada L", "attachment", "[photo]"],
        ["group:Climbers", "me", "attachment", "[attachment]"],
    ]
    assert table["is_group"].tolist() == [False] * 4 + [True] * 2
    assert [f"{time:%Y-%m-%d %H:%M:%S}" for time in table["timestamp"][:2]] == [
        "2026-01-01 00:00:00",
        "2026-01-01 00:01:00",
    ]
    assert table["reply_to"].tolist() == [None, table["message_id"][0], None, None, None, None]


@pytest.mark.parametrize("folder", ["several", "renamed"])
def test_telegram_exports_in_a_folder(folder):
    table = read(f"13-telegram-folders/{folder}", me=())
    assert rows(table, "conversation", "sender", "text") == [
        ["Ada", "Ada", "hey"],
        ["Bea", "Bea", "hey"],
        ["Ada", "me", "hello you"],
        ["Bea", "me", "hello you"],
    ]


@pytest.mark.parametrize("source", ["messenger", "messenger/message_1.json"])
def test_messenger(source):
    table = read(f"17-json-of-other-apps/{source}")
    assert rows(table, "conversation", "sender", "text") == [["Ada", "Ada", "hey"], ["Ada", "me", "hello"]]


@pytest.mark.parametrize("source", ["whatsapp-chat-exporter", "whatsapp-chat-exporter/result.json"])
def test_whatsapp_chat_exporter(source):
    refused(lambda: read(f"17-json-of-other-apps/{source}"), "no message by its owner", "Ada (1)")


@pytest.mark.parametrize(
    "source, app",
    [
        ("sigtop", "sigtop"),
        ("sigtop/Ada (+15550001111).json", "sigtop"),
        ("slack", "Slack"),
        ("slack/general/2024-09-13.json", "Slack"),
    ],
)
def test_nobody_is_sent_to_an_app_that_they_never_used(source, app):
    refused(
        lambda: read(f"17-json-of-other-apps/{source}"), f"JSON of {app}", "conversation, sender, timestamp and text"
    )
    with pytest.raises(StudyError) as caught:
        read(f"17-json-of-other-apps/{source}")
    assert not re.search("Export again|Telegram Desktop|DiscordChatExporter", str(caught.value))


def test_suffix_in_capitals():
    assert rows(read("18-upper-case-suffix/CHAT.TXT"), "sender", "text") == [["Ada", "one"], ["me", "two"]]
    assert read("18-upper-case-suffix").equals(read("18-upper-case-suffix/CHAT.TXT"))


@pytest.mark.parametrize("suffix", [".CSV", ".Tsv", ".JSONL", ".Parquet"])
def test_tables_with_a_suffix_in_capitals(tmp_path, suffix):
    rows_of_table = [{"conversation": "Ada", "sender": "Sam", "timestamp": "2024-09-13T10:00", "text": "a, b"}]
    file, frame = tmp_path / f"chat{suffix}", pandas.DataFrame(rows_of_table)
    if suffix == ".Parquet":
        frame.to_parquet(file)
    elif suffix == ".JSONL":
        frame.to_json(file, orient="records", lines=True)
    else:
        frame.to_csv(file, index=False, sep="\t" if suffix == ".Tsv" else ",")
    assert read_messages(file, me=["Sam"])["text"].tolist() == ["a, b"]


def test_text_and_database_of_another_app_are_not_called_whatsapp_or_messages(tmp_path):
    (tmp_path / "notes.txt").write_text("[LINE] Chat history with Ada\n2024/09/13(Fri)\n10:00\tAda\they\n")
    refused(lambda: read_messages(tmp_path / "notes.txt"), "If WhatsApp wrote it", "docs/sources.md")
    with closing(sqlite3.connect(tmp_path / "msgstore.db")) as database:
        database.execute("CREATE TABLE messages (text)")
    refused(lambda: read_messages(tmp_path / "msgstore.db"), "If you use Messages", "docs/sources.md")
