"""One run from a config, on mlx-lm's own trainer: evaluated, kept while it goes, its best checkpoint at the end.

    inputs = audit.read("ft_configs/….yaml")
    forced = check_audit(inputs)                      # the audit first
    result = train(inputs, metrics_file)        # goes on where a killed run stopped

With a block `ftstudy:` in the config the loss falls on replies and their end-of-turn tokens alone,
of every row; without one, on what mlx-lm trains. Either way the adapter is mlx-lm's own form.
"""

from .. import engine  # noqa: F401  before MLX is imported

# isort: split

import hashlib
import json
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from unittest import mock

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm import lora
from mlx_lm.tuner import datasets, trainer

from .. import (
    audit,
    cost,  # noqa: F401  (before MLX is imported)
)
from ..configs import study
from ..engine import blas, reply_logits
from ..errors import StudyError
from ..files import move_files, new_folder, read_json, write_json, write_jsonl
from ..models import base_models
from ..paths import from_root, shown
from . import batches, loop, methods, state
from .live_display import watching

# Keys that change nothing in the results.
ASIDE = ("config", "adapter_path", "report_to", "project_name", "train", "test", "test_batches")


# The original report's quick look: does the loss move at all?
SMOKE = {"iters": 100, "steps_per_eval": 10}


def read(config, data=None, model=None, *, adapter=None, smoke: bool = False) -> audit.RunInputs:
    """What is trained, as `audit.read` gives it; `smoke`: 100 iterations, evaluated every 10."""
    inputs = audit.read(config, data, model, adapter=adapter)
    inputs.config |= SMOKE if smoke else {}
    return inputs


def check_audit(inputs: audit.RunInputs, force: bool = False) -> list[str]:
    """Let a run begin that the audit finds no error in, or that is forced: then the ids of its errors.

    Raises StudyError with the errors otherwise.
    """
    errors = [item for item in audit.check_before_training(inputs)["findings"] if item["severity"] == "error"]
    if errors and not force:
        told = "; ".join(f"{item['check']}: {item['title']}" for item in errors)
        raise StudyError(
            f"{inputs.where} is not trained, for the run would be wasted: {told}. "
            f"`make audit CONFIG={inputs.where}` says what to mend; FORCE=1 trains it all the same."
        )
    return [item["check"] for item in errors]


def train(inputs: audit.RunInputs, metrics_file: Path) -> dict:
    """Train as the config says, and return the results.

    The adapter's files appear when training is complete, and not before: what a stopped run leaves
    would otherwise be taken for its result. What else is in its folder stays. A run that was killed
    goes on where it was last kept (`state`). `metrics_file` gets the curve while it grows, one row
    an event: {"iteration", "train_loss" and "trained_tokens" or "validation_loss"}, in nats a trained
    token.

    Raises StudyError where there is no data to train on, or where the loss is not a number before
    anything could be kept.
    """
    config = inputs.config
    methods.check(config)
    folder = from_root(config["data"])
    if not (folder / "train.jsonl").is_file():
        raise StudyError(
            f"The config {config['config']} trains on {shown(folder)}, which has no train.jsonl. Extract this variant "
            "first (notebook 01, make extract), or name another config with CONFIG=…."
        )
    model, tokenizer = base_models.load(config["model"])
    parameters = sum(value.size for _, value in tree_flatten(model.parameters()))
    target, run = from_root(config["adapter_path"]), run_id(inputs)
    mine = is_main_process()
    outcome = {}

    def own_training(model, optimizer, args, **_) -> None:
        optimizer, outcome["adapter"] = methods.prepare(model, optimizer, config)
        data = _data(inputs, tokenizer)
        prefix = reply_logits.shared_prefix(model, [] if args.grad_checkpoint else data["rows"], args.batch_size)
        nats = reply_logits.nats_function(model, prefix)
        with watching(args.iters) as watch, _metrics(metrics_file, mine) as write:
            outcome["progress"] = loop.train(
                model,
                optimizer,
                args,
                loss=_loss(nats),
                batches=lambda skip: (_arranged(rows, len(prefix)) for rows in data["batches"](skip)),
                evaluate=(lambda: evaluate(model, nats, data["validation"], len(prefix)))
                if data["validation"]
                else None,
                folder=target / "unfinished",
                run=run,
                patience=(study(config) or {}).get("early_stopping", 0),
                watch=lambda row: (write(row), watch(row)) if mine else None,
            )

    with new_folder(target) as made:
        settings = {"model": str(base_models.resolve(config["model"])), "data": str(folder), "train": True}
        arguments = types.SimpleNamespace(**{**config, **settings, "adapter_path": str(made)})
        try:
            with _own(own_training), blas.share_threads(config["batch_size"]):
                lora.train_model(arguments, model, [], [])
        except (ValueError, KeyError, IndexError) as error:  # what mlx-lm raises at bad data or settings
            raise StudyError(
                f"mlx-lm cannot train {config['config']} on {shown(folder)}: {error}. "
                f"`make audit CONFIG={config['config']}` says what to mend."
            ) from error
        progress = outcome["progress"]
        if progress["best"] is None:
            state.clear(target / "unfinished")
            raise StudyError(
                f"The loss of {config['config']} is not a number, so there is no adapter to keep ({progress['stopped']}). "
                f"Lower learning_rate, or see `make audit CONFIG={config['config']}` for rows without a reply to train on."
            )
        if mine:
            _write_adapter(made, target, run, progress, outcome["adapter"], config)
            write_jsonl(metrics_file, progress["curve"])
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
        "parameters_trained": sum(value.size for _, value in tree_flatten(model.trainable_parameters())),
        "parameters": parameters,
        "examples": len(inputs.splits["train"].rows),
        "epochs": progress["iteration"] * config["batch_size"] / max(len(inputs.splits["train"].rows), 1),
        "tokens_in_loss": progress["trained_tokens"],
        "curve": progress["curve"],
        "cost": {"seconds": progress["seconds"], "tokens": progress["tokens"]},
    }


@contextmanager
def _own(train: Callable) -> Iterator[None]:
    """mlx-lm's preparation of a run with `train` in place of its own, and without what it prints."""
    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(lora, "train", train))
        for module, name in (
            (lora, "print_lora_run_header"),
            (lora, "print_trainable_parameters"),
            (lora, "rprint"),
            (trainer, "rprint"),
        ):
            patches.enter_context(mock.patch.object(module, name))
        yield


def is_main_process() -> bool:
    """Of several machines that train together, the one that writes."""
    return mx.distributed.init().rank() == 0


def summary(result: dict) -> str:
    """A run's end in words."""
    kept, losses = result["kept"], [row["validation_loss"] for row in result["curve"] if "validation_loss" in row]
    lines = [f"stopped: {result['stopped']}"] if result["stopped"] else []
    if losses:
        lines.append(f"kept: iteration {kept['iteration']}, the best of {len(losses) - 1} evaluations")
        worse = kept["validation_loss"] >= losses[0]
        lines.append(
            f"validation loss {losses[0]:.3f} before the first step, {kept['validation_loss']:.3f} kept"
            + (": no better than the base model" if worse else "")
        )
    else:
        lines.append(f"kept: iteration {kept['iteration']}, the last; there is no validation set to choose by")
    return "\n".join([*lines, f"adapter: {result['adapter']}"])


def run_id(inputs: audit.RunInputs) -> str:
    """What a run's result follows from, as 12 hexadecimal digits: settings, data, model and software.

    Two equal runs have the same; an adapter's config and weights bear it, and so does an unfinished run.
    """
    digest = hashlib.sha256()
    config = {key: value for key, value in inputs.config.items() if key not in (*ASIDE, "model", "data")}
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
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


# --- what is trained --------------------------------------------------------------------------


def _data(inputs: audit.RunInputs, tokenizer) -> dict:
    """`rows` (all whose tokens may share a beginning), `batches(skip)`, and the fixed `validation` batches."""
    config = inputs.config
    size, seed = config["batch_size"], config["seed"]
    if study(config):
        rows, valid = (batches.study_rows(inputs, split) for split in ("train", "valid"))
        if not rows:
            raise StudyError(f"{inputs.splits['train'].where} holds no reply to train on. Extract it again.")
        chosen = sorted(batches.spread(valid, config["val_batches"], size), key=lambda row: len(row[0]))
        validation = [chosen[at : at + size] for at in range(0, len(chosen), size)]
        return {
            "rows": rows + valid,
            "batches": lambda skip: batches.by_length(rows, size, seed, skip),
            "validation": validation,
        }
    arguments = types.SimpleNamespace(**{**config, "data": str(inputs.folder), "train": True, "test": False})
    train_set, valid_set, _ = datasets.load_dataset(arguments, tokenizer)
    limit = config["max_seq_length"]
    validation = batches.stock_once(valid_set, size, limit, config["val_batches"]) if len(valid_set) else []
    return {
        "rows": [],
        "batches": lambda skip: batches.stock(train_set, size, limit, seed, skip),
        "validation": validation,
    }


def _arranged(rows: list[reply_logits.Row], start: int) -> tuple[tuple, int]:
    """A batch as the loss takes it, of this machine's rows: (tokens of the whole batch a machine, groups), and
    how many tokens its rows have."""
    world = mx.distributed.init()
    total = sum(len(steps) for _, steps in rows)
    own = rows[world.rank() :: world.size()] or [(rows[0][0], rows[0][1][:0])]
    return (mx.array(total / world.size()), *reply_logits.grouped(own, start)), sum(len(ids) for ids, _ in rows)


def _loss(nats: Callable) -> Callable:
    """mlx-lm's loss, the mean of a batch in nats a trained token, from logits at trained positions.

    Each machine divides by its share of the whole batch's tokens, so that the mean over machines is
    the one of the batch, however its tokens are spread.
    """

    def loss(model, total, *groups):
        losses = sum((found * group[3]).sum() for found, group in zip(nats(model, groups), groups))
        return losses / total, sum(group[3].sum() for group in groups)

    return loss


def evaluate(model, nats: Callable, validation: list, start: int) -> float:
    """The loss of the validation batches, nats a trained token."""
    model.eval()
    losses, tokens = mx.array(0.0), mx.array(0.0)
    for rows in validation:
        (_, *groups), _ = _arranged(rows, start)
        losses += sum((found * group[3]).sum() for found, group in zip(nats(model, groups), groups))
        tokens += sum(group[3].sum() for group in groups)
        mx.eval(losses, tokens)
    model.train()
    return (mx.distributed.all_sum(losses, stream=mx.cpu) / mx.distributed.all_sum(tokens, stream=mx.cpu)).item()


# --- what is kept -----------------------------------------------------------------------------


@contextmanager
def _metrics(path: Path, mine: bool) -> Iterator[Callable[[dict], None]]:
    """The curve as a file that grows with it."""
    if not mine:
        yield lambda row: None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n", buffering=1) as file:
        yield lambda row: file.write(json.dumps(row) + "\n")


def _write_adapter(made: Path, target: Path, run: str, progress: dict, adapter: Callable, config: dict) -> None:
    """The best checkpoint in mlx-lm's form; weights and config bear the run's id, so that two halves are told apart."""
    path = made / "adapter_config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    tensors, written = adapter(state.best_weights(target / "unfinished", progress), written)
    paths = {"model": config["model"], "data": config["data"], "adapter_path": shown(target)}
    write_json(path, {**written, **paths, base_models.RUN: run})
    mx.save_safetensors(str(made / "adapters.safetensors"), tensors, {base_models.RUN: run})
    move_files(made, target)
    state.clear(target / "unfinished")


def save_result(run: Path, result: dict) -> None:
    """Put one config's results into the run's training.json, in place of its earlier ones; its cost into cost.json."""
    result = dict(result)
    spent = result.pop("cost")
    speed = round(spent["tokens"] / spent["seconds"], 1) if spent["seconds"] else None
    cost.record(run, f"training {result['name']}", spent["seconds"], tokens_per_second=speed)
    remove_result(run, result["name"])
    path = run / "training.json"
    others = read_json(path)["configs"] if path.is_file() else []
    write_json(path, {"configs": [result, *others]})


def remove_result(run: Path, name: str) -> None:
    """Take out that config's entry: a run that is about to begin makes it stale, and may fail."""
    path = run / "training.json"
    if path.is_file():
        write_json(path, {"configs": [entry for entry in read_json(path)["configs"] if entry["name"] != name]})


def find_result(run: Path, name: str) -> dict | None:
    """That config's entry of training.json; None where there is none."""
    path = run / "training.json"
    entries = read_json(path)["configs"] if path.is_file() else []
    return next((entry for entry in entries if entry["name"] == name), None)


def load_result(run: Path, name: str) -> dict:
    """That config's entry of training.json. Raises StudyError where there is none, or where its
    adapter's folder holds another run's."""
    entries = read_json(run / "training.json")["configs"]
    entry = find_result(run, name)
    if entry is None:
        raise StudyError(
            f"{shown(run / 'training.json')} has no run of {name}, only of "
            f"{', '.join(entry['name'] for entry in entries) or 'nothing'}; train it first (notebook 03, make train)."
        )
    if base_models.run_of(from_root(entry["adapter"])) != entry["run_id"]:
        raise StudyError(
            f"{entry['adapter']} does not hold the adapter that {shown(run / 'training.json')} tells of: something "
            "else was trained into that folder since, or it was moved. Train it again (notebook 03, make train)."
        )
    return entry
