"""How two prompts that differ are shown: texts, tokens, and which tokenizer each side has."""

import hashlib

from ... import chat_format
from ...chat_format.template import Template
from ...paths import shown
from .alignment import align
from .contents import cut
from .prompts import Row

ALIGNED = 10_000  # tokens of a prompt that is aligned with another
OF_REGION = {
    "bos": "parity.bos",
    "system": "parity.system_text",
    "user": "parity.user_wrapper",
    "assistant": "parity.earlier_replies",
    "markup": "parity.role_header",
    "generation": "parity.end_of_prompt",
}


def blocks(example: dict, template: Template, training: list[int], inference: list[int]) -> list[dict]:
    try:
        return align(example, template, training, inference)["blocks"]
    except (ValueError, NotImplementedError):  # a tokenizer that does not say where its tokens stand
        return [{"aspect": "markup", "equal": False, "training": training, "inference": inference}]


def as_tokens(ids: list[int], tokenizer) -> str:
    """The first few tokens, with their numbers: two texts may be the same, and not their tokens."""
    return " ".join(f"{tokenizer.decode([token])}={token}" for token in ids[:8])


def both(training: str, inference: str) -> list[str]:
    """The two texts as evidence, so short that the difference is seen."""
    sides = [quoted(training), quoted(inference)]
    return sides if sides[0] != sides[1] else [quoted(text) for text in cut(training, inference)]


def quoted(text: str) -> str:
    return repr(text if len(text) <= 150 else f"{text[:70]} … {text[-70:]}")[:190]


def first_tokens(check: str, row: Row, ids: list[int], template: Template) -> str:
    """Where the two prompts part, in the region of the prompt that a check is about."""
    training, at = row.prompt.tolist(), [0, 0]
    start = chat_format.common_prefix(training, ids)
    parts = [(None, [start, start])]
    if max(len(training), len(ids)) < ALIGNED:
        for block in blocks(row.example, template, training, ids):
            if not block["equal"]:
                parts.append((OF_REGION[block["aspect"]], list(at)))
            at = [at[0] + len(block["training"]), at[1] + len(block["inference"])]
    wanted = {"parity.default_system": "parity.system_text"}.get(check, check)
    places = next((places for region, places in parts if region == wanted), parts[0][1])
    tell = template.tokenizer.decode
    first = [
        f"{tell([side[place]])!r} ({side[place]})" if place < len(side) else "nothing"
        for side, place in zip((training, ids), places)
    ]
    if places[0] == places[1]:
        told = f"token {places[0]} is {first[0]} in training, {first[1]} at inference"
    else:
        told = f"token {places[0]} in training is {first[0]}, token {places[1]} at inference {first[1]}"
    return f"{told} ({len(training)} and {len(ids)} tokens)"


def fingerprint(tokenizer) -> str:
    """Class and size of a tokenizer, and the beginning of its template's hash."""
    template = tokenizer.chat_template
    text = template if isinstance(template, str) else repr(template)
    kind = type(getattr(tokenizer, "_tokenizer", tokenizer)).__name__
    return f"{kind}, {len(tokenizer)} tokens, template {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def side_of(profile: dict) -> str:
    return {
        "messages": "the same, and its template",
        "template": "the same, a string without its template",
        "callable": f"whatever {profile.get('function')} uses",
        "captured": f"unknown, recorded in {profile.get('file')}",
        "ollama": f"taken to be the same, with the template of {shown(profile.get('file', ''))}",
        "gguf": f"taken to be the same, with the template of {shown(profile.get('file', ''))}",
    }[profile["kind"]]
