"""Reads Android's text messages: the XML of SMS Backup & Restore -> messages table.

The file has one <sms> element a message, and one <mms> for a message with files or several people, whose <part>s have
the text and <addr>s the people. It is read piece by piece, since photos in it make it large. The app writes emoji as
two references, &#55357;&#56832;, which no XML may have: they are joined before the text is parsed.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import pandas
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from ..errors import StudyError
from ..files.limits import limited
from ..files.reading import opened, refuse_special, why
from ..machine_failures import pass_on
from ..paths import absolute, shown
from . import ATTACHMENT, PHOTO, make_table, sender_of, skip
from .exports import identity

EXPORT = "Make a backup of the messages with SMS Backup & Restore, and name its sms-….xml."
LARGEST = 8 << 30  # bytes; photos are part of the file
PIECE = 1 << 20
RECEIVED, SENT = "1", "2"
FROM = "137"  # the type of the <addr> of who wrote
NOBODY = ("", "null", "(Unknown)", "insert-address-token")
_HIGH = rb"(?:55(?:29[6-9]|[3-9]\d\d)|56(?:[0-2]\d\d|3[01]\d)|x[dD][89abAB][0-9a-fA-F]{2})"  # first halves
_LOW = rb"(?:56(?:3[2-9]\d|[4-9]\d\d)|57(?:[0-2]\d\d|3[0-3]\d|34[0-3])|x[dD][c-fC-F][0-9a-fA-F]{2})"
_REFERENCE = re.compile(rb"&#(%s);&#(%s);|&#(x[0-9a-fA-F]{1,6}|\d{1,7});" % (_HIGH, _LOW))
_UNFINISHED = re.compile(rb"&#%s;(?:&[#\w]{0,9})?$|&[#\w]{0,9}$" % _HIGH)
_PHONE = re.compile(r"\+?[\d\s().\-/]+")


def read(file: str | Path) -> pandas.DataFrame:
    """Read a backup into a messages table (columns: see `ftstudy.sources`).

    StudyError: not a backup, not complete, hostile XML, without messages, or not readable.
    """
    file = absolute(file)
    skipped = {}
    try:
        refuse_special(file)
        size = file.stat().st_size
        if size > LARGEST:
            raise StudyError(f"{shown(file)} is too large: {size:,} bytes, and at most {LARGEST:,} are read. {EXPORT}")
        if not size:
            raise StudyError(f"{shown(file)} is empty (0 bytes). {EXPORT}")
        with (
            opened(file) as source,
            limited(
                f"{shown(file)} takes longer to read than a backup of its size can. {EXPORT}", 60 + size / 2e6, 4 << 30
            ),
        ):
            table = make_table(_rows(source, skipped), skipped)
    except FileNotFoundError as error:
        raise StudyError(f"There is no {shown(file)}. Check the path.") from error
    except DefusedXmlException as error:
        raise StudyError(
            f"{shown(file)} defines entities or a document type, which only an attack would; nothing was read. {EXPORT}"
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise StudyError(
            f"{shown(file)} is not a complete backup of SMS Backup & Restore: {why(error)}. {EXPORT}"
        ) from error
    except OSError as error:
        pass_on(error)
        raise StudyError(f"{shown(file)} cannot be read: {why(error)}. Give yourself read permission.") from error
    if table.empty:
        raise StudyError(f"{shown(file)} has no messages of SMS Backup & Restore. {EXPORT}")
    return table


class _Repaired:
    """A file whose references to halves of characters are joined, and to characters that XML forbids replaced."""

    def __init__(self, source):
        self.source, self.left = source, b""

    def read(self, size: int = -1) -> bytes:
        data = self.left + self.source.read(PIECE if size < 0 else size)
        if not data or data == self.left:
            self.left = b""
            return _REFERENCE.sub(_joined, data)
        cut = match.start() if (match := _UNFINISHED.search(data, max(0, len(data) - 24))) else len(data)
        data, self.left = data[:cut], data[cut:]
        return _REFERENCE.sub(_joined, data) or self.read(size)


def _joined(match: re.Match) -> bytes:
    if match[3] is None:
        return b"&#%d;" % (0x10000 + ((_code(match[1]) - 0xD800) << 10) + _code(match[2]) - 0xDC00)
    return match[0] if _is_allowed(_code(match[3])) else b"&#65533;"


def _code(reference: bytes) -> int:
    return int(reference[1:], 16) if reference[:1] == b"x" else int(reference)


def _is_allowed(code: int) -> bool:
    return code in (9, 10, 13) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code < 0x110000


def _rows(source, skipped: dict) -> Iterator[dict]:
    numbers = Counter()
    top = None
    for event, element in iterparse(_Repaired(source), events=("start", "end"), forbid_dtd=True):
        if event == "start":
            top = element if top is None else top
            if top.tag != "smses":
                raise ValueError(f"its first element is <{top.tag[:40]}>, not <smses>")
            continue
        if element.tag == "part":
            element.attrib.pop("data", None)  # a photo
        if element.tag not in ("sms", "mms"):
            continue
        row = _sms(element) if element.tag == "sms" else _mms(element)
        top.clear()
        if row is None:
            skip(skipped, "a draft, or a message that was not sent or has no address", element.get("body") or "")
            continue
        content = (row["conversation"], str(row["timestamp"]), row["sender"], row["text"])
        numbers[content] += 1
        yield row | {"message_id": identity(*content, str(numbers[content]))}


def _row(conversation: str, is_group: bool, sender: str, is_owner: bool, date: str, text: str, kind: str) -> dict:
    return {
        "conversation": conversation,
        "is_group": is_group,
        "sender": sender_of(sender, is_owner),
        "is_owner": is_owner,
        "timestamp": _time(date),
        "text": text,
        "kind": kind,
    }


def _sms(element: Element) -> dict | None:
    name = _name(element.get("contact_name", ""), element.get("address", ""))
    if not name or element.get("type") not in (RECEIVED, SENT):
        return None
    text = element.get("body", "")
    return _row(name, False, name, element.get("type") == SENT, element.get("date", ""), text, "text")


def _mms(element: Element) -> dict | None:
    others = [one for one in element.get("address", "").split("~") if one not in NOBODY]
    if not others or element.get("msg_box") not in (RECEIVED, SENT):
        return None
    is_group, is_owner = len(others) > 1, element.get("msg_box") == SENT
    names = [one.strip() for one in element.get("contact_name", "").split(",")]
    named = dict(zip(map(_plain, others), names if len(names) == len(others) else []))
    people = [_name(named.get(_plain(one), ""), one) for one in others]
    if not is_group:
        people = [_name(element.get("contact_name", ""), others[0])]
    wrote = next((one.get("address", "") for one in element.iter("addr") if one.get("type") == FROM), "")
    sender = _name(named.get(_plain(wrote), ""), wrote) if is_group else people[0]
    files, words = [], []
    for part in element.iter("part"):
        kind, text = part.get("ct", ""), part.get("text", "")
        if kind == "text/plain":
            words += [text] if text not in ("", "null") else []
        elif kind != "application/smil":
            files.append(PHOTO if kind.startswith("image/") else ATTACHMENT)
    text = " ".join([*files, "\n".join(words)]).strip() if files else "\n".join(words)
    kind = "attachment" if files else "text"
    conversation = f"group:{', '.join(sorted(people))}" if is_group else people[0]
    return _row(conversation, is_group, sender or "unknown", is_owner, element.get("date", ""), text, kind)


def _name(name: str, address: str) -> str:
    return name if name not in NOBODY else _plain(address) if address not in NOBODY else ""


def _plain(address: str) -> str:
    """An address without spaces and punctuation in its number."""
    return re.sub(r"[\s().\-/]", "", address) if _PHONE.fullmatch(address.strip()) else address.strip()


def _time(date: str) -> int:
    """Microseconds since 1970, from milliseconds, or seconds as some phones write; 0 without a date."""
    number = int(date) if re.fullmatch(r"\d{1,16}", date) else 0
    return number * 1000 if number >= 10**11 else number * 1_000_000
