"""The prompt that an adapter was trained on, as a file next to it that an app can check against.

Training writes `prompt_contract.json` into the adapter's folder, and so does an audit that compared an app's prompt
and found no error:

    tokenizer      class, number of tokens, sha256 of its whole definition (vocabulary, merges, normalizer …)
    chat_template  sha256 of its text
    model          sha256 of config.json; of each weights file its bytes and a sha256 over its header and
                   16 pieces of 4 KB, evenly spread: enough to tell models apart, in milliseconds
    mlx_lm         the version that rendered
    bos, starts    the start token, and how many of them a prompt begins with
    system         the system texts of the training data, as the template writes them; null where there are more than 50
    markup         the texts between contents, by the roles on both sides: {"system|user": [...], ...}
    date           the day of training, and the forms in which the template writes it; null if it writes none
    user           what training's user turns begin and end with (`user_form`); null if there are too few of them
    golden         about 5 conversations of the data with the token ids of their prompt and of the whole

`check_prompt` checks a prompt against it; `verify` says whether tokenizer and template still give
the golden ids. The golden texts are somebody's messages: the folder stays local.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from ..errors import StudyError
from ..files.reading import LARGEST, read_json, why
from ..machine_failures import pass_on
from ..paths import absolute, shown
from . import user_form
from .identity import model_identity, template_identity, tokenizer_identity
from .prompts import Prompt, as_prompt, encoded
from .tokens import common_prefix, encode, template_text

NAME = "prompt_contract.json"
VERSION = 1


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class Golden(_Strict):
    messages: list[dict]
    prompt_ids: list[int]
    training_ids: list[int]


class Date(_Strict):
    day: str
    formats: list[str]


class UserForm(_Strict):
    prefix: str
    suffix: str
    first: list[str]
    last: list[str]


class Contract(_Strict):
    """The keys that checking a prompt needs; the file may have more."""

    version: Literal[1]
    tokenizer: dict
    chat_template: str
    model: dict | None
    bos: str | None
    starts: int
    system: list[str] | None
    markup: dict[str, list[str]]
    golden: list[Golden]
    date: Date | None = None
    user: UserForm | None = None

    @field_validator("markup")
    @classmethod
    def _has_a_beginning(cls, markup):
        if markup and not any(roles.startswith("|") for roles in markup):
            raise ValueError("no markup before the first turn")
        return markup


def load(folder: str | Path) -> dict:
    """The contract in an adapter's folder. StudyError if it is missing or damaged."""
    path = absolute(folder) / NAME
    again = "Train again, or audit again with --inference: both write it."
    try:
        contract = read_json(path, LARGEST)
        Contract.model_validate(contract)
    except ValidationError as error:  # before ValueError, which it also is
        keys = sorted({str(one["loc"][0]) for one in error.errors() if one["loc"]})
        damaged = f"missing or wrong: {', '.join(keys)}" if keys else "not a JSON object"
        raise StudyError(f"{shown(path)} is not a contract of version {VERSION} ({damaged}). {again}") from None
    except (OSError, ValueError) as error:
        pass_on(error)
        raise StudyError(f"Cannot read {shown(path)} ({why(error)}). {again}") from error
    return contract


def verify(contract: dict, tokenizer, model: Path | None = None) -> list[str]:
    """What has changed since training: tokenizer, template, golden ids, and the model's folder if given; [] if
    nothing."""
    found = _changed_tokenizer(contract, tokenizer)
    if model is not None and model_identity(model) != contract["model"]:
        found.append(f"{shown(model)} is a different base model than the one that was trained.")
    changed = [
        str(at) for at, item in enumerate(contract["golden"], 1) if not _renders_the_same(item, tokenizer, contract)
    ]
    if changed:
        found.append(f"The golden conversations {', '.join(changed)} no longer give the token ids of training.")
    return found


def _renders_the_same(item: dict, tokenizer, contract: dict) -> bool:
    messages, tools = item["messages"], item.get("tools")
    try:
        texts = template_text(messages, tokenizer, tools), template_text(messages[:-1], tokenizer, tools, prompt=True)
        whole, prompt = encode([_on_the_day(contract, text) for text in texts], tokenizer)
    except Exception as error:  # a template raises what it likes
        pass_on(error)
        return False
    return (whole.tolist(), prompt.tolist()) == (item["training_ids"], item["prompt_ids"])


def _on_the_day(contract: dict, text: str) -> str:
    """The text with today's date, or a day's before or after, as it was written on the day of training."""
    if date := contract.get("date"):
        then, now = datetime.fromisoformat(date["day"]), datetime.now()
        for form in date["formats"]:
            for days in (-1, 0, 1):
                text = text.replace((now + timedelta(days)).strftime(form), then.strftime(form))
    return text


# --- checking a prompt ------------------------------------------------------------------------


def check_prompt(contract: dict, prompt: Prompt, tokenizer) -> list[str]:
    """What is wrong with a prompt, checked against the contract that training wrote; [] if nothing.

    For an app, before it generates: `contract` is the adapter's `prompt_contract.json`
    (`contract.load`), `prompt` what is about to be sent, in any of the three forms. Raises nothing.
    """
    try:
        ids = encoded(as_prompt(prompt, "the app"), tokenizer)
    except Exception as error:  # a template raises what it likes
        return [f"The prompt cannot be turned into token ids: {' '.join(str(error).split())}"]
    return problems(contract, ids, tokenizer)


def problems(contract: dict, ids: list[int], tokenizer) -> list[str]:
    """`check_prompt` for token ids."""
    found = _changed_tokenizer(contract, tokenizer)
    text, starts, bos = tokenizer.decode(ids), 0, contract["bos"]
    while bos and text.startswith(bos):
        starts, text = starts + 1, text[len(bos) :]
    if starts != contract["starts"]:
        found.append(f"It begins with {starts} start tokens ({bos}); training began with {contract['starts']}.")
    special = _special(tokenizer)
    again = tokenizer.encode(text, add_special_tokens=False)
    if sum(token in special for token in ids) - starts < sum(token in special for token in again):
        found.append("Its markup is sent as plain text, not as special tokens.")
    return found + (_structure(contract, _on_the_day(contract, text), special.values()) if contract["markup"] else [])


def _structure(contract: dict, text: str, special) -> list[str]:
    """The turns, read with the markup of training."""
    follows: dict[str, list[tuple[str, str]]] = {}
    for roles, pieces in contract["markup"].items():
        before, _, after = roles.partition("|")
        follows.setdefault(before, []).extend((piece, after) for piece in pieces)
    start = max(
        ((piece, role) for piece, role in follows[""] if text.startswith(piece)),
        key=lambda start: len(start[0]),
        default=None,
    )
    if start is None:
        expected = " or ".join(repr(piece) for piece, _ in follows[""])
        return [f"It begins with {text[:40]!r}; training began with {expected}."]
    found, at, role, user = [], len(start[0]), start[1], None
    while True:
        begin = at
        if role == "system":  # skip a known one whole: it may contain the markup between turns
            known = [one for one in contract["system"] or [] if text.startswith(one, at)]
            at += max(map(len, known), default=0)
        ends = [piece for piece, after in follows.get(role, []) if not after and text.endswith(piece)]
        last = len(text) - max(map(len, ends), default=0)
        turns = [(text.find(piece, at), -len(piece), after) for piece, after in follows.get(role, []) if after]
        turns = [turn for turn in turns if turn[0] >= 0 and turn[0] - turn[1] <= last]
        end, minus_length, after = min(turns, default=(last, 0, None))
        own = text[begin:end]
        user = own if role == "user" else user
        if role == "system" and contract["system"] is not None and own not in contract["system"]:
            close = next((one for one in contract["system"] if one.split() == own.split()), None)
            if close is None:
                found.append(f"Its system text is not the one from training: {own[:60]!r}…")
            else:
                same = common_prefix(own, close)
                here, there = own[same : same + 20], close[same : same + 20]
                found.append(f"Its system text has other white space than in training: {here!r} instead of {there!r}.")
        inside = next((token for token in special if token in text[begin:end]), None)
        if inside:
            return [*found, f"The {role} turn contains {inside}, where training has no markup: {text[begin:][:60]!r}…"]
        if after is None:
            if user is not None and (form := contract.get("user")):
                found += user_form.problems(form, user)
            return found if ends else [*found, f"It ends with {text[-40:]!r}, not with the header of the reply."]
        at, role = end - minus_length, after


def _changed_tokenizer(contract: dict, tokenizer) -> list[str]:
    found = []
    if tokenizer_identity(tokenizer) != contract["tokenizer"]:
        found.append("The tokenizer differs from the one in training.")
    if template_identity(tokenizer) != contract["chat_template"]:
        found.append("The chat template differs from the one in training.")
    return found


def _special(tokenizer) -> dict[int, str]:
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return {index: str(token) for index, token in added.items() if token.special}
