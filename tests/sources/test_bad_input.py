"""Files that people pass to `extract` by mistake: a one-paragraph error or a counted skip, never partial output."""

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from ftstudy import cli
from ftstudy.demo.apple_messages import write_chat_db
from ftstudy.sources import READERS, exports, read_messages

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
ANNA = "+12125550111"


def said(number):
    """(who, time, text): Sam's conversations with Anna, six messages a day for a month."""
    for at in range(number):
        yield ("Sam", "Anna")[at % 2 == 0], START + timedelta(days=at // 6, minutes=at % 6), f"message {at}"


def imessage(path, number=200, **first):
    messages = [
        {"chat": ANNA, "sender": None if who == "Sam" else ANNA, "time": when, "text": text}
        for who, when, text in said(number)
    ]
    messages[0] |= first
    return write_chat_db(messages, path / "chat.db")


def whatsapp_text(number=200):
    return "".join(f"[{when:%d.%m.%y, %H:%M:%S}] {who}: {text}\n" for who, when, text in said(number))


def whatsapp(path, number=200):
    (path / "_chat.txt").write_text(whatsapp_text(number), encoding="utf-8")
    return path / "_chat.txt"


def archive(path, number=200):
    with zipfile.ZipFile(path / "chat.zip", "w") as out:
        out.writestr("_chat.txt", whatsapp_text(number))
    return path / "chat.zip"


def telegram(path, number=200):
    messages = [
        {"id": at, "type": "message", "date": f"{when:%Y-%m-%dT%H:%M:%S}", "date_unixtime": str(int(when.timestamp()))}
        | {"from": who, "from_id": "user1" if who == "Sam" else "user2", "text": text}
        for at, (who, when, text) in enumerate(said(number))
    ]
    chat = {"name": "Anna", "type": "personal_chat", "id": 2, "messages": messages}
    (path / "result.json").write_text(json.dumps(chat), encoding="utf-8")
    return path / "result.json"


def rows(number):
    return [
        {"conversation": "Anna", "sender": who, "timestamp": when.isoformat(), "text": text}
        for who, when, text in said(number)
    ]


def jsonl(path, number=200):
    (path / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(number)), encoding="utf-8")
    return path / "chat.jsonl"


def csv(path, number=200):
    lines = [",".join(row.values()) for row in rows(number)]
    (path / "chat.csv").write_text("\n".join(["conversation,sender,timestamp,text", *lines]), encoding="utf-8")
    return path / "chat.csv"


def parquet(path, number=200):
    import pandas

    pandas.DataFrame(rows(number)).to_parquet(path / "chat.parquet")
    return path / "chat.parquet"


def signal(path, number=200):
    (path / "Anna").mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"date": f"{when:%Y-%m-%dT%H:%M:%S}", "sender": "Me" if who == "Sam" else who, "body": text + "  "})
        for who, when, text in said(number)
    ]
    (path / "Anna" / "data.json").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path / "Anna" / "data.json"


def discord(path, number=200):
    messages = [
        {
            "id": str(at),
            "type": "Default",
            "timestamp": when.isoformat(),
            "content": text,
            "author": {"id": str(len(who)), "name": who},
        }
        for at, (who, when, text) in enumerate(said(number))
    ]
    export = {
        "guild": {"id": "0", "name": "Direct Messages"},
        "channel": {"id": "5", "type": "DirectTextChat", "name": "Anna"},
    }
    (path / "anna.json").write_text(json.dumps(export | {"messages": messages}), encoding="utf-8")
    return path / "anna.json"


def signal_desktop(path, number=200):
    lines = [
        {"version": "1", "backupTimeMs": "1"},
        {"recipient": {"id": "1", "self": {}}},
        {"recipient": {"id": "2", "contact": {"profileGivenName": "Anna"}}},
        {"chat": {"id": "3", "recipientId": "2"}},
    ]
    for who, when, text in said(number):
        item = {"chatId": "3", "authorId": "1" if who == "Sam" else "2", "dateSent": str(int(when.timestamp()) * 1000)}
        lines.append({"chatItem": item | {"standardMessage": {"text": {"body": text}}}})
    (path / "main.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path / "main.jsonl"


def meta(path, number=200):
    messages = [
        {"sender_name": who, "timestamp_ms": int(when.timestamp()) * 1000, "content": text}
        for who, when, text in said(number)
    ]
    thread = {"participants": [{"name": "Anna"}, {"name": "Sam"}], "messages": messages[::-1], "title": "Anna"}
    (path / "message_1.json").write_text(json.dumps(thread | {"thread_path": "inbox/anna_1"}), encoding="utf-8")
    return path / "message_1.json"


def whatsapp_json(path, number=200):
    messages = {
        str(at): {"from_me": who == "Sam", "timestamp": when.timestamp(), "key_id": f"K{at}", "data": text}
        for at, (who, when, text) in enumerate(said(number))
    }
    chats = {"12125550111@s.whatsapp.net": {"name": "Anna", "messages": messages}}
    (path / "result.json").write_text(json.dumps(chats), encoding="utf-8")
    return path / "result.json"


def sms(path, number=200):
    lines = [
        f'<sms address="{ANNA}" date="{int(when.timestamp()) * 1000}" type="{2 if who == "Sam" else 1}" body="{text}"'
        ' contact_name="Anna" />\n'
        for who, when, text in said(number)
    ]
    head = "<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>\n<smses>\n"
    (path / "sms.xml").write_text(head + "".join(lines) + "</smses>", encoding="utf-8")
    return path / "sms.xml"


SOURCES = [imessage, whatsapp, archive, telegram, jsonl, csv, parquet, signal, discord]
SOURCES += [signal_desktop, meta, whatsapp_json, sms]
FILES = pytest.mark.parametrize("write", SOURCES, ids=lambda write: write.__name__)


def extract(source, out, capsys, *more):
    """Exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["extract", "--source", str(source), "--owner", "Sam", "--out", str(out), *more])
    return ended.value.code, *capsys.readouterr()


def refused(source, out, capsys, *more):
    """The error paragraph; nothing was written."""
    status, printed, paragraph = extract(source, out, capsys, *more)
    assert status == 2 and printed == "" and not out.exists()
    assert paragraph.startswith("ftstudy: ") and paragraph.count("\n") == 1 and paragraph.rstrip().endswith(".")
    return paragraph


@FILES
def test_every_source_is_recognized_and_extracted(write, tmp_path, capsys):
    status, printed, _ = extract(write(tmp_path), tmp_path / "out", capsys)
    folder = tmp_path / "out" / "raw_style_variable"
    assert status == 0 and "200 messages left  messages in the source" in printed
    rows = [json.loads(line) for name in ("train", "valid", "test") for line in (folder / f"{name}.jsonl").open()]
    assert sorted(row["messages"][-1]["content"] for row in rows) == sorted(f"message {at}" for at in range(1, 200, 2))


@FILES
def test_truncated_file(write, tmp_path, capsys):
    source = write(tmp_path)
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) // 2 + 3])
    if write in (whatsapp, csv, jsonl, signal, signal_desktop):  # these can be read up to the cut
        messages = read_messages(source, me=["Sam"])
        assert 90 <= len(messages) < 110
    else:
        assert source.name in refused(source, tmp_path / "out", capsys)


@FILES
def test_empty_file(write, tmp_path, capsys):
    source = write(tmp_path)
    source.write_bytes(b"")
    assert "empty" in refused(source, tmp_path / "out", capsys)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40,
        b"hello\n" * 500,
        b"{}",
        b"[1, 2",
        b"PK\x03\x04" + b"\0" * 90,
        b"\0" * 9000,
    ],
    ids=["picture", "prose", "object", "broken json", "broken zip", "zeros"],
)
def test_file_of_another_kind(kind, content, tmp_path, capsys):
    for ending in (".db", ".txt", ".zip", ".json", ".jsonl", ".csv", ".parquet", ""):
        source = tmp_path / f"source{ending}"
        source.write_bytes(content)
        assert source.name in refused(source, tmp_path / "out", capsys, "--kind", kind)


@pytest.mark.parametrize("kind", ["auto", *READERS])
def test_missing_file_and_empty_folder(kind, tmp_path, capsys):
    assert "nowhere" in refused(tmp_path / "nowhere.json", tmp_path / "out", capsys, "--kind", kind)
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", tmp_path / "out", capsys, "--kind", kind)


@pytest.mark.parametrize(
    "write", [whatsapp, archive, jsonl, csv, parquet, discord, meta], ids=lambda write: write.__name__
)
def test_missing_owner_error_lists_senders(write, tmp_path, capsys):
    paragraph = refused(write(tmp_path), tmp_path / "out", capsys, "--me", "Alex")
    assert "Alex" in paragraph and "Anna (100)" in paragraph and "Sam (100)" in paragraph and "--me" in paragraph


def test_file_without_read_permission(tmp_path, capsys, monkeypatch):
    source = jsonl(tmp_path)

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", denied)
    assert "Permission denied" in refused(source, tmp_path / "out", capsys)


@pytest.mark.parametrize(
    "write",
    [whatsapp, telegram, jsonl, csv, signal, discord, signal_desktop, whatsapp_json],
    ids=lambda write: write.__name__,
)
def test_invalid_utf8_loses_one_message(write, tmp_path, capsys):
    source = write(tmp_path)
    source.write_bytes(
        source.read_bytes()
        .replace(b"message 7\n", b"mess\xff\xfege 7\n")
        .replace(b'message 7"', b'mess\xff\xfege 7"')
        .replace(b'message 7  "', b'mess\xff\xfege 7  "')
    )
    status, printed, _ = extract(source, tmp_path / "out", capsys)
    assert status == 0 and "        1 removed        199 messages left  unreadable" in printed


@pytest.mark.parametrize("year", [1970, 2200])
@pytest.mark.parametrize(
    "write",
    [imessage, telegram, jsonl, csv, discord, signal, signal_desktop, meta, sms],
    ids=lambda write: write.__name__,
)
def test_impossible_date_loses_one_message(write, year, tmp_path, capsys):
    if write is imessage:
        source = write(tmp_path, time=datetime(year, 1, 2, tzinfo=UTC))
    else:
        source = write(tmp_path)
        first = f"{START:%Y-%m-%dT%H:%M:%S}".encode()
        other = datetime(year, 1, 2, tzinfo=UTC)
        stamp = str(int(START.timestamp())).encode(), str(int(other.timestamp())).encode()
        source.write_bytes(
            source.read_bytes().replace(first, f"{other:%Y-%m-%dT%H:%M:%S}".encode(), 1).replace(*stamp, 1)
        )
    status, printed, _ = extract(source, tmp_path / "out", capsys)
    assert status == 0 and "        1 removed        199 messages left  undated" in printed


@pytest.mark.parametrize(
    "write",
    [imessage, whatsapp, telegram, jsonl, csv, discord, signal, signal_desktop, meta, whatsapp_json, sms],
    ids=lambda write: write.__name__,
)
def test_ten_megabyte_message_loses_one_message(write, tmp_path, capsys):
    if write is imessage:
        source = write(tmp_path, text="x" * 10_000_000)
    else:
        source = write(tmp_path)
        source.write_bytes(source.read_bytes().replace(b"message 0", b"x" * 10_000_000, 1))
    status, printed, _ = extract(source, tmp_path / "out", capsys)
    assert status == 0 and "        1 removed        199 messages left  oversized" in printed


def test_zip_bomb_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(exports, "LARGEST", 1_000_000)
    with zipfile.ZipFile(tmp_path / "chat.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("_chat.txt", b"\0" * 50_000_000)
    assert (tmp_path / "chat.zip").stat().st_size < 100_000
    assert "chat.zip" in refused(tmp_path / "chat.zip", tmp_path / "out", capsys)


def test_zip_with_false_size_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(exports, "LARGEST", 1_000_000)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("_chat.txt", b"\0" * 50_000_000)
    data = held.getvalue().replace((50_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    (tmp_path / "chat.zip").write_bytes(data)
    assert "chat.zip" in refused(tmp_path / "chat.zip", tmp_path / "out", capsys)


def test_failed_extraction_keeps_existing_data(tmp_path, capsys):
    out = tmp_path / "out"
    assert extract(jsonl(tmp_path), out, capsys)[0] == 0
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    status, _, paragraph = extract(jsonl(tmp_path, 3), out, capsys)
    assert status == 2 and "no rows in" in paragraph
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before
