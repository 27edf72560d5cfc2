"""Keys that stand twice in one block: YAML's reader keeps the last, and says nothing."""

from collections import deque

import yaml

from ...paths import from_root
from .values import enumerated, say, shown_key, shown_value

CHECKS = {
    "config.duplicate_key": (
        "warning or info",
        "A key stands twice in one block, and only the last value counts; an info where both are the same.",
    ),
}
TIMES = {2: "twice"}


def check(inputs) -> list[dict]:
    return [_twice(inputs, path, values) for path, values in _repeated(inputs)]


def _repeated(inputs) -> list[tuple[str, list]]:
    """(dotted key, its values as YAML nodes) of every key that a block holds more than once."""
    from mlx_lm.lora import yaml_loader

    try:
        # The nodes as they are written: reading them into a mapping is what drops one of two.
        root = yaml.compose(from_root(inputs.where).read_text(encoding="utf-8"), yaml_loader)
    except (yaml.YAMLError, OSError, RecursionError, ValueError):
        return []  # what cannot be read was refused before; a file may go in the meantime
    found, waiting, seen = [], deque([("", root)]), set()
    while waiting:
        path, node = waiting.popleft()
        if id(node) in seen:  # an anchor may stand in many places, even in itself
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
                # `<<` takes over the keys of another block, and may do so of several.
                if len(pairs) > 1 and not tag.endswith(":merge")
            ]
    return sorted(found, key=lambda item: item[1][0][0].start_mark.line)


def _twice(inputs, path: str, pairs: list) -> dict:
    told = [f"{_shown(value)} (line {key.start_mark.line + 1})" for key, value in pairs]
    same = len({_shown(value) for _, value in pairs if isinstance(value, yaml.ScalarNode)}) == 1 and all(
        isinstance(value, yaml.ScalarNode) for _, value in pairs
    )
    return say(
        inputs,
        "config.duplicate_key",
        "info" if same else "warning",
        f"`{shown_key(path)}` stands {TIMES.get(len(pairs), f'{len(pairs)} times')}: {enumerated(told[-4:])}; "
        "the last alone counts",
        [f"line {key.start_mark.line + 1}: {shown_key(key.value)}: {_shown(value)}" for key, value in pairs],
        "YAML's reader keeps the last value of a key, and drops those before without a word.",
        "Leave one of them.",
    )


def _shown(node) -> str:
    if isinstance(node, yaml.ScalarNode):
        quoted = node.style in ("'", '"') or not node.value.isprintable() or len(node.value) > 60
        return shown_value(node.value) if quoted else node.value
    return "a list" if isinstance(node, yaml.SequenceNode) else "a block"
