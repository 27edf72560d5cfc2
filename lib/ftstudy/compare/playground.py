"""What if the app asked otherwise? Any system text and any form of the user's turn: the prompt it makes, and its cost.

ready = prepare(inputs, rows, places, folder)
found = ask(ready, system="You are Sam.", user="{context}")
"""

from pathlib import Path

import numpy as np

from .. import chat_format, training
from ..audit import parity
from ..audit.run_inputs import RunInputs
from ..extract import conversations, variant_folder
from ..models import base_models
from . import intervals, likelihood

REPLIES = 24  # few, so that the answer comes at once
NAME = "tried here"


def prepare(inputs: RunInputs, rows: list[dict], places: list[tuple[str, int]], run: Path) -> dict:
    """The model, and some of the held-out `rows` scored as in training.

    It is the model that the run trained, if it has trained one already, and else the base model. `rows` and `places`:
    from `inputs.replies`. Raises StudyError if the model can't be loaded.
    """
    chosen = variant_folder.spread(range(len(rows)), REPLIES)
    rows, places = ([some[at] for at in chosen] for some in (rows, places))
    adapter = _trained(inputs, run)
    model, tokenizer = base_models.load(inputs.config["model"], adapter, to_ask=True)
    split = places[0][0]
    names, _ = conversations.of_split(inputs.folder, split, variant_folder.load_examples(inputs.folder, split))
    ready = {
        "rows": rows,
        "places": places,
        "conversations": [names[at] for _, at in places],
        "name": "tuned" if adapter else "base",
        "model": model,
        "tokenizer": tokenizer,
        "targets": chat_format.reply_ids(rows, tokenizer),
    }
    return ready | {"aligned": _scores(ready, None)}


def _trained(inputs: RunInputs, run: Path) -> Path | None:
    """The adapter that this run made from this config and model, if it is there."""
    name = Path(inputs.config["config"]).stem
    entry = training.find_result(run, name) if (run / "training.json").is_file() else None
    if not entry or entry["model"] != inputs.config["model"]:
        return None
    folder = Path(entry["adapter"])
    return folder if folder.is_dir() else None


def ask(ready: dict, system: str, user: str) -> dict:
    """The prompts with this system text (empty: none is sent) and this form of the user's turn (empty: training's).

    Returns `parity`, as `audit.parity.key_differences`; `compared`, the first prompt next to training's; `model`, the
    model's name; and `difference`, as `intervals.difference`: the prompt's cost in nats against training's. Texts may have the
    placeholders of an inference profile; StudyError: one has another.
    """
    given = {"kind": "messages", "name": NAME, "system": system or False} | ({"user": user} if user else {})
    profile = chat_format.load_profile(given)
    rows, tokenizer, places = ready["rows"], ready["tokenizer"], ready["places"]
    return {
        "parity": parity.key_differences(rows, tokenizer, profile, places),
        "compared": parity.compare(rows[0], tokenizer, profile, places[0]),
        "model": ready["name"],
        "difference": intervals.difference(_scores(ready, profile), ready["aligned"], ready["conversations"]),
    }


def texts(profile: dict | None, rows: list[dict]) -> dict[str, str]:
    """What to begin with: the app's `system` and `user`, or else training's system text and form."""
    trained = next((turn["content"] for turn in rows[0]["messages"] if turn["role"] == "system"), "")
    system = (profile or {}).get("system", trained)
    return {"system": system or "", "user": (profile or {}).get("user") or ""}


def _scores(ready: dict, profile: dict | None) -> dict[str, np.ndarray]:
    asked = zip(ready["rows"], ready["places"])
    prompts = [chat_format.prompt_ids(row, ready["tokenizer"], profile, place) for row, place in asked]
    return likelihood.score(ready["model"], prompts, ready["targets"])
