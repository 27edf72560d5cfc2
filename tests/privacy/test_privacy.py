"""What is masked, what is not, and that nothing else in a text or table changes."""

import itertools

import pandas
import pytest
from conftest import cases, messages_table
from ftstudy import privacy, wording
from ftstudy.privacy import contacts
from ftstudy.sources import check, make_table
from hypothesis import given, settings, strategies

from privacy import test_masking_table

MUST = {
    "phone": cases("""
        call me at 212 555 0101 tomorrow | (212) 555-0101 | +1 (212) 555-0101 | +12125550101 | 2125550101
        my number: 212-555-0101. | 212.555.0101 | 555-0123 | +49 176 12345678 | 0176 12345678 | 0176/12345678
        030 1234567 | 06 12 34 56 78 | 06.12.34.56.78 | 0612345678 | 07700 900123 | 020 7946 0123 | 612 34 56 78
        612 345 678 | (11) 91234-5678 | 0049 176 12345678 | +44 (0)20 7946 0123 | +39 06 1234 5678
        text (212)555-0101 or so
    """),
    "email": ["anna.b+x@mail.example.org", "write a@b.co."],
    "link": cases("""
        https://example.org/reset?token=abc | https://user:pw@example.org/ | zoom.us/j/123456789
        https://zoom.us/j/123456789 | https://example.org/d/1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgVE2upms/edit
        www.example.org/a?id=5 | example.org/page?id=5 | (see https://example.org/?a=1).
        https://chat.whatsapp.com/AbCdEfGhIjK | https://example.org/x/550e8400-e29b-41d4-a716-446655440000
        https://meet.google.com/abc-defg-hij | https://wa.me/12125550101
    """),
    "card": cases("""
        4111 1111 1111 1111 | 4111111111111111 | 4111-1111-1111-1111 exp 12/27 | 4111 1111 1111 1111 12/27
        3782 822463 10005 | DE89 3704 0044 0532 0130 00 bitte | GB29NWBK60161331926819
    """),
    "address": cases("""
        12 Oak Street | 1600 pennsylvania ave nw | Hauptstraße 12b | hauptstr. 12 | 12 rue de la Paix
        Calle Mayor 5 | Via Roma 10 | Rua Augusta, 100 | i'm at 350 W 42nd St | 221B Baker Street, Apt 4
        12 bis rue Victor Hugo | Lange Straße 5, 12345 Berlin | 45 elm st | 99 Sunset Blvd. | calle mayor 5
        via roma 10. | 10 Downing Street | Am Bahnhofsplatz 1 | 7 Garden Court | 123 Main St, Springfield, IL 62704
    """),
    "code": cases("""
        Your verification code is 123456 | G-482913 is your Google code | 123-456 is your WhatsApp code
        Your Uber code: 1234 | the door code is 4821 | pin: 4821 | code 482913 | Dein Bestätigungscode lautet 123456
        Votre code de vérification est 123456 | Tu código de verificación es 123456
        Il tuo codice di verifica è 123456 | Seu código de verificação é 123456 | 123456 ist dein Instagram-Code
        OTP 4829 | Use 482913 as your login code | gate code 4821 ok
    """),
}

PEOPLE = [
    {"name": "Sam", "given": "", "family": "", "nicknames": [], "pseudonym": "Sam"},
    {"name": "Alex Doe", "given": "", "family": "", "nicknames": [], "pseudonym": "Sam"},
    {"name": "Anna Maria Schmidt", "given": "Anna", "family": "Schmidt", "nicknames": ["Annchen"]},
    {"name": "Will Turner", "given": "Will", "family": "Turner", "nicknames": []},
    {"name": "Anna Weber", "given": "Anna", "family": "Weber", "nicknames": []},
    {"name": "Dad", "given": "", "family": "", "nicknames": []},
    {"name": "小明", "given": "", "family": "", "nicknames": []},
    {"name": "山田 太郎", "given": "", "family": "", "nicknames": []},
    {"name": "สมชาย", "given": "", "family": "", "nicknames": []},
    {"name": "Ben Work ❤️", "given": "", "family": "", "nicknames": []},
    {"name": "Dr. Möller", "given": "", "family": "", "nicknames": []},
    {"name": "José Núñez", "given": "", "family": "", "nicknames": []},
    {"name": "Jean-Luc O'Brien", "given": "", "family": "", "nicknames": []},
    {"name": "Sam Miller", "given": "Sam", "family": "Miller", "nicknames": []},
    {"name": "X", "given": "X", "family": "", "nicknames": ["7"]},
]
ANNA, ANNA_WEBER, DAD = "Anna Maria Schmidt", "Anna Weber", "Dad"


def masked(text, people=PEOPLE, partner=None, region="US"):
    """The masked text; people are numbered in the order of their mention."""
    return privacy.replace(text, privacy.find(text, privacy.lookup(people), partner, region))


def kinds(text):
    return [kind for _, _, kind, _ in privacy.find(text)]


# --- patterns


@pytest.mark.parametrize("kind, text", [(kind, text) for kind, texts in MUST.items() for text in texts])
def test_private_spans_are_masked(kind, text):
    assert kinds(text) == [kind]
    assert kinds(privacy.replace(text, privacy.find(text))) == []


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Call 212-555-0101, ok?", "Call [phone], ok?"),
        ("(see https://example.org/?a=1).", "(see [link])."),
        ("https://example.org/a_(b)?c=(d)!", "[link]!"),
        ("<https://example.org/?a=1>", "<[link]>"),
        ("a@example.org, b@example.org.", "[email], [email]."),
        ("212-555-0101 212-555-0102", "[phone] [phone]"),
        ("4111 1111 1111 1111 4111 1111 1111 1111", "[card] [card]"),
        ("Your code is 123456.\nDon't share", "Your code is [code].\nDon't share"),
        ("im at 12 Oak Street, come by", "im at [address], come by"),
        ("12 Oak St Apt 4B tonight", "[address] tonight"),
        ("Hauptstraße 12b um 8", "[address] um 8"),
        ("mail anna@example.org or 212 555 0101", "mail [email] or [phone]"),
        ("[phone] and [photo]", "[phone] and [photo]"),
        ("  \n212-555-0101\t ", "  \n[phone]\t "),
        ("the pin for 212-555-0101 is 4821", "the pin for [phone] is [code]"),
    ],
)
def test_only_the_span_is_replaced(text, expected):
    assert masked(text, []) == expected


def test_region_of_numbers_without_country_code():
    text = "call 9876543210 now"
    assert masked(text, [], region="IN") == "call [phone] now" and masked(text, [], region="DE") == text


# --- names


@pytest.mark.parametrize(
    "text, expected",
    [
        ("anna's here", "person1's here"),
        ("ANNA!!", "PERSON1!!"),
        ("Annabelle, Hannah", "Annabelle, Hannah"),
        ("Anna Maria Schmidt and anna schmidt", "Person1 and person1"),
        ("schmidt, Annchen", "person1, Person1"),
        ("annas haus, Annas Haus", "person1s haus, Person1s Haus"),
        ("@Anna @\u2068Anna\u2069", "@Person1 @\u2068Person1\u2069"),
        ("_anna_ *Anna*", "_person1_ *Person1*"),
        ("我和小明去", "我和Person1去"),
        ("我和Anna去", "我和Person1去"),
        ("ไปกับสมชายนะ", "ไปกับPerson1นะ"),
        ("山田太郎と山田 太郎と太郎さん", "Person1とPerson1とPerson1さん"),
        ("小明", "Person1"),
        ("Ben Work ❤️ is at work", "Person1 ❤️ is at work"),
        ("ben", "person1"),
        ("dr. möller, Möller", "person1, Person1"),
        ("José, jose\u0301, jose", "Person1, person1, person1"),
        ("jean-luc o'brien, Jean-Luc", "person1, Person1"),
        ("x X 7", "x X 7"),
        ("https://example.org/anna", "[link]"),
        ("anna@example.org", "[email]"),
        ("anna\nschmidt", "person1\nperson1"),
        ("Person1 saw anna", "Person1 saw person1"),
    ],
)
def test_known_names(text, expected):
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("i will go with Will", "i will go with Person1"),
        ("Will you?", "Will you?"),
        ("ok. Will you?", "ok. Will you?"),
        ("ok\nWill you?", "ok\nWill you?"),
        ("😂 Will do", "😂 Will do"),
        ("I WILL GO", "I WILL GO"),
        ("hi Will", "hi Person1"),
        ("hi, “Will”", "hi, “Person1”"),
        ("@will", "@person1"),
        ("will turner", "person1"),
        ("thanks Dad, my dad", "thanks Person1, my dad"),
        ("Dad?", "Dad?"),
    ],
)
def test_ordinary_words_need_capitals_to_be_names(text, expected):
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("hey alex", "hey sam"),
        ("ALEX DOE", "SAM"),
        ("Alex's", "Sam's"),
        ("hey sam, SAM", "hey sam, SAM"),
        ("Sam Miller", "Person1"),
    ],
)
def test_owner_gets_the_prompt_name(text, expected):
    assert masked(text) == expected


def test_shared_given_name_means_the_partner():
    known = privacy.lookup(PEOPLE)
    for partner, person in ((None, ANNA), (ANNA_WEBER, ANNA_WEBER), (ANNA, ANNA), (DAD, ANNA)):
        ((*_, replacement),) = privacy.find("Anna", known, partner)
        assert replacement == known.pseudonyms.of(person)


PIECES = strategies.sampled_from(
    [text for texts in MUST.values() for text in texts]
    + [text for *_, text, _ in test_masking_table.MUST + test_masking_table.MUST_NOT]
    + cases("""
        anna | Anna | ANNA | Will | will | Schmidt | 小明 | alex | sam | Sam | Miller | Person1 | person2 | [phone]
        [code] | 12 | 555 | 0101
    """)
    + list("@.,:!()-+/1 \n\u200b\u2011\u0301ıßé\ue000\u2068")
)
FREE = strategies.lists(PIECES | strategies.text(max_size=6), max_size=7).flatmap(
    lambda pieces: strategies.sampled_from(["", " ", "\u202f"]).map(lambda between: between.join(pieces))
)


@settings(max_examples=700, deadline=None)
@given(FREE, strategies.sampled_from(["US", *test_masking_table.PHONES]))
def test_masking_keeps_other_text_and_is_idempotent(text, region):
    known = privacy.lookup(PEOPLE + test_masking_table.KNOWN)
    spans = privacy.find(text, known, region=region)
    assert all(0 <= start < end <= len(text) for start, end, *_ in spans)
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(spans))
    once, pieces, last = privacy.replace(text, spans), [], 0
    for start, end, _, replacement in spans:
        pieces += [text[last:start], replacement]
        last = end
    assert once == "".join([*pieces, text[last:]])
    assert privacy.replace(once, privacy.find(once, known, region=region)) == once


# --- what a message is


@pytest.mark.parametrize(
    "text", ["https://example.org/menu", " www.example.org\n", "[link]", "[link] https://a.example/x?y=1"]
)
def test_is_link_only(text):
    assert privacy.is_link_only(text) and privacy.is_link_only(masked(text))


@pytest.mark.parametrize("text", ["", " ", "see https://example.org", "[phone]", "anna@example.org", "hello", "ok."])
def test_is_not_link_only(text):
    assert not privacy.is_link_only(text)


@pytest.mark.parametrize(
    "text",
    cases("""
        Your verification code is 123456 | G-482913 is your Google code | 123-456 is your WhatsApp code
        Your Uber code is 1234. Never share it. | Use 482913 as your login code
        Dein Bestätigungscode lautet 123456 | 123456 ist dein Instagram-Code | Votre code de vérification est 123456
        Votre code est 1234 | Tu código de verificación es 123456 | 123456 es tu código de Uber
        Il tuo codice di verifica è 123456 | Seu código de verificação é 123456
    """)
    + ["<#> 123456 is your code\nabcDEF12345"],
)
def test_is_code_message(text):
    assert privacy.is_code_message(text) and privacy.is_code_message(masked(text))


@pytest.mark.parametrize(
    "text",
    cases("""
        the door code is 4821 | code 404 | i got the verification code | zip code 10001 | your zip code is 10001
        1234
    """)
    + ["i wrote 5000 lines of code", "send me your code", "i like your dress code, 2019 style", "[code]", ""],
)
def test_is_not_code_message(text):
    assert not privacy.is_code_message(text)


def test_is_masked_only():
    assert privacy.is_masked_only(" [phone]\n[email]") and privacy.is_masked_only("[code]")
    for text in ("", " ", "[photo]", "[phone] ok", "Person1"):
        assert not privacy.is_masked_only(text)


def test_is_automated_sender():
    for name in ("729", "72933", "729331", "no-reply@example.org", "DoNotReply@example.org", "noreply+5@example.org"):
        assert privacy.is_automated_sender(name), name
    for name in ("72", "7293310", "AMAZON", "Anna", "anna@example.org", "+12125550101", "me", "reply@example.org"):
        assert not privacy.is_automated_sender(name), name


# --- tables


def table(*rows, skipped=None):
    """Rows of (conversation, sender, text, changes); a conversation in capitals is a group."""
    return make_table(
        (
            {
                "conversation": chat,
                "is_group": chat.isupper(),
                "sender": sender,
                "is_owner": sender == "me",
                "timestamp": 1_714_560_000_000_000 + number,
                "text": text,
                "kind": "text",
                "message_id": f"id-{number}",
                "reply_to": None,
                **(more[0] if more else {}),
            }
            for number, (chat, sender, text, *more) in enumerate(rows)
        ),
        skipped,
        ["a note about Anna"],
    )


def contact(name, given="", family="", *addresses):
    return {"name": name, "given": given, "family": family, "nicknames": [], "addresses": list(addresses)}


def test_each_person_has_one_pseudonym_numbered_by_appearance():
    messages = table(
        ("Ben Stone", "Ben Stone", "hi, did anna call? and Carla"),
        ("Ben Stone", "me", "no Ben"),
        ("TEAM", "Anna Weber", "ben stone?"),
        ("TEAM", "me", "hey anna"),
        ("Anna Weber", "Anna Weber", "carla says hi"),
        ("BAND", "+12125550101", "Dora, Carla"),
    )
    people = privacy.people_of(messages, [contact("Carla Ruiz", "Carla", "Ruiz"), contact("Dora", "Dora")])
    result, counts = privacy.mask(messages, people)
    assert result["conversation"].tolist() == ["Person1", "Person1", "group 1", "group 1", "Person2", "group 2"]
    assert result["sender"].tolist() == ["Person1", "me", "Person2", "me", "Person2", "Person3"]
    assert result["text"].tolist() == cases("""
        hi, did person2 call? and Person4 | no Person1 | person1? | hey person2 | person4 says hi | Person5, Person4
    """)
    assert counts == {"name": 8}
    check(result)


def test_given_name_means_the_chat_partner():
    messages = table(("Anna Berger", "me", "hi anna"), ("Anna Weber", "me", "hi anna"), ("TEAM", "me", "hi anna"))
    result, _ = privacy.mask(messages, privacy.people_of(messages))
    assert result["text"].tolist() == ["hi person1", "hi person2", "hi person1"]


def test_new_numbers_avoid_existing_names():
    messages = table(("group 1", "group 1", "hi"), ("Person1", "me", "hi"), ("TEAM", "Anna", "hi"))
    result, _ = privacy.mask(messages, [])
    assert result["conversation"].tolist() == ["group 1", "Person1", "group 2"] and result["sender"][2] == "Person2"


def test_contacts_with_the_same_name_have_two_pseudonyms():
    book = [contact("Anna", "Anna", "", "+12125550101"), contact("Anna", "Anna", "", "+12125550102")]
    messages = table(("+12125550101", "+12125550101", "hi"), ("+12125550102", "me", "hey anna"))
    named = contacts.apply(messages, book)
    result, _ = privacy.mask(named, privacy.people_of(named, book))
    assert result["conversation"].tolist() == ["Person1", "Person2"] and result["text"][1] == "hey person2"


def test_people_of_a_table():
    messages = table(
        ("Ben", "Ben", "x"),
        ("TEAM", "Anna", "x"),
        ("+12125550101", "me", "x"),
        ("72933", "72933", "x"),
        ("deleted", "unknown", "x"),
    )
    people = privacy.people_of(messages, [contact("Ben", "Benjamin")], owner="Sam", me=("Alex Doe", "Sam"))
    assert [(one["name"], one["given"], one.get("pseudonym")) for one in people] == [
        ("Sam", "", "Sam"),
        ("Alex Doe", "", "Sam"),
        ("Ben", "Benjamin", None),
        ("Anna", "", None),
    ]


def test_owner_names_become_the_prompt_name():
    messages = table(("Ben", "Ben", "hey alex, ALEX DOE and sam"), ("Ben", "me", "Sam here"))
    result, counts = privacy.mask(messages, privacy.people_of(messages, owner="Sam", me=("Alex Doe",)))
    assert result["text"].tolist() == ["hey sam, SAM and sam", "Sam here"]
    assert result["sender"].tolist() == ["Person1", "me"] and counts == {"name": 2}


def test_counts_by_kind():
    messages = table(("Will", "me", "will you? a@example.org b@example.org"), ("Will", "Will", "212-555-0101, will do"))
    _, counts = privacy.mask(messages, privacy.people_of(messages))
    assert counts == {"email": 2, "phone": 1, wording.NOT_MASKED: 2}


def test_counts_are_said_with_counted_nouns():
    said = wording.masked({"name": 5, wording.NOT_MASKED: 1, "phone": 3, "email": 1, "address": 2})
    assert said == (
        "5 names, 3 phone numbers, 1 e-mail address, 2 street addresses; "
        "1 name not masked because it is also an ordinary word"
    )
    assert (
        wording.masked({}) == "nothing"
        and wording.masked({wording.NOT_MASKED: 2}) == f"nothing; 2 {wording.NOT_MASKED}"
    )


def test_short_code_stays_an_automated_sender():
    messages = table(("72933", "72933", "Your code is 1234"), ("Ben", "me", "hi"))
    result, _ = privacy.mask(messages, privacy.people_of(messages))
    assert result["sender"].tolist() == ["automated 1", "me"] and privacy.is_automated_sender(result["sender"][0])
    assert result["conversation"].tolist() == ["automated 1", "Person1"]


def test_identifying_ids_are_hashed_consistently():
    messages = table(
        ("Anna Weber", "Anna Weber", "a", {"message_id": "Anna Weber:1"}),
        ("+12125550101", "+12125550101", "b", {"message_id": "sms/12125550101/2"}),
        ("Anna Weber", "me", "c", {"reply_to": "Anna Weber:1", "message_id": "3F2504E0-4F89-11D3-9A0C-0305E82C3301"}),
        ("Anna Weber", "me", "d", {"reply_to": "3F2504E0-4F89-11D3-9A0C-0305E82C3301"}),
        ("Anna Weber", "me", "e", {"reply_to": "a@example.org-gone"}),
    )
    result, _ = privacy.mask(messages, privacy.people_of(messages))
    ids, replies = result["message_id"].tolist(), result["reply_to"].tolist()
    assert "Anna" not in ids[0] and "12125550101" not in ids[1] and "example.org" not in replies[4]
    assert ids[2:] == messages["message_id"].tolist()[2:]
    assert replies[2:4] == [ids[0], ids[2]] and replies[:2] == [None, None]
    assert privacy.mask(messages, privacy.people_of(messages))[0].equals(result)


def test_other_columns_stay_and_attrs_are_masked():
    skipped = {"a broken line": {"count": 2, "examples": ["212-555-0101 Anna", "x"]}}
    messages = table(("Anna", "Anna", "hi\n there  "), ("Anna", "me", ""), skipped=skipped)
    before = messages.copy(deep=True)
    result, _ = privacy.mask(messages, privacy.people_of(messages))
    rest = ["is_group", "is_owner", "timestamp", "text", "kind", "message_id", "reply_to"]
    assert result[rest].equals(messages[rest]) and result.dtypes.equals(messages.dtypes)
    assert result.attrs["notes"] == ["a note about Person1"]
    assert result.attrs["skipped"] == {"a broken line": {"count": 2, "examples": ["[phone] Person1", "x"]}}
    pandas.testing.assert_frame_equal(messages, before)
    assert messages.attrs["skipped"]["a broken line"]["examples"][0] == "212-555-0101 Anna"


def test_masking_twice_changes_nothing():
    messages = table(
        ("Anna Weber", "Anna Weber", "hi alex, 212-555-0101"),
        ("TEAM", "72933", "anna?"),
        ("a@example.org", "me", "Will"),
    )
    once, _ = privacy.mask(messages, privacy.people_of(messages, owner="Sam", me=("Alex",)))
    twice, counts = privacy.mask(once, privacy.people_of(once, owner="Sam", me=("Alex",)))
    assert twice.equals(once) and counts == {}


def test_empty_table_and_no_names():
    assert len(privacy.mask(table(), [])[0]) == 0
    result, counts = privacy.mask(table(("Anna", "Anna", "anna")), [])
    assert result["sender"].tolist() == ["Person1"] and result["text"].tolist() == ["anna"] and counts == {}


def masked_as(owner, me, others, text):
    people = [{"name": name, "given": "", "family": "", "nicknames": []} for name in (owner, *me, *others)]
    for person in people[: 1 + len(me)]:
        person["pseudonym"] = owner
    return privacy.replace(text, privacy.find(text, privacy.lookup(people)))


@pytest.mark.parametrize(
    "text, masked",
    [
        ("Lena hier, lenas auto", "Lena hier, lenas auto"),  # the owner's own name stays as typed
        ("Frau Hoffmann kam", "Frau Hoffmann kam"),
        ("follow @lena.hoffmann_xo!", "follow @lenahoffmann!"),
        ("@lenahoffmann, LenaHoffmann", "@lenahoffmann, LenaHoffmann"),
        ("@jonasweber, JonasWeber", "@person1, Person1"),
        ("see facebook.com/lena.hoffmann.77.", "see [link]."),
        ("see facebook.com/jonas.weber.77", "see [link]"),
        ("ask @jonas.weber88", "ask @person1"),
        ("thanks Rose, love you Rose", "thanks Person2, love you Person2"),
        ("roses are red, and the rose too", "roses are red, and the rose too"),
        ("hab mit dem Weber geredet", "hab mit dem Person1 geredet"),
    ],
)
def test_handles_and_links_with_names(text, masked):
    # People are numbered in the order of mention, so both are mentioned first.
    written = masked_as(
        "Lena Hoffmann", ["Lena Hoffmann"], ["Jonas Weber", "Rose Miller"], "Jonas Weber\nRose Miller\n" + text
    )
    assert written.removeprefix("Person1\nPerson2\n") == masked


def test_source_file_name_is_masked():
    table = messages_table((0, "Jonas Weber", "hi"))
    table.attrs |= {"source": "WhatsApp Chat mit Jonas Weber.txt", "notes": ["chats/Jonas Weber.txt: read as dmy."]}
    result, _ = privacy.mask(table, privacy.people_of(table))
    assert result.attrs["source"] == "WhatsApp Chat mit Person1.txt"
    assert result.attrs["notes"] == ["chats/Person1.txt: read as dmy."]
