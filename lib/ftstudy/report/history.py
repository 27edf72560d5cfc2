"""A run's state each time its report was finished, so that the next report can say what changed.

`history.jsonl` in the run's folder has a record a line: `at` (UTC), `run`, `config`, `keys` (of the config, each as text),
`model`, `data`, `rows` (a split -> the beginning of its sha256), `verdict` and `numbers` (a label -> text). No messages.
"""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from .. import configs, diagnosis
from ..diagnosis import evidence
from ..errors import StudyError
from ..files import read_json, reading, write_jsonl
from ..paths import absolute, shown
from ..wording import count, more_likely

FILE = "history.jsonl"
SHOWN = 12  # hexadecimal digits: enough to tell two contents apart
SPLITS = ("train", "valid", "test")
LABELS = {"model": "base model", "data": "data folder"}


def remember(run: Path) -> None:
    """Add a record of the run, which was just finished, to its history, unless nothing has changed since the last one."""
    known, now = records(run), record(run)
    if now and not (known and _same(known[-1], now, [key for key in now if key != "at"])):
        write_jsonl(run / FILE, [*known, now])


def latest(run: Path, known: list[dict]) -> dict | None:
    """The record of the run as its folder is now: the last one that is known, if that is about these results.
    Otherwise one without `keys` and `rows`: config and data may have changed since. None and errors as `record`."""
    now = record(run)
    if now and known and _same(known[-1], now, ("config", "verdict", "numbers")):
        return known[-1]
    return now and now | {"keys": {}, "rows": {}}


def _same(one: dict, other: dict, keys) -> bool:
    return all(one[key] == other[key] for key in keys)


def records(run: Path) -> list[dict]:
    """The run's history, the oldest first; lines that aren't records, such as somebody else's, are left out."""
    try:
        lines = reading.read_text(run / FILE, reading.SETTINGS).splitlines()
    except (OSError, ValueError):
        return []
    found = []
    for line in lines:
        try:
            one = reading.parse_json(line)
        except ValueError:
            continue
        if _is_record(one):
            found.append(one)
    return found


def _is_record(one) -> bool:
    return (
        isinstance(one, dict)
        and all(isinstance(one.get(key), str) for key in ("at", "run", "config", "model", "data"))
        and all(isinstance(one.get(key), dict) for key in ("keys", "rows", "numbers", "verdict"))
        and isinstance(one["verdict"].get("headline"), str)
    )


def record(run: Path) -> dict | None:
    """The run as its results say it is; None if they have no diagnosis. Raises StudyError or ValueError if one is damaged."""
    if not (run / "diagnosis.json").is_file():
        return None
    diagnosed = read_json(run / "diagnosis.json")
    found = evidence.read(run, ("format_audit", "training", "comparison"))
    verdict, gathered = diagnosed["verdict"], evidence.gather(found)
    given = gathered["given"]
    config = given.get("config") or ""
    keys, data = _keys_and_data(config, given)
    written = datetime.fromtimestamp((run / "diagnosis.json").stat().st_mtime, UTC)
    return {
        "at": written.strftime("%Y-%m-%d %H:%M:%S"),
        "run": run.name,
        "config": config,
        "keys": keys,
        "model": given.get("model") or keys.get("model", ""),
        "data": shown(data) if data else "",
        "rows": {split: _sha256(data / f"{split}.jsonl") for split in SPLITS if data} if data else {},
        "verdict": {key: verdict[key] for key in ("usable", "headline", "sentence")},
        "numbers": _numbers(gathered, diagnosis.worst(diagnosed), bool(found["format_audit"])),
    }


def _keys_and_data(config: str, given: dict) -> tuple[dict[str, str], Path | None]:
    """The keys of the run's config, each as text, and the folder with its rows; as far as the config is still there."""
    try:
        keys = {name: _text(value) for name, value in _flat(configs.given(config)).items()}
        return keys, absolute(configs.load(config, data=given.get("data") or None)["data"])
    except (StudyError, OSError):
        return {}, None


def _flat(values: dict, before: str = "") -> dict:
    found = {}
    for name, value in values.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return found


def _text(value) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _sha256(path: Path) -> str:
    try:
        with reading.opened(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:SHOWN]
    except OSError:
        return ""


def _numbers(found: dict, causes: list[dict], is_audited: bool) -> dict[str, str]:
    """The few numbers that one run is compared with another by. `found`: from `evidence.gather`; `causes`: the worst."""
    app, trained = found["app"], found["trained"] or {}
    written = found["written"].get(("tuned", app))
    levels = [one["severity"] for one in found["findings"]]
    numbers = {
        "Your true replies, against the base": _likelier(evidence.gain(found, app)),
        "… prompted as in training": _likelier(evidence.gain(found)) if app != "aligned" else "",
        "Replies that end": f"{written['end_of_turn_rate']:.0%}" if written else "",
        "Audit": ", ".join(count(levels.count(level), level) for level in ("error", "warning")) if is_audited else "",
        "Causes found": str(len(causes)),
        "First cause": causes[0]["what"] if causes else "",
        "Iterations": f"{trained['iterations']:,}" if trained.get("iterations") else "",
        "Trained in spite of errors": "yes" if trained.get("forced") else "",
    }
    return {label: text for label, text in numbers.items() if text}


def _likelier(row: dict | None) -> str:
    return "" if row is None else more_likely(row["nats_per_reply_token"])


def changes(before: dict, now: dict) -> list[tuple[str, str, str]]:
    """What differs between two records: (what, before, now); of `keys` and `rows`, what both know."""
    found = []
    if before["keys"] and now["keys"]:
        found += [(f"config: {name}", old, new) for name, old, new in _differences(before["keys"], now["keys"])]
    found += [(LABELS[name], before[name], now[name]) for name in LABELS if before[name] != now[name]]
    if before["rows"] and now["rows"]:
        found += [(f"{name}.jsonl", old, new) for name, old, new in _differences(before["rows"], now["rows"])]
    if before["verdict"]["headline"] != now["verdict"]["headline"]:
        found.append(("verdict", before["verdict"]["headline"], now["verdict"]["headline"]))
    return found + _differences(before["numbers"], now["numbers"])


def _differences(before: dict, now: dict) -> list[tuple[str, str, str]]:
    names = dict.fromkeys([*before, *now])
    pairs = [(name, str(before.get(name, "")), str(now.get(name, ""))) for name in names]
    return [one for one in pairs if one[1] != one[2]]
