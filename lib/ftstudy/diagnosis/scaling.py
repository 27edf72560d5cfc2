"""Would more help? By the held-out curve: another epoch, more data, a larger model, or nothing.

A curve falls by about as much with each doubling of the training, so a line through its loss over log2(iterations) says
what another epoch would bring; how far the evaluations scatter about it says how sure that is.
"""

import math

import numpy
from scipy import special

from ..wording import count, more_likely, number
from . import commands

GAIN = 0.01  # nats per trained token: less is not worth another epoch
RISE = 0.02  # above its lowest, the loss has risen
WIDENED = 0.03  # by which the gap between training and held-out loss must have grown to say something
SERIES = (("LFM2", 0.35, 0.7, 1.2, 2.6), ("SmolLM2", 0.135, 0.36, 1.7), ("Qwen3", 0.6, 1.7, 4.0, 8.0))
"""Families of models, with the sizes that there are, in billions of parameters."""


def advice(found: dict) -> list[dict]:
    """What the curve supports, best first: {"id", "what", "why", "cost", "command"}.

    `found`: from `evidence.gather`. `cost` is in multiples of this run's training: {"time", "memory"}, so that it is the
    same on every machine, or None if it costs nothing or isn't known. Empty if nothing was trained.
    """
    trained, losses = found["trained"], found["losses"]
    if not trained or not trained.get("iterations") or not trained.get("curve"):
        return []
    if trained.get("diverged"):
        return [_unknown("Training diverged, so its curve predicts nothing. Lower the learning rate first.")]
    after = [point for point in losses if point[0] > 0]
    if len(after) < 3:
        return [
            _unknown(
                f"The held-out loss was measured {count(len(after), 'time')} after training began; a trend needs at "
                "least three. Lower steps_per_eval, and train again."
            )
        ]
    if losses[0][0] == 0 and min(loss for _, loss in after) >= losses[0][1]:
        why = "The held-out loss never fell below its start, so more of this training would not help. Fix the causes first."
        return [_unknown(why)]
    epochs, gap = float(trained["epochs"]), _widening(trained["curve"], after)
    if risen := _risen(after):
        return [_stop(trained, *risen, gap), _more_data(trained, risen[1], gap)]
    gain, low, high = _another_epoch(after, epochs)
    if gain >= GAIN and low > 0:
        return [_epoch(trained, found, gain, low, high)]
    if high >= GAIN and high - gain >= GAIN:
        return [
            _unknown(
                f"The held-out losses scatter too much: another epoch would change the loss by {number(-gain, signed=True)} "
                f"nats per token, 95% interval {number(-high, signed=True)} to {number(-low, signed=True)}. Evaluate on "
                "more rows (val_batches: -1) and more often (steps_per_eval)."
            )
        ]
    return [_enough(high, epochs), _more_data(trained, None, gap) if gap >= WIDENED else _larger(trained)]


def larger(model: str, parameters: int) -> tuple[str, float] | None:
    """The next size of a model's family, such as ("LFM2 with 0.7B", 2.0): its name and how many times as large it is."""
    for family, *sizes in SERIES:
        if family.lower() in model.lower().replace("-instruct", ""):
            bigger = [size for size in sizes if size * 1e9 > 1.2 * parameters]
            return (f"{family} with {bigger[0]:g} billion parameters", bigger[0] * 1e9 / parameters) if bigger else None
    return None


# --- the curve ----------------------------------------------------------------------------------


def _risen(after: list[tuple[int, float]]) -> tuple[int, float] | None:
    """(iteration of the lowest loss, how far the loss rose from there), if the evaluations at the end all lie above."""
    at, lowest = min(after, key=lambda point: point[1])
    later = [loss - lowest for iteration, loss in after if iteration > at]
    return (at, later[-1]) if later and later[-1] >= RISE and min(later[-2:]) >= RISE / 2 else None


def _another_epoch(after: list[tuple[int, float]], epochs: float) -> tuple[float, float, float]:
    """By how much another epoch would lower the loss, and the 95% interval of that, by the second half of the curve."""
    half = [point for point in after if point[0] >= after[-1][0] / 2]
    points = half if len(half) >= 4 else after[-max(3, len(half)) :]
    doublings, losses = numpy.log2([at for at, _ in points]), numpy.array([loss for _, loss in points])
    apart = doublings - doublings.mean()
    slope = float(apart @ losses / (apart @ apart))
    rest = losses - losses.mean() - slope * apart
    error = math.sqrt(float(rest @ rest) / (len(points) - 2) / float(apart @ apart))
    more = math.log2(1 + 1 / epochs) if epochs else 1.0
    margin = float(special.stdtrit(len(points) - 2, 0.975)) * error
    return -slope * more, -(slope + margin) * more, -(slope - margin) * more


def _widening(curve: list[dict], after: list[tuple[int, float]]) -> float:
    """By how much the gap between held-out and training loss grew over the second half; 0 if chance may explain it."""
    last = after[-1][0]
    train = [(row["iteration"], row["train_loss"]) for row in curve if "train_loss" in row]
    halves = [
        [loss for at, loss in train if low < at <= high] for low, high in ((last / 4, last / 2), (3 * last / 4, last))
    ]
    if min(map(len, halves)) < 2:
        return 0.0
    middle = min(after, key=lambda point: abs(point[0] - last / 2))[1]
    fell = numpy.mean(halves[0]) - numpy.mean(halves[1])
    error = math.sqrt(sum(numpy.var(half, ddof=1) / len(half) for half in halves))
    return float(fell - (middle - after[-1][1])) if fell > 2 * error else 0.0


# --- what to do ---------------------------------------------------------------------------------


def _advice(name: str, what: str, why: str, cost: dict | None = None, command: str = "") -> dict:
    return {"id": name, "what": what, "why": why, "cost": cost, "command": command}


def _unknown(why: str) -> dict:
    return _advice("unknown", "The curve doesn't show what would help", why)


def _epoch(trained: dict, found: dict, gain: float, low: float, high: float) -> dict:
    epochs = float(trained["epochs"])
    more = 1 / epochs if epochs else 1.0
    iterations = trained["iterations"] + round(trained["iterations"] * more)
    return _advice(
        "another_epoch",
        f"Train another epoch: {iterations:,} iterations instead of {trained['iterations']:,}",
        f"The held-out loss was still falling. If it goes on like that, each token becomes {more_likely(-gain)} "
        f"({number(-gain, signed=True)} nats per token, 95% interval {number(-high, signed=True)} to "
        f"{number(-low, signed=True)}).",
        {"time": 1 + more, "memory": 1.0},
        commands.longer(trained, found, iterations),
    )


def _stop(trained: dict, at: int, rise: float, gap: float) -> dict:
    kept = " That checkpoint was kept." if (trained.get("kept") or {}).get("iteration") == at else ""
    widened = f", while the gap to the training loss grew by {number(gap)}" if gap >= WIDENED else ""
    return _advice(
        "stop_earlier",
        f"Train no longer than {count(at, 'iteration')}",
        f"The held-out loss was lowest there, and rose by {number(rise)} nats per token after it{widened}: from there on "
        f"the model learned its rows by heart.{kept}",
    )


def _more_data(trained: dict, rise: float | None, gap: float) -> dict:
    rows, what = count(trained["examples"], "row"), "Give it more rows: a longer history, or more conversations"
    why = (
        f"The {rows} have no more to teach: training still lowers the loss on them, but not on held-out replies."
        if rise is not None or gap < WIDENED
        else f"The gap between training and held-out loss grew by {number(gap)} nats per token in the second half: the "
        f"model goes on learning the {rows}, but nothing more that carries over."
    )
    return _advice("more_data", what, why, {"time": 2.0, "memory": 1.0})


def _enough(high: float, epochs: float) -> dict:
    return _advice(
        "enough",
        "Don't train this model on these rows for longer",
        f"The held-out loss is flat after {number(epochs, 1)} epochs: another one would bring at most "
        f"{number(max(high, 0.0))} nats per token.",
    )


def _larger(trained: dict) -> dict:
    step = larger(str(trained["model"]), trained.get("parameters") or 0) if trained.get("parameters") else None
    name, times = step or ("the next size of its family", 2.0)
    return _advice(
        "larger_model",
        f"Try a larger model, {name}",
        "Training and held-out loss are both flat, and the gap between them did not grow: the model has learned what "
        "it can, and not memorized its rows.",
        {"time": times, "memory": times},
    )
