"""The training runs of a proof: each in its own folder, kept, and resumed after a stop."""

import hashlib
import json
from pathlib import Path

import yaml

from .. import audit, configs, training

# isort: split

from mlx_lm.lora import CONFIG_DEFAULTS

from ..audit.config.mlx_lm_keys import installed
from ..errors import StudyError
from ..files import update_json, write_jsonl, write_text
from ..files.folders import make_folder
from ..files.reading import read_json
from ..machine_failures import pass_on
from ..models import adapters
from ..paths import absolute, shown
from ..resource_use import clock
from .budget import shortened

KEPT = "trainings.json"
PARTS = 4  # of a training: after each, its state is saved


def iterations(draft: dict) -> int:
    """How long a draft trains. Raises StudyError if its config says nothing that could be trained."""
    found = draft["config"].get("iters")
    found = CONFIG_DEFAULTS["iters"] if found is None else found
    if type(found) is not int or found < 1:
        raise StudyError(
            f"`iters: {found}` is not a number of iterations to train for. Correct it in the repaired config."
        )
    return found


def prepare(folder: Path, draft: dict, name: str, seed: int, most: int) -> audit.RunInputs:
    """Write what one training reads, below `folder`, and read it as the trainer does. `seed`: added to the config's own;
    `most`: its iterations at most.

    Rows are written once for all trainings that share them. A config without the study's own block is trained as mlx-lm
    trains: the last weights are kept, so there is no validation. Keys that mlx-lm doesn't read are left out.
    """
    data = folder / f"rows-{_digest(draft['rows'])}"
    make_folder(data)
    for split, found in draft["rows"].items():
        if not (data / f"{split}.jsonl").is_file():
            write_jsonl(data / f"{split}.jsonl", found)
    label = name.replace(" ", "-") + (f"-seed{seed + 1}" if seed else "")
    path = folder / f"{label}.yaml"
    read = {*CONFIG_DEFAULTS, *(key.partition(".")[0] for key in installed().live), "ftstudy"}
    config = {key: value for key, value in draft["config"].items() if key in read}
    changes = {"iters": iterations(draft), "seed": config.get("seed", CONFIG_DEFAULTS["seed"]) + seed, "train": True}
    changes |= {"data": shown(data), "adapter_path": shown(folder / label)}
    config = shortened(config | changes, most)
    config |= {"save_every": -(-config["iters"] // PARTS)}  # what a stopped proof goes on from
    if configs.study(config) is None:
        config |= {"val_batches": 0, "steps_per_eval": config["iters"], "steps_per_report": 10}
    write_text(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    return training.read(path)


def _digest(rows: dict) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:12]


def train(folder: Path, inputs: audit.RunInputs, **more) -> dict:
    """The result of one training: `run_id`, `adapter` (None if training gave none), `iterations`, `stopped` (why it ended
    early, or None), `diverged` and `seconds`. Read from `folder` if it is there already. `more`: for `training.train`."""
    name, run = Path(inputs.where).stem, training.run_id(inputs)
    if known := finished(folder, run):
        return known
    started = clock()
    result = {"run_id": run, "adapter": None, "iterations": inputs.config["iters"], "stopped": None, "diverged": False}
    try:
        found = training.train(inputs, folder / f"{name}.metrics.jsonl", **more)
        result |= {key: found[key] for key in ("adapter", "iterations", "stopped", "diverged")}
    except StudyError as error:
        result |= {"stopped": str(error), "diverged": "not a number" in str(error)}
    result["seconds"] = round(clock() - started, 1)
    update_json(folder / KEPT, lambda known: known | {name: result}, {})
    return result


def finished(folder: Path, run: str) -> dict | None:
    """The result of the training with this id if `folder` has it, under any name: two sets of faults can come to the
    same training. One that failed, but did not diverge, is tried again: the reason may be gone."""
    for known in _known(folder).values():
        if known["run_id"] == run:
            if known["diverged"] if known["adapter"] is None else _is_of(absolute(known["adapter"]), run):
                return known
    return None


def _is_of(adapter: Path, run: str) -> bool:
    try:
        return adapters.run_of(adapter) == run
    except StudyError as error:  # its files are of two runs, as after a crash: it is trained again
        pass_on(error)
        return False


def _known(folder: Path) -> dict:
    try:
        return read_json(folder / KEPT)
    except (OSError, ValueError):
        return {}  # nothing was trained yet, or the file is damaged: then it is trained again
