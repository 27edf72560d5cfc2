"""Would this fine-tuning run be wasted? One module per family of checks; all return findings."""

from .. import engine  # noqa: F401  before MLX is imported

# isort: split

from dataclasses import replace
from functools import partial

from ..errors import StudyError
from ..progress import bar
from . import (
    adapters,
    app_code,
    base_model,
    config,
    content,
    data,
    documentation,
    estimate,
    fused_model,
    loss,
    parity,
    passed,
    splits,
)
from .contract_writer import offer as offer_contract
from .findings import Check, Finding, for_extracted, merge, report
from .loss.trained_tokens import masked_rows
from .run_inputs import RunInputs, read

__all__ = [
    "RunInputs",
    "audit",
    "check",
    "check_before_training",
    "checks",
    "documentation",
    "estimate",
    "masked_rows",
    "merge",
    "offer_contract",
    "read",
    "report",
]
# In the order in which a run meets them.
FAMILIES = (config, base_model, data, content, splits, loss, parity, adapters)
# Training replaces an adapter that exists, so what is wrong with it does not matter.
BEFORE_TRAINING = (config, base_model, data, content, splits, loss)


def audit(config, data_folder=None, model=None, inference=None, owner=None, app=None, fused=None) -> dict:
    """All findings on a config, its data and the app's prompt: {"findings", "summary", "held", "not_checked"}.

    `config`: a file; `data_folder` and `model` replace the config's; `inference`: the app's prompt format, a
    profile's file or name; `owner`: the name in the historical prompt (default: the one the data was extracted for);
    `app`: a folder with the app's code; `fused`: one that mlx_lm.fuse saved. Raises StudyError if the audit cannot
    run (no config, no model, no profile, no such folder); faults in the data are findings.
    """
    return check(read(config, data_folder, model, inference, owner), app, fused)


def check(inputs: RunInputs, app=None, fused=None, existing: bool = True) -> dict:
    """As `audit`, on inputs that were read already. `app`, `fused`: as for `audit`. `existing`: also on an adapter
    already there; if False, repeating a run that replaces it gives the same findings."""
    families = [family.check for family in (FAMILIES if existing else (*BEFORE_TRAINING, parity))]
    more = [] if existing else [adapters.check_resumed]
    more += [partial(app_code.findings, folder=app), partial(fused_model.findings, fused=fused)]
    result = report(_found(inputs, [*families, *more]))
    return result | passed.summary(inputs, result["findings"])


def check_before_training(inputs: RunInputs) -> dict:
    """The findings that say whether training would be wasted, regardless of the app and any existing adapter."""
    return report(_found(inputs, [family.check for family in BEFORE_TRAINING]))


def _found(inputs: RunInputs, families) -> list[Finding]:
    found = []
    for check in bar(families, desc="auditing", delay=1):
        try:
            found += check(inputs)
        except StudyError:
            if inputs.problem is None:
                raise
            # The tokenizer of a model that can't be loaded may not load either; the model's own finding says enough.
    if inputs.is_extracted:
        found = for_extracted(found, checks())
    return [replace(item, where=item.where or inputs.where) for item in found]


def checks() -> list[Check]:
    """Every check, in the order in which a run meets them."""
    return [declared for family in (*FAMILIES, app_code, fused_model) for declared in family.CHECKS]
