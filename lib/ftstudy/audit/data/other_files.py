"""Files that mlx-lm overlooks or can't read, though their rows may be fine: how to make them what it reads."""

import shlex
from pathlib import Path

from ...chat_format.row_files import has_rows_on_lines, rows_of_whole, stand_in
from ...chat_format.rows import Split
from ...paths import shown
from ..evidence import counted


def command(folder: str) -> str:
    """The command that writes a folder's rows as messages, as mlx-lm reads them."""
    return shlex.join(["ftstudy", "convert", "--data", folder, "--out", f"{folder}-messages"])


def convert(folder: str) -> str:
    """That command, and what to do then."""
    return f"`{command(folder)}`, and point `data:` at the new folder"


def instead(folder: Path, missing: list[str]) -> tuple[str, str | None]:
    """The rest of a title about missing splits, and the fix; ("", None) if no other file could be meant."""
    files = {name: path for name in missing if (path := stand_in(folder, name))}
    if not files:
        inside = sorted(path.parent for path in folder.glob("*/train.jsonl")) if "train" in missing else []
        return ("", None) if len(inside) != 1 else (", but a subfolder has rows", f"Set `data: {shown(inside[0])}`.")
    names = " and ".join(path.name for path in files.values())
    title = f", but {names}"
    if all(has_rows_on_lines(path) for path in files.values()):
        moves = [shlex.join(["mv", shown(path), shown(folder / f"{name}.jsonl")]) for name, path in files.items()]
        return title, f"Rename {'it' if len(moves) == 1 else 'them'}: `{' && '.join(moves)}`."
    if all(has_rows_on_lines(path) or rows_of_whole(path) for path in files.values()):
        return title, f"Write one row a line, under mlx-lm's names: {convert(shown(folder))}."
    wanted = " and ".join(f"{name}.jsonl" for name in files)
    return title, f"Write the rows of {names} as {wanted}, one JSON object a line; mlx-lm reads no other format."


def not_on_lines(split: Split) -> tuple[str, int, str] | None:
    """For valid rows that aren't one per line: what the file is, how many rows it has, and the fix."""
    one = len(split.rows) == 1 and not isinstance(split.rows[0], dict)
    if not (split.broken or one) or split.is_parquet:
        return None
    found = rows_of_whole(split.path)
    if not found or not one and len(found[1]) >= split.lines - len(split.blank):
        return None
    form, rows = found
    fix = f"Write one row a line: {convert(shown(split.path.parent))}. It has {counted(len(rows), 'row')}."
    return form, len(rows), fix
