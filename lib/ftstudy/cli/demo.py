"""`ftstudy demo`: build the demo's chat history."""

from ..paths import shown
from ..printable import one_line


def add(parsers):
    parser = parsers.add_parser("demo", help="build the demo's chat history, data/demo/chat.db")
    parser.add_argument("--sample", action="store_true", help="the committed sample, data/sample/chat.db, instead")
    return parser


def run(options) -> None:
    from ..demo import build

    built = build.build_sample() if options.sample else build.build_demo()
    print(one_line(f"{shown(built)}: {built.stat().st_size / 1e6:.1f} MB"))
