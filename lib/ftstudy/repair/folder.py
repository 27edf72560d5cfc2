"""The folder of a repaired fine-tune.

config.yaml      the config; its data and its adapter are in this folder
data/            train.jsonl and its like; what an extraction recorded of them
inference.yaml   how the app is to ask, and app_prompt.py, the code for it: where its prompt was repaired
fix.json         what was repaired, and a digest of each file
"""

import hashlib
import json
from pathlib import Path

import yaml

from ..audit.run_inputs import RunInputs
from ..configs import ADAPTER_CONFIG, config_loader
from ..errors import StudyError
from ..extract.variant_folder import HELDOUT
from ..files import replace_file, write_json, write_jsonl, write_text
from ..files.folders import IGNORE, make_folder
from ..files.reading import LARGEST, SETTINGS, read_bytes, read_json
from ..paths import absolute, shown
from . import app
from .draft import plain
from .yaml_text import dumped, edited

CONFIG, DATA, ADAPTER = "config.yaml", "data", "adapter"
PROFILE, CODE, RECORD = "inference.yaml", "app_prompt.py", "fix.json"
META, ORIGIN = "meta.jsonl", "origin.json"


def write(draft: dict, folder: Path, inputs: RunInputs, made: list = (), target: Path | None = None) -> None:
    """Write a draft into a folder, so that it can be trained.

    `inputs`: the fine-tune as it was; `made`: the repairs, from `repaired`, for the record; `target`: the folder's final
    place, if it is to be moved there.
    """
    target = target or folder
    make_folder(folder / DATA)
    for name, rows in draft["rows"].items():
        write_jsonl(folder / DATA / f"{name}.jsonl", rows)
    _write_extracted(draft, folder / DATA, inputs)
    write_text(folder / CONFIG, config_text(draft, target, inputs))
    if any(repair.part == "app" for repair, _ in made):
        keys = {key: value for key, value in draft["profile"].items() if key != "name"}
        write_text(folder / PROFILE, yaml.safe_dump(keys, sort_keys=False, allow_unicode=True))
        write_text(folder / CODE, app.code(draft, inputs, plain(target / ADAPTER), plain(target / CODE)))
    repairs = [
        {"id": one.id, "part": one.part, "fault": one.fault, "checks": list(one.checks), "notes": notes}
        for one, notes in made
    ]
    known = {"config": inputs.where, "measured": draft["measured"]} | origin(inputs)
    write_json(folder / RECORD, known | {"repairs": repairs, "files": digests(folder)})


def config_text(draft: dict, folder: Path, inputs: RunInputs) -> str:
    """The draft's config as YAML, with its data and its adapter in `folder`; the user's comments stay."""
    places = {"adapter_path": plain(folder / ADAPTER)}  # never the old adapter
    if draft["rows"]:
        places["data"] = plain(folder / DATA)
    config, path, loader = draft["config"] | places, absolute(inputs.where), config_loader()
    if path.name == ADAPTER_CONFIG:
        return dumped(config, loader)
    return edited(read_bytes(path, SETTINGS).decode(), inputs.given, config, draft["why"], loader)


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of each file that a fix writes, by its path in the folder."""
    files = [folder / name for name in (CONFIG, PROFILE, CODE)] + sorted((folder / DATA).glob("*"))
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(read_bytes(path, LARGEST)).hexdigest()
        for path in files
        if path.is_file() and path.name != IGNORE
    }


def origin(inputs: RunInputs) -> dict:
    """What a copy, or a proof, was made from: `of`, the sha256 of the fine-tune's config and rows, and `inference`, the
    name of the app's profile (None if not known)."""
    made = hashlib.sha256(json.dumps(inputs.config, sort_keys=True, default=str).encode())
    for name, split in inputs.splits.items():
        made.update(name.encode() + hashlib.sha256(read_bytes(split.path, LARGEST)).digest())
    return {"of": made.hexdigest(), "inference": inputs.profile.get("name") if inputs.profile else None}


def is_of(known: dict, inputs: RunInputs) -> bool:
    """Whether something with this `origin` was made from the fine-tune as it is now. Any profile will do if none is given."""
    now = origin(inputs)
    return known.get("of") == now["of"] and now["inference"] in (None, known.get("inference"))


def record(folder: Path) -> dict | None:
    """What a fix wrote down about a folder; None if no fix wrote it. Raises StudyError if the record is damaged."""
    if not (folder / RECORD).is_file():
        return None
    try:
        found = read_json(folder / RECORD, SETTINGS)
        if isinstance(found, dict) and isinstance(found.get("files"), dict) and isinstance(found.get("repairs"), list):
            return found
    except (OSError, ValueError):
        pass
    raise StudyError(
        f"{shown(folder / RECORD)} is damaged, so it is not clear what was repaired there. Name another folder."
    )


def changed_since(folder: Path, known: dict) -> list[str]:
    """The files that somebody changed, added or removed after the fix."""
    now = digests(folder)
    return sorted(name for name in {**known["files"], **now} if known["files"].get(name) != now.get(name))


# --- what an extraction recorded -------------------------------------------------------------------


def _write_extracted(draft: dict, folder: Path, inputs: RunInputs) -> None:
    """The origin, the held-out rows, and of `meta.jsonl` the entries of rows that are as they were, under their new
    places: what it says about a changed row would no longer be true."""
    if not draft["rows"]:
        return
    for name in (ORIGIN, f"{HELDOUT}.jsonl"):
        if (inputs.folder / name).is_file():
            with replace_file(folder / name) as new:
                new.write_bytes(read_bytes(inputs.folder / name, LARGEST))
    if (inputs.folder / META).is_file():
        write_jsonl(folder / META, _entries(draft, inputs))


def _entries(draft: dict, inputs: RunInputs) -> list[dict]:
    try:
        lines = read_bytes(inputs.folder / META, LARGEST).decode().split("\n")
        given = [json.loads(line) for line in lines if line.strip()]
        of_place = {(one["split"], one["row"]): one for one in given}
    except (ValueError, KeyError, TypeError):  # not ours
        return []
    waiting: dict[str, list[dict]] = {}  # a row as JSON -> the entries of those that are the same
    for name, split in inputs.splits.items():
        for at, row in enumerate(split.rows if not split.broken else []):
            if entry := of_place.get((name, at)):
                waiting.setdefault(json.dumps(row), []).append(entry)
    made = [one for one in given if one.get("split") == HELDOUT]
    for name, rows in draft["rows"].items():
        for at, row in enumerate(rows):
            same = waiting.get(json.dumps(row), [])
            own = next((one for one in same if one["split"] == name), same[0] if same else None)
            if own is not None:
                same.remove(own)
                made.append(own | {"split": name, "row": at})
    return made
