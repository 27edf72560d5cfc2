"""`ftstudy check`: can all inputs of `make report` be read? Asked before minutes are spent on it."""

from ..errors import StudyError
from ..paths import absolute, shown
from .arguments import check_owner


def add(parsers):
    parser = parsers.add_parser("check", help="check that the inputs of `make report` can be read")
    for name in ("--config", "--source", "--owner", "--inference"):
        parser.add_argument(name, required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--iterations", default="")
    return parser


def run(options) -> None:
    from .. import chat_format, configs
    from ..models import base_models

    if not options.config:
        raise StudyError(
            "There is nothing to study yet. Name your chat history with SOURCE=… and OWNER=…, or the config of a "
            "fine-tune that exists with CONFIG=…, and its adapter with ADAPTER=…."
        )
    if options.source:
        check_owner(options)
    if options.iterations and not options.iterations.isdecimal():
        raise StudyError(
            f"ITERS={options.iterations} is not a whole number. Write one, or leave it out to keep the config's."
        )
    if options.source and not absolute(options.source).exists():
        raise StudyError(
            f"No chat history at {shown(options.source)}. Correct SOURCE=…; on a Mac it is ~/Library/Messages/chat.db."
        )
    config = configs.load(options.config, model=options.model)
    if options.inference:
        chat_format.load_profile(options.inference, options.owner)
    base_models.resolve(config["model"])
