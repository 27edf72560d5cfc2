"""Does the tuned model still know what its base knows? A rough check that needs no network.

Training on one person's chats can cost a model what it could do before: it forgets. So base and tuned model are asked
the same short questions in English (`questions`), with the model's own chat template and no system text, and four
answers are scored: the likeliest, by its mean nats per token, is the model's. Nothing is written, so even a tiny model
shows where it stands; guessing is right in a quarter.
"""

from pathlib import Path

import numpy as np

from .. import chat_format
from ..models import base_models
from . import arms, intervals
from .questions import questions


def measure(folder: Path, models: list[dict]) -> dict:
    """The answers of the base, the tuned and the fused model: `scores`, a model's name -> {"nats", "tokens"}, arrays of
    shape (questions, 4), the right answer first; and `costs` and `left_out`, as from `arms.measure`.

    Stored in `folder`, as arms are.
    """
    result = {"scores": {}, "costs": {}, "left_out": []}
    asked = [
        {"messages": [{"role": "user", "content": one["question"]}, {"role": "assistant", "content": answer}]}
        for one in questions()
        for answer in one["answers"]
    ]
    for model in models:
        if model["name"] not in ("base", "tuned", "fused"):
            continue
        name = f"questions, {model['name']}"
        try:
            tokenizer = base_models.load_tokenizer(model["model"])
            prompts = [chat_format.prompt_ids(one, tokenizer) for one in asked]
            targets = chat_format.reply_ids(asked, tokenizer)
            kept = arms.scored(folder, model, prompts, targets, name)
        except Exception as error:  # a chat template can raise anything
            result["left_out"].append({"arm": name, "why": arms.reason(error)})
            continue
        result["costs"][name] = kept["cost"]
        result["scores"][model["name"]] = {
            "nats": np.array(kept["reply"], float).reshape(-1, 4),
            "tokens": np.array(kept["tokens"], float).reshape(-1, 4),
        }
    return result


def summary(scores: dict) -> dict | None:
    """`ability` of comparison.json: each model's share of right answers; and, paired over questions, what the tuned
    models lost or gained: `right`, in shares, and `nats`, per token of the right answers, with intervals.

    `scores`: from `measure`. None without a base and a model tuned from it.
    """
    if "base" not in scores or len(scores) < 2:
        return None
    hits = {name: right(one) for name, one in scores.items()}
    return {
        "questions": len(hits["base"]),
        "models": [{"model": name, "right": float(found.mean())} for name, found in hits.items()],
        "differences": [_difference(name, scores, hits) for name in scores if name != "base"],
    }


def _difference(name: str, scores: dict, hits: dict) -> dict:
    each, ones = [str(at) for at in range(len(hits[name]))], np.ones(len(hits[name]))
    value, interval = intervals.mean(hits[name] - hits["base"], ones, each)
    tuned, base = scores[name], scores["base"]
    nats, nats_interval = intervals.mean(tuned["nats"][:, 0] - base["nats"][:, 0], base["tokens"][:, 0], each)
    return {
        "model": name,
        "base": "base",
        "right": value,
        "interval": interval,
        "verdict": intervals.verdict(interval and [-interval[1], -interval[0]]),  # more right answers are better
        "nats": nats,
        "nats_interval": nats_interval,
    }


def right(scores: dict) -> np.ndarray:
    """1 for each question whose right answer is likelier, per token, than the three others; else 0."""
    mean = scores["nats"] / scores["tokens"]
    return (mean[:, :1] < mean[:, 1:]).all(axis=1).astype(float)
