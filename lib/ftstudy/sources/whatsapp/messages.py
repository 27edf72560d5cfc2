"""Who wrote each message, what kind it is, and its text without what WhatsApp added."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from .. import ATTACHMENT, PHOTO
from .phrases import LANGUAGE_OF, LRM, MARKS, PHRASES

PICTURES = (".jpg", ".jpeg", ".png", ".heic", ".heif")  # .webp is a sticker, and a GIF is a video
LONGEST_NAME = 120

# The file's name comes after a word and a colon, or before a word: <attached: 00000012-…>, <00000012-… eklendi>.
IPHONE_FILE = re.compile(LRM + r"?<(?:[^<>:：\n]{1,40}[:：][ \u00a0]?)?(\d{8}-[^<>\n]{1,300}?)(?: [^<>.:\n]{1,40})?>")
# As iPhones wrote it until 2017: 2015-09-13-PHOTO-00004762.jpg <attached>.
OLD_IPHONE_FILE = re.compile(
    rf"(\d{{4}}-\d\d-\d\d-[A-Z]+-\d+\.\w{{1,5}}) <{LRM}?[^<>.\n]{{1,40}}>"
    rf"|([^<>\n]{{1,200}}\.\w{{1,5}}) <{LRM}[^<>.\n]{{1,40}}>"
)
FILE_NAME = re.compile(r"\w\.\w{1,5}(?!\w)")
ANDROID_FILE = re.compile(r"(?:IMG|VID|AUD|PTT|STK|DOC)-\d{8}-WA\d{4,6}\.\w{0,5}")
PLACE = re.compile(r"([^\n:]{1,40}): (?:[^\n]{0,200}: )?https://(?:maps\.google\.com/|foursquare\.com/)\S{1,300}")
OPTION = re.compile(r"([^\s:：]{2,25}) ?[:：] [^\n]+ \(\D{0,15}\d+\D{0,25}\)")  # of a poll, with its votes
STOP = re.compile(r"[.。।]$")
NULL = "null"  # Android writes it in place of calls and of media that may be viewed once
WHOLE = {
    **dict.fromkeys(PHRASES["unsent"], "unsent"),
    **dict.fromkeys(PHRASES["calls"], "system"),
    **dict.fromkeys(PHRASES["live_places"], "app"),
    **dict.fromkeys(PHRASES["waiting"], "unreadable"),
}
UNSENT_BY_ADMIN = tuple(PHRASES["unsent_by_admin"])
OMITTED = {
    **dict.fromkeys(PHRASES["photo_omitted"], ("attachment", PHOTO)),
    **dict.fromkeys(PHRASES["file_omitted"], ("attachment", ATTACHMENT)),
    **dict.fromkeys(PHRASES["card_omitted"], ("app", ATTACHMENT)),
}


def kind_and_text(text: str, by_iphone: bool) -> tuple[str, str]:
    """The kind of a message, and its text without what WhatsApp added."""
    text = _without_edited(text)
    first, newline, rest = text.partition("\n")
    key = MARKS.sub("", first).casefold() if len(first) < 400 else ""
    whole = "" if newline else STOP.sub("", key)
    kind = "unsent" if whole.startswith(UNSENT_BY_ADMIN) else WHOLE.get(whole)
    if not by_iphone and MARKS.sub("", text).strip() == NULL:
        kind = "system"
    place = PLACE.match(key) if "://" in key else None
    if (place and place[1] in PHRASES["places"]) or (rest and (key in PHRASES["polls"] or _is_poll(text))):
        kind = "app"
    if kind:
        return kind, text.lstrip(LRM)
    with_file = (
        _iphone_files(text)
        or _omitted_file(text, key, newline + rest, by_iphone)
        or _android_file(first, newline + rest)
        or _old_iphone_file(first, newline + rest)
    )
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
    marked = start > 1 and text[start - 1] == LRM and not FILE_NAME.search(words)  # in any language
    if start >= 0 and (marked or STOP.sub("", words).casefold() in PHRASES["edited"]):
        return text[:start].removesuffix(LRM).removesuffix(" ")
    return text


def _is_poll(text: str) -> bool:
    """Whether a text has the form of a poll: a heading in capitals, the question, and options with their votes."""
    if not text.endswith(")"):
        return False
    heading, *lines = MARKS.sub("", text).split("\n")
    option = OPTION.fullmatch(lines[-1].strip()[:500]) if lines else None
    is_heading = len(heading) <= 25 and heading.endswith((":", "：")) and heading == heading.upper()
    return bool(len(lines) > 1 and is_heading and option and option[1] == option[1].upper())


# The next four return the kind and text of a message with a photo, file or contact card, else None.


def _iphone_files(text: str) -> tuple[str, str] | None:
    names = IPHONE_FILE.findall(text) if "<" in text else []
    if not names:
        return None
    return kind_of_files(names), IPHONE_FILE.sub(lambda found: placeholder_of(found[1]), text).lstrip(LRM)


def _omitted_file(text: str, key: str, rest: str, by_iphone: bool) -> tuple[str, str] | None:
    candidates = [("", key, rest)]
    caption, mark, last = text.rpartition(LRM)  # iPhones put the caption first
    if mark:
        candidates.append((caption.lstrip(LRM), last.casefold(), ""))
    for before, words, after in candidates:
        if STOP.sub("", words) in OMITTED:
            kind, placeholder = OMITTED[STOP.sub("", words)]
            return kind, before + placeholder + after
    # In other languages: after a caption, only WhatsApp writes a mark.
    if by_iphone and caption.lstrip(LRM) and caption[-1] in " \n" and 0 < len(last) <= 60 and "\n" not in last:
        return "attachment", caption.lstrip(LRM) + ATTACHMENT
    return None


def _old_iphone_file(first: str, rest: str) -> tuple[str, str] | None:
    found = OLD_IPHONE_FILE.fullmatch(first) if first.endswith(">") else None
    return (kind_of_files([name]), placeholder_of(name) + rest) if found and (name := found[1] or found[2]) else None


def _android_file(first: str, rest: str) -> tuple[str, str] | None:
    name, bracket, words = first.removesuffix(")").rpartition(" (")
    name = MARKS.sub("", name)
    if bracket and first.endswith(")") and "." in name:
        known = MARKS.sub("", words).casefold() in PHRASES["attached"]
        if known or ANDROID_FILE.fullmatch(name) or first.startswith(LRM):
            return kind_of_files([name]), placeholder_of(name) + rest
    return None


def placeholder_of(name: str) -> str:
    return PHOTO if name.lower().endswith(PICTURES) else ATTACHMENT


def kind_of_files(names: list[str]) -> str:
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
    return open_quotation or any(part in name.casefold() for part in PHRASES["system_parts"])


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


_QUOTE = {"“": '[“„"«]', "”": '[”“"»]', "…": "[^\n]{0,300}?"}
_NOTICE = re.compile(
    " (?:%s)\\.?"
    % "|".join("".join(_QUOTE.get(one, re.escape(one)) for one in phrase) for phrase in PHRASES["notices"])
)
_ENCRYPTED = tuple(PHRASES["encrypted"])


def notices(names: Iterable[str]) -> Callable[[str], bool]:
    """Whether a text is one of WhatsApp's own sentences, in an export that lost its marks. `names`: of the senders."""
    starts = tuple(f"{name.casefold()} " for name in ("you", *names))

    def is_notice(text: str) -> bool:
        plain = MARKS.sub("", text[:1000]).casefold()
        if plain.startswith(_ENCRYPTED):
            return True
        found = [start for start in starts if plain.startswith(start)] if plain.startswith(starts) else []
        return any(_NOTICE.fullmatch(plain, len(start) - 1) for start in found)

    return is_notice


def language_of(title: str, bodies: list[str]) -> str:
    """The language of WhatsApp's own words in the first messages and in the file's name, or ""."""
    counts = Counter(language for phrase, language in PHRASES["titles"].items() if title.startswith(f"{phrase} "))
    for body in bodies[:5000]:
        line = MARKS.sub("", body[:300].partition("\n")[0]).casefold()
        words = STOP.sub("", line.partition(": ")[2])
        if language := LANGUAGE_OF.get(words) or LANGUAGE_OF.get(f"<{words.rpartition('<')[2]}"):
            counts[language] += 1
        elif ": " not in line:
            counts.update(language for part, language in PHRASES["system_parts"].items() if part in line)
        counts.update(language for start, language in PHRASES["encrypted"].items() if (words or line).startswith(start))
    counts.pop("", None)
    (first, often), (_, second) = (counts.most_common(2) + [("", 0), ("", 0)])[:2]
    return first if often > second else ""
