"""Where a config points: the model, the adapter's folder, the checkpoint to resume from, a dataset on a hub."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ...errors import StudyError
from ...models import base_models
from ...paths import absolute, shown
from .. import hub_data
from ..findings import Check, Finding
from .values import TYPE, shown_key, shown_line, shown_value

PATH = Check(
    "config.path",
    ("error", "warning"),
    meaning="A model, adapter folder or checkpoint that doesn't exist or can't be used.",
    cause="mlx-lm aborts, sometimes only after loading the model and the data.",
    fix="Correct `{key}`; relative paths count from the folder in which mlx-lm is started.",
    bad="model: ~/models/mine\nresume_adapter_file: adapters/",
    good="model: /Users/anna/models/mine\nresume_adapter_file: adapters/0000100_adapters.safetensors",
)
HF_DATASET = Check(
    "config.hf_dataset",
    ("error", "warning"),
    meaning="The run trains on a Hub dataset: `hf_dataset`, or a name in `data` that isn't a folder. An error if the "
    "datasets package is missing.",
    cause="The audit doesn't read the rows that `hf_dataset` names. Its other findings are about the folder in `data`, "
    "which mlx-lm doesn't read then.",
    fix="Delete `hf_dataset`, or save that dataset as train.jsonl, valid.jsonl and test.jsonl and set `data` to their "
    "folder. A dataset named in `data: organisation/name` is audited where the local Hugging Face cache has it.",
    bad="data: data/mine\nhf_dataset: {path: someone/chats}",
    good="data: data/mine",
)
CHECKS = (PATH, HF_DATASET)
HUB_NAME = r"\w[\w.-]*/\w[\w.-]*"  # organisation/model, which may be downloaded later


def place(name: str) -> Path | None:
    """The absolute path of a name; None if the system can have no such path."""
    try:
        path = absolute(name)
        path.stat()
    except FileNotFoundError:
        return path
    except (OSError, RuntimeError, ValueError) as error:
        return path if isinstance(error, NotADirectoryError) else None
    return path


def check(inputs) -> Iterator[Finding]:
    yield from _model(inputs)
    yield from _beside(inputs)
    yield from _home(inputs)
    yield from _resumed(inputs)
    yield from _adapter(inputs)
    yield from _hf_dataset(inputs)
    yield from _hub_name(inputs)


def _found(inputs, severity: str, key: str, title: str, **texts) -> Finding:
    line = shown_line(key, inputs.config[key])
    return PATH.found(severity, title, evidence=line, key=key, **texts)


def _model(inputs):
    name = inputs.config["model"]
    on_hub = re.fullmatch(HUB_NAME, name) and not absolute(name.split("/")[0]).is_dir()
    if inputs.model is not None or on_hub:
        return
    try:
        base_models.resolve(name)
    except StudyError as error:
        yield _found(inputs, "error", "model", f"There is no model {shown_key(name)}", cause=str(error))


def _beside(inputs):
    """Data or a model that `configs.load` found in the config's own folder."""
    for key in ("data", "model"):
        given, used = inputs.given.get(key), inputs.config[key]
        if isinstance(given, str) and absolute(inputs.where).parent / given == absolute(used) != absolute(given):
            yield PATH.found(
                "warning",
                f"`{key}: {shown_key(given)}` is in the config's own folder, not in the current one",
                evidence=[shown_line(key, given), f"read from {shown(used)}"],
                cause="mlx-lm counts paths from the folder it is started in, so it finds this only if it is started in "
                "the config's folder.",
                fix=f"Start mlx-lm in {shown(absolute(inputs.where).parent)}, or write the path relative to here.",
            )


def _home(inputs):
    config, given = inputs.config, inputs.given
    for key in ("model", "adapter_path", "resume_adapter_file"):
        if isinstance(given.get(key), str) and given[key].startswith("~") and given[key] == config[key]:
            writes = key == "adapter_path"
            then = "creates a folder of that name." if writes else "finds nothing there."
            yield _found(
                inputs,
                "warning" if writes else "error",
                key,
                f"`{key}` begins with ~, which mlx-lm doesn't expand to the home folder",
                cause=f"mlx-lm uses the path as it is written, and {then}",
            )


def _resumed(inputs):
    name = inputs.config.get("resume_adapter_file")
    path = place(name) if isinstance(name, str) else None
    if not isinstance(name, str) or path and path.is_file():
        return
    if path and path.is_dir():
        yield _found(
            inputs,
            "error",
            "resume_adapter_file",
            f"`resume_adapter_file: {shown_key(name)}` is a folder, not a file",
            fix=f"Name a file in it, such as {Path(name) / 'adapters.safetensors'}.",
        )
    elif path and path.exists():
        title = f"`resume_adapter_file: {shown_key(name)}` is not a regular file"
        yield _found(inputs, "error", "resume_adapter_file", title)
    else:
        yield _found(inputs, "error", "resume_adapter_file", f"There is no file {shown_key(name)} to resume from")


def _adapter(inputs):
    name = inputs.config.get("adapter_path")
    folder = place(name) if isinstance(name, str) else None
    if isinstance(name, str) and (folder is None or any(path.is_file() for path in (folder, *folder.parents))):
        title = f"`adapter_path: {shown_key(name)}` cannot be a folder"
        cause = "mlx-lm creates this folder, and aborts if a file is in the way."
        is_weights = folder is not None and folder.suffix in (".safetensors", ".npz", ".bin", ".gguf")
        fix = (
            f"Name the folder that the file is in: `adapter_path: {shown_key(str(Path(name).parent))}`. To start from these "
            "weights, name the file as `resume_adapter_file`."
        )
        yield _found(inputs, "error", "adapter_path", title, cause=cause, fix=fix if is_weights else None)


def _hf_dataset(inputs):
    asked = inputs.config.get("hf_dataset")
    if not asked:  # as mlx-lm asks
        return
    blocks = asked if isinstance(asked, list) else [asked]
    line = shown_line("hf_dataset", asked)
    if not all(isinstance(block, dict) and isinstance(block.get("path"), str) for block in blocks):
        yield TYPE.found(
            "error",
            f"`{line}` is not a block with the dataset's `path`, or a list of such blocks",
            evidence=line,
            cause="mlx-lm reads `path` from each block, and aborts.",
            fix="Write `hf_dataset: {path: organisation/name}`, or a list of such blocks.",
        )
        return
    installed = find_spec("datasets") is not None
    names = ", ".join(shown_value(block["path"]) for block in blocks[:3])
    yield HF_DATASET.found(
        "warning" if installed else "error",
        f"The run trains on {names} from the Hub, not the folder in `data`"
        + ("" if installed else "; the datasets package, which loads it, is not installed"),
        evidence=line,
        cause=None if installed else f"{HF_DATASET.cause} Without the package, mlx-lm aborts after loading the model.",
        fix=None if installed else f"{HF_DATASET.fix} To train on it as it is, install datasets.",
    )


def _hub_name(inputs):
    """`data:` names a dataset on a hub."""
    if inputs.hub is None:
        return
    installed, read = find_spec("datasets") is not None, sorted(split.path.name for split in inputs.splits.values())
    cause = (
        f"The audit reads {', '.join(read)} of it in the local Hugging Face cache."
        if read
        else f"Its rows were not read, so they were not audited: {hub_data.unread(inputs.hub)}."
    )
    cause += (
        " mlx-lm asks a dataset for the splits train, valid and test; the hub calls the second one validation, so this "
    )
    cause += "run validates on nothing."
    if not installed:
        cause += " Without the datasets package, mlx-lm aborts after loading the model."
    yield HF_DATASET.found(
        "warning" if installed else "error",
        f"`data: {shown_key(inputs.hub)}` is not a folder here, so mlx-lm takes it for a Hub dataset"
        + ("" if installed else "; the datasets package, which loads it, is not installed"),
        evidence=shown_line("data", inputs.hub),
        cause=cause,
        fix="If you mean a folder, correct the path. To have all of it audited, and validated, save the dataset as "
        "train.jsonl, valid.jsonl and test.jsonl and set `data` to their folder.",
    )
