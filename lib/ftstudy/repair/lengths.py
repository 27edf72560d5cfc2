"""Room for the replies: `max_seq_length` holds the longest row, as far as the model's own limit."""

import numpy

from ..audit import architecture, loss
from ..audit.run_inputs import RunInputs
from ..wording import count
from .draft import audited
from .kinds import Repair
from .settings import found, settings_of, with_key

CHECKS = ("loss.truncated", "loss.nan_batch", "loss.end_of_turn")
STEP = 32  # mlx-lm pads batches to a multiple of it
FEW = 0.1  # of a file's rows may be left out because they are too long for the model


def _room(draft: dict, inputs: RunInputs):
    limit, notes = settings_of(draft, inputs)["max_seq_length"], []
    longest = max(map(max, filter(len, _lengths(draft, inputs).values())), default=0)
    if longest <= limit or not found(loss, draft, inputs, *CHECKS):
        return draft, []
    own = _model_limit(inputs)
    room = -(-longest // STEP) * STEP
    room = min(room, own) if own else room
    if room > limit:
        draft = with_key(draft, "max_seq_length", room, f"the longest row has {longest:,} tokens")
        notes.append(f"`max_seq_length: {room:,}` instead of {limit:,}: the longest row has {longest:,} tokens")
        if room == own:
            notes[-1] += f", and the model takes at most {own:,}"
    draft, left_out = _without_too_long(draft, inputs, max(room, limit))
    return draft, notes + left_out


def _lengths(draft: dict, inputs: RunInputs) -> dict[str, list[int]]:
    """How many tokens the rows of each split have that training reads; {} if the model can't say."""
    now = audited(draft, inputs)
    if now.model is None or now.problem:
        return {}
    names = [name for name in ("train", "valid", *["test"] * (now.config.get("test") is True)) if name in now.splits]
    return {
        name: [len(ids) for ids in (now.text_ids(name) or (now.rendering(name).ids if now.has_template else []))]
        for name in names
    }


def _model_limit(inputs: RunInputs) -> int | None:
    """The longest row that the model was made for; None if its config doesn't say."""
    config = architecture.model_config(inputs.model) or {}
    inner = config.get("text_config")
    for one in (config, inner if isinstance(inner, dict) else {}):
        if type(limit := one.get("max_position_embeddings")) is int and limit > 0:
            return limit
    return None


def _without_too_long(draft: dict, inputs: RunInputs, limit: int) -> tuple[dict, list[str]]:
    """Without the few rows of which the model could see no reply, however many tokens it is given."""
    now, rows, notes = audited(draft, inputs), dict(draft["rows"]), []
    for name in ("train", "valid"):
        mask = now.loss_mask(name) if name in now.splits and now.has_template and not now.texts(name) else None
        if mask is None:
            continue
        gone = {mask.rendering.numbers[at] - 1 for at in numpy.flatnonzero(mask.starts >= limit)}
        if gone and len(gone) <= FEW * len(rows[name]):
            rows[name] = [row for at, row in enumerate(rows[name]) if at not in gone]
            notes.append(f"{count(len(gone), 'row')} of {name} left out: no reply begins within {limit:,} tokens")
    return (draft | {"rows": rows}, notes) if notes else (draft, [])


REPAIRS = (Repair("replies_cut", "config", "the length that cuts replies", _room, CHECKS),)
