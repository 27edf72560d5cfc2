"""What the models' likelihoods, compared, mean."""

from ...wording import count, effect, listed, needed, number, prompted, verdict
from .prompts import prompt_cost
from .shared import in_words


def comparison(differences: list[dict], app: str) -> str:
    """`differences`, `app`: as in comparison.json. Tuned against base, and what the app's prompt costs."""
    between = {(*row["left"], *row["right"]): row for row in differences}
    sentences = [gain(between.get(("tuned", name, "base", name)), name) for name in dict.fromkeys(("aligned", app))]
    if cost := between.get(("tuned", app, "tuned", "aligned")):
        sentences.append(prompt_cost(cost, app))
    return " ".join(sentences)


def gain(row: dict | None, name: str) -> str:
    """Tuned against base under the format `name`; `row`: that difference, None where an arm is missing."""
    if row is None:
        return f"Prompted {prompted(name)}, the tuned model or its base could not be measured."
    found = in_words(row, "fine-tuning helped", "fine-tuning hurt", "not distinguishable from its base")
    return (
        f"Compared with its base, both prompted {prompted(name)}, the tuned model finds the true replies {found}."
        f"{_ending(row)}{needed(row)}{_leaked(row)}"
    )


def _leaked(row: dict) -> str:
    """What a verdict rests on if training gives some of the replies away."""
    if not row.get("leaked"):
        return ""
    clean = row["without_leaked"]
    rest = "too few are left without them"
    if clean:
        rest = f"on the others alone it is {in_words(clean, 'better', 'worse')}"
    return f" But train.jsonl gives away {count(row['leaked'], 'of these replies', 'of these replies')}; {rest}."


def heldout(found: dict, replies: int, conversations: int) -> str:
    """Which replies a comparison asks about, and how far to trust that; `found`: `heldout` of comparison.json."""
    grouping = found["grouping"]
    text = f"{count(replies, 'reply')} of {found['split']}.jsonl, from {count(conversations, 'conversation')}."
    if found["split"] == "valid":
        text += (
            " There is no test.jsonl. If training chose its checkpoint by the validation loss, the result looks a "
            "little too good."
        )
    if grouping["known"] == "inferred":
        text += (
            f" The rows don't say which conversation they are from, so it was inferred: {grouping['linked']:,} of "
            f"{grouping['rows']:,} share lines with another row and count as one conversation with it; each of the "
            "others counts as a conversation of its own. If some belong together, the intervals are too narrow."
            if grouping["linked"]
            else " The rows don't say which conversation they are from, and share no lines, so each counts as a "
            "conversation of its own. If some belong together, the intervals are too narrow."
        )
    if found["leaked"]:
        text += f" train.jsonl gives away {found['leaked']:,} of the replies: their likelihood is partly memory."
    return text


def fusing(found: dict) -> str:
    """`found`: `fusing` of comparison.json. What share of training's gain was lost by fusing; empty if unknown."""
    sentences = []
    for name, one in found.items():
        nats = f"{number(one['tuned'])} → {number(one['fused'])} nats per reply token, prompted {prompted(name)}"
        if one["verdict"] == "worse" and one["lost"] < 0.01:
            sentences.append(f"Fusing lost less than 1% of what training gained: {nats}.")
        elif one["verdict"] == "worse":
            certainty = (
                f" (95% interval {one['interval'][0]:.0%} to {one['interval'][1]:.0%})" if one["interval"] else ""
            )
            sentences.append(f"Fusing lost {one['lost']:.0%} of what training gained{certainty}: {nats}.")
        else:
            sentences.append(f"Fusing lost nothing that can be distinguished: {nats}.")
    return " ".join(sentences)


def _ending(row: dict) -> str:
    end = row.get("end_of_turn")
    return f" The end of the turn: {number(end['nats'], signed=True)} nats, {verdict(end)}." if end else ""


def without_training(differences: list[dict]) -> list[str]:
    """The tuned model against its base with examples in the prompt, a sentence for each kind of examples."""
    rows = [row for row in differences if tuple(row["left"]) == ("tuned", "aligned") and row["right"][0] == "base"]
    return [against_examples(row) for row in rows if row["right"][1] != "aligned"]


def against_examples(row: dict) -> str:
    """The tuned model against a base model that sees examples in its prompt; `row`: that difference."""
    examples = row["right"][1].removeprefix("aligned, ")
    return (
        f"Compared with the base model that sees {examples} in its prompt, the tuned model finds the true replies "
        f"{in_words(row, 'training beats examples', 'examples beat training')}.{_ending(row)}{needed(row)}"
    )


def training_formats(found: dict | None) -> str:
    """`found`: as in comparison.json. Option B (asked as trained) against option A (trained as asked)."""
    if not found:
        return "This run trained only one of the options A and B. To compare them: `make report FULL=1`."
    own = found["own"] if "own" in found else next(iter(found.values()))
    better = {"better": "option B is better", "worse": "option A is better"}.get(own["verdict"], verdict(own))
    measured = effect(own["nats_per_reply_token"], own["interval"])
    seeds = count(own["seeds"], "seed")
    return f"Compared with option A, option B makes the true replies {measured}, over {seeds}: {better}.{needed(own)}"


def claims(found: list[dict]) -> str:
    """`found`: the claims of comparison.json."""
    said = ("confirmed", "refuted", "partly", "not testable here")
    by = {one: [row["number"] for row in found if row["verdict"] == one] for one in said}
    refuted = f" (numbers {listed([str(one) for one in by['refuted']])})" if by["refuted"] else ""
    return (
        f"Of {count(len(found), 'statement')}, this run confirms {len(by['confirmed'])}, refutes {len(by['refuted'])}"
        f"{refuted}, confirms {len(by['partly'])} in part, and cannot test {len(by['not testable here'])}."
    )


def left_out(found: list[dict]) -> str:
    return f"{count(len(found), 'item')} could not be compared; the reasons are under “All numbers”."


def trust(compared: dict) -> str:
    """`compared`: comparison.json. Which replies were asked for, how many trainings there were."""
    arm = compared["arms"][0] if compared["arms"] else {"replies": 0, "conversations": 0}
    seeds = sum(one.get("option") == "B" for one in compared["models"]) or 1
    few = " That is too little to expect the same verdict on other conversations." if arm["conversations"] < 5 else ""
    return f"{heldout(compared['heldout'], arm['replies'], arm['conversations'])}{few} Trained with {count(seeds, 'seed')}."
