"""`ftstudy compare`: measure the arms of a comparison; notebook 04 then shows them."""

from ..paths import run_folder
from .arguments import add_parameters, add_run, only_one


def add(parsers):
    parser = parsers.add_parser("compare", help="measure a comparison for notebook 04, or resume a stopped one")
    add_run(parser)
    add_parameters(parser)
    return parser


def run(options) -> None:
    """Takes the parameters of notebook 04, which then finds its measurements already made."""
    from .. import notebooks
    from ..compare import plan
    from ..progress import remaining, watched

    given = notebooks.parameters("04_compare", {"run": options.run, **dict(options.parameter)})
    choices = {name: given[name] for name in ("replies", "shots", "also", "every", "fused")}
    run = run_folder(options.run)
    planned = plan.plan(run, given["config"], given["owner"], given["inference"], **choices)

    def tell(arm: str, done: int, total: int, seconds: float) -> None:
        if not watched():  # in a terminal the progress bar says it
            print(f"  {arm}: {remaining(done, total, seconds)}", flush=True)

    writing = {name: given[name] for name in ("longest", "temperature", "seed")}
    print(f"comparing {len(planned['models'])} models; earlier measurements are kept", flush=True)
    with only_one(run):
        measured = plan.measure(planned, tell=tell, **writing)
    print(f"{len(measured['scores'])} arms measured, {len(measured['left_out'])} left out")
