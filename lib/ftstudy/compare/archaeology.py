"""In which format was an adapter of unknown origin trained?

An adapter helps most under the prompt that it was trained with. So each candidate format is asked
how much the adapter lowers the loss of the true replies under it, and the candidates are ranked.
"""

import numpy as np

from . import intervals


def rank(base: dict, tuned: dict, conversations: list[str]) -> list[dict]:
    """The formats, the one under which the adapter helps most first.

    `base`, `tuned`: a format's name -> scores without and with the adapter. Each row has `format`,
    `gain` (nats per reply token that the adapter saves) with `interval`; `first`, the share of
    resamples in which this format gains most (shared among equals); and `behind`, the paired
    difference to the leading format with its interval, None for the leader itself.
    """
    tokens = next(iter(base.values()))["tokens"]
    saved = {name: base[name]["reply"] - tuned[name]["reply"] for name in base}
    drawn = np.stack([intervals.draws(nats, tokens, conversations) for nats in saved.values()])
    winners = np.isclose(drawn, drawn.max(axis=0), rtol=0, atol=1e-9)
    first = (winners / winners.sum(axis=0)).mean(axis=1)
    rows = []
    for (name, nats), share in zip(saved.items(), first):
        gain, interval = intervals.mean(nats, tokens, conversations)
        rows.append({"format": name, "gain": gain, "interval": interval, "first": float(share)})
    rows.sort(key=lambda row: -(row["gain"] or 0))
    for row in rows:
        behind, interval = intervals.mean(saved[rows[0]["format"]] - saved[row["format"]], tokens, conversations)
        row["behind"] = None if row is rows[0] else {"nats_per_reply_token": behind, "interval": interval}
    return rows


def told(rows: list[dict]) -> str:
    """What the ranking says, in a sentence."""
    level = [row["format"] for row in rows[1:] if not _is_behind(row)]
    best = rows[0]
    if not best["gain"] or best["gain"] <= 0:
        return "The adapter lowers the loss under none of the formats: its origin cannot be told by them."
    if level:
        return (
            f"It helps most under {best['format']}, but {len(level)} of {len(rows) - 1} other formats "
            f"({', '.join(level)}) are not distinguishable from it: the origin cannot be told."
        )
    return f"It was trained under {best['format']}, or under something closer to it than to any other candidate."


def _is_behind(row: dict) -> bool:
    interval = row["behind"]["interval"]
    return interval is not None and interval[0] > 0
