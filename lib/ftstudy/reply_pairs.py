"""Messages -> sessions -> reply pairs -> splits -> variants.

A *reply* is the owner's burst of messages; its *context* is the messages before it in the
same session. Sessions go whole into one split, in order of time, so that no reply of one
split stands in the context of another.
"""

import json
import re
from pathlib import Path

import pandas as pd

from . import chat_format
from .errors import StudyError
from .files import replace_folder, write_json, write_jsonl
from .paths import shown
from .sources import KINDS

SPLITS = ("train", "valid", "test")
URL_ONLY = re.compile(r"\s*https?://\S+\s*")

# Each variant is a preset of the same parameters. The original's minimum of three words
# and ten characters belongs to raw_style alone: elsewhere it drops the short, real replies.
VARIANTS = {
    "raw_style": {"form": "tagged", "min_words": 3, "min_characters": 10, "per_contact": 200},
    "raw_style_variable": {"form": "plain"},
    "wrapped": {"form": "wrapped"},
}


def build(
    messages: pd.DataFrame,
    *,
    context_messages: int = 8,
    burst_minutes: float = 3,
    session_minutes: float = 60,
    max_characters: int = 1000,
) -> tuple[list[dict], list[dict]]:
    """Reply pairs of a messages table (see `sources`), oldest first, and the funnel.

    A pair: `conversation`, `session`, `timestamp`, `context` (list of (is_owner, text), at
    most `context_messages` long and `max_characters` in all, the newest kept), `reply`,
    `context_ids`, `reply_ids`. The funnel's rows:
    `step`, `removed`, `left`, `unit`, `examples` (up to three removed texts).
    """
    funnel = [_step("messages in the source", "messages", [], len(messages))]
    for reason, entry in messages.attrs.get("skipped", {}).items():
        funnel[0]["left"] += entry["count"]
    for reason, entry in messages.attrs.get("skipped", {}).items():
        left = funnel[-1]["left"] - entry["count"]
        funnel.append(
            {"step": reason, "unit": "messages", "removed": entry["count"], "left": left, "examples": entry["examples"]}
        )
    for kind, meaning in KINDS.items():
        if kind not in ("text", "attachment") and (messages["kind"] == kind).any():
            messages = _keep(messages, messages["kind"] != kind, f"{kind}: {meaning}", funnel)
    messages = _keep(messages, ~messages["is_group"], "group chats", funnel)
    messages = _keep(messages, messages["text"].str.strip() != "", "empty text", funnel)

    bursts = [
        burst
        for _, rows in messages.groupby("conversation", sort=False)
        for burst in _owner_bursts(rows, context_messages, burst_minutes, session_minutes, max_characters)
    ]
    bursts.sort(key=lambda pair: (pair["timestamp"], pair["reply_ids"]))
    funnel.append(
        _step("become context, or join a burst", "messages", [""] * (len(messages) - len(bursts)), len(bursts))
    )
    funnel.append(_step("the owner's bursts", "replies", [], len(bursts)))
    for label, wanted in (
        (
            f"the message before it is over {max_characters:,} characters",
            lambda pair: pair["context"] or not pair["too_long"],
        ),
        (f"the reply is over {max_characters:,} characters", lambda pair: len(pair["reply"]) <= max_characters),
        ("nobody else spoke before it", lambda pair: any(not owner for owner, _ in pair["context"])),
        ("attachment only", lambda pair: "text" in pair["kinds"]),
        ("a link only", lambda pair: not URL_ONLY.fullmatch(pair["reply"])),
    ):
        kept = [pair for pair in bursts if wanted(pair)]
        funnel.append(_step(label, "replies", [pair["reply"] for pair in bursts if not wanted(pair)], len(kept)))
        bursts = kept
    return bursts, funnel


def _owner_bursts(
    rows: pd.DataFrame, context_messages: int, burst_minutes: float, session_minutes: float, max_characters: int
):
    """Yield the owner's bursts of one conversation, with their context."""
    gaps = rows["timestamp"].diff()
    sessions = (gaps > pd.Timedelta(minutes=session_minutes)).cumsum()
    name = rows["conversation"].iloc[0]
    for number, session in rows.groupby(sessions, sort=False):
        before, burst, last = [], [], None
        for row in session.itertuples():
            pause = last is not None and row.timestamp - last.timestamp > pd.Timedelta(minutes=burst_minutes)
            if burst and (not row.is_owner or pause):
                yield _pair(name, number, before[-context_messages:], burst, max_characters)
                before, burst = before + burst, []
            (burst if row.is_owner else before).append(row)
            last = row
        if burst:
            yield _pair(name, number, before[-context_messages:], burst, max_characters)


def _pair(conversation: str, session: int, before: list, burst: list, max_characters: int) -> dict:
    had_context = bool(before)
    while sum(len(row.text) for row in before) > max_characters:
        before = before[1:]
    return {
        "conversation": conversation,
        "session": f"{conversation}#{session}",
        "timestamp": burst[0].timestamp,
        "context": [(row.is_owner, row.text) for row in before],
        "reply": "\n".join(row.text for row in burst),
        "kinds": {row.kind for row in burst},
        "too_long": had_context and not before,
        "context_ids": [row.message_id for row in before],
        "reply_ids": [row.message_id for row in burst],
    }


def _keep(messages: pd.DataFrame, wanted: pd.Series, label: str, funnel: list[dict]) -> pd.DataFrame:
    funnel.append(_step(label, "messages", list(messages.loc[~wanted, "text"]), int(wanted.sum())))
    return messages[wanted]


def _step(label: str, unit: str, removed: list[str], left: int) -> dict:
    examples = [text for text in dict.fromkeys(removed) if text.strip()][:3]
    return {"step": label, "unit": unit, "removed": len(removed), "left": left, "examples": examples}


def select(pairs: list[dict], variant: str, funnel: list[dict]) -> list[dict]:
    """The pairs that a variant takes; what it leaves out goes into the funnel."""
    preset = preset_of(variant)
    words, characters = preset.get("min_words", 1), preset.get("min_characters", 1)
    long_enough = [p for p in pairs if len(p["reply"].split()) >= words and len(p["reply"]) >= characters]
    if words > 1 or characters > 1:
        short = [p["reply"] for p in pairs if len(p["reply"].split()) < words or len(p["reply"]) < characters]
        funnel.append(
            _step(f"{variant}: under {words} words or {characters} characters", "replies", short, len(long_enough))
        )
    if cap := preset.get("per_contact"):
        order = pd.Series([p["conversation"] for p in long_enough], dtype=object)
        within = order.groupby(order).cumcount() < cap
        over = [p["reply"] for p, keep in zip(long_enough, within) if not keep]
        long_enough = [p for p, keep in zip(long_enough, within) if keep]
        funnel.append(_step(f"{variant}: more than {cap} from one contact", "replies", over, len(long_enough)))
    return long_enough


def preset_of(variant: str) -> dict:
    if variant not in VARIANTS:
        raise StudyError(f"There is no variant {variant!r}; the variants are {', '.join(VARIANTS)}.")
    return VARIANTS[variant]


def split(pairs: list[dict], valid_share: float = 0.1, test_share: float = 0.1) -> dict[str, list[dict]]:
    """Pairs by split, oldest sessions in train, newest in test; a session is never divided."""
    sessions: dict[str, list[dict]] = {}
    for pair in pairs:
        sessions.setdefault(pair["session"], []).append(pair)
    train_until = len(pairs) * (1 - valid_share - test_share)
    valid_until = len(pairs) * (1 - test_share)
    parts = {name: [] for name in SPLITS}
    placed = 0
    for session in sessions.values():
        middle = placed + len(session) / 2
        name = "train" if middle < train_until else "valid" if middle < valid_until else "test"
        parts[name] += session
        placed += len(session)
    return parts


def to_example(pair: dict, owner: str, form: str = "plain", system: str = chat_format.TRAINING_SYSTEM) -> dict:
    """A pair as a training row. `form`: plain, tagged (raw_style) or wrapped (option A)."""
    lines = [f"{owner if is_owner else 'Contact'}: {text}" for is_owner, text in pair["context"]]
    user = "\n".join(lines)
    if form == "tagged":
        user = f"<conversation>\n{user}\n</conversation>\n<last_message>\n{lines[-1]}\n</last_message>"
    example = {
        "messages": [
            {"role": "system", "content": system.format(owner=owner)},
            {"role": "user", "content": user},
            {"role": "assistant", "content": pair["reply"]},
        ]
    }
    if form == "wrapped":
        example = {"messages": chat_format.messages_for(example, {"user": chat_format.WRAPPER})}
    return example


def write_variant(pairs: list[dict], owner: str, variant: str, out: Path, origin: dict) -> dict:
    """Write `out/<variant>/{train,valid,test}.jsonl`, whole or not at all; return statistics.

    `meta.jsonl` beside them names each row's conversation and message ids, so that the
    audit can prove that no reply of one split stands in another's context. `origin` says
    where the data came from; data from elsewhere is never replaced (StudyError), nor is a
    variant written that has no reply in one of its splits.
    """
    target = out / variant
    parts = split(pairs)
    empty = [name for name, rows in parts.items() if not rows]
    if empty:
        raise StudyError(
            f"The variant {variant} would have no rows in {', '.join(empty)}: only {len(pairs)} replies of {owner} "
            f"in {len({p['session'] for p in pairs})} sessions were found in {origin['source']}. Nothing was written. "
            "Give more history, lower the variant's minimum, or check the owner and the funnel table."
        )
    _refuse_to_replace(target, origin)
    form = preset_of(variant)["form"]
    with replace_folder(target) as folder:
        meta = []
        for name, rows in parts.items():
            write_jsonl(folder / f"{name}.jsonl", [to_example(pair, owner, form) for pair in rows])
            meta += [
                {
                    "split": name,
                    "row": row,
                    "conversation": pair["conversation"],
                    "session": pair["session"],
                    "context_ids": pair["context_ids"],
                    "reply_ids": pair["reply_ids"],
                }
                for row, pair in enumerate(rows)
            ]
        write_jsonl(folder / "meta.jsonl", meta)
        write_json(folder / "origin.json", origin)
    return statistics(target)


def _refuse_to_replace(target: Path, origin: dict) -> None:
    if not target.exists() or not any(target.iterdir()):
        return
    before = origin_of(target) or {"source": "somewhere that is not recorded"}
    if before != origin:
        raise StudyError(
            f"{shown(target)} already holds data from {_told(before)}, and this would replace it with data from "
            f"{_told(origin)}. Nothing was written. Choose another folder (DATA=… or --out), or remove {shown(target)}."
        )


def origin_of(folder: Path) -> dict:
    """Where a variant's data came from: `source`, `owner` and `kind`, or {} if not recorded."""
    try:
        return json.loads((folder / "origin.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _told(origin: dict) -> str:
    return origin["source"] + (f" (owner {origin['owner']})" if "owner" in origin else "")


def statistics(folder: Path) -> dict:
    """The report's "Data Statistics": per split, bytes of the file and its examples."""
    files = {name: folder / f"{name}.jsonl" for name in SPLITS}
    return {
        name: {"bytes": path.stat().st_size, "examples": sum(1 for line in path.open("rb") if line.strip())}
        for name, path in files.items()
        if path.is_file()
    }


def load_examples(folder: Path, name: str) -> list[dict]:
    """The rows of one split. Raises StudyError where the file is missing or not JSONL."""
    path = folder / f"{name}.jsonl"
    if not path.is_file():
        raise StudyError(
            f"There is no {shown(path)}; run notebook 01 (make extract) for this variant, or correct the config's `data:`."
        )
    try:
        with path.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        raise StudyError(f"{shown(path)} is not JSONL ({error}); extract it again, or mend that line.") from error


def conversations_of(folder: Path, name: str, rows: int) -> list[str]:
    """Each row's conversation out of `meta.jsonl`; without that file each row is its own."""
    path = folder / "meta.jsonl"
    if not path.is_file():
        return [f"row {row}" for row in range(rows)]
    meta = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    known = {item["row"]: item["conversation"] for item in meta if item["split"] == name}
    return [known.get(row, f"row {row}") for row in range(rows)]
