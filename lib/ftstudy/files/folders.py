"""Folders that only their owner can read and that git ignores, from the first byte written into them.

Everything the study writes may contain people's messages. A new folder is made next to its final place, under a name
of its own, with an ignore file as its first file; it is locked while its writer lives, so that the next writer can
delete what a killed one left.
"""

import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EEXIST, ENOTDIR, ENOTEMPTY
from pathlib import Path

IGNORE = ".gitignore"
EVERYTHING = "# Written by ftstudy: this folder may contain messages.\n*\n"
LONG_FOR_SOCKETS = 60  # bytes of a path; the rest is for the names of a new folder and of a socket in it
UNFINISHED = re.compile(r"\.(?P<target>.+)\.(?P<kind>new|old)\.[a-z0-9_]{8}")
# What makes a folder in reports/ one of ours, in versions that wrote no ignore file there.
RESULTS = ("extraction.json", "findings.json", "training.json", "comparison.json", "cost.json", "variables")


def keep_private() -> int:
    """From now on, only this user can read what this process and those that it starts write. Returns the umask of
    before."""
    return os.umask(0o077)


def make_folder(folder: Path) -> bool:
    """Make a folder, and those it is in, for its owner alone and ignored by git. Returns whether it was missing.

    A folder that exists stays as it is, except that one of ours which an earlier version left open is closed.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    if not missing:
        if is_ours(folder):
            close_folder(folder)
        return False
    with new_folder(missing[-1]) as new:  # it appears together with its ignore file
        try:
            new.rename(missing[-1])
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # these mean that another process has just made it
                raise
    for one in reversed(missing[:-1]):
        one.mkdir(mode=0o700, exist_ok=True)
    return True


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder next to `target`, with nothing but an ignore file; it is deleted after the block.

    An OSError raised in the block names `target` as its file, unless it names one outside the new folder.
    """
    make_folder(target.parent)
    new = lock = None
    try:
        _clear(target)
        new, lock = _locked_folder(target)
        ignore(new, *EVERYTHING.splitlines())
        yield new
    except OSError as error:
        for key in ("filename", "filename2"):
            name = getattr(error, key)
            if isinstance(name, (str, bytes)) and (new is None or Path(os.fsdecode(name)).is_relative_to(new)):
                setattr(error, key, str(target))
        if error.errno and error.filename is None:
            error.filename = str(target)
        raise
    finally:
        if new:
            shutil.rmtree(new, ignore_errors=True)
            os.close(lock)


@contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder that replaces `target` if the block ends without an error."""
    target = target.resolve()
    with new_folder(target) as new:
        yield new
        close_files(new)
        old = new.with_name(new.name.replace(".new.", ".old.", 1))
        try:
            while True:  # until no other process puts its own there first
                try:
                    new.rename(target)
                    break
                except OSError as error:
                    if error.errno not in (EEXIST, ENOTEMPTY, ENOTDIR):
                        raise
                shutil.rmtree(old, ignore_errors=True)
                with suppress(FileNotFoundError):
                    target.rename(old)
        except BaseException:
            if old.exists() and not target.exists():
                old.rename(target)
            raise
        finally:
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def scratch(for_sockets: bool = False) -> Iterator[Path]:
    """Yield a new folder in the system's temporary folder; it is deleted after the block.

    `for_sockets`: in /tmp if that folder's path is too long for the paths of sockets, which have at most 103 bytes.
    """
    place = Path(tempfile.gettempdir(), "ftstudy")
    if for_sockets and len(os.fsencode(place)) > LONG_FOR_SOCKETS:
        place = Path("/tmp/ftstudy")
    with new_folder(place) as folder:
        yield folder


def ignore(folder: Path, *names: str) -> None:
    """Have git ignore these files in a folder that may be somebody's own: what its ignore file says stays."""
    path = folder / IGNORE
    if path.exists() and not path.is_file():  # a folder or a pipe of that name, which git ignores
        return
    lines = _ignore_file(folder).split("\n")
    missing = [name for name in names if name not in lines and "*" not in lines]
    if missing:
        with open(path, "a", encoding="utf-8", opener=private) as file:
            file.write(("\n" if lines[-1] else "") + "".join(f"{name}\n" for name in missing))


def close_files(folder: Path) -> None:
    """Let only the owner read the folder and everything in it, whatever wrote it."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o700 if path.is_dir() else 0o600)


def close_folder(folder: Path) -> None:
    """Let only the owner enter a folder of ours, which an earlier version left open, unless the user is in it."""
    try:
        found = folder.stat()
    except FileNotFoundError:  # its last user has just removed it
        return
    open_to_others = found.st_mode & 0o077 and not found.st_mode & stat.S_IWOTH and found.st_uid == os.getuid()
    if open_to_others and not any(place.is_relative_to(folder.resolve()) for place in (Path.cwd(), Path.home())):
        ignore(folder, "*")
        folder.chmod(0o700)


def is_ours(folder: Path) -> bool:
    """Whether the study made this folder, or it is a run's."""
    if _ignore_file(folder) == EVERYTHING:
        return True
    return folder.parent.name == "reports" and any((folder / name).is_file() for name in RESULTS)


def private(path: str, flags: int) -> int:
    """Opens for `open`; a new file is for its owner alone."""
    return os.open(path, flags, 0o600)


def _ignore_file(folder: Path) -> str:
    path = folder / IGNORE
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError:
        return ""


def _locked_folder(target: Path) -> tuple[Path, int]:
    """A new folder next to `target` and the open handle that locks it."""
    while True:
        new = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.new."))
        with suppress(FileNotFoundError):  # another process took it for a leftover before it was locked
            handle = os.open(new, os.O_RDONLY | os.O_DIRECTORY)
            if _lock(handle) is not False and new.exists():
                return new, handle
            os.close(handle)


def _lock(handle: int) -> bool | None:
    """Lock an open folder: False if another process holds it, None if this disk has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return None


def _clear(target: Path) -> None:
    """Delete what killed processes left next to `target`; if one was about to replace a folder, put that back."""
    for name in os.listdir(target.parent):
        if found := UNFINISHED.fullmatch(name):
            with suppress(OSError):  # gone already, or somebody else's
                _clear_one(target.with_name(name), target.with_name(found["target"]), target, found["kind"])


def _clear_one(path: Path, final: Path, target: Path, kind: str) -> None:
    """Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        ours = os.fstat(handle).st_uid == os.getuid() and (final == target or _ignore_file(path) in (EVERYTHING, "*\n"))
        if not ours or not _lock(handle):
            return
        if kind == "old" and not final.exists():
            path.rename(final)
        else:
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(handle)
