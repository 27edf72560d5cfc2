"""The part of Go's text/template that Ollama's chat templates use, parsed into a tree of nodes (see `go_rendering`).

Whatever goes beyond that part is refused by name, since a prompt that is nearly right would be taken for the app's.
"""

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache

from ..errors import StudyError

# Each character fits one branch only, so that no text makes the search slow.
ACTION = re.compile(
    r'\{\{(-(?=\s))?((?>"(?:\\.|[^"\\\n])*"|`[^`]*`|/\*.*?\*/|(?!(?:(?<=\s)-)?\}\}|/\*)[^"`])*+)((?<=\s)-)?\}\}',
    re.DOTALL,
)
TOKEN = re.compile(
    r'\s*(?:("(?:\\.|[^"\\])*"|`[^`]*`)|(-?\d+(?:\.\d+)?)|(\$\w*(?:\.\w+)*|(?:\.\w+)+|\.)|(\w+)|(:=|[=|(),]))'
)
SPACE = " \t\r\n"
BLOCKS = ("if", "range", "with")


@dataclass
class Node:
    """`kind`: text, print, set, if, range, with, break or continue."""

    kind: str
    text: str = ""
    names: tuple[str, ...] = ()  # of variables that it sets
    is_new: bool = True  # := and not =
    pipe: list = field(default_factory=list)
    body: list["Node"] = field(default_factory=list)
    other: list["Node"] = field(default_factory=list)  # after {{ else }}


def refused(construct: str) -> StudyError:
    return StudyError(
        f"The Ollama template uses {construct}, which ftstudy does not render, so its prompt is not known exactly. Record "
        "the app with `ftstudy record` where the server shows its prompts, or describe the prompt in a profile of kind "
        "template."
    )


# --- parsing --------------------------------------------------------------------------------


@lru_cache(maxsize=8)  # an audit renders the same one for every row; nothing changes its nodes
def parse(text: str) -> list[Node]:
    """The template's nodes. StudyError: it is not closed, or uses a construct that is not known."""
    try:
        nodes, ended = _nodes(_pieces(text))
    except RecursionError:
        raise refused("blocks or parentheses that are nested very deeply") from None
    if ended is not None:
        raise refused(f"{{{{ {ended} }}}} without a block")
    return nodes


def _pieces(text: str) -> list[tuple[str, str]]:
    """("text", …) and ("action", …) in order, from last to first, trimmed as the markers say."""
    pieces, at, trim = [], 0, False
    while (start := text.find("{{", at)) >= 0:
        match = ACTION.match(text, start)
        if match is None:
            raise refused(f"an action that is not closed ({text[start : start + 40]!r})")
        before = text[at : match.start()]
        before = before.lstrip(SPACE) if trim else before
        pieces.append(("text", before.rstrip(SPACE) if match[1] else before))
        if not match[2].strip().startswith("/*"):
            pieces.append(("action", match[2].strip()))
        at, trim = match.end(), bool(match[3])
    rest = text[at:].lstrip(SPACE) if trim else text[at:]
    return [*pieces, ("text", rest)][::-1]


def _nodes(pieces: list) -> tuple[list[Node], str | None]:
    """Nodes up to an {{ end }} or {{ else … }}, and that word."""
    nodes = []
    while pieces:
        kind, text = pieces.pop()
        word, _, rest = text.partition(" ") if kind == "action" else ("", "", "")
        if kind == "text":
            nodes += [Node("text", text)] if text else []
        elif word in ("end", "else"):
            return nodes, text
        elif word in BLOCKS:
            nodes.append(_block(word, rest, pieces))
        elif text in ("break", "continue"):
            nodes.append(Node(text))
        elif word in ("define", "template", "block"):
            raise refused(f"{{{{ {word} }}}}")
        else:
            names, is_new, pipe = _statement(text)
            nodes.append(Node("set" if names else "print", text, names, is_new, pipe))
    return nodes, None


def _block(word: str, rest: str, pieces: list) -> Node:
    names, is_new, pipe = _statement(rest)
    node = Node(word, rest, names, is_new, pipe)
    node.body, ended = _nodes(pieces)
    if ended is not None and ended.startswith("else"):
        following = ended.removeprefix("else").strip()
        inner, _, condition = following.partition(" ")
        if not following:
            node.other, ended = _nodes(pieces)
        elif inner in ("if", "with"):
            node.other, ended = [_block(inner, condition, pieces)], "end"
        else:
            raise refused(f"{{{{ {ended} }}}}")
    if ended != "end":
        raise refused(f"{{{{ {word} {rest} }}}} without an {{{{ end }}}}")
    return node


def _statement(text: str) -> tuple[tuple[str, ...], bool, list]:
    """The variables that an action sets, whether they are new, and its pipeline: a list of commands, each a list of
    operands ("value", x), ("field", root, names), ("call", name) or ("pipe", pipeline, names)."""
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = TOKEN.match(text, at)
        if not match:
            raise refused(f"{text[at:].strip()[:40]!r} in {{{{ {text} }}}}")
        tokens.append(match)
        at = match.end()
    words = [match[0].strip() for match in tokens]
    sign = next((place for place, word in enumerate(words) if word in (":=", "=")), None)
    if sign is None:
        return (), True, _pipeline(tokens[::-1], text)
    names = tuple(word for word in words[:sign] if word != ",")
    if not all(re.fullmatch(r"\$\w+", name) for name in names):
        raise refused(f"{{{{ {text} }}}}")
    return names, words[sign] == ":=", _pipeline(tokens[sign + 1 :][::-1], text)


def _pipeline(tokens: list, text: str, is_inner: bool = False) -> list:
    commands = [[]]
    while tokens:
        quoted, number, path, word, sign = tokens.pop().groups()
        if sign == ")" and is_inner:
            break
        if sign == "|":
            commands.append([])
        elif sign == "(":
            inner = _pipeline(tokens, text, True)
            is_chained = tokens and tokens[-1][3] and tokens[-1][3][0] == "." and not tokens[-1][0][0].isspace()
            names = tokens.pop()[3].strip(".").split(".") if is_chained else []
            commands[-1].append(("pipe", inner, names))
        elif sign:
            raise refused(f"{sign!r} in {{{{ {text} }}}}")
        elif quoted:
            commands[-1].append(("value", quoted[1:-1] if quoted[0] == "`" else _unescaped(quoted)))
        elif number:
            if len(number) > 300:
                raise refused(f"the number {number[:20]}…")
            commands[-1].append(("value", float(number) if "." in number else int(number)))
        elif path:
            root, *names = path.split(".")
            commands[-1].append(("field", root, [name for name in names if name]))
        elif word in ("true", "false", "nil"):
            commands[-1].append(("value", {"true": True, "false": False, "nil": None}[word]))
        else:
            commands[-1].append(("call", word))
    if not all(commands):
        raise refused(f"{{{{ {text} }}}}")
    return commands


def _unescaped(quoted: str) -> str:
    try:
        return json.loads(quoted)  # whose escapes are among Go's
    except ValueError:
        raise refused(f"the text {quoted[:40]}") from None


def fields(nodes: list[Node]) -> set[str]:
    """The names of all fields that a template reads, in lower case."""

    def of_pipe(pipe):
        for operand in (operand for command in pipe for operand in command):
            if operand[0] == "pipe":
                yield from of_pipe(operand[1])
            if operand[0] in ("field", "pipe"):
                yield from operand[2]

    found = {name.lower() for node in nodes for name in of_pipe(node.pipe)}
    return found.union(*(fields(node.body) | fields(node.other) for node in nodes))
