"""Write results completely or not at all: to a new file in a private folder next to the target, which is then renamed.

Only the owner can read what is written, whatever the umask.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path

from ..errors import StudyError
from ..paths import shown
from . import locks, reading
from .folders import IGNORE, close_files, make_folder, new_folder, private

# Names of files that aren't UTF-8 are written as \udcff, which JSON reads as the same name again.
ODD = "backslashreplace"


def read_json(path: Path):
    """Read a result of an earlier step. Raises StudyError if the file is missing or damaged."""
    if not path.is_file():
        raise StudyError(
            f"{shown(path)} is missing. An earlier step of the study writes it: run the notebooks in order, or "
            f"`make report RUN={path.parent.name}`."
        )
    try:
        return reading.read_json(path)
    except (OSError, ValueError) as error:
        raise StudyError(
            f"{shown(path)} is damaged ({reading.why(error)}). Delete it, and run the step that writes it again."
        ) from error


def write_json(path: Path, value) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def update_json(path: Path, change: Callable, start) -> None:
    """Replace a JSON file by `change(its value)`, or `change(start)` if there is none; nobody else writes in between."""
    with locks.held(path.with_name(f".{path.name}.lock")):
        write_json(path, change(read_json(path) if path.is_file() else start))


def write_jsonl(path: Path, rows: Iterable[dict]) -> None:
    with replace_file(path) as new, new.open("w", encoding="utf-8", errors=ODD, newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    with replace_file(path) as new:
        new.write_text(text, encoding="utf-8", errors=ODD, newline="\n")


@contextmanager
def replace_file(target: Path) -> Iterator[Path]:
    """Yield a new empty file of the target's name that becomes `target` if the block ends without an error.

    Raises StudyError if there is something else than a file, such as a device, which a new file would replace.
    """
    if target.exists() and not target.is_file():
        raise StudyError(f"{shown(target)} is not a file, so nothing was written there. Name another file.")
    with new_folder(target) as folder:
        new = folder / target.name
        new.touch(mode=0o600)
        yield new
        new.chmod(0o600)
        new.replace(target)


@contextmanager
def growing(path: Path) -> Iterator[Callable[[dict], None]]:
    """Yield a function that appends a row to a new JSONL file at once; what is written stays if the block fails."""
    make_folder(path.parent)
    path.unlink(missing_ok=True)  # who could read an older file cannot read this one
    with open_private(path, "xb") as file:
        yield lambda row: append_row(file, row)


def open_private(path: Path, mode: str) -> RawIOBase:
    """Open a file, unbuffered; a new one is for its owner alone."""
    return open(path, mode, buffering=0, opener=private)


def append_row(file: RawIOBase, row: dict) -> None:
    """Write a row of JSONL whole or, as on a full disk, not at all. Raises OSError."""
    line, size = json.dumps(row, ensure_ascii=False).encode("utf-8", ODD) + b"\n", os.fstat(file.fileno()).st_size
    try:
        while line:
            line = line[file.write(line) :]
    except OSError as error:
        file.truncate(size)
        error.filename = str(file.name)
        raise


def move_files(source: Path, target: Path) -> None:
    """Move a new folder's files into another folder on the same disk, replacing files of the same name."""
    close_files(source)
    for path in sorted(source.iterdir()):
        if path.name != IGNORE:  # the other folder has its own
            path.replace(target / path.name)
