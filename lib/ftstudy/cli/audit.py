"""`ftstudy audit`: would this run be wasted?"""

from ..paths import absolute
from ..printable import one_line
from .arguments import EXIT_CODES


def add(parsers):
    parser = parsers.add_parser("audit", help="check a run before training: would it be wasted?", epilog=EXIT_CODES)
    parser.add_argument("--config", required=True, type=absolute, help="an mlx-lm config, or an adapter_config.json")
    parser.add_argument("--data", type=absolute, help="data folder to use instead of the config's")
    parser.add_argument("--model", help="model to use instead of the config's")
    parser.add_argument(
        "--inference", help="how your app builds its prompt: a profile, Modelfile, GGUF, recording, or a name"
    )
    parser.add_argument("--owner", help="your name in the historical prompt (default: as in the data)")
    parser.add_argument(
        "--app", type=absolute, help="your app's code, a folder or file, searched for typed special tokens"
    )
    parser.add_argument(
        "--fused", type=absolute, help="your fused model's folder: how much of the adapter's update is in it?"
    )
    parser.add_argument("--json", type=absolute, help="also write the findings to this file")
    return parser


def run(options) -> int:
    from .. import audit
    from ..files import write_json
    from ..sources import check_name

    check_name(options.owner or "")
    inputs = audit.read(options.config, options.data, options.model, options.inference, options.owner)
    result = audit.check(inputs, options.app, options.fused)
    if options.json:
        write_json(options.json, result)
    print(listing(result))
    print(audit.offer_contract(inputs, result["findings"]))
    return 1 if result["summary"]["error"] else 0


def listing(result: dict) -> str:
    """The findings as text: errors and warnings in full, then one line per info, then the counts."""
    from ..audit.evidence import counted

    lines = []
    for item in result["findings"]:
        if item["severity"] == "info":
            continue
        lines.append(one_line(f"{item['severity'].upper()}  {item['check']}  {item['title']}"))
        lines += [f"    {one_line(line)}" for line in item["evidence"]]
        lines += [one_line(f"    cause: {item['cause']}"), one_line(f"    fix:   {item['fix']}"), ""]
    facts = [
        one_line(f"  {item['check']}  {item['title']}") for item in result["findings"] if item["severity"] == "info"
    ]
    if facts:
        lines += ["Facts about this run (no action needed)", *facts, ""]
    nouns = {"error": "error", "warning": "warning", "info": "fact"}
    return "\n".join([*lines, ", ".join(counted(result["summary"][key], noun) for key, noun in nouns.items())])
