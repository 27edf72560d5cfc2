"""The stage that proves a fix: it writes the repaired copy, unless there is one, and trains with and without each fault."""

from pathlib import Path

from .. import audit, proof, repair
from ..errors import StudyError
from ..files.folders import replace_folder
from ..paths import absolute, shown
from .reads import inputs_of, json_in, results_in

FIXED = "fixed"  # in the run's folder


def stage(choices: dict, folder: Path) -> dict:
    """As `stamps.run` takes it. `choices`: all keys of `study.CHOICES`."""
    given = {name: choices[name] for name in ("config", "data", "model", "owner", "inference", "budget", "replies")}

    def do() -> None:
        inputs = _inputs(choices)
        planned = proof.plan(
            folder, inputs, fixed(inputs, folder), diagnosed(folder), choices["replies"], choices["budget"]
        )
        print(planned["said"], flush=True)
        made = proof.prove(folder, planned, lambda line: print(f"  {line}", flush=True))
        print(*proof.result.told(made), sep="\n", flush=True)

    return {
        "name": "proof",
        "given": given,
        "reads": lambda: inputs_of(choices, profile=True) | edits(folder),
        "writes": lambda: results_in(folder, "proof"),
        "do": do,
        "forget": lambda: (folder / "proof.json").unlink(missing_ok=True),
    }


def forget_another(choices: dict, folder: Path) -> None:
    """Remove the proof in a run's folder if it is of another fine-tune than the one that is studied now. Its trainings
    stay, so that proving that one again takes no time."""
    path = folder / "proof.json"
    if path.is_file() and not repair.is_of(json_in(path), _inputs(choices)):
        path.unlink()


def _inputs(choices: dict) -> audit.RunInputs:
    read = (choices[name] or None for name in ("config", "data", "model", "inference", "owner"))
    return audit.read(*read)


def fixed(inputs: audit.RunInputs, folder: Path) -> Path:
    """The folder of the run's repaired copy: the one that is there, which somebody may have edited, or written now.

    A copy of the fine-tune as it was earlier is written anew, unless it was edited or trained. Raises StudyError if such a
    one is of another config.
    """
    copy, measured = folder / FIXED, diagnosed(folder)["measured"]
    if (copy / repair.CONFIG).is_file() and not _is_outdated(copy, inputs, measured):
        return copy
    draft, made = repair.repaired(repair.read(inputs, measured), inputs, repair.REPAIRS)
    with replace_folder(copy) as new:
        repair.write(draft, new, inputs, made, copy)
    print(f"The repaired copy: {shown(copy)}", flush=True)
    return copy


def _is_outdated(copy: Path, inputs: audit.RunInputs, measured: dict) -> bool:
    known = repair.record(copy)
    if known is None:
        return False
    if known.get("measured") == measured and repair.is_of(known, inputs):
        return False
    edited = repair.changed_since(copy, known)
    if not edited and not (copy / repair.ADAPTER).exists():
        return True
    why = f"was edited ({', '.join(edited)})" if edited else "has an adapter"
    if absolute(known["config"]) != absolute(inputs.where):
        raise StudyError(
            f"{shown(copy)} is the repaired copy of {known['config']}, not of {inputs.where}, and it {why}, so it was "
            "kept. Choose another name for this run (RUN=… or --run), or remove that folder."
        )
    print(f"{shown(copy)} {why}, so it was kept, although its source has changed since.", flush=True)
    return False


def edits(folder: Path) -> dict[str, Path]:
    """The files of the run's repaired copy that somebody has edited since it was written."""
    known = repair.record(folder / FIXED)
    names = repair.changed_since(folder / FIXED, known) if known else []
    return {f"your edit of {shown(folder / FIXED / name)}": folder / FIXED / name for name in names}


def diagnosed(folder: Path) -> dict:
    """What the diagnosis in a run's folder says of its faults: `expected`, a cause -> nats per reply token where that was
    measured, and otherwise less the further down it stands; and `measured`, the settings that did harm, key -> value."""
    causes = json_in(folder / "diagnosis.json").get("causes", [])
    expected = {one["id"]: one["cost"]["nats"] if one["cost"] else 0.001 / at for at, one in enumerate(causes, 1)}
    entry = next(iter(json_in(folder / "training.json").get("configs", [])), {})
    harms = any(one["id"] == "learning_rate" and one["kind"] not in ("slight", "note") for one in causes)
    rate = entry.get("learning_rate")
    return {"expected": expected, "measured": {"learning_rate": rate} if harms and rate else {}}
