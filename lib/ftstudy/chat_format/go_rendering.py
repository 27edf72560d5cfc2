"""Render a parsed Go template: `render(go_template.parse(text), data)`.

The data are nested dicts, lists and texts, as Ollama passes them; in Go too, false, 0, nil and whatever is empty are
untrue. Only what is reached is evaluated, so a function that
is not known is refused only where the prompt depends on it.
"""

import functools
import json
import operator
import re
from collections.abc import Callable

from .go_template import BLOCKS, Node, refused


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


def render(nodes: list[Node], data: dict) -> str:
    """The text. StudyError: a value that this template cannot be rendered with."""
    written = []
    _run(nodes, data, [{"$": data}], written.append)
    return "".join(written)


def _run(nodes: list[Node], dot, scopes: list[dict], write: Callable[[str], None]) -> None:
    for node in nodes:
        if node.kind == "text":
            write(node.text)
        elif node.kind == "break":
            raise _Break
        elif node.kind == "continue":
            raise _Continue
        elif node.kind == "range":
            _loop(node, dot, scopes, write)
        else:
            value = _value(node.pipe, dot, scopes)
            inner = [*scopes, {}] if node.kind in BLOCKS else scopes
            for name in node.names:
                scope = inner[-1] if node.is_new else next((one for one in inner[::-1] if name in one), inner[-1])
                scope[name] = value
            if node.kind == "print":
                write(_printed(value))
            elif node.kind in BLOCKS:
                body = node.body if value else node.other
                _run(body, value if node.kind == "with" and value else dot, inner, write)


def _loop(node: Node, dot, scopes: list[dict], write: Callable[[str], None]) -> None:
    items = _value(node.pipe, dot, scopes) or []
    if not isinstance(items, list):
        raise refused(f"{{{{ range {node.text} }}}} over something other than a list")
    for at, item in enumerate(items):
        values = (at, item) if len(node.names) == 2 else (item,)
        try:
            _run(node.body, item, [*scopes, dict(zip(node.names, values))], write)
        except _Continue:
            continue
        except _Break:
            break
    if not items:
        _run(node.other, dot, [*scopes, {}], write)


def _value(pipe: list, dot, scopes: list[dict]):
    value, more = None, []
    for command in pipe:
        value = _called(command, more, dot, scopes)
        more = [value]
    return value


def _called(command: list, more: list, dot, scopes: list[dict]):
    kind, name, *_ = command[0]
    if kind != "call":
        if len(command) > 1 or more:
            raise refused(f"arguments after {name!r}")
        return _operand(command[0], dot, scopes)
    if name in ("and", "or"):  # the first that decides; the rest is not evaluated
        value = None
        for operand in [*command[1:], *(("value", item) for item in more)]:
            value = _operand(operand, dot, scopes)
            if bool(value) == (name == "or"):
                break
        return value
    if name not in FUNCTIONS:
        raise refused(f"the function {name}")
    arguments = [_operand(operand, dot, scopes) for operand in command[1:]] + more
    try:
        return FUNCTIONS[name](*arguments)
    except (TypeError, IndexError, KeyError, ValueError) as error:
        raise refused(f"{name} with values that it does not take ({error})") from error


def _operand(operand: tuple, dot, scopes: list[dict]):
    kind, name, *names = operand
    if kind == "value":
        return name
    if kind == "call":
        return _called([operand], [], dot, scopes)
    if kind == "pipe":
        return _field(_value(name, dot, scopes), names[0])
    if not name:
        return _field(dot, names[0])
    known = next((scope for scope in scopes[::-1] if name in scope), None)
    if known is None:
        raise refused(f"the variable {name} before it is set")
    return _field(known[name], names[0])


def _field(value, names: list[str]):
    for name in names:
        if not isinstance(value, dict | None):
            raise refused(f".{name} of something without fields")
        value = (value or {}).get(name)
    return value


def _printed(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "<no value>"  # which is what Go writes
    if not isinstance(value, str | int | float):
        raise refused(f"a {type(value).__name__} printed as a whole")
    return str(value)


def _format(form: str, *values) -> str:
    if re.search(r"%(?![sdvq%])", form):
        raise refused(f"printf {form!r}")
    left = iter(values)
    return re.sub(r"%([sdvq%])", lambda match: "%" if match[1] == "%" else _formatted(match[1], next(left)), form)


def _formatted(verb: str, value) -> str:
    return json.dumps(value, ensure_ascii=False) if verb == "q" else _printed(value)


FUNCTIONS = {
    "not": operator.not_,
    "eq": lambda value, *others: any(value == other for other in others),
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "len": len,
    "index": lambda value, *keys: functools.reduce(operator.getitem, keys, value),
    "slice": lambda value, *ends: value[slice(*(ends if len(ends) != 1 else (*ends, None)))],
    "print": lambda *values: "".join(map(_printed, values)),
    "printf": _format,
    "json": lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
}
