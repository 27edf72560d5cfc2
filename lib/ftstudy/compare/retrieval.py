"""The most similar past conversations, as examples in the prompt: what a person gets without training anything.

A fine-tuned model should beat a base model that looks up how the person answered before. So each held-out conversation
gets the training rows whose conversations have most in common with it, by BM25 (Robertson & Zaragoza 2009), the usual
ranking by shared words; and never one that has the reply in it. Windows of the same conversation overlap, so one of
them is enough.
"""

import re

import bm25s
import numpy as np

from ..chat_format.messages import text_of
from ..extract.conversations import LONG
from .loops import UNSPACED, words
from .written_replies import COPIED_WORDS, normal

MOST = 2  # such examples: each prompt has its own, so no two prompts share the work of reading them


def few_shot(heldout: dict, rows: list[dict], count: int) -> dict:
    """The aligned format with the `count` most similar of `rows` as earlier turns, the most similar one last.

    `heldout`: from `heldout.held_out`. Its `similar` says which, by (split, row).
    """
    found = similar(heldout["examples"], rows, count)
    chosen = [[rows[at] for at in reversed(one)] for one in found]
    name = f"aligned, {count} similar examples"
    return {"name": name, "faults": [], "shots": count, "similar": dict(zip(heldout["places"], chosen))}


def similar(asked: list[dict], rows: list[dict], count: int) -> list[list[int]]:
    """For each conversation in `asked`, the places of `count` rows: the most similar first, and of equally similar ones
    the first. Fewer if there are too few that don't overlap and don't give the reply away."""
    texts, whole = [_conversation(row) for row in rows], [_whole(row) for row in rows]
    lines = [{normal(line) for line in text.splitlines()} for text in texts]
    index = bm25s.BM25()
    # One more document, which is never returned: an index of empty ones alone can't be built.
    index.index([*map(terms, texts), ["-"]], show_progress=False)
    found = []
    for example in asked:
        scores = index.get_scores(terms(_conversation(example)) or ["-"])[: len(rows)]
        line = max(map(normal, text_of(example["messages"][-1]).splitlines()), key=len, default="")
        secret = line if len(words(line)) >= COPIED_WORDS else None
        chosen, own = [], _whole(example)
        for at in map(int, np.argsort(-scores, kind="stable")):
            if len(chosen) == count:
                break
            gives_away = whole[at] == own or secret and any(secret in text for text in whole[at])
            if not gives_away and not any(
                whole[at] == whole[other] or _overlap(lines[at], lines[other]) for other in chosen
            ):
                chosen.append(at)
        found.append(chosen)
    return found


def terms(text: str) -> list[str]:
    """Words, lower-cased; in scripts without spaces, pairs of characters."""
    runs = re.findall(f"[{UNSPACED}]+", text)
    pairs = [run[at : at + 2] for run in runs for at in range(max(1, len(run) - 1))]
    return words(re.sub(f"[{UNSPACED}]+", " ", text)) + pairs


def _overlap(ours: set[str], theirs: set[str]) -> bool:
    """Whether two conversations share two lines, or a long one: they are probably windows of the same."""
    shared = ours & theirs
    return len(shared) > 1 or any(len(line) >= LONG for line in shared)


def _conversation(example: dict) -> str:
    return "\n".join(text_of(turn) for turn in example["messages"][:-1] if turn["role"] != "system")


def _whole(example: dict) -> tuple[str, str]:
    return normal(_conversation(example)), normal(text_of(example["messages"][-1]))
