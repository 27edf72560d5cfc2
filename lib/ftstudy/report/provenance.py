"""Where a report's numbers come from: versions, contents, seed, machine, time, and the command that makes them again."""

from pathlib import Path

from .. import __version__
from ..errors import StudyError
from ..files import read_json
from ..wording import count, number

PACKAGES = ("python", "mlx", "mlx-lm", "transformers", "numpy")
SHOWN = 12  # hexadecimal digits of a sha256: enough to tell two contents apart


def rows(run: Path, results: dict, trained: dict | None, again: str) -> list[dict]:
    """{"what", "value"} rows. `results`: the content of the run's JSON files by name, None for a missing one;
    `trained`: the run's entry of training.json; `again`: the command."""
    cost, stamps = results["cost"] or {}, _stamps(run)
    steps = {name: spent for name, spent in cost.items() if isinstance(spent, dict) and "finished" in spent}
    packages = stamps[-1]["packages"] if stamps else {}
    versions = [f"ftstudy {__version__}", *(f"{name} {packages[name]}" for name in PACKAGES if name in packages)]
    found = {
        "Measured": max((spent["finished"] for spent in steps.values()), default="") and _when(steps),
        "On": _machine(cost.get("machine")),
        "Versions": ", ".join(versions),
        "Base model": (trained or {}).get("model", ""),
        "Run id of the training": (trained or {}).get("run_id") or "",
        "Seeds": _seeds(results["comparison"]),
        "Rerun with": again,
    }
    return [{"what": what, "value": value} for what, value in found.items() if value]


def contents(run: Path) -> list[dict]:
    """{"file", "sha256"} rows: the files and values that the results were made from, as they were then."""
    reads = {}
    for stamp in _stamps(run):
        reads |= {name: content for name, content in stamp["reads"].items() if content}
    return [{"file": name, "sha256": content[:SHOWN]} for name, content in sorted(reads.items())]


def durations(cost: dict | None) -> list[dict]:
    """{"step", "seconds", "memory", "finished"} rows, in the order of the study."""
    steps = {name: spent for name, spent in (cost or {}).items() if "seconds" in spent}
    return [
        {
            "step": name,
            "seconds": number(spent["seconds"], 0),
            "memory": number(spent.get("peak_memory_gigabytes"), 1),
            "finished": spent.get("finished", "–"),
        }
        for name, spent in sorted(steps.items(), key=lambda item: item[1].get("finished", ""))
    ]


def last(cost: dict | None) -> str:
    """The day when the run was last measured; empty if that is not known."""
    return max((one["finished"] for one in durations(cost) if one["finished"] != "–"), default="")[:10]


def _stamps(run: Path) -> list[dict]:
    """The stages' stamps, in order; what can't be read counts as missing."""
    found = []
    for path in sorted((run / "stamps").glob("0*.json")):
        try:
            stamp = read_json(path)
        except (StudyError, ValueError):
            continue
        if isinstance(stamp, dict) and {"reads", "packages"} <= set(stamp):
            found.append(stamp)
    return found


def _when(steps: dict) -> str:
    total = sum(spent["seconds"] for name, spent in steps.items() if not name.startswith("training "))
    latest = max(spent["finished"] for spent in steps.values())
    return f"{latest} UTC, in {count(max(1, round(total / 60)), 'minute')} of notebooks"


def _machine(machine: dict | None) -> str:
    if not machine:
        return ""
    return f"{machine['system']}, {machine['processor']}, {count(machine['cores'] or 1, 'core')}"


def _seeds(comparison: dict | None) -> str:
    seeds = {model["seed"] for model in (comparison or {"models": []})["models"] if model.get("seed") is not None}
    return ", ".join(map(str, sorted(seeds)))
