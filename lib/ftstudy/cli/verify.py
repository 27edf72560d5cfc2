"""`ftstudy verify`: does a finished run give the same results when it is run again?"""

from ..errors import StudyError
from ..paths import shown
from ..printable import one_line
from ..wording import count
from .arguments import add_run, run_folder


def add(parsers):
    parser = parsers.add_parser(
        "verify",
        help="run a finished run again and compare every result file",
        description="Runs a finished run's notebooks again in a private temporary folder, with the parameters they recorded, "
        "and compares rows, findings, training, comparison and adapters byte by byte. The run itself is not touched.",
        epilog="Exit status: 0 all equal; 1 something differs; 2 could not run, with the reason on stderr.",
    )
    add_run(parser)
    return parser


def run(options) -> int:
    from ..files.folders import scratch
    from ..stages import differences, rerun

    folder = run_folder(options.run)
    given = rerun.recorded(folder)
    rows, adapters, entries = rerun.written(folder, given)

    def tell(step: str) -> None:
        print(f"{step}: running again", flush=True)

    with scratch() as private:
        copy = rerun.repeat(folder, given, [*rows, *adapters], entries, private.resolve(), tell)
        files = differences.compared(folder, rows, adapters)
        files = [path for path in files if path.exists() or (copy / path).exists()]
        found = {path: differences.differences(path, copy / path) for path in files}
    for path, lines in found.items():
        for line in lines:
            print(one_line(f"{shown(path)}  {line}"))
    different = sum(map(bool, found.values()))
    if not found:
        raise StudyError(f"{shown(folder)} has no results to compare. Make its report again.")
    print(
        f"{len(found):,} result files compared: "
        + (count(different, "differs", "differ") if different else "all equal")
    )
    return 1 if different else 0
