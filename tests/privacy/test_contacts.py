"""Address books from phones, Google and Outlook, applied to messages tables."""

import base64
from datetime import UTC, datetime

import pytest
from conftest import refused
from ftstudy.privacy import contacts
from ftstudy.sources import check, make_table
from hypothesis import given, strategies

START = int(datetime(2024, 5, 1, tzinfo=UTC).timestamp()) * 1_000_000
ANNA = {"name": "Anna", "given": "Anna", "family": "", "nicknames": [], "addresses": ["+1 (212) 555-0101"]}


def card(*lines, version="3.0"):
    return "\r\n".join(["BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD", ""])


@pytest.fixture
def load(tmp_path):
    def write_and_load(content, name="contacts.vcf"):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return contacts.load(file)

    return write_and_load


def contact(name, *addresses):
    return {"name": name, "given": "", "family": "", "nicknames": [], "addresses": list(addresses)}


def messages(*chats, group=()):
    """For each chat a message and an answer, and one message from each sender in the group."""
    rows = [(chat, False, sender) for chat in chats for sender in (chat, "me")]
    rows += [("Team", True, sender) for sender in group]
    return make_table(
        (
            {
                "conversation": chat,
                "is_group": is_group,
                "sender": sender,
                "is_owner": sender == "me",
                "timestamp": START + number,
                "text": f"text {number}",
                "kind": "text",
                "message_id": str(number),
                "reply_to": None,
            }
            for number, (chat, is_group, sender) in enumerate(rows)
        ),
        {"a broken line": {"count": 2, "examples": ["x"]}},
        ["a note"],
    )


# --- vCards


def test_cards_with_names_nicknames_phones_and_addresses(load):
    found = load(
        card(
            "N:Schmidt;Anna;Maria;Dr.;",
            "FN:Anna Schmidt",
            "NICKNAME:Anni,Ännchen",
            "TEL;type=CELL:+1 (212) 555-0101",
            "EMAIL;type=INTERNET:Anna@example.org",
        )
        + card("FN:Ben")
    )
    assert found[0] == {
        "name": "Anna Schmidt",
        "given": "Anna",
        "family": "Schmidt",
        "nicknames": ["Anni", "Ännchen"],
        "addresses": ["+1 (212) 555-0101", "Anna@example.org"],
    }
    assert [one["name"] for one in found] == ["Anna Schmidt", "Ben"]


@pytest.mark.parametrize(
    "lines, version, name, addresses",
    [
        (["FN:Anna Maria Schm", " idt", "TEL:2125550101"], "3.0", "Anna Maria Schmidt", ["2125550101"]),
        (["FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3=B6rg=", "=20M=C3=BCller"], "2.1", "Jörg Müller", []),
        (["FN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:Ren=E9"], "2.1", "René", []),
        (["N:Schmidt;Anna;;;", "TEL;CELL;PREF:2125550101"], "2.1", "Anna Schmidt", ["2125550101"]),
        (["FN:A", "item1.TEL:+12125550101", "item1.X-ABLabel:_$!<Home>!$_"], "3.0", "A", ["+12125550101"]),
        (["FN:A", "TEL;VALUE=uri;TYPE=cell:tel:+1-212-555-0101;ext=5"], "4.0", "A", ["+1-212-555-0101"]),
        (["FN:A", "TEL;VALUE=uri:tel:+1-212-555-0101"], "4.0", "A", ["+1-212-555-0101"]),
        (["FN:A", "EMAIL:mailto:a@example.org"], "4.0", "A", ["a@example.org"]),
        (["FN:Schmidt\\, Anna"], "3.0", "Schmidt, Anna", []),
        (["N:;;;;", "ORG:Acme;Sales", "TEL:2125550101"], "3.0", "Acme", ["2125550101"]),
        (["FN:A", "this is no line", "", "TEL:2125550101"], "3.0", "A", ["2125550101"]),
        (["FN:A", "NOTE;CHARSET=none;ENCODING=QUOTED-PRINTABLE:=41", "TEL:2125550101"], "2.1", "A", ["2125550101"]),
    ],
)
def test_forms_of_a_card(load, lines, version, name, addresses):
    (found,) = load(card(*lines, version=version))
    assert (found["name"], found["addresses"]) == (name, addresses)


def test_given_names_are_joined_by_a_space(load):
    assert load(card("N:Schmidt;Anna,Lena;;;", "FN:A S"))[0]["given"] == "Anna Lena"


def test_picture_in_a_card_is_ignored(load):
    picture = base64.b64encode(b"BEGIN:VCARD" * 500).decode()
    lines = ["PHOTO;ENCODING=b;TYPE=JPEG:" + picture[:60], *(f" {picture[n : n + 70]}" for n in range(60, 6000, 70))]
    assert load(card("FN:Anna", *lines, "TEL:2125550101")) == [contact("Anna", "2125550101")]


def test_card_without_name_is_left_out_and_counted(load):
    with pytest.warns(UserWarning, match="1 of 2 contacts"):
        assert [one["name"] for one in load(card("TEL:2125550101") + card("FN:Ben"))] == ["Ben"]


def test_truncated_vcard_keeps_what_is_there(load):
    with pytest.warns(UserWarning, match="1 of 3 contacts"):
        found = load(card("FN:Anna") + "BEGIN:VCARD\r\nVERSION:3.0\r\n" + "BEGIN:VCARD\r\nFN:Ben\r\nTEL:21255")
    assert [one["name"] for one in found] == ["Anna", "Ben"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_common_encodings(load, encoding):
    assert load(card("FN:Jörg").encode(encoding))[0]["name"] == "Jörg"


@given(strategies.binary(max_size=300))
def test_junk_in_a_card(tmp_path_factory, junk):
    file = tmp_path_factory.mktemp("junk") / "contacts.vcf"
    inside = junk.replace(b"\n", b"").replace(b"\r", b"")
    file.write_bytes(card("FN:Anna").encode() + b"BEGIN:VCARD\r\nFN:Ben\r\n" + inside + b"\r\nEND:VCARD\r\n")
    assert "Anna" in [one["name"] for one in contacts.load(file)]


# --- CSV


def test_google_csv_with_several_values_in_a_cell(load):
    found = load(
        "First Name,Middle Name,Last Name,Nickname,Organization Name,E-mail 1 - Label,E-mail 1 - Value,"
        "Phone 1 - Label,Phone 1 - Value,Phone 2 - Value\r\n"
        'Anna,,Schmidt,Anni,,* ,anna@example.org ::: a@example.com,Mobile,"+1 212-555-0101 ::: 2125550102",2125550103\r\n'
        ",,,,Acme,,,Work,2125550199,\r\n",
        "contacts.csv",
    )
    assert found[0] == {
        "name": "Anna Schmidt",
        "given": "Anna",
        "family": "Schmidt",
        "nicknames": ["Anni"],
        "addresses": ["anna@example.org", "a@example.com", "+1 212-555-0101", "2125550102", "2125550103"],
    }
    assert found[1]["name"] == "Acme" and found[1]["addresses"] == ["2125550199"]


def test_outlook_csv(load):
    (found,) = load(
        "First Name,Last Name,E-mail Address,E-mail 2 Address,E-mail Type,Home Street,Home Phone,Mobile Phone\r\n"
        "Anna,Schmidt,anna@example.org,,SMTP,12 Oak Street,,(212) 555-0101\r\n",
        "contacts.csv",
    )
    assert found["name"] == "Anna Schmidt" and found["addresses"] == ["anna@example.org", "(212) 555-0101"]


def test_csv_rows_with_the_same_name_are_one_contact(load):
    found = load("name,address\nAnna,+12125550101\nBen,ben@example.org\nAnna,anna@example.org\n", "contacts.csv")
    assert found == [contact("Anna", "+12125550101", "anna@example.org"), contact("Ben", "ben@example.org")]


def test_csv_with_semicolons_and_uneven_rows(load):
    found = load("Name;Phone\nAnna;2125550101;;;\nBen\n\n", "contacts.csv")
    assert found == [contact("Anna", "2125550101"), contact("Ben")]


def test_csv_row_without_name_is_counted(load):
    with pytest.warns(UserWarning, match="1 of 2 contacts"):
        load("First Name,Last Name,Phone 1 - Value\nAnna,,2125550101\n,,2125550102\n", "contacts.csv")


# --- refusals


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", ["is empty"]),
        ("hello\nthere\n", ["neither a vCard file nor a CSV", "name,address"]),
        ("Anna,2125550101\n", ["neither a vCard file nor a CSV"]),
        (b"\x89PNG\r\n\x1a\n\x00\x01", ["neither a vCard file nor a CSV"]),
        ("\n\n", ["neither a vCard file nor a CSV"]),
        ("name,address\n", ["no contact with a name"]),
        (card("TEL:2125550101"), ["no contact with a name"]),
        ("name,address\n" + "x" * 200_000, ["not a table of contacts"]),
    ],
)
def test_other_files_are_refused(load, content, words):
    refused(lambda: load(content, "book.txt"), "book.txt", *words)


def test_missing_file_folder_and_denied_file(tmp_path, monkeypatch):
    refused(lambda: contacts.load(tmp_path / "none.vcf"), "There is no", "none.vcf")
    refused(lambda: contacts.load(tmp_path), "is a folder")

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.vcf").write_text("x")
    monkeypatch.setattr("os.open", denied)
    refused(lambda: contacts.load(tmp_path / "a.vcf"), "a.vcf cannot be read", "Permission denied")


# --- names for addresses


@pytest.mark.parametrize(
    "written, sent",
    [
        ("+1 (212) 555-0101", "+12125550101"),
        ("2125550101", "+12125550101"),
        ("+12125550101", "2125550101"),
        ("12125550101", "+12125550101"),
        ("212-555-0101", "12125550101"),
        ("1 212 555 0101", "2125550101"),
        ("0176 12345678", "+4917612345678"),
        ("+49 176 12345678", "017612345678"),
        ("+44 (0)20 7946 0123", "+442079460123"),
        ("0049 176 12345678", "+4917612345678"),
        ("12 34 56 78", "+4512345678"),
        ("Anna@Example.org", "anna@example.ORG"),
        ("72933", "72933"),
        ("+1 212 555 0101", "\u202a+1\u00a0(212)\u00a0555\u20110101\u202c"),
    ],
)
def test_forms_of_the_same_address(written, sent):
    table = contacts.apply(messages(sent), [contact("Anna", written)])
    assert table["sender"].tolist() == ["Anna", "me"] and set(table["conversation"]) == {"Anna"}


@pytest.mark.parametrize(
    "written, sent",
    [
        ("+12125550101", "+13125550101"),
        ("+45 12345678", "+4712345678"),
        ("+12125550101", "+4412125550101"),
        ("729330", "+1729330"),
        ("72933", "729331"),
        ("5550101", "+12125550101"),
        ("anna@example.org", "anna@example.com"),
        ("Anna", "Anna S"),
    ],
)
def test_different_addresses(written, sent):
    table = contacts.apply(messages(sent), [contact("Somebody", written)])
    assert table["sender"].tolist() == [sent, "me"]


def test_addresses_of_one_contact_become_one_conversation():
    book = [contact("Anna", "212-555-0101", "anna@example.org")]
    table = contacts.apply(messages("+12125550101", "Anna@example.org"), book)
    assert table["conversation"].unique().tolist() == ["Anna"]
    assert table["sender"].tolist() == ["Anna", "me", "Anna", "me"]


def test_contacts_with_the_same_name_stay_apart():
    book = [contact("Anna", "+12125550101"), contact("Anna", "+12125550102"), contact("Anna (2)", "+12125550103")]
    table = contacts.apply(messages("+12125550101", "+12125550102", "+12125550103"), book)
    assert table["conversation"].unique().tolist() == ["Anna", "Anna (2)", "Anna (2) (2)"]


def test_cards_with_same_name_and_shared_address_are_one_person():
    book = [contact("Anna", "2125550101"), contact("Anna", "+12125550101", "anna@example.org")]
    table = contacts.apply(messages("+12125550101", "anna@example.org"), book)
    assert table["conversation"].unique().tolist() == ["Anna"]


def test_address_shared_by_two_contacts_stays():
    book = [contact("Anna", "2125550101"), contact("Ben", "+12125550101", "ben@example.org")]
    table = contacts.apply(messages("+12125550101", "ben@example.org"), book)
    assert table["conversation"].unique().tolist() == ["+12125550101", "Ben"]


def test_group_keeps_its_name_and_senders_are_renamed():
    table = contacts.apply(messages(group=["+12125550101", "me", "+12125550102"]), [ANNA])
    assert table["sender"].tolist() == ["Anna", "me", "+12125550102"]
    assert table["conversation"].unique().tolist() == ["Team"]


def test_contact_called_like_a_group():
    table = contacts.apply(messages("+12125550101", group=["+12125550101"]), [contact("Team", "+12125550101")])
    assert table.loc[~table["is_group"], "conversation"].unique().tolist() == ["Team (2)"]


def test_contact_called_me_is_not_owner():
    table = contacts.apply(messages("+12125550101"), [contact("me", "+12125550101")])
    assert table["sender"].tolist() == ["me (2)", "me"]


def test_other_columns_stay():
    table = messages("+12125550101", "Ben", group=["Ben"])
    renamed = contacts.apply(table, [ANNA])
    rest = ["is_group", "is_owner", "timestamp", "text", "kind", "message_id", "reply_to"]
    assert renamed[rest].equals(table[rest]) and renamed.dtypes.equals(table.dtypes)
    assert renamed.attrs == table.attrs and table["sender"][0] == "+12125550101"
    check(renamed)


def test_empty_book_and_empty_table():
    assert contacts.apply(messages("+12125550101"), []).equals(messages("+12125550101"))
    assert len(contacts.apply(messages(), [ANNA])) == 0
