"""One run: from a config and its data to an adapter and a curve."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib import metadata
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.utils import save_config

from .. import audit
from ..audit import contract_writer
from ..chat_format.contract import NAME as CONTRACT
from ..engine import blas, frozen_layers, reply_logits
from ..engine.hidden_states import HiddenStates
from ..errors import StudyError
from ..files import growing, locks, move_files, write_jsonl
from ..files.folders import close_folder, ignore, new_folder
from ..files.foreign import refuse_link
from ..models import adapters, base_models
from ..paths import absolute, check_names, shown
from . import batches, loop, methods, state
from .loss import arrange, evaluate, loss_function

# Keys that don't affect the results.
IGNORED = ("config", "adapter_path", "report_to", "project_name", "train", "test", "test_batches")
# The original report's quick look: does the loss move at all?
SMOKE = {"iters": 100, "steps_per_eval": 10}


def read(config, data=None, model=None, *, adapter=None, smoke: bool = False) -> audit.RunInputs:
    """What to train, as `audit.read` returns it; with `smoke` 100 iterations, evaluated every 10."""
    inputs = audit.read(config, data, model, adapter=adapter)
    inputs.config |= SMOKE if smoke else {}
    return inputs


def check_audit(inputs: audit.RunInputs, force: bool = False) -> list[str]:
    """Audit a run before it starts. Raises StudyError for errors; with `force`, returns their check ids instead."""
    errors = [item for item in audit.check_before_training(inputs)["findings"] if item["severity"] == "error"]
    if errors and not force:
        found = "; ".join(f"{item['check']}: {item['title']}" for item in errors)
        raise StudyError(
            f"Not training {inputs.where}: the audit found errors that would waste the run: {found}. "
            f"`make audit CONFIG={inputs.where}` says how to fix them; FORCE=1 trains anyway."
        )
    return [item["check"] for item in errors]


def train(
    inputs: audit.RunInputs,
    metrics_file: Path,
    watching: Callable | None = None,
    shared: HiddenStates | None = None,
) -> dict:
    """Train as the config says, and return the result, one entry of training.json.

    A killed run resumes where it was last saved (`state`). The adapter's files appear only when training is
    complete, since a stopped run's would look like a result; other files in its folder stay. `metrics_file`
    gets the curve as it grows, one row per event: {"iteration", "train_loss" and "trained_tokens", or
    "validation_loss"}, in nats per trained token. `watching(iterations)`: a context that gives a function, which is
    called with each row. `shared`: where this process keeps what the layers below the adapter make of each row; with it
    the losses change only by rounding.

    Raises StudyError if there is nothing to train on, if mlx-lm rejects a setting, if the loss is not a number before
    anything could be saved, or if another process is training into the same adapter folder or metrics file.
    """
    config = inputs.config
    methods.check(config)
    folder = absolute(config["data"])
    if not (folder / "train.jsonl").is_file():
        raise StudyError(
            f"No train.jsonl in {shown(folder)}, which {config['config']} trains on. Extract this variant first "
            "(notebook 01, make extract), or choose another config with CONFIG=…."
        )
    target = absolute(config["adapter_path"])
    check_names(target)
    refuse_link(target, adapters.read_config)
    with _only_one(target, metrics_file):
        return _train(inputs, folder, target, metrics_file, watching, shared)


@contextmanager
def _only_one(target: Path, metrics_file: Path) -> Iterator[None]:
    """Keep other processes from training into the same folder. Raises StudyError if one does already."""
    if not is_main_process():
        yield
        return
    instead = "Wait until it has ended, or give this config another adapter_path."
    with locks.held(target / locks.LOCK, f"{shown(target)} is being trained", instead):
        if adapters.RUN in (adapters.read_config(target) or {}):
            close_folder(target)
        ignore(target, CONTRACT, locks.LOCK)  # in a folder that somebody else made
        name = metrics_file.stem.removesuffix(".metrics")
        again = f"Wait until it has ended, or use another RUN (--run) or a config not named {name}."
        place = metrics_file.with_name(f".{name}.lock")
        with locks.held(place, f"{name} of {shown(metrics_file.parent)} is being trained", again):
            yield


def _train(inputs: audit.RunInputs, folder: Path, target: Path, metrics_file: Path, watching, shared) -> dict:
    config = inputs.config
    model, tokenizer = base_models.load(config["model"])
    parameters, run = _size(model.parameters()), run_id(inputs)
    unfinished = target / "unfinished"
    with new_folder(target) as new:
        paths = {"model": config["model"], "data": config["data"], "adapter_path": shown(target)}
        written = {**config, **paths, "train": True, adapters.RUN: run}
        if config["fine_tune_type"] == "full":
            written["lora_parameters"] = None
        save_config(dict(written), new / "adapter_config.json")
        try:
            with blas.share_threads(config["batch_size"]):
                optimizer, as_adapter = methods.prepare(model, config)
                progress = _run_loop(
                    inputs, model, tokenizer, optimizer, unfinished, run, metrics_file, watching, shared
                )
        except (ValueError, KeyError, IndexError) as error:  # what mlx-lm raises for bad data or settings
            raise StudyError(
                f"mlx-lm cannot train {config['config']} on {shown(folder)}: {error}. "
                f"`make audit CONFIG={config['config']}` says how to fix it."
            ) from error
        if progress["best"] is None:
            state.clear(unfinished)
            raise StudyError(
                f"The loss of {config['config']} is not a number, so there is no adapter to keep "
                f"({progress['stopped']}). Lower learning_rate, or look for rows without a reply with "
                f"`make audit CONFIG={config['config']}`."
            )
        if is_main_process():
            best = state.best_weights(unfinished, progress)
            tensors, lora_parameters = as_adapter(best, written["lora_parameters"])
            # Weights and config carry the run's id, which shows when they come from different runs.
            save_config(written | {"lora_parameters": lora_parameters}, new / "adapter_config.json")
            adapters.save(new / adapters.WEIGHTS, tensors, {adapters.RUN: run})
            with suppress(StudyError):  # rows of plain text have no prompt to agree on
                contract_writer.write(inputs, [], new)
            write_jsonl(metrics_file, progress["curve"])  # before the state goes, in case there is no room for it
            move_files(new, target)
            state.clear(unfinished)
    examples = len(inputs.splits["train"].rows)
    return {
        "config": config["config"],
        "name": Path(config["config"]).stem,
        "run_id": run,
        "model": config["model"],
        "data": shown(folder),
        "adapter": shown(target),
        "iterations": progress["iteration"],
        "kept": progress["best"],
        "stopped": progress["stopped"],
        "diverged": progress["diverged"],
        "batch_size": config["batch_size"],
        "learning_rate": config["learning_rate"],
        "scale": None if config["fine_tune_type"] == "full" else config["lora_parameters"]["scale"],
        "parameters_trained": _size(model.trainable_parameters()),
        "parameters": parameters,
        "examples": examples,
        "epochs": progress["iteration"] * config["batch_size"] / max(examples, 1),
        "tokens_in_loss": progress["trained_tokens"],
        "curve": progress["curve"],
        "cost": {"seconds": progress["seconds"], "tokens": progress["tokens"]},
    }


def _run_loop(
    inputs, model, tokenizer, optimizer, unfinished: Path, run: str, metrics_file: Path, watching, shared
) -> dict:
    """Run the training loop on the run's batches; returns its progress."""
    config, data = inputs.config, batches.read(inputs, tokenizer)
    sharing = [] if config["grad_checkpoint"] else data.rows
    prefix = reply_logits.shared_prefix(model, sharing, config["batch_size"])
    frozen = shared and frozen_layers.below(model, shared, data.sample(), prefix, trained=True)
    nats = reply_logits.nats_function(model, prefix, frozen=frozen)
    nobody, is_main = nullcontext(lambda row: None), is_main_process()
    with (
        watching(config["iters"]) if watching and is_main else nobody as watch,
        growing(metrics_file) if is_main else nobody as write,
    ):
        return loop.train(
            model,
            optimizer,
            config,
            loss=loss_function(nats),
            batches=lambda skip: (arrange(rows, len(prefix), frozen) for rows in data.train(skip)),
            evaluate=(lambda: evaluate(model, nats, data.validation, len(prefix), frozen)) if data.validation else None,
            folder=unfinished,
            run=run,
            report=lambda row: (write(row), watch(row)),
        )


def _size(tree) -> int:
    return sum(array.size for _, array in tree_flatten(tree))


def is_main_process() -> bool:
    """True for the one process that writes, of those that train together on several machines."""
    return mx.distributed.init().rank() == 0


def summary(result: dict) -> str:
    """How a run ended, in a few lines."""
    kept, losses = result["kept"], [row["validation_loss"] for row in result["curve"] if "validation_loss" in row]
    lines = [f"stopped: {result['stopped']}"] if result["stopped"] else []
    if losses:
        lines.append(f"kept: iteration {kept['iteration']}, the best of {len(losses) - 1} evaluations")
        worse = kept["validation_loss"] >= losses[0]
        lines.append(
            f"validation loss: {losses[0]:.3f} before training, {kept['validation_loss']:.3f} kept"
            + (" (no better than the base model)" if worse else "")
        )
    else:
        lines.append(f"kept: iteration {kept['iteration']}, the last, since there is no validation set to choose by")
    return "\n".join([*lines, f"adapter: {result['adapter']}"])


def run_id(inputs: audit.RunInputs) -> str:
    """12 hexadecimal digits that identify what determines a run's result: settings, data, model and software.

    Equal runs have equal ids. An adapter's config and weights carry the id, and so does an unfinished run.
    """
    digest = hashlib.sha256()
    config = {key: value for key, value in inputs.config.items() if key not in (*IGNORED, "model", "data")}
    versions = {name: metadata.version(name) for name in ("mlx", "mlx-lm")}
    arithmetic = {key: blas.describe()[key] for key in ("library", "version", "core_type", "threads")}
    setting = {"config": config, "versions": versions, "blas": arithmetic, "machines": mx.distributed.init().size()}
    digest.update(json.dumps(setting, sort_keys=True, default=str).encode())
    model = base_models.resolve(inputs.config["model"])
    files = [inputs.folder / "train.jsonl", inputs.folder / "valid.jsonl"]
    files += [path for path in sorted(model.iterdir()) if path.suffix in (".safetensors", ".json", ".jinja", ".model")]
    if inputs.config.get("resume_adapter_file"):
        files.append(Path(inputs.config["resume_adapter_file"]))
    for path in files:
        if path.is_file() and path.name != base_models.RECIPE:
            with path.open("rb") as file:
                digest.update(os.fsencode(path.name) + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
