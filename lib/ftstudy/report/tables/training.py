"""Tables of a training, its adapter and its checkpoints."""

from ...wording import interval, number, verdict
from .shared import RANGE, Table, table


def checkpoints(found: dict) -> Table:
    """`found`: `checkpoints` of training.json."""
    return table(
        "Every checkpoint on the same held-out replies, prompted as in training. Lower is better.",
        found["rows"],
        checkpoint=("Checkpoint", lambda row: _checkpoint(row["iteration"], found)),
        nats_per_reply_token="Nats per reply token",
        range=RANGE,
        base=("Against the base", lambda row: _with_bounds(row["to_base"])),
        lowest=("Against the lowest", lambda row: _with_bounds(row["to_lowest"])),
    )


def _with_bounds(row: dict | None) -> str:
    if row is None:
        return "–"
    bounds = f" ({interval(row['interval'], signed=True)})" if row["interval"] else ""
    return f"{number(row['nats_per_reply_token'], signed=True)}{bounds} {verdict(row)}"


def _checkpoint(iteration: int, found: dict) -> str:
    marks = [mark for mark, at in (("the adapter", found["own"]), ("keep this", found["keep"])) if at == iteration]
    if iteration == found["own"] and not found.get("known", True):
        return ", ".join(marks)
    name = f"iteration {iteration:,}" if iteration else "base model"
    return f"{name} ({', '.join(marks)})" if marks else name


def adapter(adapts: dict) -> Table:
    """What an adapter adapts; `adapts`: of an entry in training.json."""
    layers, progress = adapts["layers"], adapts["progress"]
    span = f"{layers[0]} to {layers[-1]} ({len(layers)})" if layers else "none"
    kinds = {"lora": "LoRA", "dora": "DoRA", "full": "all weights of these modules (no adapter)"}
    whole = f"{len(adapts['zero'])} of {adapts['tensors']} tensors are all zero" if adapts["zero"] else "yes"
    asked, last = progress["asked"], progress["last"]
    complete = "cannot be told: there are no numbered checkpoints" if last is None else "yes"
    if progress["stopped"]:
        complete = f"no: stopped at iteration {last:,} of {asked:,}"
    values = {
        "Kind": kinds.get(adapts["kind"], adapts["kind"]),
        "Modules": ", ".join(adapts["modules"]),
        "Layers": span,
        "Rank": ", ".join(map(str, adapts["rank"])) or "–",
        "Scale": ", ".join(f"{scale:g}" for scale in adapts["scale"]) or "–",
        "Whole": whole,
        "Complete": complete,
    }
    return _listed(values, "What the adapter adapts")


def _listed(values: dict[str, str], caption: str = "") -> Table:
    rows = [{"what": what, "value": value} for what, value in values.items()]
    return rows, {"what": "What", "value": "Value"}, caption


def trained(entry: dict) -> Table:
    """What was trained; `entry`: one of `configs` in training.json."""
    kept, values = entry["kept"], {}
    values["Parameters trained"] = f"{number(entry['parameters_trained'])} of {number(entry['parameters'])}"
    values["Examples, epochs"] = f"{number(entry['examples'])}, {number(float(entry['epochs']), 2)}"
    values["Tokens in the loss"] = number(entry["tokens_in_loss"])
    if kept and kept["validation_loss"] is not None:
        loss = f"the best on the validation rows: {number(kept['validation_loss'])} nats per trained token"
        values["Checkpoint kept"] = f"iteration {kept['iteration']:,} of {number(entry['iterations'])}, {loss}"
    if entry["stopped"]:
        values["Stopped"] = entry["stopped"]
    return _listed(values)


LOSS_PARTS = {
    "reply": "the reply",
    "end_of_turn": "its end-of-turn token",
    "prompt": "the prompt",
    "after_end": "text after the end of the turn",
    "padding": "padding",
}


def loss_shares(here: dict, stock: dict) -> Table:
    """`here`, `stock`: `loss_tokens` and `stock_loss_tokens` of an entry of training.json."""
    sides = {"here": here, "stock": stock}
    rows = [
        {"part": label} | {side: f"{found[part] / (found['total'] or 1):.1%}" for side, found in sides.items()}
        for part, label in LOSS_PARTS.items()
    ]
    rows.append(
        {"part": "tokens without loss, of all tokens"}
        | {side: f"{found['masked_share']:.1%}" for side, found in sides.items()}
    )
    columns = {"part": "Part of the example", "here": "This run", "stock": "Stock mlx-lm"}
    return rows, columns, f"Share of the loss tokens in the first {here['rows']:,} rows"
