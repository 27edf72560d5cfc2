"""The faults that a repair takes out of a fine-tune, and the fine-tune with any of them left in.

A *set* is a frozenset of the ids of those left in: the empty one is the fine-tune as fixed, all of them as it was. What
spoils only the measurement, or makes training abort, is repaired in every set.
"""

import json
from itertools import combinations
from pathlib import Path

from .. import audit, repair
from ..errors import StudyError
from ..paths import shown

PROMPT = "prompt"  # the app's: it needs no training
ROWS = "rows"  # all that was wrong with them, as one, where somebody has edited the repaired rows since
MOST = 8  # sets, up to which every one of them is trained
PLACES = ("data", "adapter_path", "resume_adapter_file")  # keys of a config that say where things are


def read(inputs: audit.RunInputs, folder: Path, measured: dict) -> dict:
    """What there is to prove of a fine-tune, whose repaired copy is in `folder`, as `repair.write` left it or as
    somebody has edited it since. `measured`: as for `repair.read`.

    Returns `faults` ([{"id", "fault", "part", "notes"}], the app's prompt last), `copy` (as an audit reads it),
    `aborting` (what the faults are called that make training abort), `left_in` (a function: a set -> its draft),
    `profile` (how the app asked; None if not known) and `edited` ("config", "rows" or both). Raises StudyError if the
    copy can't be read or has no rows.
    """
    draft = repair.read(inputs, (repair.record(folder) or {}).get("measured", measured))
    of_app = [one for one in repair.REPAIRS if one.part == "app"]  # after all others, and training doesn't read it
    repaired = repair.repairing(draft, inputs, [one for one in repair.REPAIRS if one not in of_app])
    fixed, made = repaired(frozenset())
    made = made + repair.repaired(fixed, inputs, of_app)[1]
    copied = _copied(folder)
    copy = repair.read(copied)
    edited = [part for part in ("config", "rows") if _own(copy[part], part) != _own(fixed[part], part)]
    faults, repairs = {}, {}  # a fault's id -> the ids of its repairs
    for one, notes in made:
        if one.measured and not one.aborts:
            id_, fault = (ROWS, "the rows") if one.part == "rows" and "rows" in edited else (one.id, one.fault)
            id_ = PROMPT if one.part == "app" else id_
            faults.setdefault(id_, {"id": id_, "fault": fault, "part": one.part, "notes": []})["notes"] += notes
            repairs.setdefault(id_, set()).add(one.id)

    def left_in(some: frozenset) -> dict:
        found, _ = repaired(frozenset().union(*(repairs[id_] for id_ in some)))
        return {
            "config": _edited(copy["config"], found["config"], fixed["config"]),
            "rows": copy["rows"] if found["rows"] == fixed["rows"] else found["rows"],
        }

    if faults and "train" not in copy["rows"]:
        instead = "Put the rows that are to be trained on back into train.jsonl."
        if inputs.hub or inputs.config.get("hf_dataset"):
            instead = "Save them from the Hub as train.jsonl, valid.jsonl and test.jsonl; name the folder with --data."
        raise StudyError(
            f"The repaired copy in {shown(folder)} has no training rows, so nothing can be proved. {instead}"
        )
    return {
        "copy": copied,
        "faults": sorted(faults.values(), key=lambda one: one["id"] == PROMPT),
        "aborting": list(dict.fromkeys(one.fault for one, _ in made if one.aborts)),
        "left_in": left_in,
        "profile": draft["profile"],
        "edited": edited,
    }


def _copied(folder: Path) -> audit.RunInputs:
    """The repaired copy, as an audit reads it. Raises StudyError if somebody has made it unreadable."""
    found = audit.read(folder / repair.CONFIG)
    for split in found.splits.values():
        if split.broken:
            raise StudyError(
                f"{split.where} is not JSONL ({split.broken[0]}), so mlx-lm can't train on the repaired copy. Fix that line."
            )
    return found


def _edited(copy: dict, found: dict, fixed: dict) -> dict:
    """The copy's settings, but where two drafts differ the first one's: a fault that was left in stays."""
    differ = {key for key in found.keys() | fixed.keys() if found.get(key) != fixed.get(key)}
    return {key: value for key, value in copy.items() if key not in differ} | {
        key: found[key] for key in found if key in differ and key not in PLACES
    }


def _own(value: dict, part: str) -> str:
    """A part of a draft as JSON, in which even values that are not a number are equal to themselves."""
    own = {key: value[key] for key in value if part != "config" or key not in PLACES}
    return json.dumps(own, sort_keys=True, default=str)


def sets(trained: list[str]) -> list[frozenset]:
    """The sets to train, the ones that say most first: as fixed, as it was, each fault alone, and, where there are few,
    every other combination. `trained`: the ids of the faults that training has."""
    first = [frozenset(), frozenset(trained), *(frozenset({one}) for one in trained)]
    every = [frozenset(some) for size in range(len(trained)) for some in combinations(trained, size)]
    return list(dict.fromkeys([*first, *(every if 2 ** len(trained) <= MOST else [])]))


def name_of(some: frozenset, trained: list[str]) -> str:
    """What a set is called: as fixed, as it was, fixed except learning_rate."""
    if not some:
        return "as fixed"
    return "as it was" if some == set(trained) else f"fixed except {' + '.join(one for one in trained if one in some)}"
