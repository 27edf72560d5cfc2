"""What an unfinished run needs to resume: weights, optimizer, random numbers and curve, in one file.

The file is `<adapter>/unfinished/state.safetensors`, until the run is complete. It is replaced as a whole.
The best weights so far are in a second file, named by their iteration and written first: a kill at any
moment leaves two files that fit together.
"""

import json
import shutil
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten

from ..files import replace_file
from ..files.folders import make_folder
from ..machine_failures import pass_on
from ..models import adapters


def save(folder: Path, run: str, progress: dict, model, optimizer) -> None:
    """Save the run as it is now. `progress`: plain data with `iteration` and `best` ({"iteration", …} or None)."""
    make_folder(folder)
    best = progress["best"]["iteration"] if progress["best"] else None
    if best == progress["iteration"]:
        _write(_best(folder, best), dict(tree_flatten(model.trainable_parameters())), {})
    metadata = {"run": run, "progress": json.dumps(progress)}
    _write(folder / "state.safetensors", _tensors(model, optimizer), metadata)
    for path in folder.glob("best_*.safetensors"):
        if best is None or path != _best(folder, best):
            path.unlink()


def resume(folder: Path, run: str, model, optimizer) -> dict | None:
    """Restore model, optimizer and random numbers, and return the progress saved with them.

    None, and nothing changed, if there is no state or it is another run's. With several machines only the
    first has the file, and sends it to the others.
    """
    world = mx.distributed.init()
    kept = _read(folder / "state.safetensors", run) if world.rank() == 0 else None
    if world.size() > 1 and _sum(mx.array(kept is not None)).item():
        kept = _shared(kept, model, optimizer)
    if kept is None:
        return None
    progress, tensors = kept
    parts = {"model": [], "optimizer": []}
    for name, value in tensors.items():
        part, _, inside = name.partition(".")
        if part in parts:
            parts[part].append((inside, value))
    model.load_weights(parts["model"], strict=False)
    optimizer.state = tree_unflatten(parts["optimizer"])
    high, low = tensors["random"].tolist()
    mx.random.seed(high << 32 | low)  # MLX's whole random state is the two halves of a seed
    mx.eval(model.parameters(), optimizer.state)
    return progress


def best_weights(folder: Path, progress: dict) -> dict[str, mx.array]:
    """The trained tensors at the best evaluation so far."""
    return mx.load(str(_best(folder, progress["best"]["iteration"])))


def clear(folder: Path) -> None:
    """Delete the saved state."""
    shutil.rmtree(folder, ignore_errors=True)


def _read(path: Path, run: str) -> tuple[dict, dict] | None:
    if not path.is_file():
        return None
    try:
        tensors, metadata = mx.load(str(path), return_metadata=True)
        progress = json.loads(metadata["progress"])
    except (RuntimeError, ValueError, KeyError) as error:  # not a file of ours
        pass_on(error)
        return None
    return (progress, tensors) if metadata.get("run") == run else None


def _shared(kept: tuple[dict, dict] | None, model, optimizer) -> tuple[dict, dict]:
    """The first machine's state on every machine: a sum in which all others add zeros."""
    text = json.dumps(kept[0]).encode() if kept else b""
    length = _sum(mx.array(len(text))).item()
    text = bytes(_sum(mx.array(list(text)) if kept else mx.zeros(length, mx.int32)).tolist())
    like = _tensors(model, optimizer)
    tensors = {name: _sum(kept[1][name] if kept else mx.zeros_like(value)) for name, value in like.items()}
    return json.loads(text), tensors


def _sum(array: mx.array) -> mx.array:
    return mx.distributed.all_sum(array.astype(mx.int32) if array.dtype == mx.bool_ else array, stream=mx.cpu)


def _tensors(model, optimizer) -> dict[str, mx.array]:
    tensors = {f"model.{name}": value for name, value in tree_flatten(model.trainable_parameters())}
    tensors |= {f"optimizer.{name}": value for name, value in tree_flatten(optimizer.state)}
    return tensors | {"random": mx.random.state[0]}


def _best(folder: Path, iteration: int) -> Path:
    return folder / f"best_{iteration:07d}.safetensors"


def _write(path: Path, tensors: dict[str, mx.array], metadata: dict) -> None:
    with replace_file(path) as new:
        adapters.save(new, tensors, metadata)
