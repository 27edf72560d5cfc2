"""Tables of what a run was made from, and what it cost."""

from ...wording import format_name, number
from .shared import Table, table


def costs(found: dict) -> Table:
    """`found`: a step's name -> its cost."""
    return table(
        "What each arm cost",
        [spent | {"step": _step(name)} for name, spent in found.items()],
        step="Step",
        seconds=("Seconds", lambda one: number(one["seconds"], 1)),
        speed=("Tokens per second", lambda one: number(one["tokens_per_second"], 0)),
        memory=("Peak memory, GB", lambda one: number(one["peak_memory_gigabytes"], 2)),
    )


def _step(name: str) -> str:
    """ "scoring base, aligned" -> "scoring base, as in training" """
    arm, _, asked = name.partition(", ")
    return f"{arm}, {format_name(asked)}" if asked else name


def durations(rows: list[dict]) -> Table:
    return table("", rows, step="Step", seconds="Seconds", memory="Peak memory, GB", finished="Finished (UTC)")


def contents(rows: list[dict]) -> Table:
    return table("", rows, file="File or value", sha256="sha256")
