"""Opens a `chat.db` read-only, also one that is in use, on a read-only disk, damaged or made by somebody to do harm."""

import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import imessage_chatdb

from ..errors import StudyError
from ..files.folders import scratch
from ..files.reading import refuse_special, why
from ..machine_failures import pass_on
from ..paths import check_names, shown

BUSY_SECONDS = 5.0
SECONDS, BYTES_PER_SECOND = 60, 1_000_000  # how long the reading may take: so many, and more for a large file
TABLES = {
    *("message", "chat", "handle", "attachment"),
    *("chat_message_join", "chat_handle_join", "message_attachment_join"),
}
# imessage_chatdb's names for the columns that it takes as numbers.
NUMBERS = {
    *("date", "date_read", "date_delivered", "date_edited", "date_retracted", "handle_rowid", "chat_rowid"),
    *("chat_style", "assoc_type", "item_type", "group_action_type", "filter_action", "is_spam", "total_bytes"),
}


def query(file: Path, use: Callable):
    """What `use(database, connection)` returns. StudyError: file missing, empty, not a Messages database, not permitted,
    locked or damaged."""
    _check_readable(file)
    check_names(file)
    try:
        try:
            return _query(file, use)
        except imessage_chatdb.ChatDBAccessError as error:
            if "unable to open" not in error.reason:
                raise
            # On a read-only volume (a backup, a snapshot) SQLite cannot create its -shm file.
            with _copy_of(file) as copy:
                return _query(copy, use)
    except imessage_chatdb.ChatDBBusy as error:
        raise StudyError(
            f"{shown(file)} is locked by another program ({error}). Close that program, or read a copy of the file "
            "together with its -wal and -shm files."
        ) from error
    except imessage_chatdb.SchemaError as error:
        raise StudyError(
            f"{shown(file)} is not a Messages database: it has no {error.column}. If you use Messages, name its "
            "chat.db, or a copy of it; the database of another app must be exported first (docs/sources.md)."
        ) from error
    except (imessage_chatdb.ChatDBAccessError, sqlite3.Error, OSError) as error:
        pass_on(error)
        raise _unreadable(file, getattr(error, "reason", str(error))) from error
    except (TypeError, ValueError, OverflowError, MemoryError) as error:  # of values that no Messages database has
        raise StudyError(
            f"{shown(file)} is damaged: a value in it is not what Messages writes there ({why(error)}). Copy the "
            "original again, together with its -wal and -shm files."
        ) from error


def _query(file: Path, use: Callable):
    database = imessage_chatdb.ChatDB(file, timeout=BUSY_SECONDS)
    with database.connection() as connection:
        _bound(connection, file)
        # By default one text that is not UTF-8, or one date that is not a number, would abort the reading; this way it
        # costs only that message.
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        connection.row_factory = _row_with_numbers
        return use(database, connection)


def _bound(connection: sqlite3.Connection, file: Path) -> None:
    """Nothing is read that is computed and not stored, and no more than the file can hold. Raises StudyError if a
    view or a generated column has the name of a table, since reading it may never end."""
    size = sum(part.stat().st_size for part in _parts(file))
    deadline = time.monotonic() + SECONDS + size / BYTES_PER_SECOND
    connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(size, 1 << 20))
    found = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    for kind, name, sql in found:
        if str(name).lower() not in TABLES:
            continue
        is_virtual = kind == "view" or re.match(r"\s*create\s+virtual", str(sql), re.IGNORECASE)
        if is_virtual or any(column[6] for column in connection.execute(f"PRAGMA table_xinfo({str(name).lower()})")):
            raise StudyError(
                f"{shown(file)} is not a Messages database as macOS writes it: its {name} is computed when it is read, "
                "which need not end. Use the chat.db of Messages, or a copy of it."
            )


def _row_with_numbers(cursor: sqlite3.Cursor, values: tuple) -> sqlite3.Row:
    """A row in which a column of numbers has only whole ones, or None."""
    cleaned = [
        None if names[0] in NUMBERS and not _is_number(value) else value
        for names, value in zip(cursor.description, values)
    ]
    return sqlite3.Row(cursor, tuple(cleaned))


def _is_number(value) -> bool:
    return isinstance(value, int) or isinstance(value, float) and abs(value) < 2**63


def _parts(file: Path) -> list[Path]:
    """The files of a database that exist."""
    return [part for part in (file, file.with_name(f"{file.name}-wal")) if part.is_file()]


@contextmanager
def _copy_of(file: Path):
    with scratch() as folder:
        for part in _parts(file):
            shutil.copyfile(part, folder / part.name)
        yield folder / file.name


def _check_readable(file: Path) -> None:
    try:
        refuse_special(file)
        if file.stat().st_size == 0:
            raise StudyError(
                f"{shown(file)} is empty (0 bytes). Copy the original again, together with its -wal and -shm files."
            )
    except FileNotFoundError as error:
        raise StudyError(
            f"There is no {shown(file)}. Check the path; on a Mac the history is ~/Library/Messages/chat.db."
        ) from error
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from error


def _unreadable(file: Path, reason: str) -> StudyError:
    if "not a database" in reason:
        fix = "Use the chat.db of Messages, not an export or a backup archive of it."
    elif "interrupted" in reason:
        reason, fix = "reading takes too long for its size", "Copy the original again; this one is damaged."
    elif file.parent.parts[-2:] == ("Library", "Messages"):
        fix = (
            "macOS protects this folder: allow the program that runs Python (the terminal or the editor) under System "
            "Settings > Privacy & Security > Full Disk Access, then restart that program."
        )
    else:
        fix = (
            "Check that you may read the file and write to its folder (SQLite keeps a -shm file there), or copy chat.db "
            "again together with its -wal and -shm files."
        )
    return StudyError(f"{shown(file)} cannot be read: {reason}. {fix}")
