"""Checks any adapter already at `adapter_path`: could it be mistaken for this run's output, and is it valid?

mlx-lm writes adapter_config.json before training and the weights at the end, and it loads an adapter that lacks
tensors without a warning.
"""

from dataclasses import replace
from pathlib import Path

from ...errors import StudyError
from ...models import adapters, peft
from ..config import place
from ..evidence import listed
from ..findings import Finding
from . import files, settings, tensors, weights
from .files import CONFIG, WEIGHTS
from .weights import effect

__all__ = ["CHECKS", "check", "effect"]
CHECKS = tuple(check for subject in (files, settings, tensors, weights) for check in subject.CHECKS)


def check(inputs) -> list[Finding]:
    """Findings on the adapter at `adapter_path` and on the one to resume from, if there are any."""
    found, folder = [], _path(inputs.config.get("adapter_path"))
    if folder and (other := files.other_format(folder)):
        found.append(other)
    elif folder and any((folder / name).is_file() for name in (WEIGHTS, CONFIG)):
        file = adapters.weights_file(folder)
        found += [*_check(inputs, folder, file, settings.LEARNED), *files.contract_matches(inputs, folder)]
        found += files.stopped(folder)
        loads = inputs.problem is None and not any(finding.severity == "error" for finding in found)
        if loads and file.is_file() and weights.is_quick(inputs.model):
            try:
                found += weights.has_effect(inputs, folder)
            except StudyError as error:
                found.append(files.unreadable(folder, error))
    if not folder or _path(inputs.config.get("resume_adapter_file")) != folder / WEIGHTS:
        found += check_resumed(inputs)
    return _on_one_line(found)


def check_resumed(inputs) -> list[Finding]:
    """Findings on the adapter to resume from, if there is one."""
    resumed = _path(inputs.config.get("resume_adapter_file"))
    if not resumed or not resumed.is_file():
        return []
    return _on_one_line(_check(inputs, resumed.parent, resumed, settings.STRUCTURE))


def _on_one_line(found: list[Finding]) -> list[Finding]:
    return [replace(item, title=_clean(item.title), evidence=listed([*map(_clean, item.evidence)])) for item in found]


def _path(name) -> Path | None:
    return place(name) if isinstance(name, str) and name else None


def _clean(text: str) -> str:
    """On one line and without lone surrogates; names of tensors and models can be any text."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())


def _check(inputs, folder: Path, file: Path, compared: set) -> list[Finding]:
    made, found = files.made_with(folder)
    if not file.is_file():
        return [*found, files.no_weights(folder)]
    arrays = files.load(file)
    if isinstance(arrays, Finding):
        return [*found, arrays]
    is_peft = peft.is_peft(made)
    if is_peft:
        found.append(files.of_peft(folder, made))
    if made is not None:
        shapes = {name: tuple(value.shape) for name, value in arrays.items()}
        found += [*tensors.check(inputs, made, shapes, file), *settings.check(inputs, made, folder, compared)]
        if not is_peft and not any(finding.check == files.CONFIG_NEWER.id for finding in found):
            found += files.of_one_run(folder, file)
    return [*found, *weights.check(inputs, made or {}, arrays, file)]
