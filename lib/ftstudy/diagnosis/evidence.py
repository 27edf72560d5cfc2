"""What a run's results say, by the names under which the diagnosis asks for it."""

import math
from pathlib import Path

from ..files import read_json


def read(run: Path, names) -> dict:
    """The content of a run's JSON files by name, such as "training"; None for a file that isn't there. Raises StudyError if
    one is damaged."""
    paths = {name: run / f"{name}.json" for name in names}
    return {name: read_json(path) if path.is_file() else None for name, path in paths.items()}


def gather(results: dict, run: str = "", not_measured: str = "") -> dict:
    """The evidence of a run. `results`: from `read`.

    Returns `findings` (of the run's own config, as in findings.json), `trained` (its entry of training.json, or None),
    `losses` [(iteration, validation loss)], `rows` (of train.jsonl, or None), `app` (the name of the app's format;
    "aligned" if it asks as training does, or is not known), `between` (left model, left format, right model, right
    format -> difference), `arms` and `written` ((model, format) -> row), `person` (the same measures of the true
    replies), `longest`, `formats`, `comparison` and `proof` (as in their files). How the run was asked for: `run`, `given` (the audit's
    parameters), `inference`, `not_measured`.
    """
    comparison, audited = results.get("comparison") or {}, results.get("format_audit") or {}
    entries = (results.get("training") or {"configs": []})["configs"]
    name = comparison.get("trained")
    trained = next((entry for entry in entries if name in (None, entry["name"])), None)
    generated = comparison.get("generated") or {"arms": []}
    return {
        "findings": audited.get("own_findings") or [],
        "trained": trained,
        "losses": _losses(trained),
        "rows": _rows(trained, results.get("extraction")),
        "app": comparison.get("app", "aligned"),
        "between": {(*row["left"], *row["right"]): row for row in comparison.get("differences", [])},
        "arms": {(arm["model"], arm["format"]): arm for arm in comparison.get("arms", [])},
        "written": {(arm["model"], arm["format"]): arm for arm in generated["arms"]},
        "person": (generated.get("ceiling") or {}).get("measures") or {},
        "longest": generated.get("longest"),
        "formats": comparison.get("formats", []),
        "comparison": comparison,
        "proof": results.get("proof"),
        "run": run,
        "not_measured": not_measured,
        "given": audited.get("given") or {},
        "inference": audited.get("asked_for") or "",
    }


def gain(found: dict, name: str = "aligned") -> dict | None:
    """Tuned minus base, both under the format `name`; None where an arm is missing."""
    return found["between"].get(("tuned", name, "base", name))


def against(found: dict, retrieved: bool) -> dict | None:
    """Tuned minus base with examples in its prompt: the same ones for every reply, or the most similar ones."""
    names = [one["name"] for one in found["formats"] if one.get("shots") and bool(one.get("retrieved")) == retrieved]
    rows = (found["between"].get(("tuned", "aligned", "base", name)) for name in names)
    return next(filter(None, rows), None)


def writes(found: dict) -> dict:
    """What the tuned model writes with the app's prompt or, if that wasn't measured, with training's; {} if neither was."""
    return found["written"].get(("tuned", found["app"])) or found["written"].get(("tuned", "aligned")) or {}


def beyond(found: dict, key: str, written: dict) -> float:
    """The share of the replies that are `key` (empty, looping, copied), beyond that of the person's own replies."""
    return max(0.0, (written.get(key) or 0.0) - (found["person"].get(key) or 0.0))


def _losses(trained: dict | None) -> list[tuple[int, float]]:
    curve = [(row["iteration"], row.get("validation_loss")) for row in (trained or {}).get("curve") or []]
    return [(at, loss) for at, loss in curve if loss is not None and math.isfinite(loss)]


def _rows(trained: dict | None, extraction: dict | None) -> int | None:
    described = (extraction or {}).get("rows")
    if trained:
        return trained["examples"]
    return next((one["rows"] for one in described["splits"] if one["split"] == "train"), 0) if described else None
