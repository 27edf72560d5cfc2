"""A blind test by eye, in JupyterLab: which of two replies would the person have sent?

Each choice is saved to the run's preferences.json at once, with both texts, so that it no longer counts
after the replies have changed.
"""

from math import sqrt
from pathlib import Path

import numpy as np

from .. import chat_format
from ..files import read_json, write_json

FILE = "preferences.json"
KEYS = {"1": 0, "2": 1, "0": None}
Z = 1.959964  # of a 95% interval


def pairs(written: dict, left: tuple, right: tuple, heldout: dict, seed: int = 0) -> list[dict]:
    """Two arms' replies to the same prompts, in an order drawn with `seed`; identical replies are skipped.

    Each pair is {"row", "context", "arms", "texts"}, the last two in the order shown.
    """
    if left not in written or right not in written:
        return []
    generator, found = np.random.default_rng(seed), []
    for at, (row, example) in enumerate(zip(heldout["rows"], heldout["examples"])):
        arms = [left, right] if generator.random() < 0.5 else [right, left]
        texts = [written[arm][at]["text"] for arm in arms]
        if texts[0] != texts[1]:
            context = chat_format.context_of(example)
            found.append({"row": row, "context": context, "arms": [", ".join(arm) for arm in arms], "texts": texts})
    return found


def choose(run: Path, pair: dict, key: str) -> None:
    """Save a choice: "1" the first reply, "2" the second, "0" neither. It replaces an earlier one of the same pair."""
    choice = KEYS[key]
    made = {"row": pair["row"], "arms": pair["arms"], "texts": pair["texts"], "choice": choice}
    others = [one for one in choices(run) if not _same(one, pair)]
    write_json(run / FILE, {"choices": [*others, made]})


def choices(run: Path) -> list[dict]:
    path = run / FILE
    return read_json(path)["choices"] if path.is_file() else []


def undecided(pairs: list[dict], chosen: list[dict]) -> list[dict]:
    return [pair for pair in pairs if not any(_same(one, pair) for one in chosen)]


def _same(one: dict, pair: dict) -> bool:
    return one["row"] == pair["row"] and dict(zip(one["arms"], one["texts"])) == dict(zip(pair["arms"], pair["texts"]))


def result(pairs: list[dict], chosen: list[dict]) -> dict | None:
    """`left` (the last arm by name) against `right`: wins, losses, ties, and the win rate among decided pairs with its
    Wilson score interval (Wilson 1927). None if no choice counts."""
    valid = [one for one in chosen if any(_same(one, pair) for pair in pairs)]
    if not valid:
        return None
    left, right = sorted(valid[0]["arms"], reverse=True)  # tuned before base
    picked = [one["arms"][one["choice"]] for one in valid if one["choice"] is not None]
    wins, decided = picked.count(left), len(picked)
    interval = _wilson(wins, decided) if decided else None
    verdict = "not distinguishable" if not interval or interval[0] <= 0.5 <= interval[1] else "better"
    return {
        "left": left,
        "right": right,
        "wins": wins,
        "losses": decided - wins,
        "ties": len(valid) - decided,
        "win_rate": wins / decided if decided else None,
        "interval": interval,
        "verdict": "worse" if verdict == "better" and wins < decided - wins else verdict,
    }


def _wilson(wins: int, count: int) -> list[float]:
    middle = (wins + Z * Z / 2) / (count + Z * Z)
    half = Z / (count + Z * Z) * sqrt(wins * (count - wins) / count + Z * Z / 4)
    return [max(middle - half, 0.0), min(middle + half, 1.0)]


def ask(run: Path, pairs: list[dict]):
    """The test as a widget: click into its field, then press 1 or 2 to choose, 0 for neither."""
    import ipywidgets

    from ..report import render

    shown, field, status = ipywidgets.HTML(), ipywidgets.Text(placeholder="press 1, 2 or 0 here"), ipywidgets.HTML()
    field.layout.width = "12em"
    left = undecided(pairs, choices(run))

    def show() -> None:
        done = len(pairs) - len(left)
        field.value = ""
        shown.value = render.fragment("pair", pair=left[0] if left else None)
        text = f"{done} of {len(pairs)} decided." if pairs else "There are no pairs of replies to choose from."
        if not left and (found := result(pairs, choices(run))) and found["win_rate"] is not None:
            text += (
                f" {found['left']} won {found['wins']} of {found['wins'] + found['losses']}, {found['ties']} undecided."
            )
        status.value = text

    def press(key: str) -> None:
        if left and key in KEYS:
            choose(run, left.pop(0), key)
        show()

    def button(key: str, label: str):
        made = ipywidgets.Button(description=label)
        made.on_click(lambda _: press(key))
        return made

    field.observe(lambda change: change["new"] and press(change["new"][-1]), names="value")
    show()
    buttons = [button("1", "1: the first"), button("2", "2: the second"), button("0", "0: neither")]
    return ipywidgets.VBox([shown, ipywidgets.HBox([field, *buttons]), status])
