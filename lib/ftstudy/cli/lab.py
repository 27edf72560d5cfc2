"""`ftstudy lab`: a run's notebooks in JupyterLab."""

import os
import sys
from pathlib import Path

from ..paths import shown
from ..printable import one_line
from .arguments import add_run, run_folder

QUIET = ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]


def add(parsers):
    parser = parsers.add_parser("lab", help="open copies of the notebooks, as they ran, in JupyterLab")
    add_run(parser)
    parser.add_argument("arguments", nargs="*", help="for JupyterLab itself, after --")
    return parser


def run(options) -> None:
    """The study's notebooks never change: JupyterLab saves into the run's own folder.

    JupyterLab starts in the folder that `reports/` is in, with its news feed off.
    """
    from ..stages import notebooks, start_page

    run = run_folder(options.run)
    if not run.is_dir():
        print(f"There is no run {options.run} yet, so the notebooks use the sample's parameters.")
    folder, edited = notebooks.copies(run)
    for path in edited:
        changed = f"{shown(path)} has changed since it was copied, and stays as it is. Delete it to get a new copy."
        print(one_line(changed))
    root = run.parents[1]
    page = start_page.write(run).relative_to(root).as_posix()
    sys.stdout.flush()
    os.chdir(root)
    own = [str(Path(__file__).with_name("lab_settings")), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, own))
    command = [sys.executable, "-P", "-m", "jupyterlab", *QUIET, f"--LabApp.default_url=/lab/tree/{page}"]
    # In place of this process, so that what ends this one ends JupyterLab.
    os.execv(sys.executable, [*command, *options.arguments])
