"""What several verbs share: argument types, and the options of every verb that trains."""

import argparse
import re
from contextlib import contextmanager
from pathlib import Path

from .. import paths
from ..files import locks
from ..files.foreign import refuse_run
from ..paths import absolute, shown

EXIT_CODES = "Exit status: 0 no error found; 1 at least one error found; 2 could not run, with the reason on stderr."


def number(least: float, kind=int, most: float = float("inf")):
    """An argparse type: a `kind` from `least` to `most`."""

    def parsed(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be {wanted}, not {text!r}")
        return value

    wanted = f"a {'whole ' * (kind is int)}number from {least}" + (f" to {most}" if most < float("inf") else "")
    return parsed


def add_training(parser) -> None:
    """--data, --model, --run, --smoke and --force."""
    add_data(parser)
    add_run(parser)
    parser.add_argument("--smoke", action="store_true", help="a quick look: 100 iterations, evaluated every 10")
    parser.add_argument("--force", action="store_true", help="train even if the audit finds errors")


def flags(options) -> list[str]:
    """--smoke and --force, as far as they are given."""
    return [flag for flag in ("--smoke", "--force") if getattr(options, flag[2:])]


def add_data(parser) -> None:
    parser.add_argument("--data", type=absolute, help="data folder to use instead of the config's")
    parser.add_argument("--model", help="model to use instead of the config's")


def add_app(parser) -> None:
    """--inference, --owner and --app."""
    parser.add_argument(
        "--inference", help="how your app builds its prompt: a profile, Modelfile, GGUF, recording, or a name"
    )
    parser.add_argument("--owner", help="your name in the historical prompt (default: as in the data)")
    parser.add_argument("--app", type=absolute, help="your app's code (folder or file), searched for hard-coded tokens")


def add_run(parser) -> None:
    parser.add_argument("--run", default="demo", help="name of the folder in reports/ for the results (demo)")


def run_folder(run: str) -> Path:
    """As `paths.run_folder`. Raises StudyError also if there is something else under that name than a run."""
    folder = paths.run_folder(run)
    refuse_run(folder)
    return folder


def run_of(config: Path) -> str:
    """The name of a config's run, if none is given: `my config (2).yaml` gives my-config-2."""
    return re.sub(r"^[\W_]+|\W+$", "", re.sub(r"[^\w.]+", "-", config.stem)) or "run"


@contextmanager
def only_one(run: Path):
    """Keep other processes from writing into the run's folder. Raises StudyError if one does already."""
    instead = "Wait until it has ended, or choose another name for this run: RUN=… or --run."
    with locks.held(run / locks.LOCK, f"{shown(run)} is being written", instead):
        yield


def add_parameters(parser) -> None:
    parser.add_argument(
        *("-p", "--parameter"),
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="set a parameter of the notebook; may be repeated",
    )
