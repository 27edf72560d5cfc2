"""The debug report: one self-contained HTML file, built from a run's JSON results."""

from collections.abc import Callable
from pathlib import Path

from ..compare import preference, style_similarity
from ..files import read_json, write_text
from . import charts, render, tables

RESULTS = ("extraction", "findings", "format_audit", "training", "comparison", "cost")


def build(run: Path) -> Path:
    """Write `index.html` into the run's folder and return its path.

    Raises StudyError where one of the run's results is missing.
    """
    results = {name: read_json(run / f"{name}.json") for name in RESULTS}
    comparison, cost = results["comparison"], results["cost"]
    entries = {entry["name"]: entry for entry in results["training"]["configs"]}
    trained = entries[comparison["trained"]]
    arms, other_arms = _apart(comparison["arms"], comparison, lambda arm: (arm["model"], arm["format"]))
    differences, other_differences = _apart(comparison["differences"], comparison, lambda row: row["left"])
    quality = tables.quality(comparison["arms"], comparison["models"], cost)
    page = render.fragment(
        "report",
        run=run.name,
        **results,
        trained=trained,
        between=_between(comparison),
        copied_words=style_similarity.COPIED_WORDS,
        preference=preference.result(comparison["preference_pairs"], preference.choices(run)),
        tables={
            "arms": render.table(*tables.arms(arms)),
            "differences": render.table(*tables.differences(differences)),
            "other_arms": render.table(*tables.arms(other_arms)) if other_arms else None,
            "other_differences": render.table(*tables.differences(other_differences)),
            "attribution": render.table(*tables.attribution(comparison["attribution"])),
            "attribution_every": render.table(*tables.attribution(comparison["attribution_every"])),
            "training_formats": render.table(*tables.training_formats(comparison["training_formats"])),
            "archaeology": render.table(*tables.archaeology(comparison["archaeology"]["ranked"])),
            "generated": render.table(*tables.generated(comparison["generated"])),
            "style": render.table(*tables.style(comparison["generated"])),
            "quality": render.table(*quality),
            "costs": render.table(*tables.costs(cost.get("arms", {}))),
            "left_out": render.table(*tables.left_out(comparison["left_out"])),
        },
        pictures={
            "loss": render.picture(
                charts.loss_curve(trained["curve"], trained["kept"]), "Training and validation loss over iterations"
            ),
            "arms": render.picture(charts.arms(arms), "Nats per reply token of each arm with its interval"),
            "attribution": render.picture(
                charts.attribution(comparison["attribution"]),
                "Each fault's Shapley share of the cost, with its interval",
            ),
            "quality": render.picture(charts.quality(quality[0]), "Bits per byte over seconds of training"),
        },
    )
    write_text(run / "index.html", str(page))
    return run / "index.html"


def _apart(rows: list[dict], comparison: dict, arm_of: Callable) -> tuple[list[dict], list[dict]]:
    """The rows on the main models, and on others as they were trained or asked; and the rest, a long list in a full run."""
    own = {model["name"]: model["own"] for model in comparison["models"]}
    shown = [
        arm_of(row)[0] in ("base", "tuned") or arm_of(row)[1] in (own[arm_of(row)[0]], "aligned", comparison["app"])
        for row in rows
    ]
    return [row for row, on in zip(rows, shown) if on], [row for row, on in zip(rows, shown) if not on]


UNKNOWN = {"nats_per_reply_token": None, "interval": None, "verdict": "not measured", "end_of_turn": None}


def _between(comparison: dict) -> dict:
    """The differences that the report speaks of: tuned minus base under each of the two formats, and
    what the inference format costs (`mismatch`) each model, where there is one."""
    by_arms = {(*row["left"], *row["right"]): row for row in comparison["differences"]}
    app = comparison["app"]
    asked = dict.fromkeys(("aligned", app))
    costs = {model: by_arms.get((model, app, model, "aligned")) for model in ("base", "tuned")}
    return {
        "gain": {name: by_arms.get(("tuned", name, "base", name), UNKNOWN) for name in asked},
        "mismatch": {model: cost for model, cost in costs.items() if cost},
    }
