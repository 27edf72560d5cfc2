"""A fused model: does it contain the adapter's update, and all of it?

mlx_lm.fuse adds the update to the weights and stores them in the base model's precision. If the base is quantized, an
update that is smaller than a rounding step is lost, and the fused model behaves like the base.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ...errors import StudyError
from ...machine_failures import pass_on
from ...models import unusable_adapters
from ...paths import absolute, shown
from ..findings import Finding
from . import folder, update, weights

CHECKS = (*folder.CHECKS, *update.CHECKS)


def findings(inputs, fused: str | Path | None) -> list[Finding]:
    """Findings on a fused model. Raises StudyError if its folder doesn't exist; never for what the folder contains."""
    if not fused:
        return []
    path = absolute(fused)
    if not path.is_dir():
        raise StudyError(f"There is no fused model at {shown(path)}. Name the folder that mlx_lm.fuse saved to.")
    found = list(folder.check(inputs, path))
    if not any(finding.severity == "error" for finding in found):
        found += _update(inputs, path)
    return [replace(item, where=item.where or shown(path)) for item in found]


def _update(inputs, fused: Path) -> Iterator[Finding]:
    try:
        weights.load(fused)
    except Exception as error:  # mlx-lm raises several kinds
        pass_on(error)
        yield folder.unreadable("error", f"mlx-lm cannot load {shown(fused)}", error)
        return
    adapter = absolute(str(inputs.config["adapter_path"]))
    names = {"model": inputs.config["model"], "adapter": shown(adapter)}
    try:
        if inputs.model is None:
            raise StudyError(f"the base model {names['model']} is missing")
        usable = unusable_adapters.trouble(adapter) is None
        yield from update.check(inputs.model, adapter if usable else None, fused, names)
    except Exception as error:
        pass_on(error)
        title = f"{shown(fused)} cannot be compared with {names['model']} and {names['adapter']}"
        cause = "One of them cannot be loaded, or they don't fit."
        yield folder.unreadable("warning", title, error, cause=cause, fix="Fix the base model or the adapter.")
