"""Two prompts aligned token by token, each difference in the region of the prompt that it replaces.

The notebook's "Key Differences" table is computed from such alignments.
"""

from collections import Counter
from difflib import SequenceMatcher

from ... import chat_format
from ...chat_format.template import Template, labels

ASPECTS = {
    "bos": "Start of text (BOS)",
    "system": "System prompt",
    "user": "User content format",
    "assistant": "Earlier replies",
    "markup": "Role headers",
    "generation": "Header of the reply",
}
CONTENT = ("system", "user", "assistant")


def compare(example: dict, tokenizer, profile: dict, where: tuple[str, int] | None = None) -> dict:
    """Both prompts of one example, aligned token by token.

    Returns `training` and `inference` (token ids), `same`, `blocks`: aligned pieces in
    order, each {"aspect", "equal", "training", "inference"} with ids on both sides, and
    `differing`: per aspect, the tokens on either side that have no partner.
    """
    training = chat_format.prompt_ids(example, tokenizer)
    inference = chat_format.prompt_ids(example, tokenizer, profile, where)
    return align(example, Template(tokenizer), training, inference)


def align(example: dict, template: Template, training: list[int], inference: list[int]) -> dict:
    """`compare`, of token ids that are already there."""
    regions = labels(example, template, training)
    special = set(template.tokenizer.convert_tokens_to_ids(list(template.special)))
    blocks = []
    for tag, a0, a1, b0, b1 in _aligned(training, inference, regions, special):
        if tag == "equal":
            for start, end, aspect in _runs(regions, a0, a1):
                blocks.append(_block(aspect, True, training[start:end], inference[b0 + start - a0 : b0 + end - a0]))
        elif tag == "insert":
            blocks.append(_block(_aspect_between(regions, a0), False, [], inference[b0:b1]))
        else:
            # What replaces several regions at once is shown with the first content among them.
            runs = _runs(regions, a0, a1)
            host = next((run for run in runs if run[2] in CONTENT), runs[0])
            for run in runs:
                blocks.append(_block(run[2], False, training[run[0] : run[1]], inference[b0:b1] if run == host else []))
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


def _aligned(left: list[int], right: list[int], labels: list[str], special: set[int]) -> list[tuple]:
    """difflib's opcodes, with special tokens as anchors where both sides have the same ones."""
    cuts = [[at for at, token in enumerate(side) if token in special] for side in (left, right)]
    if [left[at] for at in cuts[0]] != [right[at] for at in cuts[1]]:
        cuts = [[], []]
    starts = [(0, 0), *zip(*cuts)]
    ends = [*zip(*cuts), (len(left), len(right))]
    codes = []
    for (a, b), (a_end, b_end) in zip(starts, ends):
        piece = SequenceMatcher(None, left[a:a_end], right[b:b_end], autojunk=False).get_opcodes()
        codes += [(tag, a + a0, a + a1, b + b0, b + b1) for tag, a0, a1, b0, b1 in piece]
    return _slid(codes, right, labels)


def _slid(codes: list[tuple], right: list[int], labels: list[str]) -> list[tuple]:
    """Insertions moved right into a message's content, where that changes neither side.

    "user [⏎ Context :] ⏎ Contact" and "user ⏎ [Context : ⏎] Contact" are the same insertion;
    only the second is in the user's text, where it belongs.
    """
    slid = []
    for at, (tag, a0, a1, b0, b1) in enumerate(codes):
        if tag == "insert" and at + 1 < len(codes) and codes[at + 1][0] == "equal":
            _, *after = codes[at + 1]
            shift = 0
            while _aspect_between(labels, a0 + shift) not in CONTENT:
                if shift == after[1] - after[0] or right[b0 + shift] != right[b1 + shift]:
                    shift = 0  # it cannot get there: it stays where it was
                    break
                shift += 1
            slid.append(("equal", a0, a0 + shift, b0, b0 + shift))
            slid.append(("insert", a0 + shift, a0 + shift, b0 + shift, b1 + shift))
            codes[at + 1] = ("equal", after[0] + shift, after[1], after[2] + shift, after[3])
        else:
            slid.append((tag, a0, a1, b0, b1))
    return [code for code in slid if code[1] < code[2] or code[3] < code[4]]


def _block(aspect: str, equal: bool, training: list[int], inference: list[int]) -> dict:
    return {"aspect": aspect, "equal": equal, "training": training, "inference": inference}


def _runs(labels: list[str], start: int, end: int) -> list[tuple[int, int, str]]:
    """Stretches of one label within [start, end)."""
    runs = []
    for index in range(start, end):
        if runs and runs[-1][2] == labels[index]:
            runs[-1] = (runs[-1][0], index + 1, labels[index])
        else:
            runs.append((index, index + 1, labels[index]))
    return runs


def _aspect_between(labels: list[str], at: int) -> str:
    """The region of tokens inserted before position `at`: content wins over markup."""
    if at == 0:
        return "bos"
    neighbours = [labels[at - 1]] + labels[at : at + 1]
    return next((label for label in reversed(neighbours) if label in CONTENT), neighbours[-1])


def key_differences(examples: list[dict], tokenizer, profile: dict, places: list[tuple] | None = None) -> dict:
    """The "Key Differences" table over many examples, from token ids.

    `places`: each example's (split, row); by default the first rows of test.

    Returns `examples`, `identical` (prompts equal token for token), `rows`: one an aspect
    that differs anywhere, with `aspect`, `region`, `training` and `inference` (the texts of
    the first example that differs there), `prompts` affected and `tokens` (mean number of
    tokens without a partner, over affected prompts); and the `termination` row.
    """
    places = places or [("test", row) for row in range(len(examples))]
    compared = [compare(example, tokenizer, profile, place) for example, place in zip(examples, places)]
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
