"""A blind test by eye: which of two replies would the person have sent? `report.blind_test` asks.

Each choice is saved to the run's preferences.json at once, with both texts, so that it no longer counts
after the replies have changed.
"""

from math import sqrt
from pathlib import Path

import numpy as np

from .. import chat_format
from ..files import read_json, update_json

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
    update_json(
        run / FILE,
        lambda found: {"choices": [*(one for one in found["choices"] if not _same(one, pair)), made]},
        {"choices": []},
    )


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
