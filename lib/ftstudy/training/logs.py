"""The loss curve in what mlx-lm printed while it trained, saved as text."""

import re
from pathlib import Path

from ..errors import StudyError
from ..files.reading import read_text, why
from ..paths import shown

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours, and moves of the cursor
NUMBER = r"(nan|inf|[\d.]+)"
# Iter 10: Train loss 2.345, Learning Rate 1.000e-05, It/sec 1.2, Tokens/sec 345.6, Trained Tokens 3456, Peak mem 1.2 GB
TRAIN = re.compile(rf"Iter (\d+): Train loss {NUMBER}(?:.*Trained Tokens (\d+))?")
VALID = re.compile(rf"Iter (\d+): Val loss {NUMBER}")
# The table that newer versions print: iter, train_loss, tok/s, tokens; iter, val, loss, seconds.
TRAIN_ROW = re.compile(rf"(\d+)\s+{NUMBER} [▼▲]\s+[\d,]+\s+([\d.]+)k")
VALID_ROW = re.compile(rf"(\d+)\s+val\s+{NUMBER}\s+[\d.]+s")


def curve(path: Path) -> list[dict]:
    """Rows as `training.train` returns them: `iteration`, and `train_loss` with `trained_tokens`, or `validation_loss`.

    mlx-lm validates before the update of the iteration that it prints, so that point belongs to the iteration before.
    Of a log with several runs, the last counts. Raises StudyError if the file is missing or has no loss in it.
    """
    try:
        text = read_text(path, errors="replace")
    except OSError as error:
        raise StudyError(
            f"The log {shown(path)} cannot be read: {why(error)}. Name a file with what mlx_lm.lora printed, or "
            "leave LOG (--log) out."
        ) from error
    rows = []
    for line in re.split(r"[\r\n]+", CONTROL.sub("", text)):
        row = _row(line.strip())
        if row and rows and row["iteration"] < rows[-1]["iteration"] - 1:
            rows = []  # another run begins
        rows += [row] if row else []
    if not rows:
        raise StudyError(
            f"No loss in {shown(path)}: none of its lines is like `Iter 10: Train loss 2.345, …` or the table that "
            "mlx_lm.lora prints. Name the saved output of the training, or leave LOG (--log) out."
        )
    return rows


def _row(line: str) -> dict | None:
    if found := VALID.search(line) or VALID_ROW.match(line):
        return {"iteration": int(found[1]) - 1, "validation_loss": float(found[2])}
    if found := TRAIN.search(line):
        return {"iteration": int(found[1]), "train_loss": float(found[2]), "trained_tokens": int(found[3] or 0)}
    if found := TRAIN_ROW.match(line):
        tokens = round(1000 * float(found[3]))
        return {"iteration": int(found[1]), "train_loss": float(found[2]), "trained_tokens": tokens}
    return None
