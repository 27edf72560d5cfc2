"""What kind a sender's message is, by the words that WhatsApp puts in the place of what is no text."""

import re

from .. import ATTACHMENT, PHOTO
from . import phrases
from .phrases import LRM, MARKS

PICTURES = (".jpg", ".jpeg", ".png", ".heic", ".heif")  # .webp is a sticker, and a GIF is a video

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
    """The kind of a sender's message, and its text without what WhatsApp added to it."""
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


# Kind and text of a message with a photo, a file or a contact card; None without one.


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
