"""Two prompts side by side, as pieces for the diff template: the same in the report and in a notebook."""

# Equal text between two differences: so few tokens, or letters, are shown as part of them.
ISLAND, LETTERS = 2, 4


def diff(comparison: dict, tokenizer) -> dict:
    """Both sides of `audit.parity.compare` as pieces [text, differs, control]; `control`: one of the model's tokens."""
    blocks = _joined(
        comparison["blocks"], {*tokenizer.all_special_ids, *getattr(tokenizer, "added_tokens_decoder", {})}, tokenizer
    )
    return {side: _pieces(blocks, side, tokenizer) for side in ("training", "inference")}


def _joined(blocks: list[dict], control: set[int], tokenizer) -> list[dict]:
    """The blocks with control tokens apart, and small islands of equal text joined to the differences around them."""
    split = [part for block in blocks for part in _apart(block, control)]
    joined: list[dict] = []
    for at, one in enumerate(split):
        before = joined[-1] if joined else None
        after = split[at + 1] if at + 1 < len(split) else None
        island = (
            one["equal"]
            and not one["control"]
            and (len(one["training"]) <= ISLAND or len(tokenizer.decode(one["training"])) <= LETTERS)
            and before is not None
            and after is not None
            and not before["equal"]
            and not after["equal"]
        )
        equal = one["equal"] and not island
        if before and not one["control"] and not before["control"] and before["equal"] == equal:
            for side in ("training", "inference"):
                before[side] = before[side] + one[side]
        else:
            joined.append(one | {"equal": equal})
    return joined


def _apart(block: dict, control: set[int]) -> list[dict]:
    """A block as pieces of either control tokens or text."""
    if block["equal"]:
        return [
            {"equal": True, "control": is_control, "training": ids, "inference": ids}
            for is_control, ids in _runs(block["training"], control)
        ]
    sides = {side: _runs(block[side], control) for side in ("training", "inference")}
    return (
        [
            {"equal": False, "control": is_control, "training": [], "inference": []} | {side: ids}
            for side in ("training", "inference")
            for is_control, ids in sides[side]
        ]
        if any(kind for side in sides.values() for kind, _ in side)
        else [block | {"control": False}]
    )


def _runs(ids: list[int], control: set[int]) -> list[tuple[bool, list[int]]]:
    """Token ids in runs; each control token is one of its own."""
    found: list[tuple[bool, list[int]]] = []
    for one in ids:
        if one in control or not found or found[-1][0]:
            found.append((one in control, [one]))
        else:
            found[-1][1].append(one)
    return found


def _pieces(blocks: list[dict], side: str, tokenizer) -> list[list]:
    return [[tokenizer.decode(block[side]), not block["equal"], block["control"]] for block in blocks if block[side]]
