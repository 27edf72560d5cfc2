"""Measure a comparison before the notebook that shows it runs, telling how far it is."""

from contextlib import nullcontext

from ..compare import plan
from ..paths import run_folder
from ..printable import one_line
from ..progress import remaining, span, ticking, watched
from ..wording import arm_name, count, listed
from . import notebooks


def measure(run: str, parameters: dict) -> None:
    """Measure what notebook 04 shows when it gets these parameters, telling how far it is."""
    given = notebooks.parameters("04_compare", {"run": run, **parameters})
    choices = {name: given[name] for name in ("replies", "shots", "also", "every", "fused")}
    planned = plan.plan(run_folder(run), given["config"], given["owner"], given["inference"], **choices)

    def tell(model: str, format: str, done: int, total: int, left: float | None) -> None:
        if not watched():  # in a terminal the progress bar says it
            print(one_line(f"  {remaining(done, total, left)} ({arm_name(model, format)})"), flush=True)

    writing = {name: given[name] for name in ("longest", "temperature", "seed")}
    models = listed([model["name"] for model in planned["models"]])
    replies = count(len(planned["heldout"]["rows"]), "held-out reply")
    print(one_line(f"Measuring {models} on {replies}."))
    print("What an earlier run measured is reused.", flush=True)
    with ticking(lambda seconds: f"measuring for {span(seconds)}") if not watched() else nullcontext():
        measured = plan.measure(planned, tell=tell, **writing)
    print(
        f"{count(len(measured['scores']), 'combination')} of model and prompt measured, {len(measured['left_out'])} left out.",
        flush=True,
    )
