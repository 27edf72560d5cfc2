"""`ftstudy repeats`: what a full comparison (FULL=1) trains besides the main config."""

from ..paths import absolute, run_folder
from .arguments import add_training, number


def add(parsers):
    parser = parsers.add_parser("repeats", help="for FULL=1: train option A too, and both options with three seeds")
    parser.add_argument("--config", required=True, type=absolute, help="the main config")
    parser.add_argument("--adapters", required=True, type=absolute, help="folder to write one folder per adapter into")
    parser.add_argument("--iterations", type=number(0), default=0, help="iterations instead of the config's")
    add_training(parser)
    return parser


def run(options) -> None:
    from ..compare import repeats
    from ..training import sweep

    folder, data, model = run_folder(options.run), options.data or "", options.model or ""
    written = repeats.write(str(options.config), data, model, folder, options.adapters, options.iterations)
    print(sweep.table(sweep.sweep(written, folder, None, None, ["--force"] if options.force else [])))
