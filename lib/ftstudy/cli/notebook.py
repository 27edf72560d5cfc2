"""`ftstudy notebook`: run one notebook of the study."""

from ..paths import shown
from ..printable import one_line
from .arguments import add_parameters, add_run, only_one, run_folder


def add(parsers):
    parser = parsers.add_parser("notebook", help="run one notebook of the study into reports/<run>/")
    parser.add_argument("name", help="e.g. 01_extract")
    add_run(parser)
    add_parameters(parser)
    return parser


def run(options) -> None:
    from ..stages import notebooks

    folder = run_folder(options.run)
    with only_one(folder):
        print(one_line(f"{options.name}: running into {shown(folder)}"), flush=True)
        notebooks.execute(options.name, folder, {"run": options.run, **dict(options.parameter)})
