"""The app's prompt: where it differs from training's, a profile and a few lines of code that build it as training does."""

import shlex

from ..audit import parity
from ..audit.run_inputs import RunInputs
from ..chat_format.rows import has_texts
from .draft import audited, rendered_as
from .kinds import Repair

ALIGNED = {"kind": "messages", "name": "as in training"}
CODE = '''\
# The app's prompt, built as training builds it. Written by `ftstudy fix`.
# Run it to see a prompt: python {name}

import sys

SYSTEM = {system!r}


def messages_of(text, earlier=()):
    """The conversation as the training data has it. `earlier`: messages before the last one."""
    system = [{{"role": "system", "content": SYSTEM}}] if SYSTEM else []
    return [*system, *earlier, {{"role": "user", "content": text}}]


def prompt_of(messages, tokenizer):
    """The token ids to generate from: send these, not a text, which may be given a second start token."""
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True)


def problems_of(ids, tokenizer, adapter={adapter!r}):
    """What is wrong with a prompt, by the contract that training with ftstudy leaves in the adapter's folder."""
    from ftstudy.chat_format import contract

    return contract.check_prompt(contract.load(adapter), ids, tokenizer)


if __name__ == "__main__":
    from mlx_lm import load

    _, tokenizer = load({model!r})
    print(tokenizer.decode(prompt_of(messages_of(" ".join(sys.argv[1:]) or {asked!r}), tokenizer)))
'''


def _prompt(draft: dict, inputs: RunInputs) -> tuple[dict, list[str]]:
    profile = draft["profile"]
    if profile is None or not draft["rows"] or inputs.model is None or inputs.problem:
        return draft, []
    wrong = _errors(draft, inputs, profile)
    candidates = [ALIGNED | {"stop": profile["stop"]}] if profile.get("stop") else []
    aligned = next((one for one in (*candidates, ALIGNED) if not _errors(draft, inputs, one)), None) if wrong else None
    if aligned is None:
        return draft, []
    return draft | {"profile": aligned}, [f"the app now asks as in training, which fixes: {title}" for title in wrong]


def _errors(draft: dict, inputs: RunInputs, profile: dict) -> list[str]:
    """The errors of an app's prompts. A recording is of the rows as they were."""
    now = inputs if profile["kind"] == "captured" else audited(draft, inputs)
    return [one.title for one in parity.check(rendered_as(now, profile)) if one.severity == "error"]


def code(draft: dict, inputs: RunInputs, adapter: str, name: str) -> str:
    """The app's code for the repaired prompt."""
    chats = [row for _, row in audited(draft, inputs).splits["train"].chats() if has_texts(row["messages"])]
    systems = {row["messages"][0]["content"] if row["messages"][0]["role"] == "system" else None for row in chats}
    asked = next((one["content"] for row in chats for one in row["messages"] if one["role"] == "user"), "hey")
    values = {"system": systems.pop() if len(systems) == 1 else None, "asked": asked, "adapter": adapter}
    return CODE.format(
        **values, model=str(draft["config"].get("model", inputs.config["model"])), name=shlex.quote(name)
    )


REPAIRS = (Repair("prompt", "app", "the app's prompt", _prompt, tuple(one.id for one in parity.CHECKS)),)
