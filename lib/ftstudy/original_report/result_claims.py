"""Claims about what training did, and about what would be better."""

from ..wording import interval, number, prompted, verdict
from .verdicts import CONFIRMED, PARTLY, REFUTED, UNTESTABLE, claim, describe, judge, too_wide, untestable


def claims(evidence: dict) -> list[dict]:
    training, comparison, app = evidence["training"], evidence["comparison"], evidence["comparison"]["app"]
    between = {(*row["left"], *row["right"]): row for row in comparison["differences"]}
    gains = {name: between.get(("tuned", name, "base", name)) for name in dict.fromkeys(("aligned", app))}
    gap = between.get(("tuned", app, "tuned", "aligned"))
    return [
        *_learned(evidence, {name: gain for name, gain in gains.items() if gain}),
        _options(comparison["training_formats"]),
        _alignment_seen(training, app, gap),
        _scaling(comparison["scaling"]),
        _two_causes(gains.get(app), gap, app),
        _recommended_fix(app, gap),
    ]


def _learned(evidence: dict, gains: dict) -> list[dict]:
    statements = {
        1: "Fine-tuning produced worse-than-baseline results",
        11: "No actual training: the model never learned anything new",
        13: "Adapter weights are noise, degrading the base",
    }
    if not gains:
        why = "the base or the tuned model was not measured"
        return [untestable(number_, text, why) for number_, text in statements.items()]
    verdicts = {row["verdict"] for row in gains.values()}
    each = {judge(row, "worse") for row in gains.values()}
    worse = each.pop() if len(each) == 1 else PARTLY if CONFIRMED in each else UNTESTABLE
    measured = "; ".join(f"{prompted(name)}: {describe(row)}, {verdict(row)}" for name, row in gains.items())
    measured += "".join(dict.fromkeys(too_wide(row, "worse") for row in gains.values()))
    styles = {
        arm["format"]: arm["to_floor"] for arm in evidence["comparison"]["generated"]["arms"] if arm["model"] == "tuned"
    }
    style = "".join(
        f"; style against the untrained model, {prompted(name)}: {verdict(row)}" for name, row in styles.items()
    )
    losses = [row["validation_loss"] for row in evidence["training"]["curve"] if "validation_loss" in row]
    moved = evidence["effect"]
    alive = moved is not None and moved > 1e-4
    effect = f"KL divergence from the base model {number(moved)} nats; " if moved is not None else ""
    effect += f"validation loss from {number(losses[0])} to {number(losses[-1])}; " if losses else ""
    return [
        claim(
            1,
            statements[1],
            "tuned against base on the same held-out replies, in likelihood and in style distance",
            measured + style,
            PARTLY if worse == REFUTED and any(row["verdict"] == "worse" for row in styles.values()) else worse,
        ),
        claim(
            11,
            statements[11],
            "does the adapter change the model, does the validation loss fall, are held-out replies more likely?",
            effect + measured,
            REFUTED if alive and "better" in verdicts else PARTLY if alive else CONFIRMED,
        ),
        claim(13, statements[13], "tuned against base, with both prompts", measured, worse),
    ]


def _options(formats: dict | None) -> dict:
    statement = "Option B (plain inference) is better than option A (wrapped training)"
    if formats is None:
        return untestable(15, statement, "option A was not trained: `make report FULL=1`")
    own = formats["own"]
    measured = f"B against A: {describe(own)}, {own['seeds']} training seeds; the interval covers {own['covers']}"
    if own["seeds"] < 3:
        return untestable(15, statement, f"{measured}. A verdict needs three seeds: `make report FULL=1`")
    test = "train both, ask each in its own form for the same held-out replies"
    return claim(15, statement, test, measured + too_wide(own, "better"), judge(own, "better"))


def _alignment_seen(training: dict, app: str, gap: dict | None) -> dict:
    statement = f"{training['iterations']} iterations are enough to see whether formats align"
    if gap is None or gap["interval"] is None:
        return untestable(17, statement, _no_gap(app))
    return claim(
        17,
        statement,
        "can the difference between the two prompts be told from zero for the tuned model?",
        f"{prompted(app)}, against as in training: {describe(gap)}, {verdict(gap)}",
        REFUTED if gap["verdict"] == "not distinguishable" else CONFIRMED,
    )


def _no_gap(app: str) -> str:
    if app == "aligned":
        return "the app already asks as in training"
    return f"the tuned model was not measured {prompted(app)}, or on a single reply only"


def _scaling(found: list[dict]) -> dict:
    statement = "Larger models, or GaLore and PiSSA, come only after"
    if not found:
        how = 'no other model or method was trained: `make report ALSO="ft_configs/… ft_configs/…"`'
        return untestable(19, statement, how)
    best = max(found, key=lambda one: one["saved"])
    ahead = best["aligning_ahead"]
    measured = (
        f"aligning saves {number(best['aligned'], 4, signed=True)} bits per byte, the best other training "
        f"({best['model']}) {number(best['saved'], 4, signed=True)}; aligning is ahead by "
        f"{number(ahead['bits_per_byte'], 4, signed=True)} ({interval(ahead['interval'], signed=True)})"
    )
    if ahead["verdict"] == "not distinguishable":
        return untestable(19, statement, f"{measured}: {verdict(ahead)}")
    test = "what aligning the prompt saves the tuned model, against what another model or method saves"
    return claim(19, statement, test, measured, CONFIRMED if ahead["verdict"] == "better" else REFUTED)


def _two_causes(gain: dict | None, gap: dict | None, app: str) -> dict:
    statement = "Two issues, empty data and the prompt mismatch, explain worse-than-baseline results"
    test = "now that the data is there, does the mismatch alone make the tuned model worse than its base?"
    if gain is None or gap is None:
        return untestable(24, statement, _no_gap(app))
    measured = f"tuned against base, {prompted(app)}: {describe(gain)}; the mismatch: {describe(gap)}"
    if judge(gain, "worse") == UNTESTABLE:
        return untestable(24, statement, measured + too_wide(gain, "worse"))
    if gain["verdict"] != "worse":
        why = "with data, the tuned model is not worse than its base even with the app's prompt"
        return claim(24, statement, test, f"{why}: {measured}", REFUTED)
    explained = gap["verdict"] == "worse" and gap["nats_per_reply_token"] >= gain["nats_per_reply_token"]
    return claim(24, statement, test, measured, CONFIRMED if explained else PARTLY)


def _recommended_fix(app: str, gap: dict | None) -> dict:
    statement = "Making inference build the prompt of training improves the replies (its recommended fix)"
    if gap is None:
        return untestable(25, statement, _no_gap(app))
    end = gap["end_of_turn"]
    ending = f"; end of turn {number(end['nats'], signed=True)} nats, {verdict(end)}" if end else ""
    test = f"the tuned model prompted {prompted(app)}, against prompted as in training"
    return claim(25, statement, test, describe(gap) + ending + too_wide(gap, "worse"), judge(gap, "worse"))
