"""Every checkpoint of an adapter on the same held-out replies: which one to keep, and did training go on long enough?

Two checkpoints differ only where the interval of their paired difference excludes zero. The lowest of many is a
little lower by chance, so a checkpoint is preferred to the adapter itself only if it is distinguishably better.
"""

from pathlib import Path

import mlx.core as mx
import numpy as np

from .. import audit, chat_format
from ..machine_failures import pass_on
from ..models import adapters, base_models, checkpoints
from ..paths import absolute
from ..printable import cut
from ..progress import bar
from . import intervals, likelihood, multiple_testing, prompt_formats
from .heldout import held_out

OVER, UNDER, WELL, UNKNOWN = "over-fitted", "under-fitted", "well fitted", "not distinguishable"


def score(inputs: audit.RunInputs, replies: int) -> dict:
    """The adapter at `adapter_path`, its numbered checkpoints and its base model, prompted as in training.

    `replies`: how many held-out replies are scored: of valid.jsonl, so that test.jsonl stays unseen by the choice, or
    of test.jsonl if there is no valid.jsonl. Returns what `judge` does; `known`, whether anything says how many
    iterations the adapter has (else `own` is only its place); `split`; the numbers of `replies` and `conversations`;
    and `left_out`, [{"checkpoint", "why"}]. Raises StudyError if there is nothing to score.
    """
    name, folder = inputs.config["model"], absolute(inputs.config["adapter_path"])
    base, tokenizer = base_models.load(name)
    heldout = held_out(inputs.folder, replies, tokenizer=tokenizer, config=inputs.config, order=("valid", "test"))
    targets = chat_format.reply_ids(heldout["examples"], tokenizer)
    prompts = prompt_formats.prompts(heldout, tokenizer, prompt_formats.ALIGNED, {}, inputs.owner)
    before = likelihood.score(base, prompts, targets, "base")
    del base
    progress, files = checkpoints.progress(folder), checkpoints.numbered(folder)
    own = progress["kept"] or max(progress["asked"] or 0, (progress["last"] or 0) + 1)
    model, _ = base_models.load(name, folder)
    scores, left_out = {own: likelihood.score(model, prompts, targets, "the adapter")}, []
    for iteration, path in bar(files, desc="checkpoints", unit="checkpoint"):
        if iteration == own:
            continue
        if why := _differs(path, folder):
            left_out.append({"checkpoint": path.name, "why": why})
            continue
        model.load_weights(str(path), strict=False)
        scores[iteration] = likelihood.score(model, prompts, targets, path.name)
    finite = {at: found for at, found in sorted(scores.items()) if np.isfinite(found["reply"]).all()}
    left_out += [
        {"checkpoint": f"iteration {at}", "why": "its loss is not a number"} for at in scores if at not in finite
    ]
    return {
        **judge(before, finite, own, heldout["conversations"]),
        "known": bool(progress["kept"] or progress["asked"]),
        "split": heldout["split"],
        "replies": len(targets),
        "conversations": len(set(heldout["conversations"])),
        "left_out": left_out,
    }


def _differs(file: Path, folder: Path) -> str | None:
    """Why a checkpoint isn't one of the adapter's own run; None if it can be."""
    try:
        ours, theirs = (
            {name: value.shape for name, value in mx.load(str(path)).items()}
            for path in (folder / adapters.WEIGHTS, file)
        )
    except Exception as error:  # mlx raises several kinds, including plain RuntimeError
        pass_on(error)
        return cut(" ".join(str(error).split()), 200)
    return None if ours == theirs else "its tensors are not those of adapters.safetensors, so another run saved it"


def judge(base: dict, scores: dict[int, dict], own: int, conversations: list[str]) -> dict:
    """`rows`, `own`, `keep`, the iteration of the checkpoint to keep, and `fit`, one of the words above.

    `scores`: iteration -> scores as `likelihood.score` returns them, of the base and each checkpoint on the same
    replies; `own`: the adapter's iteration. Each row has `iteration` (0: the base), `nats_per_reply_token` with
    `interval`, and `to_base` and `to_lowest`, paired differences. Over-fitted: an earlier checkpoint is better than the
    adapter. Under-fitted: a later one is, or the adapter is the last and still better than the one before. `keep` is
    None if the adapter has no finite loss, or no checkpoint is better than the base.
    """
    every = {0: base} | scores
    means = {at: intervals.mean(found["reply"], found["tokens"], conversations) for at, found in every.items()}
    lowest = min(scores, key=lambda at: means[at][0] if means[at][0] is not None else float("inf"), default=None)
    rows = [
        {
            "iteration": at,
            "nats_per_reply_token": means[at][0],
            "interval": means[at][1],
            "to_base": intervals.difference(found, base, conversations) if at else None,
            "to_lowest": intervals.difference(found, every[lowest], conversations)
            if lowest not in (None, at)
            else None,
        }
        for at, found in every.items()
    ]
    multiple_testing.correct_differences(
        [row["to_base"] for row in rows if row["to_base"]], "checkpoints against the base"
    )
    others = [row["to_lowest"] for row in rows if row["to_lowest"]]
    multiple_testing.correct_differences(others, "checkpoints against the one with the lowest loss")
    by_iteration = {row["iteration"]: row for row in rows}
    keep, fit = None, UNKNOWN
    if own in scores:
        keep, fit = _fit(scores, own, lowest, by_iteration, conversations)
    return {"rows": rows, "own": own, "lowest": lowest, "keep": keep, "fit": fit}


def _fit(scores: dict, own: int, lowest: int, rows: dict, conversations: list[str]) -> tuple[int | None, str]:
    if rows[lowest]["to_base"]["verdict"] != intervals.BETTER:
        return None, UNKNOWN
    if lowest != own and rows[own]["to_lowest"]["verdict"] == intervals.WORSE:
        return lowest, OVER if lowest < own else UNDER
    earlier = [at for at in scores if at < own]
    if not earlier:
        return own, UNKNOWN
    if own == max(scores):
        last_step = intervals.difference(scores[own], scores[max(earlier)], conversations)
        if last_step["verdict"] == intervals.BETTER:
            return own, UNDER
    return own, WELL
