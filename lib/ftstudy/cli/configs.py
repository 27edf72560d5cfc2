"""`ftstudy configs`: write configs for every model, method and variant of the matrix."""

from ..paths import ROOT, absolute, shown
from ..printable import one_line

FOLDER = ROOT / "ft_configs"


def add(parsers):
    parser = parsers.add_parser("configs", help="write configs for every model, method and variant")
    parser.add_argument(
        "--data", type=absolute, help="your own folder of variants (default: the demo's data and data/personal)"
    )
    return parser


def run(options) -> None:
    from ..training import config_matrix

    generated = FOLDER / "generated"
    if options.data:
        written = config_matrix.write_for(options.data, generated)
    else:
        config_matrix.write_examples(FOLDER)
        written = config_matrix.write_all(generated)
    print(one_line(f"{shown(generated)}: {len(written)} files"))
