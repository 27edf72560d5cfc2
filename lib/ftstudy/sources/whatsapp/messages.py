"""Who wrote each message, what kind it is, and its text without what WhatsApp added."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from .. import ATTACHMENT, PHOTO
from . import phrases
from .phrases import LRM, MARKS

PICTURES = (".jpg", ".jpeg", ".png", ".heic", ".heif")  # .webp is a sticker, and a GIF is a video
LONGEST_NAME = 120

IPHONE_FILE = re.compile(LRM + r"?<[^<>:：\n]{1,40}[:：][ \u00a0]?(\d{8}-[^<>\n]{1,300})>")
ANDROID_FILE = re.compile(r"(?:IMG|VID|AUD|PTT|STK|DOC)-\d{8}-WA\d{4,6}\.\w{0,5}")
PLACE = re.compile(r"([^\n:]{1,40}): (?:[^\n]{0,200}: )?https://(?:maps\.google\.com/|foursquare\.com/)\S{1,300}")
WHOLE = {
    **dict.fromkeys(phrases.UNSENT, "unsent"),
    **dict.fromkeys(phrases.CALLS, "system"),
    **dict.fromkeys(phrases.LIVE_PLACES, "app"),
    **dict.fromkeys(phrases.WAITING, "unreadable"),
}
OMITTED = {
    **dict.fromkeys(phrases.PHOTO_OMITTED, ("attachment", PHOTO)),
    **dict.fromkeys(phrases.FILE_OMITTED, ("attachment", ATTACHMENT)),
    **dict.fromkeys(phrases.CARD_OMITTED, ("app", ATTACHMENT)),
}


def kind_and_text(text: str, by_iphone: bool) -> tuple[str, str]:
    """The kind of a message, and its text without what WhatsApp added."""
    text = _without_edited(text)
    first, newline, rest = text.partition("\n")
    key = MARKS.sub("", first).casefold() if len(first) < 400 else ""
    whole = "" if newline else key.removesuffix(".")
    kind = "unsent" if whole.startswith(phrases.UNSENT_BY_ADMIN) else WHOLE.get(whole)
    place = PLACE.match(key) if "://" in key else None
    if (place and place[1] in phrases.PLACES) or (key in phrases.POLLS and rest):
        kind = "app"
    if kind:
        return kind, text.lstrip(LRM)
    with_file = _iphone_files(text) or _omitted_file(text, key, newline + rest) or _android_file(first, newline + rest)
    if with_file:
        return with_file
    if text.startswith(LRM) and by_iphone:
        return "system", text.lstrip(LRM)
    return ("text" if text.strip() else "empty"), text


def _without_edited(text: str) -> str:
    if not text.endswith(">"):
        return text
    start = text.rfind("<")
    words = text[start + 1 : -1]
    marked = start > 1 and text[start - 1] == LRM and ":" not in words  # in any language
    if start >= 0 and (marked or words.removesuffix(".").casefold() in phrases.EDITED):
        return text[:start].removesuffix(LRM).removesuffix(" ")
    return text


# The next three return the kind and text of a message with a photo, file or contact card, else None.


def _iphone_files(text: str) -> tuple[str, str] | None:
    names = IPHONE_FILE.findall(text) if "<" in text else []
    if not names:
        return None
    return _kind_of_files(names), IPHONE_FILE.sub(lambda found: _placeholder(found[1]), text).lstrip(LRM)


def _omitted_file(text: str, key: str, rest: str) -> tuple[str, str] | None:
    candidates = [("", key, rest)]
    caption, mark, last = text.rpartition(LRM)  # iPhones put the caption first
    if mark:
        candidates.append((caption.lstrip(LRM), last.casefold(), ""))
    for before, words, after in candidates:
        if words.removesuffix(".") in OMITTED:
            kind, placeholder = OMITTED[words.removesuffix(".")]
            return kind, before + placeholder + after
    return None


def _android_file(first: str, rest: str) -> tuple[str, str] | None:
    name, bracket, words = first.removesuffix(")").rpartition(" (")
    name = MARKS.sub("", name)
    if bracket and first.endswith(")") and "." in name:
        known = MARKS.sub("", words).casefold() in phrases.ATTACHED
        if known or ANDROID_FILE.fullmatch(name) or first.startswith(LRM):
            return _kind_of_files([name]), _placeholder(name) + rest
    return None


def _placeholder(name: str) -> str:
    return PHOTO if name.lower().endswith(PICTURES) else ATTACHMENT


def _kind_of_files(names: list[str]) -> str:
    return "app" if all(name.lower().endswith(".vcf") for name in names) else "attachment"


QUOTED = re.compile('"[^"]*"|“[^”]*”|„[^“”]*[“”]|«[^»]*»|「[^」]*」')


def split_senders(bodies: list[str], me: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield (sender, text) of each message; the sender of WhatsApp's own sentences is "".

    WhatsApp's sentences may contain a colon (`Anna changed the subject to "Party: now"`). They are
    recognized by an unclosed quotation before the colon, or by words that no name contains. A name
    may contain a colon too: if it is one of `me`, or if at least five messages by that sender would
    otherwise all begin with the same words and a colon.
    """
    lines = [body[:1000].partition("\n")[0] for body in bodies]  # a name is short
    parts = [line.split(": ", 2) for line in lines]
    counts, second = Counter(), {}
    for one in parts:
        if len(one) > 1:
            counts[one[0]] += 1
            second.setdefault(one[0], set()).add(one[1] if len(one) > 2 else None)
    longer = {
        name: f"{name}: {rest}" for name, (rest, *more) in second.items() if rest and not more and counts[name] > 4
    }
    known = [name for name in me if ": " in name]
    system = {name for name, count in counts.items() if len(name) <= LONGEST_NAME and _is_system(name, count)}
    for body, line, one in zip(bodies, lines, parts):
        name = next((name for name in known if line.startswith(f"{name}: ")), longer.get(one[0], one[0]))
        if name in system or len(name) > LONGEST_NAME:
            yield "", body
        elif len(one) > 1:
            yield name, body[len(name) + 2 :]
        elif line.endswith(":") and line[:-1] in counts:  # an editor removed the space at the end of the line
            yield line[:-1], body[len(line) :]
        else:
            yield "", body


def _is_system(name: str, count: int) -> bool:
    open_quotation = count < 3 and any(mark in QUOTED.sub("", name) for mark in '"“„«「')
    return open_quotation or any(part in name.casefold() for part in phrases.SYSTEM_PARTS)


def owners_among(senders: set[str], me: Iterable[str]) -> set[str]:
    """The senders that are one of `me`; marks, case and a leading ~ are ignored only if none matches exactly."""
    found = set()
    for name in me:
        found |= {name} & senders or {sender for sender in senders if _plain(sender) == _plain(name)}
    return found


def _plain(name: str) -> str:
    """A name in lower case, without marks and without the ~ that WhatsApp puts before unsaved contacts."""
    name = MARKS.sub("", name).replace("\u00a0", " ").replace("\u202f", " ")
    return name.strip().removeprefix("~").strip().casefold()
