"""What a person sees of a run: a live curve in JupyterLab, a bar in a terminal, plain lines in a log."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .. import charts, cost, render
from ..progress import bar, watched


@contextmanager
def watching(iterations: int) -> Iterator[Callable[[dict], None]]:
    """Give a function to be told every row of the curve.

    Headless notebooks show nothing: their outputs are compared between runs, and hold the curve later.
    """
    if watched() and "ipykernel" in sys.modules:
        yield _live_curve()
    elif watched():
        with bar(total=iterations, desc="training", unit="iteration") as shown:
            yield lambda row: _move(shown, row)
    elif os.environ.get("FTSTUDY_HEADLESS"):
        yield lambda row: None
    else:
        yield _lines()


def told(row: dict) -> str:
    """A row of the curve in words."""
    losses = {"train_loss": "training loss", "validation_loss": "validation loss"}
    return f"iteration {row['iteration']:>5}  " + "  ".join(
        f"{label} {row[key]:.3f}" for key, label in losses.items() if key in row
    )


def _live_curve() -> Callable[[dict], None]:
    from IPython.display import display

    curve, handle = [], display("The first evaluation is under way.", display_id=True)

    drawn = 0.0

    def tell(row: dict) -> None:
        nonlocal drawn
        curve.append(row)
        if cost.clock() - drawn < 1 and "validation_loss" not in row:  # drawing should not slow a quick run down
            return
        drawn = cost.clock()
        handle.update(render.show_picture(charts.loss_curve(curve), "The loss so far"))

    return tell


def _move(shown, row: dict) -> None:
    shown.update(row["iteration"] - shown.n)
    shown.set_postfix_str(told(row).split("  ", 1)[1].strip())


def _lines() -> Callable[[dict], None]:
    started = cost.clock()

    def tell(row: dict) -> None:
        print(f"{told(row)}  ({cost.clock() - started:.0f} s)", flush=True)

    return tell
