"""Read files that others may have made: regular files only, and never more than expected.

Any problem is an OSError or a ValueError; the caller puts its `why` into the message.
"""

import errno
import json
import os
import stat
from pathlib import Path
from typing import BinaryIO

from ..printable import cut

SETTINGS = 4 << 20  # bytes; the most that a file of settings has
LARGEST = 1 << 30  # … and any other file that is read as a whole; a million messages take about a tenth of that
PIECE = 1 << 20
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # its byte order marks
KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def opened(path: Path) -> BinaryIO:
    """A regular file, or a link to one, opened. Raises OSError for anything else, which could be endless or have no
    writer, without waiting for it."""
    refuse_special(path)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        refuse_special(handle)  # it may have been replaced just now
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def refuse_special(path: Path | int) -> None:
    """Raises OSError if a path, or what is open under a number, isn't a regular file."""
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, not a file", path if isinstance(path, Path) else None)
    if not stat.S_ISREG(mode):
        kind = next((kind for is_kind, kind in KINDS if is_kind(mode)), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file")


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """A regular file's bytes. Raises OSError, also if there are more than `most`."""
    data = bytearray()  # grows with what is there: `read(most)` would need memory for the most at once
    with opened(path) as file:
        while len(data) <= most and (piece := file.read(PIECE)):
            data += piece
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes, which is more than such a file can have")
    return bytes(data)


def read_text(path: Path, most: int = LARGEST, encoding: str = "utf-8", errors: str = "strict") -> str:
    """A regular file's text, with "\\n" as line ends. Raises OSError as `read_bytes` does, ValueError if it can't be
    decoded."""
    text = read_bytes(path, most).decode(encoding, errors)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path, most: int = LARGEST):
    """The value in a JSON file. Raises OSError as `read_bytes` does, ValueError if it isn't JSON."""
    return parse_json(read_text(path, most))


def parse_json(text: str):
    """The value of a JSON text. Raises ValueError, also if it is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def why(error: Exception, most: int = 300) -> str:
    """The reason in an exception, on one line, without the file's name and with at most so many characters."""
    return cut(" ".join(str(getattr(error, "strerror", None) or error).split()), most)
