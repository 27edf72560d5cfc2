"""What went wrong in training: it hurt, it destroyed, it was too short, it was too long, or there was nothing to learn."""

from ..wording import count, more_likely, number
from . import evidence
from .costs import LITTLE, cause, cost, cost_of, said

FEW_ROWS = 200  # to learn from
MOVED = 0.5  # of a layer's weights: no useful adapter moves them so far
USUAL_STEP = 2e-4 * 20  # learning rate × scale of this study's LoRA: an Adam step moves weights in proportion to both
FAR = 2  # times as far: with that, a training that hurt probably went too fast
STILL_FALLING = 0.03  # nats per trained token over the second half of training: more would have come
FLAT = 0.01  # so little is not worth twice the time
UNSEEN = 0.5  # epochs: with fewer, most rows were never seen

# What may have spoiled a training, the likeliest first.
SPOILS = (
    "learning_rate",
    "templated_content",
    "speaker_tags",
    "empty_turns",
    "replies_cut",
    "prompt_not_prefix",
    "prompt_trained",
    "same_rows",
    "over_fitted",
    "too_many_epochs",
    "settings_ignored",
)


def causes(found: dict) -> list[dict]:
    """`found`: from `evidence.gather`."""
    made = (_learning_rate, _under_trained, _over_fitted, _few_rows, _hurt, _no_better)
    return [one for make in made if (one := make(found))]


def _learning_rate(found: dict) -> dict | None:
    """Too high: training diverged, the loss rose above its start, weights moved out of all proportion, or it hurt and
    its steps were far longer than usual."""
    trained, losses, row = found["trained"] or {}, found["losses"], evidence.gain(found)
    hurt = row is not None and row["verdict"] == "worse"
    moved = [layer["relative"] for layer in (trained.get("adapts") or {}).get("by_layer") or []]
    lines = (
        [f"training diverged: {trained['stopped'] or 'its loss is not a number'}"] if trained.get("diverged") else []
    )
    if len(losses) > 1 and min(loss for _, loss in losses[1:]) > losses[0][1] + LITTLE:
        lines.append(f"the validation loss rose from {number(losses[0][1])} to {number(losses[-1][1])} nats per token")
    if moved and max(moved) > MOVED and hurt:
        lines.append(f"the adapter moves weights by up to {max(moved):.0%}")
    if hurt and (step := _step(trained)) >= FAR * USUAL_STEP:
        times = f"{step / USUAL_STEP:.1g} times the {USUAL_STEP:g} of this study's recipe"
        lines.append(f"learning_rate × scale, which sets how far each step goes, is {step:g}: {times}")
    if not lines:
        return None
    return cause(
        "learning_rate",
        "The learning rate is too high: training destroyed what the model knew",
        [*lines, f"learning_rate: {trained.get('learning_rate')}"],
        "Divide learning_rate by ten, and train again; 1e-4 is usual for LoRA, 1e-5 for full fine-tuning.",
        certainty="likely",
        kind="known",
        severity="error",
    )


def _step(trained: dict) -> float:
    """Learning rate × scale of LoRA layers; 0 where there are none, or it is not known."""
    scales, rate = (
        (trained.get("adapts") or {}).get("scale") or [trained.get("scale") or 0],
        trained.get("learning_rate"),
    )
    return rate * max(scales) if isinstance(rate, int | float) else 0.0


def _under_trained(found: dict) -> dict | None:
    """Training ended while its loss still fell, or before it had seen most rows once."""
    trained, losses = found["trained"], found["losses"]
    if not trained or not trained.get("iterations"):
        return None
    rest, epochs = _second_half(losses), float(trained["epochs"])
    fit = (trained.get("checkpoints") or {}).get("fit")
    falling = rest >= STILL_FALLING and losses[-1][1] <= min(loss for _, loss in losses) + LITTLE
    flat = len(losses) >= 3 and rest < FLAT
    unseen = epochs < UNSEEN and not flat and fit not in ("over-fitted", "well fitted")
    if not (falling or unseen or fit == "under-fitted"):
        return None
    rows, iterations = trained["examples"], count(trained["iterations"], "iteration")
    lines = [
        f"{iterations}, {number(epochs, 2)} epochs: {min(rows, round(epochs * rows)):,} of {rows:,} rows were seen"
    ]
    if rest >= FLAT:
        lines.append(f"the validation loss still fell by {number(rest)} nats per token in the second half of training")
    if fit == "under-fitted":
        lines.append("the adapter is distinguishably better than the checkpoint before it")
    words = f"twice the training would probably make each word piece {more_likely(-rest)}"
    return cause(
        "under_trained",
        f"It was trained for too short a time, {iterations}",
        lines,
        f"Train for longer: {_longer(trained)}. Stop where the validation loss stops falling.",
        cost=cost(rest, None, found, words) if rest >= FLAT else None,
        certainty="likely",
        kind="measured" if rest >= FLAT else "known",
        severity="error" if unseen else "warning",
    )


def _longer(trained: dict) -> str:
    once, twice = _epoch(trained), 2 * trained["iterations"]
    return (
        f"one epoch is {count(once, 'iteration')}" if once >= twice else f"twice as long is {count(twice, 'iteration')}"
    )


def _epoch(trained: dict) -> int:
    """The iterations that see each row once."""
    return max(1, round(trained["iterations"] / trained["epochs"])) if trained["epochs"] else trained["examples"]


def _second_half(losses: list[tuple[int, float]]) -> float:
    """By how much the validation loss fell over the second half of training; 0 with fewer than three losses.

    A learning curve falls by about as much with each doubling, so twice the training would give about as much again.
    """
    if len(losses) < 3:
        return 0.0
    last, final = losses[-1]
    at = next(place for place, (iteration, _) in enumerate(losses) if iteration >= last / 2)
    (before, left), (after, right) = losses[max(at - 1, 0)], losses[at]
    share = (last / 2 - before) / (after - before) if after > before else 0.0
    return left + share * (right - left) - final


def _over_fitted(found: dict) -> dict | None:
    """A checkpoint is distinguishably better than the adapter in use."""
    judged = (found["trained"] or {}).get("checkpoints") or {"keep": None, "own": None}
    keep, own = judged["keep"], judged["own"]
    row = next((one["to_lowest"] for one in judged.get("rows", []) if one["iteration"] == own), None)
    if keep in (None, own) or not row:
        return None
    return cause(
        "over_fitted" if keep < own else "wrong_checkpoint",
        f"Iteration {keep:,} is better than the adapter that is used, iteration {own:,}",
        [f"the adapter against that checkpoint: {said(row)}"],
        "Use that checkpoint." + (" Next time, stop there: the model is over-fitted from there on." * (keep < own)),
        cost=cost_of(row, found),
    )


def _few_rows(found: dict) -> dict | None:
    rows = found["rows"]
    if not rows or rows >= FEW_ROWS:
        return None
    return cause(
        "few_rows",
        f"{count(rows, 'training row is', 'training rows are')} too few to learn from",
        [f"train.jsonl: {count(rows, 'row')}"],
        f"Use more history; a style takes about {FEW_ROWS} rows to learn.",
        certainty="likely",
        kind="known",
    )


def _hurt(found: dict) -> dict | None:
    row = evidence.gain(found)
    if not row or row["verdict"] != "worse":
        return None
    return cause(
        "training_hurt",
        "Training made the model worse than its base",
        [f"the tuned model against its base, both prompted as in training: {said(row)}", *_unnoticed(found)],
        "Nothing else that was found explains it. Train with a tenth of the learning rate, and read some of the rows.",
        cost=cost_of(row, found),
        severity="error",
        explained_by=(*SPOILS, "few_rows"),
    )


def _unnoticed(found: dict) -> list[str]:
    """Why nobody who watched the training saw that it hurt."""
    losses = found["losses"]
    if len(losses) < 2 or losses[-1][1] >= losses[0][1]:
        return []
    line = f"the validation loss still fell, from {number(losses[0][1])} to {number(losses[-1][1])}"
    on_prompt = any(one["check"] == "loss.on_prompt" for one in found["findings"])
    return [f"{line}: most of it is on the prompt, not on the reply" if on_prompt else line]


def _no_better(found: dict) -> dict | None:
    """Trained on every row, until the loss no longer fell, and yet as good as its base."""
    row, trained, losses = evidence.gain(found), found["trained"] or {}, found["losses"]
    if not row or row["verdict"] == "worse" or row["interval"] is None:
        return None
    if row["verdict"] == "better" and row["nats_per_reply_token"] < -2 * LITTLE:
        return None
    if float(trained.get("epochs", 0)) < 1 or _second_half(losses) >= STILL_FALLING:
        return None
    curve = []
    if len(losses) > 1:
        curve = [f"validation loss: {number(losses[0][1])} before training, {number(losses[-1][1])} after"]
    return cause(
        "base_as_good",
        "The base model is as good at these replies: training had nothing to add",
        [f"the tuned model against its base, both prompted as in training: {said(row)}", *curve],
        "Keep the base model, or give training more that only you would write: more history, or longer replies.",
        certainty="likely",
        kind="known",
        severity="error",
        explained_by=(*SPOILS, "few_rows"),
    )
