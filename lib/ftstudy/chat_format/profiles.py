"""Inference profiles: how an app builds its prompt.

Keys: `kind`, `name`, `instruction`, and those of its kind:

    messages   `system` (false: the app sends no system message) and `user` replace the example's texts
    template   `template`, the whole prompt string; `system` and `user` say what it is meant to contain,
               so that it can be compared with the chat template's rendering; `turn` says how the app writes
               one earlier turn, with {role} and {content}: a text, or one for each role; `add_bos` whether
               the server puts a start token in front (default: as mlx-lm does, if the text has none)
    callable   `function`, as `module:name`, in a module next to the profile
    captured   `file`, JSONL rows {"split", "row", "prompt" or "ids" or "messages"}
    ollama     `file`, a Modelfile; `system` and `user` if the app sends them
    gguf       `file`, a GGUF that llama.cpp's server serves; `system` and `user` as for messages

Any kind takes `stop`, the texts at which the app cuts a reply. A Modelfile, a GGUF and a recording (.jsonl) are also
taken as they are.

Texts may contain {system}, {context} (the conversation before the reply), {history} (the same without its last
message), {last_message} and {instruction}. In a template, rows with earlier turns are written turn by turn.
"""

import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from ..errors import StudyError
from ..files import yaml_files
from ..files.reading import SETTINGS, read_text, why
from ..machine_failures import pass_on
from ..paths import absolute, shown
from ..wording import FORMATS
from . import gguf, modelfile
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
        "historical": {
            "kind": "template",
            "system": persona,
            "user": WRAPPER,
            "template": CHATML % WRAPPER,
            "turn": "{role}: {content}\n",
        },
    }


def load_profile(source: str | Path | dict, owner: str = "") -> dict:
    """An inference profile from a YAML file, a name out of `named_profiles`, or a dict.

    A captured profile gains `rows`, (split, row) -> prompt, and `broken`, the lines that cannot be used; one of kind
    ollama or gguf gains `served`, what its file says; one of kind callable `refused`, if its function isn't next to it. `file` counts from the current folder, or else from the
    profile's. Raises StudyError if a file is missing or is not valid.
    """
    if isinstance(source, dict):
        loaded = {key: source[key] for key in ("rows", "broken", "notes", "served", "refused") if key in source}
        profile = _checked({key: source[key] for key in source if key not in loaded}, "The inference profile") | loaded
        return profile if loaded else _with_file(profile, Path.cwd())
    named, path = named_profiles(owner), absolute(source)
    if source in named:
        return {"name": source, **named[source]}
    if not path.is_file():
        raise StudyError(
            f"No inference profile {shown(path)}: it is neither a file nor one of {', '.join(named)}. Name a YAML file "
            "with a `kind:`, as in ft_configs/inference_historical.yaml."
        )
    if kind := _kind_of(path):
        return _with_file({"name": path.name, "kind": kind, "file": shown(path)}, path.parent)
    try:
        profile = yaml_files.parse(read_text(path, SETTINGS))
    except Exception as error:  # the parser's own, and what its constructors raise for odd values
        pass_on(error)
        raise StudyError(f"{shown(path)} is not readable YAML ({why(error)}); correct that line.") from error
    profile = _with_file(_checked(profile, shown(path)), path.parent)
    if profile["kind"] == "callable":
        profile |= _import_from(path.parent, profile["function"])
    profile = {"name": path.stem.removeprefix("inference_"), **profile}
    if profile["name"] in FORMATS and {"name": profile["name"], **named.get(profile["name"], {})} != profile:
        profile["name"] = f"app {profile['name']}"  # template.yaml is not the fault “template”
    return profile


def _import_from(folder: Path, function: str) -> dict:
    """Make the profile's module importable. {"refused": why} if Python would take that name from anywhere else than a
    file next to the profile: from its own library, say, whose functions start programs.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    module = re.split(r"[.:]", function, maxsplit=1)[0]
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    if found is None and module not in sys.modules:
        return {}  # calling it says so
    parts = (found.submodule_search_locations or [found.origin]) if found else []
    if any(part and Path(part).parent.resolve() == folder.resolve() for part in parts):
        return {}
    return {
        "refused": f"The profile's function {function!r} is not next to it: {module!r} is a module of Python, of a package "
        f"or of another app. Put the app's function into a file of another name in {shown(folder)}, such as my_prompt.py, "
        "and write `function: my_prompt:name`."
    }


def _kind_of(path: Path) -> str | None:
    """The kind of a file that describes an app without being a profile."""
    if gguf.is_gguf(path):
        return "gguf"
    if path.suffix.lower() == ".jsonl":
        return "captured"
    return "ollama" if modelfile.is_modelfile(path) else None


def _with_file(profile: dict, folder: Path) -> dict:
    """The profile with what is in its file."""
    if "file" not in profile:
        return profile
    path = absolute(profile["file"])
    if not os.path.exists(path):  # unlike Path.exists, also False for a name that is too long
        path = folder / Path(profile["file"]).expanduser()
    if profile["kind"] == "captured":
        captured = captured_rows(path)
        stop = list(dict.fromkeys([*profile.get("stop", []), *captured.pop("stop", [])]))
        return profile | captured | ({"stop": stop} if stop else {})
    if os.path.exists(path) and not os.path.isfile(path):
        raise StudyError(
            f"{shown(path)}, which the inference profile names, is not a regular file. Correct the profile's `file:`."
        )
    if not os.path.isfile(path):
        raise StudyError(f"There is no file {shown(path)}, which the inference profile names. Correct its `file:`.")
    return profile | {"served": gguf.served(path) if profile["kind"] == "gguf" else modelfile.read(path)}


# --- what a profile may say ---------------------------------------------------------------


def _tokenizable(text: str) -> str:
    if not is_text(text):
        raise PydanticCustomError("text", "not a text")
    return text


def _only(names: tuple[str, ...]) -> AfterValidator:
    """Refuses a text with other placeholders than these."""

    def checked(text: str) -> str:
        if unknown := [name for name in re.findall(r"\{(\w+)\}", text) if name not in names]:
            raise PydanticCustomError("placeholder", "{unknown}", {"unknown": unknown[0], "known": names})
        return text

    return AfterValidator(checked)


Text = Annotated[str, AfterValidator(_tokenizable)]
Filled = Annotated[Text, _only(PLACEHOLDERS)]
OfATurn = Annotated[Text, _only(("role", "content"))]
Needed = Field(min_length=1)


class _Profile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    kind: str
    name: Text = ""
    instruction: Text = ""
    stop: list[Text] = []


class _Messages(_Profile):
    system: Filled = ""
    user: Filled = ""


class _Template(_Messages):
    template: Filled = Needed
    turn: OfATurn | dict[str, OfATurn] = ""
    add_bos: bool | None = None


class _Callable(_Profile):
    function: Text = Needed


class _Captured(_Profile):
    file: Text = Needed


class _Served(_Messages):
    file: Text = Needed


KINDS = {
    "messages": _Messages,
    "template": _Template,
    "callable": _Callable,
    "captured": _Captured,
    "ollama": _Served,
    "gguf": _Served,
}


def _checked(profile, where: str) -> dict:
    """The profile without its empty keys. StudyError: what is wrong with it, and what to write."""
    kind = profile.get("kind") if isinstance(profile, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        wrong = "no `kind:`" if kind is None else f"the unknown kind {kind!r}"
        raise StudyError(f"{where} has {wrong}. Set `kind:` to one of {', '.join(KINDS)}.")
    profile = {str(key): value for key, value in profile.items() if value is not None}
    texts = dict(profile)
    if kind in ("messages", "gguf") and profile.get("system") is False:
        del texts["system"]
    try:
        KINDS[kind].model_validate(texts)
    except ValidationError as error:
        wrong = {}
        for one in error.errors():  # of a key that may be a text or a mapping, the better message
            if one["loc"][0] not in wrong or one["type"] == "placeholder":
                wrong[one["loc"][0]] = one
        raise StudyError(" ".join(_explained(one, kind, where) for one in list(wrong.values())[:3])) from None
    return profile


def _explained(error: dict, kind: str, where: str) -> str:
    key = error["loc"][0]
    if error["type"] == "extra_forbidden":
        return (
            f"{where} has an unknown key {key!r}. A profile of kind {kind} takes {', '.join(KINDS[kind].model_fields)}."
        )
    if error["type"] in ("missing", "string_too_short"):
        return f"{where} has no `{key}:`, which a profile of kind {kind} needs. Add it."
    if error["type"] == "placeholder":
        known = ", ".join(f"{{{name}}}" for name in error["ctx"]["known"])
        return f"{where} has the unknown placeholder {{{error['ctx']['unknown']}}} in `{key}:`. It takes {known}."
    wanted = {"add_bos": "true or false", "stop": "a list of texts"}.get(key, "a text")
    return f"{where} has {repr(error['input'])[:80]} as its `{key}:`. Write {wanted}."
