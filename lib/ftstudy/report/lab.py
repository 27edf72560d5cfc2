"""What makes a notebook pleasant in JupyterLab: its colours, its errors, and results that change with what is picked.

In a headless run nobody picks, and nothing is animated: what is stored then is the same each time.
"""

import traceback
from collections.abc import Callable, Iterable

from ..errors import StudyError
from ..progress import quiet, watched
from . import render


def prepare() -> None:
    """Give this notebook the study's colours, and show an error that the user can fix as one framed paragraph."""
    from IPython import get_ipython
    from IPython.display import display

    display(render.show("notebook"))
    if watched():  # unattended, whoever runs the notebook must see that a cell failed
        get_ipython().set_custom_exc((StudyError,), _framed)


def _framed(shell, kind, error, trace, tb_offset=None) -> None:
    from IPython.display import display

    display(framed(error))


def framed(error: StudyError):
    """The error's paragraph in a frame, its traceback a click away."""
    lines = traceback.format_tb(error.__traceback__)
    return render.show("error", paragraph=str(error), lines=lines)


def pick(look: Callable[..., Iterable], **choices: list) -> None:
    """Show what `look(**picked)` returns, outputs and texts, and again whenever something else is picked.

    `choices`: name -> what can be picked. In a headless run it is shown for the first of each.
    """
    first = {name: values[0] for name, values in choices.items()}
    _offer(look, first, lambda widgets, name, label: widgets.Dropdown(options=choices[name], description=label))


def write(look: Callable[..., Iterable], **texts: str) -> None:
    """Like `pick`, with a field for each text, read when it loses focus."""
    wide = {"width": "100%", "max_width": "60em", "height": "7em"}
    options = {"continuous_update": False, "layout": wide}
    _offer(look, texts, lambda widgets, name, label: widgets.Textarea(texts[name], description=label, **options))


def _offer(look: Callable, first: dict, field: Callable) -> None:
    """Show the result for the first values; to a person, below a `field` for each, and again when one changes."""
    if not watched():
        _show(look, **first)
        return
    import ipywidgets
    from IPython.display import display

    fields = {name: field(ipywidgets, name, name.replace("_", " ")) for name in first}
    found = ipywidgets.interactive_output(lambda **picked: _show(look, **picked), fields)
    display(ipywidgets.VBox(list(fields.values())), found)


def _show(look: Callable, **picked) -> None:
    from IPython.display import display

    try:
        with quiet():
            shown = list(look(**picked))
    except StudyError as error:
        if not watched():
            raise
        shown = [framed(error)]
    for one in shown:
        print(one) if isinstance(one, str) else display(one)
