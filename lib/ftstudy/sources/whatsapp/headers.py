"""Where each message starts: the lines of an export that begin with a date and a time."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

from ...errors import StudyError
from ...paths import shown
from ..date_words import is_known
from ..written_dates import Stamp, readings, stamp_of
from .phrases import MARKS

JOINED = 5  # lines in another form at an end of a file, from which it is two exports put together; 2 by the same people
PASTED = 50  # … and anywhere in it; fewer were pasted into a message
LONGEST = 70  # characters of a date and time
FILLERS = {"klo", "à", "um", "at"}  # words in a date that one line is enough to believe
_MARK = f"[\ufeff{MARKS.pattern[1:-1]}]"
# A byte order mark may come before any line: of exports that were put together, each has its own.
_START = re.compile(
    rf"^{_MARK}{{0,4}}(?:\[([^\n\[\]]{{6,{LONGEST}}})\] ?|(?=\d|[^\W_][^\n\[]{{0,24}}?\d))", re.MULTILINE
)
_END = re.compile(r"[ \u00a0\u2009\u202f][-–] |: |\n")
_CODES = {
    "d": r"(?P<day>\d{1,2})",
    "m": r"(?P<month>\d{1,2})",
    "B": r"(?P<month>[^\W\d_][\w.’']{0,20})",
    "y": r"(?P<year>\d\d)",
    "Y": r"(?P<year>\d{3,4})",
    "H": r"(?P<hour>\d{1,2})",
    "M": r"(?P<minute>\d\d)",
    "S": r"(?P<second>\d\d)",
    "p": r"(?P<half>[^\d\n]{1,20}?)",
}
_CODES |= {"b": _CODES["B"], "I": _CODES["H"]}


class Header(NamedTuple):
    """The date and time at the start of a message."""

    start: int  # characters into the text
    end: int
    stamp: Stamp
    form: tuple  # the same in all headers that one phone wrote

    @property
    def numbers(self) -> tuple[str, str, str]:
        """Of the date, as they are written."""
        return self.stamp.numbers

    @property
    def second(self) -> int:
        """Of the day."""
        return self.stamp.second

    @property
    def readings(self) -> dict[str, date]:
        return readings(*self.stamp.numbers)

    @property
    def by_iphone(self) -> bool:
        return self.form[0] == "["


def find_headers(file: Path, text: str, notes: list, by_hand: re.Pattern | None = None) -> list[Header]:
    """The headers in the most frequent form, or in the one given `by_hand`. Lines in another form were pasted into a
    message; `notes` counts them. StudyError: they are messages of a second export."""
    found = _with_halves(file, list(_headers(text) if by_hand is None else _as_given(text, by_hand)), notes)
    if not found:
        return []
    form, count = Counter(header.form for header in found).most_common(1)[0]
    if count == 1 and not set(" ".join(form[-1]).split()) <= FILLERS:
        return []
    if count < len(found):
        _refuse_joined(file, text, found, form)
        notes.append(
            f"{shown(file)}: {len(found) - count:,} lines start with a date in another form than the file's "
            f"{count:,} messages, so they were read as pasted text."
        )
    chosen = [header for header in found if header.form == form]
    unknown = [word for word in " ".join(form[-1]).split() if not is_known(word)]
    if unknown and max(header.second for header in chosen) < 13 * 3600:
        notes.append(
            f"{shown(file)}: {', '.join(unknown)} in its dates is unknown; if it means AM or PM, put that in its place."
        )
    return chosen


def _headers(text: str) -> Iterator[Header]:
    for match in _START.finditer(text):
        if match[1] is not None:
            if stamp := stamp_of(match[1]):
                yield Header(*match.span(), stamp, ("[", *stamp.form))
            continue
        for end in _END.finditer(text, match.end() + 6, match.end() + LONGEST):
            stamp = stamp_of(text[match.end() : end.start()]) if end[0] != "\n" else None
            if stamp:
                yield Header(match.start(), end.end(), stamp, (end[0].strip(), *stamp.form))
            if stamp or end[0] == "\n":
                break


def _with_halves(file: Path, found: list[Header], notes: list) -> list[Header]:
    """The headers, in which two unknown words that take turns are the halves of the day: the order of the messages says
    which is which."""
    forms = Counter(header.form for header in found).most_common(2)
    if len(forms) < 2 or forms[0][0][:-1] != forms[1][0][:-1]:
        return found
    words = [set(" ".join(form[-1]).split()) for form, _ in forms]
    own = [words[0] - words[1], words[1] - words[0]]
    pair = [form for form, _ in forms]
    of_pair = [header for header in found if header.form in pair]
    hours = [header.second // 3600 for header in of_pair]
    runs = sum(one.form != other.form for one, other in pairwise(of_pair))
    if not all(len(one) == 1 for one in own) or not hours or max(hours) > 12 or runs < 2:
        return found
    read = {late: [_in_half(header, late) for header in of_pair] for late in pair}
    back = {late: _steps_back(headers) for late, headers in read.items()}
    late, early = sorted(pair, key=back.get)
    names = [" ".join(own[pair.index(form)]) for form in (early, late)]
    if back[late] == back[early]:
        raise StudyError(
            f"{shown(file)}: {names[0]!r} and {names[1]!r} look like words for AM and PM, but nothing says which is "
            "which. Replace them with AM and PM in a copy of the file, and use that."
        )
    notes.append(f"{shown(file)}: by the order of its messages, {names[0]!r} means AM and {names[1]!r} PM.")
    others = [header for header in found if header.form not in pair]
    return sorted([*read[late], *others], key=lambda header: header.start)


def _in_half(header: Header, late: tuple) -> Header:
    """A header of a clock of twelve hours, in which dates of the form `late` are of the afternoon."""
    second = header.second % 43_200 + (43_200 if header.form == late else 0)
    return header._replace(stamp=header.stamp._replace(second=second), form=(*header.form[:-1], ()))


def _steps_back(headers: list[Header]) -> int:
    """How often a message is earlier than the one before it on the same day."""
    return sum(one.numbers == other.numbers and other.second < one.second for one, other in pairwise(headers))


def _refuse_joined(file: Path, text: str, found: list[Header], form: tuple) -> None:
    """StudyError if lines in another form are the messages of a second export, which would become parts of one message."""
    runs = [(same, list(run)) for same, run in groupby(found, lambda header: header.form == form)]
    senders = {_sender(text, header) for header in found if header.form == form}
    for place, (same, run) in enumerate(runs):
        if same:
            continue
        is_first, is_last = place == 0, place == len(runs) - 1
        is_later = is_last and _is_later(run, runs[place - 1][1])
        least = 2 if {_sender(text, header) for header in run} <= senders else JOINED
        if len(run) >= PASTED or (len(run) >= least and (is_first or is_later)):
            line = text.count("\n", 0, run[0].start) + 1
            raise StudyError(
                f"{shown(file)} looks like two exports put together: from line {line:,} on, {len(run):,} messages write the "
                "date differently from the others, and would be read as parts of one message. Save each export as a "
                "file of its own and name their folder; if the lines were pasted into a message, put a space before each."
            )


def _sender(text: str, header: Header) -> str:
    return text[header.end : header.end + 120].partition(": ")[0]


def _is_later(run: list[Header], before: list[Header]) -> bool:
    """Whether lines are later than those before them: nobody pastes what is yet to come."""
    orders, theirs = (set.intersection(*(set(one.readings) for one in part)) for part in (before, run))
    return (
        any(
            max(one.readings[order] for one in run) > max(one.readings[order] for one in before)
            for order in orders & theirs
        )
        or not orders & theirs
    )


def pattern_of(form: str) -> re.Pattern:
    """The beginning of a message in a form given by hand, such as "%d.%m.%y kl. %H:%M - ". StudyError: not a form."""
    pieces = re.split(r"%(\w)", form.rstrip())
    codes = pieces[1::2]
    wanted = {"day": "d", "month": "mBb", "year": "yY", "hour": "HI", "minute": "M"}
    missing = [name for name, letters in wanted.items() if sum(code in letters for code in codes) != 1]
    if missing or set(codes) - set(_CODES) or len(set(codes)) < len(codes):
        raise StudyError(
            f"The form of a date line, {form!r}, must have %d, %m, %Y (or %y), %H (or %I) and %M once each; %B is a month in "
            "words, %p AM or PM, %S the seconds, and anything else stands for itself: DATE_ORDER='[%d.%m.%y, "
            "%H:%M:%S]' or --date-order '%d/%m/%Y %H:%M -'."
        )
    parts = [_CODES[piece] if place % 2 else _literal(piece) for place, piece in enumerate(pieces)]
    return re.compile(rf"^{_MARK}{{0,4}}{''.join(parts)}[ \u00a0]?", re.MULTILINE | re.IGNORECASE)


def _literal(text: str) -> str:
    """Text of a form: spaces may be any, and direction marks may come between."""
    return rf"{_MARK}?".join(r"\s" if one.isspace() else re.escape(one) for one in text) + f"{_MARK}?"


def _as_given(text: str, pattern: re.Pattern) -> Iterator[Header]:
    form = "[" if "\\[" in pattern.pattern else "-"
    for match in pattern.finditer(text):
        part = match.groupdict("")
        date_text = " ".join((part["day"], part["month"], part["year"]))
        written = date_text if part["month"][0].isalpha() else date_text.replace(" ", "/")
        clock = f"{part['hour']}:{part['minute']}:{part.get('second') or '00'} {part.get('half') or ''}"
        if stamp := stamp_of(f"{written} {clock}"):
            yield Header(*match.span(), stamp, (form, "", stamp.form[-1]))
