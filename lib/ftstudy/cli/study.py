"""`ftstudy study`: all notebooks of a run and its report, as `make report` runs them."""

import shlex
from pathlib import Path

from ..errors import StudyError
from ..printable import one_line
from . import study_summary
from .arguments import add_run, number, only_one, run_folder


def add(parsers):
    parser = parsers.add_parser("study", help="run the notebooks that are out of date and build the report")
    add_run(parser)
    for name, meaning in {
        "source": "your chat history; without it, the config's own rows are studied",
        "kind": "the app that wrote it (detected)",
        "owner": "your name, as the prompts say it",
        "me": "your name in the chat history, if different",
        "contacts": "your address book, vCard or CSV",
        "date-order": "order of ambiguous dates, like dmy, or how a message begins, like '%%d.%%m.%%y, %%H:%%M -'",
        "time-zone": "their time zone, like Europe/Berlin",
        "region": "country of phone numbers without a country code, like DE (default: inferred)",
        "config": "the mlx-lm config to train",
        "data": "folder with the training data, or for it",
        "model": "base model, instead of the config's",
        "inference": "how your app builds its prompt: a profile, Modelfile, GGUF, recording, or a name",
        "app": "your app's code, searched for special tokens typed into it",
        "adapter": "your adapter's folder, to be measured instead of training one",
        "fused": "the fused model, if you serve that",
        "log": "the training's saved output, for the loss curve",
        "also": "more configs to train and compare, separated by spaces",
        "budget": "time limit for --prove, like 10m or 1h30m: fewer, shorter runs",
    }.items():
        parser.add_argument(f"--{name}", default="", help=meaning)
    for name, meaning in {
        "no-mask": "keep names, numbers, addresses and links",
        "stock": "also train as stock mlx-lm does",
        "force": "train even if the audit finds errors",
        "smoke": "train the configs of --also for 100 iterations only",
        "full": "train option A too, both with three seeds, and combine all faults",
        "prove": "also train the fine-tune as it was, as fixed, and with each fault left in, and say what each cost",
        "share": "also write share.html, the report without private text",
        "dry-run": "only say which stages would run, and why",
    }.items():
        parser.add_argument(f"--{name}", action="store_true", help=meaning)
    parser.add_argument("--iterations", type=number(0), default=0, help="iterations, instead of the config's")
    parser.add_argument("--replies", type=number(1), default=80, help="how many held-out replies to compare on (80)")
    parser.add_argument(
        "--shots", type=number(0), default=4, help="how many examples the base model is shown in a prompt (4; 0: none)"
    )
    return parser


def run(options) -> None:
    from ..stages import stamps, study

    given = {name: value for name, value in vars(options).items() if name in study.CHOICES}
    choices = study.CHOICES | given | {"mask": not options.no_mask, "also": _words(options.also)}
    choices |= {"kind": choices["kind"] or "auto", "existing": bool(choices["adapter"])}
    if not choices["existing"] and options.run != "demo":  # each run trains into a folder of its own
        choices["adapter"] = f"data/adapters/{options.run}/{Path(choices['config']).stem}"
    if choices["source"] and not choices["data"]:
        choices["data"] = "data" if options.run == "demo" else f"data/{options.run}"
    folder = run_folder(options.run)
    if options.dry_run:
        planned = stamps.planned(folder, [*study.stages(choices), study.page(choices)])
        study.check(choices, dry=True)
        print(*map(one_line, planned), sep="\n")
        return
    study.check(choices)  # before anything is written
    with only_one(folder):
        failed = study.run(choices)
    study_summary.say_found(folder, failed)
    if options.share:
        study_summary.say_shared(folder, failed)
    if failed:
        raise StudyError(failed)


def _words(text: str) -> list[str]:
    """The paths in a text, separated by spaces; quotes keep spaces in them, as in a shell."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise StudyError(f"ALSO={text!r} cannot be split into paths: {error}. Close the quotation mark.") from error
