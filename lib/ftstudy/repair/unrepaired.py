"""What no repair fixes, and why: it needs something that only the owner of the fine-tune has or can decide."""

TOO_MANY = "The two files share so many conversations that separating them would leave one empty."
WHY = {
    "config.hf_dataset": "The rows are on the Hub, and a copy of them here would go out of date.",
    "config.memory": "Which setting to lower, and what to give up for it, is up to you.",
    "config.path": "Only you know where it is.",
    "data.missing": "There are no rows to repair.",
    "data.empty": "There are no rows to repair.",
    "data.no_train": "There is no file of rows that can be read.",
    "data.fewer_than_batch": "There are too few rows.",
    "data.tail_rows": "Batch size also depends on memory.",
    "data.control_tokens": "The text doesn't show which markup belongs to the message.",
    "loss.prompt_not_prefix": "It is in the model's chat template: a repair would change the model.",
    "loss.end_of_turn": "The model's own files say where a reply ends: a repair would change the model.",
    "loss.template_changes": "It is in the model's chat template: a repair would change the model.",
    "loss.truncated": "The model can't take longer rows, and only you know which part of a text matters.",
    "parity.captured_rows": "Only you can record your app.",
    "app.hard_coded_tokens": "It is in your app's code, which isn't repaired.",
    "data.dominating_reply": "Exact copies are removed; only you can say which of the other rows matter.",
    "data.near_duplicates": "The rows differ, so none of them is left out: add other rows.",
    "data.content_form": "Training on text can't see a picture or a sound; take those rows out, or describe it in words.",
    "data.tool_calls": "This model's chat template writes no tool calls; another model's does.",
    "data.thoughts": "Nobody but you knows the thoughts that some replies lack, or whether the app wants any.",
    "data.unread_key": "Nothing says where in the conversation this text belongs, or the chat template has no place for it.",
    "data.system_prompts": "These system texts may ask for different things, and only you know which one the app sends.",
    "data.system_differs": "These system texts may ask for different things, and only you know which one is meant.",
    "data.odd_characters": "U+FFFD stands for characters that are lost; read the source again, as UTF-8.",
    "data.mixed_schemas": "These texts can't be read as conversations, so mlx-lm can't mask their prompts: set "
    "`mask_prompt: false`, or write rows of `messages`.",
    "data.identifiers": "What identifies somebody may be what the chat is about; the extraction masks it.",
    "data.user_form_differs": "Nothing says which layout of the user's turn the app sends.",
    "loss.untrained_replies": "One row per reply would train some conversations many times over; `ftstudy: {train_on: all}` "
    "trains all replies.",
    "loss.earlier_replies": "The template rewrites earlier replies in every row; `train_on: last` trains the last one.",
    "loss.template_refuses": "The chat template rejects these conversations, in whatever form they are written.",
    "data.no_valid": "There are too few conversations to hold some out.",
    "data.no_test": "There are too few conversations to hold some out; set `test: false`.",
    "splits.exact_duplicate": TOO_MANY,
    "splits.near_duplicate": TOO_MANY,
    "splits.reply_in_context": TOO_MANY,
    "splits.same_conversation": "Conversations divided by time are normal; for heldout.jsonl, extract the rows again.",
    "data.zero_bytes": "There are no rows to put there.",
}
FAMILIES = {
    "data": "The rows themselves don't show what they should say.",
    "model": "A repair would change the base model: choose or download another.",
    "parity": "The cause is in how your app asks, and a new profile can't fix that.",
    "fused": "Fuse again, with the adapter that the repaired fine-tune trains.",
    "app": "It is in your app's code, which isn't repaired.",
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
    return WHY.get(check) or FAMILIES.get(check.partition(".")[0], OTHERWISE)
