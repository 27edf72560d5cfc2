"""Finds special tokens in an app's source code, in any language, but not in its comments."""

import ast
import json
import re
import warnings
from bisect import bisect_left

WELL_KNOWN = (
    r"<\|[\w…-]{1,40}\|>",  # <|im_start|>, <|eot_id|>, <|begin_of_text|>, and f"<|{role}|>"
    r"<｜[^｜<>\n]{2,40}｜>",
    r"</?(?:start|end)_of_turn>",
    r"<(?:bos|eos)>",
    r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS)\]",
    r"<</?SYS>>",
    r"\#\#\# ?(?:Instruction|Response|Input|Human|Assistant|System|User)\b",
)
# "USER: … ASSISTANT:", "\n\nHuman: …\n\nAssistant:": two roles in plain words in one text. In source code the line
# break before them may be an escape sequence.
WORD = r"(?:(?<!\w)|(?<=\\[nrt]))"
TURNS = re.compile(
    rf"{WORD}((?:USER|User|HUMAN|Human) ?:)[\s\S]{{0,2000}}?{WORD}((?:ASSISTANT|Assistant|AI|BOT|Bot) ?:)"
)
LITERAL = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*+"""|`(?:[^`\\]|\\[\s\S])*+`|"(?:[^"\\\n]|\\.)*+"|\'(?:[^\'\\\n]|\\.)*+\''
)
LIKE_HTML = re.compile(r"</?[a-z]{1,3}>")  # in a web page, <s> strikes text out
WEB_PAGES = {".html", ".htm", ".xml", ".svg", ".vue", ".svelte", ".jsx", ".tsx", ".js", ".ts", ".css"}
# Languages with // and /* */ for comments.
LIKE_C = {
    ".swift", ".java", ".kt", ".kts", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".c", ".h", ".cc", ".cpp", ".hpp",
    ".m", ".mm", ".cs", ".go", ".rs", ".dart", ".scala", ".groovy", ".gradle", ".php", ".vue", ".svelte",
}  # fmt: skip


def in_source(text: str, suffix: str, tokenizer) -> list[tuple[int, str]]:
    """(line number, its tokens) for a file's text; `suffix` says which language it is."""
    pattern = special_tokens(tokenizer, suffix in WEB_PAGES)
    if suffix in (".py", ".pyw", ".pyi"):
        return in_python(text, pattern)
    if suffix == ".ipynb":
        return in_notebook(text, pattern)
    return in_text(without_comments(text) if suffix in LIKE_C else text, pattern)


def without_comments(text: str) -> str:
    """The text without lines that are only comments. Comments after code stay, as "//" may be part of a URL."""
    lines, ahead = text.split("\n"), iter(enumerate(text.split("\n")))
    closing = max((at for at, line in enumerate(lines) if "*/" in line), default=-1)
    for at, line in ahead:
        start = line.lstrip()
        if start.startswith("//"):
            lines[at] = ""
        elif start.startswith("/*") and at <= closing:
            line = start[2:]
            while "*/" not in line:
                lines[at] = ""
                at, line = next(ahead, (at, "*/"))
            lines[at] = line.partition("*/")[2]
    return "\n".join(lines)


def special_tokens(tokenizer, web_page: bool = False) -> re.Pattern:
    special = set()
    if tokenizer is not None:
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        special = {str(token) for token in added if token.special} | set(tokenizer.all_special_tokens)
    # A token made only of letters would match ordinary prose.
    own = [token for token in special if len(token) > 2 and re.search(r"[<>\[\]|#]", token)]
    own = [token for token in own if not (web_page and LIKE_HTML.fullmatch(token))]
    return re.compile("|".join([*map(re.escape, sorted(own, key=len, reverse=True)), *WELL_KNOWN]))


def found_in(text: str, pattern: re.Pattern) -> list[str]:
    turns = TURNS.search(text)
    return pattern.findall(text) + (list(turns.groups()) if turns else [])


def in_text(text: str, pattern: re.Pattern) -> list[tuple[int, str]]:
    lines = enumerate(text.split("\n"), 1)
    found = {number: tokens for number, line in lines if (tokens := pattern.findall(line))}
    breaks = [match.start() for match in re.finditer("\n", text)]
    for literal in LITERAL.finditer(text):
        if turns := TURNS.search(literal[0]):
            number = bisect_left(breaks, literal.start() + turns.start()) + 1
            found[number] = found.get(number, []) + list(turns.groups())
    return [(number, named(tokens)) for number, tokens in sorted(found.items())]


def named(tokens: list[str]) -> str:
    return " ".join(dict.fromkeys(tokens))


def in_notebook(text: str, pattern: re.Pattern) -> list[tuple[int, str]]:
    """The same for a notebook's code, without its outputs; lines are counted across all code cells."""
    try:
        cells = json.loads(text)["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return in_text(text, pattern)
    source = re.sub(r"(?m)^[ \t]*[%!]", "#", "\n".join(code))
    return in_python(source, pattern)


def in_python(source: str, pattern: re.Pattern) -> list[tuple[int, str]]:
    """The same for strings and f-strings in Python, but not for comments and docstrings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escapes in other people's code
            nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return in_text(source, pattern)
    skipped = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    lines, found = source.splitlines(), {}
    texts = [node for node in nodes if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in skipped]
    for node in sorted(texts, key=lambda node: (node.lineno, node.col_offset)):  # an f-string before its parts
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values if isinstance(part, ast.Constant)}
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        else:
            continue
        for token in found_in(text, pattern):
            spread = range(node.lineno, min(node.end_lineno, len(lines)) + 1)
            at = [number for number in spread if token in lines[number - 1]]
            for number in at or [node.lineno]:
                found.setdefault(number, []).append(token)
    return [(number, named(tokens)) for number, tokens in sorted(found.items())]
