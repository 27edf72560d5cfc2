"""Run the study's notebooks: into a run's folder, or on the sample to store their outputs."""

import ast
import os
import sys
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import papermill
import yaml
from nbclient import NotebookClient
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from .errors import StudyError
from .headless_kernel import Manager
from .paths import NOTEBOOKS, shown


def execute(name: str, run: Path, parameters: dict[str, str]) -> Path:
    """Run notebooks/<name>.ipynb with these parameters into the run's folder.

    `parameters`: name -> value as text. A notebook that fails stays as `<name>.failed.ipynb`.
    Raises StudyError if a cell fails, with the cell's own message, or if a parameter is unknown.
    """
    source, given = _source(name), _given(name, parameters)
    run.mkdir(parents=True, exist_ok=True)
    failed = run / f"{name}.failed.ipynb"
    try:
        with _headless() as settings:
            papermill.execute_notebook(
                source,
                failed,
                parameters=given,
                cwd=Path.cwd(),
                kernel_name="python3",
                progress_bar=sys.stderr.isatty(),
                **settings,
            )
    except PapermillExecutionError as error:
        reason = error.evalue if error.ename == "StudyError" else f"{error.ename}: {error.evalue}"
        raise StudyError(f"{reason} (The notebook up to this error: {shown(failed)}.)") from error
    return failed.replace(run / f"{name}.ipynb")


def parameters(name: str, given: dict[str, str]) -> dict:
    """A notebook's parameters: its defaults, overridden by those given as text. StudyError: unknown parameter."""
    known = papermill.inspect_notebook(_source(name))
    defaults = {key: ast.literal_eval(parameter["default"]) for key, parameter in known.items()}
    return defaults | _given(name, given)


def _source(name: str) -> Path:
    source = NOTEBOOKS / f"{name}.ipynb"
    if not source.is_file():
        raise StudyError(f"No notebook {shown(source)}. The notebooks are {', '.join(names())}.")
    return source


def _given(name: str, parameters: dict[str, str]) -> dict:
    """The given parameters, converted to the types of the notebook's own."""
    known = papermill.inspect_notebook(_source(name))
    if unknown := set(parameters) - set(known):
        raise StudyError(
            f"Unknown parameter {', '.join(sorted(unknown))}: {shown(_source(name))} has {', '.join(known)}."
        )
    return {key: _typed(value, known[key]) for key, value in parameters.items()}


@contextmanager
def _headless():
    """Settings to run a notebook unattended: without progress bars and widgets (which may wait for a browser
    forever), and over sockets in a private folder instead of network ports, because people's messages pass through."""
    os.environ["FTSTUDY_HEADLESS"] = "1"  # the kernel inherits it
    with TemporaryDirectory(prefix="ftstudy") as folder:
        kernel = Config(KernelManager={"transport": "ipc", "ip": f"{folder}/kernel"})
        yield {"config": kernel, "kernel_manager_class": Manager, "skip_cells_with_tag": "explore"}


def _typed(value: str, parameter: dict):
    """The text as the type of the notebook's own parameter."""
    kind = parameter["inferred_type_name"]
    return value if kind in ("str", "None") else yaml.safe_load(value)


def store_outputs(name: str) -> None:
    """Run a notebook with its default parameters and store its outputs, for nbval to compare.

    Timings, widgets and versions are left out, because they differ between equal runs.
    """
    path = NOTEBOOKS / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    with _headless() as settings, chdir(path.parent):
        NotebookClient(notebook, kernel_name="python3", record_timing=False, **settings).execute()
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        if "explore" in cell.metadata.get("tags", []):
            cell.outputs = []
            cell.execution_count = None
    nbformat.write(notebook, path)


def names() -> list[str]:
    """The names of the study's notebooks, in order."""
    return sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
