"""The study from the command line: `ftstudy VERB --help`, or `python -P -m ftstudy VERB --help`.

Each module here is one verb: `add(parsers)` declares its arguments and returns the parser, `run(options)` does
the work and returns an exit status (None for 0).
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module

from .. import __version__, machine_failures
from ..errors import StudyError
from ..files.folders import keep_private
from ..paths import shown
from ..printable import one_line, streams
from .arguments import EXIT_CODES

# In the order in which a person meets them; what only `make` and the tests call comes last.
NAMES = "diagnose extract convert audit checks fix train sweep compare report prove blind verify archaeology record"
NAMES += " configs study lab demo notebook baseline"
VERBS = [import_module(f".{name}", __name__) for name in NAMES.split()]


def main(arguments: list[str] | None = None) -> None:
    """Run one verb and exit: 0 done, 1 done with an error found, 2 could not run, 130 interrupted, 128 and a signal's
    number ended by it."""
    with streams(), _ended_in_a_sentence():
        status = _run(arguments)
    sys.exit(status)


def _run(arguments: list[str] | None) -> int:
    keep_private()
    try:
        options = _parser().parse_args(arguments)
        status = options.verb(options)
        sys.stdout.flush()
    except StudyError as error:
        status = _failed(str(error))
    except ModuleNotFoundError as error:
        status = _failed(
            f"This needs the package {error.name}, which is not installed. Install what the notebooks and the report "
            f"need: pip install 'ftstudy[study]', in the environment of {sys.executable}."
        )
    except SystemExit as ended:  # after --help, or a wrong argument
        status = ended.code or (_failed(refused) if (refused := _refused_output()) else 0)
    except BrokenPipeError:  # the reader of our output, such as `head`, has closed it
        status = 0
    except KeyboardInterrupt as ended:
        number, how = (
            (ended.number, f"ended by {ended.number.name}") if isinstance(ended, Ended) else (2, "interrupted")
        )
        _failed(f"{how}. Finished steps are kept; run the same command again to continue.")
        status = 128 + number
    except Exception as error:
        is_nameless = isinstance(error, OSError) and not error.filename
        said = (is_nameless and _refused_output()) or machine_failures.explain(error) or _refused_path(error)
        status = _failed(said or machine_failures.unexpected(error))
    _drop_output()
    return status or 0


class Ended(KeyboardInterrupt):
    """Ended from outside: by `kill`, a scheduler, or because the terminal was closed."""

    def __init__(self, number: signal.Signals):
        super().__init__()
        self.number = number


@contextmanager
def _ended_in_a_sentence() -> Iterator[None]:
    """SIGTERM and SIGHUP stop the run as Ctrl-C does, unless the caller ignores or handles them."""

    def end(number: int, frame) -> None:
        raise Ended(signal.Signals(number))

    main = threading.current_thread() is threading.main_thread()  # only there can signals be handled
    ours = [one for one in (signal.SIGTERM, signal.SIGHUP) if main and signal.getsignal(one) == signal.SIG_DFL]
    for one in ours:
        signal.signal(one, end)
    try:
        yield
    finally:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)


def _failed(message: str) -> int:
    with suppress(OSError):
        print(one_line(f"ftstudy: {message}"), file=sys.stderr, flush=True)
    return 2


def _refused_path(error: Exception) -> str | None:
    if not isinstance(error, OSError):
        return None
    name = error.filename2 or error.filename  # of two, the second is the one the user named
    subject = f"Cannot use {shown(name)}" if name else "Cannot use a file"
    return f"{subject}: {error.strerror or error}. Choose another path, or change its permissions."


def _refused_output() -> str | None:
    """Why what was printed could not be written, if it could not."""
    with suppress(OSError):
        sys.stdout.flush()
    error = getattr(sys.stdout, "refused", None)
    if error is None or isinstance(error, BrokenPipeError):
        return None
    reason = machine_failures.REASONS.get(error.errno, (error.strerror or str(error),))[0]
    return f"Cannot write the output: {reason}. Send it somewhere else, and run the same command again."


def _drop_output() -> None:
    """What cannot be printed any more, as into a closed pipe or onto a full disk, must not change the exit status."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        said = one_line(message.removeprefix("argument "))
        self.exit(2, f"{self.prog}: {said}. `{self.prog} --help` describes the arguments.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ftstudy",
        description="Find out why a fine-tuned chat model disappoints, from its data to its replies.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"ftstudy {__version__}")
    parsers = parser.add_subparsers(required=True, metavar="VERB")
    for verb in VERBS:
        verb.add(parsers).set_defaults(verb=verb.run)
    return parser
