"""Results are never written into somebody else's folder: a project from elsewhere may come with links.

A link in reports/ is not followed. `reports` itself, or an adapter's folder, may be a link to another disk: to an empty
folder of this user's, or one that the study has used before.
"""

import os
from pathlib import Path

from ..errors import StudyError
from ..paths import shown
from .folders import is_ours


def refuse_run(folder: Path) -> None:
    """StudyError if a run's results in `folder`, reports/<run>, would be written into something else than a run."""
    other = "Choose another name for this run (RUN=… or --run), or remove it."
    if folder.is_symlink():
        raise StudyError(
            f"{shown(folder)} is a link to {folder.resolve()}, so results would be written there, over its files. {other}"
        )
    refuse_link(folder.parent, lambda reports: any(map(is_ours, reports.iterdir())))
    if not folder.is_dir() or is_ours(folder) or is_ours(folder.parent):
        return
    if found := [path.name for path in sorted(folder.iterdir()) if not path.name.startswith(".")]:
        raise StudyError(
            f"{shown(folder)} is not a run of ftstudy: it has {found[0]}, and results would be written among its files. "
            f"{other}"
        )


def refuse_link(folder: Path, is_used=lambda folder: False) -> None:
    """StudyError if a part of this path below the current folder is a link out of it to a folder that isn't this
    user's, or has files but none of the study's. `is_used`: another sign that it has."""
    here = Path.cwd()
    below = [one for one in (folder, *folder.parents) if one.is_relative_to(here) and one != here]
    links = [one for one in below if one.is_symlink() and not one.resolve().is_relative_to(here.resolve())]
    for link in links:
        found = link.resolve()
        if found.exists() and found.stat().st_uid != os.getuid():
            problem = "which belongs to another user"
        elif found.is_dir() and any(found.iterdir()) and not (is_ours(found) or is_used(folder)):
            problem = "which has files that are not the study's"
        else:
            continue
        raise StudyError(
            f"{shown(link)} is a link to {found}, {problem}, so nothing is written there. Remove the link, or point it "
            "at an empty folder of yours."
        )
