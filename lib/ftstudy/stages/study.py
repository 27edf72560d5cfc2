"""The stages of a study: what each notebook is given, what it reads and what it writes.

choices = CHOICES | {"run": "personal", "config": "my.yaml", …}
stamps.run(paths.run_folder("personal"), stages(choices))
"""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from .. import chat_format, report
from ..audit import app_code
from ..chat_format.owner import check_name
from ..compare import repeats
from ..demo import build
from ..errors import StudyError
from ..extract import variants
from ..models import base_models
from ..original_report import history
from ..paths import absolute, check_names, run_folder, shown
from ..printable import one_line
from ..progress import remaining, span, ticking, watched
from ..proof import budget
from ..sources import check_owner
from ..training import remove_result, sweep
from ..wording import arm_name, count, listed
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

AUDIT = "02_format_audit"
NOT_READ = ("sweep", "diagnosis")  # by the report, which writes the second
CHOICES = {
    "run": "demo",
    "source": "",  # the chat history; without one, the config's rows are studied as they are
    "kind": "auto",
    "owner": "",
    "me": "",
    "contacts": "",
    "date_order": "",
    "time_zone": "",
    "mask": True,
    "region": "",
    "config": "",
    "data": "",
    "model": "",
    "inference": "",
    "app": "",
    "adapter": "",  # the adapter's folder
    "existing": False,  # take the adapter as it is, and train nothing
    "fused": "",
    "log": "",
    "iterations": 0,  # 0: the config's
    "stock": False,
    "force": False,
    "smoke": False,
    "full": False,  # train the repeats too, and combine all faults
    "also": [],  # more configs to train and compare
    "replies": 80,
    "shots": 4,  # examples in the base model's longest prompt
    "prove": False,  # train as it was, as fixed, and with each fault left in
    "budget": "",  # the time for that, like 10m
}


def check(choices: dict, dry: bool = False) -> None:
    """StudyError if an input of the study is not there or can't be read: asked before minutes are spent on it.

    `dry`: without building or downloading the model, and without the demo's chat history, which `make` builds first.
    """
    if not choices["config"]:
        raise StudyError(
            "There is nothing to study yet. Name your chat history with SOURCE=… and OWNER=…, or the config of a "
            "fine-tune that exists with CONFIG=…, and its adapter with ADAPTER=…."
        )
    check_name(choices["owner"])
    budget.seconds(choices["budget"])
    check_names(*choices.values(), *choices["also"], Path.cwd())
    if choices["source"]:
        check_owner(choices["source"], choices["owner"])
    is_built = dry and absolute(choices["source"]) == build.DEMO
    if choices["source"] and not is_built and not absolute(choices["source"]).exists():
        raise StudyError(
            f"No chat history at {shown(choices['source'])}. Correct SOURCE=…; on a Mac it is "
            "~/Library/Messages/chat.db."
        )
    if choices["inference"]:
        chat_format.load_profile(choices["inference"], choices["owner"])
    for name in ("contacts", "log"):
        if choices[name] and not absolute(choices[name]).is_file():
            file = shown(choices[name])
            there = absolute(choices[name]).exists()
            problem = f"{file} is not a regular file" if there else f"There is no file {file}"
            raise StudyError(f"{problem}. Correct {name.upper()}=… or --{name}.")
    if choices["fused"] and not absolute(choices["fused"]).is_dir():
        raise StudyError(
            f"There is no fused model at {shown(choices['fused'])}. Name the folder that mlx_lm.fuse saved to."
        )
    find = base_models.check if dry else base_models.resolve
    find(config_of(choices)["model"])  # without it nothing can be said


def run(choices: dict, tell: Callable[[str], None] = print) -> str:
    """Run the stages that must run, and build the report, after each of them too. Returns why no model was compared;
    "" if they were.

    Raises StudyError if nothing can be said of the data and the prompts. `check` the choices first.
    """
    folder, planned, failed = run_folder(choices["run"]), stages(choices), ""

    def after(stage: dict) -> None:
        proving.forget_another(choices, folder)
        left = [one["name"] for one in planned[planned.index(stage) + 1 :]]
        if left and report_so_far(folder, left) and stage["name"] == AUDIT:
            tell(f"The data and the prompts are in the report already: {shown(folder / 'index.html')}")

    try:
        stamps.run(folder, planned, tell, after)
    except StudyError as error:
        if not all(stamps.has_run(folder, stage) for stage in planned[:2]):
            raise
        failed = f"The models could not be compared. {error}"
    proving.forget_another(choices, folder)
    stamps.run(folder, [page(choices, failed)], tell)
    return failed


def report_so_far(folder: Path, left: list[str]) -> bool:
    """Write the report of a run that goes on; `left`: the stages to come. Returns whether there was enough for one."""
    try:
        report.write(folder, f"This run is not finished: {listed(left)} to come.", finished=False)
    except StudyError:  # the report at the end says why
        return False
    return True


def stages(choices: dict) -> list[dict]:
    """The stages, in order, as `stamps.run` takes them. `choices`: all keys of CHOICES."""
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


def measure(run: str, parameters: dict[str, str]) -> None:
    """Measure what notebook 04 shows when it gets these parameters, telling how far it is."""
    from ..compare import plan
    from . import notebooks

    given = notebooks.parameters("04_compare", {"run": run, **parameters})
    choices = {name: given[name] for name in ("replies", "shots", "also", "every", "fused")}
    planned = plan.plan(run_folder(run), given["config"], given["owner"], given["inference"], **choices)

    def tell(model: str, format: str, done: int, total: int, left: float | None) -> None:
        if not watched():  # in a terminal the progress bar says it
            print(one_line(f"  {remaining(done, total, left)} ({arm_name(model, format)})"), flush=True)

    writing = {name: given[name] for name in ("longest", "temperature", "seed")}
    models = listed([model["name"] for model in planned["models"]])
    print(
        one_line(
            f"Measuring {models} on {count(len(planned['heldout']['rows']), 'held-out reply', 'held-out replies')}."
        )
    )
    print("What an earlier run has measured of them is not measured again.", flush=True)
    with ticking(lambda seconds: f"measuring for {span(seconds)}") if not watched() else nullcontext():
        measured = plan.measure(planned, tell=tell, **writing)
    print(
        f"{count(len(measured['scores']), 'combination')} of model and prompt measured, {len(measured['left_out'])} left out.",
        flush=True,
    )


# --- each stage ------------------------------------------------------------------------------------------------------


def _extract(choices: dict, folder: Path) -> dict:
    source = choices["source"]
    shared = ("kind", "owner", "me", "contacts", "date_order", "time_zone", "mask", "region")
    if source:
        given = {"source": source, "out": choices["data"]} | {name: choices[name] for name in shared}
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
        measure(folder.name, _texts(given))
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

    notebooks.execute(name, folder, {"run": folder.name} | _texts(given), describe or _as_last_time(name, folder))


def _as_last_time(name: str, folder: Path) -> Callable[[float], str]:
    """Describes a notebook by how long it runs, and how long it took the last time."""
    seconds = stamps.last_seconds(folder, name)
    last = "" if seconds is None else f" ({span(seconds)} the last time)"
    return lambda spent: f"{name}: {span(spent)}{last}"


def _texts(given: dict) -> dict[str, str]:
    """Parameters as `notebooks.execute` takes them."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
