"""The rows of a split, whatever the file is called and however they are written into it."""

import ast
from dataclasses import dataclass, field
from pathlib import Path

from ..files.reading import LARGEST, UTF_16, read_bytes
from ..machine_failures import pass_on
from .row_files import ENDINGS, has_rows_on_lines, rows_of_whole, stand_in, values_of
from .rows import Split, read_split

READABLE = tuple(ending for ending in ENDINGS if ending not in (".csv", ".tsv", ".parquet"))


@dataclass
class Found:
    """A split's file and its rows. Lines that are not JSON are in `split.broken`."""

    split: Split
    form: str = ""  # `row_files.ARRAY`, `PRETTY` or `NESTED`; "" with one row a line
    rows: list = field(default_factory=list)
    places: list[str] = field(default_factory=list)  # of each row: "data/train.jsonl line 3"


def find(folder: Path, name: str) -> Found | None:
    """The rows of a split, from <name>.jsonl or the file that was meant to be that; None without one."""
    path = folder / f"{name}.jsonl"
    path = path if path.is_file() else stand_in(folder, name)
    if path is None or path.suffix.lower() not in READABLE:
        return None
    split = read_split(folder, name, path=path)
    if (split.broken or not has_rows_on_lines(path)) and (whole := rows_of_whole(path)):
        form, rows = whole
        return Found(split, form, rows, [f"{split.where}, row {number}," for number in range(1, len(rows) + 1)])
    return Found(split, "", split.rows, [f"{split.where} line {number}" for number in split.numbers])


def recovered(path: Path) -> tuple[list, list[str], list[str]]:
    """A file's rows line by line, even those mlx-lm can't read if their meaning is clear: (values,
    notes on lines that were reinterpreted, notes on lines that can't be read). Raises OSError."""
    rows, notes, lost = [], [], []
    data = read_bytes(path, LARGEST)
    if data.startswith(UTF_16):
        data = data.decode("utf-16", "replace").encode()
        notes.append(f"{path.name} was UTF-16")
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        found, how = _values(line)
        rows += found
        if not found:
            lost.append(f"{path.name} line {number} is not JSON, and was left out")
        elif how:
            notes.append(f"{path.name} line {number} {how}")
    return rows, notes, lost


def _values(line: bytes) -> tuple[list, str]:
    """The rows on a line that may not be JSON, and what is wrong with it; [] if that is unclear."""
    how = ""
    try:
        text = line.decode("utf-8-sig")
        how = "begins with a byte order mark" if line.startswith(b"\xef\xbb\xbf") else ""
    except UnicodeDecodeError:
        try:
            text, how = line.decode("cp1252"), "is Windows-1252 text, not UTF-8"
        except UnicodeDecodeError:
            return [], ""
    try:
        found = values_of(text)
        return found, how or ("has a comma after its row" if len(found) == 1 and text.rstrip().endswith(",") else
                              f"has {len(found)} rows" if len(found) > 1 else "")  # fmt: skip
    except (ValueError, RecursionError):
        pass
    try:
        found = ast.literal_eval(text.strip().rstrip(","))
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError) as error:
        pass_on(error)
        return [], ""
    return ([found], "is a Python dictionary, not JSON") if isinstance(found, dict) and found else ([], "")
