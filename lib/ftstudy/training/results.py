"""The results of a run's configs: one entry per config in training.json, its cost in cost.json."""

from pathlib import Path

from .. import resource_use
from ..engine import machine
from ..errors import StudyError
from ..files import read_json, update_json
from ..models import adapters
from ..paths import absolute, shown


def save_result(run: Path, result: dict) -> None:
    """Write what `train` or `existing.take` returned into the run's training.json, replacing its earlier entry.

    What an adapter that existed already has cost is not known, and not recorded.
    """
    result = dict(result)
    if spent := result.pop("cost", None):
        speed = round(spent["tokens"] / spent["seconds"], 1) if spent["seconds"] else None
        room = machine.memory()
        more = {"machine_memory_gigabytes": round(room / 1e9, 1)} if room else {}
        resource_use.record(run, f"training {result['name']}", spent["seconds"], tokens_per_second=speed, **more)
    update_json(
        run / "training.json",
        lambda found: {"configs": [result, *_others(found, result["name"])]},
        {"configs": []},
    )


def remove_result(run: Path, name: str) -> None:
    """Remove a config's entry: a run that is about to start makes it stale, and may fail."""
    if (run / "training.json").is_file():
        update_json(run / "training.json", lambda found: {"configs": _others(found, name)}, {"configs": []})


def find_result(run: Path, name: str) -> dict | None:
    """A config's entry in training.json, or None."""
    return next((entry for entry in _entries(run) if entry["name"] == name), None)


def load_result(run: Path, name: str) -> dict:
    """A config's entry in training.json. Raises StudyError if there is none, or its adapter has been replaced."""
    entries = read_json(run / "training.json")["configs"]
    entry = find_result(run, name)
    if entry is None:
        raise StudyError(
            f"{shown(run / 'training.json')} has no run of {name}, only of "
            f"{', '.join(entry['name'] for entry in entries) or 'nothing'}. Train it first (notebook 03, make train)."
        )
    if adapters.identity(absolute(entry["adapter"])) != entry["run_id"]:
        again = "Run notebook 03 again" if entry.get("existing") else "Train it again (notebook 03, make train)"
        raise StudyError(
            f"{entry['adapter']} isn't the adapter described in {shown(run / 'training.json')}: something else was "
            f"trained into that folder since, or it was moved. {again}."
        )
    return entry


def _entries(run: Path) -> list[dict]:
    path = run / "training.json"
    return read_json(path)["configs"] if path.is_file() else []


def _others(found: dict, name: str) -> list[dict]:
    return [entry for entry in found["configs"] if entry["name"] != name]
