"""Does an app write a chat template's special tokens by hand? This searches its source code.

Such a prompt may be right today: `parity` says whether it is. It breaks silently with the next model or template, so
every place is listed.
"""

import inspect
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

from .. import chat_format
from ..errors import StudyError
from ..paths import absolute, shown
from .app_text import found_in, in_python, in_source, named, special_tokens
from .evidence import counted, listed
from .findings import Check, Finding
from .run_inputs import RunInputs

HARD_CODED_TOKENS = Check(
    "app.hard_coded_tokens",
    ("warning",),
    "The app's code writes special tokens by hand instead of using the chat template.",
    cause="The app builds its prompt itself, for one model's template, and nothing notices when either changes.",
    fix="Call tokenizer.apply_chat_template, or check each prompt with ftstudy.chat_format.check_prompt.",
    bad='prompt = f"<|im_start|>user\\n{text}<|im_end|>\\n<|im_start|>assistant\\n"',
    good="prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)",
)
CHECKS = (HARD_CODED_TOKENS,)
OTHER_FOLDERS = {"node_modules", "__pycache__", "site-packages", "Pods", "DerivedData"}
# Not the app's code: prose, data, and what belongs to a model.
NOT_CODE = {".md", ".rst", ".jsonl", ".csv", ".tsv", ".log", ".lock", ".parquet"}
MODEL_FILES = {
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "chat_template.json", "chat_template.jinja", "prompt_contract.json",
}  # fmt: skip
LARGEST = 1_000_000  # bytes of a file


def findings(inputs: RunInputs, folder: str | Path | None = None) -> list[Finding]:
    """Findings on the app's folder, or without one on the function that a profile names."""
    tokenizer = inputs.tokenizer if inputs.model else None
    if folder:
        return check(folder, tokenizer)
    profile = inputs.profile or {}
    is_taken = profile.get("kind") == "callable" and "refused" not in profile
    return check_function(profile["function"], tokenizer) if is_taken else []


def check(folder: str | Path, tokenizer=None) -> list[Finding]:
    """Findings on a folder of code, or one file. Raises StudyError if it doesn't exist; never for what it contains."""
    root = absolute(folder)
    if not root.exists():
        raise StudyError(f"No folder {shown(root)} with the app's code. Correct APP=… or --app.")
    places = [
        (f"{path.relative_to(root).as_posix() if path != root else path.name}:{line}", tokens)
        for path in files(root)
        for line, tokens in _in_file(path, tokenizer)
    ]
    return _finding(places, shown(root))


def check_function(name: str, tokenizer=None) -> list[Finding]:
    """Findings on one function, `module:name`, as in a profile of kind callable, and on the functions
    and texts of its module that it uses."""
    pattern, places, where = special_tokens(tokenizer), [], name
    try:
        start = inspect.unwrap(chat_format.function_of(name))
        where = shown(inspect.getsourcefile(start) or name)
    except (StudyError, TypeError, ValueError):
        return []  # no such function, or no source; `parity.profile_fails` reports what matters
    ahead, done = [start], set()
    while ahead:
        function = ahead.pop()
        done.add(function)
        try:
            lines, first = inspect.getsourcelines(function)
        except (OSError, TypeError):
            continue
        source = textwrap.dedent("".join(lines))
        places += [(f"{Path(where).name}:{first - 1 + line}", tokens) for line, tokens in in_python(source, pattern)]
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


def _finding(places: list[tuple[str, str]], where: str) -> list[Finding]:
    if not places:
        return []
    files = len({place.rpartition(":")[0] for place, _ in places})
    title = f"Special tokens are written by hand in {counted(len(places), 'line')} of {counted(files, 'file')}"
    evidence = listed([f"{place}: {tokens}" for place, tokens in places])
    return [HARD_CODED_TOKENS.found("warning", title, evidence=evidence, where=where)]


def files(root: Path) -> Iterator[Path]:
    """The files in which code is looked for: `root` itself, or those in it that may be code."""
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
            if Path(name).suffix.lower() not in NOT_CODE and name not in MODEL_FILES:
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
