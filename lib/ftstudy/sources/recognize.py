"""Which app wrote a chat history: recognized by what is in a file, then by its name.

To add an app, add a line to READERS, and to CONTENT the pattern that its files have near their beginning.
"""

import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ..errors import StudyError
from ..files.reading import UTF_16, opened
from ..paths import shown

READERS = {  # kind -> the app, and the module that reads it
    "imessage": "Apple Messages on a Mac",
    "iphone": "Apple Messages in an iPhone's backup",
    "whatsapp": "WhatsApp's Export chat",
    "whatsapp_json": "WhatsApp-Chat-Exporter",
    "telegram": "Telegram Desktop",
    "signal_desktop": "Signal Desktop's Export chat history",
    "signal": "signal-export",
    "meta": "Instagram or Messenger",
    "discord": "DiscordChatExporter",
    "sms": "SMS Backup & Restore",
    "table": "a table with named columns",
}
HEAD = 4000  # bytes that say what a file is
MOST_FILES, DEEPEST = 3000, 8  # looked at in a folder
_JSON = rb"(?s)(?:\{|\[\s*[{\[\]])"
CONTENT = {  # kind -> how its files begin, after a byte order mark and white space
    "imessage": rb"SQLite format 3\0",
    "sms": rb"(?s)<.{0,3000}<smses\b|<smses\b",
    "signal_desktop": rb'\{[^\n]{0,300}"backupTimeMs"|\{"(?:account|recipient|chat|chatItem)":',
    "whatsapp_json": rb'\{\s*"[\w.+-]{3,60}@(?:s\.whatsapp\.net|g\.us|lid|c\.us|broadcast)"\s*:',
    "discord": _JSON + rb'.{0,4000}"guild"',
    "meta": rb'(?s)\{.{0,3000}"participants".{0,4000}"(?:sender_?name|thread_?name|thread_path|is_still_participant)"',
    "telegram": _JSON
    + rb'.{0,4000}(?:"(?:from_id|date_unixtime|text_entities|actor_id|personal_information|left_chats|chats)"'
    rb'|"type"\s*:\s*"(?:personal_chat|bot_chat|saved_messages|private_\w+|public_\w+)")',
    "signal": rb'\{[^\n]{0,4000}"(?:sender|body)"\s*:[^\n]{0,4000}"(?:body|sender)"',
}
NAMES = (  # patterns of names in lower case -> kind
    ("*.csv", "table"),
    ("*.tsv", "table"),
    ("*.jsonl", "table"),
    ("*.ndjson", "table"),
    ("*.parquet", "table"),
    ("*.db", "imessage"),
    ("data.json", "signal"),
    ("result.json", "telegram"),
    ("*.txt", "whatsapp"),
    ("*.zip", "whatsapp"),
)
# Apps whose JSON is recognized, to say so: what it has near its beginning.
_OTHERS = {
    "Slack": rb'"ts"\s*:\s*"\d{10}\.\d+"',
    "sigtop": rb'"conversationId".{0,2000}"sent_at"',
    "Google Chat": rb'"creator"\s*:|"created_date"',
    "Snapchat": rb'"Media Type"|"IsSender"',
    "Matrix": rb'"origin_server_ts"',
    "Skype": rb'"conversations".{0,500}"threadProperties"',
}
_TABLE = "or make a table of it with the columns conversation, sender, timestamp and text (docs/sources.md shows how)"


def kind_of(file: Path) -> str:
    """The reader for a file or folder. StudyError: not recognized."""
    if os.path.isdir(file):  # unlike Path.is_dir, no error without permission
        return _kind_of_folder(file)
    try:
        with opened(file) as source:
            head = source.read(HEAD)
    except OSError:  # missing or not permitted: the reader explains what to do
        return "imessage" if file.suffix.lower() in (".db", "") else "table"
    if file.name.lower() in ("manifest.db", "manifest.mbdb"):
        return "iphone"
    if head.startswith(b"PK"):
        return _kind_of_zip(file)
    start = _start(head)
    kind = next((kind for kind, pattern in CONTENT.items() if re.match(pattern, start, re.IGNORECASE)), None)
    if kind == "signal" and b'"conversation"' in start:
        kind = "table"
    by_name = next((kind for pattern, kind in NAMES if Path(file.name.lower()).match(pattern)), None)
    is_json = re.match(_JSON, start)
    if kind or by_name and not (is_json and by_name == "whatsapp"):
        return kind or by_name
    if is_json:
        raise _other_json(file, start)
    if _has_whatsapp(head):
        return "whatsapp"
    raise StudyError(
        f"Cannot tell which app wrote {shown(file)}. Name the kind with KIND=… or --kind ({', '.join(READERS)}), {_TABLE}."
    )


def _start(head: bytes) -> bytes:
    if head.startswith(UTF_16):
        head = head.decode("utf-16", "ignore").encode()
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()


def _other_json(file: Path, start: bytes) -> StudyError:
    app = next((name for name, pattern in _OTHERS.items() if re.search(b"(?s)" + pattern, start)), "")
    of = f"JSON of {app}" if app else "JSON of an app that ftstudy does not know"
    return StudyError(
        f"{shown(file)} is {of}, for which there is no reader. If it is the export of an app that has one, name it with "
        f"KIND=… or --kind ({', '.join(READERS)}), {_TABLE}."
    )


def _kind_of_zip(file: Path) -> str:
    """WhatsApp sends its exports as a zip; of others, say that they must be unpacked."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = [one.lower() for one in archive.namelist()[:MOST_FILES]]
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
        return "whatsapp"  # its reader says what is wrong
    if any(name.endswith("workbook.xml") for name in names):
        raise StudyError(
            f"{shown(file)} is a spreadsheet. Save it as CSV, with the columns conversation, sender, timestamp, text."
        )
    if not any(name.endswith(".txt") for name in names) and any(
        name.endswith((".json", ".jsonl", ".xml")) for name in names
    ):
        raise StudyError(f"{shown(file)} is a zip, but not WhatsApp's. Unpack it, and name the folder.")
    return "whatsapp"


def _kind_of_folder(folder: Path) -> str:
    if folder.parts[-2:] == ("Library", "Messages"):  # without Full Disk Access it looks empty
        return "imessage"
    found, refused = Counter(), None
    for file in files_in(folder):
        if file.name.lower() in ("manifest.db", "manifest.mbdb"):
            return "iphone"
        try:
            kind = kind_of(file)
        except StudyError as error:
            refused = refused or error
            continue
        if kind == "whatsapp" and not _is_whatsapp(file):
            continue
        if kind != "table" and (kind != "imessage" or file.name == "chat.db"):
            found[kind] += 1
    if len(found) == 1:
        return next(iter(found))
    if found:
        counts = ", ".join(f"{count:,} of {kind}" for kind, count in found.most_common())
        raise StudyError(
            f"The folder {shown(folder)} has exports of several apps: {counts}. Say which to read with KIND=… or --kind, or "
            "put each app's into a folder of its own."
        )
    if refused:
        raise refused
    raise StudyError(
        f"The folder {shown(folder)} has no known chat history. Name the exported file itself, or a folder of exports from "
        f"one app: {'; '.join(app for kind, app in READERS.items() if kind != 'table')}. Tables are named one by one."
    )


def files_in(folder: Path, *suffixes: str) -> Iterator[Path]:
    """Yield the files in a folder and its folders that may be exports, in order; links and hidden files aren't followed."""
    seen = 0
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        if len(Path(top).relative_to(folder).parts) >= DEEPEST:
            folders.clear()
        for name in sorted(names):
            file = Path(top, name)
            suffix = file.suffix.lower()
            if suffix not in (suffixes or (".txt", ".zip", ".json", ".jsonl", ".xml", ".db", ".mbdb", "")):
                continue
            if name.startswith(".") or file.is_symlink() or not file.is_file():
                continue
            yield file
            seen += 1
            if seen >= MOST_FILES and not suffixes:
                return


def _is_whatsapp(file: Path) -> bool:
    if file.suffix.lower() == ".zip":
        return True
    with opened(file) as source:
        head = source.read(HEAD)
    return head.startswith(b"PK") or _has_whatsapp(head)


def _has_whatsapp(head: bytes) -> bool:
    from .whatsapp.headers import find_headers

    text = head.decode("utf-16" if head.startswith(UTF_16) else "utf-8", "ignore")
    return bool(find_headers(Path("."), text, []))
