"""Would the adapter that lies there already be taken for this run's result, and is it one?

mlx-lm writes adapter_config.json before it trains and the weights at the end, and it loads
an adapter that lacks tensors without a word.
"""

import json
from pathlib import Path

import mlx.core as mx

from ...chat_format import contract
from ...errors import StudyError
from ...models import base_models
from ...paths import shown
from .. import architecture
from ..config import place
from ..config.values import shown_value, sound
from . import weights as tensors_of
from .weights import effect, say

CHECKS = {
    "adapter.missing_tensors": (
        "error",
        "The weights lack tensors of the adapter; the trainer loads them all the same.",
    ),
    "adapter.base_model": ("error", "The adapter was trained on another base model than the config names."),
    "adapter.config_newer": (
        "error or warning",
        "adapter_config.json is not the one that these weights were trained with, or was written after them.",
    ),
    "adapter.config_differs": (
        "warning",
        "The adapter that lies there was trained with other settings than the config's.",
    ),
    "adapter.contract": (
        "error or warning",
        "Tokenizer, chat template or base model are not those of the adapter's prompt_contract.json; warning where "
        "that file is damaged.",
    ),
    "adapter.two_runs": ("error", "adapter_config.json bears another run's id than the weights."),
    "adapter.unreadable": ("error or warning", "The weights or adapter_config.json are missing or cannot be read."),
    **tensors_of.CHECKS,
}
__all__ = ["CHECKS", "check", "effect"]
WEIGHTS, CONFIG = "adapters.safetensors", "adapter_config.json"
NEWER = 10  # seconds; copying a folder sets times that are close together, in any order
STRUCTURE = {"fine_tune_type", "num_layers", "lora_parameters"}
LEARNED = {  # settings that change the weights
    *STRUCTURE,
    *"data mask_prompt max_seq_length iters batch_size grad_accumulation_steps".split(),
    *"learning_rate lr_schedule optimizer optimizer_config seed ftstudy".split(),
}


def check(inputs) -> list[dict]:
    """Findings on the adapter at `adapter_path` and on the one to resume from; none where there is none."""
    found = []
    folder, resumed = (_path(inputs.config.get(key)) for key in ("adapter_path", "resume_adapter_file"))
    if folder and any((folder / name).is_file() for name in (WEIGHTS, CONFIG)):
        found += _check(inputs, folder, folder / WEIGHTS, LEARNED) + _contract(inputs, folder)
        loads = not any(item["severity"] == "error" for item in found)
        if loads and (folder / WEIGHTS).is_file() and tensors_of.is_quick(inputs.model):
            try:
                found += tensors_of.effect_findings(inputs, folder)
            except StudyError as error:
                found.append(_unreadable(folder, error))
    if resumed and resumed.is_file() and not (folder and resumed == folder / WEIGHTS):
        found += _check(inputs, resumed.parent, resumed, STRUCTURE)
    return found


def _path(name) -> Path | None:
    return place(name) if isinstance(name, str) and name else None


def _check(inputs, folder: Path, weights: Path, compared: set) -> list[dict]:
    made, found = _made_with(folder)
    if not weights.is_file():
        return found + [
            say(
                "adapter.unreadable",
                "warning",
                f"{shown(folder)} has {CONFIG}, but no {WEIGHTS}",
                sorted(path.name for path in folder.iterdir()),
                "mlx-lm writes the config before it trains, and the weights afterwards: a run was stopped early.",
                "Train again, or remove the folder.",
                folder,
            )
        ]
    try:
        tensors = mx.load(str(weights))
        shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    except Exception as error:  # mlx raises its own kinds, among them plain RuntimeError
        return found + [_unreadable(weights, error)]
    if made is not None:
        found += _structure(inputs, made, shapes, weights)
        found += _base_model(inputs, made, folder)
        found += _differs(inputs, made, folder, compared)
        if not any(item["check"] == "adapter.config_newer" for item in found):
            found += _two_runs(folder, weights) or _newer(folder, weights)
    return found + tensors_of.values(inputs, made or {}, tensors, weights)


def _made_with(folder: Path) -> tuple[dict | None, list[dict]]:
    """What adapter_config.json says the adapter was trained with; None where nobody can say."""
    path = folder / CONFIG
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(made, dict):
            raise ValueError("it is no JSON object")
        return made, []
    except (OSError, ValueError, RecursionError) as error:
        return None, [_unreadable(path, error)]


def _two_runs(folder: Path, weights: Path) -> list[dict]:
    if weights != folder / WEIGHTS:
        return []
    try:
        base_models.run_of(folder)
        return []
    except StudyError as error:
        return [
            say(
                "adapter.two_runs",
                "error",
                f"{shown(folder)} holds the config of one run and the weights of another",
                [str(error)[:200]],
                "A crash came between the two, or a file was copied there.",
                "Train again.",
                folder,
            )
        ]


def _unreadable(path: Path, error: Exception) -> dict:
    reason = "it is not there" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())
    return say(
        "adapter.unreadable",
        "error",
        f"{shown(path)} cannot be read",
        [f"{path.name}: {reason}"],
        "A run was stopped while it wrote, or a copy is incomplete. mlx-lm cannot load the adapter.",
        "Train again, or remove the folder.",
        path,
    )


# --- which tensors --------------------------------------------------------------------------


def _expected(inputs, made: dict) -> dict[str, tuple] | None:
    """Name -> shape of what adapter_config.json says was trained; None where nobody can say."""
    model = architecture.skeleton(inputs.model)
    config = architecture.model_config(inputs.model)
    settings = sound({**made, "num_layers": made.get("num_layers", 16)})
    full = settings.get("fine_tune_type") == "full"
    if model is None or full and ("quantization" in config or "quantization_config" in config):
        return None  # quantized weights have other names and shapes
    try:
        return architecture.trained(
            model, settings.get("fine_tune_type", "lora"), settings["num_layers"], settings.get("lora_parameters")
        )
    except Exception:  # settings that mlx-lm itself refuses
        return None


def _structure(inputs, made: dict, shapes: dict, weights: Path) -> list[dict]:
    expected = _expected(inputs, made)
    if not expected:
        return []
    missing = [name for name in expected if name not in shapes]
    extra = [name for name in shapes if name not in expected]
    other = [
        f"{name}: {shapes[name]}, where {shape} is needed"
        for name, shape in expected.items()
        if name in shapes and shapes[name] != shape
    ]
    found = []
    if missing:
        found.append(
            say(
                "adapter.missing_tensors",
                "error",
                f"{shown(weights)} lacks {len(missing)} of {len(expected)} tensors",
                missing,
                "mlx-lm loads an adapter without them all the same; where they are missing, the model is the base model.",
                "Train again, or restore the whole file.",
                weights,
            )
        )
    if other or extra:
        # The rank is adapter_config.json's; everything else of a shape is the base model's.
        pairs = [(shapes[name], shape) for name, shape in expected.items() if name in shapes]
        config_alone = _rank_alone(pairs, made) and _in_model(extra, inputs)
        found.append(
            say(
                "adapter.config_newer" if config_alone else "adapter.base_model",
                "error",
                f"{len(other) + len(extra)} tensors in {shown(weights)} do not fit "
                + (CONFIG if config_alone else f"the base model {inputs.config['model']}"),
                other + [f"{name}: there is none of this name" for name in extra],
                "The config was written anew beside older weights: a later run ended before its end."
                if config_alone
                else "The adapter was trained on another model. mlx-lm refuses to load it.",
                "Train again.",
                weights,
            )
        )
    return found


def _rank_alone(pairs: list[tuple[tuple, tuple]], made: dict) -> bool:
    """Whether shapes (found, needed) differ in nothing but LoRA's rank."""
    differ = {
        (has, needs)
        for found, needed in pairs
        for has, needs in (zip(found, needed) if len(found) == len(needed) else [(found, needed)])
        if has != needs
    }
    rank = sound(made).get("lora_parameters", {}).get("rank")
    return not differ or len(differ) == 1 and differ.pop()[1] == rank


def _in_model(tensors: list[str], inputs) -> bool:
    """Whether the tensors' modules are all in the model, though not among those to be trained."""
    modules = {name for name, _ in architecture.skeleton(inputs.model).named_modules()}
    return all(tensor.rpartition(".")[0] in modules for tensor in tensors)


# --- what it was made with ------------------------------------------------------------------


def _base_model(inputs, made: dict, folder: Path) -> list[dict]:
    theirs, ours = made.get("model"), inputs.config["model"]
    if not isinstance(theirs, str) or _same_model(theirs, ours, inputs.model):
        return []
    return [
        say(
            "adapter.base_model",
            "error",
            f"The adapter in {shown(folder)} was trained on {theirs}, and the config names {ours}",
            [f"{CONFIG}: model: {theirs}", f"{inputs.where}: model: {ours}"],
            "mlx-lm never compares the two, and loads the adapter where the shapes happen to fit.",
            "Train again, or name the model that the adapter was trained on.",
            folder / CONFIG,
        )
    ]


def _same_model(theirs: str, ours: str, folder: Path | None) -> bool:
    if theirs == ours or (place(theirs) or theirs) in (place(ours), folder):
        return True
    # A snapshot of the hub's model lies in a folder that is called after its name.
    cached = [f"models--{name.replace('/', '--')}" for name in (ours, theirs)]
    if cached[0] in theirs or cached[1] in str(folder):
        return True
    # The same folder on another machine, or after the repository was moved.
    names = [Path(name).name.lower() for name in (theirs, ours)]
    return names[0] == names[1] and (Path(theirs).is_absolute() or Path(ours).is_absolute() or "/" not in theirs + ours)


def _as_asked(made: dict) -> dict:
    """With the rank that the config had: PiSSA's difference from the base model has twice that rank."""
    block, lora = made.get("ftstudy"), made.get("lora_parameters")
    rank = lora.get("rank") if isinstance(lora, dict) else None
    if not isinstance(block, dict) or block.get("method") != "pissa" or type(rank) is not int:
        return made
    return made | {"lora_parameters": lora | {"rank": rank // 2}}


def _differs(inputs, made: dict, folder: Path, compared: set) -> list[dict]:
    model_layers = architecture.layers(inputs.model)
    ours, theirs = _settings(inputs.config, model_layers), _settings(_as_asked(made), model_layers)
    names = [key for key in ours if key.split(".")[0] in compared and key.split(".")[0] in made]
    names += [key for key in theirs if key not in ours and key.split(".")[0] in compared]
    different = [
        f"{key}: {shown_value(theirs.get(key))} in the adapter, {shown_value(ours.get(key))} in the config"
        for key in names
        if not _equal(theirs.get(key), ours.get(key), key)
    ]
    if not different:
        return []
    resumed = compared is STRUCTURE
    return [
        say(
            "adapter.config_differs",
            "warning",
            f"The adapter in {shown(folder)} was trained with {len(different)} other "
            f"setting{'s' if len(different) > 1 else ''} than {inputs.where} has",
            different,
            "mlx-lm puts its tensors into layers that are made by the new settings, without a check."
            if resumed
            else "If this run fails, this older adapter is what an evaluation would find.",
            "Resume with the settings of the first run."
            if resumed
            else "Remove the folder before training, or give the config its own adapter_path.",
            folder / CONFIG,
        )
    ]


def _settings(config: dict, model_layers: int | None) -> dict:
    """Flat, and equal where the trainer does the same."""
    flat = {key: config[key] for key in sorted(LEARNED & config.keys())}
    layers = flat.get("num_layers")
    if isinstance(layers, int) and (layers <= 0 or model_layers and layers >= model_layers):
        flat["num_layers"] = "all"
    lora = flat.pop("lora_parameters", None)
    if isinstance(lora, dict) and config.get("fine_tune_type") != "full":
        flat |= {f"lora_parameters.{key}": value for key, value in lora.items()}
    chosen = flat.pop("optimizer_config", None)
    if isinstance(chosen, dict) and isinstance(flat.get("optimizer"), str):
        flat["optimizer_config"] = chosen.get(flat["optimizer"].lower()) or {}
    if flat.get("lr_schedule"):
        flat.pop("learning_rate", None)
    return flat


def _equal(theirs, ours, key: str) -> bool:
    if (
        theirs == ours
        or key == "data"
        and isinstance(theirs, str)
        and isinstance(ours, str)
        and _same_place(theirs, ours)
    ):
        return True
    if key == "lora_parameters.keys" and isinstance(theirs, list) and isinstance(ours, list):
        return sorted(map(str, theirs)) == sorted(map(str, ours))
    return False


def _same_place(theirs: str, ours: str) -> bool:
    """The same path, or the same one on another machine or before the repository was moved."""
    if not (place(theirs) and place(ours)):
        return False
    short, long = sorted((Path(shown(name)) for name in (theirs, ours)), key=lambda path: len(path.parts))
    elsewhere = long.is_absolute() or long.parts[:1] == ("~",)
    ending = short.relative_to(short.anchor).parts
    return short == long or elsewhere and bool(ending) and long.parts[-len(ending) :] == ending


def _contract(inputs, folder: Path) -> list[dict]:
    """Is it still asked in the form that was agreed on when it was trained?"""
    path = folder / contract.NAME
    if not path.is_file() or inputs.model is None:
        return []
    try:
        severity, told = "error", contract.verify(contract.load(folder), inputs.tokenizer, inputs.model)
    except StudyError as error:
        severity, told = "warning", [str(error)]
    if not told:
        return []
    return [
        say(
            "adapter.contract",
            severity,
            f"{shown(folder)} was agreed on for another prompt" if severity == "error" else f"{shown(path)} is damaged",
            told,
            "The model's folder, its tokenizer or its template changed since the adapter was trained, so it is asked in "
            "a form that it never saw."
            if severity == "error"
            else "The file was written by another version, or changed since.",
            "Ask it with the files that it was trained with; or remove the folder and train again."
            if severity == "error"
            else "Remove the file; the next clean audit writes it anew.",
            path,
        )
    ]


def _newer(folder: Path, weights: Path) -> list[dict]:
    later = (folder / CONFIG).stat().st_mtime - weights.stat().st_mtime
    # A checkpoint to resume from is older than the config of the run that went on after it.
    if later <= NEWER or weights.name != WEIGHTS:
        return []
    return [
        say(
            "adapter.config_newer",
            "warning",
            f"{CONFIG} in {shown(folder)} was written {later:,.0f} s after the weights",
            [f"{CONFIG}: {later:,.0f} s newer than {WEIGHTS}"],
            "mlx-lm writes the config first and the weights at the end. A run that was stopped leaves its config beside older weights.",
            "Train again, or look at whether the weights are the ones that you mean.",
            folder / CONFIG,
        )
    ]
