"""The keys of a config: unknown to mlx-lm, never applied, or set twice."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import yaml

from ... import wording
from ...configs import ADAPTER_CONFIG
from ...configs import STUDY as OUR_KEYS
from ...files.reading import SETTINGS, read_text
from ...paths import absolute
from ..evidence import listed
from ..findings import Check, Finding
from .key_aliases import NOTES, home, meant, named
from .mlx_lm_keys import installed, optimizer_options, optimizer_refuses
from .values import TYPE, shown_key, shown_line, shown_value, sound

UNKNOWN = Check(
    "config.unknown_key",
    ("error", "warning"),
    meaning="A key that mlx-lm never reads, such as another trainer's name for a setting.",
    cause="mlx-lm ignores unknown keys, but writes them to adapter_config.json as if they had been applied.",
    fix="Use mlx-lm's name for the setting (see its LORA.md), or delete the key.",
    bad="lora_rank: 16\nepochs: 3",
    good="lora_parameters: {rank: 16, scale: 2.0, dropout: 0.0}\niters: 600  # 3 epochs × 800 rows / batch_size 4",
)
DEAD = Check(
    "config.dead_key",
    ("warning", "info"),
    meaning="A key that mlx-lm knows, but ignores in a config file or next to the other keys.",
    cause="mlx-lm trains with a value that isn't in the config.",
    fix="Delete the key.",
    bad="optimizer: adam\noptimizer_config: {adamw: {weight_decay: 0.01}}",
    good="optimizer: adamw\noptimizer_config: {adamw: {weight_decay: 0.01}}",
)
TRAIN_OFF = Check(
    "config.train_off",
    ("error", "info"),
    meaning="The config doesn't say `train: true`, so running it trains nothing.",
    cause="mlx-lm trains only with `train: true` in the config or `--train` on the command line.",
    fix="Add `train: true` to the config.",
    bad="train: false",
    good="train: true",
)
DUPLICATE = Check(
    "config.duplicate_key",
    ("warning", "info"),
    meaning="A key set twice in one block. An info if both values are equal.",
    cause="YAML keeps the last value of a key and drops the earlier ones without a warning.",
    fix="Keep one of them.",
    bad="batch_size: 4\niters: 600\nbatch_size: 2",
    good="batch_size: 4\niters: 600",
)
CHECKS = (UNKNOWN, DEAD, TRAIN_OFF, DUPLICATE)
ALPHA = ("alpha", "lora_alpha")  # in `lora_parameters`, reported as config.lora_alpha


def check(inputs) -> Iterator[Finding]:
    yield from _unknown_keys(inputs)
    yield from _optimizer_blocks(inputs)
    yield from _dead_keys(inputs)
    yield from _train_off(inputs)
    yield from _set_twice(inputs)


def _unknown_keys(inputs):
    for section, key, value in unknown(inputs.given):
        yield _unknown(inputs, key, value, section)


def unknown(given: dict) -> Iterator[tuple[str, object, object]]:
    """(section, key, value) of the keys that mlx-lm never reads; the section is "" at the top level."""
    keys = installed()
    top = {key.split(".")[0] for key in keys.live} | keys.dead.keys() | {"ftstudy"}
    for key, value in given.items():
        # By convention these marks make a key a place for YAML anchors.
        if key not in top and not (isinstance(key, str) and key.startswith(("x-", "_", "."))):
            yield "", key, value
    for name in sorted(top):
        inside, blocks = keys.section(name), given.get(name)
        for block in blocks if isinstance(blocks, list) else [blocks]:
            for key, value in block.items() if isinstance(block, dict) and inside else ():
                if key not in inside and not (name == "lora_parameters" and key in ALPHA):
                    yield name, key, value


def _unknown(inputs, key, value, section: str = "") -> Finding:
    path = f"{section}.{shown_key(key)}" if section else shown_key(key)
    line = f"{path}: {shown_value(value)}"
    if not isinstance(key, str):
        return UNKNOWN.found(
            "error",
            f"`{path}`: keys must be text, and mlx-lm aborts",
            evidence=line,
            cause="YAML reads yes, no, on and off as true or false; mlx-lm makes each key an attribute, which must be "
            "text.",
            fix="Put the key in quotes, or delete the line.",
        )
    reason, fix = _reason(inputs, key, value, section)
    return UNKNOWN.found("warning", f"`{line}` is ignored: {reason}", evidence=line, fix=fix)


def _reason(inputs, key: str, value, section: str) -> tuple[str, str | None]:
    """Why a key is ignored, and what to write instead; None if that is unclear."""
    live = meant(key, section)
    if key in OUR_KEYS and not section:
        return "it belongs below `ftstudy`", f"Write `ftstudy: {{{key}: {shown_value(value)}}}`, or delete it."
    if isinstance(value, dict) and not section and not installed().section(live or ""):
        # The keys in a block say more than its name: `lora: {rank: 8}`, `training: {iters: 5}`.
        place = home(value)
        if place == "":
            names = dict.fromkeys(name for inner in value if isinstance(inner, str) and (name := named(inner)))
            where = f"at the top level, not below `{shown_key(key)}`"
            return (
                "its keys belong at the top level",
                f"Write {wording.listed([f'`{name}`' for name in names])} {where}.",
            )
        live = place or live
    if not live:
        return "mlx-lm has no such key", None
    note = f" ({NOTES[live]})" if live in NOTES else ""
    return f"mlx-lm {_applied(inputs, live)}", f"Set `{live}` instead{note}."


def _applied(inputs, live: str) -> str:
    """What training really uses instead of a key that was never read."""
    section, _, name = live.rpartition(".")
    block = inputs.config.get(section) if section else inputs.config
    value = block.get(name) if isinstance(block, dict) else None
    if value is None or isinstance(value, dict):
        return f"reads `{live}`" + ("" if inputs.given.get(section or name) else ", which is not set")
    is_given = (section or name) in inputs.given
    return f"uses {live} {shown_value(value)}, " + ("which this config sets" if is_given else "its default")


def _optimizer_blocks(inputs):
    keys, blocks = installed(), inputs.given.get("optimizer_config")
    if not isinstance(blocks, dict):
        return
    chosen = sound(inputs.config)["optimizer"]
    takes = {name: optimizer_options(name, keys) for name in (chosen, *keys.optimizers)}
    for name, value in blocks.items():
        if name in keys.optimizers:
            continue
        host = next((host for host, options in takes.items() if name in options), None)
        block = f"{{{shown_line(name, value)}}}"
        yield UNKNOWN.found(
            "warning",
            f"`optimizer_config.{shown_key(name)}` is ignored: it is not an optimizer",
            evidence=f"optimizer_config: {block}",
            cause=f"optimizer_config has a block for each optimizer, and mlx-lm reads only the one of `{chosen}`.",
            fix=f"Write `optimizer_config: {{{host}: {block}}}`, with `optimizer: {host}`."
            if host
            else f"Use one of {', '.join(keys.optimizers)}.",
        )
    others = sorted(name for name in keys.optimizers if name != chosen and blocks.get(name))
    if others and chosen not in blocks:
        yield DEAD.found(
            "warning",
            f"`optimizer_config` has settings of {', '.join(others)}, but the optimizer is {chosen}",
            evidence=f"optimizer: {chosen}",
            cause="mlx-lm reads only the block of the chosen optimizer.",
            fix=f"Set `optimizer: {others[0]}`, or move the settings to `{chosen}`.",
        )
    options = blocks.get(chosen, {})
    if not isinstance(options, dict):
        yield TYPE.found(
            "error",
            f"`optimizer_config.{shown_line(chosen, options)}` must be a block of options",
            evidence=f"optimizer_config.{shown_line(chosen, options)}",
            wanted=f"`optimizer_config: {{{chosen}: {{…}}}}` with options of {chosen}: {', '.join(takes[chosen])}",
        )
        return
    for option, value in options.items():
        if option not in takes[chosen]:
            yield UNKNOWN.found(
                "error",
                f"The optimizer {chosen} has no option `{shown_key(option)}`",
                evidence=f"optimizer_config.{chosen}.{shown_line(option, value)}",
                cause="mlx-lm passes the whole block to the optimizer, which rejects the option."
                + (" The learning rate is passed separately." if option == "learning_rate" else ""),
                fix=f"Use {', '.join(takes[chosen])}, or delete it.",
            )
    known = {option: value for option, value in options.items() if option in takes[chosen]}
    if known and (why := optimizer_refuses(chosen, known, keys)):
        without = lambda name: {option: value for option, value in known.items() if option != name}  # noqa: E731
        blamed = [name for name in known if not optimizer_refuses(chosen, without(name), keys)] or [*known]
        lines = [shown_line(name, known[name]) for name in blamed]
        yield TYPE.found(
            "error",
            f"The optimizer {chosen} can't use `{', '.join(lines)}`",
            evidence=[*(f"optimizer_config.{chosen}.{line}" for line in lines), why],
            cause="mlx-lm passes the value to the optimizer, which aborts there or at its first update.",
            wanted="values like the defaults, "
            + ", ".join(shown_line(name, takes[chosen][name].default) for name in blamed),
        )


def _dead_keys(inputs):
    keys = installed()
    if Path(inputs.where).name == ADAPTER_CONFIG:
        return  # mlx-lm's record of what did apply, from the command line too
    for key, why in sorted(keys.dead.items()):
        value, applied = inputs.given.get(key), keys.defaults.get(key)
        if value is None or value == applied:  # the value that applies anyway does no harm
            continue
        flag = f", or pass `--{key.replace('_', '-')}` on the command line" if key != "config" else ""
        yield DEAD.found(
            "warning",
            f"`{key}: {shown_value(value)}` has no effect in a config file; mlx-lm uses {shown_value(applied)}",
            evidence=shown_line(key, value),
            cause=f"mlx-lm declares the key, but {why}.",
            fix=f"Delete it{flag}.",
        )


def _train_off(inputs):
    if inputs.config.get("train"):
        return
    tests, given = bool(inputs.config.get("test")), "train" in inputs.given
    then = "mlx-lm evaluates an existing adapter" if tests else "mlx-lm aborts"
    yield TRAIN_OFF.found(
        "error" if given or tests else "info",  # it may be meant for the command line
        f"The config doesn't say `train: true`, so {then}",
        evidence=f"train: {shown_value(inputs.given['train'])}" if given else "train: false  (mlx-lm's default)",
    )


def _set_twice(inputs):
    for path, pairs in repeated(inputs):
        shown = [(key.start_mark.line + 1, _shown_node(value)) for key, value in pairs]
        equal = all(isinstance(value, yaml.ScalarNode) for _, value in pairs) and len({text for _, text in shown}) == 1
        times = "twice" if len(pairs) == 2 else f"{len(pairs)} times"
        places = wording.listed([f"{text} (line {line})" for line, text in shown[-4:]])
        yield DUPLICATE.found(
            "info" if equal else "warning",
            f"`{shown_key(path)}` is set {times}: {places}; the last value wins",
            evidence=listed([f"line {line}: {shown_key(pairs[0][0].value)}: {text}" for line, text in shown]),
        )


def repeated(inputs) -> list[tuple[str, list]]:
    """(dotted key, its [(key, value), …] as YAML nodes) of every key that a block sets more than once."""
    from mlx_lm.lora import yaml_loader

    try:
        # Nodes, because reading them into a mapping drops all but one.
        root = yaml.compose(read_text(absolute(inputs.where), SETTINGS), yaml_loader)
    except (yaml.YAMLError, OSError, RecursionError, ValueError):
        return []  # an unreadable file was rejected before; it may also have been deleted since
    found, waiting, seen = [], deque([("", root)]), set()
    while waiting:
        path, node = waiting.popleft()
        if id(node) in seen:  # an anchor can appear in many places, even in itself
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(path, inner) for inner in node.value]
        elif isinstance(node, yaml.MappingNode):
            values = {}
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    name = f"{path}.{key.value}" if path else key.value
                    values.setdefault((key.tag, name), []).append((key, value))
                    waiting.append((name, value))
            found += [
                (name, pairs)
                for (tag, name), pairs in values.items()
                # `<<` merges another block's keys, and may do so with several.
                if len(pairs) > 1 and not tag.endswith(":merge")
            ]
    return sorted(found, key=lambda item: item[1][0][0].start_mark.line)


def _shown_node(node) -> str:
    if isinstance(node, yaml.ScalarNode):
        quoted = node.style in ("'", '"') or not node.value.isprintable() or len(node.value) > 60
        return shown_value(node.value) if quoted else node.value
    return "a list" if isinstance(node, yaml.SequenceNode) else "a block"
