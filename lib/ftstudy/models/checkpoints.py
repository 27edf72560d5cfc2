"""The numbered checkpoints that mlx-lm saves next to an adapter: 0000100_adapters.safetensors, every `save_every`."""

import filecmp
import re
from pathlib import Path

from . import adapters

NAME = re.compile(r"(\d+)_adapters\.safetensors")


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """(iteration, file) of every numbered checkpoint, in order."""
    found = [(NAME.fullmatch(path.name), path) for path in folder.glob("*_adapters.safetensors")]
    return sorted((int(match[1]), path) for match, path in found if match)


def progress(folder: Path) -> dict:
    """How far the run that made an adapter came, judged by its checkpoints.

    `asked`: the iterations of adapter_config.json, None if it doesn't say. `last`: the last checkpoint's, None without
    checkpoints. `kept`: the iteration whose checkpoint has the adapter's own weights, None if none has. `stopped`: True
    if the adapter's weights are the last checkpoint's and the run was to go on: mlx-lm saves both together, and the
    adapter once more at the end.
    """
    asked = (adapters.read_config(folder) or {}).get("iters")
    asked = asked if type(asked) is int and asked > 0 else None
    saved, weights = numbered(folder), folder / adapters.WEIGHTS
    last = saved[-1][0] if saved else None
    same = [at for at, path in saved if weights.is_file() and filecmp.cmp(path, weights, shallow=False)]
    kept = same[-1] if same else None
    return {
        "asked": asked,
        "last": last,
        "kept": kept,
        "stopped": kept is not None and kept == last and asked is not None and last < asked,
    }
