"""`ftstudy sweep`: several configs, one after another, into one table."""

from ..paths import absolute
from .arguments import EXIT_CODES, add_training, flags, run_folder


def add(parsers):
    parser = parsers.add_parser("sweep", help="train several configs and compare them in a table", epilog=EXIT_CODES)
    parser.add_argument("configs", nargs="+", type=absolute, metavar="CONFIG")
    add_training(parser)
    return parser


def run(options) -> int:
    from ..training import sweep

    data = str(options.data) if options.data else None
    rows = sweep.sweep(options.configs, run_folder(options.run), data, options.model, flags(options))
    print(sweep.table(rows))
    return 1 if any(row["status"] in ("failed", "diverged") for row in rows) else 0
