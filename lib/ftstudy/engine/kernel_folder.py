"""A folder of the user's own for the kernels that MLX compiles.

On Linux, MLX compiles kernels to shared libraries in the system's temporary folder, under names that anybody can
predict, and loads what it finds there. On a shared machine that could be somebody else's code.
"""

import atexit
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from ..paths import CACHE

# MLX takes the first of these that is set, each time it compiles. The last is read by nothing else.
VARIABLES = ("TMPDIR", "TMP", "TEMP", "TEMPDIR")


def use_private() -> Path | None:
    """Make MLX compile in a folder that only this user can write; return it, or None where MLX compiles elsewhere.

    Only what C and C++ libraries and child processes read is changed: Python's own `tempfile` and `os.environ` stay
    as they are. A second call finds the same folder again.
    """
    if not sys.platform.startswith("linux"):  # macOS gives each user their own temporary folder
        return None
    folder = _in_cache() or _fresh()
    os.putenv(next((name for name in VARIABLES if name in os.environ), VARIABLES[-1]), str(folder))
    return folder


def _in_cache() -> Path | None:
    """The folder in the user's cache, where kernels outlast the process; None if somebody else could write to it."""
    folder = CACHE / "kernels"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        folder = folder.resolve()
        is_private = stat.S_IMODE(folder.stat().st_mode) == 0o700 and folder.stat().st_uid == os.geteuid()
        return folder if is_private and os.access(folder, os.W_OK) and not any(map(_is_open, folder.parents)) else None
    except OSError:
        return None


def _is_open(folder: Path) -> bool:
    """Whether another user could put another folder in the place of one in this folder."""
    found = folder.stat()
    by_others = found.st_mode & stat.S_IWOTH or found.st_mode & stat.S_IWGRP and found.st_gid not in (0, os.getegid())
    return found.st_uid not in (0, os.geteuid()) or bool(by_others and not found.st_mode & stat.S_ISVTX)


_made: Path | None = None


def _fresh() -> Path:
    """A new folder with a random name, deleted when this process ends."""
    global _made
    if _made is None:
        _made = Path(tempfile.mkdtemp(prefix="ftstudy-kernels-"))
        atexit.register(_delete, _made, os.getpid())
    return _made


def _delete(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a forked process uses its parent's
        shutil.rmtree(folder, ignore_errors=True)
