"""Run the study's notebooks: into a run's folder, or on the sample to store their outputs."""

import ast
import hashlib
import os
import re
from collections.abc import Callable
from contextlib import chdir, contextmanager, suppress
from pathlib import Path

import nbformat
import papermill
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat.sign import NotebookNotary
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from traitlets.config import Config

from .. import machine_failures
from ..errors import StudyError
from ..files import read_json, write_json, write_text
from ..files.folders import keep_private, new_folder, scratch
from ..paths import NOTEBOOKS, check_names, shown
from ..progress import span, ticking
from .headless_kernel import Manager

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def execute(name: str, run: Path, parameters: dict, describe: Callable[[float], str] | None = None) -> Path:
    """Run notebooks/<name>.ipynb with these parameters into the run's folder, and say how far it is.

    `parameters`: name -> value, also as text; `describe`: as for `progress.ticking`. A notebook that fails stays as
    `<name>.failed.ipynb`.
    Raises StudyError if a cell fails, with the cell's own message, if its process dies, or if a parameter is unknown.
    """
    check_names(*parameters.values(), run)
    source, given = _source(name), _given(name, parameters)
    done, failed = run / f"{name}.ipynb", run / f"{name}.failed.ipynb"
    describe = describe or (lambda seconds: f"{name}: {span(seconds)}")
    with ticking(describe), _headless() as settings, new_folder(done) as folder:
        written = folder / done.name
        try:
            papermill.execute_notebook(
                source,
                written,
                parameters=given,
                cwd=Path.cwd(),
                kernel_name="python3",
                progress_bar=False,
                **settings,
            )
        except PapermillExecutionError as error:
            _keep_failed(written, failed)
            raise StudyError(f"{_reason(error)} (The notebook up to this error: {shown(failed)}.)") from error
        except DeadKernelError as error:
            raise StudyError(
                f"The process of notebook {name} was killed, most often because memory ran out. Close other programs, "
                "or use a smaller model, batch_size or max_seq_length, and run it again."
            ) from error
        failed.unlink(missing_ok=True)
        return written.replace(done)


def _reason(error: PapermillExecutionError) -> str:
    """Why a cell failed, in a sentence."""
    if error.ename == "StudyError":
        return error.evalue
    plain = COLOURS.sub("", "\n".join(error.traceback)).splitlines()
    raised = [f"{error.ename}: {error.evalue}", *(line for line in plain if re.match(r"[\w.]+: ", line))]
    # What nobody foresaw may quote a message, and what is printed may end up anywhere.
    return (
        machine_failures.explained(raised)
        or f"Cell {error.exec_count} failed with {error.ename}; the notebook says why."
    )


def _keep_failed(written: Path, failed: Path) -> None:
    """Keep a notebook that failed, unless it could not be written whole, as on a full disk."""
    with suppress(OSError, ValueError, nbformat.ValidationError):
        nbformat.read(written, as_version=4)
        written.replace(failed)


def parameters(name: str, given: dict) -> dict:
    """A notebook's parameters: its defaults, overridden by those given, also as text. StudyError: unknown parameter."""
    known = papermill.inspect_notebook(_source(name))
    defaults = {key: ast.literal_eval(parameter["default"]) for key, parameter in known.items()}
    return defaults | _given(name, given)


def _source(name: str) -> Path:
    source = NOTEBOOKS / f"{name}.ipynb"
    if not source.is_file():
        raise StudyError(f"No notebook {shown(source)}. The notebooks are {', '.join(names())}.")
    return source


def _given(name: str, parameters: dict) -> dict:
    """The given parameters; a text is converted to the type of the notebook's own."""
    known = papermill.inspect_notebook(_source(name))
    if unknown := set(parameters) - set(known):
        raise StudyError(
            f"Unknown parameter {', '.join(sorted(unknown))}: {shown(_source(name))} has {', '.join(known)}."
        )
    is_text = {key: parameter["inferred_type_name"] in ("str", "None") for key, parameter in known.items()}
    return {
        key: yaml.safe_load(value) if isinstance(value, str) and not is_text[key] else value
        for key, value in parameters.items()
    }


@contextmanager
def _headless():
    """Settings to run a notebook unattended: without progress bars and widgets (which may wait for a browser
    forever), and over sockets in a private folder instead of network ports, because people's messages pass through.
    Everything that is written meanwhile is private, by the kernel too."""
    watched = os.environ.get("FTSTUDY_HEADLESS", "")
    os.environ["FTSTUDY_HEADLESS"] = "1"  # the kernel inherits it
    before = keep_private()
    try:
        with scratch(for_sockets=True) as folder:
            files = {"ip": f"{folder}/kernel", "connection_file": f"{folder}/kernel.json"}
            kernel = Config(KernelManager={"transport": "ipc"} | files)
            yield {
                "config": kernel,
                "kernel_manager_class": Manager,
                "skip_cells_with_tag": "explore",
                "coalesce_streams": True,  # or what one print wrote may be stored in several pieces
            }
    finally:
        os.umask(before)
        os.environ["FTSTUDY_HEADLESS"] = watched


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


def copies(run: Path) -> tuple[Path, list[Path]]:
    """Copies of the notebooks to work on, in the run's folder `lab`, and those of them that were edited.

    Each is a copy of the notebook as it ran, whose outputs JupyterLab may then show as they are, or else of the study's
    own without its outputs, which are the sample's, and with what the others were given. An edited copy stays as it is.
    """
    folder, written = run / "lab", run / "stamps" / "lab.json"
    known = read_json(written) if written.is_file() else {}
    shared = {"run": run.name} | {key: value for name in names() for key, value in given(run / f"{name}.ipynb").items()}
    edited = []
    for name in names():
        path, ran = folder / f"{name}.ipynb", run / f"{name}.ipynb"
        if path.is_file() and known.get(name) != _digest(path):
            edited.append(path)
            continue
        if ran.is_file():
            notebook = nbformat.read(ran, as_version=4)
            NotebookNotary().sign(notebook)
        else:
            notebook = _without_outputs(name, shared)
        write_text(path, nbformat.writes(notebook))
        known[name] = _digest(path)
    write_json(written, known)
    return folder, edited


def _without_outputs(name: str, shared: dict) -> nbformat.NotebookNode:
    """The study's own notebook, with those of the `shared` parameters that it has."""
    notebook = load_notebook_node(str(_source(name)))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    known = papermill.inspect_notebook(_source(name))
    mine = {key: value for key, value in shared.items() if key in known}
    return parameterize_notebook(notebook, mine) if mine else notebook


def given(path: Path) -> dict:
    """What a notebook was run with, or a copy is set to; {} if that are its own defaults, or without the file."""
    if not path.is_file():
        return {}
    return nbformat.read(path, as_version=4).metadata.get("papermill", {}).get("parameters", {})


def title(path: Path) -> str:
    """A notebook's heading."""
    return nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].removeprefix("# ")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names() -> list[str]:
    """The names of the study's notebooks, in order."""
    return sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
