"""One mlx-lm LoRA run from a config, on mlx-lm's own trainer, with its curve kept."""

import json
import math
import types
from contextlib import contextmanager, nullcontext, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest import mock

import numpy as np
from mlx.utils import tree_flatten
from mlx_lm import lora
from mlx_lm.tuner import datasets, trainer
from mlx_lm.tuner.callbacks import TrainingCallback

from . import audit, base_models, reply_logits
from .audit.loss.replay import KINDS, replay
from .audit.rendering import render
from .errors import StudyError
from .files import move_files, new_folder, read_json, write_json, write_jsonl
from .paths import from_root, shown
from .progress import bar


def admit(subject: audit.Subject, force: bool = False) -> list[str]:
    """Let a run begin that the audit finds no error in, or that is forced: then the ids of its errors.

    Raises StudyError with the errors otherwise.
    """
    errors = [item for item in audit.check_before_training(subject)["findings"] if item["severity"] == "error"]
    if errors and not force:
        told = "; ".join(f"{item['check']}: {item['title']}" for item in errors)
        raise StudyError(
            f"{subject.where} is not trained, for the run would be wasted: {told}. "
            f"`make audit CONFIG={subject.where}` says what to mend; FORCE=1 trains it all the same."
        )
    return [item["check"] for item in errors]


def train(config: dict, metrics_file: Path) -> dict:
    """Train as the config says (see `configs.load`) and return the results.

    The adapter's files appear when training is complete, and not before: what a stopped
    run leaves would otherwise be taken for its result. What else is in its folder stays. `metrics_file` gets the curve, one
    row a report: {"iteration", "train_loss" or "validation_loss", "trained_tokens"}, in
    nats a trained token.

    Raises StudyError where there is no data to train on, or where the loss is not a number.
    """
    np.random.seed(config["seed"])
    model, tokenizer = base_models.load(config["model"])
    parameters = sum(value.size for _, value in tree_flatten(model.parameters()))
    model_folder = base_models.resolve(config["model"])
    data = from_root(config["data"])
    if not (data / "train.jsonl").is_file():
        raise StudyError(
            f"The config {config['config']} trains on {shown(data)}, which has no train.jsonl. Extract this variant "
            "first (notebook 01, make extract), or name another config with CONFIG=…."
        )
    arguments = types.SimpleNamespace(**{**config, "model": str(model_folder), "data": str(data), "train": True})
    curve = _Curve()
    target = from_root(config["adapter_path"])
    with new_folder(target) as adapter:
        arguments.adapter_path = str(adapter)
        try:
            with _our_trainer():
                splits = datasets.load_dataset(arguments, tokenizer)
                lora.train_model(arguments, model, splits[0], splits[1], curve)
        except (ValueError, KeyError, IndexError) as error:  # what mlx-lm raises at bad data or settings
            raise StudyError(
                f"mlx-lm cannot train {config['config']} on {shown(data)}: {error}. "
                f"`make audit CONFIG={config['config']}` says what to mend."
            ) from error
        losses = [row[key] for row in curve.rows for key in ("train_loss", "validation_loss") if key in row]
        if not all(map(math.isfinite, losses)):
            raise StudyError(
                f"The loss of {config['config']} is not a number, so its adapter was not kept. "
                f"Lower learning_rate, or see `make audit CONFIG={config['config']}` for rows without a reply to train on."
            )
        _keep_final_weights_only(adapter, target)
        move_files(adapter, target)
    write_jsonl(metrics_file, curve.rows)
    trained = sum(value.size for _, value in tree_flatten(model.trainable_parameters()))
    return {
        "config": config["config"],
        "name": Path(config["config"]).stem,
        "model": config["model"],
        "data": shown(data),
        "adapter": shown(target),
        "iterations": config["iters"],
        "batch_size": config["batch_size"],
        "learning_rate": config["learning_rate"],
        "parameters_trained": trained,
        "parameters": parameters,
        "examples": len(splits[0]),
        "epochs": config["iters"] * config["batch_size"] / max(len(splits[0]), 1),
        "tokens_in_loss": curve.rows[-1].get("trained_tokens", 0) if curve.rows else 0,
        "curve": curve.rows,
        "loss_tokens": loss_tokens(splits[0], tokenizer, config),
    }


class _Curve(TrainingCallback):
    """Collects what mlx-lm reports. Seconds stay out: they differ between equal runs."""

    def __init__(self):
        self.rows: list[dict] = []

    def on_train_loss_report(self, train_info: dict):
        self.rows.append(
            {
                "iteration": train_info["iteration"],
                "train_loss": train_info["train_loss"],
                "trained_tokens": int(train_info["trained_tokens"]),
            }
        )

    def on_val_loss_report(self, val_info: dict):
        self.rows.append({"iteration": val_info["iteration"], "validation_loss": val_info["val_loss"]})


class _Bar:
    """Stands in for mlx-lm's own display, which prints timings even into notebooks."""

    def __init__(self, iterations: int, rank: int = 0):
        self._bar = bar(total=iterations, desc="training", unit="iteration")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()

    def advance(self):
        self._bar.update()

    def val_task(self, total: int):
        return nullcontext(lambda: None)

    def report_val(self, iteration, loss, seconds):
        self._bar.set_postfix(validation=f"{loss:.2f}")

    def report_train(self, iteration, loss, speed, tokens):
        self._bar.set_postfix(loss=f"{loss:.2f}")

    def report_save(self, path):
        pass


@contextmanager
def _our_trainer():
    """mlx-lm's trainer with our progress bar, our way to its loss, and without what it prints."""

    def train(model, **options):
        return trainer.train(
            model, loss=reply_logits.make_loss(model), iterate_batches=reply_logits.iterate_batches, **options
        )

    with (
        mock.patch.object(trainer, "TrainUI", _Bar),
        mock.patch.object(lora, "train", train),
        mock.patch.object(lora, "print_lora_run_header"),
        redirect_stdout(StringIO()),
    ):
        yield


def _keep_final_weights_only(adapter: Path, target: Path) -> None:
    """Drop the checkpoints, and let the config name the folder where it will stand."""
    for checkpoint in adapter.glob("[0-9]*_adapters.safetensors"):
        checkpoint.unlink()
    path = adapter / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**config, "adapter_path": shown(target)})


def loss_tokens(dataset, tokenizer, config: dict, rows: int = 200) -> dict:
    """Where the loss falls, by replaying the trainer's own processing and batching.

    Returns the number of loss tokens of each sort (prompt, reply, end_of_turn, after_end,
    padding) over the first `rows` rows, their sum `total`, `rows`, and `masked_share`: how
    much of the rows' own tokens carries no loss. mlx-lm's mask also covers one padding
    token after each shorter row, and what its template writes after the end of the turn.
    """
    rows = min(rows, len(dataset)) // config["batch_size"] * config["batch_size"]
    found = replay(
        render([(row, dataset[row]) for row in range(rows)], tokenizer),
        tokenizer,
        mask_prompt=getattr(dataset, "mask_prompt", False),
        batch_size=config["batch_size"],
        limit=config["max_seq_length"],
    )
    counts = dict(zip(KINDS, found.counts().sum(axis=0).tolist()))
    total, own = sum(counts.values()), int(found.kept.sum())
    masked = 1 - (total - counts["padding"]) / own if own else 0.0
    return {**counts, "total": total, "rows": rows, "masked_share": masked}


def record(run: Path, result: dict) -> None:
    """Put one config's results into the run's training.json, in place of its earlier ones."""
    path = run / "training.json"
    entries = read_json(path)["configs"] if path.is_file() else []
    others = [entry for entry in entries if entry["name"] != result["name"]]
    write_json(path, {"configs": [result, *others]})


def recorded(run: Path, name: str) -> dict:
    """That config's entry of training.json. Raises StudyError where there is none."""
    entries = read_json(run / "training.json")["configs"]
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise StudyError(
        f"{shown(run / 'training.json')} has no run of {name}, only of {', '.join(e['name'] for e in entries)}; "
        "train it first (notebook 03, make train)."
    )
