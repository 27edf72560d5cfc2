"""What an unfinished run needs to go on: weights, optimizer, random numbers and curve, in one file.

It stands in `<adapter>/unfinished/` until the run is complete. One file is written whole or not
at all; the best weights so far lie beside it, named by their iteration, and are written first: a
kill at any moment leaves a state that fits together.
"""

import json
import shutil
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten

from ..files import replace_file


def save(folder: Path, run: str, progress: dict, model, optimizer) -> None:
    """Keep this moment. `progress`: plain data with `iteration` and `best` ({"iteration", …} or None)."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = dict(tree_flatten(model.trainable_parameters()))
    best = progress["best"]["iteration"] if progress["best"] else None
    if best == progress["iteration"]:
        _write(_best(folder, best), weights, {})
    tensors = {f"model.{name}": value for name, value in weights.items()}
    tensors |= {f"optimizer.{name}": value for name, value in tree_flatten(optimizer.state)}
    tensors["random"] = mx.random.state[0]
    _write(folder / "state.safetensors", tensors, {"run": run, "progress": json.dumps(progress)})
    for path in folder.glob("best_*.safetensors"):
        if best is None or path != _best(folder, best):
            path.unlink()


def read(folder: Path, run: str) -> tuple[dict, dict] | None:
    """(progress, tensors) of that run's last moment; None where there is none, or it is another run's."""
    path = folder / "state.safetensors"
    if not path.is_file():
        return None
    try:
        tensors, metadata = mx.load(str(path), return_metadata=True)
        progress = json.loads(metadata["progress"])
    except (RuntimeError, ValueError, KeyError):  # somebody else's file
        return None
    return (progress, tensors) if metadata.get("run") == run else None


def restore(tensors: dict, model, optimizer) -> None:
    """Put the tensors that `read` gave in their places."""
    parts = {"model": [], "optimizer": []}
    for name, value in tensors.items():
        part, _, inside = name.partition(".")
        if part in parts:
            parts[part].append((inside, value))
    model.load_weights(parts["model"], strict=False)
    optimizer.state = tree_unflatten(parts["optimizer"])
    mx.random.state[0] = tensors["random"]
    mx.eval(model.parameters(), optimizer.state)


def best_weights(folder: Path, progress: dict) -> dict[str, mx.array]:
    """The trained tensors at the best evaluation so far."""
    return mx.load(str(_best(folder, progress["best"]["iteration"])))


def clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _best(folder: Path, iteration: int) -> Path:
    return folder / f"best_{iteration:07d}.safetensors"


def _write(path: Path, tensors: dict[str, mx.array], metadata: dict) -> None:
    with replace_file(path) as new:
        # mlx writes only to names that end like this, and appends it otherwise
        named = new.with_name(new.name + ".safetensors")
        try:
            mx.save_safetensors(str(named), tensors, metadata)
            named.replace(new)
        finally:
            named.unlink(missing_ok=True)
