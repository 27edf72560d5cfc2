"""The table of a proof."""

from ...wording import capitalized, listed, verdict
from .shared import Table, table, with_interval


def proof(found: dict) -> Table:
    """What each fault costs; `found`: the content of proof.json."""
    shares = {one["fault"]: one for one in found["shares"] or []}
    columns = {
        "fault": ("Fault", lambda one: capitalized(one["fault"])),
        "cost": ("Cost when it alone is left in, nats per reply token", _cost),
        "verdict": ("Verdict", _verdict),
    }
    if shares:
        columns["share"] = ("Share of the whole difference", lambda one: _share(shares[one["id"]]))
    trained = [one for one in found["faults"] if one["part"] != "app"]  # the prompt's cost has no chance of training
    covers = listed(sorted({one["cost"]["covers"] for one in trained or found["faults"] if one["cost"]}))
    with_intervals = f", with 95% intervals over {covers}" if covers else ""
    return table(f"What each fault costs{with_intervals}", found["faults"], **columns)


def _cost(one: dict) -> str:
    if one["broken"]:
        return "training gives no usable model"
    return with_interval(one["cost"]["nats_per_reply_token"], one["cost"]["interval"]) if one["cost"] else "–"


def _verdict(one: dict) -> str:
    if not one["cost"]:
        return "–" if one["broken"] else "training is the same here" if one["idle"] else "not measured alone"
    return {"worse": "costs", "better": "better left in"}.get(one["cost"]["verdict"], verdict(one["cost"]))


def _share(row: dict) -> str:
    return with_interval(row["nats_per_reply_token"], row["interval"])
