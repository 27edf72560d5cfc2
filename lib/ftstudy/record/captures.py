"""The file of recorded prompts: one JSON object a line, `{"split", "row", "ids" or "prompt" or "messages"}`.

Each line is written at once, so that an interrupted recording keeps what it has. Nobody else can read the file.
"""

import fcntl
import json
import os
from collections import Counter
from pathlib import Path

from ..chat_format.capture import captured_rows
from ..errors import StudyError
from ..files import append_row, open_private
from ..files.folders import make_folder
from ..paths import shown
from .matching import Where


class Captures:
    """A recording that can be continued. `rows`: what it has; `counts`: what happened since it was opened;
    `notes`: what could not be known."""

    def __init__(self, path: Path):
        """Raises StudyError if the file exists and is not a recording, or if another process is recording into it."""
        self.path, self.rows, self.counts, self.notes = path, {}, Counter(), {}
        make_folder(path.parent)
        self.file = open_private(path, "ab")
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        path = self.path
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyError(
                f"{shown(path)} is being recorded by another process. End that one, or name another file with --out."
            ) from None
        except OSError:  # a disk without locks
            pass
        if path.stat().st_size:
            self._end_last_line()
            known = captured_rows(path)
            if known["broken"]:
                raise StudyError(
                    f"{shown(path)} is not only a recording ({known['broken'][0]}). Name another file with --out, or "
                    "remove it."
                )
            self.rows = known["rows"]
        os.fchmod(self.file.fileno(), 0o600)

    def _end_last_line(self) -> None:
        """Remove a last line that a killed recording left unfinished; one that is only without a line end gets it."""
        text = self.path.read_bytes()
        last = text.rpartition(b"\n")[2]
        try:
            if last and json.loads(last):
                self.file.write(b"\n")
        except ValueError:
            if last.startswith(b'{"split": '):
                self.file.truncate(len(text) - len(last))

    def add(self, where: Where, prompt, stop: tuple[str, ...] = (), notes: list[str] = ()) -> str:
        """Write one prompt and return what happened: recorded, repeated or changed (the first one counts)."""
        if where in self.rows:
            outcome = "repeated" if self.rows[where] == prompt else "changed"
        else:
            outcome = "recorded"
            row = {"split": where[0], "row": where[1], _key(prompt): prompt}
            row |= {"stop": list(stop)} if stop else {}
            row |= {"notes": list(notes)} if notes else {}
            append_row(self.file, row)
            self.rows[where] = prompt
            self.notes |= dict.fromkeys(notes)
        self.counts[outcome] += 1
        return outcome

    def close(self) -> None:
        self.file.close()


def _key(prompt) -> str:
    if isinstance(prompt, str):
        return "prompt"
    return "ids" if isinstance(prompt[0], int) else "messages"
