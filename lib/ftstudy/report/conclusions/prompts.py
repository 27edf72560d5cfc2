"""What the difference between training's prompt and the app's means."""

from ...printable import cut
from ...wording import capitalized, corrected, count, effect, format_name, listed, needed, number, prompted
from .shared import in_words


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
            "There is no prompt to compare: either no row ends with a separate reply message, or the app's profile "
            "gives no prompt, and then a finding says so."
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


def prompt_cost(row: dict, name: str, model: str = "tuned") -> str:
    """What the format `name` costs a model against the prompt of training; `row`: that difference."""
    found = in_words(row, "it helps instead of hurting", "the mismatch hurts", "not distinguishable from no effect")
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
            f"Together, {names} make the true replies {whole}; no single fault's cost is "
            f"distinguishable{corrected(most)}.{needed(most)}"
        )
    return f"Together, {names} make the true replies {whole}. {capitalized(format_name(most['fault']))} costs most: {share}."


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
        f"The training text ends with {cut(found['training'], 40)!r}, the prompt with {cut(found['inference'], 40)!r}. "
    )
    if found["trained"]:
        return (
            f"{start}That is not a difference: the prompt stops where the model starts to write, and the end token is part "
            "of what it learned to write."
        )
    return f"{start}But the end of the turn has no loss here, so the model is not taught to stop."
