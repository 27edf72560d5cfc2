"""The converters in docs/sources.md turn exports of apps without a reader into tables."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ftstudy.sources import read_messages

DOCS = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
CONVERTERS = dict(re.findall(r"^(Slack|Google Chat|LINE|KakaoTalk), [^\n]*:\n\n```python\n(.*?)```", DOCS, re.M | re.S))


@pytest.fixture
def convert(tmp_path):
    def run(app, source):
        (tmp_path / "convert.py").write_text(CONVERTERS[app], encoding="utf-8")
        command = [sys.executable, "convert.py", str(source)]
        made = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env={"PYTHONUTF8": "1"})
        (tmp_path / "chat.jsonl").write_bytes(made.stdout)
        table = read_messages(tmp_path / "chat.jsonl", me=["Sam"])
        assert set(table["kind"]) == {"text"} and not table["is_group"].any() and table["conversation"].nunique() == 1
        return [
            [f"{time:%Y-%m-%d %H:%M}", *row] for time, *row in table[["timestamp", "sender", "text"]].values.tolist()
        ]

    return run


EXPECTED = [["2024-09-13 10:00", "Ada", "hey there\nyou"], ["2024-09-13 22:01", "me", "안녕 é"]]


def test_every_converter_has_at_most_ten_lines_of_code():
    assert len(CONVERTERS) == 4
    for code in CONVERTERS.values():
        assert len([line for line in code.splitlines() if line.strip() and not line.startswith("import")]) <= 10


def test_slack(convert, tmp_path):
    users = [{"id": "U1", "name": "ada", "real_name": "Ada"}, {"id": "U2", "name": "Sam"}]
    messages = [
        {"user": "U1", "type": "message", "ts": "1726221600.000100", "text": "hey there\nyou"},
        {"user": "U1", "type": "message", "subtype": "channel_join", "ts": "1726221660.000100", "text": "joined"},
        {"user": "U2", "type": "message", "ts": "1726264860.000100", "text": "안녕 é"},
    ]
    (tmp_path / "export" / "general").mkdir(parents=True)
    (tmp_path / "export" / "users.json").write_text(json.dumps(users))
    (tmp_path / "export" / "general" / "2024-09-13.json").write_text(json.dumps(messages))
    assert convert("Slack", "export") == EXPECTED


def test_google_chat(convert, tmp_path):
    messages = [
        {
            "creator": {"name": "Ada"},
            "created_date": "Friday, September 13, 2024 at 10:00:00 AM UTC",
            "text": "hey there\nyou",
        },
        {"creator": {"name": "Ada"}, "created_date": "Friday, September 13, 2024 at 10:00:09 AM UTC"},
        {"creator": {"name": "Sam"}, "created_date": "Friday, September 13, 2024 at 10:01:00 PM UTC", "text": "안녕 é"},
    ]
    (tmp_path / "Google Chat" / "Groups" / "DM 1").mkdir(parents=True)
    (tmp_path / "Google Chat" / "Groups" / "DM 1" / "messages.json").write_text(json.dumps({"messages": messages}))
    assert convert("Google Chat", "Google Chat") == EXPECTED


@pytest.mark.parametrize("day", ["2024/09/13(Fri)", "2024.09.13 金曜日", "2024/9/13（金）"])
def test_line(convert, tmp_path, day):
    text = f"\ufeff[LINE] Chat history with Ada\nSaved on: 2024/10/01 09:00\n\n{day}\n10:00\tAda\they there\nyou\n\n22:01\tSam\t안녕 é\n"
    (tmp_path / "line.txt").write_text(text, encoding="utf-8")
    assert convert("LINE", "line.txt") == EXPECTED


@pytest.mark.parametrize(
    "first, second, day",
    [
        ("2024년 9월 13일 오전 10:00", "2024년 9월 13일 오후 10:01", "2024년 9월 13일 금요일"),
        ("September 13, 2024 10:00 AM", "September 13, 2024 10:01 PM", "September 13, 2024"),
    ],
)
def test_kakaotalk(convert, tmp_path, first, second, day):
    text = f"Ada 님과 카카오톡 대화\n저장한 날짜 : {first}\n\n{day}\n{first}, Ada : hey there\nyou\n{second}, Sam : 안녕 é\n"
    (tmp_path / "kakao.txt").write_text(text, encoding="utf-8")
    assert convert("KakaoTalk", "kakao.txt") == EXPECTED
