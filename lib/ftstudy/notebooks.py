"""Running a notebook of the study with papermill, and failing in one paragraph."""

import os
import sys
from pathlib import Path

import papermill
import yaml
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from .errors import StudyError
from .paths import ROOT, shown


def execute(name: str, run: Path, parameters: dict[str, str]) -> Path:
    """Run notebooks/<name>.ipynb with these parameters into the run's folder.

    The executed notebook takes its name only when it is complete; one that fails stays
    beside it as `<name>.failed.ipynb`. Raises StudyError where a cell does, with the
    cell's own paragraph where it has one, and for a parameter the notebook does not have.
    """
    source = ROOT / "notebooks" / f"{name}.ipynb"
    if not source.is_file():
        raise StudyError(f"There is no notebook {shown(source)}; the study's are {', '.join(sorted(p.stem for p in source.parent.glob('*.ipynb')))}.")
    known = papermill.inspect_notebook(source)
    if unknown := set(parameters) - set(known):
        raise StudyError(f"{shown(source)} has no parameter {', '.join(sorted(unknown))}; it has {', '.join(known)}.")
    failed = run / f"{name}.failed.ipynb"
    os.environ["FTSTUDY_HEADLESS"] = "1"  # inherited by the kernel: no progress bars there
    try:
        papermill.execute_notebook(
            source,
            failed,
            parameters={key: _typed(value, known[key]) for key, value in parameters.items()},
            cwd=source.parent,
            kernel_name="python3",
            progress_bar=sys.stderr.isatty(),
            # The notebook speaks to its kernel through a file, not through a network port.
            config=Config(KernelManager={"transport": "ipc"}),
        )
    except PapermillExecutionError as error:
        reason = error.evalue if error.ename == "StudyError" else f"{error.ename}: {error.evalue}"
        raise StudyError(f"{reason} (The notebook up to this error: {shown(failed)}.)") from error
    return failed.replace(run / f"{name}.ipynb")


def _typed(value: str, parameter: dict):
    """Text stays text unless the notebook's own parameter is of another type."""
    kind = parameter["inferred_type_name"]
    return value if kind in ("str", "None") else yaml.safe_load(value)
