"""Everything that is printed, made printable: chats and files are named by other people.

A name could move the cursor, recolour or retitle the terminal, hide what comes after it or turn its direction round.
Letters of all scripts, their marks and emoji stay as they are.
"""

import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

_JOINERS = "\u200c\u200d"  # between the parts of an emoji, and in Persian and Indian words
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f")  # England, Scotland, Wales
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
# What a progress bar writes: back to the start of the line, or to a line above.
_BAR = re.compile(r"(\r?)(.*?)(\r?)", re.DOTALL)
_MOVE = re.compile(r"\n*(?:\x1b\[A)*")


def printable(text: str, keep: str = "\n\t") -> str:
    """The text with every control, invisible or unwritable character as an escape, except for those in `keep`."""
    if text.isprintable() or text.translate(dict.fromkeys(map(ord, keep))).isprintable():
        return text
    flags = {place for match in _FLAG.finditer(text) for place in range(*match.span())}
    return "".join(
        one
        if one in keep or one.isprintable() or at in flags or _is_shown(one, text[max(0, at - 1) : at + 2])
        else _escaped(one)
        for at, one in enumerate(text)
    )


def one_line(text: str) -> str:
    """The text on one line: its line breaks and tabs are escaped too."""
    return printable(text, keep="")


def cut(text: str, most: int) -> str:
    """The text, or its first characters and "…", `most` together."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _is_shown(character: str, with_neighbours: str) -> bool:
    """Whether a character that Python does not call printable is harmless: spaces, joiners, new emoji."""
    if character in _JOINERS:
        return len(with_neighbours) == 3 and not (with_neighbours[0] + with_neighbours[2]).isascii()
    return unicodedata.category(character) in ("Zs", "Cn")


def _escaped(character: str) -> str:
    code = ord(character)
    return _SHORT.get(character) or (rf"\u{code:04x}" if code < 0x10000 else rf"\U{code:08x}")


class _Stream:
    """A stream that makes what is written to it printable, in its encoding too."""

    def __init__(self, stream, has_bars: bool = False):
        self._stream, self._has_bars = stream, has_bars
        self.refused = None  # the error of the last write that failed, even if the writer ignored it

    def write(self, text: str) -> int:
        with self._noting():
            return self._write(text)

    def flush(self) -> None:
        with self._noting():
            self._stream.flush()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.refused = error
            raise

    def _write(self, text: str) -> int:
        if self._has_bars and _MOVE.fullmatch(text):
            self._stream.write(text)
        else:
            back, middle, end = _BAR.fullmatch(text).groups() if self._has_bars else ("", text, "")
            encoding = getattr(self._stream, "encoding", None) or "utf-8"
            shown = printable(middle).encode(encoding, "backslashreplace").decode(encoding)
            self._stream.write(back + shown + end)
        return len(text)

    def writelines(self, lines) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


@contextmanager
def streams() -> Iterator[None]:
    """What is printed meanwhile, also by libraries, is printable; progress bars may still move the cursor.

    A stream that is closed, as by `>&-`, leads to /dev/null.
    """
    _open_closed_files()
    out, err = (stream or open(os.devnull, "w", encoding="utf-8") for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(_Stream(out)), redirect_stderr(_Stream(err, has_bars=True)):
        yield


def _open_closed_files() -> None:
    """Otherwise the next file to be opened would get the number of the closed one, and what libraries print."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            if os.open(os.devnull, os.O_RDWR) == number:
                os.set_inheritable(number, True)


COLOURS = {"red": 31, "green": 32, "yellow": 33, "bold": 1}


def say(text: str, colour: str = "") -> None:
    """Print a line, in a colour of COLOURS where colours are wanted: on a terminal, unless NO_COLOR is set, and
    wherever FORCE_COLOR is. There, what is in backticks is bold instead."""
    out = sys.stdout
    if not _coloured(out):
        print(text)
        return
    start = f"\x1b[{COLOURS[colour]}m" if colour else ""
    _raw(out).write(start)
    for at, part in enumerate(re.split("`([^`\n]+)`", text)):
        code = at % 2
        _raw(out).write(f"\x1b[{COLOURS['bold']}m" if code else "")
        out.write(part)
        _raw(out).write(f"\x1b[0m{start}" if code else "")
    _raw(out).write("\x1b[0m\n" if start else "\n")


def say_link(before: str, text: str, address: str) -> None:
    """Print a line that ends with a text, on a terminal as a link to an address without special characters."""
    out, text = sys.stdout, one_line(text)
    if not out.isatty() or os.environ.get("TERM") == "dumb":
        print(before + text)
        return
    out.write(before)
    _raw(out).write(f"\x1b]8;;{address}\x1b\\")
    out.write(text)
    _raw(out).write("\x1b]8;;\x1b\\\n")


def _raw(out):
    return out._stream if isinstance(out, _Stream) else out


def _coloured(stream) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def wrap_streams() -> None:
    """The same, for good: for a notebook's kernel. Twice is once."""
    if not isinstance(sys.stdout, _Stream):
        sys.stdout, sys.stderr = _Stream(sys.stdout), _Stream(sys.stderr, has_bars=True)
