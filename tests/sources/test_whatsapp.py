"""Reading WhatsApp exports in all the forms that WhatsApp writes."""

import random
import struct
import zipfile
from datetime import UTC, date, datetime, timedelta

import pytest
from babel import Locale
from babel.dates import format_date, format_time
from conftest import cases, refused, table_or_study_error
from ftstudy.errors import StudyError
from ftstudy.extract import reply_pairs
from ftstudy.sources import COLUMNS, check, date_words, exports, read_messages, whatsapp, written_dates
from ftstudy.sources.whatsapp import messages, phrases
from hypothesis import HealthCheck, example, given, settings, strategies

LRM = "\u200e"
ANDROID, IPHONE = "12/31/23, 9:15 PM - ", "[31.12.23, 21:15:03] "
EVENING = datetime(2023, 12, 31, 21, 15, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_2026(monkeypatch):
    """Some dates depend on what is in the future, so the tests are always in 2026."""
    monkeypatch.setattr(written_dates, "LAST_DAY", date(2026, 1, 1))
    written_dates.readings.cache_clear()
    yield
    written_dates.readings.cache_clear()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "exports"


@pytest.fixture
def read(folder):
    """Write a text as an export and read it back."""

    def write_and_read(text, name="WhatsApp Chat with Anna.txt", me=("Sam",), **more):
        return whatsapp.read(write(folder / name, text), me, **more)

    return write_and_read


@pytest.fixture
def read_one(read):
    """Text and kind of a single message by Anna in an Android or iPhone export."""

    def one(text, head=ANDROID):
        table = read(f"{head}Anna: {text}\n")
        assert len(table) == 1
        return table["text"][0], table["kind"][0]

    return one


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
    return file


def zipped(file, members, **more):
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, **more) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return file


def lines(*messages):
    return "".join(f"{message}\n" for message in messages)


def texts(table):
    return table["text"].tolist()


def kinds(table):
    return table["kind"].tolist()


def noted(table, words):
    return any(words in note for note in table.attrs["notes"])


# Lines


@pytest.mark.parametrize("head, name", [(ANDROID, "WhatsApp Chat with Anna.txt"), (IPHONE, "_chat.txt")])
def test_table_has_documented_columns_and_types(folder, head, name):
    table = read_messages(write(folder / name, lines(f"{head}Anna: hi", f"{head}Sam: hey")), me=("Sam",))
    assert list(table.columns) == COLUMNS
    assert table["sender"].tolist() == ["Anna", "me"] and table["is_owner"].tolist() == [False, True]
    assert set(table["conversation"]) == {"Anna"} and not table["is_group"].any()
    assert table["reply_to"].tolist() == [None, None]
    assert table["timestamp"][0].replace(second=0) == EVENING
    check(table)


@pytest.mark.parametrize(
    "head",
    cases("""
    12/31/23, 9:15 PM - | 12/31/23, 9:15\u202fPM - | 12/31/23, 9:15\u00a0pm - | 31/12/23, 9:15 p.\u00a0m. -
    31/12/2023 9:15 p. m. - | 31/12/2023, 9:15 p.m. - | 31/12/2023, 9:15pm - | 31.12.23, 21:15 - | 31.12.2023 21.15 -
    31-12-2023 21:15 - | 31/12/2023 à 21:15 - | 31. 12. 2023 21:15 - | 2023-12-31, 21:15 - | 2023/12/31, 21:15 -
    2023/12/31 下午9:15 - | 2023. 12. 31. 오후 9:15 - | 31/12/2023, 9:15 μ.μ. - | 2023-12-31 21 h 15 -
    ٣١/١٢/٢٠٢٣، ٩:١٥ م - | \u200f٣١\u200f/١٢\u200f/٢٠٢٣، ٢١:١٥ - | 12/31/23, 9:15:00 PM:
    [31.12.23, 21:15:00] | [12/31/23, 9:15:00\u202fPM] | [31/12/2023, 9:15:00 p.\u00a0m.] | [31/12/2023 21:15:00]
    [31-12-2023 21:15:00] | [2023/12/31 21:15:00] | [2023-12-31, 9:15:00 p.m.] | [31.12.2023 klo 21.15.00]
    \u200e[31.12.23, 21:15:00]
    """),
)
def test_header_forms(read, head):
    table = read(lines(f"{head} Anna: hi", f"{head} Sam: 9:15 PM - no: header"))
    assert table["timestamp"].tolist() == [EVENING] * 2
    assert texts(table) == ["hi", "9:15 PM - no: header"]
    assert table["sender"].tolist() == ["Anna", "me"]


@pytest.mark.parametrize("clock, hour", [("12:05 AM", 0), ("1:05 am", 1), ("12:05 PM", 12), ("11:05 p. m.", 23)])
def test_twelve_hour_clock_at_midnight_and_noon(read, clock, hour):
    assert read(f"12/31/23, {clock} - Anna: hi")["timestamp"][0].hour == hour


def test_seconds_are_kept(read):
    assert read(f"{IPHONE}Anna: hi")["timestamp"][0] == EVENING + timedelta(seconds=3)


def test_other_lines_continue_the_message(read):
    table = read(lines(f"{ANDROID}Anna: one", "two", "", "  three ", f"{ANDROID}Sam: four"))
    assert texts(table) == ["one\ntwo\n\n  three ", "four"]


@pytest.mark.parametrize(
    "line",
    [
        "12/31 we meet",
        "12/31/23 we meet",
        "12/31/23, 9:15 PM",
        "12/31/23, 9:15 PM we meet - ok",
        "45/45/23, 9:15 PM - Anna: no such day",
        "12/31/23, 9:75 PM - Anna: no such minute",
        "12/31/23, 27:15 PM - Anna: no such hour",
        " 12/31/23, 9:15 PM - Anna: after a space",
        "9:15 PM - Anna: hi",
    ],
)
def test_lines_similar_to_a_header_stay_text(read, line):
    assert texts(read(lines(f"{ANDROID}Anna: see", line))) == [f"see\n{line}"]


def test_pasted_header_in_another_form_stays_text_and_is_noted(read):
    pasted = "[30.12.23, 20:00:00] Ben: what a day"
    table = read(lines(f"{ANDROID}Anna: look", pasted, f"{ANDROID}Sam: wow"))
    assert texts(table) == [f"look\n{pasted}", "wow"]
    assert noted(table, "1 lines start with a date in another form")


def test_lines_before_first_header_are_counted(read):
    table = read(lines("junk", "", "more junk", f"{ANDROID}Anna: hi"))
    assert texts(table) == ["hi"]
    assert table.attrs["skipped"] == {
        "a line before the first message": {"count": 2, "examples": ["junk", "more junk"]}
    }


def test_only_crlf_and_lf_end_lines(read):
    odd = "a\u2028b\u2029c\x0bd\x0ce\x85f\x1cg\rh"
    text = f"{IPHONE}Anna: {odd}\r\n{IPHONE}Sam: two\nlines\r\nthree\r\n"
    assert texts(read(text)) == [odd, "two\nlines\nthree"]
    assert texts(read(text.replace("\r\n", "\n"))) == [odd, "two\nlines\nthree"]


@pytest.mark.parametrize("end, text", [("", "hi"), ("\n", "hi"), ("\r\n", "hi"), ("\n\n", "hi\n"), (" \n", "hi ")])
def test_final_newline_of_file_is_not_text(read, end, text):
    assert texts(read(f"{ANDROID}Anna: hi{end}")) == [text]


# Hypothesis also tries phrases from the program; between these characters they are ordinary text.
PLAIN = strategies.builds(
    "".join,
    strategies.tuples(
        strategies.sampled_from(["x", " ", "\n ", "\u00a0"]),
        strategies.text(strategies.characters(exclude_categories=["Cs"], exclude_characters="\r" + LRM), max_size=60),
        strategies.sampled_from(["x", " ", "\n", "\u2028"]),
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.lists(strategies.tuples(PLAIN, strategies.booleans()), min_size=1, max_size=6), strategies.booleans())
@example([("e\u0301 ﬁ \u00a0 \u200d🤷🏽‍♀️\n\n 12/31 \u202a+1\u202c", True), ("", False), ("\n", False)], True)
def test_any_text_round_trips_exactly(folder, written, iphone):
    head = IPHONE if iphone else ANDROID
    text = lines(*(f"{head}{'Sam' if mine else 'Anna'}: {text}" for text, mine in written))
    table = whatsapp.read(write(folder / "_chat.txt", text), ("Sam",))
    assert [text.encode() for text in table["text"]] == [text.encode() for text, _ in written]
    assert table["is_owner"].tolist() == [mine for _, mine in written]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.binary(max_size=200), strategies.sampled_from([b"", ANDROID.encode() + b"Anna: ", b"PK\x03\x04"]))
def test_any_bytes_give_a_table_or_a_study_error(folder, junk, before):
    file = write(folder / "x.txt", before + junk)
    table_or_study_error(lambda: whatsapp.read(file))


def test_invalid_utf8_loses_one_message(read):
    table = read(
        f"{ANDROID}Anna: fine\n".encode() + f"{ANDROID}Anna: br".encode() + b"\xff\n" + f"{ANDROID}Sam: ok".encode()
    )
    assert kinds(table) == ["text", "unreadable", "text"]
    assert texts(table) == ["fine", "br?", "ok"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_mark(read, encoding):
    assert texts(read(f"{ANDROID}Anna: grüß\n".encode(encoding))) == ["grüß"]


def test_ten_megabyte_message_is_oversized(read):
    table = read(lines(f"{ANDROID}Anna: {'<(12/31/23, ' * 900_000}", f"{ANDROID}Sam: ok"))
    assert kinds(table) == ["oversized", "text"]


def test_empty_messages_are_empty(read):
    table = read(lines(f"{ANDROID}Anna: ", f"{ANDROID}Sam:  ", f"{ANDROID}Anna:"))
    assert kinds(table) == ["empty"] * 3
    assert table["sender"].tolist() == ["Anna", "me", "Anna"]


# Attachments and other messages by WhatsApp


@pytest.mark.parametrize(
    "marker",
    cases("""
    <Media omitted> | <Medien ausgeschlossen> | <Médias omis> | <Multimedia omitido> | <Media omessi> | <Mídia oculta>
    <Media weggelaten> | <Без медиафайлов> | \u200evideo omitted | \u200eGIF omitted | \u200eAudio weggelassen
    \u200esticker omis | \u200edocumento omitido | \u200evideo omesso | \u200eáudio ocultado
    \u200eвидео отсутствует
    """),
)
def test_omitted_media_are_attachments(read_one, marker):
    assert read_one(marker) == ("[attachment]", "attachment")
    assert read_one(f"{marker}\nlook\nat it") == ("[attachment]\nlook\nat it", "attachment")


@pytest.mark.parametrize(
    "marker",
    cases("""
        image omitted | Bild weggelassen | image absente | imagen omitida | immagine omessa | imagem ocultada
        afbeelding weggelaten | изображение отсутствует
    """),
)
def test_images_omitted_by_iphone_are_photos(read_one, marker):
    assert read_one(LRM + marker, IPHONE) == ("[photo]", "attachment")
    assert read_one(f"look {LRM}{marker}", IPHONE) == ("look [photo]", "attachment")


@pytest.mark.parametrize(
    "text, expected",
    [
        (f"{LRM}<attached: 00000012-PHOTO-2023-12-31-21-15-03.jpg>", "[photo]"),
        (f"{LRM}<angehängt: 00000012-PHOTO-2023-12-31-21-15-03.jpg>", "[photo]"),
        (f"{LRM}<pièce jointe : 00000012-AUDIO-2023-12-31-21-15-03.opus>", "[attachment]"),
        (f"{LRM}<添付ファイル： 00000012-STICKER-2023-12-31-21-15-03.webp>", "[attachment]"),
        (f"look {LRM}<attached: 00000012-PHOTO-2023.heic>", "look [photo]"),
        (f"{LRM}<attached: 00000012-PHOTO-2023.png>\nlook\nhere", "[photo]\nlook\nhere"),
        (
            f"Report.pdf • {LRM}12 pages {LRM}<attached: 00000012-Report.pdf>",
            f"Report.pdf • {LRM}12 pages [attachment]",
        ),
        (f"{LRM}Report.pdf • {LRM}document omitted", "Report.pdf • [attachment]"),
    ],
)
def test_files_attached_by_iphone(read_one, text, expected):
    assert read_one(text, IPHONE) == (expected, "attachment")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("IMG-20231231-WA0001.jpg (file attached)", "[photo]"),
        (f"{LRM}IMG-20231231-WA0001.jpg (Datei angehängt)", "[photo]"),
        ("IMG-20231231-WA0001.jpg (in some language)", "[photo]"),
        ("PTT-20231231-WA0002.opus (fichier joint)", "[attachment]"),
        ("STK-20231231-WA0003.webp (archivo adjunto)", "[attachment]"),
        ("My (old) report.pdf (file allegato)", "[attachment]"),
        (f"{LRM}Bericht.pdf (in some language)", "[attachment]"),
        ("IMG-20231231-WA0001.jpg (arquivo anexado)\nlook\nhere", "[photo]\nlook\nhere"),
        ("DOC-20231231-WA0006. (bestand bijgevoegd)\nreport.pdf", "[attachment]\nreport.pdf"),
        ("VID-20231231-WA0001.mp4 (файл добавлен)", "[attachment]"),
    ],
)
def test_files_attached_by_android(read_one, text, expected):
    assert read_one(text) == (expected, "attachment")


@pytest.mark.parametrize(
    "text",
    cases("""
        the image omitted nothing | <3 you | see report.pdf (attached) | I omitted the media
        <Media omitted> they said | a<b: 5>c | he said: This message was deleted
        This message was deleted by mistake | null: nothing | poll: who comes? | location: home
        here: https://maps.google.com/?q=52.5,13.4 | missed voice call from you | is WhatsApp end-to-end encrypted?
        <This message was edited> yes | Anna created group chaos | NULL | Null | null. | null and void
    """)
    + ["Plan:\nWhen?\nMonday: fine (1 of us)", "PLAN:\nsee you (at 8)"],
)
def test_text_similar_to_whatsapp_phrases_stays_text(read_one, text):
    assert read_one(text) == (text, "text")
    assert read_one(text, IPHONE) == (text, "text")


def test_null_is_text_on_an_iphone(read_one):
    assert read_one("null", IPHONE) == ("null", "text")


@pytest.mark.parametrize(
    "text",
    cases("""
        This message was deleted | This message was deleted. | You deleted this message
        Diese Nachricht wurde gelöscht. | Du hast diese Nachricht gelöscht. | Ce message a été supprimé
        Se eliminó este mensaje. | Eliminaste este mensaje. | Questo messaggio è stato eliminato | Mensagem apagada
        Dit bericht is verwijderd | Данное сообщение удалено | Вы удалили данное сообщение
    """),
)
def test_deleted_messages_are_unsent(read_one, text):
    assert read_one(text) == (text, "unsent")
    assert read_one(LRM + text, IPHONE) == (text, "unsent")


@pytest.mark.parametrize(
    "mark",
    cases("""
    <This message was edited> | <Diese Nachricht wurde bearbeitet.> | <Ce message a été modifié>
    <Se editó este mensaje.> | <Questo messaggio è stato modificato> | <Mensagem editada> | <Dit bericht is bewerkt>
    \u200e<This message was edited> | \u200e<in some language>
    """),
)
def test_edited_mark_is_removed(read_one, mark):
    assert read_one(f"see  you\n tomorrow  {mark}") == ("see  you\n tomorrow ", "text")
    assert read_one(f"{LRM}<attached: 00000012-PHOTO-2023.jpg> {mark}", IPHONE) == ("[photo]", "attachment")


@pytest.mark.parametrize(
    "text",
    [
        "POLL:\nWho comes?\nOPTION: me (1 vote)",
        "UMFRAGE:\nWer?\nOPTION: ich (1 Stimme)",
        "ENKETO:\nKiam?\nOPCIO: lundo (1 vocxo)\nOPCIO: mardo (0 vocxoj)",
        "アンケート：\nいつ？\n選択肢： 月曜日 (1票)",
        "location: https://maps.google.com/?q=52.5,13.4",
        "Standort: https://maps.google.com/?q=52.5,13.4",
        "Location: A café (Some Street 1): https://foursquare.com/v/5f",
        "live location shared",
    ],
)
def test_polls_and_places_are_apps(read_one, text):
    assert read_one(text) == (text, "app")
    assert read_one(LRM + text, IPHONE) == (text, "app")


@pytest.mark.parametrize(
    "text",
    [
        "Ben.vcf (file attached)",
        f"{LRM}<attached: 00000021-Ben.vcf>",
        f"{LRM}Contact card omitted",
        "Kontaktkarte ausgelassen",
    ],
)
def test_contact_cards_are_apps(read_one, text):
    assert read_one(text) == ("[attachment]", "app")


@pytest.mark.parametrize(
    "text", ["Missed voice call", "Verpasster Videoanruf", "Appel vocal manqué", "Llamada perdida"]
)
def test_calls_are_system_messages(read, read_one, text):
    assert read_one(text) == (text, "system")
    assert read_one(LRM + text, IPHONE) == (text, "system")
    assert kinds(read(ANDROID + text)) == ["system"]


def test_iphone_system_messages_in_any_language(read_one):
    text = "Beszélgetés titkosítva."
    assert read_one(LRM + text, IPHONE) == (text, "system")
    assert read_one(LRM + "hi") == (LRM + "hi", "text")  # Android marks nothing, so it was typed


# Senders and system lines


@pytest.mark.parametrize(
    "line",
    cases("""
        Messages and calls are end-to-end encrypted. Only people in this chat can read them.
        Messages and calls are end-to-end encrypted. Learn more: tap here | Anna changed the subject to "Party: now"
        Anna changed the subject from “A: b” to “C: d” | Anna hat etwas getan mit „Party: jetzt“
        Anna a fait quelque chose avec «Fête: oui» | Anna changed the group description: be nice
        Anna hat die Gruppenbeschreibung geändert: seid nett | Your security code with Ben: Work changed.
        Anna left
    """),
)
def test_android_system_lines_with_colons_have_no_sender(read, line):
    table = read(lines(f"{ANDROID}{line}", f"{ANDROID}Anna: hi", f"{ANDROID}Sam: hey"))
    assert kinds(table) == ["system", "text", "text"]
    assert table["text"][0] == line
    assert set(table["sender"]) == {"WhatsApp", "Anna", "me"}


def test_sender_with_quotation_marks(read):
    table = read(lines(f'{ANDROID}Anna "Nana" Kim: hi', f"{ANDROID}Ben „B“ Li: hi", *[f'{ANDROID}5" Joe: a'] * 3))
    assert table["sender"].tolist() == ['Anna "Nana" Kim', "Ben „B“ Li"] + ['5" Joe'] * 3


def test_dash_in_name_and_colon_in_text(read):
    table = read(lines(f"{ANDROID}Anna - Work: hi - you: there: ok", f"{ANDROID}Sam: note: this"))
    assert table["sender"].tolist() == ["Anna - Work", "me"]
    assert texts(table) == ["hi - you: there: ok", "note: this"]


def test_name_with_colon_needs_five_messages(read):
    table = read(lines(*[f"{ANDROID}Work: Anna: {number}" for number in range(5)], f"{ANDROID}Sam: hm"))
    assert set(table["sender"]) == {"Work: Anna", "me"} and texts(table) == ["0", "1", "2", "3", "4", "hm"]


def test_frequent_words_with_colon_are_not_part_of_name(read):
    table = read(lines(*[f"{ANDROID}Anna: Re: {number}" for number in range(9)], f"{ANDROID}Anna: hi"))
    assert set(table["sender"]) == {"Anna"} and texts(table)[0] == "Re: 0"
    assert set(read(lines(*[f"{ANDROID}Anna: Re: {number}" for number in range(4)]))["sender"]) == {"Anna"}


def test_owner_name_with_colon(read):
    table = read(lines(f"{ANDROID}Sam: Home: hi", f"{ANDROID}Anna: hey"), me=("Sam: Home",))
    assert table["sender"].tolist() == ["me", "Anna"] and texts(table) == ["hi", "hey"]


@pytest.mark.parametrize(
    "sender, me",
    [
        ("Sam", "Sam"),
        ("Sam Lee", "sam lee"),
        ("~\u00a0Sam", "Sam"),
        ("~\u202fSam", "sam"),
        (f"{LRM}Sam", "Sam"),
        ("\u202a+1\u00a0(212)\u00a0555-0111\u202c", "+1 (212) 555-0111"),
        ("Sam", "~ Sam"),
    ],
)
def test_owner_matches_without_marks_case_and_tilde(read, sender, me):
    table = read(lines(f"{ANDROID}{sender}: hi", f"{ANDROID}Anna: hey"), me=("nobody", me))
    assert table["is_owner"].tolist() == [True, False]


def test_exact_owner_name_wins_over_other_case(read):
    table = read(lines(f"{ANDROID}Sam: hi", f"{ANDROID}sam: hey"))
    assert table["sender"].tolist() == ["me", "sam"]


def test_senders_lose_only_direction_marks(read):
    assert (
        read(f"{ANDROID}\u202a+1\u00a0212\u00a0555\u20110111\u202c: hi")["sender"][0]
        == "+1\u00a0212\u00a0555\u20110111"
    )


def test_other_sender_called_me_is_not_owner(read):
    table = read(lines(f"{ANDROID}me: hi", f"{ANDROID}Sam: hey"))
    assert table["sender"].tolist() == ["me (not the owner)", "me"]


def test_missing_owner_error_lists_senders(folder, read):
    text = lines(f"{ANDROID}Anna: hi", f"{ANDROID}Sam: hey")
    assert not read(text, me=())["is_owner"].any()
    file = folder / "WhatsApp Chat with Anna.txt"
    refused(lambda: read_messages(file, me=("Zoe",)), "Anna (1)", "Sam (1)", "no message by Zoe")


# Conversations


@pytest.mark.parametrize(
    "line",
    [
        f"{ANDROID}Anna created group “Team”",
        f"{ANDROID}Anna added Sam",
        f"{ANDROID}Anna hat die Gruppe „Team“ erstellt",
        f"{ANDROID}Anna creó el grupo “Team”",
        f"{IPHONE}Team: {LRM}Anna created group “Team”",
    ],
)
def test_system_lines_reveal_a_group(read, line):
    head = ANDROID if line.startswith(ANDROID) else IPHONE
    table = read(lines(line, f"{head}Anna: hi", f"{head}Sam: hey"), "WhatsApp Chat with Team.txt")
    assert table["is_group"].all() and set(table["conversation"]) == {"group:Team"}


def test_system_lines_with_chat_name_as_sender_do_not_make_a_group(read):
    notice = f"{IPHONE}Anna K: {LRM}Messages and calls are end-to-end encrypted."
    table = read(lines(notice, f"{IPHONE}Anna: hi", f"{IPHONE}Sam: hey"))
    assert set(table["conversation"]) == {"Anna"} and not table["is_group"].any()


@pytest.mark.parametrize(
    "name",
    cases("""
    WhatsApp Chat with Team.txt | WhatsApp Chat with Team (1).txt | WhatsApp Chat - Team.txt | WhatsApp Chat mit Team.txt
    Discussion WhatsApp avec Team.txt | Chat de WhatsApp con Team.txt | Chat WhatsApp con Team.txt
    Conversa do WhatsApp com Team.txt | WhatsApp-chat met Team.txt | Чат WhatsApp с Team.txt
    Чат WhatsApp с контактом Team.txt | Team.txt | WhatsApp Chat - Team/_chat.txt | Team/_chat.txt
    """),
)
def test_chat_name_from_file_or_folder(read, name):
    table = read(lines(f"{ANDROID}Anna: a", f"{ANDROID}Ben: b", f"{ANDROID}Sam: c"), name)
    assert table["is_group"].all() and set(table["conversation"]) == {"group:Team"}


def test_chat_with_only_the_owner_is_named_after_file(read):
    assert set(read(f"{ANDROID}Sam: hello?")["conversation"]) == {"Anna"}


def test_folder_of_exports(folder):
    write(folder / "WhatsApp Chat with Anna.txt", f"{ANDROID}Sam: a")
    zipped(folder / "WhatsApp Chat - Ben.zip", {"_chat.txt": f"{IPHONE}Ben: b"})
    write(folder / "2023" / "WhatsApp Chat with Cid.txt", f"{IPHONE}Cid: c")
    write(folder / "Dan" / "Dan.txt", f"{ANDROID}Dan: d")
    write(folder / "Dan" / "notes.txt", f"{ANDROID}Zoe: a chat that Dan sent")
    write(folder / "2024" / "WhatsApp Chat - Eve" / "_chat.txt", f"{IPHONE}Eve: e")
    zipped(folder / "chat-of-fay", {"_chat.txt": f"{IPHONE}Fay: f"})
    zipped(folder / "essay.docx", {"[Content_Types].xml": "<a/>", "notes.txt": f"{ANDROID}Zoe: not looked at"})
    write(folder / "notes" / "notes.txt", "not looked at")
    write(folder / "._hidden.txt", f"{ANDROID}Zoe: not looked at")
    table = read_messages(folder, me=["Sam"])
    assert dict(zip(table["conversation"], table["text"])) == dict(
        Anna="a", Ben="b", Cid="c", Dan="d", Eve="e", Fay="f"
    )
    assert len(table) == 6


def test_other_text_in_folder_is_left_out_and_noted(folder):
    write(folder / "WhatsApp Chat with Anna.txt", f"{ANDROID}Anna: a")
    write(folder / "notes.txt", "a document that Anna sent")
    table = whatsapp.read(folder)
    assert texts(table) == ["a"] and noted(table, "notes.txt has no WhatsApp messages")


def long_chat(count, name="Anna", since=0):
    start = datetime(2024, 1, 13)
    moments = [start + timedelta(minutes=7 * number) for number in range(since, count)]
    return lines(
        *(f"{t:%d/%m/%Y, %H:%M} - {'Sam' if n % 2 else name}: text {n // 2}" for n, t in enumerate(moments, since))
    )


@pytest.mark.parametrize("since", [0, 30])
def test_later_export_adds_only_new_messages(folder, since):
    write(folder / "WhatsApp Chat with Anna.txt", long_chat(60))
    write(folder / "WhatsApp Chat with Anna (1).txt", long_chat(90, since=since))
    table = whatsapp.read(folder, ("Sam",))
    assert len(table) == 90 and set(table["conversation"]) == {"Anna"}
    assert table.attrs["skipped"]["a second copy of a message"]["count"] == 60 - since


def test_two_people_with_the_same_name_stay_apart(folder):
    wish = "14/01/2024, 00:00 - Anna: happy birthday\n"
    write(folder / "a.txt", long_chat(60) + wish)
    write(folder / "b.txt", long_chat(60).replace("text", "words") + wish)
    table = whatsapp.read(folder, ("Sam",))
    assert table["conversation"].value_counts().to_dict() == {"Anna": 61, "Anna (2)": 61}
    assert table.attrs["skipped"] == {}


def test_same_text_twice_in_a_minute_is_two_messages(read):
    assert texts(read(lines(f"{ANDROID}Anna: ok", f"{ANDROID}Anna: ok"))) == ["ok", "ok"]


def test_message_ids_are_stable(read):
    assert read(long_chat(9))["message_id"].equals(read(long_chat(9))["message_id"])


def test_messages_of_one_minute_keep_file_order(read):
    words = [str(number) for number in random.Random(1).sample(range(1000), 50)]
    assert texts(read(lines(*(f"{ANDROID}Anna: {word}" for word in words)))) == words


# Dates


@pytest.mark.parametrize(
    "written, read_as, note",
    [
        ("03/04/2023 13/04/2023", "2023-04-03 2023-04-13", "day/month/year: 1 cannot be month/day/year; 2 cannot be"),
        ("03/04/2023 03/14/2023", "2023-03-04 2023-03-14", "month/day/year: 1 cannot be day/month/year"),
        # the last of many dates
        ("01/01/2023 02/01/2023 01/02/2023 02/02/2023 25/09/2023", "2023-01-01 2023-01-02 2023-02-01", ""),
        # the order in which time doesn't go back
        ("01/02/2023 05/02/2023 01/03/2023", "2023-02-01 2023-02-05 2023-03-01", "go back in time"),
        ("01/02/2023 01/05/2023 03/01/2023", "2023-01-02 2023-01-05 2023-03-01", "go back in time"),
        ("23/12/30 24/01/02 24/01/31", "2023-12-30 2024-01-02 2024-01-31", ""),
        ("31.12.23", "2023-12-31", "1 cannot be year/month/day"),  # it would be in the future
        ("05/05/2023 06/06/2023", "2023-05-05 2023-06-06", ""),  # the same in both orders
        ("01.02.18 01.02.18", "2018-02-01 2018-02-01", "full stops"),
        ("13/9/2566", "2023-09-13", "Buddhist: 2566 was read as 2023"),
        ("13/9/66", "2023-09-13", "Buddhist: 66 was read as 2023"),
        ("13/9/112", "2023-09-13", "Minguo: 112 was read as 2023"),
    ],
)
def test_order_of_dates_follows_from_the_file(read, written, read_as, note):
    table = read(lines(*(f"{day}, 10:00 - Anna: a" for day in written.split())))
    days = read_as.split()
    assert table["timestamp"].dt.strftime("%Y-%m-%d").tolist()[: len(days)] == days
    assert set(table["kind"]) == {"text"} and noted(table, note)


def test_small_step_back_in_time_decides_nothing(read):
    text = lines("02/03/2023, 10:00 - Anna: a", "02/03/2023, 09:59 - Anna: b", "03/04/2023, 10:00 - Anna: c")
    refused(lambda: read(text), "ambiguous")


def test_two_digit_years_that_leave_the_order_open_are_refused(read):
    refused(lambda: read("24.12.23, 10:00 - Anna: a"), "2023-12-24 (dmy) or 2024-12-23 (ymd)")


@pytest.mark.parametrize("order, day", [("dmy", "2023-04-03"), ("mdy", "2023-03-04")])
def test_ambiguous_dates_need_date_order(read, order, day):
    text = lines("03/04/2023, 10:00 - Anna: a", "05/05/2023, 10:00 - Anna: b")
    refused(
        lambda: read(text),
        *("WhatsApp Chat with Anna.txt", "03/04/2023", "2023-04-03 (dmy)", "2023-03-04 (mdy)"),
        *("DATE_ORDER=dmy", "--date-order dmy"),
    )
    assert read(text, date_order=order)["timestamp"][0].strftime("%Y-%m-%d") == day


def test_dates_without_a_common_order_are_refused(read):
    text = lines("31/12/2023, 10:00 - Anna: a", "12/31/2023, 10:00 - Anna: b")
    refused(lambda: read(text), "no order of", "31/12/2023 is not month/day/year", "12/31/2023 is not day/month/year")


def test_date_not_in_given_order_is_named_with_its_line(read):
    text = lines("1/2/23, 10:00 - Anna: a", "more", "12/31/23, 10:00 - Anna: b")
    refused(lambda: read(text, date_order="dmy"), "line 3", "'12/31/23'", "dmy")


def test_unknown_order_or_zone(read):
    refused(lambda: read(f"{ANDROID}Anna: a", date_order="dym"), "'dym'", "dmy, mdy or ymd")
    refused(lambda: read(f"{ANDROID}Anna: a", time_zone="Mars/Base"), "Mars/Base")


def test_local_time_becomes_utc_and_zone_is_noted(read):
    text = lines("31.07.2023, 12:00 - Anna: a", "31.12.2023, 12:00 - Anna: b")
    table = read(text, time_zone="Europe/Berlin")
    assert [time.hour for time in table["timestamp"]] == [10, 11] and noted(table, "Europe/Berlin")
    assert [time.hour for time in read(text)["timestamp"]] == [12, 12] and noted(read(text), "UTC")


def test_repeated_hour_at_end_of_summer_time_keeps_order(read):
    clocks = ["02:50", "02:10", "02:50", "03:10"]
    text = lines(*(f"29.10.2023, {clock} - Anna: {number}" for number, clock in enumerate(clocks)))
    table = read(text, time_zone="Europe/Berlin")
    assert texts(table) == ["0", "1", "2", "3"]
    assert table["timestamp"].dt.strftime("%H:%M").tolist() == ["00:50", "01:10", "01:50", "02:10"]


@pytest.mark.parametrize("year", ["0001", "1402", "9999"])
def test_impossible_year_is_undated(read, year):
    assert kinds(read(f"{year}-01-01, 00:10 - Anna: a", time_zone="Asia/Tokyo")) == ["undated"]


# Zips


def test_zip_reads_chat_without_media(folder):
    members = {
        "__MACOSX/_chat.txt": "x" * 5000,
        "00000012-notes.txt": "a text that Anna sent " * 100,
        "00000013-PHOTO.jpg": b"\xff" * 99,
        "_chat.txt": f"{IPHONE}Anna: hi\r\n{IPHONE}Ben: hey\r\n",
    }
    table = whatsapp.read(zipped(folder / "WhatsApp Chat - Team.zip", members))
    assert texts(table) == ["hi", "hey"] and set(table["conversation"]) == {"group:Team"}


@pytest.mark.parametrize("name", ["WhatsApp Chat with Team.zip", "download.zip"])
def test_android_zip_gives_chat_name(folder, name):
    text = lines(f"{ANDROID}Anna: hi", f"{ANDROID}Ben: hey")
    table = whatsapp.read(zipped(folder / name, {"WhatsApp Chat with Team.txt": text, "a.txt": "x"}))
    assert set(table["conversation"]) == {"group:Team"}


@pytest.mark.parametrize(
    "name, others",
    [
        ("WhatsApp Chat with Anna.txt", {"a.txt": "a text that Anna sent " * 100}),  # it has its zip's name
        ("b.txt", {"a.txt": "short", "c.txt": "short"}),  # it is the largest
    ],
)
def test_which_text_in_a_zip_is_the_chat(folder, name, others):
    file = zipped(folder / "WhatsApp Chat with Anna.zip", others | {name: lines(f"{ANDROID}Anna: hi")})
    assert texts(whatsapp.read(file)) == ["hi"]


def test_zip_bomb_is_refused(folder, monkeypatch):
    monkeypatch.setattr(exports, "LARGEST", 1000)
    file = zipped(folder / "x.zip", {"_chat.txt": f"{ANDROID}Anna: {'a' * 100_000}"})
    refused(lambda: whatsapp.read(file), "x.zip", "more than 1,000 bytes")


def test_zip_bomb_with_false_size_is_refused(folder, monkeypatch):
    monkeypatch.setattr(exports, "LARGEST", 1000)
    text = f"{ANDROID}Anna: {'a' * 1_000_000}"
    file = zipped(folder / "x.zip", {"_chat.txt": text})
    data = file.read_bytes()
    assert data.count(struct.pack("<L", len(text))) == 2
    write(file, data.replace(struct.pack("<L", len(text)), struct.pack("<L", 100)))
    refused(lambda: whatsapp.read(file), "x.zip", "damaged")


def test_too_large_file_is_refused(folder, monkeypatch):
    monkeypatch.setattr(exports, "LARGEST", 1000)
    refused(lambda: whatsapp.read(write(folder / "x.txt", "a" * 1001)), "x.txt", "1,001 bytes")


def test_encrypted_zip_is_refused(folder):
    file = zipped(folder / "x.zip", {"_chat.txt": f"{ANDROID}Anna: hi"})
    data = bytearray(file.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + place] |= 1
    refused(lambda: whatsapp.read(write(file, bytes(data))), "x.zip", "encrypted", "Unpack")


def test_zip_without_text_is_refused(folder):
    refused(lambda: whatsapp.read(zipped(folder / "x.zip", {"a.jpg": "a", "__MACOSX/b.txt": "b"})), "x.zip", "no .txt")


def test_truncated_zip_is_refused(folder):
    file = zipped(folder / "x.zip", {"_chat.txt": f"{ANDROID}Anna: hi\n" * 50})
    write(file, file.read_bytes()[:60])
    refused(lambda: whatsapp.read(file), "x.zip", "damaged or incomplete")


def test_file_beginning_like_a_zip_is_refused(folder):
    refused(lambda: read_messages(write(folder / "x.txt", "PK is short for something\n")), "x.txt", "damaged")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.lists(strategies.tuples(strategies.integers(0, 400), strategies.integers(0, 255)), max_size=6))
def test_zip_with_changed_bytes_is_read_or_refused(folder, changes):
    data = bytearray(zipped(folder / "x.zip", {"_chat.txt": f"{ANDROID}Anna: hi\n" * 50}).read_bytes())
    for place, value in changes:
        data[place % len(data)] = value
    file = write(folder / "x.zip", bytes(data))
    table_or_study_error(lambda: whatsapp.read(file))


# Other files


@pytest.mark.parametrize("text", ["Dear diary,\n12/31 we met\n", "\n", "[]", "hi\n" * 1000])
def test_error_for_other_text_says_how_to_export(read, text):
    refused(lambda: read(text), "WhatsApp Chat with Anna.txt", "not a chat exported", "Export chat > Without media")


def test_nothing_to_read_is_refused(folder):
    refused(lambda: whatsapp.read(write(folder / "x.txt", "")), "x.txt is empty")
    refused(lambda: whatsapp.read(folder / "y.txt"), "There is no ", "y.txt")
    (folder / "none").mkdir()
    refused(lambda: whatsapp.read(folder / "none"), "The folder", "none", "Export chat")
    write(folder / "none" / "a.txt", "notes")
    refused(lambda: whatsapp.read(folder / "none"), "none", "not a chat exported from WhatsApp")


# Dates in other languages and forms


WHEN = strategies.datetimes(datetime(2013, 1, 1), datetime(2025, 12, 31)).map(
    lambda when: when.replace(second=0, microsecond=0)
)


@settings(max_examples=300, deadline=None)
@given(
    strategies.sampled_from(date_words.LANGUAGES),
    WHEN,
    strategies.sampled_from(["HH:mm", "h:mm a", "hh:mm a", "a h:mm"]),
    strategies.sampled_from(["{day}, {clock}", "{day} {clock}", "{clock}, {day}", "\u200f{day}،\u200f {clock}"]),
)
def test_short_dates_of_every_language_are_read(language, when, clock, both):
    locale = Locale.parse(language)
    text = both.format(day=format_date(when, "short", locale=locale), clock=format_time(when, clock, locale=locale))
    stamp = written_dates.stamp_of(text)
    assert when.date() in written_dates.readings(*stamp.numbers).values(), text
    assert stamp.second == when.hour * 3600 + when.minute * 60, text


@given(strategies.text(max_size=80) | strategies.from_regex(r"[\d /.:,\-apm年]{5,40}", fullmatch=True))
def test_any_text_is_a_date_or_none(text):
    stamp = written_dates.stamp_of(text)
    assert stamp is None or (0 <= stamp.second < 86_400 and written_dates.readings(*stamp.numbers))


@pytest.mark.parametrize(
    "form, head",
    [
        ("<%d~%m~%Y %H|%M>", "<31~12~2023 21|15> "),
        ("%Y %B %d kl. %H.%M -", "2023 December 31 kl. 21.15 - "),
        ("[%m/%d/%y, %I:%M:%S %p]", "\u200e[12/31/23, 9:15:00 PM] "),
        ("%H:%M, %d/%m/%y -", "21:15, 31/12/23 - "),
    ],
)
def test_form_of_a_date_line_by_hand(read, form, head):
    table = read(lines(f"{head}Anna: hi", "more", f"{head}Sam: hey"), date_order=form)
    assert table["timestamp"].tolist() == [EVENING] * 2 and texts(table) == ["hi\nmore", "hey"]


@pytest.mark.parametrize("form", ["%d.%m.%Y", "%d %d %m %Y %H %M", "%Q %d.%m.%y %H:%M", "%H:%M %d.%m"])
def test_wrong_form_of_a_date_line_is_refused(read, form):
    refused(lambda: read(f"{ANDROID}Anna: a", date_order=form), form, "%d, %m, %Y", "DATE_ORDER=")


def test_error_shows_how_the_first_line_begins_but_no_message(read):
    text = lines("2023~12~31 21h15 - Anna: a secret", "another secret")
    refused(lambda: read(text), "begins '2023~12~31 21h15'", "DATE_ORDER=")
    with pytest.raises(StudyError) as caught:
        read(text)
    assert "secret" not in str(caught.value)
    refused(lambda: read("dear diary: a secret\n"), "first line has no date")


def test_file_whose_rows_are_all_undated_is_refused(folder):
    file = write(folder / "chat.txt", lines("1402-01-01, 00:10 - Anna: a", "1402-01-02, 00:10 - Sam: b"))
    refused(lambda: read_messages(file, me=["Sam"]), "no date that can be read", "1402-01-01", "2 messages")


def test_language_of_whatsapp_settles_the_order_of_an_open_file(read):
    notice = "Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt. Niemand außerhalb dieses Chats kann sie lesen."
    text = lines(f"11/02/18, 09:00 - {notice}", "11/02/18, 09:00 - Anna: a", "11/02/18, 09:01 - Sam: b")
    table = read(text, "chat.txt")
    assert table["timestamp"][0].strftime("%Y-%m-%d") == "2018-02-11" and noted(table, "language (de)")


@pytest.mark.parametrize("separator", ".-/")
def test_folder_settles_the_order_of_a_short_chat(folder, separator):
    for number in range(40):
        days = [f"{day:02d}{separator}{1 + number % 12:02d}{separator}11" for day in (1, 2, 1 + number % 28)]
        name = f"WhatsApp Chat with P{number}.txt"
        write(folder / name, lines(*(f"{day}, 09:00 - P{number}: a" for day in days[: 1 + number % 3])))
    write(folder / "WhatsApp Chat with Zoe.txt", lines(f"11{separator}02{separator}11, 09:00 - Zoe: a"))
    table = whatsapp.read(folder)
    assert table.loc[table["sender"] == "Zoe", "timestamp"].iloc[0].strftime("%Y-%m-%d") == "2011-02-11"
    assert noted(table, "Zoe.txt: its 1 dates were read as day/month/year")
    assert noted(table, "full stops" if separator == "." else "other files in the folder")


def test_folder_of_files_that_disagree_settles_nothing(folder):
    write(folder / "a.txt", "31/12/23, 09:00 - Ann: a")
    write(folder / "b.txt", "12/31/23, 09:00 - Ben: a")
    write(folder / "c.txt", "11/02/12, 09:00 - Cid: a")
    refused(lambda: whatsapp.read(folder), "c.txt", "ambiguous")


# Exports put together


def test_two_forms_of_the_clock_in_one_file_are_both_read(read):
    table = read(lines("31/12/2023, 21:15 - Anna: a", "31/12/2023, 21:16 - Sam: b", "31/12/2023, 9:17 PM - Anna: c"))
    assert texts(table) == ["a", "b", "c"] and table["timestamp"].dt.minute.tolist() == [15, 16, 17]


@pytest.mark.parametrize("first", [True, False])
def test_two_exports_put_together_are_refused(read, first):
    android = [f"{day:02d}/01/2024, 10:00 - Anna: {day}" for day in range(13, 28)]
    iphone = [f"[{day:02d}.02.24, 10:00:00] Anna: {day}" for day in range(13, 20)]
    text = lines(*(android + iphone if not first else iphone + android))
    refused(lambda: read(text), "two exports put together", f"line {1 if first else 16}", "7 messages")


def test_conversation_pasted_into_the_last_message_stays_text(read):
    pasted = [f"[20:0{minute}, 12/01/2024] Ben: {minute}" for minute in range(7)]
    said = [f"{day}/01/2024, 10:00 - Anna: {day}" for day in range(13, 25)]
    table = read(lines(*said, *pasted[:1], "25/01/2024, 10:00 - Sam: see", *pasted))
    assert texts(table)[-2:] == ["24\n" + pasted[0], "\n".join(["see", *pasted])] and noted(table, "8 lines start with")


# What comes back word for word


def test_placeholder_of_an_unknown_language_is_recognized_and_counted(read):
    said = [f"{ANDROID}{('Anna', 'Sam')[n % 2]}: {'<Ommitik multimedyo>' if n % 3 else f'hi {n}'}" for n in range(24)]
    table = read(lines(*said))
    assert table["kind"].value_counts().to_dict() == {"placeholder": 16, "text": 8}
    _, funnel = reply_pairs.build(table)
    (step,) = [step for step in funnel if step["step"].startswith("placeholder")]
    assert step["removed"] == 16 and step["examples"] == ["<Ommitik multimedyo>"]


@pytest.mark.parametrize("repeats, senders", [(4, ("Anna", "Sam")), (30, ("Sam",))])
def test_what_one_person_or_nobody_often_repeats_stays_text(read, repeats, senders):
    table = read(lines(*(f"{ANDROID}{senders[n % len(senders)]}: <grins>" for n in range(repeats))))
    assert set(table["kind"]) == {"text"}


def test_mark_of_an_edit_and_of_a_file_in_an_unknown_language(read):
    said = [f"{ANDROID}{('Anna', 'Sam')[n % 2]}: hi {n} <Redaktita mesagxo>" for n in range(8)]
    said += [f"{ANDROID}{('Anna', 'Sam')[n % 2]}: report {n}.pdf (dosiero aldonita)" for n in range(8)]
    said += [f"{ANDROID}Anna: see <this>", f"{ANDROID}Anna: note.pdf (final)"]
    table = read(lines(*said))
    assert texts(table)[:8] == [f"hi {n}" for n in range(8)] and kinds(table)[:8] == ["text"] * 8
    assert texts(table)[8:16] == ["[attachment]"] * 8 and kinds(table)[8:16] == ["attachment"] * 8
    assert texts(table)[16:] == ["see <this>", "note.pdf (final)"] and kinds(table)[16:] == ["text"] * 2


@pytest.mark.parametrize("text", [f"rigardu {LRM}bildo preterlasita", f"rigardu\n{LRM}bildo preterlasita"])
def test_caption_before_an_unknown_mark_of_an_iphone(read_one, text):
    assert read_one(text, IPHONE) == (text.partition(LRM)[0] + "[attachment]", "attachment")
    assert read_one(text) == (text, "text")


# Folders as people have them


@pytest.mark.parametrize(
    "name, packed",
    [(name, True) for name in ("CHAT.TXT", "chat.zip", "chat", "chat.txt", "chat.csv", "chat.json", "chat.bin")]
    + [(name, False) for name in ("CHAT.TXT", "chat", "chat.log", "_CHAT.TXT")],
)
def test_exports_of_any_name_are_recognized(folder, name, packed):
    text = lines(f"{IPHONE}Anna: hi", f"{IPHONE}Sam: hey")
    file = zipped(folder / name, {"_chat.txt": text}) if packed else write(folder / name, text)
    assert read_messages(file, me=["Sam"]).attrs["kind"] == "whatsapp"


def test_unknown_halves_of_the_day_follow_from_the_order_of_messages(read):
    clocks = [("9:10", "matene"), ("12:30", "vespere"), ("5:45", "vespere"), ("12:10", "matene"), ("8:00", "matene")]
    said = [f"{13 + at // 3}.09.2024, {clock} {half} - Anna: {at}" for at, (clock, half) in enumerate(clocks)]
    table = read(lines(*said, "15.09.2024, 8:00 vespere - Sam: 5"))
    assert [f"{time:%H:%M}" for time in table["timestamp"]] == ["09:10", "12:30", "17:45", "00:10", "08:00", "20:00"]
    assert noted(table, "'matene' means AM and 'vespere' PM")


def test_group_notices_under_the_groups_name_without_marks(read):
    notice = f"{IPHONE}Team: Anna added Ben"
    table = read(lines(notice, f"{IPHONE}Anna: hi", f"{IPHONE}Sam: hey"), "WhatsApp Chat - Team/_chat.txt")
    assert kinds(table) == ["system", "text", "text"] and set(table["conversation"]) == {"group:Team"}


def test_short_exports_of_the_same_people_put_together_are_refused(read):
    text = lines("13.09.2024, 10:00 - Anna: a", "13.09.2024, 10:01 - Sam: b", "14.09.2024, 10:01 - Sam: c")
    text += lines("9/15/24, 10:00 AM - Anna: d", "9/15/24, 10:01 AM - Sam: e")
    refused(lambda: read(text), "two exports put together", "line 4", "2 messages")


def test_unknown_halves_of_the_day_that_nothing_settles_are_refused(read):
    said = [f"{13 + at}.09.2024, 9:10 {('matene', 'vespere')[at % 2]} - Anna: {at}" for at in range(6)]
    refused(lambda: read(lines(*said)), "'matene'", "'vespere'", "AM and PM")


def test_unknown_word_in_the_dates_of_a_morning_is_noted(read):
    table = read(lines("13.09.2024, 9:10 vespere - Anna: a", "13.09.2024, 9:11 vespere - Sam: b"))
    assert noted(table, "vespere in its dates is unknown")
    assert not noted(read(lines("13.09.2024 klo 9.10 - Anna: a")), "not known")


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "ja", "tr"])
def test_days_of_the_week_in_dates_are_left_out(read, language):
    locale, first = Locale.parse(language), datetime(2024, 9, 13, 9, 45)
    days = [first + timedelta(days=day, hours=day) for day in range(14)]
    heads = [f"{format_date(day, 'EEE', locale=locale)}, {format_date(day, 'd MMM y', locale='en')}" for day in days]
    table = read(lines(*(f"{head}, {day:%H:%M} - Anna: {day.day}" for head, day in zip(heads, days))))
    assert [f"{time:%Y-%m-%d %H:%M}" for time in table["timestamp"]] == [f"{day:%Y-%m-%d %H:%M}" for day in days]


@pytest.mark.parametrize(
    "table, kind",
    [
        ("photo_omitted", "attachment"),
        ("file_omitted", "attachment"),
        ("card_omitted", "app"),
        ("unsent", "unsent"),
        ("calls", "system"),
        ("live_places", "app"),
        ("waiting", "unreadable"),
    ],
)
def test_every_phrase_is_recognized_as_an_app_writes_it(table, kind):
    for phrase in phrases.PHRASES[table]:
        for written in (phrase, phrase[:1].upper() + phrase[1:], f"{phrase}."):
            assert messages.kind_and_text(written, False)[0] == kind, written
        assert messages.kind_and_text(f"{phrase} she said", False)[0] == "text"
