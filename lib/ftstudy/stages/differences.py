"""How the result files of a run and of its repetition differ."""

import json
from itertools import zip_longest
from pathlib import Path

from .. import engine  # noqa: F401  before MLX is imported

# isort: split

import mlx.core as mx

from ..wording import count

RESULTS = ("extraction", "findings", "format_audit", "training", "comparison")  # the diagnosis follows from them
ROWS = ("train", "valid", "test", "heldout", "meta")
ADAPTER = ("adapter_config.json", "adapters.safetensors", "prompt_contract.json")
MOST = 10  # differences that are listed for one file


def compared(run: Path, rows: list[Path], adapters: list[Path]) -> list[Path]:
    """The result files that two runs must agree on, from the current folder."""
    files = [run / f"{name}.json" for name in RESULTS] + sorted(run.glob("*.metrics.jsonl"))
    files += [folder / f"{name}.jsonl" for folder in rows for name in ROWS]
    files += [folder / name for folder in adapters for name in ADAPTER]
    return [path.relative_to(Path.cwd()) for path in files]


def differences(one: Path, other: Path) -> list[str]:
    """How a file differs from its repetition: the keys or lines that do, each with both values. Texts are described
    and not quoted, because they may be messages."""
    if not one.exists() or not other.exists():
        return [] if one.exists() == other.exists() else ["is missing " + ("now" if one.exists() else "in the run")]
    if one.read_bytes() == other.read_bytes():
        return []
    if one.suffix == ".safetensors":
        found = _tensors(one, other)
    elif one.suffix == ".jsonl":
        lines = zip_longest(*(path.read_text(encoding="utf-8").split("\n") for path in (one, other)))
        found = [
            difference
            for number, pair in enumerate(lines, 1)
            if pair[0] != pair[1]
            for difference in _values(f"line {number}", *(json.loads(line) if line else None for line in pair))
        ]
    else:
        found = _values("", *(json.loads(path.read_text(encoding="utf-8")) for path in (one, other)))
    found = found or ["differs in bytes, not in values"]
    return found[:MOST] + ([f"and {len(found) - MOST:,} more differences"] if len(found) > MOST else [])


def _values(key: str, one, other) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(name for name in other if name not in one)]
        pairs = [(f"{key}.{name}".lstrip("."), one.get(name), other.get(name)) for name in keys]
    elif isinstance(one, list) and isinstance(other, list):
        pairs = [(f"{key}[{at}]", *pair) for at, pair in enumerate(zip_longest(one, other))]
    else:
        same = one == other and type(one) is type(other)
        return [] if same else [f"{key}: {_described(one)} in the run, {_described(other)} now"]
    return [difference for pair in pairs for difference in _values(*pair)]


def _described(value) -> str:
    if isinstance(value, str):
        return f"a text of {len(value):,} characters"
    if isinstance(value, dict | list):
        return count(len(value), "value")
    return "nothing" if value is None else str(value)


def _tensors(one: Path, other: Path) -> list[str]:
    ours, theirs = mx.load(str(one)), mx.load(str(other))
    found = [f"{name}: only {'in the run' if name in ours else 'now'}" for name in sorted(ours.keys() ^ theirs.keys())]
    for name in sorted(ours.keys() & theirs.keys()):
        if ours[name].shape != theirs[name].shape:
            found.append(f"{name}: shape {ours[name].shape} in the run, {theirs[name].shape} now")
        elif not mx.array_equal(ours[name], theirs[name], equal_nan=True):
            furthest = mx.abs(ours[name] - theirs[name]).max().item()
            found.append(f"{name}: values differ by up to {furthest:.3g}")
    return found
