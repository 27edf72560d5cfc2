"""Written Apple Messages archives, read back by two other readers."""

import sqlite3
from datetime import UTC, datetime

import imessage_chatdb
import pytest
import typedstream
from ftstudy.demo import apple_messages
from hypothesis import example, given, settings, strategies


@settings(deadline=None)
@given(strategies.text(strategies.characters(exclude_categories=["Cs"])), strategies.booleans())
@example("", False)
@example("a+\x00\x84\x86NSString", True)
@example("🤷🏽‍♀️ e\u0301\r\n", True)
@example("x" * 127, False)
@example("x" * 128, False)
@example("ü" * 16384, True)
@example("x" * 32767, False)
@example("x" * 65536, True)
def test_both_readers_decode_a_body(text, mutable):
    body = apple_messages.attributed_body(text, mutable)
    assert imessage_chatdb.extract_text(body) == (text or None)
    parsed = imessage_chatdb.parse_attributed_body(body)
    assert parsed.text == text
    oracle = typedstream.unarchive_from_data(body)
    string, run, attributes = oracle.contents
    assert string.value.value == text
    assert run.values == [1, len(text.encode("utf-16-le")) // 2]
    assert oracle.clazz.name == (b"NSMutable" if mutable else b"NS") + b"AttributedString"
    ((key, value),) = attributes.value.contents.items()
    assert (key.value, value.value) == ("__kIMMessagePartAttributeName", 0)


@pytest.mark.parametrize(
    "length, form",
    [(0x7F, "7f"), (0x80, "818000"), (0x7FFF, "81ff7f"), (0x8000, "8200800000"), (0x12345, "8245230100")],
)
def test_three_forms_of_a_length(length, form):
    assert bytes.fromhex("2b" + form) + b"x" * length in apple_messages.attributed_body("x" * length)


def test_failed_write_keeps_the_old_file(tmp_path):
    row = {"chat": "+12125550111", "sender": None, "time": datetime(2024, 1, 1, tzinfo=UTC), "text": "a"}
    path = apple_messages.write_chat_db([row], tmp_path / "chat.db")
    before = path.read_bytes()
    with pytest.raises(sqlite3.Error):
        apple_messages.write_chat_db([row, row | {"columns": {"no_such_column": 1}}], path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
