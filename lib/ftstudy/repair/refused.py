"""Settings that mlx-lm refuses, or reads differently from how they are written: types, names, numbers out of range."""

import re
from difflib import get_close_matches

from ..audit import architecture
from ..audit.config import ignored_keys, learning_rate, lora, paths, study_block, values
from ..audit.config.mlx_lm_keys import installed, optimizer_options, optimizer_refuses
from ..audit.config.values import fits, obvious, outside, shown_value, sound
from ..audit.run_inputs import RunInputs
from ..configs import STUDY, study_errors
from ..models.adapters import WEIGHTS
from ..paths import absolute
from .draft import audited, plain, splits
from .kinds import Repair
from .meant_values import fine_tune_type, optimizer_named, schedule_named
from .settings import found, rate_of, settings_of, with_key

NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
DEFAULTS = installed().defaults


def _types(draft: dict, inputs: RunInputs):
    """Values of the wrong type or size become what they obviously mean, or mlx-lm's default."""
    notes, kinds = [], installed().types
    if not isinstance(draft["config"].get("lora_parameters"), dict | None):
        was = draft["config"]["lora_parameters"]
        draft = with_key(draft, "lora_parameters", dict(DEFAULTS["lora_parameters"]), "mlx-lm's defaults")
        notes.append(f"`lora_parameters: {shown_value(was)}` is now a block with mlx-lm's defaults")
    given = dict(draft["config"])
    lora_block = given.get("lora_parameters") or {}
    given |= {f"lora_parameters.{name}": value for name, value in lora_block.items()}
    for key, value in given.items():
        kind = kinds.get(key)
        if kind is None or value is None and "." not in key or fits(value, kind) and not outside(key, value):
            continue
        new = _usable(key, value, kind)
        if new is None and key == "learning_rate":
            new = rate_of(given)
        if new is None and "." in key:
            new = DEFAULTS["lora_parameters"].get(key.partition(".")[2])
        draft = with_key(draft, key, new, f"was {shown_value(value)}")
        default = f"mlx-lm's default, {shown_value(DEFAULTS.get(key))}" if new is None else shown_value(new)
        notes.append(f"`{key}: {shown_value(value)}` is not usable; it is now {default}")
    dropout = (draft["config"].get("lora_parameters") or {}).get("dropout")
    if fits(dropout, float) and dropout >= lora.LARGE_DROPOUT:
        draft = with_key(draft, "lora_parameters.dropout", 0.0, f"was {dropout}")
        notes.append(f"`lora_parameters.dropout: 0.0` instead of {dropout}, which drops most of the adapter's input")
    return draft, notes


def _usable(key: str, value, kind: type):
    """The usable value in one that is not: 90 in "90 epochs"; None if there is none."""
    new = obvious(value, kind)
    if new is None and kind in (int, float) and isinstance(value, str) and (number := NUMBER.match(value.strip())):
        rest = value.strip()[number.end() :]
        new = None if rest[:1].isalpha() else obvious(number[0].replace(",", ""), kind)
    if new is None and kind is int and isinstance(value, float) and value == value and abs(value) < 1e9:
        new = round(value)
    return None if new is None or outside(key, new) else new


def _names(draft: dict, inputs: RunInputs):
    notes = []
    for key, meant, check in (
        ("fine_tune_type", fine_tune_type, values.FINE_TUNE_TYPE),
        ("optimizer", optimizer_named, values.OPTIMIZER),
    ):
        if found(values, draft, inputs, check.id):
            was = draft["config"][key]
            new = meant(was) or DEFAULTS[key]
            draft = with_key(draft, key, new, f"was {was}")
            notes.append(f"`{key}: {new}` instead of `{was}`, which mlx-lm doesn't know")
    return draft, notes


def _lora(draft: dict, inputs: RunInputs):
    """Keys that `lora_parameters` lacks, modules under this model's names, and no more layers than it has."""
    notes = []
    if found(lora, draft, inputs, lora.INCOMPLETE.id):
        block = draft["config"]["lora_parameters"]
        missing = {name: value for name, value in DEFAULTS["lora_parameters"].items() if name not in block}
        for name, value in missing.items():
            draft = with_key(draft, f"lora_parameters.{name}", value, "mlx-lm's default")
        said = ", ".join(f"`{name}: {value}`" for name, value in missing.items())
        notes.append(f"`lora_parameters` has {said} too, mlx-lm's defaults: without them, mlx-lm aborts")
    if found(lora, draft, inputs, lora.LAYERS.id):
        has, was = architecture.layers(inputs.model), audited(draft, inputs).config["num_layers"]
        draft = with_key(draft, "num_layers", has, f"the model has {has}")
        notes.append(f"`num_layers: {has}` instead of {was}: the model has no more")
    if found(lora, draft, inputs, lora.KEYS.id):
        draft, note = _modules(draft, inputs)
        notes.append(note)
    return draft, notes


def _modules(draft: dict, inputs: RunInputs) -> tuple[dict, str]:
    now = audited(draft, inputs)
    was, model, new = now.config["lora_parameters"]["keys"], architecture.skeleton(now.model), []
    if model is not None and isinstance(was, list | str):
        here = lora.linear_layers(model, sound(now.config)["num_layers"])
        for name in was if isinstance(was, list) else was.split(","):
            name = str(name).strip()
            last = ".".join(name.removesuffix(".weight").split(".")[-2:])
            new += [name] if name in here else lora.modules_meant(last, here)
    new = list(dict.fromkeys(new)) or None
    draft = with_key(draft, "lora_parameters.keys", new, "this model's names")
    if new:
        return draft, f"`lora_parameters.keys: {shown_value(new)}`, this model's names, instead of {shown_value(was)}"
    return draft, f"`lora_parameters.keys: {shown_value(was)}` removed, so all linear layers are adapted"


def _schedule(draft: dict, inputs: RunInputs):
    if not found(learning_rate, draft, inputs, learning_rate.INVALID.id):
        return draft, []
    now = settings_of(draft, inputs)
    was = now["lr_schedule"]
    block = was if isinstance(was, dict) else {"name": was}
    name, warmup, first = (block.get(key) for key in ("name", "warmup", "arguments"))
    warmup = warmup if type(warmup) is int else 0
    first = first[0] if isinstance(first, list) and first and fits(first[0], float) and first[0] > 0 else None
    rate = first or draft["config"].get("learning_rate") or rate_of(draft["config"])
    new = schedule_named(name, now | {"learning_rate": rate if fits(rate, float) else rate_of(draft["config"])}, warmup)
    draft = with_key(draft, "lr_schedule", new, f"was {shown_value(was)}")
    if new is None:
        if not fits(draft["config"].get("learning_rate"), float):
            draft = with_key(draft, "learning_rate", rate, "from lr_schedule")
        return draft, [f"`lr_schedule: {shown_value(was)}` removed, since mlx-lm can't use it: the rate is constant"]
    return draft, [f"`lr_schedule: {shown_value(new)}` instead of {shown_value(was)}, which mlx-lm can't use"]


def _hub_block(draft: dict, inputs: RunInputs):
    name = draft["config"].get("hf_dataset")
    if not isinstance(name, str) or not name:
        return draft, []
    return with_key(draft, "hf_dataset", {"path": name}, "a block"), [
        f"`hf_dataset: {{path: {name}}}`, a block with its path"
    ]


def _study(draft: dict, inputs: RunInputs):
    """The `ftstudy:` block: unknown keys and values that it can't use are gone, and its method goes with the others."""
    block, notes = draft["config"].get("ftstudy"), []
    if block is None:
        return draft, []
    if not isinstance(block, dict):
        return with_key(draft, "ftstudy", None, ""), [
            f"`ftstudy: {shown_value(block)}` removed: it is not a block of keys"
        ]
    new = {key: value for key, value in block.items() if key in STUDY}
    for name, _, _ in study_errors({**STUDY, **new}):
        key, _, option = name.partition(".")
        if option and isinstance(new.get(key), dict):
            new[key] = {one: value for one, value in new[key].items() if one != option}
        else:
            new.pop(key, None)
    method = new.get("method")
    if new.get("galore") and method != "galore":
        del new["galore"]
    train = splits(draft, inputs).get("train")
    if train and train.schema == "text":
        draft = with_key(draft, "ftstudy", None, "")
        return draft, ["`ftstudy:` removed: it trains on replies, and rows of text have none"]
    if new != block:
        gone = [f"`{key}: {shown_value(block[key])}`" for key in block if new.get(key) != block[key]]
        draft = with_key(draft, "ftstudy", new, "")
        notes.append(f"`ftstudy:` lost {', '.join(gone)}, which it can't use")
    needs = study_block.NEEDS.get(method)
    kind = audited(draft, inputs).config.get("fine_tune_type")
    if needs and kind != needs:
        draft = with_key(draft, "fine_tune_type", needs, f"{method} needs it")
        notes.append(f"`fine_tune_type: {needs}` instead of {kind}: the method {method} needs it")
    if method == "pissa" and (audited(draft, inputs).config.get("lora_parameters") or {}).get("dropout"):
        draft = with_key(draft, "lora_parameters.dropout", 0.0, "PiSSA needs it")
        notes.append("`lora_parameters.dropout: 0.0`: with PiSSA, dropout drops part of the base model's own weights")
    return draft, notes


def _options(draft: dict, inputs: RunInputs):
    """Options that the optimizer doesn't have, or can't use."""
    chosen, blocks = settings_of(draft, inputs)["optimizer"], draft["config"].get("optimizer_config")
    options = blocks.get(chosen) if isinstance(blocks, dict) else None
    if options is None or not found(ignored_keys, draft, inputs, ignored_keys.UNKNOWN.id, values.TYPE.id):
        return draft, []
    takes, kept, notes = optimizer_options(chosen, installed()), {}, []
    for option, value in options.items() if isinstance(options, dict) else ():
        close = get_close_matches(str(option), takes, n=1, cutoff=0.75) if option not in takes else [option]
        for name, one in ((close[0], value), (close[0], obvious(value, float))) if close else ():
            if one is not None and name not in kept and not optimizer_refuses(chosen, kept | {name: one}, installed()):
                kept[name] = one
                break
    if kept != options:
        draft = with_key(draft, "optimizer_config", blocks | {chosen: kept}, "")
        notes.append(
            f"`optimizer_config.{chosen}: {shown_value(kept)}` instead of {shown_value(options)}, which {chosen} rejects"
        )
    return draft, notes


def _resumed(draft: dict, inputs: RunInputs):
    """A checkpoint to start from is kept only if it is there."""
    was = draft["config"].get("resume_adapter_file")
    if not isinstance(was, str) or not found(paths, draft, inputs, paths.PATH.id):
        return draft, []
    path = absolute(was)
    path = path / WEIGHTS if (path / WEIGHTS).is_file() else path
    if path.is_file():
        new = plain(path)
        if new == was:
            return draft, []
        return with_key(draft, "resume_adapter_file", new, ""), [f"`resume_adapter_file: {new}` instead of `{was}`"]
    return with_key(draft, "resume_adapter_file", None, ""), [
        f"`resume_adapter_file: {was}` removed, since there is no such file: training starts over"
    ]


_FAULT = "settings that mlx-lm refuses"


def _repairs(*made) -> tuple[Repair, ...]:
    return tuple(
        Repair("config_refused", "config", _FAULT, apply, tuple(one.id for one in checks), aborts=True)
        for apply, checks in made
    )


TYPES = _repairs((_types, (values.TYPE,)), (_names, (values.FINE_TUNE_TYPE, values.OPTIMIZER)), (_hub_block, ()))
REST = _repairs(
    (_options, (values.TYPE,)),
    (_study, study_block.CHECKS),
    (_lora, (lora.INCOMPLETE, lora.LAYERS, lora.KEYS)),
) + (Repair("base_model_unusable", "config", "a checkpoint that isn't there", _resumed, (paths.PATH.id,), aborts=True),)
SCHEDULES = _repairs((_schedule, (learning_rate.INVALID,)))
"""In three parts: `TYPES` come before what reads the settings, `SCHEDULES` once the length of the run is known."""
