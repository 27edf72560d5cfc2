"""Write results completely or not at all: to a temporary file next to the target, which is then renamed."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path

from .errors import StudyError
from .paths import shown


def read_json(path: Path):
    """Read a result of an earlier step. Raises StudyError if the file is missing."""
    if not path.is_file():
        raise StudyError(
            f"{shown(path)} is missing. An earlier step of the study writes it: run the notebooks in order, or "
            f"`make report RUN={path.parent.name}`."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[dict]) -> None:
    with replace_file(path) as new, new.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    with replace_file(path) as new:
        new.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def replace_file(target: Path):
    """Yield a new empty file that becomes `target` if the block ends without an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    new = Path(name)
    try:
        yield new
        new.chmod(0o644)
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


@contextmanager
def replace_folder(target: Path):
    """Yield a new empty folder that replaces `target` if the block ends without an error."""
    with new_folder(target) as new:
        old = new.with_name(new.name.replace(".new.", ".old.", 1))
        try:
            yield new
            new.chmod(0o755)
            if target.exists():
                target.rename(old)
            new.rename(target)
        except BaseException:
            if old.exists() and not target.exists():
                old.rename(target)
            raise
        finally:
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def new_folder(target: Path):
    """Yield a new empty folder next to `target`; it is deleted after the block."""
    target.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.new."))
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def move_files(source: Path, target: Path) -> None:
    """Move a folder's files into another folder on the same disk, replacing files of the same name."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        path.replace(target / path.name)
