"""Do training and inference see the same prompt? The original report's second issue, from token ids.

Every row's prompt is compared with what the inference profile would send (`prompts`). The first ones that differ
are read as turns (`reading`, `other_markup`) that are paired (`turns`), and each kind of difference is a check
(`differences`, `checks`), shown on the first row that has it (`rows`). Within these turns the tokens are aligned
(`alignment`), which the notebook shows with `compare`, `key_differences` and `termination`.
"""

from itertools import chain, islice

from ...chat_format.template import Template
from ...progress import bar
from ..findings import Finding
from ..run_inputs import RunInputs
from . import last_messages, serving, text_rows
from .alignment import compare, key_differences, termination
from .checks import NO_PROFILE, OF_PROMPTS
from .prompts import compare_all, rows_of
from .rows import findings_of

CALLS = 2000  # at most, of an app's function, spread evenly over the rows
CHECKS = (*OF_PROMPTS, *text_rows.CHECKS, *serving.CHECKS, *last_messages.CHECKS)
__all__ = ["CHECKS", "check", "compare", "key_differences", "termination"]


def check(inputs: RunInputs) -> list[Finding]:
    """Findings on the prompts of all rows. Raises StudyError if there is no model to render them with."""
    profile = inputs.profile
    if profile is None:
        return [NO_PROFILE.found("info", "No inference profile was given")]
    of_texts = text_rows.check(inputs)
    if not any(_has_conversations(inputs, name) for name in inputs.splits) or not inputs.has_template:
        return of_texts  # nothing to render, which the data family or the model's reports
    names, step = list(inputs.splits), 1
    if profile["kind"] == "captured":
        recorded = {split for split, _ in profile["rows"]}
        names = [name for name in names if name in recorded]
    total = sum(len(inputs.conversations(name).numbers) for name in names)
    if profile["kind"] == "callable":
        step = -(-total // CALLS) or 1
    rows = chain.from_iterable(rows_of(name, inputs.conversations(name), inputs.splits[name].blank) for name in names)
    asked = bar(islice(rows, 0, None, step), total=-(-total // step), desc="comparing prompts", delay=1)
    template = Template(inputs.tokenizer)
    inputs.measured |= {"prompts": compare_all(asked, template, profile), "step": step}
    found = findings_of(
        inputs.measured["prompts"],
        template,
        profile,
        {name: split.where for name, split in inputs.splits.items()},
        bool(inputs.config.get("mask_prompt")),
    )
    return [*found, *of_texts, *serving.check(inputs), *last_messages.check(inputs)]


def _has_conversations(inputs: RunInputs, name: str) -> bool:
    split = inputs.splits[name]
    if split.schema == "text":
        return bool(inputs.conversations(name).numbers)
    return any(True for _ in split.chats())
