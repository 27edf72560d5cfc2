"""Where things are.

What a user writes counts from where the user stands, as mlx-lm counts it: the folder the command runs in. `make`
runs at the repository root; a notebook leaves its own folder first (`stages.kernel.start`).
"""

import os
import re
from pathlib import Path

from .errors import StudyError

ROOT = Path(__file__).resolve().parents[2]  # of a checkout
INSTALLED = not (ROOT / "notebooks").is_dir()  # into another project, without the checkout around it
NOTEBOOKS = Path(__file__).parent / "study" if INSTALLED else ROOT / "notebooks"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ftstudy"
DATA = CACHE if INSTALLED else ROOT / "data"
MODELS = DATA / "models"


def absolute(path: str | Path) -> Path:
    """The absolute path; a relative one counts from the current folder. Expands `~` and `~user`; as in a shell,
    an unknown user is left as it is."""
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        return Path(path).absolute()


def shown(path: str | Path) -> str:
    """A path as reports print it: relative to the current folder, or with `~` for the home folder."""
    path = absolute(path)
    for folder, prefix in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.is_relative_to(folder):
            return prefix + path.relative_to(folder).as_posix()
    return path.as_posix()


def check_names(*names) -> None:
    """StudyError for a file's name that isn't UTF-8, which MLX, notebooks and SQLite can't take."""
    for name in map(str, names):
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise StudyError(
                f"{absolute(name)} is not a UTF-8 name, so MLX, notebooks and databases cannot use it. Rename that file or "
                "folder."
            )


def run_folder(run: str) -> Path:
    """The folder of one run's results. Raises StudyError if the name cannot be a folder name."""
    if not re.fullmatch(r"[^\W_][\w.-]*", run):
        raise StudyError(
            f"{run!r} is not a valid run name. RUN becomes a folder in reports/: use one word of letters, digits, dots, "
            "- and _ that begins with a letter or a digit, such as `personal`."
        )
    return absolute("reports") / run
