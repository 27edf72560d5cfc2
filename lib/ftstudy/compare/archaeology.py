"""In which format was an adapter of unknown origin trained?

An adapter helps most under the prompt it was trained with. So the candidate formats are ranked by how
much the adapter lowers the loss of the true replies under each.

The gain alone misleads: a format that the base model handles badly leaves more to gain, even for an
adapter that learned nothing about formats. The loss with the adapter errs the other way, towards
formats that the base model likes. So an origin is named only where both agree, each distinguishably.
"""

from pathlib import Path

import numpy as np

from .. import chat_format
from ..errors import StudyError
from ..extract import variant_folder
from ..files import read_json
from ..machine_failures import pass_on
from ..models import base_models
from ..progress import bar
from ..wording import format_name, interval, number
from . import intervals, likelihood, multiple_testing, prompt_formats
from .heldout import held_out

TAGGED = "<conversation>\n{context}\n</conversation>\n<last_message>\n{last_message}\n</last_message>"


def rank(base: dict, tuned: dict, conversations: list[str]) -> list[dict]:
    """The formats, ordered by how much the adapter helps under them.

    `base`, `tuned`: a format's name -> scores without and with the adapter. Each row has `format`;
    `gain` (nats per reply token that the adapter saves) with `interval`; `first`, the share of
    resamples in which this format gains most (split between ties); `loss`, nats with the adapter;
    `above_lowest`, the paired difference from the lowest loss; and `behind`, the gap to the largest
    gain, None for the leader. The gaps in gain are one family of verdicts, those in loss another.
    Empty if no format was measured both ways.
    """
    saved = {name: base[name]["reply"] - tuned[name]["reply"] for name in tuned if name in base}
    if not saved:
        return []
    tokens = next(iter(tuned.values()))["tokens"]
    resamples = intervals.weights(conversations)
    drawn = np.stack([(resamples @ nats) / np.maximum(resamples @ tokens, 1) for nats in saved.values()])
    winners = np.isclose(drawn, drawn.max(axis=0), rtol=0, atol=1e-9)
    first = (winners / winners.sum(axis=0)).mean(axis=1)
    rows = []
    for (name, nats), share in zip(saved.items(), first):
        gain, interval = intervals.mean(nats, tokens, conversations)
        loss, _ = intervals.mean(tuned[name]["reply"], tokens, conversations)
        rows.append({"format": name, "gain": gain, "interval": interval, "first": float(share), "loss": loss})
    rows.sort(key=lambda row: -(row["gain"] or 0))
    for row in rows:
        gap = saved[rows[0]["format"]] - saved[row["format"]]
        row["behind"] = None if row is rows[0] else intervals.compared(gap, tokens, conversations)
    lowest = min(rows, key=lambda row: row["loss"])["format"]
    for row in rows:
        gap = tuned[row["format"]]["reply"] - tuned[lowest]["reply"]
        row["above_lowest"] = intervals.compared(gap, tokens, conversations)
    multiple_testing.correct(
        [row["behind"] for row in rows[1:]], "prompt formats against the one with the largest gain"
    )
    others = [row["above_lowest"] for row in rows if row["format"] != lowest]
    multiple_testing.correct(others, "prompt formats against the one with the lowest loss")
    return rows


def summary(rows: list[dict]) -> str:
    """What the ranking says, in a sentence."""
    if not rows:
        return "Inconclusive: the adapter was not measured."
    best, lowest = rows[0], min(rows, key=lambda row: row["loss"])
    name = format_name(best["format"])
    if not best["gain"] or best["gain"] <= 0:
        return "Inconclusive: the adapter lowers the loss under none of the formats."
    if len(rows) == 1:
        return "Inconclusive: only one format was measured."
    if lowest is not best:
        return (
            f"Inconclusive: the gain is largest under “{name}”, but the loss is lowest under "
            f"“{format_name(lowest['format'])}”. (A format that the base model handles badly leaves more to gain.)"
        )
    level = [format_name(row["format"]) for row in rows[1:] if not _clearly_behind(row)]
    if level:
        return (
            f"Inconclusive: the gain is largest and the loss lowest under “{name}”, but by one or both measures, "
            f"{len(level)} of {len(rows) - 1} other formats ({', '.join(level)}) are not distinguishable from it."
        )
    return f"The adapter was trained under “{name}”, or under something closer to it than to any other candidate."


def _clearly_behind(row: dict) -> bool:
    return row["behind"]["verdict"] == row["above_lowest"]["verdict"] == intervals.WORSE


def candidates(owner: str, inference: list[str]) -> list[dict]:
    """The formats that may be an adapter's origin: the study's own profiles, the tagged form of its variants, no
    system message, no chat template, and the profiles named in `inference`."""
    own = chat_format.named_profiles(owner)
    own |= {"tagged": {"kind": "messages", "user": TAGGED}, "no system": {"kind": "messages", "system": False}}
    own |= {profile["name"]: profile for profile in (chat_format.load_profile(name, owner) for name in inference)}
    made = [{"name": name, "faults": [], "profile": profile} for name, profile in own.items()]
    return [*made, {"name": "no template", "faults": ["no template"]}]


def candidates_ranked(adapter: Path, data: Path, model, owner, inference: list[str], replies: int) -> dict:
    """`rank` of an adapter over `candidates`, on the test split of a variant's folder.

    `model`, `owner`: None to use what the adapter and the data say. Returns `ranked`, and `refused`, the names
    of the candidates that this model's template rejects. Raises StudyError if the base model is not known.
    """
    if model is None:
        config = read_json(adapter / "adapter_config.json")
        names = ("model", "base_model_name_or_path")  # mlx-lm's key, and PEFT's
        model = next((config[key] for key in names if config.get(key)), None) if isinstance(config, dict) else None
        if not model:
            raise StudyError(f"{adapter.name}/adapter_config.json doesn't name its base model. Pass it with --model.")
    heldout = held_out(data, replies)
    owner = owner or variant_folder.origin_of(data).get("owner", "")
    scores, refused, seen = {None: {}, adapter: {}}, [], {}
    for which, found in scores.items():
        loaded, tokenizer = base_models.load(model, which, to_ask=True)
        targets = chat_format.reply_ids(heldout["examples"], tokenizer)
        for one in bar(candidates(owner, inference), desc="with the adapter" if which else "without", unit="format"):
            try:
                prompts = prompt_formats.prompts(heldout, tokenizer, one, {}, owner)
            except StudyError:
                raise
            except Exception as error:  # a chat template can raise anything
                pass_on(error)
                refused.append(one["name"])
                continue
            if seen.setdefault(str(prompts), one["name"]) == one["name"]:  # identical prompts are one candidate
                found[one["name"]] = likelihood.score(loaded, prompts, targets)
    return {
        "ranked": rank(scores[None], scores[adapter], heldout["conversations"]),
        "refused": list(dict.fromkeys(refused)),
    }


def listing(found: dict) -> str:
    """The ranking as lines for a terminal."""
    lines = [
        f"{format_name(row['format']):<27} saves {number(row['gain'], signed=True)} nats per reply token "
        f"({interval(row['interval'], signed=True)}), ranked first in {row['first']:.0%} of resamples; "
        f"{number(row['loss'])} nats with the adapter"
        for row in found["ranked"]
    ]
    if refused := ", ".join(map(format_name, found["refused"])):
        lines.append(f"This model's template rejects: {refused}")
    return "\n".join([*lines, summary(found["ranked"])])
