"""The injected faults, as users cause them: each spoils a clean run and names the check that has to find it.

`CASES` is generated: most faults come in several sizes, splits, personas and chat templates.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from . import (
    adapter_faults,
    app_faults,
    config_faults,
    file_faults,
    form_faults,
    fused_faults,
    hub_faults,
    model_faults,
    prompt_faults,
    row_faults,
    set_faults,
    template_faults,
    text_faults,
)
from .studies import Study


@dataclass(frozen=True)
class Case:
    """`spoil(study)` causes the fault in a clean run of `study` (a name in studies.PLANS); the audit
    has to report `check` at `severity`. What may be reported besides, above info, since it
    follows from the same fault, are the `companions`; where two ids fit one fault equally,
    `check` holds both, with a bar between."""

    name: str
    study: str
    spoil: Callable[[Study], None]
    check: str
    severity: str
    companions: tuple[str, ...] = ()


FAMILIES = (
    model_faults.cases,
    file_faults.cases,
    row_faults.cases,
    text_faults.cases,
    form_faults.cases,
    set_faults.cases,
    set_faults.split_cases,
    config_faults.cases,
    template_faults.cases,
    prompt_faults.cases,
    app_faults.cases,
    adapter_faults.cases,
    fused_faults.cases,
    hub_faults.cases,
)
CASES = [Case(*case) for cases in FAMILIES for case in cases()]


def judge(case: Case, report: dict) -> tuple[bool, list[str]]:
    """Is the fault reported as it should be, and which findings above info does it not explain?"""
    wanted = case.check.split("|")
    found = any(item["check"] in wanted and item["severity"] == case.severity for item in report["findings"])
    explained = {*wanted, *case.companions}
    others = [
        f"{item['check']} ({item['severity']}): {item['title']}"
        for item in report["findings"]
        if item["severity"] != "info" and item["check"] not in explained
    ]
    return found, others


def told(report: dict) -> str:
    """The findings in one line each, to read in a test's message."""
    return "\n".join(
        f"{item['severity']}: {item['check']}: {item['title']} {json.dumps(item['evidence'][:2], ensure_ascii=False)}"
        for item in report["findings"]
    )
