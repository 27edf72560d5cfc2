"""`ftstudy fix`: a repaired copy of a fine-tune, and what was repaired."""

import shlex
from pathlib import Path

from ..errors import StudyError
from ..paths import absolute, shown
from ..printable import say
from .arguments import EXIT_CODES, add_app, add_data, run_folder
from .layout import say_wrapped, wrapped


def add(parsers):
    parser = parsers.add_parser(
        "fix",
        help="write a repaired copy of a fine-tune: its config, its rows, and its app's prompt",
        epilog=EXIT_CODES,
    )
    parser.add_argument("config", type=absolute, help="an mlx-lm config, or an adapter_config.json")
    parser.add_argument("--out", type=absolute, help="folder for the repaired copy (default: the run's fixed/)")
    parser.add_argument("--run", default="", help="a run in reports/; faults its diagnosis measured are fixed too")
    add_data(parser)
    add_app(parser)
    return parser


def run(options) -> int:
    from .. import audit, repair
    from ..chat_format.owner import check_name
    from ..repair import folder
    from ..stages import proving

    check_name(options.owner or "")
    if not options.out and not options.run:
        raise StudyError("Say where to write the repaired copy: --out FOLDER, or --run with a run's name.")
    run = run_folder(options.run) if options.run else None
    options.out = options.out or run / proving.FIXED
    inputs = audit.read(options.config, options.data, options.model, options.inference, options.owner)
    known = _known(options.out, inputs)
    draft = repair.read(inputs, proving.diagnosed(run)["measured"] if run else None)
    steps = _steps(draft, inputs, repair)
    if not steps:
        return _nothing(audit.check(inputs, options.app, existing=False), inputs.where)
    fixed, made = steps[-1][2], [(one, notes) for one, notes, _ in steps]
    state = _write(fixed, options.out, inputs, made, known)
    _tell_config(folder, inputs, options.out, made)
    _tell_rows(draft, steps)
    _tell_app(folder, options.out, made)
    say("")
    say(f"{state} {shown(options.out)}.")
    after = _audited(options, inputs, fixed, made)
    if not after["summary"]["error"]:
        command = shlex.join(["ftstudy", "train", "--config", shown(options.out / folder.CONFIG)])
        say_wrapped([f"Train it with `{command}`."])
    return _tell_left(after)


def _steps(draft: dict, inputs, repair) -> list[tuple]:
    """(repair, its notes, the draft after it) of each repair that changed something."""
    steps = []
    for one in repair.REPAIRS:
        draft, made = repair.repaired(draft, inputs, [one])
        steps += [(one, notes, draft) for _, notes in made]
    return steps


def _known(out: Path, inputs) -> dict | None:
    """What an earlier fix recorded in the folder; None if it is to be made. Raises StudyError if something else is
    there, or if somebody has edited it since."""
    from ..repair import folder

    if out.resolve().is_relative_to(inputs.folder.resolve()):
        raise StudyError(
            f"{shown(out)} is inside your data folder, which a fix never changes. Name a folder elsewhere with --out."
        )
    if not out.exists() or out.is_dir() and not any(out.iterdir()):
        return None
    known = folder.record(out) if out.is_dir() else None
    if known is None:
        raise StudyError(
            f"{shown(out)} exists already, and `ftstudy fix` didn't write it. Name a new folder with --out, so that "
            "nothing is overwritten."
        )
    if edited := folder.changed_since(out, known):
        raise StudyError(
            f"{shown(out)} was edited after it was written ({', '.join(edited)}), so it was kept. Use it as it is, or "
            "name a new folder with --out."
        )
    return known


def _write(fixed: dict, out: Path, inputs, made: list, known: dict | None) -> str:
    """Write the copy, unless it is there already; how to say what was done."""
    from .. import repair
    from ..files.folders import new_folder, replace_folder
    from ..repair import folder

    with new_folder(out) as trial:
        repair.write(fixed, trial, inputs, made, out)
        if known and folder.record(trial) == known:
            return "Up to date:"
    if known and (out / folder.ADAPTER).exists():
        raise StudyError(
            f"{shown(out)} has an adapter that was trained on an earlier, different fix. Name a new folder with "
            "--out, or remove that one."
        )
    with replace_folder(out) as new:
        repair.write(fixed, new, inputs, made, out)
    return "Wrote"


# --- what is printed ---------------------------------------------------------------------------------


def _nothing(result: dict, where: str) -> int:
    errors = result["summary"]["error"]
    say(f"Nothing {'that can be repaired' if errors else 'to fix'} in {where}; nothing was written.")
    return _tell_left(result)


def _tell_config(folder, inputs, out: Path, made: list) -> None:
    from ..files.reading import SETTINGS, read_text
    from ..repair import changes

    say(f"Config, {inputs.where}", "bold")
    new = read_text(out / folder.CONFIG, SETTINGS)
    for line in changes.of_config(read_text(absolute(inputs.where), SETTINGS), new, inputs.where, out / folder.CONFIG):
        say(f"  {line}", {"+": "green", "-": "red"}.get(line[0], ""))
    say_wrapped((note for one, notes in made if one.part == "config" for note in notes), "  ")


def _tell_rows(draft: dict, steps: list) -> None:
    from ..repair import changes

    before = draft["rows"]
    if any(one.part == "rows" for one, _, _ in steps):
        _tell_heading("Rows")
    for one, notes, after in steps:
        if one.part == "rows":
            say_wrapped((*notes, *changes.of_rows(before, after["rows"])), "  ")
        before = after["rows"]


def _tell_app(folder, out: Path, made: list) -> None:
    notes = [note for one, found in made if one.part == "app" for note in found]
    if notes:
        _tell_heading("App")
        names = f"{shown(out / folder.PROFILE)} describes the prompt, {shown(out / folder.CODE)} builds it."
        say_wrapped((*notes, names), "  ")


def _tell_heading(text: str) -> None:
    say("")
    say(text, "bold")


def _audited(options, inputs, fixed: dict, made: list) -> dict:
    """The audit of what was written."""
    from .. import audit
    from ..repair import folder

    asked = (options.out / folder.PROFILE) if any(one.part == "app" for one, _ in made) else options.inference
    is_recorded = inputs.profile and inputs.profile["kind"] == "captured" and fixed["profile"] is inputs.profile
    if is_recorded and any(one.part == "rows" for one, _ in made):
        asked = None  # a recording is of the rows as they were
    return audit.check(
        audit.read(options.out / folder.CONFIG, None, None, asked, options.owner), options.app, existing=False
    )


def _tell_left(result: dict) -> int:
    from ..repair import unrepaired

    found = unrepaired.sentences(result["findings"])
    if found:
        _tell_heading("Not repaired")
    for severity, line in found:
        for at, part in enumerate(wrapped(f"{severity}  {line}", "  ")):
            say(part, {"error": "red", "warning": "yellow"}[severity] if at == 0 else "")
    return 1 if result["summary"]["error"] else 0
