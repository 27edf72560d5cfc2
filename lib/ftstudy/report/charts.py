"""The study's pictures, as matplotlib figures."""

import textwrap

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..printable import cut, one_line
from ..wording import arm_name, capitalized, format_name

matplotlib.rcParams["text.parse_math"] = False  # a $ in a name is a $
BASE, TUNED, OTHER, BAD, INK = "#8a8f99", "#0b6e99", "#d1495b", "#b3261e", "#000000"
COLOURS = {"base": BASE, "tuned": TUNED}
# How render.picture writes them: in the colours of the page or the notebook around it, whatever its theme.
THEME = {
    INK: "currentColor",
    BASE: "var(--chart-base, #8a8f99)",
    TUNED: "var(--chart-tuned, #2a8fbd)",
    OTHER: "var(--chart-other, #d1495b)",
    BAD: "var(--chart-bad, #d1495b)",
}


def _empty(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, height))
    return figure, figure.subplots()


def loss_curve(curve: list[dict], kept: dict | None = None) -> Figure:
    """Training and validation loss (nats per trained token) over iterations.

    `kept`: the checkpoint to draw a ring around, {"iteration", "validation_loss"}.
    """
    figure, axes = _empty(3.4)
    for key, label, style in (("train_loss", "training", ".-"), ("validation_loss", "validation", "o--")):
        points = [(row["iteration"], row[key]) for row in curve if key in row]
        if points:
            axes.plot(*zip(*points), style, label=label, markersize=4, color=TUNED if key == "train_loss" else OTHER)
    if kept and kept["validation_loss"] is not None:
        at = (kept["iteration"], kept["validation_loss"])
        axes.plot(*at, "o", markersize=11, fillstyle="none", color=OTHER, label="kept")
    axes.set(xlabel="iteration", ylabel="loss (nats per trained token)")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def rows(described: dict) -> Figure:
    """How long the replies are, and how many messages the rows have; `described`: from `describe`."""
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    sides = (("lengths", "characters of the reply"), ("turns", "messages of the row"))
    for axes, (key, label) in zip(figure.subplots(1, 2), sides):
        axes.hist(described[key], bins=min(30, len(set(described[key])) or 1), color=TUNED)
        axes.set(xlabel=label, ylabel="rows")
        axes.grid(axis="y", alpha=0.25)
    return figure


def arms(arms: list[dict]) -> Figure:
    """Nats per reply token of each arm with its 95% interval. Further left is better."""
    rows = [(arm_name(arm["model"], arm["format"]), arm["nats_per_reply_token"], arm["interval"]) for arm in arms]
    colours = [COLOURS.get(arm["model"], TUNED) for arm in arms]
    return _intervals(rows, colours, "negative log-likelihood (nats per reply token)")


def attribution(found: dict) -> Figure:
    """Each fault's Shapley share of the prompt's cost by model, with its 95% interval. Right of zero is a cost."""
    shares = [(model, one) for model, result in found.items() if result for one in result["shares"]]
    rows = [
        (f"{model}: {format_name(one['fault'])}", one["nats_per_reply_token"], one["interval"]) for model, one in shares
    ]
    return _costs(rows, [COLOURS.get(model, TUNED) for model, _ in shares])


def updates(layers: list[dict]) -> Figure:
    """How far the adapter moves each layer, in percent of its adapted weights; `layers`: `adapts.by_layer`."""
    figure, axes = _empty(3.0)
    names = ["outside" if row["layer"] is None else str(row["layer"]) for row in layers]
    axes.bar(names, [100 * row["relative"] for row in layers], color=COLOURS["tuned"], width=0.7)
    axes.set(xlabel="layer", ylabel="‖update‖ / ‖weights‖ (%)")
    axes.grid(axis="y", alpha=0.25)
    return figure


def checkpoints(found: dict) -> Figure:
    """Nats per reply token of the base and each checkpoint with its 95% interval; a ring marks the one to keep.

    `found`: `checkpoints` of training.json.
    """
    figure, axes = _empty(3.4)
    rows = [row for row in found["rows"] if row["nats_per_reply_token"] is not None]
    for row in rows:
        at, colour = row["iteration"], COLOURS["tuned" if row["iteration"] else "base"]
        if row["interval"]:
            axes.plot([at, at], row["interval"], color=colour, linewidth=3, alpha=0.45, solid_capstyle="round")
        axes.plot(at, row["nats_per_reply_token"], "o", color=colour)
        if at == found["keep"]:
            axes.plot(at, row["nats_per_reply_token"], "o", markersize=12, fillstyle="none", color=OTHER)
    axes.plot([row["iteration"] for row in rows], [row["nats_per_reply_token"] for row in rows], color=TUNED, alpha=0.4)
    axes.set(xlabel="iteration (0: the base model)", ylabel="nats per reply token")
    axes.grid(alpha=0.25)
    return figure


def quality(rows: list[dict]) -> Figure:
    """Bits per byte of the replies over seconds of training. Lower and further left is better."""
    figure, axes = _empty(3.6)
    for row in rows:
        if row["seconds"] is not None and row["bits_per_byte"] is not None:
            axes.plot(row["seconds"], row["bits_per_byte"], "o", color=COLOURS.get(row["model"], TUNED))
            axes.annotate(
                one_line(row["model"]),
                (row["seconds"], row["bits_per_byte"]),
                xytext=(6, 4),
                textcoords="offset points",
            )
    axes.set(xlabel="training (seconds)", ylabel="bits per byte of the reply")
    axes.margins(0.2)
    axes.grid(alpha=0.25)
    return figure


def _intervals(rows: list[tuple], colours: list[str], label: str) -> Figure:
    """(name, value, interval or None) rows, the first on top."""
    figure, axes = _empty(0.9 + 0.36 * max(len(rows), 1))
    for at, ((_, value, interval), colour) in enumerate(zip(reversed(rows), reversed(colours))):
        if interval is not None:
            axes.plot(interval, [at, at], color=colour, linewidth=3, alpha=0.45, solid_capstyle="round")
        if value is not None:
            axes.plot([value], [at], "o", color=colour)
    axes.set_yticks(range(len(rows)), ["\n".join(map(one_line, name.split("\n"))) for name, _, _ in reversed(rows)])
    axes.set(xlabel=label)
    axes.margins(y=0.2)
    axes.grid(axis="x", alpha=0.25)
    return figure


def _costs(rows: list[tuple], colours: list[str]) -> Figure:
    """As `_intervals`, with a line at no cost."""
    figure = _intervals(rows, colours, "cost (nats per reply token)")
    figure.axes[0].axvline(0, color=INK, linewidth=0.8)
    return figure


def slopes(rows: list[dict]) -> Figure:
    """From base to tuned, a line for each prompt that both were asked with: nats per reply token, less is higher up.

    `rows`: {"name", "base", "tuned"}. Bases that saw examples have no "tuned": a dotted line across.
    """
    figure, axes = _empty(3.6)
    both = [row for row in rows if row["tuned"] is not None]
    for row, style in zip(both, ("o-", "s--", "^-.", "D:") * len(both)):
        axes.plot([0, 1], [row["base"], row["tuned"]], style, color=TUNED, label=one_line(row["name"]))
    for row, style in zip((row for row in rows if row["tuned"] is None), (":", "-.") * len(rows)):
        axes.axhline(row["base"], linestyle=style, color=OTHER, linewidth=1.4, label=one_line(row["name"]))
    axes.set_xticks([0, 1], ["base model", "fine-tuned"])
    axes.set(ylabel="nats per reply token (higher up: likelier)", xlim=(-0.15, 1.15))
    axes.invert_yaxis()
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def costs(causes: list[dict]) -> Figure:
    """What each cause costs, with its 95% interval where there is one; `causes`: of the diagnosis, with a cost."""
    rows = [(_named(one), one["cost"]["nats"], one["cost"]["interval"]) for one in causes]
    return _costs(rows, [BAD if one["kind"] != "slight" else BASE for one in causes])


def proof(found: dict) -> Figure:
    """What each fault costs when it alone is left in; `found`: the content of proof.json."""
    rows = [one for one in found["faults"] if one["cost"]]
    values = [(capitalized(one["fault"]), one["cost"]["nats_per_reply_token"], one["cost"]["interval"]) for one in rows]
    colours = {"worse": BAD, "better": TUNED}
    return _costs(values, [colours.get(one["cost"]["verdict"], BASE) for one in rows])


def _named(cause: dict) -> str:
    """A cause in two lines at most; the faults of a prompt by their names, because their titles begin alike."""
    if cause["id"].startswith("prompt: "):
        return format_name(cause["id"].removeprefix("prompt: "))
    return "\n".join(textwrap.wrap(cut(one_line(cause["what"]), 70), 38))


def funnel(steps: list[dict]) -> Figure:
    """What was left after each step that removed something; `steps`: `funnel` of extraction.json."""
    told = [one for at, one in enumerate(steps) if at == 0 or one["removed"]]
    figure, axes = _empty(0.7 + 0.3 * len(told))
    colours = [TUNED if one["unit"] == "replies" else BASE for one in told]
    axes.barh(range(len(told)), [one["left"] for one in told], color=colours, height=0.7)
    names = [cut(f"{'' if at == 0 else 'without: '}{one_line(one['step'])}", 44) for at, one in enumerate(told)]
    axes.set_yticks(range(len(told)), names)
    for at, one in enumerate(told):
        axes.annotate(
            f"{one['left']:,} {one['unit']}", (one["left"], at), xytext=(4, 0), textcoords="offset points", va="center"
        )
    axes.invert_yaxis()
    axes.set(xlabel="left after this step")
    axes.margins(x=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
