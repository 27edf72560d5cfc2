"""`ftstudy report`: build the debug report from a run's results."""

from ..paths import shown
from ..printable import one_line
from .arguments import add_run, run_folder


def add(parsers):
    parser = parsers.add_parser("report", help="build reports/<run>/index.html from the run's results")
    add_run(parser)
    return parser


def run(options) -> None:
    from ..report import page

    built = page.build(run_folder(options.run))
    print(one_line(f"The report: {shown(built)} ({built.stat().st_size / 1e6:.2f} MB). Open it in a browser."))
