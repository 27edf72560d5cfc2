"""Reply pairs -> selected pairs -> splits -> training rows, in several variants.

A variant is a preset of the same few parameters:

    form            how the user turn shows the conversation: plain, tagged or wrapped
    system          the system text; {owner} and {style} are filled in
    min_words       the fewest words of a reply …
    min_characters  … and the fewest characters
    repeats         the most pairs with the same reply, spread over time
    per_contact     the most pairs from one conversation, spread over time
    category        whether the user turn ends in `Category: …`, taken from the context
"""

from collections import defaultdict
from pathlib import Path

from .. import chat_format
from ..errors import StudyError
from ..files import locks
from ..paths import shown
from . import categories, splits, style, variant_folder
from .reply_pairs import keep
from .variant_folder import SPLITS

PARAMETERS = {
    "form": "plain",
    "system": chat_format.TRAINING_SYSTEM,
    "min_words": 1,
    "min_characters": 1,
    "repeats": 100,
    "per_contact": 2000,
    "category": False,
}
# Only raw_style has the original's minimum of three words and ten characters: in the other variants it
# would drop short but real replies.
VARIANTS = {
    "raw_style_variable": {},
    "raw_style": {
        "form": "tagged",
        "system": "You are {owner}. Write {owner}'s reply to the last message. {style}",
        "min_words": 3,
        "min_characters": 10,
        "per_contact": 200,
    },
    "category_aware": {
        "form": "tagged",
        "system": "You are {owner}. Write {owner}'s reply to the last message, which is of the given category. {style}",
        "category": True,
    },
    "wrapped": {"form": "wrapped"},
}


def parameters_of(variant: str, **changes) -> dict:
    """A variant's parameters; `changes` that are not None override the preset. StudyError: unknown variant."""
    if variant not in VARIANTS:
        raise StudyError(f"Unknown variant {variant!r}. Use one of {', '.join(VARIANTS)}.")
    return PARAMETERS | VARIANTS[variant] | {name: value for name, value in changes.items() if value is not None}


def select(pairs: list[dict], variant: str, funnel: list[dict], **changes) -> list[dict]:
    """The pairs that a variant uses; the funnel counts the rest."""
    wanted = parameters_of(variant, **changes)
    words, characters = wanted["min_words"], wanted["min_characters"]
    if words > 1 or characters > 1:
        label = f"{variant}: under {words} words or {characters} characters"
        pairs = keep(pairs, lambda p: len(p["reply"].split()) < words or len(p["reply"]) < characters, label, funnel)
    for label, key, most in (
        ("with the same reply", "reply", wanted["repeats"]),
        ("from one contact", "conversation", wanted["per_contact"]),
    ):
        surplus = _surplus(pairs, key, most)
        pairs = keep(pairs, lambda pair: id(pair) in surplus, f"{variant}: more than {most:,} {label}", funnel)
    return pairs


def _surplus(pairs: list[dict], key: str, most: int) -> set[int]:
    """The ids of pairs beyond the first `most` with the same `key`. Those that stay are spread evenly over
    time, because keeping only the oldest would leave none for the test split."""
    same = defaultdict(list)
    for pair in pairs:
        same[pair[key]].append(id(pair))
    surplus = set()
    for found in same.values():
        if len(found) > most:
            surplus |= set(found) - {found[number * len(found) // most] for number in range(most)}
    return surplus


def system_text(variant: str, owner: str, train: list[dict], **changes) -> str:
    """The system text of a variant; its style line is computed from the train split only."""
    text = parameters_of(variant, **changes)["system"]
    filled = text.replace("{owner}", owner)
    return filled.replace("{style}", style.line([pair["reply"] for pair in train])) if "{style}" in text else filled


def to_example(pair: dict, owner: str, system: str, form: str = "plain", category: bool = False) -> dict:
    """A pair as a training row in mlx-lm's chat format. `form`: plain, tagged or wrapped."""
    lines = _lines(pair, owner)
    user = "\n".join(lines)
    if form == "tagged":
        user = f"<conversation>\n{user}\n</conversation>\n<last_message>\n{lines[-1]}\n</last_message>"
    if category:
        user += f"\nCategory: {categories.category_of_context(pair['context'])}"
    example = {
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": user},
            {"role": "assistant", "content": pair["reply"]},
        ]
    }
    if form == "wrapped":
        known = {chat_format.EXTRACTED: _extracted(pair, owner)}
        example = {"messages": chat_format.messages_for(example | known, {"user": chat_format.WRAPPER})}
    return example


def _extracted(pair: dict, owner: str) -> dict[str, str]:
    """What no variant's user turn has to be parsed for."""
    return {"context": "\n".join(_lines(pair, owner)), "last_message": pair["context"][-1].text}


def _lines(pair: dict, owner: str) -> list[str]:
    """`Name: message` lines. The other person is called "Contact"; in a group, contacts are numbered."""
    others = list(dict.fromkeys(message.sender for message in pair["context"] if not message.is_owner))
    numbered = pair["is_group"] and len(others) > 1

    def name(message) -> str:
        if message.is_owner:
            return owner
        return f"Contact {others.index(message.sender) + 1}" if numbered else "Contact"

    return [f"{name(message)}: {message.text}" for message in pair["context"]]


def write(
    pairs: list[dict],
    owner: str,
    names: list[str],
    out: Path,
    origin: dict,
    funnel: list[dict],
    heldout_share: float = 0.05,
    **changes,
) -> dict[str, dict]:
    """Write `out/<variant>/` for each name (files: see `variant_folder`); return variant -> statistics.

    Everything is checked before anything is written. StudyError: a variant would have an empty split,
    or a folder contains data of another origin (`source`, `owner`, `kind`).
    """
    planned = {}
    for variant in names:
        selected = select(pairs, variant, funnel, **changes)
        parts = splits.split(selected, heldout_share=heldout_share)
        _check_splits(variant, parts, owner, origin, funnel)
        variant_folder.check_origin(out / variant, origin)
        planned[variant] = parts
    with locks.held(out / locks.LOCK, f"{shown(out)} is being written", "Wait until it has ended, then extract again."):
        for variant, parts in planned.items():
            wanted = parameters_of(variant, **changes)
            system = system_text(variant, owner, parts["train"], **changes)
            form = (owner, system, wanted["form"], wanted["category"])
            rows = {name: (to_example(pair, *form) for pair in part) for name, part in parts.items() if part}
            made = origin | {"variant": variant}
            made |= {"parameters": wanted | {"system": system, "heldout_share": heldout_share}}
            variant_folder.write(out / variant, rows, _meta(parts, owner), made)
        return {variant: variant_folder.statistics(out / variant) for variant in names}


def _meta(parts: dict[str, list[dict]], owner: str):
    for name, pairs in parts.items():
        for row, pair in enumerate(pairs):
            yield {
                "split": name,
                "row": row,
                "conversation": pair["conversation"],
                "session": pair["session"],
                "context_ids": [message.message_id for message in pair["context"]],
                "reply_ids": [message.message_id for message in pair["bubbles"]],
            } | _extracted(pair, owner)


def _check_splits(variant: str, parts: dict[str, list[dict]], owner: str, origin: dict, funnel: list[dict]) -> None:
    """StudyError if a split has no rows."""
    empty = [name for name in SPLITS if not parts[name]]
    if empty:
        found = [pair for part in parts.values() for pair in part]
        lost = sorted((row for row in funnel if row["unit"] == "replies"), key=lambda row: -row["removed"])[:2]
        reasons = ", ".join(f"{row['step']} ({row['removed']:,})" for row in lost if row["removed"])
        raise StudyError(
            f"The variant {variant} would have no rows in {', '.join(empty)}: {origin['source']} has only {len(found)} "
            f"usable replies by {owner} in {len({pair['session'] for pair in found})} sessions. Nothing was written. Most "
            f"replies left out: {reasons or 'none'}. Use more history (at least three sessions), lower the minimum, or "
            "check the owner's name."
        )
