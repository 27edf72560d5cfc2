"""Claims on what training did, and on which way would be better."""

from ..report.wording import interval, number
from .verdicts import CONFIRMED, PARTLY, REFUTED, UNTESTABLE, claim, holds, told, too_wide, untestable


def claims(evidence: dict) -> list[dict]:
    training, comparison, app = evidence["training"], evidence["comparison"], evidence["comparison"]["app"]
    between = {(*row["left"], *row["right"]): row for row in comparison["differences"]}
    asked = list(dict.fromkeys(("aligned", app)))
    gains = {name: between.get(("tuned", name, "base", name)) for name in asked}
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
        return [untestable(n, text, "an arm of base or tuned model is missing") for n, text in statements.items()]
    told_gains = "; ".join(f"{name}: {told(row)}, {row['verdict']}" for name, row in gains.items())
    verdicts = {row["verdict"] for row in gains.values()}
    each = {holds(row, "worse") for row in gains.values()}
    worse = each.pop() if len(each) == 1 else PARTLY if CONFIRMED in each else UNTESTABLE
    told_gains += "".join(dict.fromkeys(too_wide(row, "worse") for row in gains.values()))
    styles = {
        arm["format"]: arm["to_floor"]["verdict"]
        for arm in evidence["comparison"]["generated"]["arms"]
        if arm["model"] == "tuned"
    }
    style = "".join(f"; style, {name}: {verdict} than base, aligned" for name, verdict in styles.items())
    by_style = PARTLY if worse == REFUTED and "worse" in styles.values() else worse
    losses = [row["validation_loss"] for row in evidence["training"]["curve"] if "validation_loss" in row]
    moved = evidence["effect"]
    alive = moved is not None and moved > 1e-4
    return [
        claim(
            1,
            statements[1],
            "tuned minus base on the same held-out replies, in likelihood and in style distance",
            told_gains + style.replace("not distinguishable than", "not distinguishable from"),
            by_style,
        ),
        claim(
            11,
            statements[11],
            "does the adapter move the model, does the validation loss fall, are held-out replies likelier",
            (f"KL divergence from the base model {number(moved)} nats; " if moved is not None else "")
            + (f"validation loss {number(losses[0])} to {number(losses[-1])}; " if losses else "")
            + told_gains,
            REFUTED if alive and "better" in verdicts else PARTLY if alive else CONFIRMED,
        ),
        claim(13, statements[13], "tuned minus base, under both prompts", told_gains, worse),
    ]


def _options(formats: dict | None) -> dict:
    statement = "Option B (plain inference) is better than option A (wrapped training)"
    if formats is None:
        return untestable(15, statement, "needs option A trained as well: `make report FULL=1`")
    found = formats["own"]
    measured = f"B minus A {told(found)}, {found['seeds']} training seeds; the interval covers {found['covers']}"
    if found["seeds"] < 3:
        return untestable(15, statement, f"{measured}: a verdict needs three seeds, `make report FULL=1`")
    return claim(
        15,
        statement,
        "both trained, each asked in its own form, on the same held-out replies",
        measured + too_wide(found, "better"),
        holds(found, "better"),
    )


def _alignment_seen(training: dict, app: str, gap: dict | None) -> dict:
    statement = f"{training['iterations']} iterations are enough to see whether formats align"
    if gap is None or gap["interval"] is None:
        return untestable(17, statement, _no_gap(app))
    return claim(
        17,
        statement,
        "does the interval between the prompts hold zero, for the tuned model",
        f"{app} minus aligned {told(gap)}",
        REFUTED if gap["verdict"] == "not distinguishable" else CONFIRMED,
    )


def _no_gap(app: str) -> str:
    asked = "the app asks in the format of training"
    return (
        asked if app == "aligned" else f"the tuned model was not measured under the {app} prompt, or on one reply alone"
    )


def _scaling(found: list[dict]) -> dict:
    statement = "Larger models, or GaLore and PiSSA, come only after"
    if not found:
        how = 'needs other models or methods trained as well: `make report ALSO="ft_configs/… ft_configs/…"`'
        return untestable(19, statement, how)
    best = max(found, key=lambda one: one["saved"])
    ahead = best["aligning_ahead"]
    measured = (
        f"aligning saves {number(best['aligned'], 4, signed=True)} bits per byte, the best other training, {best['model']}, "
        f"{number(best['saved'], 4, signed=True)}; aligning is ahead by {number(ahead['bits_per_byte'], 4, signed=True)} "
        f"{interval(ahead['interval'], signed=True)}"
    )
    if ahead["interval"] is None or ahead["interval"][0] <= 0 <= ahead["interval"][1]:
        return untestable(19, statement, f"{measured}: the two are not distinguishable")
    return claim(
        19,
        statement,
        "what aligning the prompt saves the tuned model, against what another model or method saves",
        measured,
        CONFIRMED if ahead["interval"][0] > 0 else REFUTED,
    )


def _two_causes(gain: dict | None, gap: dict | None, app: str) -> dict:
    statement = "Two issues, empty data and the prompt mismatch, explain worse-than-baseline results"
    if gain is None or gap is None:
        return untestable(24, statement, _no_gap(app))
    measured = f"tuned minus base under the {app} prompt {told(gain)}; of it the mismatch {told(gap)}"
    if holds(gain, "worse") == UNTESTABLE:
        return untestable(24, statement, measured + too_wide(gain, "worse"))
    if gain["verdict"] != "worse":
        why = "with data, the tuned model is not worse than its base even under the app's prompt"
        return claim(
            24,
            statement,
            "with data there, does the mismatch alone make tuned worse than base",
            f"{why}: {measured}",
            REFUTED,
        )
    explained = gap["verdict"] == "worse" and gap["nats_per_reply_token"] >= gain["nats_per_reply_token"]
    return claim(
        24,
        statement,
        "with data there, does the mismatch alone make tuned worse than base",
        measured,
        CONFIRMED if explained else PARTLY,
    )


def _recommended_fix(app: str, gap: dict | None) -> dict:
    statement = "Making inference build the prompt of training improves the replies (its recommended fix)"
    if gap is None:
        return untestable(25, statement, _no_gap(app))
    end = gap["end_of_turn"]
    ending = f"; end of turn {number(end['nats'], signed=True)} nats, {end['verdict']}" if end else ""
    return claim(
        25,
        statement,
        f"the tuned model under the {app} prompt, minus under the prompt of training",
        told(gap) + ending + too_wide(gap, "worse"),
        holds(gap, "worse"),
    )
