"""Inference profiles: how an app builds its prompt.

Keys: `kind`, `name`, `instruction`, and those of its kind:

    messages   `system` (false: the app sends no system message) and `user` replace the example's texts
    template   `template`, the whole prompt string; `system` and `user` say what it is meant to contain,
               so that it can be compared with the chat template's rendering
    callable   `function`, as `module:name`
    captured   `file`, JSONL rows {"split", "row", "prompt" or "ids"}

Texts may contain {system}, {context}, {last_message} and {instruction}.
"""

import re
import sys
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from ..errors import StudyError
from ..paths import absolute, shown
from .capture import captured_rows
from .messages import PLACEHOLDERS, WRAPPER
from .prompts import is_text

TRAINING_SYSTEM = "You are {owner}. Reply to text messages the way {owner} texts."
CHATML = "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n"


def named_profiles(owner: str) -> dict[str, dict]:
    """The formats that the study measures, as inference profiles.

    `aligned` is the report's option B (infer as trained), `historical` the original app's
    hard-coded prompt, and the two between change one thing each. `wrapped` as a *training*
    format is the report's option A.
    """
    persona = f"You are {owner}, a tech founder. Text like a real person... {{instruction}}"
    return {
        "aligned": {"kind": "messages"},
        "other_system": {"kind": "messages", "system": persona},
        "wrapped": {"kind": "messages", "user": WRAPPER},
        "historical": {"kind": "template", "system": persona, "user": WRAPPER, "template": CHATML % WRAPPER},
    }


def load_profile(source: str | Path | dict, owner: str = "") -> dict:
    """An inference profile from a YAML file, a name out of `named_profiles`, or a dict.

    A captured profile gains `rows`, (split, row) -> prompt, and `broken`, the lines that cannot be used.
    Raises StudyError if the file is missing or is not a valid profile.
    """
    if isinstance(source, dict):
        loaded = {key: source[key] for key in ("rows", "broken") if key in source}
        profile = _checked({key: source[key] for key in source if key not in loaded}, "The inference profile") | loaded
        if profile["kind"] == "captured" and "rows" not in profile:
            profile |= captured_rows(absolute(profile["file"]))
        return profile
    named, path = named_profiles(owner), absolute(source)
    if source in named:
        return {"name": source, **named[source]}
    if not path.is_file():
        raise StudyError(
            f"No inference profile {shown(path)}: it is neither a file nor one of {', '.join(named)}. Name a YAML file "
            "with a `kind:`, as in ft_configs/inference_historical.yaml."
        )
    try:
        profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    except Exception as error:  # the parser's own, and what its constructors raise for odd values
        raise StudyError(
            f"{shown(path)} is not readable YAML ({' '.join(str(error).split())}); correct that line."
        ) from error
    profile = _checked(profile, shown(path))
    if profile["kind"] == "captured":
        profile |= captured_rows(path.parent / profile["file"])
    if profile["kind"] == "callable" and str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # the app's module may be next to its profile
    return {"name": path.stem.removeprefix("inference_"), **profile}


# --- what a profile may say ---------------------------------------------------------------


def _tokenizable(text: str) -> str:
    if not is_text(text):
        raise PydanticCustomError("text", "not a text")
    return text


def _known_placeholders(text: str) -> str:
    if unknown := [name for name in re.findall(r"\{(\w+)\}", text) if name not in PLACEHOLDERS]:
        raise ValueError(f"{{{unknown[0]}}}")
    return text


Text = Annotated[str, AfterValidator(_tokenizable)]
Filled = Annotated[Text, AfterValidator(_known_placeholders)]
Needed = Field(min_length=1)


class _Profile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    kind: str
    name: Text = ""
    instruction: Text = ""


class _Messages(_Profile):
    system: Filled = ""
    user: Filled = ""


class _Template(_Messages):
    template: Filled = Needed


class _Callable(_Profile):
    function: Text = Needed


class _Captured(_Profile):
    file: Text = Needed


KINDS = {"messages": _Messages, "template": _Template, "callable": _Callable, "captured": _Captured}


def _checked(profile, where: str) -> dict:
    """The profile without its empty keys. StudyError: what is wrong with it, and what to write."""
    kind = profile.get("kind") if isinstance(profile, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        wrong = "no `kind:`" if kind is None else f"the unknown kind {kind!r}"
        raise StudyError(f"{where} has {wrong}. Set `kind:` to one of {', '.join(KINDS)}.")
    profile = {str(key): value for key, value in profile.items() if value is not None}
    texts = dict(profile)
    if kind == "messages" and profile.get("system") is False:
        del texts["system"]
    try:
        KINDS[kind].model_validate(texts)
    except ValidationError as error:
        raise StudyError(" ".join(_explained(one, kind, where) for one in error.errors()[:3])) from None
    return profile


def _explained(error: dict, kind: str, where: str) -> str:
    key = error["loc"][0]
    if error["type"] == "extra_forbidden":
        return (
            f"{where} has an unknown key {key!r}. A profile of kind {kind} takes {', '.join(KINDS[kind].model_fields)}."
        )
    if error["type"] in ("missing", "string_too_short"):
        return f"{where} has no `{key}:`, which a profile of kind {kind} needs. Add it."
    if error["type"] == "value_error":
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        return f"{where} has the unknown placeholder {error['ctx']['error']} in `{key}:`. The placeholders are {known}."
    return f"{where} has {repr(error['input'])[:80]} as its `{key}:`. Write a text."
