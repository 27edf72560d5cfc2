"""The results of a comparison as plain data."""

from itertools import compress

import numpy as np

from .. import chat_format
from ..extract.variant_folder import spread
from . import (
    ability,
    archaeology,
    intervals,
    multiple_testing,
    preference,
    regurgitation,
    style_similarity,
    written_replies,
)


def arm(model: str, one: dict, scores: dict, heldout: dict) -> dict:
    """One arm's nats per reply token, bits per byte of the reply, and nats per end of turn, with 95% intervals.

    Bits per byte (the same measure per byte of the reply) compare models with different tokenizers.
    """
    conversations = heldout["conversations"]
    value, interval = intervals.mean(scores["reply"], scores["tokens"], conversations)
    sizes = _sizes(heldout)
    bits, bits_interval = intervals.mean(scores["reply"] / np.log(2), sizes, conversations)
    ended = ~np.isnan(scores["end"])
    names = list(compress(conversations, ended))
    end, end_interval = intervals.mean(scores["end"][ended], np.ones(ended.sum()), names)
    return {
        "model": model,
        "format": one["name"],
        "faults": one["faults"],
        "replies": len(conversations),
        "conversations": len(set(conversations)),
        "reply_tokens": int(scores["tokens"].sum()),
        "nats_per_reply_token": value,
        "interval": interval,
        "bits_per_byte": bits,
        "bits_interval": bits_interval,
        "nats_per_end_of_turn": end,
        "end_interval": end_interval,
    }


def _sizes(heldout: dict) -> np.ndarray:
    """The bytes of each true reply."""
    return np.array([len(example["messages"][-1]["content"].encode()) for example in heldout["examples"]])


def differences(scores: dict, models: list[dict], formats: list[dict], heldout: dict) -> list[dict]:
    """The paired differences worth knowing, each left minus right.

    Every tuned model against its base under every format; every format against aligned for every model; the fused
    model against the tuned one; and every tuned model against its base with examples in the prompt, and with similar
    ones. `leaked`: how many of the replies training gives away, and `without_leaked`, the difference on the others;
    only between two models.
    Verdicts are corrected in three kinds of family: trained models against their base, each model's formats, and fused
    against tuned.
    """
    conversations, clean = heldout["conversations"], ~np.array(heldout["leaked"], bool)
    names = [one["name"] for one in formats]
    trained = [model for model in models if model["base"]]
    pairs = [((model["name"], name), (model["base"], name)) for model in trained for name in names]
    pairs += [((model["name"], name), (model["name"], "aligned")) for model in models for name in names[1:]]
    pairs += [(("fused", name), ("tuned", name)) for name in names]
    shots = [one["name"] for one in formats if one.get("shots")]
    pairs += [((model["name"], "aligned"), (model["base"], shot)) for shot in shots for model in trained]
    bases = {model["name"]: model["base"] for model in models}
    found = []
    for left, right in pairs:
        if left in scores and right in scores:
            row = intervals.difference(scores[left], scores[right], conversations)
            if left[0] != right[0] and not clean.all():
                row |= {"leaked": int((~clean).sum()), "without_leaked": None}
                if clean.sum() > 1:
                    sides = ({name: one[clean] for name, one in scores[arm].items()} for arm in (left, right))
                    row["without_leaked"] = intervals.difference(*sides, list(compress(conversations, clean)))
            found.append({"left": list(left), "right": list(right), **row})
    questions = {}
    for row in found:
        model, other = row["left"][0], row["right"][0]
        name = f"prompt formats of {model} against training's" if model == other else "fused against tuned"
        if other == bases.get(model):
            name = "trained models against their base"
        questions.setdefault(name, []).append(row)
    for name, rows in questions.items():
        multiple_testing.correct_differences(rows, name)
    return found


def fusing(differences: list[dict], scores: dict, app: str, conversations: list[str]) -> dict:
    """What fusing cost, as in training and with the app's prompt, by format: nats per reply token of `base`, `tuned`
    and `fused`, and the share of training's gain that was `lost`, with its interval. Verdicts are those of `differences`.

    Without the formats in which one of the three was not measured, or in which training's gain is not
    distinguishable from zero.
    """
    between = {(*row["left"], *row["right"]): row["verdict"] for row in differences}
    found = {}
    for name in dict.fromkeys(("aligned", app)):
        gain, cost = between.get(("tuned", name, "base", name)), between.get(("fused", name, "tuned", name))
        if gain == intervals.BETTER and cost:
            arms = {model: scores[model, name] for model in ("base", "tuned", "fused")}
            lost, interval = intervals.share_lost(*arms.values(), conversations)
            nats = {model: float(one["reply"].sum() / one["tokens"].sum()) for model, one in arms.items()}
            found[name] = {**nats, "lost": lost, "interval": interval, "verdict": cost}
    return found


def training_formats(scores: dict, models: list[dict], conversations: list[str], wrapped: str, app: str) -> dict | None:
    """Option B minus option A, each prompted in its own form, and both with the app's prompt.

    `wrapped`, `app`: the names of these formats. Seeds that both options have are paired. None if option A was
    not trained.
    """
    of = {option: {model["seed"]: model for model in models if model.get("option") == option} for option in ("A", "B")}
    made = {}
    for asked, names in (("own", {"A": wrapped, "B": "aligned"}), ("app", {"A": app, "B": app})):
        seeds = [
            seed
            for seed in sorted(of["A"].keys() & of["B"].keys())
            if all((of[option][seed]["name"], names[option]) in scores for option in of)
        ]
        sides = {option: [scores[of[option][seed]["name"], names[option]] for seed in seeds] for option in ("A", "B")}
        if seeds:
            made[asked] = intervals.over_seeds(sides["B"], sides["A"], conversations) | {"formats": names}
    multiple_testing.correct(list(made.values()), "option B against option A")
    return made or None


def scaling(scores: dict, models: list[dict], app: str, heldout: dict) -> list[dict]:
    """What other trainings save over the main one, and whether aligning the app's prompt saves more.

    In bits per byte of the reply, on the same replies: `saved`, `aligned`, and `aligning_ahead`, their paired
    difference, "better" where aligning saves more. Empty if there is no other training, or if an arm is missing.
    """
    aligned, asked = scores.get(("tuned", "aligned")), scores.get(("tuned", app))
    if aligned is None or asked is None:
        return []
    sizes = _sizes(heldout)
    found = []
    for model in models:
        other = scores.get((model["name"], "aligned"))
        if model["base"] is None or model["option"] or model["name"] in ("tuned", "fused") or other is None:
            continue
        saved, gap = ((one["reply"] - two["reply"]) / np.log(2) for one, two in ((aligned, other), (asked, aligned)))
        ahead = intervals.compared(gap - saved, sizes, heldout["conversations"], "bits_per_byte")
        opposite = {intervals.BETTER: intervals.WORSE, intervals.WORSE: intervals.BETTER}  # here more is better
        verdict = opposite.get(ahead["verdict"], intervals.EQUAL)
        found.append(
            {
                "model": model["name"],
                "saved": float(saved.sum() / sizes.sum()),
                "aligned": float(gap.sum() / sizes.sum()),
                "aligning_ahead": {key: ahead[key] for key in ("bits_per_byte", "interval", "p")}
                | {"verdict": verdict},
            }
        )
    multiple_testing.correct([row["aligning_ahead"] for row in found], "aligning the prompt against other trainings")
    return found


def samples(heldout: dict, written: dict, count: int, own: list[str] | None = None) -> list[dict]:
    """Context, true reply and each arm's reply, side by side. `written`: (model, format) -> replies.

    `own`: the replies of the training split. A reply's `marks` say what is wrong with it (written_replies.marks).
    """
    examples, trained = heldout["examples"], {written_replies.normal(text) for text in own or []}
    return [
        {
            "context": chat_format.context_of(examples[at]),
            "true": examples[at]["messages"][-1]["content"],
            "replies": [
                {"model": model, "format": name, "text": one["text"], "stopped": one["stopped"]}
                | {"marks": written_replies.marks(one, trained)}
                for (model, name), replies in written.items()
                for one in [replies[at]]
            ],
        }
        for at in spread(range(len(examples)), count)
    ]


def generated(measured: dict, heldout: dict, own: list[str]) -> dict:
    """What the arms write, compared with the person's own replies (`own`: those of the training split).

    `measured`: from `arms.measure`; its limit `longest` is repeated. `too_long`: the share of the person's replies
    that this limit would cut, in the model's tokens and with the end of their turn. `ceiling` measures as many of the
    person's own replies. `arms` has one entry per arm: its `measures`, its style distance, and two paired differences
    of that: `to_floor`, from the first arm (the untrained model), and `to_aligned`, from the same model under the
    aligned prompt (None for that one itself).
    """
    written, scores, longest = (measured[key] for key in ("written", "scores", "longest"))
    if not written:
        return {"ceiling": None, "arms": [], "longest": longest}
    true = [example["messages"][-1]["content"] for example in heldout["examples"]]
    trained = {written_replies.normal(text) for text in own}
    to = style_similarity.reference(own or true, len(true))  # an adapter may outlive the rows it was trained on
    texts = {key: [reply["text"] for reply in replies] for key, replies in written.items()}
    floor = next(iter(texts.values()))
    ended = [{"text": text, "stopped": True} for text in true]
    too_long = {arm: float(np.mean(_lengths(scores[arm]) > longest)) for arm in written}
    person = written_replies.measures(ended, true, trained) | {"too_long": next(iter(too_long.values()))}
    arms = [
        {
            "model": model,
            "format": name,
            **written_replies.measures(written[model, name], true, trained),
            "too_long": too_long[model, name],
            "end_of_turn_interval": _share_interval(written[model, name], heldout["conversations"]),
            "style_distance": style_similarity.distance(replies, to),
            "to_floor": style_similarity.distance_difference(replies, floor, heldout["conversations"], to),
            "to_aligned": None
            if name == "aligned" or (model, "aligned") not in texts
            else style_similarity.distance_difference(replies, texts[model, "aligned"], heldout["conversations"], to),
        }
        for (model, name), replies in texts.items()
    ]
    multiple_testing.correct([arm["to_floor"] for arm in arms[1:]], "style against the untrained model")
    multiple_testing.correct(
        [arm["to_aligned"] for arm in arms if arm["to_aligned"]], "style against the prompt of training"
    )
    return {"longest": longest, "ceiling": to["ceiling"] | {"measures": person}, "arms": arms}


def _lengths(scores: dict) -> np.ndarray:
    """The tokens of each true reply, with the one that ends its turn."""
    return scores["tokens"] + ~np.isnan(scores["end"])


def _share_interval(replies: list[dict], conversations: list[str]) -> list[float] | None:
    """The interval of the share of replies that end; a share is from 0 to 1."""
    ended = np.array([reply["stopped"] for reply in replies], float)
    _, interval = intervals.mean(ended, np.ones(len(ended)), conversations)
    return interval and [min(max(bound, 0.0), 1.0) for bound in interval]


def summary(
    plan, measured, arms, differences, attribution, attribution_every, training_formats, ranked, generated, samples
) -> dict:
    """The content of comparison.json, except for the claims and what was left out."""
    app = plan["same"].get(plan["app"]["name"], plan["app"]["name"])
    return {
        "app": app,
        "formats": [
            {"name": one["name"], "faults": one["faults"], "shots": one.get("shots", 0), "retrieved": "similar" in one}
            for one in plan["formats"]
        ],
        "same": plan["same"],
        "models": [
            {key: model.get(key) for key in ("name", "base", "config", "seed", "option", "own")}
            for model in plan["models"]
        ],
        "trained": plan["trained"]["name"],
        "heldout": {key: plan["heldout"][key] for key in ("split", "all", "grouping")}
        | {"leaked": sum(plan["heldout"]["leaked"])},
        "scaling": scaling(measured["scores"], plan["models"], app, plan["heldout"]),
        "fusing": fusing(differences, measured["scores"], app, plan["heldout"]["conversations"]),
        "arms": arms,
        "differences": differences,
        "attribution": attribution,
        "attribution_every": attribution_every,
        "training_formats": training_formats,
        "archaeology": {"ranked": ranked, "told": archaeology.summary(ranked)},
        "generated": generated,
        "ability": ability.summary(measured["ability"]),
        "regurgitation": regurgitation.summary(measured["regurgitation"]),
        "samples": samples,
        "preference_pairs": preference.pairs(
            measured["written"], ("tuned", "aligned"), ("base", "aligned"), plan["heldout"]
        ),
    }
