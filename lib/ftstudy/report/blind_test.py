"""The blind test as a widget for JupyterLab."""

from pathlib import Path

from ..compare import preference
from . import render


def ask(run: Path, pairs: list[dict]):
    """The test as a widget: click into its field, then press 1 or 2 to choose, 0 for neither."""
    import ipywidgets

    shown, field, status = ipywidgets.HTML(), ipywidgets.Text(placeholder="press 1, 2 or 0 here"), ipywidgets.HTML()
    field.layout.width = "12em"
    left = preference.undecided(pairs, preference.choices(run))

    def show() -> None:
        done = len(pairs) - len(left)
        field.value = ""
        shown.value = render.fragment("pair", pair=left[0] if left else None)
        text = f"{done} of {len(pairs)} decided." if pairs else "There are no pairs of replies to choose from."
        if not left and (found := preference.result(pairs, preference.choices(run))) and found["win_rate"] is not None:
            text += (
                f" {found['left']} won {found['wins']} of {found['wins'] + found['losses']}, {found['ties']} undecided."
            )
        status.value = text

    def press(key: str) -> None:
        if left and key in preference.KEYS:
            preference.choose(run, left.pop(0), key)
        show()

    def button(key: str, label: str):
        made = ipywidgets.Button(description=label)
        made.on_click(lambda _: press(key))
        return made

    field.observe(lambda change: change["new"] and press(change["new"][-1]), names="value")
    show()
    buttons = [button("1", "1: the first"), button("2", "2: the second"), button("0", "0: neither")]
    return ipywidgets.VBox([shown, ipywidgets.HBox([field, *buttons]), status])
