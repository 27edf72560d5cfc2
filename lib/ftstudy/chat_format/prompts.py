"""An example becomes the prompt that an app sends, and the prompt becomes token ids."""

import copy
import importlib
import re

from ..errors import StudyError
from .messages import EXTRACTED, fill, messages_for
from .tokens import encode_prompt, template_ids

SURROGATES = re.compile("[\ud800-\udfff]")
Prompt = str | list[int] | list[dict]  # a text, token ids, or messages


def prompt_ids(
    example: dict, tokenizer, profile: dict | None = None, where: tuple[str, int] | None = None
) -> list[int]:
    """Token ids up to and including the header of the reply, as an app sends them.

    `where` is the example's (split, row), which only captured profiles need.
    """
    return encoded(prompt_of(example, profile, where), tokenizer, example.get("tools"))


def prompt_of(example: dict, profile: dict | None = None, where: tuple[str, int] | None = None) -> Prompt:
    """What an app passes to the model for this example: a prompt string, token ids, or messages.

    `where` is the example's (split, row), which only captured profiles need. Raises StudyError
    if the profile's function fails or returns something else, or if nothing was captured for the row.
    """
    profile = profile or {"kind": "messages"}
    kind = profile["kind"]
    if kind == "messages":
        return messages_for(example, profile)[:-1]
    if kind == "template":
        return as_prompt(fill(profile["template"], example, profile), "the inference profile's template")
    if kind == "callable":
        return _called(profile["function"], example)
    if where not in profile["rows"]:
        raise StudyError(f"No prompt was captured for row {where} in {profile['file']}; record it again.")
    return profile["rows"][where]


def _called(name: str, example: dict) -> Prompt:
    function = function_of(name)
    try:
        prompt = function(copy.deepcopy({key: example[key] for key in example if key != EXTRACTED}))
    except (Exception, SystemExit) as error:
        raise StudyError(
            f"The inference profile's function {name} raised {type(error).__name__}: {' '.join(str(error).split())}. "
            'It is called with one example, {"messages": [...]}.'
        ) from error
    return as_prompt(prompt, f"the inference profile's function {name}")


def function_of(name: str):
    """The function `module:name`. StudyError if it cannot be imported or called."""
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # an app's module may do anything when it is imported
        raise StudyError(
            f"Cannot import the inference profile's function {name!r} ({type(error).__name__}: {error}). Write "
            "`module:name`; the module is next to the profile or installed in this environment."
        ) from error
    if not callable(function):
        raise StudyError(f"The inference profile's function {name!r} is not a function; write `module:name`.")
    return function


def as_prompt(prompt, giver: str) -> Prompt:
    """A prompt in one of its three forms; arrays become lists. StudyError if it is none of them."""
    if hasattr(prompt, "tolist"):
        prompt = prompt.tolist()
    if is_text(prompt) and prompt:
        return prompt
    if isinstance(prompt, list | tuple) and prompt:
        if all(type(token) is int for token in prompt):
            return list(prompt)
        if all(
            isinstance(turn, dict) and is_text(turn.get("role")) and is_text(turn.get("content")) for turn in prompt
        ):
            return list(prompt)
    raise StudyError(
        f"No prompt from {giver}: {repr(prompt)[:80]} is not a text, a list of token ids, or a list of messages with "
        "`role` and `content`, or it is empty."
    )


def is_text(value) -> bool:
    """True for strings without lone surrogates, which tokenizers reject."""
    return isinstance(value, str) and (value.isascii() or not SURROGATES.search(value))


def encoded(prompt: Prompt, tokenizer, tools: list | None = None) -> list[int]:
    """The token ids that the model gets for a prompt. StudyError: ids that the tokenizer does not have."""
    if isinstance(prompt, str):
        return encode_prompt(prompt, tokenizer)
    if not prompt or isinstance(prompt[0], dict):  # a row with only a reply has no messages before it
        return template_ids(prompt, tokenizer, tools, prompt=True)
    size = len(tokenizer)
    if wrong := [token for token in prompt if not 0 <= token < size]:
        raise StudyError(f"The prompt contains the token ids {wrong[:5]}, but the tokenizer has only {size} tokens.")
    return list(prompt)
