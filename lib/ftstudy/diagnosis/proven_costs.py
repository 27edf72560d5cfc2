"""Causes with costs measured by training without them."""

from ..proof.result import cost_in_words
from ..wording import capitalized, more_likely
from .costs import cause, cost

FIX = "`ftstudy fix` writes a copy without it."


def causes(found: dict) -> list[dict]:
    """A cause for each fault that the run's proof has measured; `found`: from `evidence.gather`.

    A fault whose cost can't be told from zero, or that was better left in, is `slight`.
    """
    return [_cause(one, found) for one in (found["proof"] or {"faults": []})["faults"] if one["cost"] or one["broken"]]


def _cause(one: dict, found: dict) -> dict:
    row = one["cost"]
    is_measured = one["broken"] or row["verdict"] == "worse"
    lines = [f"trained with it and without it: {cost_in_words(one)}", *one["notes"]]
    if row and row["verdict"] == "better":
        lines[0] += ". It was better left as it was"
    nats = row and row["nats_per_reply_token"]
    return cause(
        one["id"],
        capitalized(one["fault"]),
        lines,
        FIX,
        cost=row and cost(nats, row["interval"], found, f"with it alone, the true replies are {more_likely(nats)}"),
        kind="measured" if is_measured else "slight",
        severity="error" if one["broken"] else "warning" if is_measured else "info",
    )
