"""What no repair takes away, and why: it needs something that only the owner of the fine-tune has or can decide."""

from . import rows, splits

WHY = {
    "config.hf_dataset": "The rows are on a hub, and a copy of them here would be somebody else's to keep up to date.",
    "config.memory": "Which setting to lower, and what to give up for it, is for you to say.",
    "config.path": "Only you know where it is.",
    "data.missing": "There are no rows to repair.",
    "data.empty": "There are no rows to repair.",
    "data.no_train": "There is no file of rows that can be read.",
    "data.no_valid": "There are too few conversations to divide, or none that can be told apart.",
    "data.fewer_than_batch": "There are too few rows.",
    "data.tail_rows": "A batch size is a matter of memory too.",
    "data.control_tokens": "Which of this markup is the message's own can't be told from the text.",
    "loss.prompt_not_prefix": "It is in the model's chat template: a repair would change the model.",
    "loss.end_of_turn": "The model's own files say where a reply ends: a repair would change the model.",
    "loss.template_changes": "It is in the model's chat template: a repair would change the model.",
    "loss.truncated": "The model takes no longer rows, and which part of a text matters is for you to say.",
    "parity.captured_rows": "Only your app can be recorded.",
    "app.hard_coded_tokens": "It is in your app's code, which no copy replaces.",
}
FAMILIES = {
    "data": "The rows themselves don't show what they should say.",
    "model": "A repair would change the base model: choose or download another.",
    "parity": "The cause is in how your app asks, and a new profile can't fix that.",
    "fused": "The fused model has to be made again, from the adapter that the repaired fine-tune leaves.",
    "app": "It is in your app's code, which no copy replaces.",
    "adapter": "The repaired fine-tune trains a new adapter.",
}
OTHERWISE = "A repair would have to guess what you meant."


def sentences(findings: list[dict]) -> list[tuple[str, str]]:
    """(severity, a sentence: what is left, why, and what to do) of each error and warning among findings."""
    return [
        (one["severity"], f"{one['check']}: {one['title']}. {why(one['check'])} {one['fix']}")
        for one in findings
        if one["severity"] != "info"
    ]


def why(check: str) -> str:
    return (WHY | splits.CANNOT | rows.CANNOT).get(check) or FAMILIES.get(check.partition(".")[0], OTHERWISE)
