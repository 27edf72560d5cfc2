"""`ftstudy report`: build the debug report from a run's results."""

from ..paths import shown
from ..printable import one_line
from .arguments import add_run, run_folder


def add(parsers):
    parser = parsers.add_parser("report", help="build reports/<run>/index.html from the run's results")
    add_run(parser)
    parser.add_argument("--share", action="store_true", help="write share.html instead, without anybody's words")
    return parser


def run(options) -> None:
    from ..report import page

    built = page.build(run_folder(options.run), share=options.share)
    what = "The report to share, without anybody's words" if options.share else "The report"
    print(one_line(f"{what}: {shown(built)} ({built.stat().st_size / 1e6:.2f} MB). Open it in a browser."))
