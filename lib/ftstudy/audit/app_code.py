"""Does an app write a chat template's special tokens by hand? Its source is searched for them.

Such a prompt may be right today: `parity` says whether it is. It goes wrong silently with the
next model or template, so every place is named.
"""

import ast
import inspect
import json
import os
import re
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

from .. import chat_format
from ..errors import StudyError
from ..paths import from_root, shown
from .evidence import counted, listed
from .findings import finding
from .subject import Subject

CHECKS = {
    "app.hard_coded_tokens": ("warning", "The app's code writes special tokens by hand, not with the chat template."),
}
WELL_KNOWN = (
    r"<\|[\w…-]{1,40}\|>",  # <|im_start|>, <|eot_id|>, <|begin_of_text|>, and f"<|{role}|>"
    r"<｜[^｜<>\n]{2,40}｜>",
    r"</?(?:start|end)_of_turn>",
    r"<(?:bos|eos)>",
    r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS)\]",
    r"<</?SYS>>",
    r"\#\#\# ?(?:Instruction|Response|Input|Human|Assistant|System|User)\b",
)
LIKE_HTML = re.compile(r"</?[a-z]{1,3}>")  # <s>: text struck out, in a web page
WEB_PAGES = {".html", ".htm", ".xml", ".svg", ".vue", ".svelte", ".jsx", ".tsx", ".js", ".ts", ".css"}
OTHER_FOLDERS = {"node_modules", "__pycache__", "site-packages", "Pods", "DerivedData"}
# Not the app's code: prose, data, and what belongs to a model.
NO_CODE = {".md", ".rst", ".jsonl", ".csv", ".tsv", ".log", ".lock", ".parquet"}
OF_A_MODEL = {
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "chat_template.json", "chat_template.jinja", "prompt_contract.json",
}  # fmt: skip
LARGEST = 1_000_000  # bytes of a file


def findings(subject: Subject, folder: str | Path | None = None) -> list[dict]:
    """Findings on the app's folder; where none was named, on the function that a profile names."""
    tokenizer = subject.tokenizer if subject.model else None
    if folder:
        return check(folder, tokenizer)
    profile = subject.profile or {}
    return check_function(profile["function"], tokenizer) if profile.get("kind") == "callable" else []


def check(folder: str | Path, tokenizer=None) -> list[dict]:
    """Findings on a folder of code (or one file). StudyError where there is none; no bytes in it raise."""
    root = from_root(folder)
    if not root.exists():
        raise StudyError(f"There is no folder {shown(root)} with the app's code; correct its path.")
    places = [
        (f"{path.relative_to(root).as_posix() if path != root else path.name}:{line}", tokens)
        for path in _files(root)
        for line, tokens in _in_file(path, tokenizer)
    ]
    return _finding(places, shown(root))


def check_function(name: str, tokenizer=None) -> list[dict]:
    """Findings on one function, `module:name`, as in a profile of kind callable, and on the functions
    and texts of its module that it uses."""
    pattern, places, where = _pattern(tokenizer), [], name
    try:
        start = inspect.unwrap(chat_format.function_of(name))
        where = shown(inspect.getsourcefile(start) or name)
    except (StudyError, TypeError, ValueError):
        return []  # not there, or without a source: `parity.profile_fails` says what matters of it
    ahead, done = [start], set()
    while ahead:
        function = ahead.pop()
        done.add(function)
        try:
            lines, first = inspect.getsourcelines(function)
        except (OSError, TypeError):
            continue
        source = textwrap.dedent("".join(lines))
        places += [(f"{Path(where).name}:{first - 1 + line}", told) for line, told in _in_python(source, pattern)]
        for used, value in _used(function):
            if isinstance(value, str) and (tokens := pattern.findall(value)):
                places.append((f"{Path(where).name}:{used}", _named(tokens)))
            if inspect.isfunction(value) and value.__module__ == function.__module__ and value not in done:
                ahead.append(value)
    return _finding(sorted(set(places)), where)


def _used(function) -> list[tuple[str, object]]:
    """(name, value) of what a function uses of its module."""
    codes, names = [getattr(function, "__code__", None)], set()
    while codes:
        code = codes.pop()
        if code is not None:
            names |= set(code.co_names)
            codes += [constant for constant in code.co_consts if inspect.iscode(constant)]
    known = getattr(function, "__globals__", {})
    return [(name, known[name]) for name in sorted(names) if name in known]


def _finding(places: list[tuple[str, str]], where: str) -> list[dict]:
    if not places:
        return []
    files = len({place.rpartition(":")[0] for place, _ in places})
    return [
        finding(
            "app.hard_coded_tokens",
            "warning",
            f"Special tokens are written by hand in {counted(len(places), 'line')} of {counted(files, 'file')}",
            evidence=listed([f"{place}: {tokens}" for place, tokens in places]),
            where=where,
            cause="The app builds its prompt itself, for one model's template, and nothing notices when either changes.",
            fix="Call tokenizer.apply_chat_template, or check each prompt with ftstudy.chat_format.check_prompt.",
        )
    ]


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(
            name
            for name in folders
            if name not in OTHER_FOLDERS and not name.startswith(".") and not (here / name / "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            if Path(name).suffix.lower() not in NO_CODE and name not in OF_A_MODEL:
                yield here / name


def _in_file(path: Path, tokenizer) -> list[tuple[int, str]]:
    """(line number, the tokens there)"""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return []
        content = path.read_bytes()
    except (OSError, ValueError):
        return []
    if b"\0" in content:
        return []  # no text
    text, suffix = content.decode("utf-8", "replace"), path.suffix.lower()
    pattern = _pattern(tokenizer, suffix in WEB_PAGES)
    if suffix in (".py", ".pyw", ".pyi"):
        return _in_python(text, pattern)
    if suffix == ".ipynb":
        return _in_notebook(text, pattern)
    return _in_text(text, pattern)


def _pattern(tokenizer, web_page: bool = False) -> re.Pattern:
    special = set()
    if tokenizer is not None:
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        special = {str(token) for token in added if token.special} | set(tokenizer.all_special_tokens)
    # A token of letters alone would be found in any prose.
    own = [token for token in special if len(token) > 2 and re.search(r"[<>\[\]|#]", token)]
    own = [token for token in own if not (web_page and LIKE_HTML.fullmatch(token))]
    return re.compile("|".join([*map(re.escape, sorted(own, key=len, reverse=True)), *WELL_KNOWN]))


def _in_text(text: str, pattern: re.Pattern) -> list[tuple[int, str]]:
    lines = enumerate(text.split("\n"), 1)
    return [(number, _named(tokens)) for number, line in lines if (tokens := pattern.findall(line))]


def _named(tokens: list[str]) -> str:
    return " ".join(dict.fromkeys(tokens))


def _in_notebook(text: str, pattern: re.Pattern) -> list[tuple[int, str]]:
    """Its code, not its outputs; lines are counted over the code of all cells."""
    try:
        cells = json.loads(text)["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return _in_text(text, pattern)
    source = re.sub(r"(?m)^[ \t]*[%!]", "#", "\n".join(code))
    return _in_python(source, pattern)


def _in_python(source: str, pattern: re.Pattern) -> list[tuple[int, str]]:
    """Strings and f-strings; no comments, and no strings that are statements, as docstrings are."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd escapes in somebody else's code
            nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _in_text(source, pattern)
    passed = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    lines, found = source.splitlines(), {}
    texts = [node for node in nodes if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in passed]
    for node in sorted(texts, key=lambda node: (node.lineno, node.col_offset)):  # an f-string before its parts
        if id(node) in passed:
            continue
        if isinstance(node, ast.JoinedStr):
            passed |= {id(part) for part in node.values if isinstance(part, ast.Constant)}
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        else:
            continue
        for token in pattern.findall(text):
            spread = range(node.lineno, min(node.end_lineno, len(lines)) + 1)
            at = [number for number in spread if token in lines[number - 1]]
            for number in at or [node.lineno]:
                found.setdefault(number, []).append(token)
    return [(number, _named(tokens)) for number, tokens in sorted(found.items())]
