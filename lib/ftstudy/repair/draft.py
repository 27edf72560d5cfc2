"""A fine-tune as a draft: read from what there is, and, once repaired, audited as if it were written.

Besides `config`, `rows` and `profile`, a draft has `read` (what reading it put right: a repair's id -> sentences) and
`why` (key of the config -> why a repair set it). `once`: whether keys that the file
sets twice are to be written once. `rendered` keeps the rows' token ids between repairs.
"""

from dataclasses import replace
from pathlib import Path

from mlx_lm.lora import CONFIG_DEFAULTS

from ..audit.run_inputs import RunInputs
from ..chat_format.rows import Split, features_of
from ..chat_format.rows_of_any_file import find, recovered
from ..extract.variant_folder import SPLITS
from ..paths import absolute
from ..wording import count
from .kinds import Repair

FILES, PATHS = "rows_refused", "config.path"
SHOWN = 3  # sentences on lines of a file


def read(inputs: RunInputs, measured: dict | None = None) -> dict:
    """The draft of a fine-tune. Rows are read even where mlx-lm can't: from files of other names, from a JSON array, from
    lines that are not JSON. Those of a dataset on a hub are left out.

    `measured`: settings that a diagnosis has found to do harm, though an audit has nothing against them: key -> value.
    """
    config, moved = _paths(inputs)
    rows, notes = ({}, []) if inputs.hub or inputs.config.get("hf_dataset") else _rows(_folder(inputs.folder))
    return {
        "config": config,
        "rows": rows,
        "profile": inputs.profile,
        "read": {FILES: notes, PATHS: moved},
        "why": {},
        "measured": measured or {},
        "once": False,
        "rows_changed": False,
        "rendered": {},
    }


def audited(draft: dict, inputs: RunInputs) -> RunInputs:
    """What an audit of the draft reads, as if it were written: its config and rows in the place of the old ones."""
    given = {key: value for key, value in draft["config"].items() if value is not None}
    places = {key: inputs.config[key] for key in ("config", "data", "adapter_path")}
    config = CONFIG_DEFAULTS | given | places
    config["model"] = str(config["model"])
    found = replace(inputs, config=config, given=draft["config"], splits=splits(draft, inputs))
    _share(draft, inputs, found)
    return found


def _share(draft: dict, inputs: RunInputs, found: RunInputs) -> None:
    """Hand on what is slow to make: the tokenizer, and the rendered rows while the rows stay the same."""
    if found.config["model"] == str(inputs.config["model"]) and inputs.model and not inputs.problem:
        found.__dict__ |= {"model": inputs.model, "problem": inputs.problem, "tokenizer": inputs.tokenizer}
    key = [split.features for split in found.splits.values()]
    kept = draft["rendered"]
    if kept.get("rows") is not draft["rows"] or kept["features"] != key:
        kept |= {"rows": draft["rows"], "features": key, "renderings": {}}
    found.__dict__["_renderings"] = kept["renderings"]


def rendered_as(inputs: RunInputs, profile: dict | None) -> RunInputs:
    """The same inputs with another profile of the app."""
    found = replace(inputs, profile=profile)
    kept = ("model", "problem", "tokenizer", "_renderings")
    found.__dict__ |= {key: inputs.__dict__[key] for key in kept if key in inputs.__dict__}
    return found


def splits(draft: dict, inputs: RunInputs) -> dict[str, Split]:
    """The draft's rows as files would have them, one a line; a split without rows has no file."""
    features, made = features_of(draft["config"]), {}
    for name, rows in draft["rows"].items():
        if rows:
            path, numbers = inputs.folder / f"{name}.jsonl", list(range(1, len(rows) + 1))
            made[name] = Split(name, path, len(rows), rows, numbers, features=features)
    return made


def plain(path: Path) -> str:
    """A path as mlx-lm takes it: it doesn't expand `~`."""
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.as_posix()


def _paths(inputs: RunInputs) -> tuple[dict, list[str]]:
    """The config's own keys, with the model and the data where they were found, and what was changed for that."""
    config, notes = dict(inputs.given), []
    for key in ("model", "data"):
        given, used = config.get(key), inputs.config[key]
        if given is None or str(given) == used and not used.startswith("~"):
            continue
        is_folder = absolute(used).is_dir()
        config[key] = plain(absolute(used)) if is_folder else used
        if str(given) != config[key] and key == "model":
            notes.append(f"`model: {given}` is now `{config[key]}`, relative to here")
    return config, notes


def _folder(folder: Path) -> Path:
    """The folder that has the rows: the one named, the one that the named file is in, or the only one below it."""
    if folder.is_file():
        return folder.parent
    inside = sorted(path.parent for path in folder.glob("*/train.jsonl")) if not find(folder, "train") else []
    return inside[0] if len(inside) == 1 else folder


def _rows(folder: Path) -> tuple[dict[str, list], list[str]]:
    rows, notes = {}, []
    for name in SPLITS:
        found = find(folder, name)
        if found is None:
            continue
        where = found.split.where
        if found.split.path != folder / f"{name}.jsonl":
            notes.append(f"{where} is now {name}.jsonl, the name that mlx-lm reads")
        rows[name] = found.rows
        if found.form:
            notes.append(f"{where} was {found.form}: its {count(len(found.rows), 'row')} now have a line each")
            continue
        if found.split.broken:
            rows[name], changed, lost = recovered(found.split.path)
            notes += [*_first(changed, "lines were put right"), *_first(lost, "lines were left out")]
        if blank := len(found.split.blank):
            notes.append(f"{where}: {count(blank, 'blank line')} left out")
        if not rows[name]:
            notes.append(f"{where} has no rows, so the copy has no such file")
    return {name: found for name, found in rows.items() if found}, notes


def _first(lines: list[str], rest: str) -> list[str]:
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], *([f"{more:,} more {rest}"] if more > 0 else [])]


def _as_read(id_: str):
    """What reading has put right already, reported once."""

    def apply(draft: dict, inputs: RunInputs) -> tuple[dict, list[str]]:
        return draft | {"read": draft["read"] | {id_: []}}, draft["read"].get(id_, [])

    return apply


REPAIRS = (
    Repair(
        FILES,
        "rows",
        "files that mlx-lm can't read",
        _as_read(FILES),
        checks=("data.bad_json", "data.blank_line", "data.no_train", "data.no_valid", "data.zero_bytes"),
        aborts=True,
    ),
    Repair(PATHS, "config", "paths", _as_read(PATHS), checks=("config.path",), aborts=True),
)
