"""The page that `ftstudy lab` opens: what the notebooks are, and what they are set to in this run."""

from pathlib import Path

from ..files import read_json, write_text
from ..paths import NOTEBOOKS, shown
from ..printable import one_line
from . import notebooks

HOW = """\
Run a notebook from the menu: *Run > Run All Cells*. Its code is folded; a click on the bar to the left of a result, or
*View > Expand Selected Code*, opens it. The last cells are to play with: sliders, pickers, a playground for prompts.

These are copies: what you change here stays in `{folder}`.
"""


def write(run: Path) -> Path:
    """Write `lab/start.md` into the run's folder, next to the copies of the notebooks, and return its path."""
    path = run / "lab" / "start.md"
    parts = [
        f"# The run {_plain(run.name)}",
        *_verdict(run),
        *_notebooks(path.parent),
        HOW.format(folder=shown(path.parent)),
    ]
    write_text(path, "\n".join([*parts, *_parameters(path.parent)]))
    return path


def _verdict(run: Path) -> list[str]:
    found = run / "diagnosis.json"
    said = one_line(read_json(found)["verdict"]["sentence"]) if found.is_file() else "Not diagnosed yet."
    page = " [The whole report](../index.html)" if (run / "index.html").is_file() else ""
    return [f"> {_plain(said)}{page}", ""]


def _notebooks(folder: Path) -> list[str]:
    lines = [f"1. [{notebooks.title(folder / f'{name}.ipynb')}]({name}.ipynb)" for name in notebooks.names()]
    readme = NOTEBOOKS.parent / "README.md"
    root = folder.parents[2]
    more = ["", "[What this study is](../../../README.md)"] if readme.is_file() and readme.parent == root else []
    return [*lines, *more, ""]


def _parameters(folder: Path) -> list[str]:
    """A table of what the notebooks are set to, where that is not their own default."""
    rows = ["## Set in this run", "", "| Parameter | Value | Notebooks |", "| --- | --- | --- |"]
    found: dict[tuple[str, str], list[str]] = {}
    for name in notebooks.names():
        for key, value in notebooks.given(folder / f"{name}.ipynb").items():
            found.setdefault((key, str(value)), []).append(name[:2])
    rows += [
        f"| `{key}` | {_plain(one_line(value)) or 'empty'} | {', '.join(names)} |"
        for (key, value), names in found.items()
    ]
    return rows if found else ["The notebooks have the parameters of the sample: change them in their first cell.", ""]


def _plain(text: str) -> str:
    """A text in which nothing is Markdown: a path may have underscores, and a name anything."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]<>()#+-!|&~$" else letter for letter in text)
