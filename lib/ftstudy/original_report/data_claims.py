"""Claims about the training data, and about what the configs made of it."""

from ..wording import number
from . import history
from .verdicts import CONFIRMED, PARTLY, REFUTED, claim, untestable


def claims(evidence: dict) -> list[dict]:
    return [*_staged(evidence["audited"].get("staged")), _sizes(evidence["statistics"]), *_unsaid(evidence)]


def _staged(staged: dict | None) -> list[dict]:
    statements = {
        2: "All cataware configs pointed to an empty directory",
        3: "Training ran with no data",
        4: "Root cause: the generator lists a variant that does not exist",
        23: "The fixed variants, raw_style_variable and raw_style, have data",
    }
    if staged is None:
        why = "this run did not generate the historical configs"
        return [untestable(number_, text, why) for number_, text in statements.items()]
    before, after = (
        {row["config"] for row in staged[when] if any(one["check"] == "data.empty" for one in row["findings"])}
        for when in ("before", "after")
    )
    cataware = {row["config"] for row in staged["before"] if "cataware" in row["config"]}
    aborts = "without an error" not in staged["trainer"]
    lines = {row["data"].rpartition("/")[2]: row["lines"] for row in staged["after"]}
    judged = {
        2: (
            "generate the historical configs again and look at their data folders",
            f"{len(before & cataware)} of {len(cataware)} cataware configs point to an empty folder",
            CONFIRMED if cataware and cataware <= before else REFUTED,
        ),
        3: ("mlx-lm's own data loading on the empty folder", staged["trainer"], REFUTED if aborts else CONFIRMED),
        4: (
            "the configs generated from the variant list before and after the fix",
            f"configs with an empty folder: {len(before)} before, {len(after)} after",
            CONFIRMED if before and not after else REFUTED,
        ),
        23: (
            "rows of their train.jsonl",
            ", ".join(f"{name}: {count:,} rows" for name, count in lines.items()),
            CONFIRMED if all(lines.values()) else REFUTED,
        ),
    }
    return [claim(number_, statements[number_], *found) for number_, found in judged.items()]


def _sizes(statistics: dict) -> dict:
    report = {name: size / examples for name, (size, examples) in history.PRINTED_STATISTICS.items()}
    here = {name: statistics[name]["bytes"] / statistics[name]["examples"] for name in report if name in statistics}
    apart, apart_here = (max(sizes.values()) / min(sizes.values()) - 1 for sizes in (report, here))
    listed = [", ".join(number(size, 0) for size in sizes.values()) for sizes in (report, here)]
    return claim(
        18,
        "5,807,622 bytes are about 10K examples; 730,799 and 755,852 about 1.5K",
        "bytes per example: equal in all splits, or at least no further apart than in this run's splits",
        f"report: {listed[0]} bytes per example, {number(100 * apart, 0)}% apart; "
        f"here: {listed[1]}, {number(100 * apart_here, 0)}% apart",
        CONFIRMED if apart < 0.05 else PARTLY if apart <= apart_here else REFUTED,
    )


def _unsaid(evidence: dict) -> list[dict]:
    """What the report takes for granted but its configs and data don't deliver."""
    dead, shares, leak = evidence["dead_keys"], evidence["unmasked"], evidence["category_leak"]
    on_prompt = shares["prompt"] / (shares["total"] or 1)
    return [
        claim(
            20,
            "(unsaid) Its configs set LoRA's rank, layers, alpha and dropout",
            "the keys of one of them, against the keys that mlx-lm reads",
            f"mlx-lm ignores {', '.join(dead)}" if dead else "mlx-lm reads all of them",
            REFUTED if dead else CONFIRMED,
        ),
        claim(
            21,
            "(unsaid) It trains on the person's replies",
            "its configs leave mask_prompt off: mlx-lm's own loss mask on this run's rows",
            f"{number(100 * on_prompt, 0)}% of the loss tokens are in the prompt",
            REFUTED if on_prompt > 0.5 else PARTLY if on_prompt > 0.05 else CONFIRMED,
        ),
        claim(
            22,
            "(unsaid) category_aware only tells the model what an app knows when it asks",
            "the original took the category from the reply: how often would the context give another one?",
            f"another category in {number(100 * leak, 0)}% of the pairs",
            REFUTED if leak > 0.05 else CONFIRMED,
        ),
    ]
