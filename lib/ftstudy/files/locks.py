"""One process at a time. The system releases the lock of a killed process by itself; reading needs no lock."""

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import StudyError
from .folders import IGNORE, make_folder

LOCK = ".lock"


@contextmanager
def held(path: Path, busy: str = "", instead: str = "") -> Iterator[None]:
    """Hold the lock file `path` during the block; its folder is made if it is missing, and removed if it stays empty.

    Waits for another process that holds it; with `busy`, which says what that one does ("… is being trained"), raises
    StudyError at once. `instead`: what to do then.
    """
    handle, made = _taken(path, busy, instead)
    try:
        yield
    finally:
        with suppress(OSError):
            unused = set(os.listdir(path.parent)) <= {path.name, IGNORE}
            _remove(path.parent) if made and unused else path.unlink()
        os.close(handle)


def _taken(path: Path, busy: str, instead: str) -> tuple[int, bool]:
    """An open handle that locks the file, and whether its folder was made for it."""
    made = False
    while True:
        made = make_folder(path.parent) or made
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:  # the folder has just been removed by its last user
            continue
        except OSError as error:
            error.filename = str(path.parent)
            raise
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            who = _holder(handle)
            os.close(handle)
            raise StudyError(f"{busy} by {who}. {instead}".strip()) from None
        except OSError:  # a disk without locks
            return handle, made
        except BaseException:
            os.close(handle)
            raise
        if _is_at(path, handle):
            with suppress(OSError):  # a full disk: then a process that is refused does not learn who holds it
                os.ftruncate(handle, 0)
                os.pwrite(handle, json.dumps({"process": os.getpid(), "since": time.time()}).encode(), 0)
            return handle, made
        os.close(handle)  # its holder has removed it


def _is_at(path: Path, handle: int) -> bool:
    """Whether the open file is still the one with this path: another process may remove it at any time."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _holder(handle: int) -> str:
    try:
        found = json.loads(os.pread(handle, 1000, 0))
        return f"process {int(found['process'])} (since {time.strftime('%d %B, %H:%M:%S', time.localtime(found['since']))})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _remove(folder: Path) -> None:
    """Remove a folder, lock file included, in one step: who waits for the lock sees that it is gone."""
    gone = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.new."))
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
