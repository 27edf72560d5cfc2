"""An Ollama Modelfile, read; `ollama` builds the prompt from it.

`read` gives a *served model*, as plain data: `template` (Go's text/template), `system`, `messages` (turns that Ollama
puts before every conversation), `parameters` (name -> values), `stop`, `from`, `gguf` (as `gguf.served` reads it; None if
the file is not here) and `notes`, a sentence for each thing that a Modelfile doesn't say.
"""

import re
from pathlib import Path

from ..errors import StudyError
from ..files.reading import SETTINGS, opened, read_text, why
from ..machine_failures import pass_on
from ..paths import shown
from . import gguf, go_template

WORDS = {
    "from", "license", "template", "system", "adapter", "draft", "renderer", "parser", "parameter", "message", "requires",
}  # fmt: skip
ROLES = ("system", "user", "assistant")
AS_SAVED = "`ollama show --modelfile NAME > Modelfile` writes everything that Ollama uses; pass that file."


def is_modelfile(path: Path) -> bool:
    """Whether a file's name, or its first instruction, says that it is a Modelfile."""
    if path.stem.lower() == "modelfile" or path.suffix.lower() == ".modelfile":
        return True
    if path.suffix.lower() in (".yaml", ".yml", ".json", ".gguf"):
        return False
    try:
        with opened(path) as file:
            start = file.read(10_000).decode("utf-8", "replace")
    except (OSError, ValueError):
        return False
    return bool(re.match(r"(?:\s*#[^\n]*\n)*\s*from[ \t]+\S+[ \t]*\r?\n", start, re.IGNORECASE))


def read(path: Path) -> dict:
    """The served model of a Modelfile. StudyError: it is not one, or doesn't say which template Ollama uses."""
    where = shown(path)
    try:
        text = read_text(path, SETTINGS, "utf-8-sig")
    except (OSError, ValueError) as error:
        pass_on(error)
        raise StudyError(f"{where} cannot be read as a Modelfile ({why(error)}). Save it as UTF-8 text.") from error
    values: dict[str, str] = {}
    parameters: dict[str, list[str]] = {}
    messages = []
    for line, word, name, value in _instructions(text, where):
        if word == "parameter":
            parameters.setdefault(name.lower(), []).append(value)
        elif word == "message":
            if name not in ROLES:
                raise StudyError(f"{where} line {line}: MESSAGE has the role {name!r}. Use one of {', '.join(ROLES)}.")
            messages.append({"role": name, "content": value})
        else:
            values[word] = value
    if not values.get("from"):
        raise StudyError(
            f"{where} has no FROM line, so it is not a Modelfile. Add it, for example `FROM ./model.gguf`."
        )
    if "renderer" in values:
        raise StudyError(
            f"{where} uses RENDERER {values['renderer']}: Ollama builds this prompt in its own code and not from a "
            "template, so it is not known here. Record the app with `ftstudy record`, or use a TEMPLATE."
        )
    return _served(values, parameters, messages, path)


def _instructions(text: str, where: str):
    """(line, word, name, value) of each instruction; a value in quotes may have several lines."""
    lines = enumerate(text.splitlines(), 1)
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word, _, rest = line.strip().partition(" ")
        word, name = word.lower(), ""
        if word not in WORDS:
            raise StudyError(
                f"{where} line {number}: {line.strip()[:60]!r} is not an instruction of a Modelfile. It takes "
                f"{', '.join(sorted(WORDS)).upper()}; a longer text needs three quotes around it."
            )
        if word in ("parameter", "message"):
            name, _, rest = rest.lstrip().partition(" ")
        parts, quotes = [rest], '"""' if rest.strip().startswith('"""') else '"'
        while (value := _unquoted("\n".join(parts).strip())) is None:
            ends = False
            while not ends:
                _, following = next(lines, (0, None))
                if following is None:
                    raise StudyError(f"{where} line {number}: the quotes of {word.upper()} are not closed. Close them.")
                parts.append(following)
                ends = following.rstrip().endswith(quotes)
        yield number, word, name, value


def _unquoted(text: str) -> str | None:
    """The text without its quotes; None if they are not closed yet."""
    for quotes in ('"""', '"'):
        if text.startswith(quotes):
            closed = len(text) >= 2 * len(quotes) and text.endswith(quotes)
            return text[len(quotes) : -len(quotes)] if closed else None
    return text


def _served(values: dict, parameters: dict, messages: list[dict], path: Path) -> dict:
    source, notes = Path(values["from"]).expanduser(), []
    file = source if source.is_absolute() else path.parent / source
    base = gguf.served(file) if gguf.is_gguf(file) else None
    template = values.get("template")
    if template is None:
        if base is None or base["template"]:
            raise StudyError(
                f"{shown(path)} has no TEMPLATE, so the prompt is not known from this file: Ollama takes the template of "
                f"{values['from']}, one of its own that resembles it, or sends the last message bare. {AS_SAVED}"
            )
        template = "{{ .Prompt }}"
        notes.append(f"There is no TEMPLATE, here or in {values['from']}: Ollama sends the last message bare.")
    if "system" not in values:
        notes.append(
            "There is no SYSTEM. This audit assumes that your app sends no system message either; if it does, write a "
            'profile of kind ollama with `file:` and `system: "{system}"`.'
        )
    elif not {"system", "messages"} & go_template.fields(go_template.parse(template)):
        notes.append("SYSTEM is set, but TEMPLATE does not use .System or .Messages, so Ollama leaves it out.")
    if base is None:
        notes.append(
            f"{values['from']} is not a GGUF file on this machine, so its vocabulary, its end tokens and whether Ollama puts a start token in "
            "front of the prompt are not known. The start token is taken as mlx-lm sets it."
        )
    if "adapter" in values:
        notes.append(
            f"ADAPTER {values['adapter']} is applied to {values['from']}; whether they fit is not checked here."
        )
    return {
        "template": template,
        "system": values.get("system") or None,
        "messages": messages,
        "parameters": parameters,
        "stop": parameters.get("stop", []),
        "from": values["from"],
        "gguf": base,
        "notes": notes,
    }
