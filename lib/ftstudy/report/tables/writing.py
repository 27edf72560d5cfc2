"""Tables of what the models write."""

from ...compare.style_similarity import PARTS
from ...wording import format_name, interval, number
from .shared import ARM, Table, difference, table, with_interval

SHARES = {
    "looping": "Repeats itself",
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
            "untrained": difference(arm["to_floor"] if at else None, "distance"),
            "aligned": difference(arm["to_aligned"], "distance"),
            **_shares(arm),
        }
        for at, arm in enumerate(found["arms"])
    ]
    if person := found["ceiling"]:
        distance = with_interval(person["mean"], person["interval"])
        row = {"model": "the person", "format": "–", "distance": distance, "untrained": "–", "aligned": "–"}
        rows.append(row | _shares(person["measures"]))
    return table(
        "Generated replies, next to as many of the person's own. A lower style distance is better.",
        rows,
        model="Model",
        format="Prompt",
        stops="Stops by itself",
        words="Words, median",
        ratio="Against the person's",
        distance="Style distance",
        untrained="Against the untrained model",
        aligned="Against the same model, as in training",
        **SHARES,
    )


def _shares(one: dict) -> dict:
    bounds = one.get("end_of_turn_interval")
    return {
        "stops": f"{one['end_of_turn_rate']:.0%}" + (f" ({bounds[0]:.0%} to {bounds[1]:.0%})" if bounds else ""),
        "words": number(float(one["words"]), 1),
        "ratio": f"{ratio:.1f} times" if (ratio := one.get("length_ratio")) is not None else "–",
        **{key: f"{one[key]:.0%}" if key in one else "–" for key in SHARES},
    }


def ability(found: dict) -> Table:
    """`found`: `ability` of comparison.json."""
    differences = {one["model"]: one for one in found["differences"]}
    rows = [
        one | {"count": round(one["right"] * found["questions"]), "difference": differences.get(one["model"])}
        for one in found["models"]
    ]
    return table(
        f"{found['questions']} short questions in English with four answers each; guessing gets 25% right.",
        rows,
        model="Model",
        right=("Right", lambda one: f"{one['right']:.0%} ({one['count']})"),
        against=("Against the base", lambda one: _points(one["difference"])),
        nats=("Right answers, nats per token against the base", lambda one: _nats(one["difference"])),
    )


def _points(one: dict | None) -> str:
    if one is None:
        return "–"
    low, high = one["interval"] or (None, None)
    bounds = "" if low is None else f" ({100 * low:+.0f} to {100 * high:+.0f})"
    return f"{100 * one['right']:+.0f} percentage points{bounds} {one['verdict']}".replace("-", "−")


def _nats(one: dict | None) -> str:
    return f"{number(one['nats'], signed=True)} ({interval(one['nats_interval'], signed=True)})" if one else "–"


def regurgitation(found: dict) -> Table:
    """`found`: `regurgitation` of comparison.json."""
    return table(
        f"Replies of {found['words']} words or more, completed word for word from their first third",
        found["models"],
        model="Model",
        seen=("Seen in training", lambda one: f"{one['seen']:.0%} ({one['seen_count']} of {found['rows']})"),
        unseen=("Not seen", lambda one: f"{one['unseen']:.0%} ({one['unseen_count']} of {found['other_rows']})"),
    )


def style(found: dict) -> Table:
    rows = [arm | arm["style_distance"] for arm in found["arms"]]
    parts = {part: part.capitalize() for part in PARTS}
    return table("The parts of the style distance, each from 0 to 1", rows, **ARM, **parts)
