"""A config's text with some keys changed: the user's comments, order and line ends stay.

Each changed key is changed in its own lines, a key that is taken out becomes a comment, and new keys come last. Where
the text can't be changed that way (aliases, merged blocks, a config in braces), the whole config is written anew.
"""

import yaml

from ..errors import StudyError
from ..files import yaml_files
from ..machine_failures import pass_on


def edited(text: str, old: dict, new: dict, why: dict[str, str], loader: type) -> str:
    """The text of a config that reads as `new`. `text` reads as `old`; `why`: a key -> the reason of its new value, a
    comment after a key that wasn't there."""
    text = text.removeprefix("\ufeff")
    if "\r\n" in text:
        return edited(text.replace("\r\n", "\n"), old, new, why, loader).replace("\n", "\r\n")
    try:
        made = _changed(text, old, new, why, loader)
        if _same(yaml_files.parse(made, loader), new):
            return made
    except (yaml.YAMLError, StudyError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        pass_on(error)
    return dumped(new, loader)


def dumped(value, loader: type, flow: bool = False) -> str:
    """A value as YAML that this loader reads again: in quotes where it would read a text as a number."""

    class Dumper(yaml.SafeDumper):
        yaml_implicit_resolvers = loader.yaml_implicit_resolvers

        def ignore_aliases(self, data):
            return True

    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=flow)


def _changed(text: str, old: dict, new: dict, why: dict, loader: type) -> str:
    root = yaml.compose(text, loader)
    if root is None:
        return text + _added(new, [*new], why, loader)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise ValueError("not a block of keys")
    lines = text.split("\n")
    pairs = _pairs(root)
    last = {name: at for at, (name, *_) in enumerate(pairs)}
    put: list[tuple[int, int, list[str]]] = []  # (first line, line after the last one, what comes in their place)
    for at, (name, key, value) in enumerate(pairs):
        start, end = key.start_mark.line, _end(value, lines)
        if name not in new or at != last[name]:
            put.append((start, end, [f"# {line}" if line.strip() else line for line in lines[start:end]]))
        elif not _same(old.get(name), new[name]) or _repeats(value):
            put.append((start, end, _line(name, key, value, lines, old.get(name), new[name], loader)))
    for start, end, instead in reversed(put):
        lines[start:end] = instead
    missing = [name for name in new if name not in last]
    made = "\n".join(lines)
    made += "" if made.endswith("\n") or not made else "\n"
    return made + _added(new, missing, why, loader)


def _pairs(node) -> list[tuple]:
    return [(key.value, key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]


def _end(node, lines: list[str]) -> int:
    """The line after a value's last one, without the blank lines and comments that follow a block."""
    end = node.end_mark.line + (node.end_mark.column > 0)
    while end > node.start_mark.line + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return max(end, node.start_mark.line + 1)


def _repeats(node) -> bool:
    """Whether a block sets a key twice, at any depth."""
    if isinstance(node, yaml.SequenceNode):
        return any(map(_repeats, node.value))
    if not isinstance(node, yaml.MappingNode):
        return False
    return len({key.value for key, _ in node.value}) < len(node.value) or any(_repeats(one) for _, one in node.value)


def _line(name: str, key, node, lines: list[str], old, new, loader: type) -> list[str]:
    """A key's new lines. A value on one line keeps the comment after it; in a block, only what differs changes."""
    first, end = key.start_mark.line, _end(node, lines)
    is_block = isinstance(node, yaml.MappingNode) and not node.flow_style and node.start_mark.line > first
    if is_block and isinstance(new, dict) and isinstance(old, dict) and {*old} <= {*new} and not _repeats(node):
        indent, made = " " * node.start_mark.column, lines[first:end]
        for inner, place, value in reversed(_pairs(node)):
            if not _same(old.get(inner), new[inner]):
                own = _line(inner, place, value, lines, None, new[inner], loader)
                made[place.start_mark.line - first : _end(value, lines) - first] = [indent + line for line in own]
        return [*made, *(f"{indent}{_pair(inner, new[inner], loader)}" for inner in new if inner not in old)]
    rest = lines[node.end_mark.line][node.end_mark.column :] if node.end_mark.line == first else ""
    comment = rest.rstrip() if rest.lstrip().startswith("#") else ""
    return [_pair(name, new, loader) + comment]


def _pair(name: str, value, loader: type) -> str:
    return dumped({name: value}, loader, flow=True).strip()[1:-1]


def _added(new: dict, names: list[str], why: dict, loader: type) -> str:
    made = ""
    for name in names:
        reason = " ".join(why.get(name, "").split())
        made += _pair(name, new[name], loader) + (f"  # {reason}" if reason else "") + "\n"
    return made


def _same(one, other) -> bool:
    """Whether two values are equal and of the same types; the order of keys says nothing."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other and repr(one) == repr(other)
