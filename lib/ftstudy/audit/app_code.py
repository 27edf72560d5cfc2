"""Does an app write a chat template's special tokens by hand? Its source is searched for them.

Such a prompt may be right today: `parity` says whether it is. It goes wrong silently with the
next model or template, so every place is named.
"""

import inspect
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

from .. import chat_format
from ..errors import StudyError
from ..paths import from_root, shown
from .app_text import found_in, in_python, in_source, named, special_tokens
from .evidence import counted, listed
from .findings import finding
from .run_inputs import RunInputs

CHECKS = {
    "app.hard_coded_tokens": ("warning", "The app's code writes special tokens by hand, not with the chat template."),
}
OTHER_FOLDERS = {"node_modules", "__pycache__", "site-packages", "Pods", "DerivedData"}
# Not the app's code: prose, data, and what belongs to a model.
NO_CODE = {".md", ".rst", ".jsonl", ".csv", ".tsv", ".log", ".lock", ".parquet"}
OF_A_MODEL = {
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "chat_template.json", "chat_template.jinja", "prompt_contract.json",
}  # fmt: skip
LARGEST = 1_000_000  # bytes of a file


def findings(inputs: RunInputs, folder: str | Path | None = None) -> list[dict]:
    """Findings on the app's folder; where none was named, on the function that a profile names."""
    tokenizer = inputs.tokenizer if inputs.model else None
    if folder:
        return check(folder, tokenizer)
    profile = inputs.profile or {}
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
    pattern, places, where = special_tokens(tokenizer), [], name
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
        places += [(f"{Path(where).name}:{first - 1 + line}", told) for line, told in in_python(source, pattern)]
        for used, value in _used(function):
            if isinstance(value, str) and (tokens := found_in(value, pattern)):
                places.append((f"{Path(where).name}:{used}", named(tokens)))
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
    is_wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = content.decode("utf-16" if is_wide else "utf-8-sig", "replace")
    return [] if "\0" in text else in_source(text, path.suffix.lower(), tokenizer)  # else no text
