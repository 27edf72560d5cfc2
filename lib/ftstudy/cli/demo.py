"""`ftstudy demo`: build the demo's chat history."""

from ..paths import shown
from ..printable import one_line


def add(parsers):
    parser = parsers.add_parser("demo", help="build the demo's chat history, data/demo/chat.db")
    parser.add_argument("--sample", action="store_true", help="the committed samples in data/sample/ instead")
    return parser


def run(options) -> None:
    from ..demo import build, sample

    for path in (build.build_sample(), sample.build_telegram()) if options.sample else (build.build_demo(),):
        print(one_line(f"{shown(path)}: {path.stat().st_size / 1e6:.1f} MB"))
