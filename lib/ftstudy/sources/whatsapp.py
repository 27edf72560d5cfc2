"""WhatsApp's "Export chat": `_chat.txt` (iPhone), `WhatsApp Chat with NAME.txt` (Android), the
`.zip` around it, and a folder of them, into the messages table.

The export is text for people. Its dates follow the phone's language without saying which it was,
so the order of day, month and year is inferred from the whole file, and refused where two readings
stay possible. Each file is one conversation, and one phone wrote all of it in one form: a line that
looks like the start of a message in another form was pasted, and stays text.
"""

import re
import struct
import zipfile
import zlib
from collections import Counter
from datetime import date, datetime, timedelta
from functools import cache
from hashlib import blake2b
from itertools import pairwise
from lzma import LZMAError
from pathlib import Path

import pandas

from ..errors import StudyError
from ..paths import from_root, shown
from . import ATTACHMENT, OWNER_SENDER, PHOTO, exports, make_table, skip
from . import whatsapp_phrases as phrases

ORDERS = {"dmy": (2, 1, 0), "mdy": (2, 0, 1), "ymd": (0, 1, 2)}  # where year, month and day stand
IN_WORDS = {"dmy": "day/month/year", "mdy": "month/day/year", "ymd": "year/month/day"}
# A year of two digits is not before WhatsApp, nor in the future: 31.12.23 is not of 2031.
FIRST_DAY, LAST_DAY = date(2009, 1, 1), date.today() + timedelta(days=2)
DAY = 86_400
LONGEST_NAME = 120
SYSTEM_SENDER = "WhatsApp"
PICTURES = (".jpg", ".jpeg", ".png", ".heic", ".heif")  # .webp is a sticker, and a GIF is a video

_SPACE = "[ \u00a0\u2009\u202f]"
_MARK = "[\u200e\u200f\u202a-\u202e\u2066-\u2069]"
MARKS = re.compile(_MARK)
_HALF_DAY = "|".join(rf"\.?{_SPACE}?".join(word) + r"\.?" for word in sorted(phrases.HALF_DAYS, key=len, reverse=True))
# Every repetition has an upper bound, so no line can make the search slow.
HEADER = re.compile(
    rf"^{_MARK}{{0,3}}(?P<bracket>\[)?"
    rf"(\d{{1,4}}){_MARK}?(?P<separator>[/.-]){_MARK}? ?(\d{{1,2}}){_MARK}?(?P=separator){_MARK}? ?(\d{{1,4}})(?!\d)\.?"
    rf"[,،]?{_SPACE}{{0,2}}(?:klo |à |um |at )?{_MARK}?"
    rf"(?:({_HALF_DAY}){_SPACE}?)?(\d{{1,2}}){_SPACE}?[:.h]{_SPACE}?(\d\d)(?:[:.](\d\d))?(?:{_SPACE}?({_HALF_DAY}))?"
    rf"{_MARK}?(?(bracket)\] ?|(?P<end>{_SPACE}[-–] |: ))",
    re.MULTILINE | re.IGNORECASE,
)
IPHONE_FILE = re.compile(r"\u200e?<[^<>:：\n]{1,40}[:：][ \u00a0]?(\d{8}-[^<>\n]{1,300})>")
ANDROID_FILE = re.compile(r"(?:IMG|VID|AUD|PTT|STK|DOC)-\d{8}-WA\d{4,6}\.\w{0,5}")
PLACE = re.compile(r"([^\n:]{1,40}): (?:[^\n]{0,200}: )?https://(?:maps\.google\.com/|foursquare\.com/)\S{1,300}")
# What `zipfile` raises for a zip that is not whole, or no zip.
DAMAGED = (zipfile.BadZipFile, zlib.error, LZMAError, struct.error, EOFError, RuntimeError, OSError, ValueError)
QUOTED = re.compile('"[^"]*"|“[^”]*”|„[^“”]*[“”]|«[^»]*»|「[^」]*」')


def read(file: Path, me: tuple = (), date_order: str = "", time_zone: str = "UTC") -> pandas.DataFrame:
    """Read one export, or a folder of exports, into a messages table (columns: see `ftstudy.sources`).

    `me`: names under which the owner stands in the exports. `date_order`: "dmy", "mdy" or "ymd",
    instead of inferring it. `time_zone`: of the phone that exported.

    StudyError: nothing to read there, no WhatsApp export, dates with two readings, a date that
    `date_order` cannot read, a zip that is damaged, encrypted, too large or without a text, an
    unknown zone or order.
    """
    file = from_root(file)
    if date_order and date_order not in ORDERS:
        raise StudyError(f"{date_order!r} is no order of dates. Use dmy, mdy or ymd (DATE_ORDER=… or --date-order).")
    zone, skipped = exports.zone(time_zone), {}
    notes = [f"WhatsApp writes local times without their zone; they were taken as {time_zone} (ZONE=…)."]
    chats = [_chat(one, me, date_order, zone, skipped, notes) for one in _files(file)]
    if not any(chats):
        raise StudyError(
            f"{shown(file)} is no chat exported from WhatsApp: no line starts like `[31.12.23, 21:15:03] Anna: ` or "
            "`12/31/23, 9:15 PM - Anna: `. In WhatsApp, open the chat, choose Export chat > Without media, and give "
            "that file as it is."
        )
    chats = _told_apart(chat for chat in chats if chat)
    return make_table((row for chat in chats for row in _rows(chat)), skipped, notes)


# Files


def _files(file: Path) -> list[Path]:
    if not file.is_dir():
        return [file]
    try:
        inside = sorted(one for one in file.iterdir() if not one.name.startswith("."))
        found = [one for one in inside if one.suffix.lower() in (".txt", ".zip") and one.is_file()]
        found += [one / "_chat.txt" for one in inside if (one / "_chat.txt").is_file()]
    except OSError as error:
        raise StudyError(f"{shown(file)} cannot be read: {error.strerror}. Allow yourself to read it.") from error
    if not found:
        raise StudyError(
            f"The folder {shown(file)} holds no chat exported from WhatsApp: no .txt or .zip, and no folder with a "
            "_chat.txt. In WhatsApp, open a chat, choose Export chat > Without media, and put that file there."
        )
    return found


def _text_of(file: Path) -> tuple[str, str]:
    """The text of an export, its lines ended by newlines, and the chat's name."""
    try:
        with file.open("rb") as opened:
            zipped = opened.read(2) == b"PK"
    except OSError:  # `read_bytes` says what is wrong
        zipped = False
    data, names = _unzipped(file) if zipped else (exports.read_bytes(file, exports.LARGEST), [])
    names.insert(0, file.parent.name if file.name == "_chat.txt" else file.stem)
    titles = [name.removeprefix(title) for name in names for title in phrases.TITLES if name.startswith(title)]
    # The shortest, as one prefix may go on where another ends. " (1)" is what a second download adds.
    title = re.sub(r" \(\d{1,3}\)$", "", min(titles, key=len) if titles else names[0])
    return exports.decode(data).replace("\r\n", "\n"), title


def _unzipped(file: Path) -> tuple[bytes, list[str]]:
    """The chat in a zip, and its name there if that is the chat's. Media are not touched."""

    def refusal(reason, fix="Export the chat again, and give the file as it came."):
        return StudyError(f"{shown(file)} cannot be read as a chat exported from WhatsApp: {reason}. {fix}")

    try:
        with zipfile.ZipFile(file) as archive:
            members = [
                one
                for one in archive.infolist()
                if one.filename.lower().endswith(".txt") and "__MACOSX" not in one.filename
            ]
            if not members:
                raise refusal("the zip holds no .txt")
            # A chat may hold text files that somebody sent, larger than itself.
            likeliest = max(
                members,
                key=lambda one: (
                    Path(one.filename).name == "_chat.txt",
                    Path(one.filename).stem == file.stem,
                    one.file_size,
                ),
            )
            if likeliest.flag_bits & 1:
                raise refusal("the zip is encrypted", "Unpack it with its password and give the .txt in it.")
            if likeliest.file_size > exports.LARGEST:
                raise refusal(f"the text in it has more than {exports.LARGEST:,} bytes")
            # `zipfile` gives no more than that size; in pieces, it also unpacks no more, whatever there is.
            with archive.open(likeliest) as opened:
                data = b"".join(iter(lambda: opened.read(1 << 20), b""))
    except DAMAGED as error:
        raise refusal(f"the zip is damaged or incomplete ({error})") from error
    stem = Path(likeliest.filename).stem
    return data, [] if stem == "_chat" else [stem]


# One file


def _chat(file: Path, me, date_order, zone, skipped: dict, notes: list) -> dict | None:
    """`name`, `is_group` and `messages` (microseconds, sender, is_owner, text, kind) of one export.

    None where no line starts a message.
    """
    text, title = _text_of(file)
    starts, iphone = _starts(file, text, notes)
    if not starts:
        notes.append(f"{shown(file)} holds no message of WhatsApp and was left out.")
        return None
    for line in text[: starts[0][0]].split("\n"):
        if line.strip():
            skip(skipped, "a line before the first message", line)
    order = _order(file, text, starts, date_order, notes)
    ends = [start for start, *_ in starts[1:]] + [len(text)]
    bodies = [text[start:end].removesuffix("\n") for (_, start, *_), end in zip(starts, ends)]
    messages = [
        (time, MARKS.sub("", sender), *_kind(words, iphone))
        if sender
        else (time, SYSTEM_SENDER, "system", words.lstrip("\u200e"))
        for time, (sender, words) in zip(_times(starts, order, zone), _split(bodies, me))
    ]
    owners = _owners({sender for _, sender, _, _ in messages}, me)
    others = {sender for _, sender, kind, _ in messages if kind != "system"} - owners
    said = "\n".join(words for _, _, kind, words in messages if kind == "system").casefold()
    is_group = len(others) > 1 or any(part in said for part in phrases.GROUP_PARTS)
    return {
        "name": f"group:{title}" if is_group else next(iter(others), title),
        "is_group": is_group,
        "messages": [(time, *_shown_sender(sender, owners), words, kind) for time, sender, kind, words in messages],
    }


def _starts(file, text, notes) -> tuple[list[tuple], bool]:
    """Of each message (start of its header, its end, the date's three numbers, second of the day), and: iPhone?"""
    starts, forms = [], Counter()
    for found in HEADER.finditer(text):
        bracket, first, separator, middle, last, before, hour, minute, second, after, end = found.groups()
        hours, minutes, seconds, half = int(hour), int(minute), int(second or 0), before or after
        if hours > 23 or minutes > 59 or seconds > 59 or not _readings(first, middle, last):
            continue
        if half and hours <= 12:
            hours = hours % 12 + phrases.HALF_DAYS[re.sub(r"[\s.]", "", half).lower()]
        form = (bracket, separator, second is None, half is None, end == ": ")
        forms[form] += 1
        starts.append((*found.span(), (first, middle, last), hours * 3600 + minutes * 60 + seconds, form))
    if not starts:
        return [], False
    form, count = forms.most_common(1)[0]
    if count < len(starts):
        notes.append(
            f"{shown(file)}: {len(starts) - count:,} lines start with a date in another form than the file's "
            f"{count:,} messages, so they were taken for pasted text."
        )
    return [start[:4] for start in starts if start[4] == form], form[0] == "["


@cache
def _readings(*parts: str) -> dict[str, date]:
    """Order -> the date that the three numbers give under it, for every order that is possible."""
    found = {}
    for order, places in ORDERS.items():
        year, month, day = (parts[place] for place in places)
        if len(year) not in (2, 4) or len(month) > 2 or len(day) > 2:
            continue
        try:
            when = date(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day))
        except ValueError:
            continue
        if len(year) == 4 or FIRST_DAY <= when <= LAST_DAY:
            found[order] = when
    return found


def _order(file, text, starts, wanted, notes) -> str:
    """The one order under which every date can be read; what decided it goes to `notes`."""
    dates = {numbers: _readings(*numbers) for _, _, numbers, _ in starts}
    if wanted:
        for start, _, numbers, _ in starts:
            if wanted not in dates[numbers]:
                raise StudyError(
                    f"{shown(file)}, line {text.count(chr(10), 0, start) + 1:,}: "
                    f"{text[start : start + 60].partition(chr(10))[0]!r} has no date in the order {IN_WORDS[wanted]} "
                    f"({wanted}). Give another DATE_ORDER or none; if the line was pasted into a message, put a space "
                    "before it."
                )
        return wanted
    misread = {order: [numbers for numbers, found in dates.items() if order not in found] for order in ORDERS}
    fitting = _distinct([order for order in ORDERS if not misread[order]], dates)
    if not fitting:
        examples = ", ".join(f"{'/'.join(numbers[0])} is not {IN_WORDS[order]}" for order, numbers in misread.items())
        raise StudyError(
            f"{shown(file)}: no one order of day, month and year reads all of its dates: {examples}. If one of these "
            "lines was pasted into a message, put a space before it; if two exports were joined, give them apart."
        )
    evidence = [f"{len(bad):,} cannot be {IN_WORDS[order]}" for order, bad in misread.items() if bad]
    if len(fitting) > 1:
        fitting = [order for order in fitting if not _steps_back(starts, dates, order)] or fitting
        evidence.append("in any other order its messages would go back in time")
    if len(fitting) > 1:
        numbers, found = next((n, f) for n, f in dates.items() if len({f[order] for order in fitting}) > 1)
        readings = " or ".join(f"{found[order]} ({order})" for order in fitting)
        raise StudyError(
            f"{shown(file)}: its dates can be read in more than one way: {'/'.join(numbers)} is {readings}. Say which "
            f"it is, with DATE_ORDER={fitting[0]} or --date-order {fitting[0]} and the like."
        )
    evidence = "; ".join(evidence) or "every order reads them alike"
    notes.append(f"{shown(file)}: its {len(dates):,} dates were read as {IN_WORDS[fitting[0]]}: {evidence}.")
    return fitting[0]


def _distinct(orders, dates) -> list[str]:
    """The orders without those that read every date as an earlier one does."""
    kept = {}
    for order in orders:
        kept.setdefault(tuple(found[order] for found in dates.values()), order)
    return list(kept.values())


def _steps_back(starts, dates, order) -> bool:
    """Whether a message is more than a day older than the one before it; an export is in the order of time."""
    times = (dates[numbers][order].toordinal() * DAY + second for _, _, numbers, second in starts)
    return any(after < before - DAY for before, after in pairwise(times))


def _times(starts, order, zone):
    """Microseconds since 1970 UTC of each start."""
    before = 0
    for _, _, numbers, second in starts:
        day = _readings(*numbers)[order]
        local = datetime(day.year, day.month, day.day, second // 3600, second // 60 % 60, second % 60, tzinfo=zone)
        time = exports.microseconds(local)
        if time < before:  # perhaps the second pass through the hour when summer time ends
            later = exports.microseconds(local.replace(fold=1))
            time = later if later >= before else time
        yield time
        before = time


# One message


def _split(bodies, me):
    """(sender, text) of each message; the sender is "" in WhatsApp's own sentences.

    A sentence by WhatsApp may hold a colon (`Anna changed the subject to "Party: now"`): its part
    before the colon has a quotation that is not closed, or words that no name has. A name with a
    colon in it is one of `me`, or that of somebody with at least five messages, all of whose
    texts would else begin with the same words and a colon.
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
        elif line.endswith(":") and line[:-1] in counts:  # an editor took the space at the line's end
            yield line[:-1], body[len(line) :]
        else:
            yield "", body


def _is_system(name: str, count: int) -> bool:
    open_quotation = count < 3 and any(mark in QUOTED.sub("", name) for mark in '"“„«「')
    return open_quotation or any(part in name.casefold() for part in phrases.SYSTEM_PARTS)


def _owners(senders: set, me) -> set:
    found = set()
    for name in me:
        found |= {name} & senders or {sender for sender in senders if _plain(sender) == _plain(name)}
    return found


def _plain(name: str) -> str:
    """A name without marks, its case, and the ~ before somebody who is no contact."""
    return (
        MARKS.sub("", name).replace("\u00a0", " ").replace("\u202f", " ").strip().removeprefix("~").strip().casefold()
    )


def _shown_sender(sender: str, owners: set) -> tuple[str, bool]:
    if sender in owners:
        return OWNER_SENDER, True
    return (f'"{sender}"' if sender == OWNER_SENDER else sender), False


def _kind(text: str, iphone: bool) -> tuple[str, str]:
    """The kind of a sender's message, and its text without what WhatsApp added to it."""
    text = _without_edited(text)
    first, newline, rest = text.partition("\n")
    key = MARKS.sub("", first).casefold() if len(first) < 400 else ""
    whole = "" if newline else key.removesuffix(".")
    kind = "unsent" if whole.startswith("this message was deleted by admin") else _WHOLE.get(whole)
    place = PLACE.match(key) if "://" in key else None
    if (place and place[1] in phrases.PLACES) or (key in phrases.POLLS and rest):
        kind = "app"
    if kind:
        return kind, text.lstrip("\u200e")
    with_file = _with_file(text, first, newline + rest, key)
    if with_file:
        return with_file
    if text.startswith("\u200e") and iphone:
        return "system", text.lstrip("\u200e")
    return ("text" if text.strip() else "empty"), text


def _without_edited(text: str) -> str:
    if not text.endswith(">"):
        return text
    start = text.rfind("<")
    words = text[start + 1 : -1]
    marked = start > 1 and text[start - 1] == "\u200e" and ":" not in words  # in any language
    if start >= 0 and (marked or words.removesuffix(".").casefold() in phrases.EDITED):
        return text[:start].removesuffix("\u200e").removesuffix(" ")
    return text


def _with_file(text, first, rest, key) -> tuple[str, str] | None:
    """Kind and text of a message with a photo, a file or a contact card; None without one."""
    files = []

    def placed(found):
        files.append(found[1])
        return _placeholder(found[1])

    if "<" in text:
        replaced = IPHONE_FILE.sub(placed, text)
        if files:
            return _kind_of_files(files), replaced.lstrip("\u200e")
    candidates = [("", key, rest)]
    before, mark, last = text.rpartition("\u200e")  # iPhones put the caption first
    if mark:
        candidates.append((before.lstrip("\u200e"), last.casefold(), ""))
    for before, words, after in candidates:
        if words.removesuffix(".") in _OMITTED:
            kind, placeholder = _OMITTED[words.removesuffix(".")]
            return kind, before + placeholder + after
    name, bracket, words = first.removesuffix(")").rpartition(" (")
    name = MARKS.sub("", name)
    if bracket and first.endswith(")") and "." in name:
        known = MARKS.sub("", words).casefold() in phrases.ATTACHED
        if known or ANDROID_FILE.fullmatch(name) or first.startswith("\u200e"):
            return _kind_of_files([name]), _placeholder(name) + rest
    return None


_WHOLE = {
    **dict.fromkeys(phrases.UNSENT, "unsent"),
    **dict.fromkeys(phrases.CALLS, "system"),
    **dict.fromkeys(phrases.LIVE_PLACES, "app"),
    **dict.fromkeys(phrases.WAITING, "unreadable"),
}
_OMITTED = {
    **dict.fromkeys(phrases.PHOTO_OMITTED, ("attachment", PHOTO)),
    **dict.fromkeys(phrases.FILE_OMITTED, ("attachment", ATTACHMENT)),
    **dict.fromkeys(phrases.CARD_OMITTED, ("app", ATTACHMENT)),
}


def _placeholder(name: str) -> str:
    return PHOTO if name.lower().endswith(PICTURES) else ATTACHMENT


def _kind_of_files(names) -> str:
    return "app" if all(name.lower().endswith(".vcf") for name in names) else "attachment"


# All files


def _told_apart(chats) -> list[dict]:
    """The chats with a `conversation` each: two of one name stay two, unless they are exports of one chat.

    Exports of one chat agree on most messages in the time that both cover; two people of one name
    at most wish each other a happy new year.
    """
    kept, groups = [], {}
    for chat in chats:
        same_name = groups.setdefault(chat["name"], [])
        number = next(
            (number for number, group in enumerate(same_name) if any(_agree(chat, one) for one in group)), None
        )
        if number is None:
            number = len(same_name)
            same_name.append([])
        same_name[number].append(chat)
        chat["conversation"] = chat["name"] + (f" ({number + 1})" if number else "")
        kept.append(chat)
    return kept


def _agree(one: dict, other: dict) -> bool:
    since = max(min(chat["messages"])[0] for chat in (one, other))
    until = min(max(chat["messages"])[0] for chat in (one, other))
    mine, theirs = ({row[:4] for row in chat["messages"] if since <= row[0] <= until} for chat in (one, other))
    return bool(mine) and bool(theirs) and 2 * len(mine & theirs) >= min(len(mine), len(theirs))


def _rows(chat: dict):
    numbers = Counter()
    for message in chat["messages"]:
        time, sender, is_owner, text, kind = message
        numbers[message] += 1  # Android has no seconds, so one minute may hold "ok" twice
        content = "\x1f".join([chat["conversation"], str(time), sender, text, str(numbers[message])])
        yield {
            "conversation": chat["conversation"],
            "is_group": chat["is_group"],
            "sender": sender,
            "is_owner": is_owner,
            "timestamp": time,
            "text": text,
            "kind": kind,
            "message_id": blake2b(content.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest(),
            "reply_to": None,
        }
