"""What a repair is, and how a draft is repaired."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache


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
    return repairing(draft, inputs, repairs)(frozenset(without))


def repairing(draft: dict, inputs, repairs: Collection[Repair]) -> Callable[[frozenset], tuple[dict, list]]:
    """`repaired` as a function of what it is `without`, which keeps the steps that several calls have in common."""
    repairs = list(repairs)

    @cache
    def after(steps: int, without: frozenset) -> tuple[dict, list]:
        if not steps:
            return draft, []
        repair, earlier = repairs[steps - 1], {one.id for one in repairs[: steps - 1]}
        found, made = after(steps - 1, without & earlier)
        if repair.id in without:
            return found, made
        found, notes = repair.apply(found, inputs)
        return found, made + [(repair, notes)] * bool(notes)

    return lambda without: after(len(repairs), frozenset(without))
