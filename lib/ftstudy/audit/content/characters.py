"""Characters that don't belong in a text: remains of wrong encodings, control characters, invisible ones."""

import re
import unicodedata
from collections import Counter
from functools import lru_cache

from ..evidence import around, in_rows
from ..findings import Check, Finding
from ..run_inputs import RunInputs

ODD_CHARACTERS = Check(
    "data.odd_characters",
    ("warning", "info"),
    "Text in a wrong encoding (U+FFFD, “â€™”), control or invisible characters; an info for just a few invisible ones.",
    cause="They come from a wrong encoding or a program, not from a person's keyboard, and the model learns to write them.",
    fix="Read the source as UTF-8, remove what nobody typed, and write the rows again.",
    fix_extracted="Read the source as UTF-8, remove what nobody typed, then extract again.",
    bad='{"role": "assistant", "content": "canâ€™t make it"}',
    good='{"role": "assistant", "content": "can’t make it"}',
)
CHECKS = (ODD_CHARACTERS,)

HIDDEN = {"Cc", "Cf", "Zs", "Zl", "Zp"}
# Blank although in other categories: fillers, variation selectors, and the placeholder of a lost attachment.
FILLERS = set("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\ufffc")
FILLERS.update(map(chr, range(0xFE00, 0xFE10)), map(chr, range(0xE0100, 0xE01F0)))
PLAINLY = re.compile("[!-~]")


def check(inputs: RunInputs, chats: dict) -> list[Finding]:
    """The finding on odd characters: an info if there are only a few invisible ones, otherwise a warning."""
    hits, kinds = [], Counter()
    for name, rows in chats.items():
        for number, row in rows:
            places = {}
            for message in row["messages"]:
                text = message["content"]
                # Nearly all texts are plain: a quick test first. An invisible text is an empty one, not an odd one.
                if not (text.isascii() and text.replace("\n", "").replace("\t", "").isprintable()) and visible(text):
                    for kind, place in odd_characters(text).items():
                        places.setdefault(kind, f"{kind}, {message['role']}: {around(text, *place)}")
            if places:
                kinds.update(places.keys())
                hits.append((name, number, "; ".join(places.values())))
    damaged = any(not kind.endswith(("(invisible)", "(a direction mark)")) for kind in kinds)
    few = len(hits) <= FEW_SHARE * sum(map(len, chats.values()))
    title = "with odd characters (" + ", ".join(f"{kind}: {count:,}" for kind, count in kinds.most_common(4)) + ")"
    return in_rows(inputs, ODD_CHARACTERS, "info" if few and not damaged else "warning", hits, title)


def visible(text: str) -> bool:
    """True if a text shows anything."""
    return bool(PLAINLY.search(text)) or any(
        character not in FILLERS and unicodedata.category(character) not in HIDDEN for character in text
    )


CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f]")  # all but tab and line breaks
INVISIBLE = re.compile("[\u200b\u2060\ufeff\ufffc\u00ad]")
DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
# Scripts that are written without spaces use U+200B between words; emoji come with invisible characters.
SPACELESS = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2190-\u2bff\u3000-\u9fff\U0001f000-\U0001faff]")
FEW_SHARE = 0.001  # of the rows: people paste an invisible character now and then


def _byte_as_read(byte: int) -> str:
    """The characters that a UTF-8 byte becomes when read as Windows-1252 or as Latin-1."""
    return re.escape("".join({bytes([byte]).decode("cp1252", "ignore"), chr(byte)}))


NEXT = "[" + "".join(map(_byte_as_read, range(0x80, 0xC0))) + "]"
# UTF-8 read as Windows-1252: “é” becomes “Ã©”, “’” becomes “â€™”, an emoji four characters after “ð”.
MISREAD = re.compile(f"(?:[\u00c2-\u00df]{NEXT}|[\u00e0-\u00ef]{NEXT}{{2}}|[\u00f0-\u00f4]{NEXT}{{3}})+")
MAC_MISREAD = re.compile("‚Ä[ôúùìîê¶¢òó]|√[©®ß†°¢§ºª∂±≥¥]")  # the same with Mac Roman
# The same for UTF-8 read with one of these; a byte that the encoding lacks is often dropped.
OTHER_CODECS = ("cp1251", "cp1250", "cp437", "cp850")
# An apostrophe, a dash or an ellipsis in those; GBK's double replacement character; and kana in Shift JIS.
MISREAD_SIGNS = re.compile("вЂ[\u2018-\u201d\u2122¦“”њќ]|ΓÇ[ÖÿÖªöô£¥Ü¼]|ÔÇ[ÖÿØ£ªöô┐]|锟斤拷|[縺繧繝].{1,3}[縺繧繝]")
UNLIKELY = re.compile("[\x80-\x9f\u0250-\u036f\u0460-\u048f\u0492-\u058f]")  # what the text cannot have meant


def _letters(codec: str, first: int, last: int) -> str:
    return "[" + re.escape(bytes(range(first, last)).decode(codec, "ignore")) + "]"


def _misread_in(codec: str) -> re.Pattern:
    """Two or more characters' UTF-8, read with this encoding."""
    two, three, four, rest = (
        _letters(codec, *bytes_) for bytes_ in ((0xC2, 0xE0), (0xE0, 0xF0), (0xF0, 0xF5), (0x80, 0xC0))
    )
    return re.compile(f"(?:{two}{rest}|{three}{rest}{{2}}|{four}{rest}{{3}}){{2,}}")


MISREAD_IN = {codec: _misread_in(codec) for codec in OTHER_CODECS}
# Most texts have nothing like it, which a pattern without alternatives finds out faster.
LATIN_PAIR = re.compile(f"[\u00c2-\u00f4]{NEXT}")
PAIRS_IN = {codec: re.compile(_letters(codec, 0xC2, 0xF5) + _letters(codec, 0x80, 0xC0)) for codec in OTHER_CODECS}
SIGNS_OF_IT = "‚√ЂÇ锟縺繧繝"  # MAC_MISREAD and MISREAD_SIGNS need one of them
# After a capital letter these are punctuation: the Ã… of MANHÃ… is not damaged.
CLOSING = set("…‘’“”„‚‹›«»–—•¡¿\u00a0")


@lru_cache(1000)  # system texts recur in every row
def odd_characters(text: str) -> dict[str, tuple[int, int]]:
    """Kind of odd character -> the first place of one in a text."""
    found = {}
    if (at := text.find("\ufffd")) >= 0:
        found["U+FFFD"] = (at, at + 1)
    if place := _misread(text):
        found["text in a wrong encoding"] = place
    elif match := CONTROL.search(text):
        found[f"U+{ord(match[0]):04X} (a control character)"] = match.span()
    for match in INVISIBLE.finditer(text):
        near = text[max(0, match.start() - 1) : match.end() + 1]
        if match[0] != "\u200b" or not SPACELESS.search(near):
            found[f"U+{ord(match[0]):04X} (invisible)"] = match.span()
            break
    if (match := DIRECTION.search(text)) and not RIGHT_TO_LEFT.search(text):
        found[f"U+{ord(match[0]):04X} (a direction mark)"] = match.span()
    return found


def _misread(text: str) -> tuple[int, int] | None:
    for match in MISREAD.finditer(text) if LATIN_PAIR.search(text) else ():
        if meant(match[0], text[: match.start()]):
            return match.span()
    if any(sign in text for sign in SIGNS_OF_IT):
        if match := MAC_MISREAD.search(text) or MISREAD_SIGNS.search(text):
            return match.span()
    for codec, pattern in MISREAD_IN.items():
        if not PAIRS_IN[codec].search(text):
            continue
        for match in pattern.finditer(text):
            if meant_in(codec, match[0]):
                return match.span()
    return None


def meant_in(codec: str, run: str) -> str | None:
    """What a run was before its UTF-8 was read with this encoding; None if it may well be meant as it is."""
    text = run.encode(codec).decode("utf-8", "replace")
    # Two capitals with an accent may look like this: СІРІ.
    likely = not UNLIKELY.search(text) and "\ufffd" not in text and (len(text) > 2 or not run.isalpha())
    return text if likely else None


def meant(run: str, before: str) -> str | None:
    """What a run was before its UTF-8 was read as Windows-1252 or Latin-1; None if it may well be meant as it is."""
    try:
        data = b"".join(_as_byte(character) for character in run)
        text = data.decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return None
    return text if _is_misread(run, before, data, text) else None


def _is_misread(run: str, before: str, data: bytes, meant: str) -> bool:
    """Letters like Ã, â or é in front of punctuation are normal in several languages; these runs are not."""
    lead, natural = run[0], all(character in CLOSING for character in run[1:])
    if len(meant) > 1 or len(data) == 4:
        return True
    if lead in "\u00c2\u00c3":  # Latin-1's letters and signs: the usual case
        return not (natural and before[-1:].isupper())
    if run.startswith("\u00e2€"):  # quotes and dashes
        return True
    return not natural and (lead in "\u00c4\u00c5" or len(data) == 3)


def _as_byte(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1")
