"""Replaces keys that mlx-lm ignores with live ones that have the intended values. What the config sets under a
live name is kept, since that is what was trained."""

from ..audit.config import ignored_keys, key_aliases, lora
from ..audit.config.ignored_keys import ALPHA
from ..audit.config.mlx_lm_keys import installed, optimizer_options
from ..audit.config.values import shown_value, sound
from ..audit.run_inputs import RunInputs
from ..configs import ADAPTER_CONFIG, STUDY
from ..paths import absolute
from . import meant_values
from .draft import audited
from .kinds import Repair
from .settings import found, settings_of, with_key

FAULT = "settings that mlx-lm ignored"


def _ignored(draft: dict, inputs: RunInputs) -> tuple[dict, list[str]]:
    """Every unknown key is taken out; the setting it means is set, unless the config sets that too."""
    notes, last, set_, given = [], [], {}, draft
    for section, key, value in list(ignored_keys.unknown(draft["config"])):
        if key == meant_values.RANK_STABILIZED:
            last.append((section, key))
        else:
            draft = _without(draft, section, key)
        name = f"{section}.{key}" if section else str(key)
        if section == "optimizer_config":
            continue
        found_here = _meant(key, value, section)
        notes.append((name, value, found_here))
        for live, said in found_here.items():
            set_.setdefault(live, []).append(said)
    if isinstance(draft["config"].get("lora_parameters"), dict):
        for alpha in [key for key in ALPHA if key in draft["config"]["lora_parameters"]]:
            value = draft["config"]["lora_parameters"][alpha]
            draft = _without(draft, "lora_parameters", alpha)
            asked = {"lora_parameters.scale": (alpha, value)}
            notes.append((f"lora_parameters.{alpha}", value, asked))
            set_.setdefault("lora_parameters.scale", []).append((alpha, value))
    # A scale is alpha / rank, a schedule needs the length of the run: those come after what they need.
    applied = {}
    for live in sorted(set_, key=meant_values.place):
        if _is_set(given, live):
            applied[live] = None
            continue
        now = audited(draft, inputs)
        for said in sorted(reversed(set_[live]), key=lambda one: "epoch" in one[0]):  # steps count before epochs
            alias, value = said
            if new := meant_values.value(live, alias, value, draft, now):
                break
        applied[live] = (said, new)
        for target, one in new.items():
            draft = with_key(draft, target, one, f"from `{alias}`, which mlx-lm doesn't read")
    for section, key in last:
        draft = _without(draft, section, key)
    return draft, [_sentence(name, value, meant, applied) for name, value, meant in notes]


def _meant(key, value, section: str) -> dict[str, tuple[str, object]]:
    """Live key -> (the name that somebody used, the value) for a key that mlx-lm ignores; {} if it has no counterpart."""
    if not isinstance(key, str):
        return {}
    if not section and key in STUDY:
        return {f"ftstudy.{key}": (key, value)}
    live = key_aliases.meant(key, section)
    if isinstance(value, dict) and not section:
        home = None if installed().section(live or "") else key_aliases.home(value)
        if home is None and live in installed().defaults:
            home = live
        if home is not None:
            return {target: said for name, one in value.items() for target, said in _meant(name, one, home).items()}
    if section and f"{section}.{key}" in installed().live:
        live = f"{section}.{key}"
    return {live: (key, value)} if live else {}


def _is_set(draft: dict, live: str) -> bool:
    section, _, name = live.rpartition(".")
    block = draft["config"].get(section) if section else draft["config"]
    return isinstance(block, dict) and block.get(name) is not None


def _without(draft: dict, section: str, key) -> dict:
    config = dict(draft["config"])
    if not section:
        config.pop(key, None)
    elif isinstance(config.get(section), dict):
        config[section] = {name: value for name, value in config[section].items() if name != key}
    elif isinstance(config.get(section), list):
        config[section] = [
            {name: value for name, value in block.items() if name != key} if isinstance(block, dict) else block
            for block in config[section]
        ]
    return draft | {"config": config}


def _sentence(name: str, value, meant: dict, applied: dict) -> str:
    line = f"`{name}: {shown_value(value)}`"
    used = {live: applied[live] for live in meant if applied.get(live)}
    new = {target: one for live, (said, made) in used.items() if said == meant[live] for target, one in made.items()}
    others = [said[0] for live, (said, made) in used.items() if said != meant[live] and made]
    if new:
        return f"{line} is now " + ", ".join(f"`{target}: {shown_value(one)}`" for target, one in new.items())
    if others:
        return f"{line} removed: `{others[0]}` sets the same"
    kept = [live for live in meant if live in applied and applied[live] is None]
    if kept:
        settings = " and ".join(f"`{one}`" for one in kept)
        return f"{line} removed: {settings} {'is' if len(kept) == 1 else 'are'} set too, and that is what mlx-lm uses"
    return f"{line} removed: mlx-lm has no such setting" + (f" that can express {value!r}" if meant else "")


# --- keys that don't apply ------------------------------------------------------------------------


def _dead(draft: dict, inputs: RunInputs) -> tuple[dict, list[str]]:
    """Keys that mlx-lm declares but doesn't apply from a config, and settings of an optimizer that isn't chosen."""
    notes = []
    if absolute(inputs.where).name != ADAPTER_CONFIG:
        for key in sorted(installed().dead):
            value = draft["config"].get(key)
            if value is not None and value != installed().defaults.get(key):
                draft = _without(draft, "", key)
                notes.append(f"`{key}: {shown_value(value)}` removed: it has no effect in a config file")
    draft, more = _optimizer(draft, inputs)
    notes += more
    now = audited(draft, inputs)
    chosen = sound(now.config)["optimizer"]
    from ..audit.config.learning_rate import chooses_own_steps

    if chooses_own_steps(now, chosen) and any(draft["config"].get(key) for key in ("learning_rate", "lr_schedule")):
        blocks = draft["config"].get("optimizer_config")
        blocks = blocks if isinstance(blocks, dict) else {}
        options = {**(blocks.get(chosen) or {}), "relative_step": False}
        draft = with_key(draft, "optimizer_config", blocks | {chosen: options}, f"{chosen} uses learning_rate")
        notes.append(f"`optimizer_config.{chosen}.relative_step: false`: with it, {chosen} uses learning_rate")
    return draft, notes


def _optimizer(draft: dict, inputs: RunInputs) -> tuple[dict, list[str]]:
    """`optimizer_config` has a block for each optimizer, of options that it takes."""
    blocks, notes = draft["config"].get("optimizer_config"), []
    if not isinstance(blocks, dict):
        return draft, []
    known, new = installed().optimizers, dict(blocks)
    chosen = settings_of(draft, inputs)["optimizer"]
    loose = {name: value for name, value in blocks.items() if name not in known}
    for name, value in loose.items():
        del new[name]
        host = next(
            (one for one in (chosen, *known) if isinstance(name, str) and name in optimizer_options(one, installed())),
            None,
        )
        if host:
            new[host] = {**(new.get(host) or {}), name: value}
            notes.append(f"`optimizer_config.{name}` is now in the block of `{host}`, which takes it")
        else:
            notes.append(f"`optimizer_config.{name}` removed: no optimizer takes it")
    others = sorted(name for name in known if name != chosen and new.get(name))
    draft = with_key(draft, "optimizer_config", new, "") if new != blocks else draft
    if others and chosen not in new:
        draft = with_key(draft, "optimizer", others[0], "the one that optimizer_config has settings of")
        notes.append(f"`optimizer: {others[0]}` instead of {chosen}: `optimizer_config` has settings of {others[0]}")
    return draft, notes


def _twice(draft: dict, inputs: RunInputs) -> tuple[dict, list[str]]:
    """Reading keeps the last value, as mlx-lm does, and writing writes each key once."""
    if draft["once"]:
        return draft, []
    notes = [one.title for one in found(ignored_keys, draft, inputs, ignored_keys.DUPLICATE.id)]
    return draft | {"once": True}, [f"{note}: the others are gone" for note in notes]


REPAIRS = tuple(
    Repair("settings_ignored", "config", FAULT, apply, checks)
    for apply, checks in (
        (_twice, (ignored_keys.DUPLICATE.id,)),
        (_ignored, (ignored_keys.UNKNOWN.id, lora.LORA_ALPHA.id)),
        (_dead, (ignored_keys.DEAD.id,)),
    )
)
