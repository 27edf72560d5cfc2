"""`ftstudy report`: build the debug report from a run's results."""

from . import study_summary
from .arguments import add_run, run_folder


def add(parsers):
    parser = parsers.add_parser("report", help="build reports/<run>/index.html from the run's results")
    add_run(parser)
    parser.add_argument("--share", action="store_true", help="write share.html instead, without private text")
    return parser


def run(options) -> None:
    from .. import report

    folder = run_folder(options.run)
    if options.share:
        study_summary.say_shared(folder)
        return
    report.write(folder)
    study_summary.say_found(folder)
