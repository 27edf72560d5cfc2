"""A blind test by eye: which of two replies would the person have sent? `ftstudy blind`, the page and `report.blind_test`
ask.

Each choice is saved to the run's preferences.json at once, with both texts, so that it no longer counts
after the replies have changed.
"""

import hashlib
import json
from math import sqrt
from pathlib import Path

import numpy as np

from .. import chat_format
from ..errors import StudyError
from ..files import read_json, reading, update_json
from ..paths import shown
from ..wording import count, number

FILE = "preferences.json"
KEYS = {"1": 0, "2": 1, "0": None}
KIND = "choices of a blind test"  # what the page's file calls itself
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


def pairs_of(run: Path) -> list[dict]:
    """The pairs of a run that was compared. StudyError: it was not, or both models wrote the same replies."""
    path = run / "comparison.json"
    if not path.is_file():
        raise StudyError(
            f"{shown(run)} has no comparison yet, so there are no replies to choose from. Run `make report RUN={run.name}` "
            "or `ftstudy diagnose` first, or correct the run's name."
        )
    found = read_json(path).get("preference_pairs", [])
    if not found:
        raise StudyError(
            f"{shown(path)} has no two different replies to one prompt, so there is nothing to choose between: one of the "
            "models was not measured, or both wrote the same."
        )
    return found


def choose(run: Path, pair: dict, key: str) -> None:
    """Save a choice: "1" the first reply, "2" the second, "0" neither. It replaces an earlier one of the same pair."""
    _change(run, lambda found: [*_without(found, [pair]), _choice(pair, key)])


def undo(run: Path, pairs: list[dict]) -> dict | None:
    """Forget the latest choice among these pairs; returns its pair, or None if nothing was chosen."""
    chosen = [one for one in choices(run) if any(_same(one, pair) for pair in pairs)]
    last = next((pair for pair in pairs if chosen and _same(chosen[-1], pair)), None)
    if last:
        _change(run, lambda found: _without(found, [last]))
    return last


def digest(pairs: list[dict]) -> str:
    """What tells these pairs, in the order shown, from those of other replies."""
    told = json.dumps([[pair["row"], pair["arms"], pair["texts"]] for pair in pairs])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def take(run: Path, pairs: list[dict], text: str, name: str) -> int:
    """Save the choices that the page wrote into a file, `text`, which `name` names. Returns how many.

    Raises StudyError if it isn't such a file, or if it is about other replies; then nothing is saved.
    """
    try:
        found = reading.parse_json(text)
    except ValueError as error:
        found = {"damaged": error}
    is_ours = isinstance(found, dict) and found.get("kind") == KIND
    keys = found.get("choices") if is_ours else None
    if not isinstance(keys, list) or not all(key is None or isinstance(key, str) and key in KEYS for key in keys):
        raise StudyError(
            f"{name} has no blind-test choices. Use the file that this run's page saves with “Save my choices”."
        )
    if found.get("pairs") != digest(pairs) or len(keys) != len(pairs):
        raise StudyError(
            f"{name} is not about the replies that {shown(run)} has now: another run's, or older ones. "
            "Its choices would not count. Take the blind test on the run's current page."
        )
    made = [(pair, key) for pair, key in zip(pairs, keys) if key is not None]
    decided = [pair for pair, _ in made]
    _change(run, lambda found: [*_without(found, decided), *(_choice(pair, key) for pair, key in made)])
    return len(made)


def _choice(pair: dict, key: str) -> dict:
    return {"row": pair["row"], "arms": pair["arms"], "texts": pair["texts"], "choice": KEYS[key]}


def _change(run: Path, change) -> None:
    update_json(run / FILE, lambda found: {"choices": change(found["choices"])}, {"choices": []})


def _without(chosen: list[dict], pairs: list[dict]) -> list[dict]:
    return [one for one in chosen if not any(_same(one, pair) for pair in pairs)]


def choices(run: Path) -> list[dict]:
    path = run / FILE
    return read_json(path)["choices"] if path.is_file() else []


def undecided(pairs: list[dict], chosen: list[dict]) -> list[dict]:
    return [pair for pair in pairs if not any(_same(one, pair) for one in chosen)]


def keys(pairs: list[dict], chosen: list[dict]) -> list[str | None]:
    """What was pressed for each pair; None where nothing was."""
    names = {choice: key for key, choice in KEYS.items()}
    found = []
    for pair in pairs:
        made = next((one for one in chosen if _same(one, pair)), None)
        picked = None if made is None or made["choice"] is None else made["arms"][made["choice"]]
        found.append(None if made is None else "0" if picked is None else names[pair["arms"].index(picked)])
    return found


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


def in_words(found: dict | None) -> str:
    """The result of `result` in a sentence."""
    if found is None:
        return "No choices yet."
    name = found["left"].partition(",")[0]
    decided = found["wins"] + found["losses"]
    said = f"The {name} model won {found['wins']} of {count(decided, 'decided pair')}, {found['ties']} for neither"
    if not decided:
        return f"{said}."
    low, high = (number(100 * bound, 0) for bound in found["interval"])
    share = number(100 * found["win_rate"], 0)
    return f"{said}: {share}%, 95% interval {low}% to {high}%, {found['verdict']}."


def _wilson(wins: int, count: int) -> list[float]:
    middle = (wins + Z * Z / 2) / (count + Z * Z)
    half = Z / (count + Z * Z) * sqrt(wins * (count - wins) / count + Z * Z / 4)
    return [max(middle - half, 0.0), min(middle + half, 1.0)]
