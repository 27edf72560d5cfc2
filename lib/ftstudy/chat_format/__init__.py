"""The one place where a conversation becomes a prompt, for training and for inference.

Three functions, the same for every format (`check_prompt` is for an app that serves the adapter):

    messages_for(example, profile)             example -> messages
    training_ids(example, tokenizer, profile)  example -> token ids and loss mask
    prompt_ids(example, tokenizer, profile)    example -> the token ids an app would send

An *example* is one row of a train.jsonl: `{"messages": [system, user, assistant]}`; the
last message is the owner's reply. A *profile* says how an app builds its prompt (see
`load_profile`); without one, the example's own messages go through the tokenizer's chat
template, which is what mlx-lm does in training.
"""

import copy
import importlib
import json
import re
import sys
from pathlib import Path

import yaml

from ..errors import StudyError
from ..paths import ROOT, from_root, shown
from .contract import problems

TRAINING_SYSTEM = "You are {owner}. Reply to text messages the way {owner} texts."
WRAPPER = "Context:\n{context}\n\nLast Message: {last_message}"
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
        },
    }


PROFILE_KEYS = {
    "messages": {"system", "user"},
    "template": {"system", "user", "template"},
    "callable": {"function"},
    "captured": {"file"},
}
PLACEHOLDERS = ("system", "context", "last_message", "instruction")
NEEDED = {"messages": (), "template": ("template",), "callable": ("function",), "captured": ("file",)}


def load_profile(source: str | Path | dict, owner: str = "") -> dict:
    """An inference profile from a YAML file, a name out of `named_profiles`, or a dict.

    Keys: `kind` (messages, template, callable, captured), `name`, `instruction`, and per
    kind `system` (false: the app sends none) and `user` texts; `template`, the whole prompt string; `function`,
    `module:name`; `file`, JSONL rows `{"split", "row", "prompt" or "ids"}`. Texts may hold
    {system}, {context}, {last_message} and {instruction}. A `template` profile's `user`
    is what its template is meant to say, so that both renderings can be compared.

    Raises StudyError where the file is missing, is not a profile, or lacks a key.
    """
    if isinstance(source, dict):
        profile = _checked_profile(source, "the inference profile", ("rows", "broken"))
        if profile["kind"] == "captured" and "rows" not in profile:
            profile = profile | _captured_rows(ROOT / profile["file"])
        return profile
    if source in named_profiles(owner):
        return {"name": source, **named_profiles(owner)[source]}
    path = from_root(source)
    if not path.is_file():
        raise StudyError(
            f"There is no inference profile {shown(path)}: neither a file nor one of "
            f"{', '.join(named_profiles(owner))}. Name a YAML file with a `kind:`, as in "
            "ft_configs/inference_historical.yaml."
        )
    try:
        profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    except Exception as error:  # the parser's own, and what its constructors meet in odd values
        raise StudyError(
            f"{shown(path)} is not readable YAML ({' '.join(str(error).split())}); mend that line."
        ) from error
    profile = _checked_profile(profile, shown(path))
    if profile["kind"] == "captured":
        profile |= _captured_rows(path.parent / profile["file"])
    if profile["kind"] == "callable" and str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # the app's module may lie beside its profile
    return {"name": path.stem.removeprefix("inference_"), **profile}


def _checked_profile(profile, where: str, internal: tuple = ()) -> dict:
    kind = profile.get("kind") if isinstance(profile, dict) else None
    if not isinstance(kind, str) or kind not in PROFILE_KEYS:
        told = "no `kind:`" if kind is None else f"the kind {kind!r}"
        raise StudyError(f"{where} has {told}; an inference profile needs `kind:` {', '.join(PROFILE_KEYS)}.")
    unknown = set(profile) - PROFILE_KEYS[kind] - {"kind", "name", "instruction", *internal}
    if unknown:
        raise StudyError(
            f"{where} has keys that a profile of kind {kind} does not know: {', '.join(sorted(map(str, unknown)))}. "
            f"It takes {', '.join(sorted(PROFILE_KEYS[kind] | {'name', 'instruction'}))}."
        )
    profile = {key: value for key, value in profile.items() if value is not None}
    for key, text in profile.items():
        if (key, text, kind) == ("system", False, "messages"):
            continue  # this app sends no system message
        if key not in internal and not _is_text(text):
            raise StudyError(f"{where} has {text!r} as its `{key}:`, which has to be a text.")
    for key in ("system", "user", "template"):
        for name in re.findall(r"\{(\w+)\}", profile.get(key) or ""):
            if name not in PLACEHOLDERS:
                raise StudyError(
                    f"{where} has the placeholder {{{name}}} in `{key}:`, which nothing fills in; the placeholders are "
                    + ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
                    + "."
                )
    for key in NEEDED[kind]:
        if not profile.get(key):
            raise StudyError(f"{where} is of kind {kind} and so needs a text `{key}:`; add it.")
    return profile


def _captured_rows(path: Path) -> dict:
    """`rows`: (split, row) -> what was sent; `broken`: "line 3: why", of the lines that cannot be used."""
    try:
        lines = path.read_bytes().split(b"\n")
    except (OSError, ValueError) as error:
        raise StudyError(
            f"The captured prompts {shown(path)} cannot be read ({getattr(error, 'strerror', None) or error}); "
            "record them again or correct `file:`."
        ) from error
    rows, broken = {}, []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            where, prompt = _captured_row(json.loads(line))
            if rows.setdefault(where, prompt) != prompt:
                raise ValueError(f"{where[0]} row {where[1]} was already recorded, with another prompt")
        except (ValueError, RecursionError, StudyError) as error:
            broken.append(f"line {number}: {error}")
    return {"rows": rows, "broken": broken}


def _captured_row(row) -> tuple[tuple[str, int], str | list[int]]:
    where = (row.get("split"), row.get("row")) if isinstance(row, dict) else (None, None)
    if not isinstance(where[0], str) or type(where[1]) is not int:
        raise ValueError('no {"split": text, "row": number, "ids" or "prompt": …}')
    if row.get("cached"):
        raise ValueError("only the end of a prompt whose beginning was in a prompt cache; record without the cache")
    if not isinstance(row.get("ids", []), list | None):
        raise ValueError(f"its `ids` are {repr(row['ids'])[:80]}, which is no list of token ids")
    prompt = _as_prompt(row["ids"] if row.get("ids") is not None else row.get("prompt"), "this line")
    if not isinstance(prompt, str) and isinstance(prompt[0], dict):
        raise ValueError("messages, where a prompt or its token ids are needed")
    return where, prompt


# --- reading a user turn back -------------------------------------------------------------

TAGGED = re.compile(
    r"<conversation>\n(.*)\n</conversation>\n<last_message>\n?(.*?)\n?</last_message>(?:\nCategory: [^\n]*)?", re.DOTALL
)
OTHERS = re.compile(r"Contact(?: \d+)?")  # what the extraction calls everybody but the owner
WRAPPED = re.compile(r"Context:\n(.*)\n\nLast Message: ", re.DOTALL)


def plain_context(user_turn: str) -> str:
    """A user turn in the plain `Name: message` form, whichever variant wrote it."""
    if match := TAGGED.fullmatch(user_turn):
        return match[1]
    if match := WRAPPED.match(user_turn):
        return match[1]
    return user_turn


def last_message(example: dict) -> str:
    """The whole text of the last message in the user turn, without its sender's name.

    A message may hold line breaks, so a line starts a new message only where it begins
    with a name that the first line, or the system text, also uses.
    """
    user_turn = _content(example, "user")
    if match := TAGGED.fullmatch(user_turn):
        return match[2].partition(": ")[2] or match[2]
    context = plain_context(user_turn)
    system = _content(example, "system")
    start, known = 0, {_speaker(context, 0): True}
    for line in re.finditer(r"^", context, re.MULTILINE):
        speaker = _speaker(context, line.start())
        if speaker and speaker not in known:
            known[speaker] = bool(OTHERS.fullmatch(speaker) or re.search(rf"\b{re.escape(speaker)}\b", system))
        if speaker and known[speaker]:
            start = line.start() + len(speaker) + 2
    return context[start:]


SPEAKER = re.compile(r"([^:\n]{1,40}): ")


def _speaker(text: str, start: int) -> str | None:
    match = SPEAKER.match(text, start)
    return match[1] if match else None


def ends_with_reply(example) -> bool:
    """Is it a conversation that ends with a reply, and not with an empty one?"""
    messages = example.get("messages") if isinstance(example, dict) else None
    return (
        isinstance(messages, list)
        and len(messages) > 1
        and all(isinstance(turn, dict) and isinstance(turn.get("content"), str) for turn in messages)
        and messages[-1].get("role") == "assistant"
        and bool(messages[-1]["content"].strip())
    )


def _content(example: dict, role: str) -> str:
    """The last content of that role, or an empty text."""
    texts = [message["content"] for message in example["messages"] if message["role"] == role]
    return texts[-1] if texts else ""


# --- the three functions ------------------------------------------------------------------


def messages_for(example: dict, profile: dict | None = None) -> list[dict]:
    """The example's messages, with the profile's system text and user form put in."""
    profile = profile or {}
    messages = [dict(message) for message in example["messages"]]
    if profile.get("system") is False:
        messages = [message for message in messages if message["role"] != "system"]
    elif profile.get("system") is not None:
        system = {"role": "system", "content": fill(profile["system"], example, profile)}
        messages = [system] + [message for message in messages if message["role"] != "system"]
    if profile.get("user") is not None:
        last = next((message for message in reversed(messages) if message["role"] == "user"), None)
        if last:
            last["content"] = fill(profile["user"], example, profile)
    if shots := profile.get("shots"):
        shown = [turn for shot in shots for turn in messages_for(shot, profile | {"shots": None})]
        shown = [turn for turn in shown if turn["role"] != "system"]
        at = len([message for message in messages if message["role"] == "system"])
        messages[at:at] = shown
    return messages


def prompt_of(
    example: dict, profile: dict | None = None, where: tuple[str, int] | None = None
) -> str | list[int] | list[dict]:
    """What an app hands over for this example: a prompt string, token ids, or messages.

    `where` is the example's (split, row), which only captured profiles need. Raises StudyError
    where the profile's function fails or gives none of the three, or where nothing was captured.
    """
    profile = profile or {"kind": "messages"}
    kind = profile["kind"]
    if kind == "template":
        return _as_prompt(fill(profile["template"], example, profile), "the inference profile's template")
    if kind == "callable":
        function, name = function_of(profile["function"]), profile["function"]
        try:
            prompt = function(copy.deepcopy(example))
        except (Exception, SystemExit) as error:
            raise StudyError(
                f"The inference profile's function {name} raised {type(error).__name__}: {' '.join(str(error).split())}. "
                'It is called with one example, {"messages": [...]}.'
            ) from error
        return _as_prompt(prompt, f"the inference profile's function {name}")
    if kind == "captured":
        if where not in profile["rows"]:
            raise StudyError(
                f"The captured profile {profile['file']} holds no prompt for row {where}; record it again."
            )
        return profile["rows"][where]
    return messages_for(example, profile)[:-1]


def _as_prompt(prompt, giver: str) -> str | list[int] | list[dict]:
    """One of the three forms of a prompt; arrays become lists. StudyError where it is none of them."""
    if hasattr(prompt, "tolist"):
        prompt = prompt.tolist()
    if _is_text(prompt) and prompt:
        return prompt
    if isinstance(prompt, list | tuple) and prompt:
        if all(type(token) is int for token in prompt):
            return list(prompt)
        if all(
            isinstance(turn, dict) and _is_text(turn.get("role")) and _is_text(turn.get("content")) for turn in prompt
        ):
            return list(prompt)
    raise StudyError(
        f"{giver[0].upper()}{giver[1:]} gives {repr(prompt)[:80]}; a prompt is a text, a list of token ids, "
        "or a list of messages with `role` and `content`, and is not empty."
    )


def _is_text(value) -> bool:
    """A string that a tokenizer takes: no halves of characters in it."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def prompt_ids(
    example: dict, tokenizer, profile: dict | None = None, where: tuple[str, int] | None = None
) -> list[int]:
    """Token ids up to and including the header of the reply, as an app sends them.

    `where` is the example's (split, row), which only captured profiles need.
    """
    return encoded(prompt_of(example, profile, where), tokenizer, example.get("tools"))


def encoded(prompt: str | list[int] | list[dict], tokenizer, tools: list | None = None) -> list[int]:
    """The token ids that the model is given for a prompt. StudyError: ids that the tokenizer does not have."""
    if isinstance(prompt, str):
        return encode_prompt(prompt, tokenizer)
    if not prompt or isinstance(prompt[0], dict):  # a row that is only a reply has no messages before it
        return list(tokenizer.apply_chat_template(prompt, tools=tools, add_generation_prompt=True, return_dict=False))
    size = len(tokenizer)
    if min(prompt) < 0 or max(prompt) >= size:
        wrong = [token for token in prompt if not 0 <= token < size]
        raise StudyError(f"The prompt holds the token ids {wrong[:5]}, and the tokenizer has {size} tokens.")
    return list(prompt)


def training_ids(example: dict, tokenizer, profile: dict | None = None) -> tuple[list[int], list[bool]]:
    """Token ids of the whole example and, per token, whether it should carry loss.

    The mask covers the reply and its end-of-turn token, nothing else: not the prompt, and
    not the line break that some templates put after the end of a turn.
    """
    profile = profile or {"kind": "messages"}
    if profile["kind"] != "messages":
        prompt = prompt_ids(example, tokenizer, profile)
        reply = tokenizer.encode(example["messages"][-1]["content"], add_special_tokens=False)
        ids = prompt + list(reply) + [tokenizer.eos_token_id]
        return ids, [index >= len(prompt) for index in range(len(ids))]
    ids = list(tokenizer.apply_chat_template(messages_for(example, profile), return_dict=False))
    # A think block in the generation prompt makes it longer than what both sides share.
    start = common_prefix(ids, prompt_ids(example, tokenizer, profile))
    ends = end_of_turn_ids(tokenizer)
    end = max((index for index in range(start, len(ids)) if ids[index] in ends), default=len(ids) - 1)
    return ids, [start <= index <= end for index in range(len(ids))]


def reply_ids(example: dict, tokenizer) -> tuple[list[int], list[int]]:
    """The reply's own token ids and those that end the turn, as training renders them."""
    ids, mask = training_ids(example, tokenizer)
    trained = [token for token, on in zip(ids, mask) if on]
    ended = bool(trained) and trained[-1] in end_of_turn_ids(tokenizer)
    return (trained[:-1], trained[-1:]) if ended else (trained, [])


def encode_prompt(prompt: str, tokenizer) -> list[int]:
    """A prompt string as `mlx_lm.generate` tokenizes it: no template, a BOS if it has none."""
    bos = tokenizer.bos_token
    return list(tokenizer.encode(prompt, add_special_tokens=bos is None or not prompt.startswith(bos)))


def end_of_turn_ids(tokenizer) -> set[int]:
    return set(getattr(tokenizer, "eos_token_ids", None) or [tokenizer.eos_token_id])


def common_prefix(left: list, right: list) -> int:
    """How many leading items two sequences share."""
    return next((index for index, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))


def fill(text: str, example: dict, profile: dict) -> str:
    """Placeholders filled in one pass: braces inside a person's message stay as they are."""
    values = {
        "instruction": lambda: profile.get("instruction") or "",
        "context": lambda: plain_context(_content(example, "user")),
        "last_message": lambda: last_message(example),
        # A profile's system text may itself quote the example's.
        "system": lambda: (
            _content(example, "system")
            if profile.get("system") in (None, False, text)
            else fill(profile["system"], example, profile)
        ),
    }
    return re.sub(r"\{(%s)\}" % "|".join(PLACEHOLDERS), lambda match: values[match[1]](), text)


def function_of(name: str):
    """The function `module:name`. StudyError where it cannot be imported, or is none."""
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # an app's module may do anything when it is imported
        raise StudyError(
            f"The inference profile's function {name!r} cannot be imported ({type(error).__name__}: {error}); "
            "write `module:name`, of a module beside the profile or installed in this environment."
        ) from error
    if not callable(function):
        raise StudyError(f"The inference profile's function {name!r} is no function; write `module:name`.")
    return function


def check_prompt(contract: dict, prompt: str | list[int] | list[dict], tokenizer) -> list[str]:
    """What is wrong with a prompt, held against the contract that a clean audit wrote; [] if nothing.

    For an app, before it generates: `contract` is the adapter's `prompt_contract.json`
    (`ftstudy.contract.load`), `prompt` what is about to be sent, in any of the three forms.
    """
    try:
        ids = encoded(_as_prompt(prompt, "the app"), tokenizer)
    except Exception as error:  # a template raises what it likes
        return [f"No token ids can be made of the prompt: {' '.join(str(error).split())}"]
    return problems(contract, ids, tokenizer)
