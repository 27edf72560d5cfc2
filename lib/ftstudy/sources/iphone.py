"""Reads Apple Messages from an iPhone's backup: finds `sms.db` in its folder, which `imessage` reads.

A backup keeps every file under a name made of where it was on the phone, in a folder named after the first two digits.
"""

from hashlib import sha1
from pathlib import Path

import pandas

from ..errors import StudyError
from ..files.reading import opened, why
from ..paths import absolute, shown
from . import imessage

MESSAGES = sha1(b"HomeDomain-Library/SMS/sms.db", usedforsecurity=False).hexdigest()
INDEXES = ("Manifest.db", "Manifest.mbdb")  # one is in every backup
BACKUP = (
    "Connect the iPhone to a computer, make a local backup of it without encryption (Finder or iTunes), and name that "
    "backup's folder, the one with a Manifest.db."
)


def read(file: str | Path) -> pandas.DataFrame:
    """Read a backup, or the folder of the only one, into a messages table (columns: see `ftstudy.sources`).

    StudyError: no backup, several, an encrypted one, one without messages, or one that can't be read.
    """
    folder = _backup_in(absolute(file))
    for place in (folder / MESSAGES[:2] / MESSAGES, folder / MESSAGES):
        if place.is_file() and not place.is_symlink():
            break
    else:
        raise StudyError(f"The backup {shown(folder)} is incomplete, or has no messages. {BACKUP}")
    if _beginning(folder / INDEXES[0]) not in (b"SQLite format 3\0", b"") or _beginning(place) != b"SQLite format 3\0":
        raise StudyError(f"The backup {shown(folder)} is encrypted, so its messages cannot be read. {BACKUP}")
    table = imessage.read(place)
    table.attrs["notes"] = [*table.attrs["notes"], f"The messages of the backup {shown(folder)} are in {shown(place)}."]
    return table


def _backup_in(path: Path) -> Path:
    if not path.exists():
        raise StudyError(f"There is no {shown(path)}. {BACKUP}")
    folder = path if path.is_dir() else path.parent
    if _is_backup(folder):
        return folder
    inside = [one for one in sorted(folder.iterdir()) if one.is_dir() and not one.is_symlink() and _is_backup(one)]
    if len(inside) == 1:
        return inside[0]
    if inside:
        names = ", ".join(one.name for one in inside[:5])
        raise StudyError(f"The folder {shown(folder)} has {len(inside):,} backups ({names}). Name one of them.")
    raise StudyError(f"{shown(path)} is not an iPhone's backup: it has no Manifest.db. {BACKUP}")


def _is_backup(folder: Path) -> bool:
    return any((folder / name).is_file() for name in INDEXES)


def _beginning(file: Path) -> bytes:
    """The first 16 bytes of a file, or none without it."""
    try:
        with opened(file) as source:
            return source.read(16)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StudyError(f"{shown(file)} cannot be read: {why(error)}. Give yourself read permission.") from error
