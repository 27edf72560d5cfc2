"""Tables of the rows, and of the prompts that are made of them."""

from ...wording import count, number
from .shared import Table, table


def splits(described: dict) -> Table:
    """`described`: the rows of a folder, from `extract.description.describe`."""
    bad = any(one["blank"] + one["broken"] for one in described["splits"])
    return table(
        f"The rows in {described['data']}",
        described["splits"],
        split="Split",
        rows="Rows",
        bytes="Bytes",
        schema="Schema",
        turns="Messages a row (median)",
        user="User text (median characters)",
        reply="Reply (median characters)",
        **({"blank": "Blank lines", "broken": "Lines that are not JSON"} if bad else {}),
    )


def frequent(described: dict) -> Table:
    """What comes back most often in the rows: the order of roles, system texts, speakers and replies."""
    labels = {"roles": "order of roles", "systems": "system text", "speakers": "speaker", "replies": "reply"}
    rows = [
        {"what": label, "text": text, "rows": times}
        for key, label in labels.items()
        for text, times in described[key][:5]
    ]
    return rows, {"what": "What", "text": "Text", "rows": "Rows"}, "What the rows say most often"


def variants(extraction: dict) -> Table:
    rows = [
        {"variant": variant, "split": f"{split}.jsonl", **part}
        for variant, found in extraction["variants"].items()
        for split, part in found.items()
    ]
    return table("What was written", rows, variant="Variant", split="Split", bytes="Bytes", examples="Examples")


def funnel(extraction: dict) -> Table:
    caption = "From messages to replies"
    return table(caption, extraction["funnel"], step="Step", removed="Removed", left="Left", unit="Unit")


def key_differences(parity: dict) -> Table:
    """`parity`: one side of `parity` in format_audit.json."""
    return table(
        "Where the prompts differ",
        parity["rows"],
        aspect="Aspect",
        training="Training",
        inference="Inference",
        impact=("Impact", lambda row: _impact(row, parity["examples"])),
    )


def _impact(row: dict, examples: int) -> str:
    tokens = f"{number(float(row['tokens']), 1)} {'token' if row['tokens'] == 1 else 'tokens'}"
    return f"{row['prompts']:,} of {count(examples, 'prompt')}, {tokens} each"


def staged(found: dict) -> Table:
    """`found`: `staged` of format_audit.json."""
    rows = [row | {"when": when} for when in ("before", "after") for row in found[when]]
    return table(
        "The configs of the original report, before and after the fix",
        rows,
        when=("Configs", lambda row: "historical" if row["when"] == "before" else "fixed"),
        config="Config",
        data=("Data folder", lambda row: row["data"].split("/")[-1]),
        bytes="Bytes",
        lines="Training rows",
        checks=("Errors and warnings", _checks),
    )


def _checks(row: dict) -> str:
    return ", ".join(one["check"] for one in row["findings"] if one["severity"] != "info") or "none"
