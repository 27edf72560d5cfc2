"""The stages of a study: what each is given, what it reads, what it writes, and how it runs."""

from collections.abc import Callable
from pathlib import Path

from .. import report
from ..audit import app_code
from ..compare import repeats
from ..demo import build
from ..errors import StudyError
from ..extract import variants
from ..original_report import history
from ..paths import absolute, run_folder, shown
from ..progress import span
from ..training import remove_result, sweep
from . import proving, stamps, training_progress
from .reads import (
    adapters_of,
    compared_too,
    config_of,
    data_of,
    entries_of,
    inputs_of,
    json_in,
    results_in,
    rows_in,
)
from .stamps import read_from

NOT_READ = ("sweep", "diagnosis")  # by the report, which writes the second


def stages(choices: dict) -> list[dict]:
    """The stages, in order, as `stamps.run` takes them. `choices`: all keys of `study.CHOICES`."""
    folder = run_folder(choices["run"])
    made = [_extract(choices, folder), _audit(choices, folder), _train(choices, folder)]
    made += [_train_more(choices, folder)] if choices["full"] or choices["also"] else []
    return [*made, _compare(choices, folder), *([proving.stage(choices, folder)] if choices["prove"] else [])]


def page(choices: dict, not_measured: str = "") -> dict:
    """The stage that builds the report. `not_measured`: why no model was compared, if none was."""
    folder = run_folder(choices["run"])
    return {
        "name": "report",
        "given": {"not measured": not_measured},
        "reads": lambda: {
            **{path.name: path for path in sorted(folder.glob("*.json")) if path.stem not in NOT_READ},
            **read_from(folder.parent / history.FAILING / "proof.json"),
        },
        "writes": lambda: results_in(folder, "diagnosis") | {shown(folder / "index.html"): folder / "index.html"},
        "do": lambda: report.write(folder, not_measured),
        "forget": lambda: None,  # a report that cannot be built anew stays
    }


def _extract(choices: dict, folder: Path) -> dict:
    source = choices["source"]
    shared = ("kind", "owner", "me", "contacts", "date_order", "time_zone", "mask", "region")
    if source:
        given = {"source": source, "out": choices["data"], "variants": list(variants.VARIANTS)}
        given |= {name: choices[name] for name in shared}
        rows = [absolute(choices["data"]) / name / "train.jsonl" for name in variants.VARIANTS]
    else:
        given, rows = {"source": "", "config": choices["config"], "data": choices["data"]}, []
    return _notebook(
        "01_extract",
        folder,
        given,
        # Where rows have been edited since, the later stages read them as they are.
        writes=lambda: results_in(folder, "extraction") | {shown(path): path.is_file() or None for path in rows},
        reads=lambda: (
            read_from(source, choices["contacts"], media=False) if source else inputs_of(choices, model=False)
        ),
    )


def _audit(choices: dict, folder: Path) -> dict:
    history = bool(choices["source"]) and absolute(choices["source"]) == build.DEMO
    names = ("config", "data", "model", "owner", "inference", "app", "fused", "adapter", "existing")
    given = {name: choices[name] for name in names} | {"stage_history": history}

    def reads() -> dict:
        found = inputs_of(choices, profile=True) | read_from(choices["fused"])
        if choices["fused"]:  # is compared with the adapter
            found |= read_from(choices["adapter"] or str(config_of(choices)["adapter_path"]))
        if choices["app"]:
            found |= {shown(file): file for file in app_code.files(absolute(choices["app"]))}
        return found | (rows_in(data_of(choices).parent.glob("*/")) if history else {})

    return _notebook("02_format_audit", folder, given, reads, lambda: results_in(folder, "findings", "format_audit"))


def _train(choices: dict, folder: Path) -> dict:
    names = ("config", "data", "model", "adapter", "existing", "log", "iterations", "stock")
    given = {name: choices[name] for name in names} | {"evaluate_every": 0}
    name = Path(choices["config"]).stem

    def writes() -> dict:
        wrote = entries_of(folder, [choices["config"]])
        # FORCE=1 matters where it was needed: what was trained without errors stays as it is.
        entries = json_in(folder / "training.json").get("configs", [])
        if not choices["force"] and any(entry.get("forced") for entry in entries if entry["name"] == name):
            wrote |= {"FORCE=1": None}
        return wrote if choices["existing"] else wrote | adapters_of(wrote)

    def iterations() -> int:
        return choices["iterations"] or int(config_of(choices)["iters"])

    def do() -> None:
        if choices["existing"] and not absolute(choices["adapter"]).is_dir():
            raise StudyError(
                f"There is no adapter in {choices['adapter']}. Name its folder with ADAPTER=… or --adapter."
            )
        describe = training_progress.of(folder / f"{name}.metrics.jsonl", iterations())
        asked = given | {"force": choices["force"]}
        _execute("03_train", folder, asked, None if choices["existing"] else describe)

    made = _notebook("03_train", folder, given, lambda: inputs_of(choices) | read_from(choices["log"]), writes)
    return made | {"do": do, "forget": lambda: remove_result(folder, name)}


def _train_more(choices: dict, folder: Path) -> dict:
    """The repeats of a full comparison, and other configs."""
    flags = [f"--{name}" for name in ("smoke", "force") if choices[name]]
    given = {name: choices[name] for name in ("config", "data", "model", "iterations", "full", "also")} | {
        "flags": flags
    }

    def do() -> None:
        if choices["full"]:
            wanted = (choices["config"], choices["data"], choices["model"], folder)
            written = repeats.write(*wanted, absolute("data/adapters") / folder.name / "repeats", choices["iterations"])
            print(sweep.table(sweep.sweep(written, folder, None, None, [flag for flag in flags if flag == "--force"])))
        if choices["also"]:
            paths = [absolute(config) for config in choices["also"]]
            print(sweep.table(sweep.sweep(paths, folder, choices["data"] or None, choices["model"] or None, flags)))

    def reads() -> dict:
        found = {}
        for config in [choices["config"], *choices["also"]]:
            found |= inputs_of(choices | {"config": config, "existing": False})
        return found | (rows_in([data_of(choices).parent / repeats.OPTION_A]) if choices["full"] else {})

    def writes() -> dict:
        # Those that are missing failed, and are left out of the comparison, which says so.
        wrote = {name: entry for name, entry in entries_of(folder, compared_too(choices)).items() if entry}
        return wrote | adapters_of(wrote)

    # A training that has finished is kept by the sweep itself, if it is still what would be trained.
    return {
        "name": "more_training",
        "given": given,
        "reads": reads,
        "writes": writes,
        "do": do,
        "forget": lambda: None,
    }


def _compare(choices: dict, folder: Path) -> dict:
    names = ("config", "owner", "inference", "fused", "replies", "shots", "also")
    sizes = {"every": choices["full"], "longest": 48, "samples": 24}
    given = {name: choices[name] for name in names} | sizes

    def reads() -> dict:
        entries = entries_of(folder, [choices["config"], *compared_too(choices)])
        found = inputs_of(choices, profile=True) | entries | adapters_of(entries) | read_from(choices["fused"])
        audited = json_in(folder / "format_audit.json")
        if audited.get("staged"):  # then the claims of the original report are tested, on these
            found |= {f"{key} of format_audit.json": audited.get(key) for key in ("staged", "inference", "parity")}
            found |= results_in(folder, "extraction")
        return found

    def do() -> None:
        from . import measuring  # as in `_execute`

        measuring.measure(folder.name, given)
        _execute("04_compare", folder, given)

    return _notebook("04_compare", folder, given, reads, lambda: results_in(folder, "comparison")) | {"do": do}


def _notebook(name: str, folder: Path, given: dict, reads, writes) -> dict:
    notebook = folder / f"{name}.ipynb"

    def forget() -> None:
        for path in writes().values():
            if isinstance(path, Path):
                path.unlink(missing_ok=True)

    return {
        "name": name,
        "given": given,
        "reads": reads,
        "writes": lambda: {shown(notebook): notebook.is_file() or None} | writes(),
        "do": lambda: _execute(name, folder, given),
        "forget": forget,
    }


def _execute(name: str, folder: Path, given: dict, describe: Callable[[float], str] | None = None) -> None:
    """Run a notebook, and say how far it is: `describe`, as for `progress.ticking`."""
    from . import notebooks  # what it needs takes seconds to import, and a study that is up to date needs none of it

    notebooks.execute(name, folder, {"run": folder.name} | given, describe or _as_last_time(name, folder))


def _as_last_time(name: str, folder: Path) -> Callable[[float], str]:
    """Describes a notebook by how long it runs, and how long it took the last time."""
    seconds = stamps.last_seconds(folder, name)
    last = "" if seconds is None else f" ({span(seconds)} the last time)"
    return lambda spent: f"{name}: {span(spent)}{last}"
