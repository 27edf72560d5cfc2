"""What rows contain, whoever wrote them: counted, never changed."""

import re
from collections import Counter
from pathlib import Path

import numpy as np

from .. import chat_format
from ..chat_format.rows import Split, read_split
from ..errors import StudyError
from ..paths import shown
from .variant_folder import SPLITS

SCHEMAS = {"chat": "messages", "completion": "prompt and completion", "text": "text", None: "none that mlx-lm reads"}
SPEAKER = re.compile(r"^([^\s:<>\[\]{}][^:<>\[\]{}\n]{0,39}): ", re.MULTILINE)
MOST = 8  # entries of each list


def describe(folder: Path, config: dict | None = None) -> dict:
    """The rows of a folder. `config`: may rename the rows' keys.

    Returns `data`, the folder; `splits`, one dict per file with `split`, `bytes`, `rows`, `schema`, `blank` and
    `broken` lines, `turns` (messages of a median row) and the median lengths `user` and `reply` in characters; and,
    over all splits: `roles`, `systems`, `speakers` and `replies`, each [(what, rows)] by frequency, with the number of
    different ones in `different`; `lengths`, of all replies; `turns`, of all rows; `tools`, the rows with tools.
    Raises StudyError if the folder has none of the three files.
    """
    splits = [read_split(folder, name, config) for name in SPLITS if (folder / f"{name}.jsonl").is_file()]
    if not splits:
        here = ", ".join(sorted(path.name for path in folder.iterdir())[:6]) if folder.is_dir() else ""
        raise StudyError(
            f"There are no rows in {shown(folder)}: mlx-lm reads train.jsonl, valid.jsonl and test.jsonl, and "
            + (f"this folder has {here}. " if here else "there is no such folder, or it is empty. ")
            + "Correct `data:` in the config (it counts from the current folder), or pass DATA=… or --data."
        )
    rows = [row for split in splits for row in _conversations(split)]
    found = {
        "roles": Counter(" → ".join(_runs([str(turn.get("role")) for turn in turns])) for turns in rows),
        "systems": Counter(text for turns in rows if (text := _texts(turns, "system"))),
        "speakers": Counter(name for turns in rows for name in set(SPEAKER.findall(_texts(turns, "user")))),
        "replies": Counter(reply for turns in rows if (reply := _reply(turns))),
    }
    return {
        "data": shown(folder),
        "splits": [_split(split) for split in splits],
        "lengths": [len(_reply(turns)) for turns in rows if _reply(turns)],
        "turns": [len(turns) for turns in rows],
        "tools": sum(isinstance(row, dict) and bool(row.get("tools")) for split in splits for row in split.rows),
        "different": {name: len(counts) for name, counts in found.items()},
        **{name: _frequent(counts, 2 if name == "replies" else 1) for name, counts in found.items()},
    }


def _split(split: Split) -> dict:
    rows = _conversations(split)
    return {
        "split": split.name,
        "bytes": split.path.stat().st_size,
        "rows": len(split.rows),
        "schema": SCHEMAS[split.schema],
        "blank": len(split.blank),
        "broken": len(split.broken),
        "turns": _median([len(turns) for turns in rows]),
        "user": _median([len(_texts(turns, "user")) for turns in rows]),
        "reply": _median([len(_reply(turns)) for turns in rows]),
    }


def _conversations(split: Split) -> list[list[dict]]:
    """Each row's messages; a row of plain text has none."""
    found = [split.conversation(row, split.schema_of(row)) for row in split.rows]
    lists = [row["messages"] for row in found if row and isinstance(row["messages"], list)]
    return [turns for messages in lists if (turns := [turn for turn in messages if isinstance(turn, dict)])]


def _texts(turns: list[dict], role: str) -> str:
    return "\n".join(chat_format.text_of(turn) for turn in turns if turn.get("role") == role)


def _reply(turns: list[dict]) -> str:
    return chat_format.text_of(turns[-1]).strip() if turns[-1].get("role") == "assistant" else ""


def _runs(roles: list[str]) -> list[str]:
    """Roles in order, with a repeated user and assistant written once."""
    pair = ["user", "assistant"]
    start = next((at for at, role in enumerate(roles) if role == "user"), len(roles))
    rest = roles[start:]
    times = len(rest) // 2
    if times > 1 and rest == pair * times:
        return [*roles[:start], "(user → assistant) several times"]
    return roles


def _frequent(counts: Counter, least: int) -> list[tuple[str, int]]:
    """The most frequent entries, of at least `least` rows; equal counts in the order of the alphabet."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(what[:300], times) for what, times in ordered[:MOST] if times >= least]


def _median(values: list[int]) -> int | None:
    return int(np.median(values)) if values else None
