"""What a person sees of a run: a live curve in JupyterLab, a bar in a terminal, plain lines in a log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .. import resource_use
from ..progress import bar, in_notebook, watched


@contextmanager
def watching(iterations: int) -> Iterator[Callable[[dict], None]]:
    """A function that shows each row of the curve; for `training.train`.

    An unattended notebook shows nothing: its outputs are compared between runs, and include the curve later.
    """
    if in_notebook() and not watched():
        yield lambda row: None
    elif in_notebook():
        yield _live_curve()
    elif watched():
        with bar(total=iterations, desc="training", unit="iteration") as shown:
            seen: dict = {}
            yield lambda row: _move(shown, row, seen)
    else:
        yield _lines()


def _losses(row: dict) -> str:
    labels = {"train_loss": "training loss", "validation_loss": "validation loss"}
    return ", ".join(f"{label} {row[key]:.3f}" for key, label in labels.items() if key in row)


def _live_curve() -> Callable[[dict], None]:
    from IPython.display import display

    from . import charts, render

    curve, handle = [], display("The first evaluation is running.", display_id=True)

    drawn = 0.0

    def show(row: dict) -> None:
        nonlocal drawn
        curve.append(row)
        if resource_use.clock() - drawn < 1 and "validation_loss" not in row:  # drawing must not slow down a quick run
            return
        drawn = resource_use.clock()
        handle.update(render.show_picture(charts.loss_curve(curve), "The loss so far"))

    return show


def _move(shown, row: dict, seen: dict) -> None:
    seen |= row  # the latest of both losses
    shown.update(row["iteration"] - shown.n)
    shown.set_postfix_str(_losses(seen))


def _lines() -> Callable[[dict], None]:
    started = resource_use.clock()

    def show(row: dict) -> None:
        print(f"iteration {row['iteration']:>5}  {_losses(row)}  ({resource_use.clock() - started:.0f} s)", flush=True)

    return show
