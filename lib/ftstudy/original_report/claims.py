"""Every statement of the original report, and what it leaves unsaid, tested on this run's results.

A claim has `number`, `statement`, `test`, `measurement` and `verdict` (confirmed, refuted, partly, or not
testable here). Verdicts are computed: other data, another model or longer training may change them.
1 to 19 are the report's, in its order; 20 to 22 are what its configs and data take for granted; 23 to 25
are from its summary and its fixes.
"""

from dataclasses import replace

from .. import audit
from ..audit.adapters import effect
from ..errors import StudyError
from ..training import stock_comparison
from . import data_claims, prompt_claims, result_claims
from .verdicts import untestable

ABOUT_ITS_PROMPT = (7, 8, 9, 12, 14, 16, 17, 24, 25)
HISTORICAL = "ft_configs/historical_0.3b_lora_cataware.yaml"


def gather(audited: dict, extraction: dict, comparison: dict, plan: dict, statistics: dict, inputs) -> dict:
    """The evidence for all claims.

    `audited`, `extraction`: the run's format_audit.json and extraction.json. `comparison`: the content of
    comparison.json. `plan`: from `compare.plan.plan`. `statistics`: bytes and examples of each split. `inputs`:
    the RunInputs of the main config.
    """
    try:
        moved = effect(inputs)
    except StudyError:
        moved = None
    unmasked = replace(inputs, config=inputs.config | {"mask_prompt": False})
    return {
        "audited": audited,
        "parity": audited["parity"],
        "training": plan["trained"],
        "comparison": comparison,
        "statistics": statistics,
        "examples": plan["heldout"]["examples"],
        "tokenizer": inputs.tokenizer,
        "owner": plan["owner"],
        "category_leak": extraction["category_leak"],
        "dead_keys": _dead_keys(),
        "unmasked": stock_comparison.loss_tokens(unmasked, stock=True),
        "effect": moved,
    }


def _dead_keys() -> list[str]:
    """The keys that one of the original's configs sets and mlx-lm ignores."""
    found = audit.config.check(audit.read(HISTORICAL))
    return [line for item in found if item.check == "config.unknown_key" for line in item.evidence]


def claims(evidence: dict) -> list[dict]:
    """The table of claims. `evidence`: what `gather` gives."""
    rows = [row for family in (data_claims, prompt_claims, result_claims) for row in family.claims(evidence)]
    if (asked := evidence["audited"]["inference"]) != "historical":
        why = f"this run measures the prompt of “{asked}”, not the original app's"
        rows = [
            untestable(row["number"], row["statement"], why) if row["number"] in ABOUT_ITS_PROMPT else row
            for row in rows
        ]
    return sorted(rows, key=lambda row: row["number"])
