"""How long a training and its scoring take here: as measured in this proof, or in the run's own training, or estimated."""

from pathlib import Path

from .. import audit
from ..audit import estimate
from ..files.reading import read_json

SCORING = 0.15  # of what training on as many rows takes: there is no backward pass, and batches are larger
SHARED = 0.6  # of what a training takes that computes the layers below its adapter itself
UNREADABLE = (OSError, ValueError, KeyError, TypeError, ZeroDivisionError)


def measured(
    run: Path, folder: Path, inputs: audit.RunInputs, copy: audit.RunInputs, replies: int, forms: int
) -> tuple[float, float] | None:
    """(seconds of an iteration, seconds of scoring a model on `replies` with `forms` prompts each); None if not known.

    `run`: the run's folder; `folder`: the proof's own; `inputs`: the fine-tune as it was; `copy`: as fixed, so that its
    rows can be read.
    """
    step, alone = _of_proof(folder), _of_run(run, inputs) or _estimated(copy)
    if step is None and alone is None:
        return None
    step, scoring = step or SHARED * alone, _of_scores(folder)
    if scoring is None:
        scoring = SCORING * (alone or step) * replies / copy.config["batch_size"]
    return step, scoring * forms


def _of_proof(folder: Path) -> float | None:
    try:
        done = [one for one in read_json(folder / "trainings.json").values() if one["adapter"]]
        return sum(one["seconds"] for one in done) / sum(one["iterations"] for one in done)
    except UNREADABLE:
        return None


def _of_run(run: Path, inputs: audit.RunInputs) -> float | None:
    """From the training of this config in the run."""
    name = Path(inputs.where).stem
    try:
        spent = read_json(run / "cost.json")[f"training {name}"]["seconds"]
        entries = {one["name"]: one for one in read_json(run / "training.json")["configs"]}
        return spent / entries[name]["iterations"]
    except UNREADABLE:
        return None


def _of_scores(folder: Path) -> float | None:
    """The mean of what scoring has taken so far."""
    try:
        spent = [read_json(path)["cost"]["seconds"] for path in sorted((folder / "scores").glob("*.json"))]
        return sum(spent) / len(spent)
    except UNREADABLE:
        return None


def _estimated(inputs: audit.RunInputs) -> float | None:
    known = estimate.of(inputs)
    return known and estimate.seconds(*known) / known[-1]["iters"]
