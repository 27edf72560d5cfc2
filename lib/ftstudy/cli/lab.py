"""`ftstudy lab`: a run's notebooks in JupyterLab."""

import os
import sys

from ..paths import shown
from ..printable import one_line
from .arguments import add_run, run_folder


def add(parsers):
    parser = parsers.add_parser("lab", help="open copies of the notebooks, as they ran, in JupyterLab")
    add_run(parser)
    parser.add_argument("arguments", nargs="*", help="for JupyterLab itself, after --")
    return parser


def run(options) -> None:
    """The notebooks of the study stay as they are: what JupyterLab saves, it saves in the run's own folder."""
    from ..stages import notebooks

    run = run_folder(options.run)
    if not run.is_dir():
        print(f"There is no run {options.run} yet, so the notebooks have the parameters of the sample.")
    folder, edited = notebooks.copies(run)
    for path in edited:
        changed = f"{shown(path)} has changed since it was copied, and stays as it is. Delete it to get a new copy."
        print(one_line(changed))
    sys.stdout.flush()
    os.chdir(folder)
    # In place of this process, so that what ends this one ends JupyterLab.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "jupyterlab", *options.arguments])
