"""What the readers of exported files share: bytes, text, JSON, local time, names and placeholders."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from ..errors import StudyError
from ..paths import shown
from . import ATTACHMENT, OWNER_SENDER, PHOTO

IMAGE = re.compile(r".+\.(?:jpe?g|png|gif|webp|heic|heif|avif|bmp|tiff?)", re.IGNORECASE | re.DOTALL)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LARGEST = 1 << 30  # bytes; a million messages are about a tenth


def read_bytes(file: Path, largest: int = LARGEST) -> bytes:
    """A file's bytes. StudyError: not there, a folder, empty, not permitted, larger than `largest`."""
    try:
        size = file.stat().st_size
        if size > largest:
            raise StudyError(
                f"{shown(file)} has {size:,} bytes, more than the {largest:,} that are read at once. Export the chats "
                "one by one, without media."
            )
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise StudyError(f"There is no {shown(file)}. Check the path.") from error
    except IsADirectoryError as error:
        raise StudyError(f"{shown(file)} is a folder. Give the exported file in it.") from error
    except OSError as error:
        raise StudyError(
            f"{shown(file)} cannot be read: {error.strerror or error}. Allow yourself to read it, or close the program "
            "that holds it, or copy it elsewhere and read the copy."
        ) from error
    if not data:
        raise StudyError(f"{shown(file)} is empty (0 bytes), so there is nothing to read. Export it again.")
    return data


def decode(data: bytes) -> str:
    """The text of a file, by its byte order mark or as UTF-8; line ends as they are.

    A byte that is no UTF-8 becomes a lone surrogate, and `make_table` calls such a message
    unreadable: one bad byte costs one message, not the history.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "surrogateescape")


def read_json(file: Path, what: str):
    """The value in a JSON file; `what` names it, e.g. "Telegram export". StudyError where it is none."""
    try:
        return json.loads(decode(read_bytes(file)))
    except ValueError as error:
        raise StudyError(
            f"{shown(file)} is not a complete JSON file, so not a {what}: {error}. Export it again, and wait until the "
            "export has finished."
        ) from error
    except RecursionError as error:
        raise StudyError(f"{shown(file)} is nested too deeply to be a {what}. Export it again.") from error


def zone(name: str = "UTC") -> ZoneInfo:
    """A time zone by its name. StudyError where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise StudyError(
            f"{name!r} is not a time zone. Write it as the tz database does, like Europe/Berlin or UTC (ZONE=… or "
            "--time-zone)."
        ) from error


def microseconds(when: datetime) -> int:
    """A date with its zone in whole microseconds since 1970 UTC; floats would lose the last digits."""
    since = when - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def word(value) -> str:
    """A name or an id in JSON, without half characters; "" for anything that is no string."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def sender_of(name: str, is_owner: bool) -> str:
    """Who wrote, for the messages table: "me" is the owner and nobody else."""
    if is_owner:
        return OWNER_SENDER
    return f"{name} (not the owner)" if name == OWNER_SENDER else name


def placeholder(name) -> str:
    """What stands in a text for a file of that name."""
    return PHOTO if isinstance(name, str) and IMAGE.fullmatch(name) else ATTACHMENT
