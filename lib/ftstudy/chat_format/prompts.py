"""An example becomes the prompt that an app sends, and the prompt becomes token ids."""

import copy
import importlib
import re
import sys

from ..errors import StudyError
from ..machine_failures import pass_on
from . import ollama
from .messages import EXTRACTED, fill, messages_for
from .tokens import encode_prompt, template_ids, template_text, unwrapped

SURROGATES = re.compile("[\ud800-\udfff]")
Prompt = str | list[int] | list[dict]  # a text, token ids, or messages
CHATML_TEMPLATE = (  # line breaks within {{ }}, as jinja drops some of the others
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)


def prompt_ids(
    example: dict, tokenizer, profile: dict | None = None, where: tuple[str, int] | None = None
) -> list[int]:
    """Token ids up to and including the header of the reply, as an app sends them.

    `where` is the example's (split, row), which only captured profiles need.
    """
    return encoded(prompt_of(example, profile, where, tokenizer), tokenizer, example.get("tools"))


def prompt_of(
    example: dict, profile: dict | None = None, where: tuple[str, int] | None = None, tokenizer=None
) -> Prompt:
    """What an app passes to the model for this example: a prompt string, token ids, or messages.

    `where` is the example's (split, row), which only captured profiles need; `tokenizer` is needed where a server
    puts a start token in front of the prompt. Raises StudyError if the profile's function fails or returns something
    else, if the server's template refuses the messages, or if nothing was captured for the row.
    """
    profile = profile or {"kind": "messages"}
    kind = profile["kind"]
    if kind == "messages":
        return messages_for(example, profile)[:-1]
    if kind == "template":
        text = as_prompt(fill(profile["template"], example, profile), "the inference profile's template")
        return started(text, profile.get("add_bos"), tokenizer)
    if kind == "callable":
        if "refused" in profile:
            raise StudyError(profile["refused"])
        return _called(profile["function"], example)
    if kind == "ollama":
        # A Modelfile's own system text applies where the app sends none.
        silent = {"system": False} if profile.get("system") is None else {}
        return ollama_prompt(profile["served"], messages_for(example, profile | silent)[:-1], tokenizer)
    if kind == "gguf":
        return llama_cpp_prompt(profile["served"], messages_for(example, profile)[:-1], tokenizer, example.get("tools"))
    if where not in profile["rows"]:
        raise StudyError(f"No prompt was captured for row {where} in {profile['file']}; record it again.")
    return profile["rows"][where]


def ollama_prompt(served: dict, messages: list[dict], tokenizer) -> Prompt:
    """What Ollama gives to a model for an app's messages; `served` as `modelfile.read` returns it.

    Ollama puts a start token in front even of a prompt that has one.
    """
    text = as_prompt(ollama.prompt(served, messages), "the Modelfile's template")
    base = served["gguf"] or {"add_bos": None, "bos": None}
    return started(text, base["add_bos"], tokenizer, base["bos"])


def llama_cpp_prompt(served: dict, messages: list[dict], tokenizer, tools: list | None = None) -> Prompt:
    """What llama.cpp's server gives to a model for an app's messages; `served` as `gguf.served` returns it.

    It takes a start token away from the template's text before it puts its own in front. Without a template it uses
    ChatML.
    """
    template, bos = served["template"] or CHATML_TEMPLATE, served["bos"]
    texts = {"bos_token": bos or "", "eos_token": served["eos"] or "", "enable_thinking": True}
    try:
        # without mlx-lm's own arguments
        text = template_text(messages, unwrapped(tokenizer), tools, prompt=True, chat_template=template, **texts)
    except Exception as error:  # a template raises what it likes
        pass_on(error)
        raise StudyError(
            f"The GGUF's chat template does not take the app's messages ({type(error).__name__}: "
            f"{' '.join(str(error).split())})."
        ) from error
    add = served["add_bos"]
    return started(text.removeprefix(bos) if add and bos else text, add, tokenizer, bos)


def started(text: str, add_bos: bool | None, tokenizer, bos: str | None = None) -> Prompt:
    """A prompt as a server starts it: with a start token in front (`bos`, else the tokenizer's), or exactly as it is.

    With None the text is left to `encoded`, which adds a start token as mlx-lm does.
    """
    bos = bos or (tokenizer.bos_token if add_bos is not None else None)
    if add_bos and bos:
        text = bos + text
    if add_bos is None or not tokenizer.bos_token or text.startswith(tokenizer.bos_token):
        return text
    return list(tokenizer.encode(text, add_special_tokens=False))


def _called(name: str, example: dict) -> Prompt:
    function = function_of(name)
    try:
        prompt = function(copy.deepcopy({key: example[key] for key in example if key != EXTRACTED}))
    except (Exception, SystemExit) as error:
        pass_on(error)
        raise StudyError(
            f"The inference profile's function {name} raised {type(error).__name__}: {' '.join(str(error).split())}. "
            'It is called with one example, {"messages": [...]}.'
        ) from error
    return as_prompt(prompt, f"the inference profile's function {name}")


def function_of(name: str):
    """The function `module:name`. StudyError if it cannot be imported or called."""
    module, _, attribute = name.partition(":")
    cached, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # nothing is written into the app's folder
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # an app's module may do anything when it is imported
        pass_on(error)
        raise StudyError(
            f"Cannot import the inference profile's function {name!r} ({type(error).__name__}: {error}). Write "
            "`module:name`; the module is a file next to the profile."
        ) from error
    finally:
        sys.dont_write_bytecode = cached
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
        if all(map(_is_turn, prompt)):
            return list(prompt)
    raise StudyError(
        f"No prompt from {giver}: {repr(prompt)[:80]} is not a text, a list of token ids, or a list of messages with "
        "`role` and `content`, or it is empty."
    )


def _is_turn(turn) -> bool:
    """A message with text, with content in parts, or with tool calls."""
    if not isinstance(turn, dict) or not is_text(turn.get("role")):
        return False
    return is_text(turn.get("content")) or isinstance(turn.get("content"), list) or bool(turn.get("tool_calls"))


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
