"""Finds the exports in a folder, and reads the text and the chat's name from a .txt or .zip."""

import re
import struct
import zipfile
import zlib
from lzma import LZMAError
from pathlib import Path

from ...errors import StudyError
from ...files.reading import opened
from ...paths import shown
from .. import exports
from ..recognize import files_in
from .phrases import PHRASES

# What `zipfile` raises for a file that is incomplete or not a zip.
DAMAGED = (zipfile.BadZipFile, zlib.error, LZMAError, struct.error, EOFError, RuntimeError, OSError, ValueError)


def files(file: Path) -> list[Path]:
    """The exports in a folder, packed or not, or the file itself. StudyError: the folder has none or cannot be read."""
    if not file.is_dir():
        return [file]
    try:
        inside = sorted(one for one in file.iterdir() if not one.name.startswith("."))
        found = [
            one for one in inside if one.is_file() and (one.suffix.lower() in (".txt", ".zip") or _is_renamed(one))
        ]
        found += [one for one in files_in(file, ".txt", ".zip") if one.parent != file and _is_named_as_export(one)]
    except OSError as error:
        raise StudyError(f"{shown(file)} cannot be read: {error.strerror}. Give yourself read permission.") from error
    if not found:
        raise StudyError(
            f"The folder {shown(file)} has no chat exported from WhatsApp: no .txt or .zip, and no folder with a "
            "_chat.txt. In WhatsApp, open a chat, choose Export chat > Without media, and put that file there."
        )
    return found


def _is_named_as_export(file: Path) -> bool:
    """Whether a file in an inner folder is an export, and not a text that somebody sent."""
    return file.name == "_chat.txt" or file.stem == file.parent.name or file.name.startswith(tuple(PHRASES["titles"]))


def _is_renamed(file: Path) -> bool:
    """Whether a file is an export's zip under another name: no document is, which has its type in it."""
    try:
        with opened(file) as beginning:
            if beginning.read(2) != b"PK":
                return False
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except DAMAGED:
        return False
    return "mimetype" not in names and "[Content_Types].xml" not in names and any(n.endswith(".txt") for n in names)


def text_of(file: Path) -> tuple[str, str]:
    """The text of an export, with "\\n" as line ends, and the chat's name."""
    try:
        with opened(file) as export:
            is_zip = export.read(2) == b"PK"
    except OSError:  # `read_bytes` below explains what is wrong
        is_zip = False
    names = [file.parent.name if file.name == "_chat.txt" else file.stem]
    if is_zip:
        data, name = _unzipped(file)
        names.append(name)
    else:
        data = exports.read_bytes(file)
    titles = [
        name.removeprefix(f"{title} ") for name in names for title in PHRASES["titles"] if name.startswith(f"{title} ")
    ]
    # The shortest title, because one prefix may begin with another. A second download adds " (1)".
    title = re.sub(r" \(\d{1,3}\)$", "", min(titles, key=len) if titles else names[0])
    return exports.decode(data).replace("\r\n", "\n"), title


def _unzipped(file: Path) -> tuple[bytes, str]:
    """The chat in a zip, and its name there. Media are never unpacked."""
    try:
        with zipfile.ZipFile(file) as archive:
            chat = _chat_in(archive, file)
            if chat.flag_bits & 1:
                raise _refusal(file, "the zip is encrypted", "Unpack it with its password and use the .txt in it.")
            if chat.file_size > exports.LARGEST:
                raise _refusal(file, f"the text in it has more than {exports.LARGEST:,} bytes")
            # Read in pieces, `zipfile` unpacks no more than the declared size, even from a zip bomb.
            with archive.open(chat) as text:
                return b"".join(iter(lambda: text.read(1 << 20), b"")), Path(chat.filename).stem
    except DAMAGED as error:
        raise _refusal(file, f"the zip is damaged or incomplete ({error})") from error


def _chat_in(archive: zipfile.ZipFile, file: Path) -> zipfile.ZipInfo:
    """The text in a zip that is most likely the chat: it may also contain text files that somebody sent."""
    texts = [
        one for one in archive.infolist() if one.filename.lower().endswith(".txt") and "__MACOSX" not in one.filename
    ]
    if not texts:
        raise _refusal(file, "the zip has no .txt")

    def likelihood(one):
        inside = Path(one.filename)
        return inside.name == "_chat.txt", inside.stem == file.stem, one.file_size

    return max(texts, key=likelihood)


def _refusal(file: Path, reason: str, fix="Export the chat again, and use the file unchanged.") -> StudyError:
    return StudyError(f"{shown(file)} cannot be read as a chat exported from WhatsApp: {reason}. {fix}")
