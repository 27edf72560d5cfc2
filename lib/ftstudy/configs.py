"""Reading a config as mlx-lm would. `config_matrix` writes those of ft_configs/."""

from pathlib import Path

import yaml

from .errors import StudyError
from .paths import from_root, shown

# The block `ftstudy:` of a config holds what mlx-lm has no key for. With it the reply and its end-of-turn
# token are trained, of every row; without it, exactly what mlx-lm trains.
STUDY = {
    "train_on": "last",  # or `all`: every reply of a conversation, or the last one
    "method": None,  # pissa, where fine_tune_type is lora; galore, where it is full
    "galore": {},  # its rank, update_every and scale
    "early_stopping": 0,  # evaluations in a row without a better one, after which training stops; 0: never
}


def study(config: dict) -> dict | None:
    """The config's `ftstudy:` block over its defaults; None where there is none, so that mlx-lm's own rules hold."""
    block = config.get("ftstudy")
    return {**STUDY, **block} if isinstance(block, dict) else None


def given(path: str | Path) -> dict:
    """The keys that a config file itself holds. Raises StudyError where there is no file, or
    where it is not a YAML mapping."""
    from mlx_lm.lora import yaml_loader  # reads 1e-5 as a number

    path = from_root(path)
    if not path.is_file():
        raise StudyError(f"There is no config {shown(path)}; name one of ft_configs/*.yaml with CONFIG=… or --config.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            f"{shown(path)} cannot be read: {error}. A config is text in UTF-8; save it as that."
        ) from error
    try:
        found = yaml.load(text, yaml_loader)
    # PyYAML's constructors raise the last four kinds themselves, at `2020-99-99`, `._` or `!!bool x`.
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).replace(' in "<unicode string>",', " in").split())
        raise StudyError(f"{shown(path)} is not readable YAML: {reason}. {_mending(error, text)}") from error
    if not isinstance(found, dict):
        raise StudyError(
            f"{shown(path)} holds no `key: value` pairs, so mlx-lm cannot use it; start from one of ft_configs/*.yaml."
        )
    return found


def _mending(error: Exception, text: str) -> str:
    """What to do about a YAML file that PyYAML refuses, with the line where that can be told."""
    if isinstance(error, yaml.MarkedYAMLError):
        return "Mend that line."  # the message names it
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"Mend line {line}: take that character out."
    if isinstance(error, RecursionError):
        return "Its blocks and lists stand one in another far too deep: take some of the brackets or levels out."
    line = _odd_value(text)
    return f"Mend the value in line {line}, or put it into quotes to make it text." if line else "Mend that value."


def _odd_value(text: str) -> int | None:
    """The line of the first value that reads like a date or a number, and is none."""
    from mlx_lm.lora import yaml_loader

    loader = yaml_loader(text)
    waiting, seen, lines = [loader.get_single_node()], set(), []
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.ScalarNode):
            try:
                loader.construct_object(node)
            except yaml.YAMLError:
                pass  # `<<` is no value
            except (ValueError, LookupError, AttributeError, TypeError):
                lines.append(node.start_mark.line + 1)
        elif id(node) not in seen:  # an anchor may stand in many places
            seen.add(id(node))
            waiting += [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
    return min(lines, default=None)


def load(
    path: str | Path, *, data: str | Path | None = None, model: str | None = None, adapter: str | None = None
) -> dict:
    """A config as `mlx_lm.lora --config` sees it: its keys over mlx-lm's defaults.

    `data`, `model` and `adapter` replace the file's; `data` is the folder with train.jsonl, or the
    folder of variants that holds it. `config` is the file's own path. Raises StudyError where there is no file,
    where it is not a YAML mapping, or where its data or model is empty or cannot be the name of a file.
    """
    from mlx_lm.lora import CONFIG_DEFAULTS

    path = from_root(path)
    given_keys = {key: value for key, value in given(path).items() if value is not None}
    config = {**CONFIG_DEFAULTS, **given_keys}
    for key, instead in (("data", data), ("model", model)):
        config[key] = str(config[key])  # a number here is a finding of the audit, not a traceback
        if not config[key].strip() and not instead:
            raise StudyError(f"`{key}` of {shown(path)} is empty. Name a folder there, or take the key out.")
        try:
            for name in (config[key], instead or ""):
                from_root(name).exists()
                str(name).encode()
                if "\0" in str(name):  # which `exists` takes for a file that is not there
                    raise ValueError("a zero byte stands in it")
        except (OSError, RuntimeError, ValueError) as error:
            raise StudyError(
                f"`{key}` of {shown(path)} cannot be the name of a file or folder: {' '.join(str(error).split())[:200]}. "
                "Correct it."
            ) from error
    if data:
        variant = from_root(data) / Path(config["data"]).name
        config["data"] = shown(variant if variant.is_dir() else from_root(data))
    instead = {"model": model or config["model"], "adapter_path": adapter or config["adapter_path"]}
    return {**config, **instead, "config": shown(path)}
