"""Does the tuned model repeat private messages? The beginnings of training's replies, completed word for word.

A model that was trained too long on too little gives away the messages it was trained on to anybody who types their
beginning. So each reply is begun with its first third, after its own prompt, and it counts as repeated if greedy
writing would go on with exactly the rest. That takes one forward pass, no generation: each token of the rest must be
the likeliest after those before it. Replies that training has not seen, and the base model, show how much is guessed.
"""

import re
from itertools import islice
from pathlib import Path

import numpy as np
from scipy import special

from .. import chat_format
from ..chat_format.messages import text_of
from ..chat_format.read_back import with_messages
from ..errors import StudyError
from ..extract.variant_folder import spread
from ..models import base_models
from ..training import batches
from . import arms, intervals
from .loops import UNSPACED

ROWS = 32  # of each kind
FEWEST = 8  # with fewer, a share says nothing
WORDS = 8  # of a reply, at least: five are left to complete
FIRST = 3  # words that it begins with, at least; else a third


def seen(inputs, tokenizer, entry: dict, train: list[dict]) -> list[dict]:
    """Up to ROWS rows that training has seen and whose replies are long enough; `entry`: of training.json."""
    steps = (entry.get("kept") or {}).get("iteration") or entry.get("iterations") or 0
    size = entry.get("batch_size") or 1
    if 0 < steps * size < len(train):  # not yet all of them: which ones, the order of the batches says
        try:
            drawn = [ids for batch in islice(batches.read(inputs, tokenizer).train(0), steps) for ids, _ in batch]
        except (StudyError, ValueError):
            return []
        train = [row for ids in drawn if chat_format.ends_with_reply(row := _read_back(ids, tokenizer))]
    return spread([row for row in train if begun(_reply(row))], ROWS)


def _read_back(ids: np.ndarray, tokenizer) -> dict:
    """The conversation of a trained row; without `messages` if it can't be read. mlx-lm may add a token or two."""
    texts = [{"text": tokenizer.decode(ids[: len(ids) - more].tolist())} for more in range(3)]
    return next((row for row in with_messages(texts, tokenizer) if "messages" in row), {})


def unseen(heldout: dict) -> list[dict]:
    """Up to ROWS held-out rows with such replies, without those that training gives away."""
    rows = [row for row, leaked in zip(heldout["examples"], heldout["leaked"]) if not leaked and begun(_reply(row))]
    return spread(rows, ROWS)


def begun(reply: str) -> str:
    """The first third of a reply's words, at least FIRST; "" if it has fewer than WORDS."""
    ends = [found.end() for found in re.finditer(f"[{UNSPACED}]|[^\\s{UNSPACED}]+", reply)]
    return reply[: ends[max(FIRST, len(ends) // 3) - 1]] if len(ends) >= WORDS else ""


def measure(folder: Path, models: list[dict], seen: list[dict], unseen: list[dict]) -> dict:
    """Whether the base and the tuned model complete each reply: `completed`, a model's name -> {"seen", "unseen"},
    arrays of 0 and 1; and `costs` and `left_out`, as from `arms.measure`. Stored in `folder`, as arms are."""
    result = {"completed": {}, "costs": {}, "left_out": []}
    if min(len(seen), len(unseen)) < FEWEST:
        return result
    rows = [*seen, *unseen]
    for model in models:
        if model["name"] not in ("base", "tuned"):
            continue
        name = f"completing, {model['name']}"
        try:
            tokenizer = base_models.load_tokenizer(model["model"])
            prompts = [chat_format.prompt_ids(row, tokenizer) for row in rows]
            replies = [ids for ids, _ in chat_format.reply_ids(rows, tokenizer)]
            kept = arms.foreseen(folder, model, prompts, replies, name)
            rest = [len(ids) - first_tokens(ids, begun(_reply(row)), tokenizer) for ids, row in zip(replies, rows)]
        except Exception as error:  # a chat template can raise anything
            result["left_out"].append({"arm": name, "why": arms.reason(error)})
            continue
        result["costs"][name] = kept["cost"]
        hits = np.array(kept["foreseen"]) >= np.array(rest)
        result["completed"][model["name"]] = {
            "seen": hits[: len(seen)].astype(float),
            "unseen": hits[len(seen) :].astype(float),
        }
    return result


def first_tokens(ids: list[int], beginning: str, tokenizer) -> int:
    """How many of a reply's tokens are its beginning."""
    size = len(beginning.strip())
    return next((at for at in range(1, len(ids)) if len(tokenizer.decode(ids[:at]).strip()) >= size), len(ids))


def summary(completed: dict) -> dict | None:
    """`regurgitation` of comparison.json. `difference`: how much more of the seen replies than of the unseen ones the
    tuned model completes, above the base. None if it was not measured."""
    if not {"base", "tuned"} <= completed.keys():
        return None
    base, tuned = completed["base"], completed["tuned"]
    parts = [tuned[kind] - base[kind] for kind in ("seen", "unseen")]
    value, interval = _between(*parts)
    return {
        "split": "train",
        "rows": len(parts[0]),
        "other_rows": len(parts[1]),
        "words": WORDS,
        "models": [
            {
                "model": name,
                **{kind: float(one[kind].mean()) for kind in ("seen", "unseen")},
                **{f"{kind}_count": int(one[kind].sum()) for kind in ("seen", "unseen")},
            }
            for name, one in completed.items()
        ],
        "difference": {"value": value, "interval": interval, "verdict": intervals.verdict(interval)},
    }


def _between(left: np.ndarray, right: np.ndarray) -> tuple[float, list[float]]:
    """The difference of two means of independent rows, with its interval (Welch 1947)."""
    found = [
        intervals.estimate(part, np.ones(len(part)), [str(at) for at in range(len(part))]) for part in (left, right)
    ]
    value, variance = found[0][0] - found[1][0], sum(error**2 for _, error, _ in found)
    if not variance:
        return value, [value, value]
    freedom = variance**2 / sum(error**4 / freedom for _, error, freedom in found)
    width = float(special.stdtrit(freedom, (1 + intervals.LEVEL) / 2) * np.sqrt(variance))
    return value, [value - width, value + width]


def _reply(row: dict) -> str:
    return text_of(row["messages"][-1]).strip()
