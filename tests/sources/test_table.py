"""Reading tables with named columns: JSONL, CSV and Parquet."""

import csv
import datetime as dates
import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pandas
import pyarrow
import pytest
from conftest import refused, table_or_study_error
from ftstudy.errors import StudyError
from ftstudy.sources import COLUMNS, check, read_messages, table, table_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HEADER = ["conversation", "sender", "timestamp", "text"]
FORMATS = ["jsonl", "csv", "parquet"]
FREE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def row(text="hello", sender="Anna", minute=0, **more):
    time = (NOON + timedelta(minutes=minute)).isoformat()
    return {"conversation": "Anna", "sender": sender, "timestamp": time, "text": text} | more


def write(file, rows):
    """Write rows with the same keys in the format of the file's suffix."""
    if file.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    elif file.suffix == ".csv":
        with file.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.DictWriter(opened, list(rows[0]), quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(rows)
    else:
        file.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return file


@pytest.fixture
def read(tmp_path):
    def write_and_read(*rows, suffix="jsonl", **more):
        return table.read(write(tmp_path / f"table.{suffix}", list(rows)), **more)

    return write_and_read


@pytest.mark.parametrize("suffix", FORMATS)
def test_table_has_documented_columns_and_types(read, suffix):
    found = check(read(row(), row("hey", "me", 1), suffix=suffix))
    assert list(found.columns) == COLUMNS
    assert found["timestamp"].tolist() == [NOON, NOON + timedelta(minutes=1)]
    assert found["sender"].tolist() == ["Anna", "me"] and found["is_owner"].tolist() == [False, True]
    assert found["message_id"].tolist() == ["Anna#1", "Anna#2"] and found["reply_to"].tolist() == [None, None]
    assert not found["is_group"].any() and set(found["kind"]) == {"text"}
    assert found.attrs == {"skipped": {}, "notes": []}


# A lone carriage return and NUL are text too.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["null", "NA", "007", 'a "b"\r\n,;\t', "\u2028"]
)


@pytest.mark.parametrize("suffix", FORMATS)
@FREE
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=6))
def test_any_text_round_trips_exactly(read, suffix, texts):
    found = read(*(row(text) for text in texts), suffix=suffix)
    assert [text.encode() for text in found["text"]] == [text.encode() for text in texts]


@pytest.mark.parametrize("suffix", FORMATS)
def test_saved_messages_table_is_read_back(read, tmp_path, suffix):
    rows = [
        row(message_id="a", is_owner=False, is_group=False, kind="text", reply_to=None),
        row("", "Sam", 1, message_id="b", is_owner=True, is_group=False, kind="unsent", reply_to="a"),
        row("x", "me", 2, conversation="g", message_id="c", is_owner=True, is_group=True, kind="text", reply_to=None),
        row(minute=3, message_id="d", is_owner=False, is_group=False, kind="text", reply_to=None) | {"timestamp": "?"},
    ]
    first, file = read(*rows), tmp_path / f"saved.{suffix}"
    if suffix == "jsonl":
        first.to_json(file, orient="records", lines=True, date_format="iso", date_unit="us")
    else:
        first.to_csv(file, index=False) if suffix == "csv" else first.to_parquet(file)
    again = read_messages(file)
    pandas.testing.assert_frame_equal(again, first)
    assert again["reply_to"].tolist() == first["reply_to"].tolist() and "undated" in set(again["kind"])


@pytest.mark.parametrize("suffix", FORMATS)
def test_ten_megabyte_message(read, suffix):
    found = read(row("x" * 10_000_000), row("after", minute=1), suffix=suffix)
    assert found["kind"].tolist() == ["oversized", "text"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_missing_columns_are_listed(read, suffix):
    refused(
        lambda: read({"chat": "Anna", "sender": "Anna", "text": "x"}, suffix=suffix),
        "no column conversation and no timestamp",
        "Its columns are chat, sender, text",
        "required are conversation, sender, timestamp, text",
    )


def test_messages_in_the_place_of_names_and_kinds_are_not_quoted(tmp_path, read):
    path = tmp_path / "chat.csv"
    path.write_text("Anna,Sam,2024-05-01T10:00,a secret for you\n", encoding="utf-8")
    with pytest.raises(StudyError, match="None of the 4 names in its first line is known") as without_header:
        read_messages(path, "table")
    path.write_text("text,sender,a secret for you\n", encoding="utf-8")
    with pytest.raises(StudyError, match="Its columns are text, sender, …;") as damaged:
        read_messages(path, "table")
    with pytest.raises(StudyError, match="unknown kind, '…'") as shifted:
        read(row(kind="a secret for you"))
    assert not [error for error in (without_header, damaged, shifted) if "secret" in str(error.value)]


@pytest.mark.parametrize("suffix", FORMATS)
def test_unknown_kind(read, suffix):
    refused(lambda: read(row(kind="poem"), suffix=suffix), "'poem'", "tapback")


def test_empty_kind_follows_the_text(read):
    assert read(row(kind=""), row(" ", kind=None), row("x", kind="forward"))["kind"].tolist() == [
        "text",
        "empty",
        "forward",
    ]


@pytest.mark.parametrize("yes, no", [(True, False), ("yes", "no"), ("TRUE", "FALSE"), (1, 0), ("1", "0"), (1.0, 0.0)])
@pytest.mark.parametrize("sender", ["me", "Sam"])
def test_is_owner_wins_over_sender(read, yes, no, sender):
    found = read(row(sender=sender, is_owner=yes), row(sender=sender, is_owner=no, conversation="Ben"))
    assert found["is_owner"].tolist() == [True, False]
    assert found["sender"].tolist() == ["me", "me (not the owner)" if sender == "me" else "Sam"]


def test_owner_by_name_without_is_owner(read):
    rows = [row(), row(sender="Sam"), row(sender="sam"), row(sender="me"), row(sender="Sam", is_owner=None)]
    assert read(*rows, me=["Sam"])["is_owner"].tolist() == [False, True, False, True, True]


def test_group_has_two_other_senders(read):
    found = read(row(), row(sender="me"), row(conversation="g"), row(sender="Ben", conversation="g"))
    assert found["is_group"].tolist() == [False, False, True, True]


def test_one_group_row_makes_its_conversation_a_group(read):
    rows = [row(is_group=False), row(is_group=True), row(conversation="b", is_group="no")]
    rows += [row(conversation="b", sender="Ben", is_group=None)]
    assert read(*rows)["is_group"].tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    "written, unit",
    [
        (1_714_564_800, "seconds"),
        (1_714_564_800_000, "milliseconds"),
        (1_714_564_800_000_000, "microseconds"),
        (1_714_564_800_000_000_000, "nanoseconds"),
        (1_714_564_800.0, "seconds"),
        (1_714_564_800_000.0, "milliseconds"),
        ("1714564800", "seconds"),
        (" 1714564800000 ", "milliseconds"),
        ("1.7145648e9", "seconds"),
        ("2024-05-01T12:00:00Z", ""),
        ("2024-05-01 14:00:00+02:00", ""),
        ("2024-05-01T12:00:00.000000000+00:00", ""),
        ("2024-05-01 14:00", "Europe/Berlin"),
    ],
)
@pytest.mark.parametrize("suffix", FORMATS)
def test_timestamp_forms_and_notes(read, suffix, written, unit):
    found = read(row() | {"timestamp": written}, suffix=suffix, time_zone="Europe/Berlin")
    assert found["timestamp"].tolist() == [NOON]
    assert len(found.attrs["notes"]) == bool(unit) and unit in "".join(found.attrs["notes"])


def test_fractions_of_a_second_are_kept(read):
    times = ["1714564800.123457", 1714564800.123457, 1714564800123, "2024-05-01T12:00:00.123457+00:00"]
    found = read(*(row() | {"timestamp": time} for time in times))
    assert sorted(found["timestamp"].dt.microsecond) == [123000, 123457, 123457, 123457]


@pytest.mark.parametrize(
    "time",
    [None, "", "soon", True, [], {}, 0, -1, "nan", float("inf"), 10**40, 10**400, -(10**400), "0001-01-01", "1e308"],
)
def test_impossible_timestamp_is_undated(read, time):
    assert read(row() | {"timestamp": time})["kind"].tolist() == ["undated"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "+02:00"])
def test_parquet_timestamps_of_any_unit_and_zone(tmp_path, unit, zone):
    wall = NOON.astimezone(ZoneInfo("Europe/Berlin")).replace(tzinfo=None)
    column = pyarrow.array([NOON if zone else wall, None], pyarrow.timestamp(unit, zone))
    columns = {name: ["a", "b"] for name in ("conversation", "sender", "text")}
    parquet.write_table(pyarrow.table(columns | {"timestamp": column}), tmp_path / "t.parquet")
    found = table.read(tmp_path / "t.parquet", time_zone="Europe/Berlin")
    assert found["timestamp"].tolist()[1] == NOON and found["kind"].tolist() == ["undated", "text"]
    assert len(found.attrs["notes"]) == (zone is None)


@pytest.mark.parametrize(
    "values",
    [
        pyarrow.array([2**62], pyarrow.timestamp("ms", "UTC")),
        pyarrow.array([-(2**62)], pyarrow.timestamp("us")),
        pyarrow.array([Decimal("1.5")]),
        pyarrow.array([dates.time(12)]),
    ],
)
def test_impossible_parquet_timestamps_are_undated(tmp_path, values):
    columns = {name: ["a"] for name in ("conversation", "sender", "text")}
    parquet.write_table(pyarrow.table(columns | {"timestamp": values}), tmp_path / "t.parquet")
    assert table.read(tmp_path / "t.parquet")["kind"].tolist() == ["undated"]


def test_parquet_dates_dictionaries_and_numbers_as_names(tmp_path):
    columns = {
        "conversation": pyarrow.array([7, 7]),
        "sender": pyarrow.array(["Anna", "me"]).dictionary_encode(),
        "timestamp": pyarrow.array([dates.date(2024, 5, 1)] * 2),
        "text": pyarrow.array(["a", None], pyarrow.large_string()),
        "more": pyarrow.array([[1], None]),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    found = table.read(tmp_path / "t.parquet")
    assert found["conversation"].tolist() == ["7", "7"] and found["sender"].tolist() == ["Anna", "me"]
    assert found["text"].tolist() == ["a", ""] and found["kind"].tolist() == ["text", "empty"]
    assert found["timestamp"][0] == NOON.replace(hour=0)


def test_invalid_utf8_in_parquet_loses_one_message(tmp_path):
    texts = pyarrow.array([b"fine", b"bad \xff"]).view(pyarrow.string())
    columns = {"conversation": ["a"] * 2, "sender": ["a"] * 2, "timestamp": [NOON] * 2, "text": texts}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    assert table.read(tmp_path / "t.parquet")["kind"].tolist() == ["text", "unreadable"]


def test_parquet_batches(read, monkeypatch):
    rows = [row(str(number), minute=number) for number in range(25)]
    whole = read(*rows, suffix="parquet")
    monkeypatch.setattr(table_files, "BATCH", 7)
    assert read(*rows, suffix="parquet").equals(whole) and len(whole) == 25


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_delimiters_and_byte_order_marks(tmp_path, delimiter, encoding):
    opened = io.StringIO(newline="")
    csv.writer(opened, delimiter=delimiter).writerows([HEADER, ["Ä", "me", NOON.isoformat(), "a,b;c\td\ne"]])
    (tmp_path / "t.csv").write_bytes(opened.getvalue().encode(encoding))
    found = table.read(tmp_path / "t.csv")
    assert found[["conversation", "text"]].values.tolist() == [["Ä", "a,b;c\td\ne"]]


def test_csv_rows_of_another_length_are_counted(tmp_path):
    (tmp_path / "t.csv").write_text(",".join(HEADER) + f"\n\na,b,{NOON},c\na,b\na,b,{NOON},c,d\n\n")
    found = table.read(tmp_path / "t.csv")
    (entry,) = found.attrs["skipped"].values()
    assert len(found) == 1 and entry == {"count": 2, "examples": ["line 4: a,b", f"line 5: a,b,{NOON},c,d"]}


@pytest.mark.parametrize("end", ['"unfinished\nand more', '"a"b\n'])
def test_csv_with_broken_quotes_names_the_line(tmp_path, end):
    (tmp_path / "t.csv").write_text(",".join(HEADER) + f"\na,b,{NOON},c\na,b,{NOON},{end}")
    refused(lambda: table.read(tmp_path / "t.csv"), "t.csv", "at line")


def test_broken_jsonl_lines_are_counted_with_line_numbers(tmp_path):
    lines = ["", json.dumps(row("one\u2028line"), ensure_ascii=False), "{", "[]", '{"text": "x"}', "[" * 100_000]
    (tmp_path / "t.jsonl").write_text("\r\n".join(lines), encoding="utf-8", newline="")
    found = table.read(tmp_path / "t.jsonl")
    skipped = found.attrs["skipped"]
    assert found["text"].tolist() == ["one\u2028line"]
    assert skipped["a line that is not JSON"]["count"] == 2
    assert skipped["a line that is not JSON"]["examples"][0].startswith("line 3: {")
    assert skipped["a line that is not a JSON object"]["count"] == 1
    assert skipped["without conversation and sender and timestamp"]["examples"][0].startswith("line 5: ")


@pytest.mark.parametrize("text", ["hello\n{\n", "[\n[\n", '[{"text": "x"}]', "\n \n", "5\n"])
def test_jsonl_without_a_readable_line(tmp_path, text):
    (tmp_path / "t.jsonl").write_text(text)
    refused(lambda: table.read(tmp_path / "t.jsonl"), "t.jsonl", "line" if text.strip() else "no row")


@pytest.mark.parametrize("suffix", FORMATS)
def test_missing_empty_and_header_only_files(tmp_path, suffix):
    file = tmp_path / f"t.{suffix}"
    refused(lambda: table.read(file), "There is no ")
    file.touch()
    refused(lambda: table.read(file), "is empty")
    if suffix != "jsonl":
        pandas.DataFrame(columns=HEADER, dtype=object).to_csv(file, index=False) if suffix == "csv" else None
        if suffix == "parquet":
            parquet.write_table(pyarrow.table({name: pyarrow.array([], pyarrow.string()) for name in HEADER}), file)
        refused(lambda: table.read(file), "no row that can be read")


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.99])
def test_truncated_or_foreign_parquet_file(read, tmp_path, keep):
    read(*(row(str(number)) for number in range(1000)), suffix="parquet")
    file = tmp_path / "table.parquet"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * keep)])
    refused(lambda: table.read(file), "table.parquet is not a complete Parquet file")
    file.write_bytes(bytes(len(data) // 2) + data[len(data) // 2 :])
    refused(lambda: table.read(file), "table.parquet is not a complete Parquet file")


def test_unknown_time_zone(read):
    refused(lambda: read(row(), time_zone="Mars/Olympus"), "Mars/Olympus", "tz database")


def test_message_ids_restarting_in_each_conversation(read):
    rows = [row(message_id=1), row(message_id=2, reply_to=1)]
    rows += [one | {"conversation": "Ben"} for one in rows] + [rows[0]]
    found = read(*rows)
    assert found["message_id"].tolist() == ["1", "2", "Ben/1", "Ben/2"]
    assert found["reply_to"].tolist() == [None, "1", None, "Ben/1"]
    assert found.attrs["skipped"]["a second copy of a message"]["count"] == 1


def test_incomplete_rows_are_counted(read):
    bad = [row(conversation=""), row(sender=None), row(5), row(is_owner="perhaps"), row(is_group=[]), row(sender=[])]
    found = read(row(), *bad)
    assert sum(entry["count"] for entry in found.attrs["skipped"].values()) == len(bad)


def test_read_messages_passes_settings_on(tmp_path):
    file = write(tmp_path / "t.csv", [row() | {"timestamp": "2024-05-01 14:00"}])
    assert read_messages(file, me=["Anna"], time_zone="Europe/Berlin")["timestamp"][0] == NOON


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["me", "a?", "a\ud800", "text"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
RECORDS = st.dictionaries(st.sampled_from(HEADER + [*table_files.OPTIONAL]), VALUES).map(lambda junk: row() | junk)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(VALUES | RECORDS, max_size=6))
def test_any_json_gives_a_table_or_a_study_error(read, records):
    table_or_study_error(lambda: read(*records))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text('a,;"\n\r\t\0é').map(lambda text: f"{','.join(HEADER)}\n{text}".encode()))
@pytest.mark.parametrize("suffix", [*FORMATS, "tsv"])
def test_any_bytes_give_a_table_or_a_study_error(tmp_path, suffix, data):
    file = tmp_path / f"t.{suffix}"
    file.write_bytes(data)
    table_or_study_error(lambda: table.read(file))


@pytest.mark.parametrize("date", ["20.02.2024 17:03", "02/20/2024 05:03 PM", "3/4/24, 9:15"])
def test_spreadsheet_dates_are_refused(tmp_path, date):
    path = tmp_path / "chat.csv"
    path.write_text(f'conversation,sender,timestamp,text\nAnna,Sam,"{date}",hi\n', encoding="utf-8")
    with pytest.raises(StudyError, match="ambiguous date"):
        table.read(path, me=["Sam"])


def test_parquet_file_is_read_by_a_new_process(tmp_path):
    file = write(tmp_path / "t.parquet", [row(minute=minute) for minute in range(30_000)])
    code = f"from ftstudy.sources import read_messages; print(len(read_messages({str(file)!r}, me=['Anna'])))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "30000\n", done.stderr
