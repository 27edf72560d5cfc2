"""`ftstudy prove`: train a fine-tune as it was, as fixed, and with one fault at a time left in: what did each cost?"""

from ..paths import absolute
from .arguments import EXIT_CODES, number, only_one, run_folder, run_of


def add(parsers):
    parser = parsers.add_parser(
        "prove",
        help="measure whether a fix helps, fault by fault: trains as it was, as fixed, and with each fault left in",
        epilog=EXIT_CODES.replace("no error found", "the fix helped").replace(
            "at least one error found", "it did not, or that is unclear"
        ),
    )
    parser.add_argument("config", type=absolute, help="the config of the fine-tune as it was")
    parser.add_argument("--fixed", type=absolute, help="the folder that `ftstudy fix` wrote (default: written now)")
    parser.add_argument("--inference", default="", help="how your app builds its prompt, as for `ftstudy diagnose`")
    parser.add_argument("--owner", default="", help="your name in the prompts (default: as in the data)")
    parser.add_argument("--data", type=absolute, help="the folder with its rows (default: the config's data)")
    parser.add_argument("--model", help="its base model (default: the config's)")
    parser.add_argument("--run", help="name of the folder in reports/ for the results (default: the config's name)")
    parser.add_argument("--budget", default="", help="limit for all training, like 10m or 1h30m: fewer, shorter runs")
    parser.add_argument("--seeds", type=number(1), default=3, help="seeds of the trainings as it was and as fixed (3)")
    parser.add_argument("--replies", type=number(1), default=80, help="how many held-out replies to measure on (80)")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be trained, and how long it takes")
    return parser


def run(options) -> int:
    from .. import audit, proof
    from ..models import base_models
    from ..printable import say
    from ..stages import proving

    proof.budget.seconds(options.budget)  # before anything is written
    folder = run_folder(options.run or run_of(options.config))
    inputs = audit.read(options.config, options.data, options.model, options.inference, options.owner)
    base_models.resolve(inputs.config["model"])  # without it, not every fault is found
    with only_one(folder):
        fixed = options.fixed or proving.fixed(inputs, folder)
        planned = proof.plan(
            folder, inputs, fixed, proving.diagnosed(folder), options.replies, options.budget, options.seeds
        )
        say(planned["said"])
        if options.dry_run:
            return 0
        found = proof.prove(folder, planned, say)
    if not found["faults"]:
        return 0
    for line in proof.result.told(found):
        say(line)
    return 0 if proof.result.has_helped(found) else 1
