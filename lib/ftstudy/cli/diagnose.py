"""`ftstudy diagnose`: the debug report of a fine-tune that exists already."""

import sys
from pathlib import Path

from ..errors import StudyError
from ..paths import absolute, run_folder, shown
from .arguments import EXIT_CODES, number, only_one

RESULTS = ("extraction", "findings", "format_audit", "training", "comparison", "cost")


def add(parsers):
    parser = parsers.add_parser(
        "diagnose",
        help="the debug report of a fine-tune that exists already: nothing is trained",
        epilog=EXIT_CODES.replace("could not run", "could not run, or not measure the models"),
    )
    parser.add_argument(
        "config", type=absolute, help="the mlx-lm config it was trained with, or its adapter_config.json"
    )
    parser.add_argument(
        "--inference",
        default="",
        help="how your app builds its prompt: a profile, Modelfile, GGUF, recording, or a name",
    )
    parser.add_argument("--adapter", type=absolute, help="its adapter folder (default: the config's adapter_path)")
    parser.add_argument("--fused", type=absolute, help="the fused model, if you serve that")
    parser.add_argument("--data", type=absolute, help="the folder with its rows (default: the config's data)")
    parser.add_argument("--model", default="", help="its base model (default: the config's)")
    parser.add_argument("--log", type=absolute, help="the training's saved output, for the loss curve")
    parser.add_argument("--owner", default="", help="your name in the prompts (default: as in the data)")
    parser.add_argument("--app", type=absolute, help="your app's code, searched for special tokens typed into it")
    parser.add_argument("--run", help="name of the folder in reports/ for the results (default: the config's name)")
    parser.add_argument("--replies", type=number(1), default=40, help="how many held-out replies to compare on (40)")
    return parser


def run(options) -> int:
    """Runs the notebooks into reports/<run>/, as far as there is something to measure."""
    from .. import chat_format, configs
    from ..models import base_models

    if options.inference:
        chat_format.load_profile(options.inference)  # a wrong path is reported now, not after two notebooks
    if options.log and not options.log.is_file():
        raise StudyError(
            f"There is no log {shown(options.log)}. Name a file with what mlx_lm.lora printed, or leave --log out."
        )
    if options.fused and not options.fused.is_dir():
        raise StudyError(
            f"There is no fused model at {shown(options.fused)}. Name the folder that mlx_lm.fuse saved to."
        )
    config = configs.load(options.config, data=options.data, model=options.model)
    base_models.resolve(config["model"])  # without it nothing can be said, so nothing is written
    folder = run_folder(options.run or options.config.stem)
    adapter = _adapter(options, config)
    with only_one(folder):
        return _diagnose(options, config, folder, adapter)


def _diagnose(options, config: dict, folder: Path, adapter: str) -> int:
    from .. import notebooks
    from ..files import read_json
    from ..report import page

    for name in RESULTS:  # of an earlier diagnosis
        (folder / f"{name}.json").unlink(missing_ok=True)
    given = {"run": folder.name, "config": shown(options.config), "data": _text(options.data), "model": options.model}
    asked = {"owner": options.owner, "inference": options.inference}

    def notebook(name: str, **parameters) -> None:
        print(f"{name}: running into {shown(folder)}", flush=True)
        notebooks.execute(name, folder, parameters)

    notebook("01_extract", run=folder.name, source="", data=config["data"], config=given["config"])
    audited = {"adapter": adapter, "app": _text(options.app), "fused": _text(options.fused), "stage_history": "false"}
    exists = absolute(adapter).is_dir()
    notebook("02_format_audit", **given, **asked, **audited)
    failed = ""
    if not exists:
        failed = f"There is no adapter in {adapter}. Name its folder with --adapter to have it measured."
    else:
        try:
            taken = {"existing": "true", "log": _text(options.log), "iterations": "0", "evaluate_every": "0"}
            notebook("03_train", **given, adapter=adapter, stock="false", **taken)
            sizes = {"replies": str(options.replies), "shots": "4", "longest": "48", "samples": "6"}
            compared = {key: given[key] for key in ("run", "config")} | asked | {"fused": _text(options.fused)}
            notebook("04_compare", **compared, **sizes)
        except StudyError as error:
            failed = f"The models could not be compared. {error}"
    built = page.build(folder, failed)
    summary = read_json(folder / "findings.json")["summary"]
    print(f"The report: {shown(built)}. Open it in a browser.")
    if failed:
        print(f"ftstudy: {failed}", file=sys.stderr)
    return 1 if summary["error"] else 2 if failed else 0


def _adapter(options, config: dict) -> str:
    """The adapter's folder, as given or as the config says: from the current folder, or from the config's own."""
    if options.adapter:
        return shown(options.adapter)
    if options.config.name == "adapter_config.json":
        return shown(options.config.parent)
    name = Path(str(config["adapter_path"]))
    beside = options.config.parent / name
    return shown(beside if beside.is_dir() and not absolute(name).is_dir() else name)


def _text(path: Path | None) -> str:
    return shown(path) if path else ""
