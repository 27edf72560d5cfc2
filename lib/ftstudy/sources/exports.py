"""Helpers for the readers: files, text, JSON, times, names and placeholders."""

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from zoneinfo import ZoneInfo

from ..errors import StudyError
from ..files import reading
from ..files.reading import LARGEST, UTF_16, refuse_special
from ..machine_failures import pass_on
from ..paths import shown
from . import ATTACHMENT, OWNER_SENDER, PHOTO

IMAGE = re.compile(r".+\.(?:jpe?g|png|gif|webp|heic|heif|avif|bmp|tiff?)", re.IGNORECASE | re.DOTALL)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_bytes(file: Path) -> bytes:
    """A file's bytes. StudyError: missing, a folder, empty, not permitted, or larger than LARGEST."""
    try:
        refuse_special(file)
        size = file.stat().st_size
        if size > LARGEST:
            raise StudyError(
                f"{shown(file)} is too large: {size:,} bytes; at most {LARGEST:,} are read at once. Export the chats one "
                "by one, without media."
            )
        data = reading.read_bytes(file, LARGEST)
    except FileNotFoundError as error:
        raise StudyError(f"There is no {shown(file)}. Check the path.") from error
    except IsADirectoryError as error:
        raise StudyError(f"{shown(file)} is a folder. Give the exported file in it.") from error
    except OSError as error:
        pass_on(error)
        raise StudyError(
            f"{shown(file)} cannot be read: {reading.why(error)}. Give yourself read permission, close the program "
            "that uses the file, or read a copy of it."
        ) from error
    if not data:
        raise StudyError(f"{shown(file)} is empty (0 bytes), so there is nothing to read. Export it again.")
    return data


def decode(data: bytes) -> str:
    """Decode a file by its byte order mark, else as UTF-8; line endings are kept.

    Invalid bytes become lone surrogates, and `make_table` marks a message with one as unreadable:
    a bad byte costs one message, not the whole history.
    """
    if data.startswith(UTF_16):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "surrogateescape")


def read_json(file: Path, what: str):
    """The value in a JSON file. StudyError if it is not valid JSON; `what` names it, e.g. "Telegram export"."""
    try:
        return json.loads(decode(read_bytes(file)))
    except ValueError as error:
        raise StudyError(
            f"{shown(file)} is not a complete JSON file, so it is not a {what}: {error}. Export it again and wait until "
            "the export has finished."
        ) from error
    except RecursionError as error:
        raise StudyError(f"{shown(file)} is nested too deeply to be a {what}. Export it again.") from error


def json_lines(file: Path) -> Iterator[tuple[int, str, object]]:
    """Yield (number, line, value) of each line of a file that isn't blank; the value is the error if it isn't JSON."""
    # Only "\n" ends a line: other line separators may be part of a message.
    for number, line in enumerate(io.StringIO(decode(read_bytes(file)), newline="\n"), 1):
        if line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                value = error
            yield number, line, value


def zone(name: str = "UTC") -> ZoneInfo:
    """A time zone by name. StudyError if the name is unknown."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise StudyError(
            f"{name!r} is not a time zone. Use a name from the tz database, such as Europe/Berlin or UTC (ZONE=… or "
            "--time-zone)."
        ) from error


def microseconds(when: datetime) -> int:
    """Whole microseconds since 1970 UTC of an aware datetime; floats would lose the last digits."""
    since = when - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def parse_time(value, zone=UTC) -> int:
    """Microseconds since 1970 UTC of an ISO 8601 date, in `zone` unless it names one; 0 if it is not a date."""
    try:
        when = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return 0
    return microseconds(when if when.tzinfo else when.replace(tzinfo=zone))


def word(value) -> str:
    """A name or id from JSON, lone surrogates replaced; "" for anything but a string."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def spelt(me, names: set[str]) -> set[str]:
    """The names in `me` as the source spells them. Case is ignored only if no name matches exactly."""
    folded = {name.casefold() for name in me}
    return names & set(me) or {name for name in names if name and name.casefold() in folded}


def distinct(names: dict[str, str], short: Callable[[str], str] = str) -> dict[str, str]:
    """Id -> name, followed by the id (`short` of it) if the name is ambiguous or could be mistaken for the owner."""
    times = Counter([*names.values(), OWNER_SENDER])
    return {one: f"{name} ({short(one)})" if times[name] > 1 else name for one, name in names.items()}


def joined(*parts: str | None) -> str:
    """Placeholders and text of one message; empty ones leave no space."""
    return " ".join(filter(None, parts))


def identity(*parts: str) -> str:
    """A message id, for apps that have none or whose own say who wrote: the same on every reading."""
    return blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def placeholder(name) -> str:
    """The placeholder for an attached file of that name."""
    return PHOTO if isinstance(name, str) and IMAGE.fullmatch(name) else ATTACHMENT
