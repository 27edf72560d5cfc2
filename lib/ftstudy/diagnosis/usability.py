"""Is the fine-tuned model usable? Steps from all evidence, in order; the first that fails names the verdict.

A step passes (True), fails (False), or cannot be told (None). Measured with the app's prompt where that is known,
because that is what its user gets.
"""

from ..wording import count, effect, listed, needed, number, prompted
from ..wording import sentence as complete
from . import evidence
from .costs import LITTLE

FEW_CONVERSATIONS = 3  # fewer say nothing about how far conversations differ
ENDS = 0.9  # of the replies that fit into the limit: so many have to end
UNSOUND = 0.1  # of the replies: more that are empty, loop or are copied are not an accident
BAD = {"are empty": "empty", "repeat themselves": "looping", "are copied from training": "copied"}


def judge(found: dict, void: dict | None = None) -> dict:
    """The verdict on what `evidence.gather` found; `void`: the cause that makes the run void, if there is one.

    Returns `usable` (True, False, or None if it can't be told), `step` (the one that decided, None if all passed),
    `headline`, `sentence`, and `steps`, [{"step", "passed", "sentence"}].
    """
    steps = []
    for name, check in STEPS.items():
        if (result := check(found)) is None:
            continue  # this run did not ask for it
        passed, sentence = result
        if name == "measured" and passed and void:
            passed, sentence = False, f"What was measured is not what this config trains: {complete(void['what'])}"
        steps.append({"step": name, "passed": passed, "sentence": sentence})
        if name in NEEDED and not passed:
            break  # what comes after it would say nothing
    failed = next((one for one in steps if one["passed"] is False), None)
    unknown = next((one for one in steps if one["passed"] is None), None)
    decided = failed or unknown
    if decided is None:
        usable, sentence = True, f"Use it. {_all_held(found)}"
    elif failed and failed["step"] not in NEEDED:
        usable, sentence = False, f"Don't use this fine-tune yet. {_worse(found, decided['step'])}{decided['sentence']}"
    else:
        usable, sentence = None, f"It isn't clear yet whether this fine-tune is usable. {decided['sentence']}"
    step = decided and decided["step"]
    return {
        "usable": usable,
        "step": step,
        "headline": _headline(usable, step, void, found),
        "sentence": sentence,
        "steps": steps,
    }


def _worse(found: dict, step: str) -> str:
    """Says that the model is worse than its base, unless that step decided already."""
    passed, sentence = _likelier(found)
    is_worse = passed is False and evidence.gain(found, found["app"])["verdict"] == "worse"
    return f"{sentence} " if is_worse and step != "likelier" else ""


def _headline(usable: bool | None, step: str | None, void: dict | None, found: dict) -> str:
    if void:
        return "This run is void"
    if usable:
        return "Usable: it replies more like the person than its base does"
    why, row = SHORT[step][usable is None], evidence.gain(found, found["app"])
    if usable is False and row["verdict"] == "worse":
        why = WORSE if step == "likelier" else f"{WORSE}, and {why}"
    return f"{'Not usable yet' if usable is False else 'Not known yet'}: {why}"


def _all_held(found: dict) -> str:
    row = evidence.gain(found, found["app"])
    return f"Its replies end, are sound, and come closer to the person's; the true replies are {_effect(row)}."


def _measured(found: dict):
    if evidence.gain(found, found["app"]):
        return True, f"Base and tuned model were scored on the same held-out replies, {prompted(found['app'])}."
    return False, found["not_measured"] or "The tuned model was not compared with its base."


def _enough_data(found: dict):
    row, arm = evidence.gain(found, found["app"]), found["arms"]["tuned", found["app"]]
    heard = f"{count(arm['replies'], 'held-out reply')} from {count(arm['conversations'], 'conversation')}"
    if row["interval"] is None:
        return False, (
            f"There are only {heard}. Judging how much conversations differ takes at least "
            f"{FEW_CONVERSATIONS}, none with most of the replies."
        )
    return True, f"There are {heard}."


def _replies_end(found: dict):
    arm = evidence.writes(found)
    if not arm:
        return None, "The tuned model wrote no replies."
    rate, bounds = arm["end_of_turn_rate"], arm.get("end_of_turn_interval")
    too_long = arm.get("too_long") or 0.0
    wanted = ENDS * (1 - too_long)
    said = f"{rate:.0%} of its replies end by themselves"
    if rate >= wanted:
        return True, f"{said}."
    never = any(one["check"] == "loss.end_of_turn" and one["severity"] != "info" for one in found["findings"])
    why = f", and {too_long:.0%} of the person's own replies are longer than that limit" if too_long >= UNSOUND else ""
    limit = f" within {found['longest']} tokens" if found["longest"] else ""
    sentence = f"Only {said}{limit}; the others run on until they are cut off{why}."
    sentence += " The end of a turn was never trained." if never else ""
    return (False if bounds is None or bounds[1] < 1 - too_long else None), sentence


def _replies_sound(found: dict):
    arm = evidence.writes(found)
    if not arm:
        return None, "The tuned model wrote no replies."
    bad = {words: evidence.beyond(found, key, arm) for words, key in BAD.items()}
    if sum(bad.values()) < UNSOUND:
        return True, "Its replies are not empty, don't loop and are not copied from training."
    said = [f"{share:.0%} {words}" for words, share in bad.items() if share]
    return False, f"Of its replies, {listed(said)}, more than the person's own."


def _closer_in_style(found: dict):
    arm = evidence.writes(found)
    if not arm:
        return None, "The tuned model wrote no replies."
    row = arm["to_floor"]
    size = f"{number(abs(row['distance']), 2)} {'smaller' if row['distance'] < 0 else 'larger'}"
    nearer = f"its style distance to the person is {size} than the untrained model's"
    return _verdict(row), {
        "better": f"Its replies are closer to the person's style: {nearer}.",
        "worse": f"Its replies are further from the person's style than the untrained model's: {nearer}.",
    }.get(row["verdict"], f"Its style can't be told apart from the untrained model's: {nearer}.")


def _likelier(found: dict):
    row = evidence.gain(found, found["app"])
    return _verdict(row), {
        "better": f"Compared with its base, it makes the true replies {_effect(row)}.",
        "worse": f"It is worse than the model it was trained from: it makes the true replies {_effect(row)}.",
    }.get(
        row["verdict"], f"It can't be told apart from its base: it makes the true replies {_effect(row)}.{needed(row)}"
    )


def _beats(retrieved: bool):
    what = "the most similar past conversations" if retrieved else "a few examples"

    def check(found: dict):
        row = evidence.against(found, retrieved)
        if row is None:
            return None
        nats = f"{_effect(row)} than with the base that sees {what} in its prompt"
        return (None if row["verdict"] == "not distinguishable" else row["verdict"] == "better"), {
            "better": f"Training beats prompting: the true replies are {nats}.",
            "worse": f"Without any training, the base that sees {what} in its prompt does better: with the tuned model, "
            f"the true replies are {_effect(row)}.",
        }.get(
            row["verdict"],
            f"Training can't be told apart from {what} in the base's prompt: the true replies are {nats}.{needed(row)}",
        )

    return check


STEPS = {
    "measured": _measured,
    "enough_data": _enough_data,
    "replies_end": _replies_end,
    "replies_sound": _replies_sound,
    "closer_in_style": _closer_in_style,
    "likelier": _likelier,
    "beats_examples": _beats(retrieved=False),
    "beats_similar_examples": _beats(retrieved=True),
}
SHORT = {  # a step -> what it means if it fails, and if it can't be told
    "measured": ("no model was measured",) * 2,
    "enough_data": ("too little held-out data",) * 2,
    "replies_end": ("its replies do not end", "whether its replies end is unclear"),
    "replies_sound": ("its replies are empty, loop, or are copied", "it wrote no replies"),
    "closer_in_style": (
        "it sounds no more like the person than its base",
        "whether it sounds like the person is unclear",
    ),
    "likelier": ("it is no better than its base", "it can't be told apart from its base"),
    "beats_examples": (
        "its base does better with a few examples in the prompt",
        "it can't be told apart from its base with a few examples in the prompt",
    ),
    "beats_similar_examples": (
        "its base does better with similar past conversations in the prompt",
        "it can't be told apart from its base with similar past conversations in the prompt",
    ),
}
WORSE = "it is worse than its base"
NEEDED = ("measured", "enough_data")  # without these, nothing can be told


def _verdict(row: dict) -> bool | None:
    """Whether a difference is better; False also if even its best case would make no difference, None if unknown."""
    if row["verdict"] != "not distinguishable":
        return row["verdict"] == "better"
    bounds = row["interval"]
    return False if bounds is not None and bounds[0] > -LITTLE else None


def _effect(row: dict) -> str:
    return effect(row["nats_per_reply_token"], row["interval"])
