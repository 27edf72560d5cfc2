"""The file of recorded prompts: one JSON object a line, `{"split", "row", "ids" or "prompt" or "messages"}`.

Each line is written at once, so that an interrupted recording keeps what it has. Nobody else can read the file.
"""

import json
import os
from collections import Counter
from pathlib import Path

from ..chat_format.capture import captured_rows
from ..errors import StudyError
from ..paths import shown
from .matching import Where


class Captures:
    """A recording that can be continued. `rows`: what it has; `counts`: what happened since it was opened;
    `notes`: what could not be known."""

    def __init__(self, path: Path):
        """Raises StudyError if the file exists and is not a recording."""
        self.path, self.rows, self.counts, self.notes = path, {}, Counter(), {}
        if path.exists():
            known = captured_rows(path)
            if known["broken"]:
                raise StudyError(
                    f"{shown(path)} is not only a recording ({known['broken'][0]}). Name another file with --out, or "
                    "remove it."
                )
            self.rows = known["rows"]
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.fchmod(handle, 0o600)
        self.file = os.fdopen(handle, "w", encoding="utf-8", newline="\n")

    def add(self, where: Where, prompt, stop: tuple[str, ...] = (), notes: list[str] = ()) -> str:
        """Write one prompt and return what happened: recorded, repeated or changed (the first one counts)."""
        if where in self.rows:
            outcome = "repeated" if self.rows[where] == prompt else "changed"
        else:
            outcome, self.rows[where] = "recorded", prompt
            row = {"split": where[0], "row": where[1], _key(prompt): prompt}
            row |= {"stop": list(stop)} if stop else {}
            row |= {"notes": list(notes)} if notes else {}
            self.file.write(json.dumps(row, ensure_ascii=False) + "\n")
            self.file.flush()
            self.notes |= dict.fromkeys(notes)
        self.counts[outcome] += 1
        return outcome

    def close(self) -> None:
        self.file.close()


def _key(prompt) -> str:
    if isinstance(prompt, str):
        return "prompt"
    return "ids" if isinstance(prompt[0], int) else "messages"
