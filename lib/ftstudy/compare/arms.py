"""Every model under every format, measured once and kept: a comparison that was stopped goes on.

A *model* is plain data: `name`; `model` and `adapter`, folders; `base`, the name of the model it was
tuned from, or None; `formats`, the names of those it is asked in, None for all; `writes`, those in
which it writes replies; `own`, the one that it was trained in; and of a tuned one `config`,
`seed` and `option` (the original report's A or B).
"""

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import mlx.core as mx
import numpy as np

from .. import chat_format, cost
from ..chat_format import contract
from ..errors import StudyError
from ..files import write_json
from ..models import base_models
from ..paths import from_root
from ..progress import bar
from . import faults, generation, likelihood

FORM = 1  # of what is kept; another number lets nothing older be taken


def models(trained: list[dict], formats: list[dict], app: str, wrapped: str, every: bool = False) -> list[dict]:
    """The models of runs in training.json, the main one's first, each base model before what was tuned from it.

    The main base and the main tuned model are asked in all formats, others when aligned and as the app asks,
    option A in the wrapped form as well. Tuned models of the first seed write replies when aligned and as the
    app asks, base models when aligned. `every`: all are asked in all formats, and write in all.
    """
    aligned = [name for name in dict.fromkeys(("aligned", app))]
    own = [one["name"] for one in formats]
    made, bases = {}, {}
    for at, entry in enumerate(trained):
        main, option = at == 0, entry.get("option")
        asked = None if main or every else list(dict.fromkeys([*aligned, *([wrapped] if option == "A" else [])]))
        first = entry.get("repeat", 0) == 0
        writes = own if every and first else [name for name in aligned if first]
        floor = own if every else aligned[:1]  # of a base model: what the others are held against
        base = bases.setdefault(entry["model"], _base_name(entry["model"], bases))
        shared = {"model": entry["model"], "formats": asked}
        if base not in made:
            made[base] = {"name": base, "adapter": None, "base": None, "own": "aligned", "writes": floor, **shared}
        name = "tuned" if main else entry.get("label") or entry["name"]
        made[name] = {
            "name": name,
            "adapter": entry["adapter"],
            "base": base,
            "config": entry["name"],
            "seed": entry.get("repeat", 0),
            "option": option,
            "own": "aligned" if main or option != "A" else wrapped,
            "writes": writes,
            **shared,
        }
    return list(made.values())


def _base_name(model: str, others: dict[str, str]) -> str:
    name = f"base {Path(model).name}" if others else "base"
    return f"base {model}" if name in others.values() else name


def measure(
    folder: Path,
    models: list[dict],
    formats: list[dict],
    heldout: dict,
    app: dict,
    owner: str,
    tell: Callable = lambda arm, done, total, seconds: None,
    **writing,
) -> dict:
    """All arms. Returns `scores` and `written`, each (model, format) -> results; `costs`, a step's
    name -> seconds, tokens a second and gigabytes; and `left_out`, [{"arm", "why"}].

    What was measured before with the same model, prompts and replies is read from `folder`. A model that
    cannot be loaded, or an arm that gives no numbers, is left out, and the others go on. `tell` is told
    of every arm that is done, how many are of how many, and what they cost when they were measured.
    `writing`: what `generation.generate` takes (longest, temperature, seed).
    """
    result = {"scores": {}, "written": {}, "costs": {}, "left_out": []}
    asked = {model["name"]: _asked(model, formats) for model in models}
    total, done = sum(map(len, asked.values())), 0
    with bar(total=total, desc="all arms", unit="arm") as shown:
        for model in models:
            try:
                loaded, identity = _loaded_once(model), _identity(model)
                tokenizer = base_models.load_tokenizer(model["model"])
                targets = [chat_format.reply_ids(example, tokenizer) for example in heldout["examples"]]
            except Exception as error:  # a chat template raises what it likes
                result["left_out"].append({"arm": model["name"], "why": _why(error)})
                continue
            for one in asked[model["name"]]:
                try:
                    prompts = [
                        faults.prompt_ids(example, tokenizer, one, app, ("test", row), owner)
                        for example, row in zip(heldout["examples"], heldout["rows"])
                    ]
                    _measure(folder, model, one["name"], loaded, [identity, prompts], targets, writing, result)
                except _NotLoaded as error:
                    result["left_out"].append({"arm": model["name"], "why": str(error)})
                    break
                except Exception as error:  # and so does a model of odd shape
                    result["left_out"].append({"arm": f"{model['name']}, {one['name']}", "why": _why(error)})
                shown.update()
                done += 1
                seconds = sum(spent["seconds"] for spent in result["costs"].values())
                tell(f"{model['name']}, {one['name']}", done, total, seconds)
    if not result["scores"]:
        why = result["left_out"][0]["why"] if result["left_out"] else "there is no model"
        raise StudyError(f"None of the arms could be measured: {why}")
    return result


def _asked(model: dict, formats: list[dict]) -> list[dict]:
    wanted = [one for one in formats if model["formats"] is None or one["name"] in model["formats"]]
    return [one for one in wanted if not (one.get("shots") and model["base"])]


def _why(error: Exception) -> str:
    told = " ".join(str(error).split())[:600]
    return told if isinstance(error, StudyError) else f"{type(error).__name__}: {told}"


class _NotLoaded(Exception):
    """The model itself is what fails, so none of its arms can be measured."""


def _loaded_once(model: dict) -> Callable:
    """Loads the model when it is first needed: for what was kept, none is."""

    @cache
    def loaded():
        try:
            return base_models.load(model["model"], model["adapter"] and from_root(model["adapter"]))
        except Exception as error:
            raise _NotLoaded(_why(error)) from error

    return loaded


def _identity(model: dict) -> str:
    """Of the model's and the adapter's weights, and of what is kept of them."""
    digest = hashlib.sha256(json.dumps([FORM, contract.model_identity(base_models.resolve(model["model"]))]).encode())
    for name in ("adapter_config.json", "adapters.safetensors") if model["adapter"] else ():
        path = from_root(model["adapter"]) / name
        digest.update(path.read_bytes() if path.is_file() else b"none, as `load` will say")
    return digest.hexdigest()


def _measure(folder, model, one, loaded, key, targets, writing, result) -> None:
    arm = (model["name"], one)
    label = ", ".join(arm)
    prompts = key[1]

    def scored() -> dict:
        found = likelihood.score(loaded()[0], prompts, targets, label)
        return {name: values if name == "read" else values.tolist() for name, values in found.items()}

    kept = _kept(folder, [*key, targets], scored)
    scores = {name: np.array(kept[name], float) for name in ("reply", "tokens", "end")}
    if not np.isfinite(scores["reply"]).all() or np.isinf(scores["end"]).any():
        raise StudyError(
            "The loss of its replies is not a number: its weights are broken, as after a diverged training."
        )
    result["scores"][arm] = scores
    result["costs"][f"scoring {label}"] = kept["cost"]
    if one in model["writes"]:
        written = lambda: {"replies": generation.generate(*loaded(), prompts, label=label, **writing)}  # noqa: E731
        kept = _kept(folder, [*key, writing], written)
        result["written"][arm] = kept["replies"]
        result["costs"][f"writing {label}"] = kept["cost"]


def _kept(folder: Path, key: list, measure: Callable) -> dict:
    """What `measure` gives, with its `cost`, from the folder where it lies there."""
    path = folder / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        pass  # not measured yet, or damaged
    mx.reset_peak_memory()
    started = cost.clock()
    found = measure()
    seconds = cost.clock() - started
    tokens = found["read"] if "read" in found else sum(reply["tokens"] for reply in found["replies"])
    found["cost"] = {
        "seconds": round(seconds, 2),
        "tokens_per_second": round(tokens / seconds, 1),
        "peak_memory_gigabytes": round(mx.get_peak_memory() / 1e9, 2),
    }
    write_json(path, found)
    return found


def by_model(results: dict, model: str) -> dict:
    """One model's results, format -> what."""
    return {name: found for (whose, name), found in results.items() if whose == model}
