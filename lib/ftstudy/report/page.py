"""The debug report: one self-contained HTML file, built from a run's JSON results."""

from pathlib import Path

from ..compare import preference, style_similarity
from ..files import read_json, write_text
from . import charts, conclusions, render, tables

RESULTS = ("extraction", "findings", "format_audit", "training", "comparison", "cost")


def build(run: Path) -> Path:
    """Write `index.html` into the run's folder and return its path.

    Raises StudyError if one of the run's results is missing.
    """
    results = {name: read_json(run / f"{name}.json") for name in RESULTS}
    comparison, cost = results["comparison"], results["cost"]
    trained = next(entry for entry in results["training"]["configs"] if entry["name"] == comparison["trained"])
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
        "style": tables.style(comparison["generated"]),
        "quality": quality,
        "costs": tables.costs(cost.get("arms", {})),
        "left_out": tables.left_out(comparison["left_out"]),
        "claims": tables.claims(comparison["claims"]),
    }
    pictures = {
        "loss": (charts.loss_curve(trained["curve"], trained["kept"]), "Training and validation loss over iterations"),
        "arms": (charts.arms(arms), "Nats per reply token of each arm with its interval"),
        "attribution": (charts.attribution(comparison["attribution"]), "Each fault's Shapley share with its interval"),
        "quality": (charts.quality(quality[0]), "Bits per byte over seconds of training"),
    }
    page = render.fragment(
        "report",
        run=run.name,
        **results,
        trained=trained,
        say=conclusions,
        other_findings=[one for one in results["findings"]["findings"] if not one["check"].startswith("data.")],
        between={(*row["left"], *row["right"]): row for row in comparison["differences"]},
        copied_words=style_similarity.COPIED_WORDS,
        preference=preference.result(comparison["preference_pairs"], preference.choices(run)),
        tables={name: render.table(*table) if table[0] else "" for name, table in made.items()},
        pictures={name: render.picture(*picture) for name, picture in pictures.items()},
    )
    write_text(run / "index.html", str(page))
    return run / "index.html"


def _main_and_others(comparison: dict, key: str, arm_of) -> tuple[list[dict], list[dict]]:
    """Rows about the main models, and about others as they were trained or as the app asks; then all other rows."""
    own = {model["name"]: model["own"] for model in comparison["models"]}
    split = ([], [])
    for row in comparison[key]:
        model, name = arm_of(row)
        split[not (model in ("base", "tuned") or name in (own[model], "aligned", comparison["app"]))].append(row)
    return split
