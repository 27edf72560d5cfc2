"""Whether a stage must run again: its stamp says what its results were made from.

A stage runs again if its parameters, the content of something that it reads, the study's code or an installed
package has changed since, or if its results have. The dates of files say nothing: copies get new ones, and clocks
differ.
"""

import functools
import hashlib
import json
import mimetypes
import platform
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

from .. import paths, resource_use
from ..errors import StudyError
from ..files import read_json, update_json, write_json
from ..paths import absolute, shown
from ..printable import cut

SECONDS = "seconds.json"  # in the folder of stamps: how long each stage took
FORM = 1  # of the stamps; raise it to run everything again


def run(
    folder: Path,
    stages: Iterable[dict],
    tell: Callable[[str], None] = print,
    after: Callable[[dict], None] = lambda stage: None,
) -> None:
    """Run the stages that must run, in order, and stamp each; `after` is then called with it.

    A stage has `name`, `given` (its parameters), the functions `do`, which runs it, and `forget`, which removes its
    results, and the functions `reads` and `writes`, which return what it reads and writes: name -> file, or JSON
    value. Before one runs, its results are removed, and those of later stages that are out of date: what is there
    belongs together. Raises what a stage raises.
    """
    stages, reasons = list(stages), {}
    for at, stage in enumerate(stages):
        # Taken before it runs: what changes meanwhile was perhaps not read.
        stamp = _stamp(stage)
        why = _why(folder, stage, stamp)
        if not why:
            tell(f"{stage['name']}: nothing has changed, kept")
            continue
        why = reasons.get(stage["name"], why)  # after its results were removed, all look like a first run
        tell(f"{stage['name']}: running, writes to {shown(folder)} ({why})")
        reasons = _forget_outdated(folder, stages[at + 1 :]) | reasons
        forget(folder, stage)
        started = resource_use.clock()
        try:
            stage["do"]()
        except StudyError:
            _forget_outdated(folder, stages[at + 1 :])
            raise
        write_json(_path(folder, stage), stamp | {"wrote": _contents(stage["writes"])})
        seconds = round(resource_use.clock() - started, 1)
        update_json(folder / "stamps" / SECONDS, lambda known, name=stage["name"]: known | {name: seconds}, {})
        after(stage)


def has_run(folder: Path, stage: dict) -> bool:
    """Whether a stage's results are there, out of date or not."""
    return _path(folder, stage).is_file()


def _forget_outdated(folder: Path, stages: list[dict]) -> dict[str, str]:
    """Remove the results of stages that are out of date; returns their names, and why they are."""
    reasons = {stage["name"]: why for stage in stages if (why := _why(folder, stage, _stamp(stage)))}
    for stage in stages:
        if stage["name"] in reasons:
            forget(folder, stage)
    return reasons


def last_seconds(folder: Path, name: str) -> float | None:
    """How long a stage took the last time that it ran; None if it never did."""
    try:
        seconds = read_json(folder / "stamps" / SECONDS).get(name)
    except (StudyError, ValueError, AttributeError):
        return None
    return seconds if isinstance(seconds, int | float) else None


def planned(folder: Path, stages: Iterable[dict]) -> Iterator[str]:
    """For each stage, a line that says whether it would run, and why."""
    runs = False
    for stage in stages:
        why = _why(folder, stage, _stamp(stage))
        if not why and runs:
            yield f"{stage['name']}: would run if the stages before it write something new"
        else:
            yield f"{stage['name']}: would run ({why})" if why else f"{stage['name']}: nothing has changed"
        runs = runs or bool(why)


def _path(folder: Path, stage: dict) -> Path:
    return folder / "stamps" / f"{stage['name']}.json"


def forget(folder: Path, stage: dict) -> None:
    """Remove a stage's stamp and its results, so that old results don't pass for new ones."""
    _path(folder, stage).unlink(missing_ok=True)
    stage["forget"]()


def _stamp(stage: dict) -> dict:
    """All that the stage's results depend on."""
    given = {name: value for name, value in stage["given"].items() if value not in ("", None, []) and str(value) != "0"}
    reads = _contents(stage["reads"])
    return {"form": FORM, "given": given, "reads": reads, "code": _code(), "packages": _packages()}


def _contents(listed: Callable[[], dict]) -> dict[str, str | None]:
    return {name: _content(content) for name, content in listed().items()}


def _why(folder: Path, stage: dict, now: dict) -> str:
    """Why the stage must run, in a few words; empty if it need not."""
    try:
        before = read_json(_path(folder, stage))
    except (StudyError, ValueError):
        before = None
    if not isinstance(before, dict) or before.get("form") != FORM:
        return "it isn't known what its results were made from" if before else "first run"
    wrote = _contents(stage["writes"])
    if gone := [name for name, content in wrote.items() if content is None]:
        return f"{gone[0]} is gone"
    changes = [f"{name} {_change(old, new)}" for name, old, new in _differences(before["given"], now["given"])]
    changes += [f"{name} {_event(old, new)}" for name, old, new in _differences(before["reads"], now["reads"])]
    changes += [f"{name} {_event(old, new)} since" for name, old, new in _differences(before["wrote"], wrote)]
    changes += ["the study's code has changed"] if before["code"] != now["code"] else []
    changes += [
        f"{name} {old or 'is new'}{' → ' if old else ', '}{new or 'gone'}"
        for name, old, new in _differences(before["packages"], now["packages"])
    ]
    return "; ".join(changes[:3]) + (f"; and {len(changes) - 3} more" if len(changes) > 3 else "")


def _differences(before: dict, now: dict) -> list[tuple]:
    names = dict.fromkeys([*before, *now])
    return [(name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)]


def _change(old, new) -> str:
    if old is None:
        return f"is {_value(new)}, and was not set"
    return f"was {_value(old)}, and is not set" if new is None else f"is {_value(new)}, and was {_value(old)}"


def _value(value) -> str:
    return cut(repr(value), 60)


def _event(old, new) -> str:
    return "is new" if old is None else "is gone" if new is None else "has changed"


# --- what stages read ------------------------------------------------------------------------------------------------


def read_from(*places: str | Path, media: bool = True) -> dict[str, Path]:
    """The files at these places, by name: a file itself (a database with its log), or all in a folder but hidden
    ones. Empty places are none. `media=False`: without pictures, sounds and videos."""
    found = {}
    for place in filter(None, places):
        path = absolute(place)
        inside = sorted(path.rglob("*")) if path.is_dir() else [path, path.with_name(path.name + "-wal")]
        for file in inside:
            hidden = any(part.startswith(".") for part in file.relative_to(path.parent).parts[1:])
            kind = (mimetypes.guess_type(file.name)[0] or "").partition("/")[0]
            if file.is_file() and not hidden and (media or kind not in ("image", "audio", "video")):
                found[shown(file)] = file
    return found


def _content(content) -> str | None:
    """The sha256 of a file, or of a JSON value; None if there is no such file, and for None."""
    if content is None:
        return None
    if not isinstance(content, Path):
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    try:
        state = content.stat()
        return _of_file(content, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    except OSError:
        return None


@functools.lru_cache(None)
def _of_file(path: Path, *state: int) -> str:
    """`state` makes the cache forget a file that has changed in the meantime."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def _code() -> str:
    """The sha256 of the study's own files, its notebooks included."""
    package = Path(__file__).parent
    files = [path for path in package.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".pyo")]
    digests = [(path.name, _content(path)) for path in sorted(files) + sorted(paths.NOTEBOOKS.glob("*.ipynb"))]
    return _content(digests)


@functools.cache
def _packages() -> dict[str, str]:
    """The version of each installed package, and of Python."""
    found = {one.name.lower(): one.version for one in metadata.distributions() if one.name}
    return {"python": platform.python_version()} | dict(sorted(found.items()))
