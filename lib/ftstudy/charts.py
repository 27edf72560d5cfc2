"""The study's pictures, as matplotlib figures."""

from matplotlib.figure import Figure

COLOURS = {"base": "#8a8f98", "tuned": "#0b6e99"}


def loss_curve(curve: list[dict], kept: dict | None = None) -> Figure:
    """Training and validation loss (nats a trained token) over iterations, with a ring about the checkpoint that was
    kept, {"iteration", "validation_loss"}."""
    figure = Figure(figsize=(7, 3.4))
    axes = figure.subplots()
    for key, label, style in (("train_loss", "training", ".-"), ("validation_loss", "validation", "o--")):
        points = [(row["iteration"], row[key]) for row in curve if key in row]
        if points:
            axes.plot(
                *zip(*points), style, label=label, markersize=4, color="#0b6e99" if key == "train_loss" else "#d1495b"
            )
    if kept and kept["validation_loss"] is not None:
        at = (kept["iteration"], kept["validation_loss"])
        axes.plot(*at, "o", markersize=11, fillstyle="none", color="#d1495b", label="kept")
    axes.set(xlabel="iteration", ylabel="loss (nats a trained token)")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def arms(arms: list[dict]) -> Figure:
    """Nats per reply token of each arm with its 95% interval; further left is better."""
    figure = Figure(figsize=(7, 0.9 + 0.45 * len(arms)))
    axes = figure.subplots()
    for at, arm in enumerate(reversed(arms)):
        colour = COLOURS.get(arm["model"], "#0b6e99")
        axes.plot(arm["interval"], [at, at], color=colour, linewidth=3, alpha=0.45, solid_capstyle="round")
        axes.plot([arm["nats_per_reply_token"]], [at], "o", color=colour)
    axes.set_yticks(range(len(arms)), [f"{arm['model']}, {arm['format']}" for arm in reversed(arms)])
    axes.set(xlabel="negative log-likelihood (nats per reply token)")
    axes.margins(y=0.2)
    axes.grid(axis="x", alpha=0.25)
    return figure
