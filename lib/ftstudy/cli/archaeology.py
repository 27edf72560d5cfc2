"""`ftstudy archaeology`: in which prompt format was an adapter trained?"""

from ..paths import absolute
from .arguments import number


def add(parsers):
    parser = parsers.add_parser("archaeology", help="find the prompt format an adapter was trained in")
    parser.add_argument("--adapter", required=True, type=absolute)
    parser.add_argument("--data", required=True, type=absolute, help="a variant's folder with a test.jsonl")
    parser.add_argument("--model", help="the adapter's base model (default: as in adapter_config.json)")
    parser.add_argument("--owner", help="your name in the prompts (default: as in the data)")
    parser.add_argument("--inference", action="append", default=[], help="another candidate, as a YAML profile")
    parser.add_argument("--replies", type=number(2), default=40, help="how many test replies to score (40)")
    return parser


def run(options) -> None:
    from ..chat_format.owner import check_name
    from ..compare import archaeology

    check_name(options.owner or "")
    rows = archaeology.candidates_ranked(
        options.adapter, options.data, options.model, options.owner, options.inference, options.replies
    )
    print(archaeology.listing(rows))
