"""Every model under every format, measured once and stored, so that an interrupted comparison can continue.

A *model* is plain data: `name`; `model` and `adapter`, folders; `base`, the name of its base model, or
None; `formats`, the names of the formats it is measured in, None for all; `writes`, those in which it
writes replies; `own`, the one it was trained in. A tuned model also has `config`, `seed` and `option`
(the original report's A or B).
"""

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import mlx.core as mx
import numpy as np

from .. import chat_format, resource_use
from ..chat_format import contract
from ..errors import StudyError
from ..files import write_json
from ..files.reading import read_json
from ..models import adapters, base_models
from ..paths import absolute
from ..printable import cut
from ..progress import bar, seconds_left
from ..wording import arm_name
from . import generation, likelihood, prompt_formats

FORM = 1  # of the stored files; raise it to ignore older ones


def models(
    trained: list[dict], formats: list[dict], app: str, wrapped: str, every: bool = False, fused: str = ""
) -> list[dict]:
    """The models of the runs in training.json, the main one first, each base model before those tuned from it.

    The main tuned model and its base are measured in all formats; the others as in training and with the app's
    prompt, option A also in the wrapped form. Tuned models of the first seed write replies as in training and
    with the app's prompt, base models as in training. `every`: measure and write in all formats. `fused`: the folder
    of the main tuned model after fusing; it is measured as in training and with the app's prompt.
    """
    aligned = list(dict.fromkeys(("aligned", app)))
    own = [one["name"] for one in formats]
    made, bases = {}, {}
    for at, entry in enumerate(trained):
        main, option = at == 0, entry.get("option")
        asked = None if main or every else list(dict.fromkeys([*aligned, *([wrapped] if option == "A" else [])]))
        first = entry.get("repeat", 0) == 0
        writes = own if every and first else [name for name in aligned if first]
        base_writes = own if every else aligned[:1]
        base = bases.setdefault(entry["model"], _base_name(entry["model"], bases))
        shared = {"model": entry["model"], "formats": asked}
        if base not in made:
            made[base] = {
                "name": base,
                "adapter": None,
                "base": None,
                "own": "aligned",
                "writes": base_writes,
                **shared,
            }
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
    if fused:
        asked = {"formats": aligned, "writes": aligned, "option": None}
        made["fused"] = made["tuned"] | {"name": "fused", "model": fused, "adapter": None} | asked
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
    tell: Callable = lambda model, format, done, total, left: None,
    **writing,
) -> dict:
    """All arms. Returns `scores` and `written`, each (model, format) -> results; `costs`, a step's
    name -> seconds, tokens per second and gigabytes; `left_out`, [{"arm", "why"}]; and `longest`, the most tokens of
    a written reply.

    Results with the same model, prompts and replies are read from `folder` instead of measured again. A model
    that cannot be loaded, or an arm without finite numbers, is left out and the rest continues. After each arm,
    `tell` is called with its model and format, the number done, the total, and the seconds that the others will take
    (None if that can't be told).
    `writing`: options of `generation.generate` (longest, temperature, seed). Raises StudyError if no arm
    could be measured.
    """
    result = {"scores": {}, "written": {}, "costs": {}, "left_out": []}
    result["longest"] = writing.get("longest", generation.LONGEST)
    planned = [(model, _asked(model, formats)) for model in models]
    total = sum(len(asked) for _, asked in planned)
    with bar(total=total, desc="all arms", unit="arm") as shown:
        for at, (model, asked) in enumerate(planned):
            try:
                loaded, identity = _loaded_once(model), _identity(model)
                tokenizer = base_models.load_tokenizer(model["model"])
                targets = chat_format.reply_ids(heldout["examples"], tokenizer)
            except Exception as error:  # a chat template can raise anything
                result["left_out"].append({"arm": model["name"], "why": reason(error)})
                continue
            for number, one in enumerate(asked, 1):
                try:
                    prompts = prompt_formats.prompts(heldout, tokenizer, one, app, owner)
                    _measure(folder, model, one["name"], loaded, [identity, prompts], targets, writing, result)
                except _NotLoaded as error:
                    result["left_out"].append({"arm": model["name"], "why": str(error)})
                    break
                except Exception as error:  # and so can a model with unexpected shapes
                    result["left_out"].append({"arm": f"{model['name']}, {one['name']}", "why": reason(error)})
                shown.update()
                to_come = [(model, other) for other in asked[number:]]
                to_come += [(later, other) for later, wanted in planned[at + 1 :] for other in wanted]
                tell(model["name"], one["name"], total - len(to_come), total, _left(result["costs"], to_come))
    if not result["scores"]:
        why = result["left_out"][0]["why"] if result["left_out"] else "there are no models"
        raise StudyError(f"None of the arms could be measured: {why}")
    return result


def _left(costs: dict, to_come: list[tuple[dict, dict]]) -> float | None:
    """The seconds that the arms to come, (model, format), will take, from what the others took. `costs`: as `measure`
    returns them."""
    spent = {
        kind: [one["seconds"] for name, one in costs.items() if name.startswith(kind)]
        for kind in ("scoring", "writing")
    }
    writing = sum(one["name"] in model["writes"] for model, one in to_come)
    return seconds_left(spent, {"scoring": len(to_come), "writing": writing})


def _asked(model: dict, formats: list[dict]) -> list[dict]:
    wanted = [one for one in formats if model["formats"] is None or one["name"] in model["formats"]]
    return [one for one in wanted if not (one.get("shots") and model["base"])]


def reason(error: Exception) -> str:
    text = cut(" ".join(str(error).split()), 600)
    return text if isinstance(error, StudyError) else f"{type(error).__name__}: {text}"


class _NotLoaded(Exception):
    """The model cannot be loaded, so none of its arms can be measured."""


def _loaded_once(model: dict) -> Callable:
    """Load the model on first use: stored arms don't need it."""

    @cache
    def loaded():
        try:
            return base_models.load(model["model"], model["adapter"] and absolute(model["adapter"]), to_ask=True)
        except Exception as error:
            raise _NotLoaded(reason(error)) from error

    return loaded


def _identity(model: dict) -> str:
    """A digest of the model's and the adapter's weights and of the stored form."""
    digest = hashlib.sha256(json.dumps([FORM, contract.model_identity(base_models.resolve(model["model"]))]).encode())
    adapter = model["adapter"] and absolute(model["adapter"])
    for path in (adapter / adapters.CONFIG, adapters.weights_file(adapter)) if adapter else ():
        digest.update(path.read_bytes() if path.is_file() else b"missing: loading will report it")
    return digest.hexdigest()


def _measure(folder, model, one, loaded, key, targets, writing, result) -> None:
    arm = (model["name"], one)
    name, label = ", ".join(arm), arm_name(*arm)
    prompts = key[1]

    kept = stored(folder, [*key, targets], lambda: _plain(likelihood.score(loaded()[0], prompts, targets, label)))
    scores = {name: np.array(kept[name], float) for name in ("reply", "tokens", "end")}
    if not np.isfinite(scores["reply"]).all() or np.isinf(scores["end"]).any():
        raise StudyError("Its loss is not a number: the weights are broken, as after training that diverged.")
    result["scores"][arm] = scores
    result["costs"][f"scoring {name}"] = kept["cost"]
    if one in model["writes"]:
        written = lambda: {"replies": generation.generate(*loaded(), prompts, label=label, **writing)}  # noqa: E731
        kept = stored(folder, [*key, writing], written)
        result["written"][arm] = kept["replies"]
        result["costs"][f"writing {name}"] = kept["cost"]


def _plain(found: dict) -> dict:
    """The result of `likelihood.score` as JSON can hold it."""
    return {name: values if name == "read" else values.tolist() for name, values in found.items()}


def scored(folder: Path, model: dict, prompts: list, targets: list, label: str, shared=None) -> dict:
    """Targets scored by one model as in `likelihood.score`, but as lists, and with its `cost`; stored as arms are.
    `shared`: as for `likelihood.score`."""
    loaded = _loaded_once(model)
    return stored(
        folder,
        [_identity(model), prompts, targets],
        lambda: _plain(likelihood.score(loaded()[0], prompts, targets, label, shared)),
    )


def foreseen(folder: Path, model: dict, prompts: list, replies: list, label: str) -> dict:
    """As `scored`, for `likelihood.foreseen`."""
    loaded = _loaded_once(model)
    return stored(
        folder,
        [_identity(model), prompts, replies, "foreseen"],
        lambda: _plain(likelihood.foreseen(loaded()[0], prompts, replies, label)),
    )


def stored(folder: Path, key: list, measure: Callable) -> dict:
    """The result of `measure` with its `cost`, from the folder if it is stored there."""
    path = folder / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]}.json"
    try:
        return read_json(path)
    except (OSError, ValueError):
        pass  # not measured yet, or the file is damaged
    mx.reset_peak_memory()
    started = resource_use.clock()
    found = measure()
    seconds = resource_use.clock() - started
    tokens = found["read"] if "read" in found else sum(reply["tokens"] for reply in found["replies"])
    found["cost"] = {
        "seconds": round(seconds, 2),
        "tokens_per_second": round(tokens / seconds, 1),
        "peak_memory_gigabytes": round(mx.get_peak_memory() / 1e9, 2),
    }
    write_json(path, found)
    return found


def by_model(results: dict, model: str) -> dict:
    """One model's results, by format."""
    return {name: found for (whose, name), found in results.items() if whose == model}
