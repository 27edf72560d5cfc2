"""Which country's phone numbers are written without a country code, and how exports write numbers."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import phonenumbers
import pytest
from conftest import refused
from ftstudy import privacy
from ftstudy.privacy import regions
from ftstudy.sources import make_table
from hypothesis import assume, given
from hypothesis import strategies as st


def table(*rows):
    """Rows of (sender, text)."""
    return make_table(
        {
            "conversation": sender,
            "is_group": False,
            "sender": sender,
            "is_owner": False,
            "timestamp": 1_714_560_000_000_000 + number,
            "text": text,
            "kind": "text",
            "message_id": f"id-{number}",
            "reply_to": None,
        }
        for number, (sender, text) in enumerate(rows)
    )


def test_region_is_inferred_from_senders_and_said_in_a_note():
    messages = table(
        ("+91 98765‑43211", "hi"), ("+91 98765 43212", "ruf an"), ("Ann", "call 9876543210, @919876543213")
    )
    masked, counts = privacy.mask(messages, [])
    assert masked["text"][2] == "call [phone], @[phone]" and counts == {"phone": 2}
    (note,) = masked.attrs["notes"]
    assert "numbers of IN, the country of 3 of the 3" in note and "REGION" in note


def test_contacts_and_texts_count_each_number_once():
    book = [{"name": "Ben", "given": "", "family": "", "nicknames": [], "addresses": ["+49 (0)176 12345678"]}]
    messages = table(("Ann", "+33612345678 " * 3), ("Ann", "0049 176 12345679"), ("Ann", "oder 017612345677"))
    masked, _ = privacy.mask(messages, book)
    assert "numbers of DE, the country of 2 of the 3" in masked.attrs["notes"][0]
    assert masked["text"][2] == "oder [phone]"


def test_a_given_region_wins_and_needs_no_note():
    messages = table(("+49 176 12345678", "call 98765 43210"))
    masked, _ = privacy.mask(messages, [], "in")
    assert masked["text"][0] == "call [phone]" and masked.attrs["notes"] == []


def test_without_any_number_the_default_is_used_silently():
    masked, _ = privacy.mask(table(("Ann", "call 2125550101")), [])
    assert masked["text"][0] == "call [phone]" and masked.attrs["notes"] == []


@pytest.mark.parametrize("region", ["XX", "Germany", "49", "D"])
def test_an_unknown_region_is_refused(region):
    refused(lambda: regions.check_region(region), region, "REGION", "DE")


def test_extract_takes_a_region(tmp_path):
    lines = [
        f"[{day:02}/09/2024, 10:{minute:02}:00] {who}: call 98765 4321{minute} about day {day} part {minute}"
        for day in range(1, 25)
        for minute, who in enumerate(("Ada", "Sam", "Ada", "Sam"))
    ]
    (tmp_path / "_chat.txt").write_text("\n".join(lines), encoding="utf-8")
    for region, left in (("IN", False), ("DE", True)):
        command = [
            sys.executable,
            "-m",
            "ftstudy",
            "extract",
            "--source",
            "_chat.txt",
            "--owner",
            "Sam",
            "--out",
            "out",
        ]
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        subprocess.run([*command, "--region", region, "--date-order", "dmy"], check=True, cwd=tmp_path)
        rows = (tmp_path / "out/raw_style_variable/train.jsonl").read_text(encoding="utf-8")
        assert ("98765" in rows) is left and json.loads(rows.splitlines()[0])


MENTIONED = (
    "you can reach @\u2068+972 52\u2011123\u20114567\u2069 or (212) 664\u20117665 or +62 812\u20113456\u20117890"
)
FORMS = {
    "as an iPhone writes it": MENTIONED,
    "with other dashes": MENTIONED.replace("\u2011", "\u2010"),
    "with en dashes": MENTIONED.replace("\u2011", "\u2013"),
    "with narrow spaces": MENTIONED.replace("\u2011", "\u202f"),
    "with no-break spaces": MENTIONED.replace("\u2011", "\u00a0"),
    "by digits": "you can reach @4915123456789 or @123456789012345 or @972521234567",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_numbers_and_mentions_as_apps_write_them_reach_no_row(tmp_path, text):
    lines = [
        f"[{day:02}/09/2024, 10:{5 * part:02}:00] {who}: {text} about it, day {day} part {part}"
        for day in range(10, 30)
        for part, who in enumerate(("+972 52\u2011123\u20114567", "Sam") * 3)
    ]
    (tmp_path / "_chat.txt").write_text("\n".join(lines), encoding="utf-8")
    command = [sys.executable, "-m", "ftstudy", "extract", "--source", "_chat.txt", "--owner", "Sam", "--out", "out"]
    subprocess.run(command, check=True, cwd=tmp_path)
    written = [
        message["content"]
        for split in ("train", "valid", "test")
        for line in (tmp_path / f"out/raw_style_variable/{split}.jsonl").read_text(encoding="utf-8").splitlines()
        for message in json.loads(line)["messages"][1:]
    ]
    said = [line for content in written for line in content.splitlines() if "you can reach" in line]
    assert said and all(line.count("[phone]") == 3 for line in said)
    for file in filter(Path.is_file, (tmp_path / "out").rglob("*")):
        content = re.sub(r"[\W_]", "", file.read_text(encoding="utf-8"))
        assert not any(number in content for number in ("521234567", "2126647665", "62812345", "4915123", "123456789"))


DASHES, SPACES = "-\u2010\u2011\u2012\u2013\u2212", " \u00a0\u202f\u2009"


@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)), st.randoms(use_true_random=False), st.booleans())
def test_numbers_of_every_country_are_masked_in_any_dashes_and_spaces(region, dice, is_international):
    number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    assume(number and len(str(number.national_number)) > 6)  # a few islands have shorter ones
    form = phonenumbers.PhoneNumberFormat
    written = phonenumbers.format_number(number, form.INTERNATIONAL if is_international else form.NATIONAL)
    written = "".join(dice.choice(DASHES if one == "-" else SPACES) if one in "- " else one for one in written)
    text = f"call {{}} or @\u2068{{}}\u2069 {dice.choice(DASHES)} ok"
    spans = privacy.find(text.format(written, written), region=region)
    assert privacy.replace(text.format(written, written), spans) == text.format("[phone]", "[phone]")
