"""An adapter's files: can they be read, and do they belong together?"""

import json
from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx

from ...chat_format import contract
from ...errors import StudyError
from ...models import base_models
from ...paths import shown
from ..findings import Check, Finding

UNREADABLE = Check(
    "adapter.unreadable",
    ("error", "warning"),
    meaning="The weights or adapter_config.json are missing or cannot be read.",
    cause="A run was stopped while it was saving, or a copy is incomplete. mlx-lm cannot load the adapter.",
    fix="Train again, or delete the folder.",
    bad="adapters/adapters.safetensors: 0 bytes",
    good="adapters/: adapter_config.json, adapters.safetensors",
)
TWO_RUNS = Check(
    "adapter.two_runs",
    ("error",),
    meaning="adapter_config.json and the weights come from different runs.",
    cause="A run crashed between writing the two, or one of the files was copied.",
    fix="Train again.",
    bad='adapter_config.json: "ftstudy_run": "3fa1…"\nadapters.safetensors: "ftstudy_run": "9c07…"',
    good='adapter_config.json: "ftstudy_run": "3fa1…"\nadapters.safetensors: "ftstudy_run": "3fa1…"',
)
CONFIG_NEWER = Check(
    "adapter.config_newer",
    ("error", "warning"),
    meaning="adapter_config.json isn't the one these weights were trained with, or was written after them.",
    cause="mlx-lm writes the config first and the weights at the end; a run that stopped leaves its config next to older "
    "weights.",
    fix="Train again, or check that these are the weights you mean.",
    bad="adapter_config.json: Tuesday 18:40\nadapters.safetensors: Monday 09:12",
    good="adapter_config.json: Tuesday 18:40\nadapters.safetensors: Tuesday 19:05",
)
CONTRACT = Check(
    "adapter.contract",
    ("error", "warning"),
    meaning="Tokenizer, chat template or base model differ from the adapter's prompt_contract.json. A warning if that "
    "file is damaged.",
    cause="The model's folder changed after the adapter was trained, so the adapter gets prompts in a format that it "
    "never saw.",
    fix="Use the adapter with the files it was trained with, or delete the folder and train again.",
    bad="model/chat_template.jinja: edited after training",
    good="model/chat_template.jinja: as it was in training",
)
CHECKS = (UNREADABLE, TWO_RUNS, CONFIG_NEWER, CONTRACT)
WEIGHTS, CONFIG = "adapters.safetensors", "adapter_config.json"
NEWER = 10  # seconds; copying a folder sets times that are close together, in any order


def unreadable(path: Path, error: Exception) -> Finding:
    reason = "it does not exist" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())
    title = f"{shown(path)} cannot be read"
    return UNREADABLE.found("error", title, evidence=f"{path.name}: {reason}", where=shown(path))


def no_weights(folder: Path) -> Finding:
    return UNREADABLE.found(
        "warning",
        f"{shown(folder)} has {CONFIG}, but no {WEIGHTS}",
        evidence=sorted(path.name for path in folder.iterdir()),
        where=shown(folder),
        cause="mlx-lm writes the config before training and the weights afterwards: a run stopped early.",
    )


def made_with(folder: Path) -> tuple[dict | None, list[Finding]]:
    """What adapter_config.json says the adapter was trained with; None and a finding if it can't be read."""
    path = folder / CONFIG
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(made, dict):
            raise ValueError("it is not a JSON object")
        return made, []
    except (OSError, ValueError, RecursionError) as error:
        return None, [unreadable(path, error)]


def load(file: Path) -> dict[str, mx.array] | Finding:
    """The tensors by name, not read yet; a finding if the file isn't valid."""
    try:
        return dict(mx.load(str(file)))
    except Exception as error:  # mlx raises several kinds, including plain RuntimeError
        return unreadable(file, error)


def of_one_run(folder: Path, file: Path) -> Iterator[Finding]:
    """Are config and weights of the same run, and the config the older?"""
    if file.name != WEIGHTS:  # a checkpoint is older than the config of the run that went on after it
        return
    try:
        base_models.run_of(folder)
    except StudyError as error:
        title = f"{shown(folder)} has the config of one run and the weights of another"
        yield TWO_RUNS.found("error", title, evidence=str(error)[:200], where=shown(folder))
        return
    later = (folder / CONFIG).stat().st_mtime - file.stat().st_mtime
    if later > NEWER:
        yield CONFIG_NEWER.found(
            "warning",
            f"{CONFIG} in {shown(folder)} was written {later:,.0f} s after the weights",
            evidence=f"{CONFIG}: {later:,.0f} s newer than {WEIGHTS}",
            where=shown(folder / CONFIG),
        )


def contract_matches(inputs, folder: Path) -> Iterator[Finding]:
    """Are prompts still built as the contract written for the adapter says?"""
    path = folder / contract.NAME
    if not path.is_file() or inputs.model is None:
        return
    try:
        differences = contract.verify(contract.load(folder), inputs.tokenizer, inputs.model)
    except StudyError as error:
        yield CONTRACT.found(
            "warning",
            f"{shown(path)} is damaged",
            evidence=str(error),
            where=shown(path),
            cause="The file was written by another version, or changed since.",
            fix="Delete the file; the next clean audit writes it again.",
        )
        return
    if differences:
        title = f"{shown(folder)} was trained for another prompt format"
        yield CONTRACT.found("error", title, evidence=differences, where=shown(path))
