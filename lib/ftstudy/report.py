"""The debug report: one self-contained HTML file, built from a run's JSON results."""

from pathlib import Path

from . import charts, render
from .files import read_json, write_text

RESULTS = ("extraction", "findings", "format_audit", "training", "comparison", "cost")


def build(run: Path) -> Path:
    """Write `index.html` into the run's folder and return its path.

    Raises StudyError where one of the run's results is missing.
    """
    results = {name: read_json(run / f"{name}.json") for name in RESULTS}
    training = results["training"]["configs"][0]
    comparison = results["comparison"]
    page = render.fragment(
        "report",
        run=run.name,
        **results,
        trained=training,
        between=_between(comparison),
        pictures={
            "loss": render.picture(
                charts.loss_curve(training["curve"], training["kept"]), "Training and validation loss over iterations"
            ),
            "arms": render.picture(
                charts.arms(comparison["arms"]), "Nats per reply token of each arm with its interval"
            ),
        },
        samples_shown=comparison["samples"][:6],
    )
    write_text(run / "index.html", str(page))
    return run / "index.html"


def _between(comparison: dict) -> dict:
    """The differences that the report speaks of: tuned minus base under each format, and
    what the inference format costs (`mismatch`) each model, where there is one."""
    by_arms = {(*row["left"], *row["right"]): row for row in comparison["differences"]}
    formats = comparison["formats"]
    return {
        "gain": {name: by_arms["tuned", name, "base", name] for name in formats},
        "mismatch": {
            model: by_arms[model, formats[1], model, formats[0]] for model in ("base", "tuned") if len(formats) > 1
        },
    }
