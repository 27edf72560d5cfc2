"""What each result means, in a sentence or two: for the notebooks and the report's summary.

Every function takes results as they are in the run's JSON files and returns plain text.
"""

from ..diagnosis.learning import FEW_ROWS
from ..diagnosis.usability import ENDS, UNSOUND
from ..wording import (
    corrected,
    count,
    effect,
    format_name,
    listed,
    more_likely,
    needed,
    number,
    prompted,
    sentence,
    verdict,
)

FEW_TO_TEST = 40  # examples below which a run says so
SOME_TOO_LONG = 0.05  # of the person's own replies
OFTEN = 0.02  # of the replies: one that comes back so often is worth saying
FLAT = 0.01  # nats per trained token: a smaller rise of the validation loss is not over-fitting


def extraction(found: dict, variant: str = "") -> str:
    """`found`: extraction.json. `variant`: the one to describe; the first by default."""
    variants = found["variants"]
    splits = variants.get(variant) or next(iter(variants.values()), {})
    sizes = {name: splits.get(name, {}).get("examples", 0) for name in ("train", "valid", "test", "heldout")}
    parts = [f"{sizes['train']:,} to train on", f"{sizes['valid']:,} to validate", f"{sizes['test']:,} to test"]
    parts += [f"{sizes['heldout']:,} from people in no other split"] if sizes["heldout"] else []
    pairs = count(found["pairs"], "reply pair")
    return f"{count(found['messages'], 'message')} gave {pairs}: {listed(parts)}. {_support(sizes)}"


def rows(described: dict) -> str:
    """`described`: the rows of a folder, as in extraction.json."""
    sizes = {"train": 0, "valid": 0, "test": 0} | {one["split"]: one["rows"] for one in described["splits"]}
    total, replies = sum(sizes.values()), len(described["lengths"])
    parts = [f"{sizes['train']:,} rows to train on", f"{sizes['valid']:,} to validate", f"{sizes['test']:,} to test"]
    text, held_out = f"{_capital(listed(parts))}. ", "test"
    if sizes["test"] == 0 and sizes["valid"]:
        text += "Without test rows, models are compared on the validation rows. "
        sizes["test"], held_out = sizes["valid"], "validation"
    if not replies and all(one["schema"] == "text" for one in described["splits"] if one["rows"]):
        return (
            f"{text}They are plain text, so their replies are not described here. Where the model's chat template wrote "
            "the text, prompts and replies are read from it below."
        )
    if not replies:
        return f"{text}None of them ends with a reply in a message of its own, so no reply can be looked at."
    if total > replies:
        text += f"{count(total - replies, 'row does', 'rows do')} not end with a reply. "
    reply, times = next(iter(described["replies"]), ("", 0))
    if times >= OFTEN * replies:
        text += f"The most frequent reply, “{_short(reply)}”, is the answer in {times / replies:.0%} of them. "
    systems = described["different"]["systems"]
    text += {0: "There is no system text. ", 1: "All system texts are the same. "}.get(
        systems, f"There are {systems:,} different system texts. "
    )
    return text + _support(sizes, held_out)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def _support(sizes: dict[str, int], held_out: str = "test") -> str:
    if not sizes["train"]:
        return "There is nothing to train on."
    if not sizes["test"]:
        return "Without test examples, no models can be compared."
    few = [f"{sizes['train']:,} examples are little to learn from"] if sizes["train"] < FEW_ROWS else []
    few += [f"{sizes['test']:,} {held_out} examples show large differences only"] if sizes["test"] < FEW_TO_TEST else []
    return f"{'; '.join(few)}." if few else "That is enough to train on, and enough to compare models on."


def audit(findings: list[dict]) -> str:
    """`findings`: dicts with `severity` and `title`, as in findings.json. Facts (infos) don't count."""
    titles = {level: [one["title"] for one in findings if one["severity"] == level] for level in ("error", "warning")}
    counts = f"{count(len(titles['error']), 'error')}, {count(len(titles['warning']), 'warning')}"
    if titles["error"]:
        return f"{counts}. Fix this first: {sentence(titles['error'][0])}"
    if titles["warning"]:
        return f"{counts}. Training can start, but look at this first: {sentence(titles['warning'][0])}"
    return f"{counts}. The audit found nothing that would waste this run."


def app_known(profile: dict | None, rows: int) -> str:
    """Whether the app's prompt can be compared; `profile`: the app's, or None; `rows`: with a reply to compare at."""
    if profile is None:
        return (
            "How your app builds its prompt is not known, so it cannot be compared with training. Describe it in a YAML "
            "profile, or record what it sends with `ftstudy record`, and pass either as INFERENCE=… or --inference. To "
            "see what the original report's app would cost you, pass `historical`."
        )
    if not rows:
        return (
            "There is no prompt to compare: no row ends with a reply in a message of its own, or the app's profile gives "
            "no prompt, which is then one of the findings."
        )
    return f"The prompts of {count(rows, 'row')} are compared."


def key_differences(compared: dict, name: str) -> str:
    """`compared`: one side of `parity` in format_audit.json; `name`: of the inference profile."""
    examples, different = compared["examples"], compared["examples"] - compared["identical"]
    if not different:
        return f"Rendered {prompted(name)}, all {count(examples, 'prompt')} are identical to training, token for token."
    where = [
        f"{row['aspect'].lower()} ({_tokens(row['tokens'])} in {count(row['prompts'], 'prompt')})"
        for row in compared["rows"]
    ]
    return (
        f"Prompted {prompted(name)}, {different} of {count(examples, 'prompt')} differ from training: {listed(where)}."
    )


def _tokens(amount: float) -> str:
    return f"{number(amount, 0)} {'token' if round(amount) == 1 else 'tokens'}"


def training(entry: dict) -> str:
    """`entry`: one of `configs` in training.json."""
    losses = [(row["iteration"], row["validation_loss"]) for row in entry["curve"] if "validation_loss" in row]
    length = f"{count(entry['iterations'], 'iteration')} ({number(float(entry['epochs']), 2)} epochs)"
    diverged = f"Training diverged ({entry['stopped']}). " if entry["diverged"] else ""
    if len(losses) < 2:
        return f"{diverged}Trained for {length}; without validation losses, over-fitting would not show."
    (_, first), (last, final) = losses[0], losses[-1]
    best, lowest = min(losses, key=lambda point: point[1])
    if lowest >= first:
        return (
            f"{diverged}Validation loss never fell below its start, {number(first)} nats per token, in {length}: "
            "nothing was learned that carries over to new replies."
        )
    text = (
        f"{diverged}Validation loss fell from {number(first)} to {number(lowest)} nats per token in {length}, "
        f"which makes a token {more_likely(lowest - first)}. Best at iteration {best:,}, "
    )
    if best == last:
        return text + "the last evaluation: it was still falling, so longer training may help."
    if final - lowest < FLAT:
        return text + "and flat after that: longer training would not help."
    if entry.get("existing"):  # its checkpoints, measured on the same replies, say more than these few losses
        return text + f"then it rose by {number(final - lowest)}, which may be over-fitting or chance."
    return text + f"then it rose by {number(final - lowest)}: over-fitted from there on, so that checkpoint was kept."


def adapter(entry: dict) -> str:
    """An adapter that existed already; `entry`: one of `configs` in training.json, with `adapts`."""
    adapts, sizes = entry["adapts"], [row["relative"] for row in entry["adapts"]["by_layer"]]
    start = f"It changes {count(entry['parameters_trained'], 'parameter')} in {count(len(adapts['layers']), 'layer')}"
    moved = f", and moves their weights by {min(sizes):.1%} to {max(sizes):.1%}" if sizes else ""
    stopped = f" Training {entry['stopped']}." if entry["stopped"] else ""
    zero = f" {count(len(adapts['zero']), 'tensor')} did not learn: all zero." if adapts["zero"] else ""
    return f"{start}{moved}.{stopped}{zero}"


def checkpoints(found: dict) -> str:
    """Which checkpoint to keep, and whether training went on long enough; `found`: `checkpoints` of training.json."""
    rows = {row["iteration"]: row for row in found["rows"]}
    own, keep, lowest = found["own"], found["keep"], found["lowest"]
    if own not in rows:
        return "The adapter's loss is not a number, so it can't be judged."
    between = rows[own]["to_base"]
    gained = effect(between["nats_per_reply_token"], between["interval"])
    at = f" (iteration {own:,})" if found.get("known", True) else ""
    start = f"Compared with its base, the adapter{at} makes the true replies {gained}"
    if keep is None:
        meaning = {"worse": "worse than its base"}.get(between["verdict"], "not distinguishable from its base")
        others = ", and no checkpoint is better than the base" if len(rows) > 2 else ""
        return (
            f"{start}: {meaning}{corrected(between)}{others}. Nothing was learned that carries over to held-out replies."
            f"{needed(between)}"
        )
    if len(rows) < 3:
        return f"{start}: better. With only one checkpoint, over- and under-fitting can't be told apart."
    if keep != own:
        better = effect(-rows[own]["to_lowest"]["nats_per_reply_token"], _flipped(rows[own]["to_lowest"]["interval"]))
        return f"{start}. Keep iteration {keep:,} instead, where they are {better}: this adapter is {found['fit']}."
    meaning = {
        "under-fitted": "it is still better than the checkpoint before it, so longer training may help (under-fitted)",
        "well fitted": "no checkpoint is distinguishably better (well fitted)",
    }.get(found["fit"], "there is no earlier checkpoint to compare it with, so over-fitting can't be told")
    near = "" if lowest == own else f" (iteration {lowest:,} is lowest, but not distinguishable from it)"
    return f"{start}. Keep it{near}: {meaning}."


def _flipped(bounds: list[float] | None) -> list[float] | None:
    return bounds and [-bounds[1], -bounds[0]]


def loss_tokens(ours: dict, stock: dict) -> str:
    """`ours`, `stock`: `loss_tokens` and `stock_loss_tokens` of training.json."""

    shares = [
        f"{sum(found[part] for part in ('prompt', 'after_end', 'padding')) / (found['total'] or 1):.0%}"
        for found in (stock, ours)
    ]
    return (
        f"In stock mlx-lm, {shares[0]} of the loss would be on tokens other than the reply and its end of turn; "
        f"in this run, {shares[1]} is."
    )


def stock(rows: list[dict]) -> str:
    """`rows`: `stock` of an entry of training.json, empty if that training was not run."""
    if not rows:
        return "Stock mlx-lm was not trained in this run (`make report STOCK=yes` trains it)."
    nats = {row["model"]: row for row in rows}
    ours, theirs = nats["this run"], nats["stock mlx-lm"]
    reply, end = (effect(ours[key] - theirs[key], None) for key in ("reply", "end_of_turn"))
    return (
        f"Compared with stock mlx-lm, this run makes the true replies {reply}, and their ends of turn {end}. "
        "With one seed each, a small difference does not show which is better."
    )


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
    found = _found(row, "fine-tuning helped", "fine-tuning hurt", "not distinguishable from its base")
    return (
        f"Compared with its base, both prompted {prompted(name)}, the tuned model finds the true replies {found}."
        f"{_ending(row)}{needed(row)}{_leaked(row)}"
    )


def _found(row: dict, better: str, worse: str, neither: str = "not distinguishable") -> str:
    """A difference in words, and what its verdict means."""
    meaning = {"better": better, "worse": worse, "not distinguishable": neither + corrected(row)}[row["verdict"]]
    if row["interval"] is None:
        meaning = "too few conversations for a verdict"
    return f"{effect(row['nats_per_reply_token'], row['interval'])}: {meaning}"


def _leaked(row: dict) -> str:
    """What a verdict rests on if training gives some of the replies away."""
    if not row.get("leaked"):
        return ""
    clean = row["without_leaked"]
    rest = "too few are left without them"
    if clean:
        rest = f"on the others alone it is {_found(clean, 'better', 'worse')}"
    return f" But train.jsonl gives away {count(row['leaked'], 'of these replies', 'of these replies')}; {rest}."


def heldout(found: dict, replies: int, conversations: int) -> str:
    """Which replies a comparison asks about, and how far to trust that; `found`: `heldout` of comparison.json."""
    grouping = found["grouping"]
    text = (
        f"{count(replies, 'reply', 'replies')} of {found['split']}.jsonl, from {count(conversations, 'conversation')}."
    )
    if found["split"] == "valid":
        text += (
            " There is no test.jsonl. If training chose its checkpoint by the validation loss, the result looks a "
            "little too good."
        )
    if grouping["known"] == "inferred":
        text += (
            f" The rows don't say which conversation they are from, so it was inferred: {grouping['linked']:,} of "
            f"{grouping['rows']:,} share lines with another row and count as one conversation with it; each of the "
            "others counts as one of its own. If they are not, the intervals are too narrow."
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
        f"{_found(row, 'training beats examples', 'examples beat training')}.{_ending(row)}{needed(row)}"
    )


def prompt_cost(row: dict, name: str, model: str = "tuned") -> str:
    """What the format `name` costs a model against the prompt of training; `row`: that difference."""
    found = _found(row, "it helps instead of hurting", "the mismatch hurts", "not distinguishable from no effect")
    text = f"Prompted {prompted(name)} instead of as in training, the {model} model finds the true replies {found}."
    return text + needed(row)


def attribution(found: dict | None) -> str:
    """`found`: one model's `attribution` in comparison.json. Which fault costs most."""
    if found is None:
        return "No fault of the app's prompt could be measured on its own."
    most = max(found["shares"], key=lambda one: one["nats_per_reply_token"])
    whole, share = (effect(one["nats_per_reply_token"], one["interval"]) for one in (found["whole"], most))
    if len(found["faults"]) == 1:
        text = f"The prompt has one fault, {format_name(most['fault'])}. It makes the true replies {whole}."
        return text + needed(most)
    names = listed([format_name(fault) for fault in found["faults"]])
    if most["verdict"] != "worse":
        return (
            f"Together, {names} make the true replies {whole}; no single fault has a cost that can be "
            f"distinguished{corrected(most)}.{needed(most)}"
        )
    return (
        f"Together, {names} make the true replies {whole}. {_capital(format_name(most['fault']))} costs most: {share}."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


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
    """In which share of the tuned model's replies something is so, where it is in that share or more."""
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
    return f"{' '.join(sentences)} It is a rough check, in English; guessing is right in 25%."


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
        f"Given the first third of a reply, the tuned model completes {one['tuned']['seen_count']} of {found['rows']} that "
        f"it was trained on word for word, and {one['tuned']['unseen_count']} of {found['other_rows']} that it was not; its "
        f"base {one['base']['seen_count']} and {one['base']['unseen_count']}: {meaning}."
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


def staged(found: dict) -> str:
    """`found`: `staged` of format_audit.json. What the original report's configs pointed to, and now do."""
    empty = {when: sum(one["lines"] == 0 for one in found[when]) for when in ("before", "after")}
    return (
        f"{empty['before']} of the {len(found['before'])} historical configs point to a folder without training data; after "
        f"the fix, {empty['after']} of {len(found['after'])} do. mlx-lm refuses to train on an empty folder: "
        f"{found['trainer']}"
    )


def left_out(found: list[dict]) -> str:
    return f"{count(len(found), 'item')} could not be compared; the reasons are in the report's numbers."


def trust(compared: dict) -> str:
    """`compared`: comparison.json. Which replies were asked for, how many trainings there were."""
    arm = compared["arms"][0] if compared["arms"] else {"replies": 0, "conversations": 0}
    seeds = sum(one.get("option") == "B" for one in compared["models"]) or 1
    few = " That is too little to expect the same verdict on other conversations." if arm["conversations"] < 5 else ""
    return f"{heldout(compared['heldout'], arm['replies'], arm['conversations'])}{few} Trained with {count(seeds, 'seed')}."


def forced(checks: list[str]) -> str:
    """`checks`: `forced` of an entry of training.json: the errors that training went ahead in spite of."""
    return f"This run was forced: it was trained although the audit found {count(len(checks), 'error')} ({listed(checks)})."


def root_cause(audited: dict, trained: dict | None) -> str:
    """Where two different prompts are built; `audited`: format_audit.json; `trained`: an entry of training.json."""
    existing = audited.get("given", {}).get("existing") or (trained or {}).get("existing")
    training = (
        "for training, from the rows of the data"
        if existing
        else "by the data extraction, rendered by mlx-lm with the tokenizer's chat template"
    )
    return f"The prompt is built in two places: {training}, and by the app ({format_name(audited['inference'])})."


def options(between: dict, app: str, inference: str) -> str:
    """What changing the app's prompt would bring; `between`: (model, format, model, format) -> difference."""
    if cost := between.get(("tuned", app, "tuned", "aligned")):
        return prompt_cost(cost, app)
    if app == "aligned":
        return "The app already asks as training does."
    return f"The tuned model could not be measured {prompted(inference)}."


def termination(found: dict) -> str:
    """How prompt and training text end; `found`: `termination` of one side of `parity` in format_audit.json."""
    start = (
        f"The training text ends with {_short(found['training'])!r}, the prompt with {_short(found['inference'])!r}. "
    )
    if found["trained"]:
        return (
            f"{start}That is not a difference: the prompt stops where the model starts to write, and the end token is part "
            "of what it learned to write."
        )
    return f"{start}But the end of the turn has no loss here, so the model is not taught to stop."
