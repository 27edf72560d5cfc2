"""`ftstudy blind`: which of two replies would you have sent? Asked in the terminal."""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StudyError
from ..paths import absolute, shown
from ..printable import printable, say
from . import study_summary
from .arguments import only_one, run_folder

SPECIAL = re.compile(r"\x1b(?:\[[0-9;]*.|O.)?")  # an arrow or another key of several bytes, one of them perhaps a digit
HELP = "1 the first · 2 the second · 0 neither · u undo · r result so far · q stop"


def add(parsers):
    parser = parsers.add_parser(
        "blind",
        help="take the blind test of a run: which of two replies would you have sent?",
        description="Shows two replies to one held-out conversation, one by the tuned model and one by its base, in hidden "
        "order. Press 1 or 2 for the one you would have sent, 0 for neither, u to undo the last choice, r for the "
        "result so far (which may give away which is which), q to stop. Choices are saved in the run's folder; run it "
        "again to do the rest.",
    )
    parser.add_argument(
        "run_name", nargs="?", default="demo", metavar="RUN", help="the run's folder in reports/ (demo)"
    )
    parser.add_argument("--take", metavar="FILE", help="import the choices that the page saved; - for standard input")
    return parser


def run(options) -> None:
    from ..compare import preference

    folder = run_folder(options.run_name)
    pairs = preference.pairs_of(folder)
    if options.take:
        taken = preference.take(folder, pairs, *_text_of(options.take))
        print(f"Imported {taken} of {len(pairs)} choices.")
        changed = taken > 0
    else:
        changed = _ask(folder, pairs)
    print(preference.in_words(preference.result(pairs, preference.choices(folder))))
    if changed:
        _update_page(folder)


def _text_of(name: str) -> tuple[str, str]:
    from ..files import reading

    if name == "-":
        return sys.stdin.read(reading.SETTINGS), "Standard input"
    try:
        return reading.read_text(absolute(name), reading.SETTINGS), shown(name)
    except (OSError, ValueError) as error:
        raise StudyError(
            f"{shown(name)} cannot be read ({reading.why(error)}). Name the file that the page saved your choices to."
        ) from error


def _update_page(folder: Path) -> None:
    from .. import report

    with only_one(folder):
        built = report.write(folder)
    study_summary.say_page(built, "The report has the result: ")


def _ask(folder: Path, pairs: list[dict]) -> bool:
    """Ask until every pair is decided or the person stops. Returns whether a choice was made or taken back."""
    from ..compare import preference

    changed = False
    with _keys() as pressed:
        left = _show_next(folder, pairs)
        for key in pressed:
            if key == "q":
                print("Stopped. Choices are saved: run it again to go on.")
                break
            if key == "r":
                print(preference.in_words(preference.result(pairs, preference.choices(folder))))
            elif key == "u":
                taken_back = preference.undo(folder, pairs)
                print("Undid the last choice." if taken_back else "There is nothing to undo.")
                changed = changed or taken_back is not None
                left = _show_next(folder, pairs, first=taken_back)
            elif left and key in preference.KEYS:
                preference.choose(folder, left, key)
                changed = True
                left = _show_next(folder, pairs)
    return changed


def _show_next(folder: Path, pairs: list[dict], first: dict | None = None) -> dict | None:
    """Print the pair `first`, or else the next undecided one, and return it; None if all are decided."""
    from ..compare import preference

    left = preference.undecided(pairs, preference.choices(folder))
    pair = first or (left[0] if left else None)
    if not pair:
        print(f"All {len(pairs)} pairs are decided. u undoes the last choice, q stops.")
        return None
    width = min(max(shutil.get_terminal_size().columns, 40), 100)
    print()
    say(f"{len(pairs) - len(left) + 1} of {len(pairs)}", "bold")
    print(_wrapped(pair["context"], width, "  "))
    for number, text in enumerate(pair["texts"], 1):
        print()
        say(f"{number}", "bold")
        print(_wrapped(text or "(empty)", width, "    "))
    print(f"\n{HELP}", flush=True)
    return pair


def _wrapped(text: str, width: int, indent: str) -> str:
    lines = printable(text).split("\n")
    return "\n".join(
        textwrap.fill(line, width, initial_indent=indent, subsequent_indent=indent, drop_whitespace=False) or indent
        for line in lines
    )


@contextmanager
def _keys() -> Iterator[Iterator[str]]:
    """The keys that are pressed, one by one, without waiting for the return key. StudyError: not a terminal."""
    import termios
    import tty

    if not sys.stdin.isatty():
        raise StudyError(
            "The blind test needs a terminal to press keys in, and standard input is not one. Run the same command in a "
            "terminal, take the test in the run's page, or import what the page saved: --take FILE."
        )
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    try:
        tty.setcbreak(handle)
        yield _pressed(handle)
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


def _pressed(handle: int) -> Iterator[str]:
    while data := os.read(handle, 64):
        yield from SPECIAL.sub("", data.decode("ascii", "ignore")).lower()
