"""The debug report: one self-contained HTML file, built from a run's JSON results."""

from pathlib import Path

from .. import diagnosis, wording
from ..compare import preference, style_similarity
from ..errors import StudyError
from ..files import read_json, write_text
from ..paths import shown
from . import charts, conclusions, render, tables

RESULTS = ("extraction", "findings", "format_audit", "training", "comparison", "cost")

# What notebook 03 adds to an entry of training.json, and `ftstudy train` does not measure.
BY_NOTEBOOK = {"loss_tokens": None, "stock_loss_tokens": None, "stock": []}


def build(run: Path, not_measured: str = "") -> Path:
    """Write `index.html` and `diagnosis.json` into the run's folder and return the page's path. What was not measured, the report leaves out.

    `not_measured`: why no model was compared, if none was.

    Raises StudyError if nothing was: the run has no extraction.json and no format_audit.json.
    """
    results = {name: _result(run / f"{name}.json") for name in RESULTS}
    if not results["extraction"] and not results["format_audit"]:
        raise StudyError(
            f"{shown(run)} has no results to report on. Run `ftstudy diagnose` on your config, or `make report`, or "
            "correct the run's name."
        )
    diagnosed = diagnosis.write(run, not_measured)
    entries = (results["training"] or {"configs": []})["configs"]
    comparison = results["comparison"]
    name = comparison["trained"] if comparison else None
    trained = next((entry for entry in entries if name in (None, entry["name"])), None)
    if trained:
        trained = BY_NOTEBOOK | trained
    findings = (results["format_audit"] or {"own_findings": []})["own_findings"]
    made, pictures = _comparison(comparison, results["cost"] or {}) if comparison else ({}, {})
    if trained and trained["curve"]:
        curve = charts.loss_curve(trained["curve"], trained["kept"])
        pictures["loss"] = (curve, "Training and validation loss over iterations")
    if trained and trained.get("adapts") and trained["adapts"]["by_layer"]:
        moved = charts.updates(trained["adapts"]["by_layer"])
        pictures["updates"] = (moved, "How far the adapter moves each layer, in percent of its weights")
    if trained and trained.get("adapts"):
        made["adapter"] = tables.adapter(trained["adapts"])
    if trained and trained.get("checkpoints"):
        made["checkpoints"] = tables.checkpoints(trained["checkpoints"])
        pictures["checkpoints"] = (
            charts.checkpoints(trained["checkpoints"]),
            "Nats per reply token of each checkpoint",
        )
    page = render.fragment(
        "report",
        run=run.name,
        not_measured=not_measured,
        diagnosis=diagnosed,
        **results,
        trained=trained,
        say=conclusions,
        masked=wording.masked,
        findings_of_data=[one for one in findings if one["check"].startswith("data.")],
        other_findings=[one for one in findings if not one["check"].startswith("data.")],
        between={(*row["left"], *row["right"]): row for row in (comparison or {"differences": []})["differences"]},
        copied_words=style_similarity.COPIED_WORDS,
        preference=comparison and preference.result(comparison["preference_pairs"], preference.choices(run)),
        tables={name: render.table(*table) if table[0] else "" for name, table in made.items()},
        rows_tables=_rows_tables(results["extraction"]),
        pictures={name: render.picture(*picture) for name, picture in pictures.items()},
    )
    write_text(run / "index.html", str(page))
    return run / "index.html"


def _result(path: Path) -> dict | None:
    return read_json(path) if path.is_file() else None


def _rows_tables(extraction: dict | None) -> list[str]:
    described = extraction and extraction.get("rows")
    found = [tables.splits(described), tables.frequent(described)] if described else []
    return [render.table(*table) for table in found if table[0]]


def _comparison(comparison: dict, cost: dict) -> tuple[dict, dict]:
    """The tables and the pictures of a comparison, by name."""
    arms, other_arms = _main_and_others(comparison, "arms", lambda arm: (arm["model"], arm["format"]))
    differences, other_differences = _main_and_others(comparison, "differences", lambda row: row["left"])
    quality = tables.quality(comparison["arms"], comparison["models"], cost)
    made = {
        "arms": tables.arms(arms),
        "differences": tables.differences(differences),
        "other_arms": tables.arms(other_arms),
        "other_differences": tables.differences(other_differences),
        "attribution": tables.attribution(comparison["attribution"]),
        "attribution_every": tables.attribution(comparison["attribution_every"]),
        "training_formats": tables.training_formats(comparison["training_formats"]),
        "archaeology": tables.archaeology(comparison["archaeology"]["ranked"]),
        "generated": tables.generated(comparison["generated"]),
        **{
            name: getattr(tables, name)(comparison[name])
            for name in ("ability", "regurgitation")
            if comparison.get(name)
        },
        "style": tables.style(comparison["generated"]),
        "quality": quality,
        "costs": tables.costs(cost.get("arms", {})),
        "left_out": tables.left_out(comparison["left_out"]),
        "claims": tables.claims(comparison["claims"]),
    }
    pictures = {
        "arms": (charts.arms(arms), "Nats per reply token of each arm with its interval"),
        "attribution": (charts.attribution(comparison["attribution"]), "Each fault's Shapley share with its interval"),
        "quality": (charts.quality(quality[0]), "Bits per byte over seconds of training"),
    }
    return made, pictures


def _main_and_others(comparison: dict, key: str, arm_of) -> tuple[list[dict], list[dict]]:
    """Rows about the main models, and about others as they were trained or as the app asks; then all other rows."""
    own = {model["name"]: model["own"] for model in comparison["models"]}
    split = ([], [])
    for row in comparison[key]:
        model, name = arm_of(row)
        split[not (model in ("base", "tuned") or name in (own[model], "aligned", comparison["app"]))].append(row)
    return split
