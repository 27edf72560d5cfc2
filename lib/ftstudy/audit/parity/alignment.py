"""Two prompts aligned token by token, within the turns that correspond: what the notebook shows of them.

The "Key Differences" table is computed from such alignments.
"""

from collections import Counter
from difflib import SequenceMatcher
from itertools import groupby

from ... import chat_format
from ...chat_format.template import Template
from ...chat_format.tokens import unwrapped
from .prompts import added_by_encode, text_of
from .turns import Prompts, read_prompts

ASPECTS = {
    "bos": "Start of text (BOS)",
    "system": "System prompt",
    "user": "User content format",
    "assistant": "Earlier turns",
    "markup": "Role headers",
    "generation": "Header of the reply",
}
LONG = 8_000  # tokens, of both sides: difflib is quadratic
SHINGLE = 8  # tokens in a row
Label = tuple[str, int | None]  # region of a token, and the turn that it is in


def compare(example: dict, tokenizer, profile: dict, where: tuple[str, int] | None = None) -> dict:
    """Both prompts of one example, aligned token by token.

    Returns `training` and `inference` (token ids), `same`, `blocks`: aligned pieces in
    order, each {"aspect", "equal", "training", "inference"} with ids on both sides, and
    `differing`: per aspect, the tokens on either side that have no partner.
    """
    return _compare(example, Template(tokenizer), profile, where)


def _compare(example: dict, template: Template, profile: dict, where: tuple[str, int] | None) -> dict:
    tokenizer, tools = template.tokenizer, example.get("tools")
    prompt = chat_format.prompt_of(example, profile, where, tokenizer)
    training = chat_format.prompt_ids(example, tokenizer)
    inference = chat_format.encoded(prompt, tokenizer, tools)
    written = template.render(example["messages"][:-1], tools) or ""
    text = text_of(prompt, template, tools, added_by_encode(tokenizer)) or tokenizer.decode(inference)
    blocks = aligned(read_prompts(example, template, written, text), template, training, inference)
    differing = Counter()
    for block in blocks:
        if not block["equal"]:
            differing[block["aspect"]] += len(block["training"]) + len(block["inference"])
    return {
        "training": training,
        "inference": inference,
        "same": training == inference,
        "blocks": blocks,
        "differing": dict(differing),
    }


def aligned(prompts: Prompts, template: Template, training: list[int], inference: list[int]) -> list[dict]:
    """The blocks of `compare`. Turns that correspond are aligned with each other, and so is what is between them."""
    labels = _labels(prompts, 0, training, template), _labels(prompts, 1, inference, template)
    places = [_places(side) for side in labels]
    systems = tuple(-1 if -1 in place else own for place, own in zip(places, prompts.systems))
    pairs = [systems] * all(at in (-1, 0) for at in systems) + prompts.pairs
    known = [(places[0][a], places[1][b]) for a, b in pairs if a in places[0] and b in places[1]]
    blocks, (a, b) = [], (0, 0)
    for (a0, a1), (b0, b1) in [*known, ((len(training),) * 2, (len(inference),) * 2)]:
        between = labels[0][a:a0], labels[1][b:b0]
        extra = next((region for side in between for region, turn in side if turn is not None), None)
        if not (prompts.training.skeleton and prompts.inference.skeleton):
            extra = None
        blocks += _blocks(training[a:a0], inference[b:b0], *between, extra)
        blocks += _blocks(training[a0:a1], inference[b0:b1], labels[0][a0:a1], labels[1][b0:b1])
        a, b = a1, b1
    return blocks


def _labels(prompts: Prompts, side: int, ids: list[int], template: Template) -> list[Label]:
    """The region of each token: bos, markup, generation (after the last content), or that of a turn."""
    reading = prompts[side]
    characters = _characters(ids, reading.full, template.tokenizer)
    if characters is None:
        return [("markup", None)] * len(ids)
    cut, default = len(reading.full) - len(reading.text), template.default_system
    regions = prompts.regions(side)
    turns = [(start + cut, end + cut, regions[at], at) for at, (start, end) in enumerate(reading.whole_spans)]
    end_of_contents = turns[-1][1] if turns else len(reading.full)
    if default and "system" not in reading.roles:
        start = reading.full.find(default, cut, turns[0][0] if turns else None)
        turns[:0] = [(start, start + len(default), "system", -1)] * (start >= 0)
    found = []
    for start, end in characters:
        middle = (start + end) / 2
        while turns and turns[0][1] <= middle:
            turns.pop(0)
        if turns and turns[0][0] <= middle:
            found.append(turns[0][2:])
        elif middle < cut:
            found.append(("bos", None))
        else:
            found.append(("markup" if start < end_of_contents else "generation", None))
    return found


def _characters(ids: list[int], text: str, tokenizer) -> list[tuple[int, int]] | None:
    """Where each token is in the text, in characters; None if the text does not consist of these tokens."""
    try:
        encoded = unwrapped(tokenizer)(text, add_special_tokens=False, return_offsets_mapping=True)
        if list(encoded["input_ids"]) == ids:
            return encoded["offset_mapping"]
    except NotImplementedError:
        pass  # a tokenizer that doesn't say where its tokens are
    found, start, waiting = [], 0, 0
    for end in range(1, len(ids) + 1):  # an app may split the same text into other tokens
        piece = tokenizer.decode(ids[end - waiting - 1 : end])
        at = text.find(piece, start, start + len(piece) + 1)  # some decoders leave out a blank before a word
        if at < 0 or not piece:
            waiting += 1
            if waiting > 16:  # tokens: more than any character has
                return None
            continue
        found += [(at, at + len(piece))] * (waiting + 1)
        start, waiting = at + len(piece), 0
    return found if start == len(text) and not waiting else None


def _places(labels: list[Label]) -> dict[int, tuple[int, int]]:
    """Turn -> its first token, and the one after its last."""
    places = {}
    for at, (_, turn) in enumerate(labels):
        if turn is not None:
            places[turn] = (places.get(turn, (at, at))[0], at + 1)
    return places


def _blocks(
    left: list[int], right: list[int], left_labels: list[Label], right_labels: list[Label], extra: str | None = None
) -> list[dict]:
    """`extra`: the region of a turn that only one side has. Markup of the template that differs here belongs to it."""
    blocks = []
    for tag, a0, a1, b0, b1 in _opcodes(left, right):
        instead = extra if tag != "equal" else None
        runs = _by_region(left[a0:a1], left_labels[a0:a1], instead)
        others = _by_region(right[b0:b1], right_labels[b0:b1], instead)
        if tag == "equal":
            blocks += [_block(region, True, ids, ids) for region, ids in runs]
        elif [region for region, _ in runs] == [region for region, _ in others]:
            blocks += [_block(region, False, ids, more) for (region, ids), (_, more) in zip(runs, others)]
        else:
            blocks += [_block(region, False, ids, []) for region, ids in runs]
            blocks += [_block(region, False, [], ids) for region, ids in others]
    return blocks


def _opcodes(left: list[int], right: list[int]) -> list[tuple[str, int, int, int, int]]:
    """difflib's opcodes. Long texts are first aligned by runs of tokens, which are rarer than tokens."""
    if len(left) + len(right) <= LONG:
        return SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    runs = [[tuple(side[at : at + SHINGLE]) for at in range(len(side))] for side in (left, right)]
    found = []
    for tag, a0, a1, b0, b1 in SequenceMatcher(None, *runs).get_opcodes():
        within = [(tag, 0, a1 - a0, 0, b1 - b0)]
        if tag == "replace" and a1 - a0 + b1 - b0 <= LONG:
            within = SequenceMatcher(None, left[a0:a1], right[b0:b1], autojunk=False).get_opcodes()
        found += [(tag, a0 + a, a0 + a_end, b0 + b, b0 + b_end) for tag, a, a_end, b, b_end in within]
    return found


def _by_region(ids: list[int], labels: list[Label], extra: str | None) -> list[tuple[str, list[int]]]:
    regions = [extra if extra and region == "markup" else region for region, _ in labels]
    groups = groupby(zip(ids, regions), key=lambda one: one[1])
    return [(region, [token for token, _ in group]) for region, group in groups]


def _block(aspect: str, equal: bool, training: list[int], inference: list[int]) -> dict:
    return {"aspect": aspect, "equal": equal, "training": training, "inference": inference}


# --- over many examples -----------------------------------------------------------------------


def key_differences(examples: list[dict], tokenizer, profile: dict, places: list[tuple] | None = None) -> dict:
    """The "Key Differences" table over many examples, from token ids.

    `places`: each example's (split, row); by default the first rows of test.

    Returns `examples`, `identical` (prompts equal token for token), `rows`: one an aspect
    that differs anywhere, with `aspect`, `region`, `training` and `inference` (the texts of
    the first example that differs there), `prompts` affected and `tokens` (mean number of
    tokens without a partner, over affected prompts); and the `termination` row.
    """
    template, places = Template(tokenizer), places or [("test", row) for row in range(len(examples))]
    compared = [_compare(example, template, profile, place) for example, place in zip(examples, places)]
    rows = []
    for region, aspect in ASPECTS.items():
        affected = [one for one in compared if one["differing"].get(region)]
        if not affected:
            continue
        first = affected[0]
        side = {
            name: "".join(tokenizer.decode(b[name]) for b in first["blocks"] if b["aspect"] == region and b[name])
            for name in ("training", "inference")
        }
        tokens = sum(one["differing"][region] for one in affected) / len(affected)
        rows.append({"aspect": aspect, "region": region, **side, "prompts": len(affected), "tokens": round(tokens, 1)})
    return {
        "examples": len(compared),
        "identical": sum(one["same"] for one in compared),
        "rows": rows,
        "termination": termination(examples[0], tokenizer),
    }


def termination(example: dict, tokenizer) -> dict:
    """The report's third row: how a training text ends, and how an inference prompt ends.

    Not a fault: the prompt stops where the model is to write, and the end-of-turn token is
    what the model was trained to write there (`trained` says whether it was).
    """
    ids, mask = chat_format.training_ids(example, tokenizer)
    ends = chat_format.end_of_turn_ids(tokenizer)
    last = max((index for index, on in enumerate(mask) if on), default=len(ids) - 1)
    prompt = chat_format.prompt_ids(example, tokenizer)
    header = max((at for at, token in enumerate(prompt) if token in set(tokenizer.all_special_ids)), default=0)
    return {
        "training": tokenizer.decode(ids[last:]),
        "inference": tokenizer.decode(prompt[header:]),
        "trained": ids[last] in ends,
    }
