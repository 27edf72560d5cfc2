"""What the replies that the models write mean."""

from ...diagnosis.usability import ENDS, UNSOUND
from ...wording import corrected, count, listed, number, prompted

SOME_TOO_LONG = 0.05  # of the person's own replies


def stopping(generated: dict, app: str) -> str:
    """`generated`, `app`: as in comparison.json. Whether replies end by themselves."""
    rates = {(arm["model"], arm["format"]): arm["end_of_turn_rate"] for arm in generated["arms"]}
    tuned = [
        f"{rates['tuned', name]:.0%} of its replies ({prompted(name)})"
        for name in dict.fromkeys(("aligned", app))
        if ("tuned", name) in rates
    ]
    if not tuned:
        return "The tuned model wrote no replies."
    base = f"; the base model stops in {rates['base', 'aligned']:.0%}" if ("base", "aligned") in rates else ""
    enough = min(rate for (model, _), rate in rates.items() if model == "tuned") >= ENDS
    rest = "" if enough else " The others run into the token limit: the model has not learned to stop reliably."
    empty, looping = _often(generated, app, "empty", UNSOUND), _often(generated, app, "looping", UNSOUND)
    # A model that says nothing stops too.
    silent = f" But it says nothing at all in {empty}." if empty else ""
    repeats = f" It repeats itself in {looping}{_person_loops(generated)}." if looping else ""
    return f"The tuned model stops by itself in {listed(tuned)}{base}.{rest}{silent}{repeats}{_limit(generated)}"


def _often(generated: dict, app: str, measure: str, least: float) -> str:
    """The tuned model's share of replies with this `measure`, per prompt, if it is `least` or more."""
    shares = {arm["format"]: arm.get(measure, 0) for arm in generated["arms"] if arm["model"] == "tuned"}
    return listed(
        [
            f"{shares[name]:.0%} of its replies ({prompted(name)})"
            for name in dict.fromkeys(("aligned", app))
            if shares.get(name, 0) >= least
        ]
    )


def _person_loops(generated: dict) -> str:
    person = (generated.get("ceiling") or {}).get("measures", {}).get("looping")
    return "" if person is None else f"; the person does in {person:.0%}"


def _limit(generated: dict) -> str:
    """That the limit itself is too short for the person's replies, if it is."""
    tuned = next((arm for arm in generated["arms"] if arm["model"] == "tuned"), {})
    share, longest = tuned.get("too_long", 0), generated.get("longest")
    if share < SOME_TOO_LONG:
        return ""
    return (
        f" The limit of {count(longest, 'token')} would cut {share:.0%} of the person's own replies too: "
        "raise `longest` to see whether longer ones end."
    )


def ability(found: dict | None) -> str:
    """`found`: `ability` of comparison.json. Whether training made the model forget."""
    if not found:
        return "What the model still knows was not measured."
    right = {one["model"]: one["right"] for one in found["models"]}
    sentences = []
    for one in found["differences"]:
        meaning = {
            "worse": "it has forgotten some of what it could do, so train it less, or at a lower learning rate",
            "better": "it lost nothing",
        }.get(one["verdict"], "not distinguishable, so no sign of forgetting")
        sentences.append(
            f"The {one['model']} model answers {right[one['model']]:.0%} of {found['questions']} short questions right, "
            f"its base {right['base']:.0%}: {meaning}."
        )
    return f"{' '.join(sentences)} It is a rough check, in English; guessing gets 25% right."


def regurgitation(found: dict | None) -> str:
    """`found`: `regurgitation` of comparison.json. Whether the tuned model repeats private messages."""
    if not found:
        return "Whether it repeats training's messages was not measured: too few replies are long enough."
    one = {row["model"]: row for row in found["models"]}
    meaning = {
        "worse": "it repeats private messages to whoever types their beginning. Don't give the adapter to anybody, and "
        "train it less",
        "better": "it repeats fewer than its base",
    }.get(found["difference"]["verdict"], "no sign that it repeats private messages")
    return (
        f"Given the first third of a reply, the tuned model completes {one['tuned']['seen_count']} of {found['rows']} "
        f"that it was trained on and {one['tuned']['unseen_count']} of {found['other_rows']} that it was not, word "
        f"for word; its base {one['base']['seen_count']} and {one['base']['unseen_count']}: {meaning}."
    )


def style(generated: dict, app: str) -> str:
    """`generated`, `app`: as in comparison.json. How near the tuned model comes to the person's style."""
    arms = {(arm["model"], arm["format"]): arm for arm in generated["arms"]}
    if ("tuned", "aligned") not in arms:
        return "The tuned model wrote no replies."
    untrained, person = generated["arms"][0]["style_distance"]["total"], generated["ceiling"]["mean"]
    found = arms["tuned", "aligned"]["style_distance"]["total"]
    share = (untrained - found) / (untrained - person) if untrained > person else None
    span = f"between the untrained model ({number(untrained, 2)}) and the person ({number(person, 2)})"
    text = f"The tuned model's style distance is {number(found, 2)}, {span}"
    if share is not None:
        text += f": {share:.0%} of the way" if share > 0 else ": no nearer than the untrained model"
    asked = arms.get(("tuned", app))
    if app == "aligned" or asked is None or asked["to_aligned"] is None:
        return f"{text}."
    meaning = {"better": "nearer to the person", "worse": "further from the person"}.get(
        asked["to_aligned"]["verdict"], f"not distinguishable from that{corrected(asked['to_aligned'])}"
    )
    return f"{text}. Prompted {prompted(app)}, it is {number(asked['style_distance']['total'], 2)}, {meaning}."
