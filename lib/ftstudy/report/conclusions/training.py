"""What a training, its adapter and its checkpoints mean."""

from ...progress import span
from ...wording import corrected, count, effect, listed, more_likely, needed, number

FLAT = 0.01  # nats per trained token: a smaller rise of the validation loss is not over-fitting


def training(entry: dict) -> str:
    """`entry`: one of `configs` in training.json."""
    losses = [(row["iteration"], row["validation_loss"]) for row in entry["curve"] if "validation_loss" in row]
    length = f"{count(entry['iterations'], 'iteration')} ({number(float(entry['epochs']), 2)} epochs)"
    diverged = f"Training diverged ({entry['stopped']}). " if entry["diverged"] else ""
    if len(losses) < 2:
        return f"{diverged}Trained for {length}; without validation losses, over-fitting would not show."
    (_, first), (last, final) = losses[0], losses[-1]
    best, lowest = min(losses, key=lambda point: point[1])
    if lowest >= first:
        return (
            f"{diverged}Validation loss never fell below its start, {number(first)} nats per token, in {length}: "
            "nothing was learned that carries over to new replies."
        )
    text = (
        f"{diverged}Validation loss fell from {number(first)} to {number(lowest)} nats per token in {length}, "
        f"which makes a token {more_likely(lowest - first)}. Best at iteration {best:,}, "
    )
    if best == last:
        return text + "the last evaluation: it was still falling, so longer training may help."
    if final - lowest < FLAT:
        return text + "and flat after that: longer training would not help."
    if entry.get("existing"):  # its checkpoints, measured on the same replies, say more than these few losses
        return text + f"then it rose by {number(final - lowest)}, which may be over-fitting or chance."
    return text + f"then it rose by {number(final - lowest)}: over-fitted from there on, so that checkpoint was kept."


def adapter(entry: dict) -> str:
    """An adapter that existed already; `entry`: one of `configs` in training.json, with `adapts`."""
    adapts, sizes = entry["adapts"], [row["relative"] for row in entry["adapts"]["by_layer"]]
    start = f"It changes {count(entry['parameters_trained'], 'parameter')} in {count(len(adapts['layers']), 'layer')}"
    moved = f", and moves their weights by {min(sizes):.1%} to {max(sizes):.1%}" if sizes else ""
    stopped = f" Training {entry['stopped']}." if entry["stopped"] else ""
    zero = f" {count(len(adapts['zero']), 'tensor')} did not learn: all zero." if adapts["zero"] else ""
    return f"{start}{moved}.{stopped}{zero}"


def checkpoints(found: dict) -> str:
    """Which checkpoint to keep, and whether training went on long enough; `found`: `checkpoints` of training.json."""
    rows = {row["iteration"]: row for row in found["rows"]}
    own, keep, lowest = found["own"], found["keep"], found["lowest"]
    if own not in rows:
        return "The adapter's loss is not a number, so it can't be judged."
    between = rows[own]["to_base"]
    gained = effect(between["nats_per_reply_token"], between["interval"])
    at = f" (iteration {own:,})" if found.get("known", True) else ""
    start = f"Compared with its base, the adapter{at} makes the true replies {gained}"
    if keep is None:
        meaning = {"worse": "worse than its base"}.get(between["verdict"], "not distinguishable from its base")
        others = ", and no checkpoint is better than the base" if len(rows) > 2 else ""
        return (
            f"{start}: {meaning}{corrected(between)}{others}. Nothing was learned that carries over to held-out replies."
            f"{needed(between)}"
        )
    if len(rows) < 3:
        return f"{start}: better. With only one checkpoint, over- and under-fitting can't be told apart."
    if keep != own:
        better = effect(-rows[own]["to_lowest"]["nats_per_reply_token"], _flipped(rows[own]["to_lowest"]["interval"]))
        return f"{start}. Keep iteration {keep:,} instead, where they are {better}: this adapter is {found['fit']}."
    meaning = {
        "under-fitted": "it is still better than the checkpoint before it, so longer training may help (under-fitted)",
        "well fitted": "no checkpoint is distinguishably better (well fitted)",
    }.get(found["fit"], "there is no earlier checkpoint to compare it with, so over-fitting can't be told")
    near = "" if lowest == own else f" (iteration {lowest:,} is lowest, but not distinguishable from it)"
    return f"{start}. Keep it{near}: {meaning}."


def _flipped(bounds: list[float] | None) -> list[float] | None:
    return bounds and [-bounds[1], -bounds[0]]


def loss_tokens(ours: dict, stock: dict) -> str:
    """`ours`, `stock`: `loss_tokens` and `stock_loss_tokens` of training.json."""

    shares = [
        f"{sum(found[part] for part in ('prompt', 'after_end', 'padding')) / (found['total'] or 1):.0%}"
        for found in (stock, ours)
    ]
    return (
        f"In stock mlx-lm, {shares[0]} of the loss would be on tokens other than the reply and its end of turn; "
        f"in this run, {shares[1]} is."
    )


def stock(rows: list[dict]) -> str:
    """`rows`: `stock` of an entry of training.json, empty if that training was not run."""
    if not rows:
        return "Stock mlx-lm was not trained in this run (`make report STOCK=yes` trains it)."
    nats = {row["model"]: row for row in rows}
    ours, theirs = nats["this run"], nats["stock mlx-lm"]
    reply, end = (effect(ours[key] - theirs[key], None) for key in ("reply", "end_of_turn"))
    return (
        f"Compared with stock mlx-lm, this run makes the true replies {reply}, and their ends of turn {end}. "
        "With one seed each, a small difference does not show which is better."
    )


def forced(checks: list[str]) -> str:
    """`checks`: `forced` of an entry of training.json: the errors that training went ahead in spite of."""
    return f"This run was forced: it was trained although the audit found {count(len(checks), 'error')} ({listed(checks)})."


def more(advised: list[dict], spent: dict | None) -> list[dict]:
    """What would help further, each {"title", "text", "command"}. `advised`: `advice` of diagnosis.json; `spent`: what this
    training cost, from cost.json, or None if that isn't known."""
    return [
        {"title": f"{one['what']}.", "text": f"{one['why']} {_cost(one, spent)}".strip(), "command": one["command"]}
        for one in advised
    ]


def _cost(one: dict, spent: dict | None) -> str:
    """What a piece of advice would cost on this machine, by what the training cost on it."""
    if not one["cost"] or not spent or not spent.get("seconds"):
        return ""
    peak, has = spent["peak_memory_gigabytes"], spent.get("machine_memory_gigabytes")
    took, needs = spent["seconds"] * one["cost"]["time"], peak * one["cost"]["memory"]
    said = (
        f"This training took {span(spent['seconds'])} and {number(float(peak), 1)} GB of memory here; that would take about "
        f"{span(max(1, took))} and {number(float(needs), 1)} GB."
    )
    return said + (f" This machine has only {number(float(has), 1)} GB." if has and needs > has else "")
