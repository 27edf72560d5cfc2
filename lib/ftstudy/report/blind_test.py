"""The blind test as a widget for JupyterLab, and as a part of the page."""

import base64
import json
from pathlib import Path

from ..compare import preference
from ..printable import printable
from . import render


def ask(run: Path, pairs: list[dict]):
    """The test as a widget: click into its field, then press 1 or 2 to choose, 0 for neither, u to undo."""
    import ipywidgets

    shown, field, status = ipywidgets.HTML(), ipywidgets.Text(placeholder="press 1, 2, 0 or u here"), ipywidgets.HTML()
    field.layout.width = "13em"
    left = preference.undecided(pairs, preference.choices(run))
    result = ipywidgets.Checkbox(False, description="Show the result so far", indent=False)

    def show() -> None:
        done = len(pairs) - len(left)
        field.value = ""
        shown.value = render.fragment("pair", pair=left[0] if left else None)
        text = f"{done} of {len(pairs)} decided." if pairs else "There are no pairs of replies to choose from."
        if pairs and (result.value or not left):
            text += f" {preference.in_words(preference.result(pairs, preference.choices(run)))}"
        status.value = text

    def press(key: str) -> None:
        if left and key in preference.KEYS:
            preference.choose(run, left.pop(0), key)
        elif key == "u" and (pair := preference.undo(run, pairs)):
            left.insert(0, pair)
        show()

    def button(key: str, label: str):
        made = ipywidgets.Button(description=label)
        made.on_click(lambda _: press(key))
        return made

    field.observe(lambda change: change["new"] and press(change["new"][-1].lower()), names="value")
    result.observe(lambda _: show(), names="value")
    show()
    labels = {"1": "1: the first", "2": "2: the second", "0": "0: neither", "u": "u: undo"}
    buttons = [button(key, label) for key, label in labels.items()]
    return ipywidgets.VBox([shown, ipywidgets.HBox([field, *buttons]), status, result])


def in_page(run: Path, pairs: list[dict], command: str) -> dict | None:
    """What blind_test.html.j2 shows: `run`, `pairs` (their number), `key` (tells them from other replies), `command`,
    and `data`, which blind_test.js reads; None without pairs.

    `command`: how to take the test in the terminal. `data` is base64, so that nobody reads in the page's source which
    reply is whose.
    """
    if not pairs:
        return None
    made = {
        "pairs": [
            {
                "context": printable(pair["context"]),
                "texts": [printable(text) for text in pair["texts"]],
                "tuned": next(at for at, arm in enumerate(pair["arms"]) if arm.startswith("tuned")),
            }
            for pair in pairs
        ],
        "chosen": preference.keys(pairs, preference.choices(run)),
        "kind": preference.KIND,
        "run": run.name,
        "key": preference.digest(pairs),
    }
    data = base64.b64encode(json.dumps(made).encode()).decode("ascii")
    return {"run": run.name, "pairs": len(pairs), "key": made["key"], "command": command, "data": data}
