"""reports/index.html: all runs with their verdicts, and what changed since the previous run of the same config."""

import os
from pathlib import Path
from urllib.parse import quote

from ..errors import StudyError
from ..files import folders, reading, write_text
from ..paths import shown
from . import history, render

FILE = "index.html"
MARK = '<meta name="generator" content="ftstudy">'  # in our own page: another's is never replaced


def write(reports: Path) -> Path | None:
    """Write the page over all runs in a folder of reports; None if somebody else's page is there."""
    path = reports / FILE
    if path.is_symlink() or path.exists() and not _is_ours(path):
        return None
    page = str(render.fragment("index", runs=runs(reports), mark=render.Markup(MARK), folder=shown(reports)))
    folders.ignore(reports, FILE)  # reports/ may be somebody's own folder
    write_text(path, page)
    return path


def _is_ours(path: Path) -> bool:
    try:
        with reading.opened(path) as file:
            return MARK.encode() in file.read(2000)
    except OSError:
        return False


def runs(reports: Path) -> list[dict]:
    """The runs in a folder, the latest first: `name`, `link` (None without a page), `problem` (why its results can't
    be read) or the record `now`, and where there is one, the record `before` and the `changes` since."""
    found = [one for folder in sorted(reports.iterdir()) if (one := _run(folder))]
    every = [record for run in found for record in [*run.pop("records"), run["now"]] if record]
    for run in found:
        if now := run["now"]:
            earlier = [record for record in every if _came_before(record, now)]
            run["before"] = max(earlier, key=lambda record: record["at"], default=None)
            run["changes"] = history.changes(run["before"], now) if run["before"] else []
    return sorted(found, key=lambda run: run["now"]["at"] if run["now"] else "", reverse=True)


def _came_before(one: dict, now: dict) -> bool:
    return bool(now["config"]) and one["config"] == now["config"] and one["at"] < now["at"]


def _run(folder: Path) -> dict | None:
    """A run's folder; None for one that isn't a run, and for a link, which leads elsewhere."""
    if folder.is_symlink() or not (folder / "diagnosis.json").is_file():
        return None
    link = f"{quote(os.fsencode(folder.name))}/index.html" if (folder / "index.html").is_file() else None
    records = history.records(folder)
    made = {"name": folder.name, "link": link, "records": records, "now": None, "before": None, "changes": []}
    try:
        return made | {"now": history.latest(folder, records), "problem": ""}
    except (StudyError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        why = str(error) if isinstance(error, StudyError) else "diagnosis.json is not as ftstudy writes it."
        return made | {"problem": f"Its results cannot be read: {why}"}
