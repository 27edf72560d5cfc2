"""How the study's training differs from stock mlx-lm's: which tokens are trained, and how much that matters."""

from dataclasses import replace
from itertools import islice

import mlx.core as mx
import numpy as np

from .. import audit, chat_format
from ..chat_format.loss_mask import KINDS, loss_mask
from ..chat_format.rendering import render
from ..configs import study
from ..engine import reply_logits
from ..files.folders import new_folder
from ..models import base_models
from ..paths import absolute
from . import batches, train

ROWS = 200  # whose trained tokens are counted


def loss_tokens(inputs: audit.RunInputs, stock: bool) -> dict:
    """How many tokens of each kind are trained, by stock mlx-lm or as the `ftstudy:` block says.

    Over the first rows of the training split, batched as the trainer batches them: `prompt`, `reply`,
    `end_of_turn`, `after_end`, `padding`, their sum `total`, `rows`, and `masked_share`, the share of the rows'
    own tokens that is not trained.
    """
    config, block = inputs.config, study(inputs.config)
    chats = list(islice(inputs.splits["train"].chats(), ROWS))
    rows = len(chats) // config["batch_size"] * config["batch_size"]
    found = loss_mask(
        render(chats[:rows], inputs.tokenizer),
        inputs.tokenizer,
        mask_prompt=bool(config["mask_prompt"]),
        batch_size=config["batch_size"],
        limit=config["max_seq_length"],
        train_on=None if stock or not block else block["train_on"],
    )
    counts = dict(zip(KINDS, found.counts().sum(axis=0).tolist()))
    total, own = sum(counts.values()), int(found.kept.sum())
    masked = 1 - (total - counts["padding"]) / own if own else 0.0
    return {**counts, "total": total, "rows": rows, "masked_share": masked}


def trained_as_stock(inputs: audit.RunInputs, result: dict) -> list[dict]:
    """Repeat a run with mlx-lm's own loss and batches, and compare base model, run and repetition.

    `result` is what `train` returned for these inputs. Each row is {"model", "reply", "end_of_turn"}: nats per
    token over the fixed validation set. Takes as long as the run did.
    """
    with new_folder(absolute(result["adapter"])) as folder:
        stock = {"ftstudy": None, "adapter_path": f"{folder}/adapter", "iters": result["iterations"]}
        stock["steps_per_eval"] = stock["save_every"] = result["iterations"] + 1  # mlx-lm keeps the last, not the best
        train(replace(inputs, config=inputs.config | stock), folder / "metrics.jsonl")
        models = {"base": None, "this run": result["adapter"], "stock mlx-lm": f"{folder}/adapter"}
        return [{"model": name, **_nats(inputs, adapter)} for name, adapter in models.items()]


def _nats(inputs: audit.RunInputs, adapter: str | None) -> dict:
    """Nats per token of the validation rows' replies, and of the tokens that end their turns."""
    model, tokenizer = base_models.load(inputs.config["model"], adapter, to_ask=True)
    size = inputs.config["batch_size"]
    rows = batches.spread(batches.study_rows(inputs, "valid"), inputs.config["val_batches"], size)
    prefix = reply_logits.shared_prefix(model, rows, size)
    nats_of, stops = reply_logits.nats_function(model, prefix), list(chat_format.end_of_turn_ids(tokenizer))
    sums, counts = np.zeros(2), np.zeros(2)
    for at in range(0, len(rows), size):
        groups = reply_logits.grouped(rows[at : at + size], len(prefix))
        nats = nats_of(model, groups)
        mx.eval(nats)
        for found, (_, _, targets, mask) in zip(nats, groups):
            found, counted = np.array(found), np.array(mask) > 0
            ends = np.isin(np.array(targets), stops)
            for kind, chosen in enumerate((counted & ~ends, counted & ends)):
                sums[kind] += found[chosen].sum()
                counts[kind] += chosen.sum()
    reply, end = (float(total / count) if count else None for total, count in zip(sums, counts))
    return {"reply": reply, "end_of_turn": end}
