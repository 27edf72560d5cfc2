"""What is wrong with what the tuned model writes, and what it gives away or has forgotten."""

from math import exp

from ..wording import more_likely, number
from . import evidence
from .costs import cause, cost
from .learning import SPOILS
from .usability import ENDS, UNSOUND

MOST_TIMES = 2.5  # as long as the person's replies, or as short
TOO_LONG = ("over_fitted", "too_many_epochs", "same_rows")


def causes(found: dict) -> list[dict]:
    """`found`: from `evidence.gather`. About the replies written with the prompt of training, so that the app's doesn't
    count twice."""
    written = found["written"].get(("tuned", "aligned"))
    made = (
        [_endings(written, found), _length(written), *(_unsound(key, written, found) for key in UNSOUND_KINDS)]
        if written
        else []
    )
    return [one for one in (*made, _forgot(found), _regurgitates(found)) if one]


def _endings(written: dict, found: dict) -> dict | None:
    """Its cost: what the ends of the true replies cost, spread over the tokens of the replies."""
    arm, too_long, rate = found["arms"]["tuned", "aligned"], written.get("too_long") or 0.0, written["end_of_turn_rate"]
    if rate >= ENDS * (1 - too_long):
        return None
    lines, spent = [f"{rate:.0%} of the tuned model's replies end by themselves, prompted as in training"], None
    if nats := arm["nats_per_end_of_turn"]:
        lines.append(
            f"the end of a true reply costs {number(nats)} nats: the model gives it a chance of {exp(-nats):.1%}"
        )
        share = arm["replies"] / arm["reply_tokens"]
        bounds = arm["end_interval"] and [bound * share for bound in arm["end_interval"]]
        words = f"if replies ended reliably, each word piece would be up to {more_likely(-nats * share)}"
        spent = cost(nats * share, bounds, found, words)
    fix = "Train on the end of turn, and longer. Until then, have the app cut replies at the first line break."
    if too_long >= UNSOUND:
        fix += f" And allow more than {found['longest']} tokens: {too_long:.0%} of the person's own replies are longer."
    return cause(
        "replies_do_not_end",
        f"Replies do not end: {1 - rate:.0%} run into the token limit",
        lines,
        fix,
        cost=spent,
        severity="error",
        explained_by=("end_untrained", "replies_cut", "learning_rate", "under_trained"),
    )


def _length(written: dict) -> dict | None:
    """Replies of less than half the person's length, or more than twice as long."""
    ratio = written.get("length_ratio")
    if ratio is None or 1 / MOST_TIMES <= ratio <= MOST_TIMES:
        return None
    name, what = ("replies_too_long", "long") if ratio > 1 else ("replies_too_short", "short")
    lines = [f"median words of a reply: {written['words']:g}, the person's own {written['true_words']:g}"]
    return cause(
        name,
        f"Replies are too {what}: {ratio:.1f} times the person's length",
        lines,
        "Train for longer, and look at which replies most rows have: the model writes what it saw most often.",
        kind="known",
        explained_by=("replies_do_not_end", "end_untrained", *SPOILS, "under_trained")
        if ratio > 1
        else (*SPOILS, "under_trained"),
    )


UNSOUND_KINDS = {
    "looping": (
        "replies_loop",
        "repeat themselves",
        "Train on more rows or for longer. In the app, a repetition penalty hides it.",
        ("end_untrained", "replies_do_not_end", *SPOILS, "under_trained"),
    ),
    "empty": ("replies_empty", "are empty", "Leave out rows whose reply is empty or says nothing.", SPOILS),
    "copied": (
        "replies_copied",
        "are copied from training, word for word",
        "Train for fewer epochs, on more rows, or at a lower rank.",
        TOO_LONG,
    ),
}


def _unsound(key: str, written: dict, found: dict) -> dict | None:
    share, (name, words, fix, explained_by) = evidence.beyond(found, key, written), UNSOUND_KINDS[key]
    if share < UNSOUND:
        return None
    what = f"Replies {words}, {100 * share:.0f} percentage points more often than the person's own"
    given = {"kind": "known", "severity": "error", "explained_by": explained_by}
    return cause(name, what, [f"the tuned model, prompted as in training: {written[key]:.0%}"], fix, **given)


def _forgot(found: dict) -> dict | None:
    ability = found["comparison"].get("ability") or {"differences": []}
    row = next((one for one in ability["differences"] if one["model"] == "tuned"), None)
    if not row or row["verdict"] != "worse":
        return None
    return cause(
        "forgetting",
        "Training cost general ability",
        [
            f"right answers to {ability['questions']} simple questions: {100 * row['right']:+.0f} points against the base"
        ],
        "A lower learning rate, fewer layers, or some rows of general conversation keep more of it.",
        kind="known",
        explained_by=("learning_rate", *TOO_LONG),
    )


def _regurgitates(found: dict) -> dict | None:
    measured = found["comparison"].get("regurgitation") or {"difference": None}
    if not measured["difference"] or measured["difference"]["verdict"] != "worse":
        return None
    seen = next(one["seen"] for one in measured["models"] if one["model"] == "tuned")
    return cause(
        "regurgitation",
        "The model gives away messages that it was trained on",
        [f"given the first words, it completes {seen:.0%} of the training replies word for word"],
        "Don't share this adapter. Train for fewer epochs, and mask what must not be repeated.",
        kind="known",
        explained_by=TOO_LONG,
    )
