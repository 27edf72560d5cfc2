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
    best = progress["best"]["iteration"] if progress["best"] else None
    if best == progress["iteration"]:
        _write(_best(folder, best), dict(tree_flatten(model.trainable_parameters())), {})
    told = {"run": run, "progress": json.dumps(progress)}
    _write(folder / "state.safetensors", _tensors(model, optimizer), told)
    for path in folder.glob("best_*.safetensors"):
        if best is None or path != _best(folder, best):
            path.unlink()


def read(folder: Path, run: str, model, optimizer) -> tuple[dict, dict] | None:
    """(progress, tensors) of that run's last moment; None where there is none, or it is another run's.

    Of several machines the first alone has the file, and tells the others.
    """
    world = mx.distributed.init()
    kept = _read(folder / "state.safetensors", run) if world.rank() == 0 else None
    if world.size() == 1 or not _sum(mx.array(kept is not None)).item():
        return kept
    text = json.dumps(kept[0]).encode() if kept else b""
    length = _sum(mx.array(len(text))).item()
    text = bytes(_sum(mx.array(list(text)) if kept else mx.zeros(length, mx.int32)).tolist())
    like = _tensors(model, optimizer)
    tensors = {name: _sum(kept[1][name] if kept else mx.zeros_like(value)) for name, value in like.items()}
    return json.loads(text), tensors


def _read(path: Path, run: str) -> tuple[dict, dict] | None:
    if not path.is_file():
        return None
    try:
        tensors, metadata = mx.load(str(path), return_metadata=True)
        progress = json.loads(metadata["progress"])
    except (RuntimeError, ValueError, KeyError):  # somebody else's file
        return None
    return (progress, tensors) if metadata.get("run") == run else None


def _tensors(model, optimizer) -> dict[str, mx.array]:
    tensors = {f"model.{name}": value for name, value in tree_flatten(model.trainable_parameters())}
    tensors |= {f"optimizer.{name}": value for name, value in tree_flatten(optimizer.state)}
    return tensors | {"random": mx.random.state[0]}


def _sum(array: mx.array) -> mx.array:
    return mx.distributed.all_sum(array.astype(mx.int32) if array.dtype == mx.bool_ else array, stream=mx.cpu)


def restore(tensors: dict, model, optimizer) -> None:
    """Put the tensors that `read` gave in their places."""
    parts = {"model": [], "optimizer": []}
    for name, value in tensors.items():
        part, _, inside = name.partition(".")
        if part in parts:
            parts[part].append((inside, value))
    model.load_weights(parts["model"], strict=False)
    optimizer.state = tree_unflatten(parts["optimizer"])
    high, low = tensors["random"].tolist()
    mx.random.seed(high << 32 | low)  # the two halves of a seed are mlx's whole state
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
