"""Claims on the training data and on what the configs made of it."""

from ..report.wording import number
from . import history
from .verdicts import CONFIRMED, PARTLY, REFUTED, claim, untestable


def claims(evidence: dict) -> list[dict]:
    return [*_staged(evidence["audited"].get("staged")), _sizes(evidence["statistics"]), *_found_since(evidence)]


def _staged(staged: dict | None) -> list[dict]:
    statements = {
        2: "All cataware configs pointed to an empty directory",
        3: "Training ran with no data",
        4: "Root cause: the generator lists a variant that does not exist",
        23: "The fixed variants, raw_style_variable and raw_style, have data",
    }
    if staged is None:
        return [untestable(n, text, "this run does not stage the historical matrix") for n, text in statements.items()]
    empty = {
        when: [row["config"] for row in staged[when] if any(f["check"] == "data.empty" for f in row["findings"])]
        for when in ("before", "after")
    }
    cataware = [row["config"] for row in staged["before"] if "cataware" in row["config"]]
    aborts = "without an error" not in staged["trainer"]
    lines = {row["data"].rpartition("/")[2]: row["lines"] for row in staged["after"]}
    return [
        claim(
            2,
            statements[2],
            "the historical matrix, generated again, against its folders",
            f"{len(set(empty['before']) & set(cataware))} of {len(cataware)} cataware configs name an empty folder",
            CONFIRMED if cataware and set(cataware) <= set(empty["before"]) else REFUTED,
        ),
        claim(
            3,
            statements[3],
            "mlx-lm's own data loading on the empty folder",
            staged["trainer"],
            REFUTED if aborts else CONFIRMED,
        ),
        claim(
            4,
            statements[4],
            "the matrix before and after the fix, generated from the two lists",
            f"configs with an empty folder: {len(empty['before'])} before, {len(empty['after'])} after",
            CONFIRMED if empty["before"] and not empty["after"] else REFUTED,
        ),
        claim(
            23,
            statements[23],
            "rows of their train.jsonl",
            ", ".join(f"{name}: {count:,} rows" for name, count in lines.items()),
            CONFIRMED if all(lines.values()) else REFUTED,
        ),
    ]


def _sizes(statistics: dict) -> dict:
    printed = {name: size / examples for name, (size, examples) in history.PRINTED_STATISTICS.items()}
    here = {name: statistics[name]["bytes"] / statistics[name]["examples"] for name in printed if name in statistics}
    spread = {
        label: max(values.values()) / min(values.values()) - 1
        for label, values in (("report", printed), ("here", here))
    }
    return claim(
        18,
        "5,807,622 bytes are about 10K examples; 730,799 and 755,852 about 1.5K",
        "bytes an example: equal between splits, or no further apart than real splits are here",
        f"report: {', '.join(number(v, 0) for v in printed.values())} bytes an example, {number(100 * spread['report'], 0)}% apart; "
        f"here: {', '.join(number(v, 0) for v in here.values())}, {number(100 * spread['here'], 0)}% apart",
        CONFIRMED if spread["report"] < 0.05 else PARTLY if spread["report"] <= spread["here"] else REFUTED,
    )


def _found_since(evidence: dict) -> list[dict]:
    """What the report takes for granted, and its configs and data do not keep."""
    dead, shares, leak = evidence["dead_keys"], evidence["unmasked"], evidence["category_leak"]
    on_prompt = shares["prompt"] / (shares["total"] or 1)
    return [
        claim(
            20,
            "(unsaid) Its configs set LoRA's rank, layers, alpha and dropout",
            "one of them, against the keys that mlx-lm reads",
            f"mlx-lm reads none of {', '.join(dead)}" if dead else "mlx-lm reads all of them",
            REFUTED if dead else CONFIRMED,
        ),
        claim(
            21,
            "(unsaid) Its training is on the person's replies",
            "its configs leave mask_prompt off: mlx-lm's own loss mask, replayed on this run's rows",
            f"{number(100 * on_prompt, 0)}% of the loss tokens are the prompt's",
            REFUTED if on_prompt > 0.5 else PARTLY if on_prompt > 0.05 else CONFIRMED,
        ),
        claim(
            22,
            "(unsaid) category_aware tells the model what an app knows when it asks",
            "the original took the category from the reply: how often would the context give another?",
            f"another one in {number(100 * leak, 0)}% of the pairs",
            REFUTED if leak > 0.05 else CONFIRMED,
        ),
    ]
