"""`ftstudy lab`: a run's notebooks in JupyterLab."""

import subprocess
import sys

from ..errors import StudyError
from ..paths import run_folder, shown
from ..printable import one_line
from .arguments import add_run


def add(parsers):
    parser = parsers.add_parser("lab", help="open copies of the notebooks, as they ran, in JupyterLab")
    add_run(parser)
    parser.add_argument("arguments", nargs="*", help="for JupyterLab itself, after --")
    return parser


def run(options) -> int:
    """The notebooks of the study stay as they are: what JupyterLab saves, it saves in the run's own folder."""
    from .. import notebooks

    folder, edited = notebooks.copies(run_folder(options.run))
    for path in edited:
        print(
            one_line(f"{shown(path)} has changed since it was copied, and stays as it is. Delete it to get a new copy.")
        )
    try:
        return subprocess.run([sys.executable, "-m", "jupyterlab", *options.arguments], cwd=folder).returncode
    except OSError as error:
        raise StudyError(f"JupyterLab does not start: {error.strerror}. Run `make setup` again.") from error
