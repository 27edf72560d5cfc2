"""`ftstudy audit`: would this run be wasted?"""

import json

from ..errors import StudyError
from ..paths import absolute, shown
from ..printable import say
from . import findings_text
from .arguments import EXIT_CODES, add_app, add_data
from .layout import wrapped

FORMATS = ("text", "json", "markdown", "github")


def add(parsers):
    parser = parsers.add_parser("audit", help="check a run before training: would it be wasted?", epilog=EXIT_CODES)
    parser.add_argument("--config", required=True, type=absolute, help="an mlx-lm config, or an adapter_config.json")
    add_data(parser)
    add_app(parser)
    parser.add_argument(
        "--fused", type=absolute, help="your fused model's folder: how much of the adapter's update is in it?"
    )
    parser.add_argument("--json", help="also write the findings to this file; - prints only them to standard output")
    parser.add_argument("--format", choices=FORMATS, default="text", help="how to print the findings (text)")
    parser.add_argument("-v", "--verbose", action="store_true", help="notes in full")
    parser.add_argument(
        "--fail-on", choices=("error", "warning", "never"), default="error", help="when to exit with 1 (error)"
    )
    return parser


def run(options) -> int:
    from .. import audit
    from ..chat_format.owner import check_name
    from ..files import write_json

    check_name(options.owner or "")
    _refuse_nothing(options)
    inputs = audit.read(options.config, options.data, options.model, options.inference, options.owner)
    result = audit.check(inputs, options.app, options.fused)
    if options.json == "-":
        options.format = "json"
    elif options.json:
        write_json(absolute(options.json), result)
    offered = audit.offer_contract(inputs, result["findings"])
    if options.format == "text":
        for line, colour in findings_text.terminal(result, options.verbose):
            say(line, colour)
        print("", *wrapped(offered), sep="\n")
        if not result["summary"]["error"] and (said := audit.estimate.in_words(inputs)):
            print("", *wrapped(said), sep="\n")
    elif options.format == "json":
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        print(getattr(findings_text, options.format)(result))
    return 1 if _fails(result["summary"], options.fail_on) else 0


def _fails(counts: dict[str, int], fail_on: str) -> bool:
    return {"error": counts["error"], "warning": counts["error"] + counts["warning"], "never": 0}[fail_on] > 0


def _refuse_nothing(options) -> None:
    """StudyError if there are no rows, and the model would have to be downloaded to say so."""
    from .. import configs
    from ..audit import hub_data
    from ..audit.run_inputs import SPLITS
    from ..models import base_models

    config = configs.load(options.config, data=options.data, model=options.model)
    folder = absolute(config["data"])
    there = (
        config.get("hf_dataset")
        or hub_data.files(hub_data.named(config))
        or any((folder / f"{split}.jsonl").is_file() for split in SPLITS)
    )
    if not there and base_models.local(config["model"]) is None:
        base_models.check(config["model"])
        raise StudyError(
            f"There are no rows in {shown(folder)}, so there is nothing to audit, and {config['model']} was not "
            "downloaded. Extract rows first (plain `make extract` makes the demo's), or name a folder "
            "that has them with DATA=… or --data."
        )
