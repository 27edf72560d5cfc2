"""What an adapter was trained to be asked with, as a file beside it that an app can check against.

A clean audit writes `prompt_contract.json` into the adapter's folder:

    tokenizer      class, number of tokens, sha256 of its whole definition (vocabulary, merges, normalizer …)
    chat_template  sha256 of its text
    model          sha256 of config.json; of each weights file its bytes and a sha256 over its header and
                   16 pieces of 4 KB, evenly spread: enough to tell models apart, in milliseconds
    mlx_lm         the version that rendered
    bos, starts    the start token, and how many of them a prompt begins with
    system         the system texts of the training data, as the template writes them; null where there are more than 50
    markup         the texts between contents, by the roles on both sides: {"system|user": [...], ...}
    golden         about 5 conversations of the data with the token ids of their prompt and of the whole

`chat_format.check_prompt` holds a prompt against it; `verify` says whether tokenizer and template
still give the golden ids. The golden texts are somebody's messages: the folder stays local.
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from ..errors import StudyError
from ..paths import from_root, shown

NAME = "prompt_contract.json"
VERSION = 1
KINDS = {
    "tokenizer": dict,
    "chat_template": str,
    "model": dict | None,
    "bos": str | None,
    "starts": int,
    "system": list | None,
    "markup": dict,
    "golden": list,
}
PIECES, PIECE = 16, 4096  # of a weights file


def load(folder: str | Path) -> dict:
    """The contract in an adapter's folder. StudyError where it is missing or damaged."""
    path = from_root(folder) / NAME
    try:
        contract = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError(f"{shown(path)} cannot be read ({error}); audit the run again, which writes it.") from error
    if not _is_contract(contract):
        raise StudyError(f"{shown(path)} is no contract of version {VERSION}; audit the run again, which writes it.")
    return contract


def _is_contract(value) -> bool:
    if not isinstance(value, dict) or value.get("version") != VERSION:
        return False
    markup, golden = value.get("markup"), value.get("golden")
    return (
        all(key in value and isinstance(value[key], kind) for key, kind in KINDS.items())
        and _all(value["system"] or [], str)
        and all(_all(pieces, str) for pieces in markup.values())
        and (not markup or any(roles.startswith("|") for roles in markup))
        and _all(golden, dict)
        and all(
            _all(item.get("messages"), dict)
            and _all(item.get("prompt_ids"), int)
            and _all(item.get("training_ids"), int)
            for item in golden
        )
    )


def _all(values, kind) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def verify(contract: dict, tokenizer, model: Path | None = None) -> list[str]:
    """What is different now: tokenizer, template, golden ids, and the model's folder if given; [] if nothing."""
    found = _other_tokenizer(contract, tokenizer)
    if model is not None and model_identity(model) != contract["model"]:
        found.append(f"{shown(model)} holds another base model than the one that was trained.")
    changed = []
    for number, item in enumerate(contract["golden"], 1):
        messages, tools = item["messages"], item.get("tools")
        render = tokenizer.apply_chat_template
        try:
            whole = list(render(messages, tools=tools, return_dict=False))
            prompt = list(render(messages[:-1], tools=tools, add_generation_prompt=True, return_dict=False))
        except Exception:  # a template raises what it likes
            whole = prompt = None
        if (whole, prompt) != (item["training_ids"], item["prompt_ids"]):
            changed.append(str(number))
    if changed:
        found.append(f"The golden conversations {', '.join(changed)} give other token ids than when it was trained.")
    return found


# --- holding a prompt against it --------------------------------------------------------------


def problems(contract: dict, ids: list[int], tokenizer) -> list[str]:
    """What is wrong with a prompt's token ids: the work of `chat_format.check_prompt`."""
    found = _other_tokenizer(contract, tokenizer)
    text, starts, bos = tokenizer.decode(ids), 0, contract["bos"]
    while bos and text.startswith(bos):
        starts, text = starts + 1, text[len(bos) :]
    if starts != contract["starts"]:
        found.append(f"It begins with {starts} start tokens ({bos}), in training with {contract['starts']}.")
    special = _special(tokenizer)
    again = tokenizer.encode(text, add_special_tokens=False)
    if sum(token in special for token in ids) - starts < sum(token in special for token in again):
        found.append("Its markup is sent as plain text, not as special tokens.")
    return found + (_structure(contract, text, special.values()) if contract["markup"] else [])


def _structure(contract: dict, text: str, special) -> list[str]:
    """The turns, read with the markup of training."""
    follows: dict[str, list[tuple[str, str]]] = {}
    for roles, pieces in contract["markup"].items():
        before, _, after = roles.partition("|")
        follows.setdefault(before, []).extend((piece, after) for piece in pieces)
    start = max(((piece, role) for piece, role in follows[""] if text.startswith(piece)), key=_length, default=None)
    if start is None:
        expected = " or ".join(repr(piece) for piece, _ in follows[""])
        return [f"It begins with {text[:40]!r}, in training with {expected}."]
    found, at, role = [], len(start[0]), start[1]
    while True:
        begin = at
        if role == "system":  # a known one is passed over whole: it may hold what stands between turns
            known = [one for one in contract["system"] or [] if text.startswith(one, at)]
            at += max(map(len, known), default=0)
        ends = [piece for piece, after in follows.get(role, []) if not after and text.endswith(piece)]
        last = len(text) - max(map(len, ends), default=0)
        turns = [(text.find(piece, at), -len(piece), after) for piece, after in follows.get(role, []) if after]
        turns = [turn for turn in turns if turn[0] >= 0 and turn[0] - turn[1] <= last]
        end, minus_length, after = min(turns, default=(last, 0, None))
        own = text[begin:end]
        if role == "system" and contract["system"] is not None and own not in contract["system"]:
            close = next((one for one in contract["system"] if one.split() == own.split()), None)
            found.append(
                f"Its system text is not the one of training: {own[:60]!r}…"
                if close is None
                else f"Its system text has other white space than in training: it ends with {own[-20:]!r}, not {close[-20:]!r}."
            )
        inside = next((token for token in special if token in text[begin:end]), None)
        if inside:
            return [*found, f"The {role} turn holds {inside}, where training has no markup: {text[begin:][:60]!r}…"]
        if after is None:
            return found if ends else [*found, f"It ends with {text[-40:]!r}, without the header of the reply."]
        at, role = end - minus_length, after


def _length(item: tuple[str, str]) -> int:
    return len(item[0])


# --- what is held against what -----------------------------------------------------------------


def _other_tokenizer(contract: dict, tokenizer) -> list[str]:
    found = []
    if tokenizer_identity(tokenizer) != contract["tokenizer"]:
        found.append("The tokenizer is another than in training.")
    if template_identity(tokenizer) != contract["chat_template"]:
        found.append("The chat template is another than in training.")
    return found


def tokenizer_identity(tokenizer) -> dict:
    own = getattr(tokenizer, "_tokenizer", tokenizer)  # mlx-lm wraps transformers' object
    return {"class": type(own).__name__, "tokens": len(own), "sha256": _definition(own, len(own))}


@lru_cache(maxsize=4)  # a large vocabulary takes half a second; an app asks for every prompt
def _definition(tokenizer, size: int) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return _sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode())
    definition = json.loads(backend.to_str())
    for state in ("truncation", "padding"):  # of its last call
        definition.pop(state, None)
    return _sha256(json.dumps(definition, sort_keys=True).encode())


def template_identity(tokenizer) -> str:
    template = tokenizer.chat_template
    return _sha256((template if isinstance(template, str) else json.dumps(template, sort_keys=True)).encode())


def model_identity(folder: Path | None) -> dict | None:
    if folder is None:
        return None
    config = folder / "config.json"
    return {
        "config_sha256": _sha256(config.read_bytes()) if config.is_file() else None,
        "weights": [_weights(path) for path in sorted(folder.glob("*.safetensors"))],
    }


def _weights(path: Path) -> dict:
    size, digest = path.stat().st_size, hashlib.sha256()
    with path.open("rb") as file:
        length = file.read(8)
        digest.update(length + file.read(min(int.from_bytes(length, "little"), size)))
        for number in range(PIECES):
            file.seek(size * number // PIECES)
            digest.update(file.read(PIECE))
    return {"file": path.name, "bytes": size, "sha256": digest.hexdigest()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _special(tokenizer) -> dict[int, str]:
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return {index: str(token) for index, token in added.items() if token.special}
