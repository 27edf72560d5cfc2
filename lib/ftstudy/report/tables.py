"""The results of a comparison as tables, the same in the notebook and in the report.

Each function returns (rows, columns, caption) for `render.table`.
"""

from ..compare.style_similarity import PARTS
from ..wording import arm_name, format_name, interval, more_likely, number

Table = tuple[list[dict], dict[str, str], str]
ARM = {"model": "Model", "format": "Prompt"}


def splits(described: dict) -> Table:
    """`described`: the rows of a folder, from `extract.description.describe`."""
    columns = {
        "split": "Split",
        "rows": "Rows",
        "bytes": "Bytes",
        "schema": "Schema",
        "turns": "Messages a row (median)",
    }
    columns |= {"user": "User text (median characters)", "reply": "Reply (median characters)"}
    bad = sum(one["blank"] + one["broken"] for one in described["splits"])
    columns |= {"blank": "Blank lines", "broken": "Lines that are not JSON"} if bad else {}
    return described["splits"], columns, f"The rows in {described['data']}"


def frequent(described: dict) -> Table:
    """What comes back most often in the rows: the order of roles, system texts, speakers and replies."""
    labels = {"roles": "order of roles", "systems": "system text", "speakers": "speaker", "replies": "reply"}
    rows = [
        {"what": label, "text": text, "rows": count}
        for key, label in labels.items()
        for text, count in described[key][:5]
    ]
    return rows, {"what": "What", "text": "Text", "rows": "Rows"}, "What the rows say most often"


def arms(found: list[dict]) -> Table:
    rows = [
        {
            **arm,
            "format": format_name(arm["format"]),
            "range": interval(arm["interval"]),
            "end": _with_interval(arm["nats_per_end_of_turn"], arm["end_interval"]),
            "bits": _with_interval(arm["bits_per_byte"], arm["bits_interval"]),
        }
        for arm in found
    ]
    columns = ARM | {
        "nats_per_reply_token": "Nats per reply token",
        "range": "95% interval",
        "end": "Nats per end of turn",
        "bits": "Bits per byte of the reply",
    }
    return rows, columns, "Negative log-likelihood of the true replies. Lower is better."


def _with_interval(value: float | None, bounds: list[float] | None) -> str:
    return f"{number(value)} ({interval(bounds)})" if bounds else number(value)


def _effect(one: dict) -> dict:
    nats = one["nats_per_reply_token"]
    return {
        "nats": number(nats, signed=True),
        "range": interval(one["interval"], signed=True),
        "meaning": "–" if nats is None else more_likely(nats),
        "verdict": one["verdict"],
    }


EFFECT = {"nats": "Nats per reply token", "range": "95% interval", "meaning": "Reply tokens are"}


def differences(found: list[dict]) -> Table:
    rows = [
        {
            "left": arm_name(*row["left"]),
            "right": arm_name(*row["right"]),
            **_effect(row),
            "end": _end(row["end_of_turn"]),
        }
        for row in found
    ]
    columns = {"left": "A", "right": "B"} | EFFECT
    columns |= {"nats": "A − B, nats per reply token", "verdict": "A is", "end": "A − B, nats per end of turn"}
    return rows, columns, "Paired differences on the same replies. Lower is better: below zero, A is better."


def _end(found: dict | None) -> str:
    return f"{number(found['nats'], signed=True)} {found['verdict']}" if found else "–"


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
        rows += [{"model": model, "fault": label, **_effect(one)} for label, one in effects]
    columns = {"model": "Model", "fault": "Fault"} | EFFECT | {"verdict": "Effect"}
    return (
        rows,
        columns,
        "What each fault of the prompt costs. Above zero, the fault makes the true replies less likely.",
    )


def checkpoints(found: dict) -> Table:
    """`found`: `checkpoints` of training.json."""
    rows = [
        {
            "checkpoint": _checkpoint(row["iteration"], found),
            "nats": row["nats_per_reply_token"],
            "range": interval(row["interval"]),
            "base": _difference(row["to_base"]),
            "lowest": _difference(row["to_lowest"]),
        }
        for row in found["rows"]
    ]
    columns = {"checkpoint": "Checkpoint", "nats": "Nats per reply token", "range": "95% interval"}
    columns |= {"base": "Against the base", "lowest": "Against the lowest"}
    return rows, columns, "Every checkpoint on the same held-out replies, prompted as in training. Lower is better."


def _checkpoint(iteration: int, found: dict) -> str:
    marks = [mark for mark, at in (("the adapter", found["own"]), ("keep this", found["keep"])) if at == iteration]
    if iteration == found["own"] and not found.get("known", True):
        return ", ".join(marks)
    name = f"iteration {iteration:,}" if iteration else "base model"
    return f"{name} ({', '.join(marks)})" if marks else name


def _difference(row: dict | None) -> str:
    if row is None:
        return "–"
    bounds = f" ({interval(row['interval'], signed=True)})" if row["interval"] else ""
    return f"{number(row['nats_per_reply_token'], signed=True)}{bounds} {row['verdict']}"


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
    rows = [{"what": what, "value": value} for what, value in values.items()]
    return rows, {"what": "What", "value": "Value"}, "What the adapter adapts"


def training_formats(found: dict | None) -> Table:
    rows = [
        {
            "asked": {"own": "each in its own form", "app": "both with the app's prompt"}[asked],
            **_effect(result),
            "each": ", ".join(number(one, signed=True) for one in result["each_seed"]),
            "covers": result["covers"],
        }
        for asked, result in (found or {}).items()
    ]
    columns = {"asked": "Prompted"} | EFFECT | {"nats": "B − A, nats per reply token", "verdict": "B is"}
    columns |= {"each": "Each seed", "covers": "The interval covers"}
    return rows, columns, "Option B (trained in the plain form) against option A (trained in the wrapped form)"


def archaeology(found: list[dict]) -> Table:
    rows = [
        {
            **row,
            "format": format_name(row["format"]),
            "range": interval(row["interval"]),
            "share": f"{row['first']:.0%} of resamples",
            "gap": _gap(row["behind"]),
        }
        for row in found
    ]
    columns = {
        "format": "Prompt",
        "gain": "Nats saved per reply token",
        "range": "95% interval",
        "share": "Ranked first in",
        "gap": "Gap to first",
        "loss": "Nats with the adapter",
    }
    return rows, columns, "How much the adapter lowers the loss under each prompt format"


def _gap(behind: dict | None) -> str:
    if behind is None:
        return "–"
    return f"{number(behind['nats_per_reply_token'])} ({interval(behind['interval'], signed=True)})"


SHARES = {
    "copied": "Copied from train",
    "assistant": "Sounds like an assistant",
    "other_speaker": "Writes the other's part",
    "empty": "Empty",
}


def generated(found: dict) -> Table:
    """`found`: what `compare.results.generated` returns."""
    rows = [
        {
            "model": arm["model"],
            "format": format_name(arm["format"]),
            "distance": number(arm["style_distance"]["total"]),
            "untrained": _distance(arm["to_floor"] if at else None),
            "aligned": _distance(arm["to_aligned"]),
            **_shares(arm),
        }
        for at, arm in enumerate(found["arms"])
    ]
    if person := found["ceiling"]:
        distance = _with_interval(person["mean"], person["interval"])
        row = {"model": "the person", "format": "–", "distance": distance, "untrained": "–", "aligned": "–"}
        rows.append(row | _shares(person["measures"]))
    columns = ARM | {
        "stops": "Stops by itself",
        "words": "Words, median",
        "distance": "Style distance",
        "untrained": "Against the untrained model",
        "aligned": "Against the same model, as in training",
    }
    return (
        rows,
        columns | SHARES,
        "Generated replies, next to as many of the person's own. A lower style distance is better.",
    )


def _distance(difference: dict | None) -> str:
    return f"{number(difference['distance'], signed=True)} {difference['verdict']}" if difference else "–"


def _shares(one: dict) -> dict:
    bounds = one.get("end_of_turn_interval")
    return {
        "stops": f"{one['end_of_turn_rate']:.0%}" + (f" ({bounds[0]:.0%} to {bounds[1]:.0%})" if bounds else ""),
        "words": number(float(one["words"]), 1),
        **{key: f"{one[key]:.0%}" for key in SHARES},
    }


def style(found: dict) -> Table:
    rows = [
        {"model": arm["model"], "format": format_name(arm["format"])}
        | {part: arm["style_distance"][part] for part in PARTS}
        for arm in found["arms"]
    ]
    return rows, ARM | {part: part.capitalize() for part in PARTS}, "The parts of the style distance, each from 0 to 1"


def _step(name: str) -> str:
    """ "scoring base, aligned" -> "scoring base, as in training" """
    arm, _, asked = name.partition(", ")
    return f"{arm}, {format_name(asked)}" if asked else name


def costs(found: dict) -> Table:
    """`found`: a step's name -> its cost."""
    digits = {"seconds": 1, "tokens_per_second": 0, "peak_memory_gigabytes": 2}
    rows = [
        {"step": _step(name)} | {key: number(spent[key], places) for key, places in digits.items()}
        for name, spent in found.items()
    ]
    columns = {
        "step": "Step",
        "seconds": "Seconds",
        "tokens_per_second": "Tokens per second",
        "peak_memory_gigabytes": "Peak memory, GB",
    }
    return rows, columns, "What each arm cost"


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
    return (
        rows,
        columns,
        "Quality against cost, each model under the prompt it was trained with. Lower bits are better.",
    )


def claims(found: list[dict]) -> Table:
    columns = {key: key.capitalize() for key in ("number", "statement", "test", "measurement", "verdict")}
    return found, columns | {"number": "#"}, "The statements of the original report"


def left_out(found: list[dict]) -> Table:
    return found, {"arm": "Left out", "why": "Why"}, "What could not be compared"
