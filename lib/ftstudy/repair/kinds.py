"""What a repair is, and how a draft is repaired."""

from collections.abc import Callable, Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Repair:
    """One fault, and the function that takes it out of a draft."""

    id: str  # of the cause in the diagnosis that it repairs
    part: str  # "config", "rows" or "app"
    fault: str  # as in "half of it was …": "the learning rate"
    apply: Callable  # (draft, inputs) -> (draft, notes): what was changed, a sentence each; none if nothing was
    checks: tuple[str, ...] = ()  # whose findings it takes away
    aborts: bool = False  # whether training aborts with the fault, so that its cost can't be measured
    measured: bool = True  # whether the fault has a cost: not one in how rows are divided, or in where things are put


def repaired(draft: dict, inputs, repairs: Collection[Repair], without: Collection[str] = ()) -> tuple[dict, list]:
    """The draft with every repair applied, but for those `without`, and [(repair, notes)] of those that changed it.

    `inputs`: the `audit.RunInputs` of the fine-tune as it was. The repairs run in the order given.
    """
    made = []
    for repair in repairs:
        if repair.id not in without:
            draft, notes = repair.apply(draft, inputs)
            if notes:
                made.append((repair, notes))
    return draft, made
