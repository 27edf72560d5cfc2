"""`ftstudy diagnose`: the debug report of a fine-tune that exists already."""

import sys
from pathlib import Path

from ..paths import absolute, shown
from ..printable import one_line
from . import study_summary
from .arguments import EXIT_CODES, number, only_one, run_folder, run_of


def add(parsers):
    parser = parsers.add_parser(
        "diagnose",
        help="debug an existing fine-tune and write its report; trains nothing",
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
    parser.add_argument("--replies", type=number(1), default=80, help="how many held-out replies to compare on (80)")
    return parser


def run(options) -> int:
    """Runs into reports/<run>/ the notebooks that have something to measure."""
    from .. import configs
    from ..files import read_json
    from ..stages import study

    config = configs.load(options.config, data=options.data, model=options.model)
    folder = run_folder(options.run or run_of(options.config))
    given = {name: shown(path) for name, path in vars(options).items() if isinstance(path, Path)}
    given |= {name: getattr(options, name) for name in ("model", "owner", "inference", "replies")}
    choices = study.CHOICES | {name: value for name, value in given.items() if name in study.CHOICES}
    choices |= {"run": folder.name, "existing": True, "adapter": _adapter(options, config)}
    study.check(choices)  # before anything is written
    with only_one(folder):
        failed = study.run(choices)
    summary = read_json(folder / "findings.json")["summary"]
    study_summary.say_found(folder, failed)
    if failed:
        print(one_line(f"ftstudy: {failed}"), file=sys.stderr)
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
