"""The held-out replies of a proof, and how likely each trained model finds them."""

from pathlib import Path

import numpy as np

from .. import audit, chat_format
from ..chat_format.read_back import with_messages
from ..compare import arms
from ..compare.heldout import choose, held_out
from ..errors import StudyError
from ..extract import variant_folder
from ..machine_failures import pass_on
from ..models import base_models

FIXED, AS_WAS = "as in training", "as the app asked"
NUMBERS = ("reply", "tokens", "end")


def asked(
    fixed: audit.RunInputs, trained: list[audit.RunInputs], profile: dict | None, replies: int, was: audit.RunInputs
) -> dict:
    """What the models are asked: the replies that no training has seen, and their prompts.

    `fixed`: the repaired fine-tune, which has the held-out rows; `trained`: what each training reads; `profile`: how the
    app builds its prompts, None if there was nothing to fix in them; `was`: the fine-tune before the fix, whose rows an
    app was recorded with. Of a recorded app, only recorded replies are taken, if there are any.

    Returns `prompts` (a form -> token ids of each), `targets`, `conversations`, `split`, `seen` (how many replies were
    left out because a training has them) and `why_not` (why the app's prompts could not be built; "" if they were).
    Raises StudyError if no reply is left.
    """
    tokenizer = base_models.load_tokenizer(fixed.config["model"])
    heldout = held_out(fixed.folder, 10**9, tokenizer=tokenizer, config=fixed.config)
    known = set().union(*(_pairs(inputs, tokenizer) for inputs in trained))
    kept = [at for at, example in enumerate(heldout["examples"]) if _pair(example) not in known]
    if not kept:
        raise StudyError(
            f"All replies of {heldout['split']}.jsonl are in the training rows too, so nothing can be measured on them. Hold "
            "out other conversations: move some from train.jsonl into test.jsonl."
        )
    places, seen = heldout["places"], len(heldout["examples"]) - len(kept)
    if profile and profile["kind"] == "captured":
        before = _places(was, tokenizer)
        places = [before.get(_texts(example)) for example in heldout["examples"]]
        kept = [at for at in kept if places[at] in profile["rows"]] or kept
    chosen = choose(kept, heldout["conversations"], replies)
    examples = [heldout["examples"][at] for at in chosen]
    prompts, why_not = {FIXED: [chat_format.prompt_ids(one, tokenizer) for one in examples]}, ""
    if profile:
        try:
            prompts[AS_WAS] = [
                chat_format.prompt_ids(example, tokenizer, profile, places[at]) for at, example in zip(chosen, examples)
            ]
        except Exception as error:  # the app's own code can raise anything
            pass_on(error)
            why_not = arms.reason(error)
    return {
        "prompts": prompts,
        "targets": chat_format.reply_ids(examples, tokenizer),
        "conversations": [heldout["conversations"][at] for at in chosen],
        "split": heldout["split"],
        "seen": seen,
        "why_not": why_not,
    }


def _pairs(inputs: audit.RunInputs, tokenizer) -> set[tuple]:
    rows = variant_folder.load_examples(inputs.folder, "train", inputs.config)
    return {_pair(row) for row in with_messages(rows, tokenizer, inputs.config) if chat_format.ends_with_reply(row)}


def _pair(example: dict) -> tuple:
    """What a reply answers, and the reply, by their words alone."""
    return _texts(example)[-2:]


def _texts(example: dict) -> tuple:
    """The words of a conversation, but for its system text."""
    texts = [chat_format.text_of(one) for one in example["messages"] if one["role"] != "system"]
    return tuple(" ".join(text.split()) for text in texts)


def _places(was: audit.RunInputs, tokenizer) -> dict[tuple, tuple[str, int]]:
    """The words of each conversation that ends with a reply -> its (split, row) before the fix."""
    found = {}
    for name in was.splits:
        try:
            rows = with_messages(variant_folder.load_examples(was.folder, name, was.config), tokenizer, was.config)
        except StudyError as error:  # no lines of JSON: nobody recorded an app with them
            pass_on(error)
            continue
        found |= {_texts(row): (name, at) for at, row in enumerate(rows) if chat_format.ends_with_reply(row)}
    return found


def score(folder: Path, model: str, adapter: str | None, asked: dict, form: str, label: str, shared) -> dict | None:
    """One model's scores (as `likelihood.score` gives them) under one form of prompt; kept in `folder`. None where its
    loss is not a number. `shared`: what the layers below the adapter make of each row, for a model that has one."""
    one = {"model": model, "adapter": adapter}
    kept = arms.scored(folder, one, asked["prompts"][form], asked["targets"], label, shared if adapter else None)
    found = {name: np.array(kept[name], float) for name in NUMBERS}
    return found if np.isfinite(found["reply"]).all() else None
