"""An adapter's files: can they be read, and do they belong together?"""

from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx

from ...chat_format import contract
from ...errors import StudyError
from ...files.reading import SETTINGS, opened, read_json, refuse_special, why
from ...machine_failures import pass_on
from ...models import adapters, checkpoints, peft, unusable_adapters
from ...paths import shown
from ...printable import cut
from ..evidence import listed
from ..findings import Check, Finding

UNREADABLE = Check(
    "adapter.unreadable",
    ("error", "warning"),
    meaning="The weights or adapter_config.json are missing or cannot be read.",
    cause="mlx-lm cannot load the adapter: the evidence says why.",
    fix="Copy the files again from where the adapter was trained, or train again.",
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
FORMAT = Check(
    "adapter.format",
    ("error", "warning"),
    meaning="The files are not an adapter of mlx-lm: PEFT's (a warning if this study can read them), an .npz, or a "
    "whole model.",
    cause="mlx-lm looks for adapter_config.json and adapters.safetensors, each in its own format.",
    fix="Convert the adapter, or name another folder.",
    bad="adapters/: adapter_config.json with a peft_type, adapter_model.safetensors",
    good="adapters/: adapter_config.json, adapters.safetensors",
)
STOPPED = Check(
    "adapter.stopped",
    ("warning",),
    meaning="Training stopped early: the adapter's weights are those of the last numbered checkpoint.",
    cause="mlx-lm saves adapters.safetensors with every checkpoint, and once more at the end. So this adapter looks "
    "finished, but saw only part of the training.",
    fix="Set resume_adapter_file: {file} to train the other {left} iterations, or keep it if it is good enough.",
    bad="adapter_config.json: iters: 600\n0000300_adapters.safetensors: the last, the same as adapters.safetensors",
    good="adapter_config.json: iters: 600\n0000600_adapters.safetensors: the last, the same as adapters.safetensors",
)
CHECKS = (UNREADABLE, FORMAT, STOPPED, TWO_RUNS, CONFIG_NEWER, CONTRACT)
WEIGHTS, CONFIG = adapters.WEIGHTS, adapters.CONFIG
NEWER = 10  # seconds; copying a folder sets times that are close together, in any order


def unreadable(path: Path, error: Exception) -> Finding:
    reason = "it does not exist" if isinstance(error, FileNotFoundError) else why(error)
    title, (cause, fix) = f"{shown(path)} cannot be read", _cause(path, error)
    return UNREADABLE.found("error", title, evidence=f"{path.name}: {reason}", where=shown(path), cause=cause, fix=fix)


def _cause(path: Path, error: Exception) -> tuple[str | None, str | None]:
    """What happened to a file, judged by its first bytes and its length, and what to do about it."""
    if isinstance(error, FileNotFoundError):
        found = unusable_adapters.trouble(path.parent)
        return f"{path.name} tells mlx-lm how to apply the weights.", found and found.fix
    try:
        with opened(path) as file:
            start, size = file.read(64), path.stat().st_size
    except OSError:  # it can't be opened, which the evidence says
        return None, None
    if not size:
        return f"{path.name} is empty: the disk was full, or a copy was stopped.", None
    if start.startswith(b"version https://git-lfs"):
        return (
            f"{path.name} is only a pointer of Git LFS: the repository was cloned without its large files.",
            f"Run `git lfs pull` in {shown(path.parent)}, or download the adapter with `hf download`.",
        )
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return f"{path.name} is a web page: the download link led to one.", "Download the file itself."
    if path.name == CONFIG:
        return f"{path.name} was edited, or only partly saved: mlx-lm expects one JSON object.", None
    if start.startswith(b"PK"):
        return (
            f"{path.name} is an archive of PyTorch or numpy under another name.",
            "Save it again as safetensors where it was made; renaming it doesn't change what is in it.",
        )
    length = 8 + int.from_bytes(start[:8], "little")
    if length > size and start[8:9] == b"{":
        return f"{path.name} is cut off: its header alone has {length:,} bytes, the file only {size:,}.", None
    if start[8:9] == b"{":
        return f"{path.name} is cut off, or was changed: its {size:,} bytes don't match its header.", None
    return f"{path.name} is not a file of weights.", None


def no_weights(folder: Path) -> Finding:
    found = unusable_adapters.trouble(folder)
    return UNREADABLE.found(
        "warning",
        f"{shown(folder)} has {CONFIG}, but no {WEIGHTS}",
        evidence=listed(sorted(path.name for path in folder.iterdir())),
        where=shown(folder),
        cause=found
        and found.cause
        or "mlx-lm writes the config before training and the weights afterwards: a run stopped early.",
        fix=found and found.cause and found.fix,
    )


def other_format(folder: Path) -> Finding | None:
    """A finding if the folder has files that neither mlx-lm nor this study can use as an adapter."""
    trouble = unusable_adapters.trouble(folder) if folder.is_dir() else None
    if trouble is None or not trouble.other:
        return None
    names = sorted(path.name for path in folder.iterdir())
    return FORMAT.found(
        "error", trouble.what, evidence=listed(names), where=shown(folder), cause=trouble.cause, fix=trouble.fix
    )


def of_peft(folder: Path, made: dict) -> Finding:
    """The finding on a readable PEFT adapter."""
    scale = f"{peft.scale_of(made, ''):g}"
    return FORMAT.found(
        "warning",
        f"{shown(folder)} is a PEFT adapter ({made['peft_type']}, rank {made['r']}, scale {scale}), "
        "which mlx-lm can't load",
        evidence=[f"peft_type: {made['peft_type']}", f"{peft.WEIGHTS}: ….lora_A.weight, ….lora_B.weight"],
        where=shown(folder / CONFIG),
        cause="PEFT uses other names, stores A and B transposed, and divides alpha by the rank. This study reads it as "
        "it is. mlx_lm.generate fails with “no attribute 'num_layers'”.",
        fix="The adapter is fine as it is for this study. To use it with mlx-lm, rename lora_A.weight to lora_a and "
        f"lora_B.weight to lora_b, transpose both, and write `scale: {scale}` into an adapter_config.json of mlx-lm.",
    )


def stopped(folder: Path) -> Iterator[Finding]:
    """A finding if the run that made the adapter ended before its last iteration."""
    found = checkpoints.progress(folder)
    if found["stopped"]:
        asked, last = found["asked"], found["last"]
        file = next(path for at, path in checkpoints.numbered(folder) if at == last)
        yield STOPPED.found(
            "warning",
            f"The adapter in {shown(folder)} stopped at iteration {last:,} of {asked:,}",
            evidence=[f"{CONFIG}: iters: {asked}", f"{file.name}: the last checkpoint, the same as {WEIGHTS}"],
            where=shown(folder),
            file=shown(file),
            left=f"{asked - last:,}",
        )


def made_with(folder: Path) -> tuple[dict | None, list[Finding]]:
    """What adapter_config.json says the adapter was trained with; None and a finding if it can't be read."""
    path = folder / CONFIG
    try:
        made = read_json(path, SETTINGS)
        if not isinstance(made, dict):
            raise ValueError("it is not a JSON object")
        return made, []
    except (OSError, ValueError) as error:
        pass_on(error)
        return None, [unreadable(path, error)]


def load(file: Path) -> dict[str, mx.array] | Finding:
    """The tensors by mlx-lm's names, not read yet; a finding if the file isn't valid."""
    try:
        refuse_special(file)
        return peft.tensors(file.parent) if file.name == peft.WEIGHTS else dict(mx.load(str(file)))
    except Exception as error:  # mlx raises several kinds, including plain RuntimeError
        pass_on(error)
        return unreadable(file, error)


def of_one_run(folder: Path, file: Path) -> Iterator[Finding]:
    """Are config and weights of the same run, and the config the older?"""
    if file.name != WEIGHTS:  # a checkpoint is older than the config of the run that went on after it
        return
    try:
        adapters.run_of(folder)
    except StudyError as error:
        title = f"{shown(folder)} has the config of one run and the weights of another"
        yield TWO_RUNS.found("error", title, evidence=cut(str(error), 200), where=shown(folder))
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
            fix="Delete the file. Training writes it, and so does an audit with --inference that finds no error.",
        )
        return
    if differences:
        title = f"{shown(folder)} was trained for another prompt format"
        yield CONTRACT.found("error", title, evidence=differences, where=shown(path))
