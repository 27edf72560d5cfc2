"""Kill every stage at random moments while it writes, and run it again: `make bench`.

What is measured: how many kills left something half-written, and whether all results are in the end equal to those of
a study that nobody interrupted. The exit status is 1 if anything was lost.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from ftstudy import paths

SAMPLE = paths.ROOT / "data" / "sample"
CONFIG = """
model: tiny
data: data/raw_style_variable
adapter_path: adapter
train: true
mask_prompt: true
num_layers: 2
batch_size: 2
iters: 40
steps_per_eval: 4
save_every: 4
val_batches: 4
ftstudy: {train_on: last}
"""
RUN = ["--run", "mine"]
OWN = [*RUN, "-p", "config", "config.yaml"]
FEW = ["-p", "replies", "8", "-p", "longest", "12"]
# In order: each reads what the one before has written.
STAGES = {
    "extract": ["extract", "--source", f"{SAMPLE}/chat.db", "--owner", "Sam", "--out", "data"],
    "audit": ["audit", "--config", "config.yaml", "--json", "findings.json"],
    "train": ["train", "--config", "config.yaml", *RUN],
    "01_extract": ["notebook", "01_extract", *OWN, "-p", "source", f"{SAMPLE}/chat.db", "-p", "out", "data"]
    + ["-p", "contacts", "", "-p", "variants", "[raw_style_variable, wrapped]"],
    "02_format_audit": ["notebook", "02_format_audit", *OWN, "-p", "stage_history", "false"],
    "03_train": ["notebook", "03_train", *OWN, "-p", "adapter", "adapter", "-p", "iterations", "0"]
    + ["-p", "evaluate_every", "0", "-p", "stock", "false"],
    "compare": ["compare", *OWN, *FEW],
    "04_compare": ["notebook", "04_compare", *OWN, *FEW],
    "report": ["report", *RUN],
}
# Cheap stages are killed more often. 44 kills.
KILLS = {"extract": 8, "audit": 4, "train": 10, "01_extract": 4, "02_format_audit": 3, "03_train": 4, "compare": 4}
KILLS |= {"04_compare": 3, "report": 4}
# They contain times; of the notebooks and the report everything else comes from the results that are compared.
UNEQUAL = ("cost.json", ".ipynb", ".html", "history.jsonl")


def trial(folder: Path, kills: dict[str, int], seed: int = 0) -> tuple[Counter, list[str]]:
    """Run the stages named in `kills` in a folder undisturbed, and in another with so many kills of each.

    Returns how many kills there were of each stage (a process may end before its kill), and what went wrong.
    """
    dice, done, wrong = random.Random(seed), Counter(), []
    whole, broken = folder / "whole", folder / "broken"
    for one in (whole, broken):
        one.mkdir()
        (one / "config.yaml").write_text(CONFIG)
    for stage in kills:
        started = time.monotonic()
        first, status = _run(whole, stage)
        writing = time.monotonic() - started - first
        for number in range(kills[stage]):
            for _ in range(3):
                _, killed = _run(broken, stage, kill_after=dice.random() * writing)
                if killed == -signal.SIGKILL:
                    done[stage] += 1
                    break
            told = f"{stage}, kill {number + 1}"
            wrong += [f"{told}: {path} is half-written" for path in _half_written(broken)]
            _, again = _run(broken, stage)
            wrong += [f"{told}: the next run ended with {again}, not {status}"] if again != status else []
            wrong += [f"{told}: {problem}" for problem in _differences(whole, broken)]
    return done, wrong


def _run(folder: Path, stage: str, kill_after: float | None = None) -> tuple[float, int]:
    """Run a stage; returns the seconds until it changed a file, and its status. With `kill_after` it is killed, and
    every process that it started, so many seconds after that change."""
    temporary = folder.parent / f"{folder.name}.tmp"
    temporary.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT / "lib"), "TMPDIR": str(temporary)}
    before, started = _snapshot(folder), time.monotonic()
    with (folder.parent / f"{folder.name}.log").open("a") as log:
        command = [sys.executable, "-m", "ftstudy", *STAGES[stage]]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        while process.poll() is None and _snapshot(folder) == before:
            time.sleep(0.005)
        first = time.monotonic() - started
        if kill_after is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(kill_after)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return first, process.wait()


def _snapshot(folder: Path) -> set:
    """Every file and folder below, hidden ones too, with its size and time."""
    found, below = set(), [folder]
    while below:
        with suppress(FileNotFoundError), os.scandir(below.pop()) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    state = entry.stat(follow_symlinks=False)
                    found.add((entry.path, state.st_size, state.st_mtime_ns))
                    if entry.is_dir(follow_symlinks=False):
                        below.append(entry.path)
    return found


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def _half_written(folder: Path) -> list[str]:
    """The visible files that are not complete: JSON, rows and notebooks that cannot be read, weights that are short."""
    return [
        name
        for name, path in _files(folder).items()
        if not any(part.startswith(".") for part in Path(name).parts) and not _is_whole(path)
    ]


def _is_whole(path: Path) -> bool:
    data = path.read_bytes()
    try:
        if path.suffix in (".json", ".ipynb"):
            json.loads(data)
        elif path.suffix == ".jsonl":
            [json.loads(line) for line in data.splitlines()]
            return data.endswith(b"\n") or not data
        elif path.suffix == ".safetensors":
            start = 8 + int.from_bytes(data[:8], "little")
            tensors = {name: one for name, one in json.loads(data[8:start]).items() if name != "__metadata__"}
            return len(data) == start + max(one["data_offsets"][1] for one in tensors.values())
        elif path.suffix == ".html":
            return data.rstrip().endswith(b"</html>")
    except (ValueError, KeyError):
        return False
    return True


def _differences(whole: Path, broken: Path) -> list[str]:
    """Files that only one folder has, leftovers in hidden and temporary folders included, and files that differ."""
    ours, theirs = ({} | _files(one) | _temporary(one) for one in (whole, broken))
    wrong = [f"{name} is missing" for name in ours.keys() - theirs.keys()]
    wrong += [f"{name} is left over" for name in theirs.keys() - ours.keys()]
    equal = [name for name in ours.keys() & theirs.keys() if not name.endswith(UNEQUAL) and "/arms/" not in name]
    return wrong + [f"{name} differs" for name in equal if ours[name].read_bytes() != theirs[name].read_bytes()]


def _temporary(folder: Path) -> dict[str, Path]:
    found = _files(folder.parent / f"{folder.name}.tmp")
    return {f"temporary folder: {name}": path for name, path in found.items()}


def main() -> int:
    started = time.monotonic()
    with TemporaryDirectory() as folder:
        done, wrong = trial(Path(folder), KILLS)
    print(f"kills: {sum(done.values())} ({', '.join(f'{count} {stage}' for stage, count in done.items())})")
    print(f"lost, left over or changed: {len(wrong)}; {time.monotonic() - started:.0f} seconds")
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
