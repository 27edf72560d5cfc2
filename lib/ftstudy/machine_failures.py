"""What the machine refused, said in one paragraph: room on the disk, permission, memory, open files.

MLX, safetensors, pandas, SQLite and a notebook's kernel hand on the system's error only as text, in exceptions of
their own. So the text of the whole chain of exceptions is searched, whatever their classes.
"""

import os
import re
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from errno import EACCES, EDQUOT, EFBIG, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, EPERM, EROFS
from pathlib import Path

from . import __name__ as package
from .files import write_text
from .paths import CACHE, absolute, shown

# What is wrong, and what to do.
ROOM = "Free some space there, or choose a folder on another disk"
OTHER = "Choose another path, or change its permissions"
MEMORY = "Close other programs, or use a smaller model, batch_size or max_seq_length"
FILES = "Close other programs, or allow more with `ulimit -n 4096`"
REASONS = {
    ENOSPC: ("the disk is full", ROOM),
    EDQUOT: ("your quota on this disk is used up", ROOM),
    EFBIG: ("the file would be larger than this system allows", "Allow larger files with `ulimit -f unlimited`"),
    EROFS: ("this disk is read-only", "Choose a folder on another disk"),
    EACCES: ("permission denied", OTHER),
    EPERM: ("not permitted", OTHER),
    EIO: ("the disk reports an error", "Choose a folder on another disk"),
    ENOMEM: ("memory ran out", MEMORY),
    ENFILE: ("too many files are open on this machine", FILES),
    EMFILE: ("too many files are open", FILES),  # after the other, whose text begins like this one's
}
SCARCE = (ENOMEM, ENFILE, EMFILE, ENOSPC, EDQUOT)  # says nothing about the file in use
# As libraries say it, besides the system's own texts.
SAID = {
    ENOSPC: r"database or disk is full|Unable to write \d+ bytes to file",
    EACCES: "No usable temporary directory",
    EIO: "disk I/O error",
    EROFS: "attempt to write a readonly database",
    EMFILE: "not allowed to raise maximum limit",  # mlx-lm wants to open 4096 files
    ENOMEM: "MemoryError|bad_alloc|[Uu]nable to allocate|Attempting to allocate|failed to map segment|"
    "can't start new thread",
}
ERRNO = re.compile(r"(?:\[Errno |os error )(\d+)[\])]")
NAMED = re.compile(r"\[Errno \d+\] [^:\n]*: ?(['\"])(.+?)\1(?: -> (['\"])(.+?)\3)?$", re.MULTILINE)


def explain(error: BaseException) -> str | None:
    """One paragraph with the file, the reason and the fix, if the machine refused something; otherwise None."""
    return explained(f"{type(one).__name__}: {one}" for one in _chain(error))


def explained(texts: Iterable[str]) -> str | None:
    """As `explain`, from the texts of exceptions, the outermost first."""
    for text in texts:
        if "surrogates not allowed" in text:
            return (
                "Stopped, because a name is not valid UTF-8: that of a file, of a folder, or of one of the folders you are "
                "in. Rename it, and run the same command again."
            )
        number = _number(text)
        if number is None:
            continue
        found, (what, fix) = NAMED.search(text), REASONS[number]
        name = found and (found[4] or found[2])  # of two, the second is the one the user named
        if name and number in (ENOSPC, EDQUOT, EFBIG, EROFS, EACCES) and _is_temporary(name):
            fix += ", or set TMPDIR to another folder"
        subject = f"Cannot use {shown(name)}: {what}" if name else f"Stopped, because {what}"
        if not name and number in (ENOSPC, EDQUOT):
            subject += f". It is the disk of {_written_to()}"
        return f"{subject}. {fix}. Finished steps are kept: run the same command again to continue."
    return None


def pass_on(error: BaseException) -> None:
    """Raise an error again that the machine's lack of memory, open files or room caused, so that it isn't blamed on the
    file or the template in use. What a template or an app says in its own words doesn't count."""
    if any(map(_is_of_the_machine, _chain(error))):
        raise error


def _is_of_the_machine(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in SCARCE
    said_by_library = isinstance(error, RuntimeError | ImportError) or type(error).__name__ == "SafetensorError"
    return said_by_library and _number(str(error)) in SCARCE


def _number(text: str) -> int | None:
    """The system's error number that a text gives or describes, if it is one of REASONS."""
    if found := ERRNO.search(text):
        return int(found[1]) if int(found[1]) in REASONS else None
    said = lambda number: os.strerror(number) in text or re.search(SAID.get(number, "$^"), text)  # noqa: E731
    return next((number for number in REASONS if said(number)), None)


def _written_to() -> str:
    temporary = os.environ.get("TMPDIR") or tempfile.tempdir or "/tmp"
    return (
        f"{shown(temporary)} (TMPDIR), of {shown(CACHE)} (the cache), or of the folder for the results or the adapter"
    )


def _is_temporary(name: str) -> bool:
    given = [os.environ.get("TMPDIR"), "/tmp", "/var/tmp", tempfile.tempdir]
    return any(absolute(name).parent == absolute(folder) for folder in given if folder)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, what it contains, and what it came from."""
    while error is not None:
        yield error
        for one in getattr(error, "exceptions", ()):
            yield from _chain(one)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def unexpected(error: BaseException) -> str:
    """One paragraph on an error that nobody foresaw. Its traceback is kept in a file for a bug report; its text may
    quote a message, and is only in that file."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    path = CACHE / "traceback.txt"
    try:
        write_text(path, "".join(traceback.format_exception(error)))
        kept = f"the traceback in {shown(path)}, once you have looked whether it quotes a message"
    except Exception:
        print("Traceback (most recent call last):", file=sys.stderr)
        traceback.print_tb(error.__traceback__)
        kept = "the traceback above"
    return (
        f"This is a bug in {package}: {type(error).__name__} ({Path(last.filename).name}, line {last.lineno}). Please "
        f"report it, with {kept}."
    )
