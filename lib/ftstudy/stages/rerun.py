"""Run a finished run again from the parameters that its notebooks recorded.

The repetition works in a private folder that looks like the current one: everything is linked into it except what the
run wrote, so that relative paths, which are part of the results, stay the same and the run itself is never touched.
"""

import json
from contextlib import chdir, suppress
from pathlib import Path

import nbformat

from .. import training
from ..errors import StudyError
from ..paths import absolute, shown
from . import notebooks

FIRST, LAST = ("01_extract", "02_format_audit"), ("04_compare",)


def recorded(run: Path) -> dict[str, dict]:
    """The parameters of a run's notebooks, by name, in order. StudyError: none has been run."""
    found = {}
    for name in notebooks.names():
        path = run / f"{name}.ipynb"
        if path.is_file():
            try:
                given = nbformat.read(path, as_version=4).metadata.papermill.parameters
            except (ValueError, AttributeError, nbformat.ValidationError) as error:
                raise StudyError(
                    f"{shown(path)} has no record of its parameters, so it cannot be run again. Only notebooks that "
                    "`make report` or `ftstudy diagnose` has run have one: make the report again."
                ) from error
            given = {key: _from_here(value) for key, value in given.items()}
            found[name] = notebooks.parameters(name, {}) | given
    if not found:
        raise StudyError(
            f"{shown(run)} has no notebooks to run again. Name a finished run, which `make report` or "
            "`ftstudy diagnose` wrote, with --run or RUN=…."
        )
    return found


def _from_here(value):
    """A path in the current folder as a relative one, so that it counts from the repetition's."""
    return shown(value) if isinstance(value, str) and value.startswith(("/", "~")) else value


def written(run: Path, given: dict[str, dict]) -> tuple[list[Path], list[Path], list[dict]]:
    """The folders of rows and of adapters that a run wrote, and its entries of training.json, the oldest first."""
    extracted = given.get("01_extract", {})
    rows = [absolute(extracted["out"]) / name for name in extracted["variants"]] if extracted.get("source") else []
    results = run / "training.json"
    entries = json.loads(results.read_text(encoding="utf-8"))["configs"] if results.is_file() else []
    adapters = [absolute(entry["adapter"]) for entry in entries if not entry.get("existing")]
    return rows, adapters, entries[::-1]


def repeat(run: Path, given: dict[str, dict], outputs: list[Path], entries: list[dict], folder: Path, tell) -> Path:
    """Run the notebooks again in a view of the current folder below `folder`; returns that view's folder.

    `outputs`: what the run wrote, which the view leaves out. StudyError: something of it is outside the current folder.
    """
    here = Path.cwd()
    for path in outputs:
        if not path.is_relative_to(here):
            raise StudyError(
                f"{shown(path)} was written by the run but is outside {shown(here)}, so it cannot be written again without "
                "touching it. Run `ftstudy verify` in a folder that contains it, or make the run again with other folders."
            )
    top = folder / here.relative_to(here.anchor)
    tree = {}
    for path in (run, *outputs):
        below = tree
        for part in path.relative_to(here.anchor).parts:
            below = below.setdefault(part, {})
    _link(Path(here.anchor), folder, tree)
    if (run / "configs").is_dir():  # what `ftstudy repeats` wrote; its results are trained again below
        again = top / run.relative_to(here)
        again.mkdir(parents=True)
        (again / "configs").symlink_to(run / "configs")
    with chdir(top):
        for name, what in _steps(given, entries):
            tell(name)
            run_again = absolute(run.relative_to(here))
            if name in given:
                notebooks.execute(name, run_again, what)
            else:
                _train(what, run_again)
    return top


def _steps(given: dict[str, dict], entries: list[dict]) -> list[tuple[str, dict]]:
    """The notebooks with their parameters, and what other commands trained, in the order in which they ran."""
    main = Path(given["03_train"]["config"]).stem if "03_train" in given else None
    trained = [("03_train", given["03_train"]) if one["name"] == main else (one["name"], one) for one in entries]
    first, last = ([(name, given[name]) for name in names if name in given] for names in (FIRST, LAST))
    return [*first, *trained, *last]


def _link(here: Path, there: Path, tree: dict) -> None:
    """Link the files and folders of `here` into `there`; those in the tree become folders, empty if they are leaves."""
    there.mkdir(exist_ok=True)
    with suppress(PermissionError):  # a folder above, which one may pass through and not list
        for path in here.iterdir():
            if path.name not in tree and not path.name.startswith("."):
                (there / path.name).symlink_to(path)
    for name, below in tree.items():
        if below:
            _link(here / name, there / name, below)


def _train(entry: dict, run: Path) -> None:
    """Train again what `ftstudy train`, `sweep` or `repeats` trained for this run."""
    given = (entry["config"], entry["data"], entry["model"])
    tried = [training.read(*given, adapter=entry["adapter"], smoke=smoke) for smoke in (False, True)]
    inputs = next((one for one in tried if training.run_id(one) == entry["run_id"]), tried[0])
    forced = training.check_audit(inputs, force=True)
    result = training.train(inputs, run / f"{entry['name']}.metrics.jsonl")
    training.save_result(run, result | {"forced": forced})
