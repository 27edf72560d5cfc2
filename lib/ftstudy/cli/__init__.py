"""The study from the command line: `python -m ftstudy VERB --help`.

Exit status: 0 done; 1 done, and the audit found an error; 2 could not be done, with one
paragraph on stderr that says why and what to do.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from ..errors import StudyError
from ..paths import expanded, from_root, run_folder, shown

FEW = 10  # rows of a split


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    try:
        status = options.verb(options)
    except StudyError as error:
        print(f"ftstudy: {error}", file=sys.stderr)
        status = 2
    except BrokenPipeError:  # whoever read the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except OSError as error:
        name = error.filename2 or error.filename  # of two, the second is the one that the user named
        where = f"{shown(name)} cannot be used" if name else "A file cannot be used"
        print(f"ftstudy: {where}: {error.strerror or error}. Choose another place, or allow it.", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print(
            "ftstudy: interrupted. Steps that were complete are kept; the same command goes on from there.",
            file=sys.stderr,
        )
        status = 130
    sys.exit(status or 0)


def _parser() -> argparse.ArgumentParser:
    codes = "Exit status: 0 done; 1 done, and the audit found an error; 2 could not be done, and why not."
    parser = argparse.ArgumentParser(
        prog="ftstudy", description="Why is a fine-tuned reply model worse, or better, than its base?", epilog=codes
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    verb = verbs.add_parser("extract", help="chat history -> train, valid and test rows")
    verb.add_argument("--source", required=True, help="the chat history, e.g. ~/Library/Messages/chat.db")
    verb.add_argument("--owner", required=True, help="the name under which the owner speaks in the prompts")
    verb.add_argument("--out", required=True, type=_here, help="folder that receives a folder for each variant")
    verb.add_argument("--variant", action="append", help="one to write; may be repeated (raw_style_variable)")
    read = verb.add_argument_group("reading the source")
    read.add_argument("--kind", default="auto", help="imessage, whatsapp, telegram, table, signal or discord (auto)")
    read.add_argument("--me", action="append", help="the owner's name in the source, if it is another; several with ;")
    read.add_argument(
        "--contacts", type=_here, help="your address book, vCard or CSV: who is called what, and is one person"
    )
    read.add_argument("--date-order", choices=["dmy", "mdy", "ymd"], help="where the dates leave it open")
    read.add_argument("--time-zone", help="of times that are written without one, like Europe/Berlin (UTC)")
    read.add_argument("--no-mask", action="store_true", help="keep names, numbers, addresses and links as they are")
    made = verb.add_argument_group("building reply pairs")
    made.add_argument("--context-messages", type=_at_least(1), help="messages before a reply, at most (8)")
    made.add_argument("--context-bytes", type=_at_least(1), help="bytes of context, at most, hence tokens (1000)")
    made.add_argument("--reply-bytes", type=_at_least(1), help="bytes of a reply, at most (1000)")
    made.add_argument(
        "--burst-minutes", type=_at_least(0, float), help="messages this close together are one reply (3)"
    )
    made.add_argument("--session-minutes", type=_at_least(0, float), help="a longer silence ends the conversation (60)")
    made.add_argument("--groups", action="store_true", help="group chats too")
    chosen = verb.add_argument_group("choosing among them, in place of what the variant says")
    chosen.add_argument("--min-words", type=_at_least(1), help="words in a reply, at least")
    chosen.add_argument("--min-characters", type=_at_least(1), help="characters in a reply, at least")
    chosen.add_argument("--repeats", type=_at_least(1), help="pairs with the same reply, at most (100)")
    chosen.add_argument(
        "--per-contact", type=_at_least(1), help="pairs from one contact, at most (2000; raw_style 200)"
    )
    chosen.add_argument(
        "--heldout-share",
        type=_at_least(0, float, most=0.5),
        help="share of pairs whose people go to heldout.jsonl (0.05)",
    )
    verb.set_defaults(verb=_extract)

    verb = verbs.add_parser("audit", help="would this run be wasted?", epilog=codes)
    verb.add_argument("--config", required=True, type=_here)
    verb.add_argument("--data", type=_here, help="instead of the config's data folder")
    verb.add_argument("--model", help="instead of the config's model")
    verb.add_argument("--inference", help="how the app builds its prompt: a YAML profile, `historical` or `aligned`")
    verb.add_argument("--owner", help="the owner's name in the historical prompt (default: as the data says)")
    verb.add_argument(
        "--app", type=_here, help="your app's code, a folder or file, to find special tokens typed into it"
    )
    verb.add_argument("--json", type=_here, help="also write the findings here")
    verb.set_defaults(verb=_audit)

    verb = verbs.add_parser("checks", help="what the audit looks for, as a table")
    verb.add_argument("--markdown", action="store_true", help="as docs/checks.md has it")
    verb.set_defaults(verb=_checks)

    verb = verbs.add_parser("train", help="one mlx-lm run; goes on where the same one was stopped", epilog=codes)
    verb.add_argument("--config", required=True, type=_here)
    verb.add_argument("--hosts", help="addresses with commas between, this machine's first, or a number of processes")
    _training_options(verb)
    verb.set_defaults(verb=_train)

    verb = verbs.add_parser("sweep", help="several configs one after another, to one table", epilog=codes)
    verb.add_argument("configs", nargs="+", type=_here, metavar="CONFIG")
    _training_options(verb)
    verb.set_defaults(verb=_sweep)

    verb = verbs.add_parser("repeats", help="for a full comparison: train option A too, and both with three seeds")
    verb.add_argument("--config", required=True, type=_here)
    verb.add_argument("--adapters", required=True, type=_here, help="folder that receives a folder an adapter")
    verb.add_argument("--iterations", type=_at_least(0, int), default=0, help="instead of the config's")
    _training_options(verb)
    verb.set_defaults(verb=_repeats)

    verb = verbs.add_parser(
        "compare", help="measure a comparison's arms, for notebook 04; goes on where it was stopped"
    )
    verb.add_argument("--run", default="demo")
    verb.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    verb.set_defaults(verb=_compare)

    verb = verbs.add_parser("archaeology", help="in which prompt format was an adapter trained?")
    verb.add_argument("--adapter", required=True, type=_here)
    verb.add_argument("--data", required=True, type=_here, help="a variant's folder with a test.jsonl")
    verb.add_argument("--model", help="the adapter's base model (default: as adapter_config.json says)")
    verb.add_argument("--owner", help="the owner's name in the prompts (default: as the data says)")
    verb.add_argument("--inference", action="append", default=[], help="one more candidate, a YAML profile")
    verb.add_argument("--replies", type=_at_least(2), default=40)
    verb.set_defaults(verb=_archaeology)

    verb = verbs.add_parser(
        "check", help="are the inputs of a whole run there and readable? Before minutes are spent on it"
    )
    verb.add_argument("--config", required=True)
    verb.add_argument("--source", required=True)
    verb.add_argument("--owner", required=True)
    verb.add_argument("--inference", required=True)
    verb.add_argument("--model", default="")
    verb.add_argument("--iterations", default="")
    verb.set_defaults(verb=_check)

    verb = verbs.add_parser("notebook", help="run one notebook of the study into reports/<run>/")
    verb.add_argument("name", help="e.g. 01_extract")
    verb.add_argument("--run", default="demo")
    verb.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    verb.set_defaults(verb=_notebook)

    verb = verbs.add_parser("baseline", help="store the notebooks' outputs on the sample, for the tests to compare")
    verb.set_defaults(verb=_baseline)

    verb = verbs.add_parser("report", help="build reports/<run>/index.html from the run's results")
    verb.add_argument("--run", default="demo")
    verb.set_defaults(verb=_report)
    return parser


def _training_options(verb) -> None:
    verb.add_argument("--data", type=_here, help="instead of the config's data folder")
    verb.add_argument("--model", help="instead of the config's model")
    verb.add_argument("--run", default="demo", help="folder in reports/ for the results")
    verb.add_argument("--smoke", action="store_true", help="100 iterations, evaluated every 10")
    verb.add_argument("--force", action="store_true", help="train although the audit finds errors")


def _at_least(least: float, kind=int, most: float = float("inf")):
    def number(text: str):
        value = kind(text)
        if not least <= value <= most:
            raise ValueError
        return value

    number.__name__ = f"number from {least} to {most}" if most < float("inf") else f"number of at least {least}"
    return number


def _here(path: str) -> Path:
    """A path given on the command line counts from where the user stands."""
    return expanded(path).absolute()


def _named(options) -> None:
    if not options.owner.strip():
        raise StudyError(
            f"The owner of {options.source}, whose replies are to be learned, has no name yet: give the name that the "
            "prompts should say with OWNER=… or --owner."
        )


def _extract(options) -> None:
    from .. import privacy, sources
    from ..extract import reply_pairs, variant_folder, variants
    from ..privacy import contacts

    def given(*names) -> dict:
        return {name: getattr(options, name) for name in names if getattr(options, name) is not None}

    _named(options)
    for variant in options.variant or []:
        variants.parameters_of(variant)  # a misspelt one should not cost the reading of a long history
    source = _here(options.source)
    me = [name.strip() for given in options.me or [options.owner] for name in given.split(";") if name.strip()]
    messages = sources.read_messages(source, options.kind, me=me, **given("date_order", "time_zone"))
    book = contacts.load(options.contacts) if options.contacts else []
    messages = contacts.apply(messages, book)
    if not options.no_mask:
        messages, masked = privacy.mask(messages, privacy.people_of(messages, book, options.owner, me))
        print("masked: " + (", ".join(f"{count:,} {what}" for what, count in masked.items()) or "nothing"))
    print(*messages.attrs["notes"], sep="\n")
    pairs, funnel = reply_pairs.build(
        messages,
        groups=options.groups,
        **given("context_messages", "context_bytes", "reply_bytes", "burst_minutes", "session_minutes"),
    )
    origin = {"source": messages.attrs["source"], "owner": options.owner, "kind": messages.attrs["kind"]}
    written = variants.write(
        pairs,
        options.owner,
        options.variant or [variants.DEFAULT],
        options.out,
        origin,
        funnel,
        **given("min_words", "min_characters", "repeats", "per_contact", "heldout_share"),
    )
    for variant, splits in written.items():
        told = ", ".join(f"{part['examples']:,} {name}" for name, part in splits.items())
        print(f"{shown(options.out / variant)}: {told}")
        few = [name for name in variant_folder.SPLITS if splits[name]["examples"] < FEW]
        if few:
            print(f"  Few rows in {', '.join(few)}: what is measured on them will say little. Give more history.")
    for step in funnel:
        print(f"  {step['removed']:>9,} removed  {step['left']:>9,} {step['unit']} left  {step['step']}")
        if step["removed"] and step["examples"]:
            print(
                " " * 22
                + "such as "
                + ", ".join(json.dumps(text[:50], ensure_ascii=False) for text in step["examples"])
            )


def _audit(options) -> int:
    from .. import audit
    from ..files import write_json

    inputs = audit.read(options.config, options.data, options.model, options.inference, options.owner)
    result = audit.check(inputs, options.app)
    if options.json:
        write_json(options.json, result)
    for item in result["findings"]:
        print(f"{item['severity'].upper()}  {item['check']}  {item['title']}")
        for line in item["evidence"]:
            print(f"    {line}")
        print(f"    cause: {item['cause']}\n    fix:   {item['fix']}\n")
    print(", ".join(f"{count} {severity}" for severity, count in result["summary"].items()))
    print(audit.offer_contract(inputs, result["findings"]))
    return 1 if result["summary"]["error"] else 0


def _checks(options) -> None:
    from .. import audit

    form = "| `{check}` | {severity} | {meaning} |" if options.markdown else "{check:<28} {severity:<24} {meaning}"
    if options.markdown:
        print("# What the audit looks for\n\nWritten by `python -m ftstudy checks --markdown`.\n")
        print("| Check | Severity | Meaning |\n|---|---|---|")
    for row in audit.documentation():
        print(form.format(**row))


def _train(options) -> int:
    from .. import training

    run, name = run_folder(options.run), options.config.stem
    if options.hosts:
        return _train_on_hosts(options, run, name)
    first = training.is_main_process()
    if first:  # before anything can fail: an older result is none of this run
        training.remove_result(run, name)
    inputs = training.read(options.config, options.data, options.model, smoke=options.smoke)
    forced = training.check_audit(inputs, options.force)
    result = training.train(inputs, run / f"{name}.metrics.jsonl")
    if first:
        training.save_result(run, result | {"forced": forced})
        print(training.summary(result))
    return 1 if result["diverged"] else 0


def _train_on_hosts(options, run: Path, name: str) -> int:
    from .. import training
    from ..training import hosts

    training.remove_result(run, name)
    given = [("--data", options.data), ("--model", options.model), ("--run", options.run)]
    arguments = ["train", "--config", str(options.config)]
    arguments += [str(part) for key, value in given if value for part in (key, value)]
    arguments += [flag for flag in ("--smoke", "--force") if getattr(options, flag[2:])]
    hosts.launch(options.hosts, arguments)
    result = training.find_result(run, name)
    return 2 if result is None else 1 if result["diverged"] else 0


def _sweep(options) -> int:
    from ..training import sweep

    flags = [flag for flag in ("--smoke", "--force") if getattr(options, flag[2:])]
    data = str(options.data) if options.data else None
    rows = sweep.sweep(options.configs, run_folder(options.run), data, options.model, flags)
    print(sweep.table(rows))
    return 1 if any(row["status"] in ("failed", "diverged") for row in rows) else 0


def _repeats(options) -> None:
    from ..compare import repeats
    from ..training import sweep

    run = run_folder(options.run)
    made = repeats.write(
        str(options.config), options.data or "", options.model or "", run, options.adapters, options.iterations
    )
    flags = ["--force"] if options.force else []
    print(sweep.table(sweep.sweep(made, run, None, None, flags)))


def _compare(options) -> None:
    """With the parameters of notebook 04, which finds here what it would measure."""
    from .. import notebooks
    from ..compare import plan
    from ..progress import remaining, watched

    given = notebooks.parameters("04_compare", {"run": options.run, **dict(options.parameter)})
    asked = {name: given[name] for name in ("replies", "shots", "also", "every")}
    planned = plan.plan(run_folder(options.run), given["config"], given["owner"], given["inference"], **asked)

    def tell(arm: str, done: int, total: int, seconds: float) -> None:
        if not watched():  # in a terminal a bar says it
            print(f"  {arm}: {remaining(done, total, seconds)}", flush=True)

    writing = {name: given[name] for name in ("longest", "temperature", "seed")}
    print(f"comparing {len(planned['models'])} models: what was measured before is kept", flush=True)
    measured = plan.measure(planned, tell=tell, **writing)
    print(f"{len(measured['scores'])} arms measured, {len(measured['left_out'])} left out")


def _archaeology(options) -> None:
    from ..compare import archaeology

    rows = archaeology.candidates_ranked(
        options.adapter, options.data, options.model, options.owner, options.inference, options.replies
    )
    print(archaeology.listing(rows))


def _check(options) -> None:
    from .. import chat_format, configs
    from ..models import base_models

    _named(options)
    if options.iterations and not options.iterations.isdecimal():
        raise StudyError(
            f"ITERS={options.iterations} is no number of iterations; write a whole number, or leave it out to keep the config's."
        )
    if not from_root(options.source).exists():
        raise StudyError(
            f"There is no chat history {shown(options.source)}; correct SOURCE=…. On a Mac it is ~/Library/Messages/chat.db."
        )
    config = configs.load(options.config, model=options.model)
    chat_format.load_profile(options.inference, options.owner)
    base_models.resolve(config["model"])


def _notebook(options) -> None:
    from .. import notebooks

    parameters = {"run": options.run, **dict(options.parameter)}
    print(f"{options.name}: running into {shown(run_folder(options.run))}", flush=True)
    notebooks.execute(options.name, run_folder(options.run), parameters)


def _baseline(_) -> None:
    from .. import notebooks

    for name in notebooks.names():
        print(f"{name}: running on the sample", flush=True)
        notebooks.store_outputs(name)


def _report(options) -> None:
    from ..report import page

    page = page.build(run_folder(options.run))
    print(f"The report: {shown(page)} ({page.stat().st_size / 1e6:.2f} MB). Open it in a browser.")
