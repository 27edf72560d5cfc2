"""What a notebook does first: keep its files private, find its folder, and decide which of its cells run."""

import logging
import os
import sys
from pathlib import Path

from ..files.folders import keep_private
from ..paths import run_folder
from ..printable import wrap_streams


def start(run: str) -> Path:
    """The folder of the run's results. The notebook's paths then count from the folder that `reports/` is in, and
    cells that begin with `# only if …` run only if that is true.

    Raises StudyError if the run's name cannot be the name of a folder.
    """
    keep_private()
    _leave_notebook_folder()
    _skip_cells()
    _log_no_shutdown()
    if "ipykernel" in sys.modules:
        wrap_streams()
    return run_folder(run)


def _leave_notebook_folder() -> None:
    """From notebooks/, reports/<run>/ or reports/<run>/lab/, where Jupyter starts a notebook, to the folder above.

    `make` and `ftstudy` start notebooks where the user stands, and this changes nothing.
    """
    here = Path.cwd()
    if here.name == "notebooks":
        os.chdir(here.parent)
    for folder in (here, here.parent if here.name == "lab" else here):
        if folder.parent.name == "reports":
            os.chdir(folder.parent.parent)


def _log_no_shutdown() -> None:
    """Jupyter interrupts a kernel before it ends it, and a slow machine's kernel logs that as an error."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is not None and os.environ.get("FTSTUDY_HEADLESS"):
        kernel.log.setLevel(logging.CRITICAL)  # what fails in a cell is reported with the cell


def _skip_cells() -> None:
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:  # the code runs outside a notebook, as in a test
        return

    def only_if(lines: list[str]) -> list[str]:
        first = lines[0].strip() if lines else ""
        if first.startswith("# only if ") and not eval(first.removeprefix("# only if "), shell.user_ns):
            return ["pass\n"]
        return lines

    shell.input_transformers_cleanup[:] = [
        one for one in shell.input_transformers_cleanup if getattr(one, "__name__", "") != only_if.__name__
    ]
    shell.input_transformers_cleanup.append(only_if)
