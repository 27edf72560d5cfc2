"""`ftstudy train`: one training run."""

from pathlib import Path

from ..paths import absolute
from .arguments import EXIT_CODES, add_training, flags, run_folder


def add(parsers):
    parser = parsers.add_parser("train", help="train one config, or resume a stopped run", epilog=EXIT_CODES)
    parser.add_argument("--config", required=True, type=absolute, help="the mlx-lm config to train")
    parser.add_argument("--hosts", help="comma-separated addresses, this machine first; or a number of local processes")
    add_training(parser)
    return parser


def run(options) -> int:
    from .. import training
    from ..report import live_training

    folder, name = run_folder(options.run), options.config.stem
    if options.hosts:
        return _on_hosts(options, folder, name)
    main_process = training.is_main_process()
    if main_process:  # before anything can fail: an old result must not pass for this run's
        training.remove_result(folder, name)
    inputs = training.read(options.config, options.data, options.model, smoke=options.smoke)
    forced = training.check_audit(inputs, options.force)
    result = training.train(inputs, folder / f"{name}.metrics.jsonl", live_training.watching)
    if main_process:
        training.save_result(folder, result | {"forced": forced})
        print(training.summary(result))
    return 1 if result["diverged"] else 0


def _on_hosts(options, folder: Path, name: str) -> int:
    from .. import training
    from ..training import hosts

    training.remove_result(folder, name)
    given = [("--data", options.data), ("--model", options.model), ("--run", options.run)]
    arguments = ["train", "--config", str(options.config)]
    arguments += [str(part) for key, value in given if value for part in (key, value)]
    hosts.launch(options.hosts, arguments + flags(options))
    result = training.find_result(folder, name)
    return 2 if result is None else 1 if result["diverged"] else 0
