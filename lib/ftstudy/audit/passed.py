"""What the audit checked and found right, and what it couldn't check: otherwise a clean audit says little."""

from collections.abc import Iterator

from ..configs import study
from ..extract.variant_folder import SPLITS
from ..paths import shown
from ..wording import count, listed
from . import hub_data
from .run_inputs import RunInputs


def summary(inputs: RunInputs, findings: list[dict]) -> dict[str, list[str]]:
    """`held` and `not_checked`, sentences each. `findings`: of all families that were asked, as plain data.

    A sentence of `held` counts what was looked at; it is only there if nothing above info was found under its checks.
    """
    raised = {one["check"] for one in findings if one["severity"] != "info"}

    def clean(*names: str) -> bool:
        return not any(check.startswith(names) for check in raised)

    return {"held": [*_held(inputs, clean)], "not_checked": [*_not_checked(inputs)]}


def _held(inputs: RunInputs, clean) -> Iterator[str]:
    splits = [split for split in inputs.splits.values() if split.rows]
    rows, names = sum(len(split.rows) for split in splits), listed([split.name for split in splits])
    if clean("config."):
        yield "mlx-lm reads every key of the config, and can use its values."
    if inputs.model and inputs.problem is None:
        yield f"mlx-lm can load the base model {inputs.config['model']}."
    if not rows or inputs.config.get("hf_dataset"):
        return
    if clean("data.", "loss.template_refuses", "model.no_template"):
        yield f"mlx-lm accepts all {count(rows, 'row')} of {names}; no fault was found in their roles and texts."
    if inputs.tokenizer_or_none is not None:
        yield from _loss(inputs, clean)
    if len(splits) > 1 and clean("splits."):
        yield f"No rows leak between {names} ({count(rows, 'row')} compared)."
    yield from _prompts(inputs)


def _loss(inputs: RunInputs, clean) -> Iterator[str]:
    if "train" not in inputs.splits or not clean("loss.", "data.bad_messages", "data.last_role"):
        return
    if lengths := [len(ids) for ids in inputs.text_ids("train")]:
        yield f"No text is cut: the longest has {max(lengths):,} of {inputs.config['max_seq_length']:,} tokens."
    elif mask := inputs.loss_mask("train"):
        if inputs.config.get("mask_prompt") or study(inputs.config):
            yield f"The loss covers all {len(mask.lengths):,} replies of train and the tokens that end them, and no prompt."
        yield f"No row is cut: the longest has {mask.lengths.max():,} of {inputs.config['max_seq_length']:,} tokens."


def _prompts(inputs: RunInputs) -> Iterator[str]:
    prompts, texts = inputs.measured.get("prompts"), inputs.measured.get("texts")
    if prompts and prompts.rows and not (prompts.different or prompts.failures or prompts.not_prefixes):
        yield f"The app's prompt equals training's, token for token, for all {count(prompts.rows, 'row')} compared."
    if texts and texts.rows and texts.rows == texts.same:
        yield f"The app's prompt is the beginning of all {count(texts.rows, 'text')} compared, token for token."


def _not_checked(inputs: RunInputs) -> Iterator[str]:
    if inputs.config.get("hf_dataset"):
        yield "The rows of `hf_dataset`: a dataset on a hub is only read where `data:` names it."
    elif inputs.hub and not inputs.splits:
        yield f"The rows of the dataset {inputs.hub}: {hub_data.unread(inputs.hub)}."
    elif missing := [f"{name}.jsonl" for name in SPLITS if name not in inputs.splits]:
        yield f"{listed(missing)}: not in {shown(inputs.folder)}."
    for split in inputs.splits.values() if inputs.hub else ():
        if split.unread:
            yield f"The last {count(split.unread, 'row')} of {split.name}: only the first {split.lines:,} are read."
        if missing := hub_data.absent(split):
            yield f"The rest of {split.name}: {missing}."
    if inputs.tokenizer_or_none is None:
        yield "Tokens, loss and prompts: the base model's tokenizer can't be loaded."
        return
    if not inputs.has_template and any(split.schema in ("chat", "completion") for split in inputs.splits.values()):
        yield "Tokens, loss and prompts: the tokenizer has no chat template to render the conversations with."
        return
    if any(inputs.texts(name) for name in inputs.splits) and not any(
        inputs.conversations(name).numbers for name in inputs.splits
    ):
        yield "Who speaks, and which tokens are replies: the rows are plain text."
    if inputs.profile is None:
        yield "The app's prompt: no inference profile was given."
        return
    prompts, texts, step = inputs.measured.get("prompts"), inputs.measured.get("texts"), inputs.measured.get("step", 1)
    if texts and texts.reason:
        yield f"The app's prompt for rows of text: {texts.reason}."
    if step > 1:
        yield f"Most of the app's prompts: its function ran for every {step}th row only."
    if prompts and prompts.missing:
        yield f"The app's prompt for {count(prompts.missing, 'row')} of the same files: none was recorded."
