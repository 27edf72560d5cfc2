"""The results of a comparison as tables, the same in the notebook and in the report.

Each is (rows, columns, caption), for `render.table`.
"""

from ..compare.style_similarity import PARTS
from .wording import interval, number

Table = tuple[list[dict], dict[str, str], str]


def arms(found: list[dict]) -> Table:
    rows = [
        {
            **arm,
            "range": interval(arm["interval"]),
            "bits": f"{number(arm['bits_per_byte'])} {interval(arm['bits_interval'])}",
            "end": f"{number(arm['nats_per_end_of_turn'])} {interval(arm['end_interval'])}",
        }
        for arm in found
    ]
    columns = {
        "model": "Model",
        "format": "Prompt",
        "nats_per_reply_token": "Nats per reply token",
        "range": "95% interval",
        "end": "Nats per end of turn",
        "bits": "Bits per byte of the reply",
    }
    return rows, columns, "Negative log-likelihood of the true replies"


def _effect(one: dict) -> dict:
    return {
        "nats": number(one["nats_per_reply_token"], signed=True),
        "range": interval(one["interval"], signed=True),
        "verdict": one["verdict"],
    }


def differences(found: list[dict]) -> Table:
    rows = [
        {
            **row,
            "left": ", ".join(row["left"]),
            "right": ", ".join(row["right"]),
            **_effect(row),
            "end": f"{number(row['end_of_turn']['nats'], signed=True)} {row['end_of_turn']['verdict']}"
            if row["end_of_turn"]
            else "–",
        }
        for row in found
    ]
    columns = {
        "left": "Is",
        "right": "than or from",
        "nats": "Nats per reply token",
        "range": "95% interval",
        "verdict": "Verdict",
        "end": "Nats per end of turn",
    }
    return rows, columns, "Left minus right, on the same replies: below zero, the left arm is better"


def attribution(found: dict) -> Table:
    """`found`: a model's name -> `attribution.attribute`'s result, or None."""
    rows = []
    for model, result in found.items():
        if result is None:
            continue
        effects = [("all of them together", result["whole"])]
        effects += [(f"{one['fault']}: main effect", one) for one in result["main"]]
        effects += [(f"{' × '.join(one['faults'])}: interaction", one) for one in result["interactions"]]
        effects += [(f"{one['fault']}: Shapley share", one) for one in result["shares"]]
        rows += [
            {
                "model": model,
                "effect": label,
                **_effect(one),
            }
            for label, one in effects
        ]
    columns = {
        "model": "Model",
        "effect": "Effect",
        "nats": "Nats per reply token",
        "range": "95% interval",
        "verdict": "The prompt with it is",
    }
    return rows, columns, "What each fault of the prompt costs"


def training_formats(found: dict | None) -> Table:
    rows = [
        {
            "asked": {"own": "each in its own form", "app": "both as the app asks"}[asked],
            **_effect(result),
            "each": ", ".join(number(one, signed=True) for one in result["each_seed"]),
            "covers": result["covers"],
        }
        for asked, result in (found or {}).items()
    ]
    columns = {
        "asked": "Asked",
        "nats": "B minus A, nats per reply token",
        "range": "95% interval",
        "verdict": "B is",
        "each": "Each seed",
        "covers": "The interval covers",
    }
    return rows, columns, "Option B (trained in the plain form) against option A (trained in the wrapped form)"


def archaeology(found: list[dict]) -> Table:
    rows = [
        {
            **row,
            "range": interval(row["interval"]),
            "share": f"{row['first']:.0%}",
            "lead": "–"
            if row["behind"] is None
            else f"{number(row['behind']['nats_per_reply_token'])} {interval(row['behind']['interval'], signed=True)}",
        }
        for row in found
    ]
    columns = {
        "format": "Candidate",
        "gain": "Nats saved per reply token",
        "range": "95% interval",
        "share": "First in",
        "lead": "Behind the first",
        "loss": "Nats with the adapter",
    }
    return rows, columns, "How much the adapter lowers the loss under each format"


def generated(found: dict) -> Table:
    """`found`: what `compare.results.generated` gives."""

    def told(difference: dict | None) -> str:
        return f"{number(difference['distance'], signed=True)} {difference['verdict']}" if difference else "–"

    def cells(name: str, prompt: str, one: dict, distance: str, floor: str, aligned: str = "–") -> dict:
        shares = ("copied", "assistant", "other_speaker", "empty")
        return {
            "model": name,
            "format": prompt,
            "words": number(float(one["words"]), 1),
            "distance": distance,
            "floor": floor,
            "aligned": aligned,
            **{key: f"{one[key]:.0%}" for key in shares},
            "stops": f"{one['end_of_turn_rate']:.0%}" + _percent(one.get("end_of_turn_interval")),
        }

    rows = [
        cells(
            arm["model"],
            arm["format"],
            arm,
            number(arm["style_distance"]["total"]),
            "the floor" if at == 0 else told(arm["to_floor"]),
            told(arm["to_aligned"]),
        )
        for at, arm in enumerate(found["arms"])
    ]
    if ceiling := found["ceiling"]:
        distance = f"{number(ceiling['mean'])} {interval(ceiling['interval'])}"
        rows.append(cells("the person", "–", ceiling["measures"], distance, "the ceiling"))
    columns = {
        "model": "Model",
        "format": "Prompt",
        "stops": "Stops",
        "words": "Words, median",
        "distance": "Style distance",
        "floor": "Against the floor",
        "aligned": "Against the same model, aligned",
        "copied": "Copied from train",
        "assistant": "Sounds like an assistant",
        "other_speaker": "Writes the other's part",
        "empty": "Empty",
    }
    return rows, columns, "Generated replies, beside as many of the person's own"


def _percent(interval: list[float] | None) -> str:
    return f" [{interval[0]:.0%}, {interval[1]:.0%}]" if interval else ""


def style(found: dict) -> Table:
    rows = [
        {"model": arm["model"], "format": arm["format"], **{part: arm["style_distance"][part] for part in PARTS}}
        for arm in found["arms"]
    ]
    columns = {"model": "Model", "format": "Prompt", **{part: part.capitalize() for part in PARTS}}
    return rows, columns, "The style distance by its parts, each between 0 and 1"


def costs(found: dict) -> Table:
    """`found`: a step's name -> its cost."""
    digits = {"seconds": 1, "tokens_per_second": 0, "peak_memory_gigabytes": 2}
    rows = [
        {"step": name, **{key: number(spent[key], count) for key, count in digits.items()}}
        for name, spent in found.items()
    ]
    columns = {
        "step": "Step",
        "seconds": "Seconds",
        "tokens_per_second": "Tokens a second",
        "peak_memory_gigabytes": "Gigabytes at most",
    }
    return rows, columns, "What each arm cost"


def quality(arms: list[dict], models: list[dict], costs: dict) -> Table:
    """Each model under the prompt of its training beside the seconds of that and the speed of its reading."""
    found = {(arm["model"], arm["format"]): arm for arm in arms}
    rows = []
    for model in models:
        if arm := found.get((model["name"], model["own"])):
            trained = costs.get(f"training {model['config']}", {}) if model["base"] else {}
            read = costs.get("arms", {}).get(f"scoring {model['name']}, {model['own']}", {})
            rows.append(
                {
                    "model": model["name"],
                    "bits_per_byte": arm["bits_per_byte"],
                    "range": interval(arm["bits_interval"]),
                    "seconds": trained.get("seconds", 0.0 if model["base"] is None else None),
                    "trained": number(trained.get("seconds"), 0),
                    "speed": number(read.get("tokens_per_second"), 0),
                    "memory": number(read.get("peak_memory_gigabytes"), 2),
                }
            )
    columns = {
        "model": "Model",
        "bits_per_byte": "Bits per byte of the reply",
        "range": "95% interval",
        "trained": "Seconds of training",
        "speed": "Tokens read a second",
        "memory": "Gigabytes at most",
    }
    return rows, columns, "Quality against cost, each model under the prompt of its training"


def claims(found: list[dict]) -> Table:
    columns = {
        "number": "#",
        "statement": "Statement",
        "test": "Test",
        "measurement": "Measurement",
        "verdict": "Verdict",
    }
    return found, columns, "The statements of the original report"


def left_out(found: list[dict]) -> Table:
    return found, {"arm": "Left out", "why": "Why"}, "What could not be compared"
