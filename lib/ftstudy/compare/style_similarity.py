"""How close generated replies come to the person's own in style.

The style distance is the mean of five Jensen-Shannon distances (the square root of the divergence in
bits, from 0 to 1: Lin 1991, Endres & Schindelin 2003) between the distributions of

    length        words in a reply, in bins
    case          how a reply starts: lower case, upper case, all capitals, no letter
    punctuation   the mark it ends with
    abbreviations none, words like "idk", contractions without an apostrophe, both
    characters    its character trigrams, lower-cased

A distance depends on how many replies are compared: few replies are further from anything. So it is shown
between two marks: the untrained model's replies, and as many of the person's own replies, drawn from one
half of them and compared with the other half.
"""

import re
from collections import Counter

import numpy as np

from . import intervals
from .written_replies import normal

PARTS = ("length", "case", "punctuation", "abbreviations", "characters")
ABBREVIATIONS = set(
    "u ur r y n k kk ok idk idc ikr lol lmao rofl omg btw tbh imo imho fyi asap brb ttyl gtg np ty thx tho cuz coz bc "
    "pls plz ppl rn tmrw tmr msg txt gonna wanna gotta kinda sorta dunno lemme gimme ya yea yeah yep nah nope haha hehe".split()
)
CONTRACTIONS = set(
    "im ive id ill dont doesnt didnt cant couldnt wont wouldnt isnt arent wasnt werent havent hasnt hadnt shouldnt "
    "youre youve theyre theyve thats whats hes shes lets theres aint".split()
)
TRIGRAMS = 3000  # the person's most common ones; all others count as one
DRAWS = 200


def reference(own: list[str], size: int, seed: int = 0) -> dict:
    """What replies are compared with: one half of the person's own replies, and the `ceiling`, {"mean", "interval"}:
    the distance of `size` replies drawn from the other half."""
    generator = np.random.default_rng(seed)
    shuffled = [own[at] for at in generator.permutation(len(own))]
    half = len(own) // 2
    kept, other = shuffled[:half] or shuffled, shuffled[half:] or shuffled
    common = Counter(trigram for text in kept for trigram in _trigrams(text)).most_common(TRIGRAMS)
    made = {"places": {trigram: at for at, (trigram, _) in enumerate(common)}}
    made["counts"] = _summed([_counts(text, made) for text in kept])
    features = [_counts(text, made) for text in other]
    few = len(other) < 2 * size  # draws without replacement would be nearly the same each time
    drawn = [
        _total(_distances([features[at] for at in generator.choice(len(other), size, replace=few)], made))
        for _ in range(DRAWS)
    ]
    return made | {
        "ceiling": {
            "mean": float(np.mean(drawn)),
            "interval": [float(one) for one in np.percentile(drawn, [2.5, 97.5])],
        }
    }


def distance(replies: list[str], to: dict) -> dict:
    """The style distance of replies from the reference: `total` and each of PARTS, from 0 to 1."""
    parts = _distances([_counts(text, to) for text in replies], to)
    return {"total": _total(parts)} | dict(zip(PARTS, parts))


def distance_difference(left: list[str], right: list[str], conversations: list[str], to: dict) -> dict:
    """Left's distance minus right's for replies to the same prompts, with interval and verdict. Lower is better."""
    names, place = np.unique(conversations, return_inverse=True)
    sides = []
    for replies in (left, right):  # the counts of each part by conversation
        parts = [np.zeros((len(names), len(counts))) for counts in to["counts"]]
        for at, text in zip(place, replies):
            for part, counts in zip(parts, _counts(text, to)):
                part[at] += counts
        sides.append(parts)

    def measured(kept: np.ndarray) -> float:
        ours, theirs = (_total(_between([kept @ part for part in parts], to)) for parts in sides)
        return ours - theirs

    everything = np.ones(len(names))
    value = measured(everything)
    without = [measured(everything - one) for one in np.eye(len(names))] if len(names) > 1 else []
    return {"distance": value, **intervals.jackknife(value, without, np.bincount(place))}


# --- features ---------------------------------------------------------------------------------


def _counts(text: str, to: dict) -> list[np.ndarray]:
    """A reply's counts for each of PARTS."""
    letters = [letter for letter in text if letter.isalpha()]
    words = set(re.findall(r"[a-z]+(?:['’][a-z]+)?", text.lower()))
    stripped = text.rstrip()
    case = 3 if not letters else 2 if len(letters) > 1 and text.isupper() else 1 if letters[0].isupper() else 0
    characters = np.zeros(len(to["places"]) + 1)
    for trigram in _trigrams(text):
        characters[to["places"].get(trigram, -1)] += 1
    return [
        _one(int(np.searchsorted((0, 1, 2, 4, 8, 16, 32), len(text.split()))), 8),
        _one(case, 4),
        _one(".!?…,)".find(stripped[-1]) + 1 if stripped else 0, 7),
        _one(bool(words & ABBREVIATIONS) + 2 * bool(words & CONTRACTIONS), 4),
        characters,
    ]


def _trigrams(text: str) -> list[str]:
    padded = f" {normal(text)} "
    return [padded[at : at + 3] for at in range(len(padded) - 2)]


def _one(place: int, size: int) -> np.ndarray:
    counts = np.zeros(size)
    counts[place] = 1
    return counts


def _summed(features: list[list[np.ndarray]]) -> list[np.ndarray]:
    return [np.sum(part, axis=0) for part in zip(*features)]


def _distances(features: list[list[np.ndarray]], to: dict) -> list[float]:
    return _between(_summed(features), to)


def _between(counts: list[np.ndarray], to: dict) -> list[float]:
    return [_jensen_shannon(ours, theirs) for ours, theirs in zip(counts, to["counts"])]


def _total(parts: list[float]) -> float:
    return float(np.mean(parts))


def _jensen_shannon(left: np.ndarray, right: np.ndarray) -> float:
    if not left.sum() or not right.sum():
        return 0.0 if left.sum() == right.sum() else 1.0
    left, right = left / left.sum(), right / right.sum()
    middle = (left + right) / 2
    divergence = sum(
        0.5 * (side[side > 0] * np.log2(side[side > 0] / middle[side > 0])).sum() for side in (left, right)
    )
    return float(np.sqrt(max(divergence, 0.0)))
