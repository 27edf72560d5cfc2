"""Tables of the models' likelihoods, compared."""

from ...wording import arm_name, format_name, interval, more_likely, number, verdict
from .shared import ARM, RANGE, Column, Table, difference, table, with_interval


def _meaning(one: dict) -> str:
    nats = one["nats_per_reply_token"]
    return "–" if nats is None else more_likely(nats)


EFFECT = {
    "nats": ("Nats per reply token", lambda one: number(one["nats_per_reply_token"], signed=True)),
    "range": ("95% interval", lambda one: interval(one["interval"], signed=True)),
    "meaning": ("Reply tokens are", _meaning),
}


def _effect(nats: str) -> dict[str, Column]:
    return EFFECT | {"nats": (nats, EFFECT["nats"][1])}


def _needed(rows: list[dict]) -> dict[str, Column]:
    """What would tell differences apart, as a column where a row says so."""
    nats = [f"{one['nats']:g}" for row in rows for one in row.get("needed") or []][:3]
    header = f"Replies (conversations) needed to detect {' / '.join(nats)} nats"
    return {"needed": (header, lambda row: _sizes(row.get("needed")))} if nats else {}


def _sizes(found: list[dict] | None) -> str:
    sizes = [
        f"{one['replies']:,} ({one['conversations']:,})" if one["conversations"] else "more seeds"
        for one in found or []
    ]
    return " / ".join(sizes) or "–"


def arms(found: list[dict]) -> Table:
    return table(
        "Negative log-likelihood of the true replies. Lower is better.",
        found,
        **ARM,
        nats_per_reply_token="Nats per reply token",
        range=RANGE,
        end=("Nats per end of turn", lambda arm: with_interval(arm["nats_per_end_of_turn"], arm["end_interval"])),
        bits=("Bits per byte of the reply", lambda arm: with_interval(arm["bits_per_byte"], arm["bits_interval"])),
    )


def differences(found: list[dict]) -> Table:
    return table(
        "Paired differences on the same replies. Lower is better: below zero, A is better.",
        found,
        left=("A", lambda row: arm_name(*row["left"])),
        right=("B", lambda row: arm_name(*row["right"])),
        **_effect("A − B, nats per reply token"),
        verdict=("A is", verdict),
        **_needed(found),
        end=("A − B, nats per end of turn", lambda row: difference(row["end_of_turn"], "nats")),
    )


def attribution(found: dict) -> Table:
    """`found`: a model's name -> `attribution.attribute`'s result, or None."""
    rows = []
    for model, result in found.items():
        if result is None:
            continue
        effects = [("all faults together", result["whole"])]
        effects += [(f"{format_name(one['fault'])}: main effect", one) for one in result["main"]]
        effects += [
            (f"{' × '.join(map(format_name, one['faults']))}: interaction", one) for one in result["interactions"]
        ]
        effects += [(f"{format_name(one['fault'])}: Shapley share", one) for one in result["shares"]]
        rows += [one | {"model": model, "fault": label} for label, one in effects]
    caption = "What each fault of the prompt costs. Above zero, the fault makes the true replies less likely."
    columns = {"verdict": ("Effect", verdict), **_needed(rows)}
    return table(caption, rows, model="Model", fault="Fault", **EFFECT, **columns)


def training_formats(found: dict | None) -> Table:
    asked = {"own": "each in its own form", "app": "both with the app's prompt"}
    rows = [result | {"asked": asked[name]} for name, result in (found or {}).items()]
    return table(
        "Option B (trained in the plain form) against option A (trained in the wrapped form)",
        rows,
        asked="Prompted",
        **_effect("B − A, nats per reply token"),
        verdict=("B is", verdict),
        **_needed(rows),
        each=("Each seed", lambda row: ", ".join(number(one, signed=True) for one in row["each_seed"])),
        covers="The interval covers",
    )


def archaeology(found: list[dict]) -> Table:
    return table(
        "How much the adapter lowers the loss under each prompt format",
        found,
        format=ARM["format"],
        gain="Nats saved per reply token",
        range=RANGE,
        share=("Ranked first in", lambda row: f"{row['first']:.0%} of resamples"),
        gap=("Gap to first", lambda row: _gap(row["behind"])),
        loss="Nats with the adapter",
    )


def _gap(behind: dict | None) -> str:
    if behind is None:
        return "–"
    return f"{number(behind['nats_per_reply_token'])} ({interval(behind['interval'], signed=True)})"


def quality(arms: list[dict], models: list[dict], costs: dict) -> Table:
    """Each model under the prompt it was trained with, next to what its training and its scoring cost."""
    found = {(arm["model"], arm["format"]): arm for arm in arms}
    rows = []
    for model in models:
        if arm := found.get((model["name"], model["own"])):
            trained = costs.get(f"training {model['config']}", {}) if model["base"] else {"seconds": 0.0}
            scored = costs.get("arms", {}).get(f"scoring {model['name']}, {model['own']}", {})
            rows.append(
                {
                    "model": model["name"],
                    "bits_per_byte": arm["bits_per_byte"],
                    "range": interval(arm["bits_interval"]),
                    "seconds": trained.get("seconds"),
                    "trained": number(trained.get("seconds") if model["base"] else None, 0),
                    "speed": number(scored.get("tokens_per_second"), 0),
                    "memory": number(scored.get("peak_memory_gigabytes"), 2),
                }
            )
    columns = {
        "model": "Model",
        "bits_per_byte": "Bits per byte of the reply",
        "range": "95% interval",
        "trained": "Training, seconds",
        "speed": "Tokens read per second",
        "memory": "Peak memory, GB",
    }
    caption = "Quality against cost, each model under the prompt it was trained with. Lower bits are better."
    return rows, columns, caption


def claims(found: list[dict]) -> Table:
    columns = {key: key.capitalize() for key in ("number", "statement", "test", "measurement", "verdict")}
    return found, columns | {"number": "#"}, "The statements of the original report"


def left_out(found: list[dict]) -> Table:
    return found, {"arm": "Left out", "why": "Why"}, "What could not be compared"
