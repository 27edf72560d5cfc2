"""Real runs on the tiny model: what they train, what they leave behind, and what stops them."""

import json
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from conftest import example, refused
from ftstudy import audit, chat_format, configs, training
from ftstudy.chat_format import contract
from ftstudy.engine import cpu_math, reply_logits
from ftstudy.errors import StudyError
from ftstudy.models import adapters, base_models
from ftstudy.training import batches, loop, loss, methods, state, stock_comparison
from mlx_lm import lora, utils
from mlx_lm.tuner import datasets, trainer
from mlx_lm.tuner.callbacks import TrainingCallback

ROWS = [example(user=f"Contact: hey {number}", reply="yo " * (number % 5 + 1)) for number in range(13)]
SETTINGS = {
    "model": "tiny",
    "train": True,
    "mask_prompt": True,
    "num_layers": 2,
    "batch_size": 2,
    "iters": 6,
    "learning_rate": 1.0e-2,
    "steps_per_report": 2,
    "steps_per_eval": 3,
    "val_batches": 2,
}
STUDY = {"ftstudy": {"train_on": "last"}}


@pytest.fixture
def make_run(tmp_path, write_split):
    """A run to train; keywords are keys of its config, `rows` is the content of train.jsonl."""

    def make(rows=ROWS, valid=ROWS, name="tiny", **settings):
        for split, content in (("train", rows), ("valid", valid), ("test", ROWS)):
            if content is not None:
                write_split(tmp_path / "data", split, content)
        folders = {"data": f"{tmp_path}/data", "adapter_path": f"{tmp_path}/{name}.adapter"}
        config = {**SETTINGS, **folders, **settings}
        path = tmp_path / f"{name}.yaml"
        path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in config.items()))
        return training.read(path)

    return make


def trained(made, tmp_path):
    return training.train(made, tmp_path / "metrics.jsonl")


def tensors_of(made):
    return mx.load(f"{made.config['adapter_path']}/adapters.safetensors")


def losses(result, key="train_loss"):
    return [row[key] for row in result["curve"] if key in row]


# --- a run, and what it leaves ------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, STUDY], ids=["stock", "study"])
def test_a_run_learns_and_its_adapter_loads(make_run, tmp_path, settings):
    made = make_run(**settings)
    result = trained(made, tmp_path)
    assert losses(result)[-1] < losses(result)[0]
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == result["curve"]
    adapter = tmp_path / "tiny.adapter"
    names = [".gitignore", "adapter_config.json", "adapters.safetensors", "prompt_contract.json"]
    assert sorted(path.name for path in adapter.iterdir()) == names
    assert contract.verify(contract.load(adapter), made.tokenizer, made.model) == []
    assert json.loads((adapter / "adapter_config.json").read_text())["adapter_path"].endswith("tiny.adapter")
    base, tokenizer = base_models.load("tiny")
    tuned, _ = base_models.load("tiny", adapter)
    ids = mx.array([tokenizer.encode("hey you")])
    assert not mx.allclose(base(ids), tuned(ids)).item()


@pytest.mark.parametrize("settings", [{}, STUDY], ids=["stock", "study"])
def test_equal_runs_are_bit_identical(make_run, tmp_path, settings):
    first, other = (make_run(name=name, **settings) for name in ("first", "other"))
    assert trained(first, tmp_path)["curve"] == trained(other, tmp_path)["curve"]
    files = [Path(made.config["adapter_path"], "adapters.safetensors").read_bytes() for made in (first, other)]
    assert files[0] == files[1]


def test_fixed_validation_set_evaluated_before_first_and_after_last_step(make_run, tmp_path):
    result = trained(make_run(learning_rate=0.0, iters=7, **STUDY), tmp_path)
    evaluations = [row for row in result["curve"] if "validation_loss" in row]
    assert [row["iteration"] for row in evaluations] == [0, 3, 6, 7]
    assert len({row["validation_loss"] for row in evaluations}) == 1
    assert result["kept"]["iteration"] == 3, "the first of equally good ones"
    assert [row["iteration"] for row in result["curve"] if "train_loss" in row] == [2, 4, 6, 7]
    assert "no better than the base model" in training.summary(result)


def test_best_checkpoint_is_kept_instead_of_the_last(make_run, tmp_path):
    others = [example(user=f"Contact: hey {number}", reply="see you later") for number in range(8)]
    settings = {"iters": 24, "learning_rate": 0.03, "valid": others, **STUDY}
    made = make_run(**settings)
    result = trained(made, tmp_path)
    evaluations = {row["iteration"]: row["validation_loss"] for row in result["curve"] if "validation_loss" in row}
    del evaluations[0]
    best = min(evaluations, key=evaluations.get)
    assert best != 24, "choose settings with which training gets worse again"
    assert result["kept"] == {"iteration": best, "validation_loss": evaluations[best]}
    # The adapter is that checkpoint: trained to there, the run gives the same weights.
    other = make_run(name="other", **settings | {"iters": best})
    trained(other, tmp_path)
    for name, value in tensors_of(made).items():
        assert mx.array_equal(value, tensors_of(other)[name]).item()


def test_last_checkpoint_is_kept_without_a_validation_set(make_run, tmp_path):
    made = make_run(valid=None, **STUDY)
    result = trained(made, tmp_path)
    assert result["kept"] == {"iteration": 6, "validation_loss": None} and not losses(result, "validation_loss")
    assert "no validation set" in training.summary(result)


def test_early_stopping(make_run, tmp_path):
    block = {"ftstudy": {"early_stopping": 2}}
    result = trained(make_run(iters=60, learning_rate=0.5, **block), tmp_path)
    assert result["iterations"] < 60 and result["stopped"].startswith("early") and not result["diverged"]
    assert result["iterations"] == result["kept"]["iteration"] + 6
    assert trained(make_run(iters=12, name="patient"), tmp_path)["stopped"] is None


def test_failed_run_leaves_an_older_adapter_alone(make_run, tmp_path):
    made = make_run(rows=[])
    (tmp_path / "tiny.adapter").mkdir()
    (tmp_path / "tiny.adapter" / "mine").write_text("keep")
    with pytest.raises(StudyError, match="No row to train on"):
        trained(made, tmp_path)
    assert (tmp_path / "tiny.adapter" / "mine").read_text() == "keep"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_other_files_in_the_adapter_folder_stay(make_run, tmp_path):
    (tmp_path / "tiny.adapter").mkdir()
    (tmp_path / "tiny.adapter" / "mine").write_text("keep")
    trained(make_run(), tmp_path)
    assert {path.name for path in (tmp_path / "tiny.adapter").iterdir()} == {
        ".gitignore",
        "adapter_config.json",
        "adapters.safetensors",
        "mine",
        "prompt_contract.json",
    }


def test_missing_data_error_names_the_folder(make_run, tmp_path):
    made = make_run()
    made.config["data"] = str(tmp_path / "nowhere")
    with pytest.raises(StudyError, match="nowhere"):
        trained(made, tmp_path)


@pytest.mark.parametrize("settings", [{}, STUDY], ids=["stock", "study"])
def test_an_empty_training_file_is_refused(make_run, tmp_path, settings):
    refused(lambda: trained(make_run(rows=[], **settings), tmp_path), "to train on in", "train.jsonl")


@pytest.mark.parametrize("settings", [{}, STUDY], ids=["stock", "study"])
def test_nan_loss_before_the_first_save_leaves_no_adapter(make_run, tmp_path, settings):
    with pytest.raises(StudyError, match="not a number"):
        trained(make_run(learning_rate=1e30, **settings), tmp_path)
    assert not (tmp_path / "tiny.adapter" / "adapters.safetensors").exists()
    assert not (tmp_path / "tiny.adapter" / "unfinished").exists()


def rising(first, then, at):
    """A learning rate that jumps after so many updates."""
    return {"lr_schedule": {"name": "step_decay", "arguments": [first, then, at]}}


@pytest.mark.parametrize("factor, reason", [(1e33, "nan|inf"), (3e3, "exploded")])
@pytest.mark.parametrize("valid", [ROWS, None], ids=["validated", "not validated"])
def test_diverging_run_keeps_its_last_good_state(make_run, tmp_path, factor, reason, valid):
    start = make_run(
        name="start", iters=120, num_layers=-1, fine_tune_type="full", learning_rate=5e-3, **STUDY
    )  # something to lose again
    trained(start, tmp_path)
    resumed = {"resume_adapter_file": f"{start.config['adapter_path']}/adapters.safetensors"}
    (tmp_path / "data" / "valid.jsonl").unlink()
    resumed |= {"fine_tune_type": "full", "num_layers": -1}
    made = make_run(iters=60, valid=valid, **resumed, **rising(1e-4, factor, 14), **STUDY)
    result = trained(made, tmp_path)
    assert result["diverged"] and re.search(reason, result["stopped"])
    assert 3 <= result["kept"]["iteration"] <= (30 if valid else 39) and result["iterations"] < 60
    assert all(np.isfinite(np.array(value)).all() for value in tensors_of(made).values())


def test_config_and_weights_have_the_same_run_id(make_run, tmp_path):
    made = make_run()
    result = trained(made, tmp_path)
    adapter = tmp_path / "tiny.adapter"
    assert adapters.run_of(adapter) == result["run_id"] == training.run_id(made)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {adapters.RUN: "another"}))
    with pytest.raises(StudyError, match="two|another"):
        base_models.load("tiny", adapter)


def test_run_id_depends_on_settings_and_data_but_not_on_the_name(make_run):
    first = training.run_id(make_run())
    assert training.run_id(make_run(name="other")) == first
    assert (
        len({first} | {training.run_id(make_run(**change)) for change in (STUDY, {"seed": 1}, {"rows": ROWS[:9]})}) == 4
    )


# --- resuming after a kill ----------------------------------------------------------------------

RUN = "import sys, ftstudy.training as t; from pathlib import Path; t.train(t.read(sys.argv[1]), Path(sys.argv[2]))"


def killed_after(made, tmp_path, rows: int) -> None:
    """Train in a separate process and kill it as soon as its curve has so many rows."""
    metrics = tmp_path / "metrics.jsonl"
    metrics.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, made.config["config"], str(metrics)], stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if metrics.is_file() and len(metrics.read_text().splitlines()) >= rows:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.001)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "it finished before it could be killed"


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        STUDY | {"lora_parameters": {"rank": 4, "scale": 20.0, "dropout": 0.3}},
        {"grad_accumulation_steps": 2, "optimizer": "adamw"},
        {"fine_tune_type": "full", "ftstudy": {"method": "galore", "galore": {"rank": 4, "update_every": 7}}},
        {"ftstudy": {"method": "pissa"}, "lora_parameters": {"rank": 4, "scale": 1.0, "dropout": 0.0}},
    ],
    ids=["stock", "dropout", "accumulation", "galore", "pissa"],
)
def test_killed_run_resumes_bit_for_bit(make_run, tmp_path, settings):
    settings = {**settings, "iters": 240, "steps_per_eval": 20, "learning_rate": 1e-3}
    whole = make_run(name="whole", **settings)
    unbroken = trained(whole, tmp_path)
    broken = make_run(name="broken", **settings)
    for rows in (1, 70):
        killed_after(broken, tmp_path, rows)
        assert not (tmp_path / "broken.adapter" / "adapters.safetensors").exists()
    result = trained(broken, tmp_path)
    assert result["curve"] == unbroken["curve"] and result["kept"] == unbroken["kept"]
    assert result["cost"]["tokens"] < unbroken["cost"]["tokens"], "it started over"
    weights = [Path(made.config["adapter_path"], "adapters.safetensors").read_bytes() for made in (whole, broken)]
    assert weights[0] == weights[1]


def test_unfinished_state_of_another_config_is_ignored(make_run, tmp_path, monkeypatch):
    made = make_run(iters=6)
    with monkeypatch.context() as patch:
        patch.setattr(state, "best_weights", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            trained(made, tmp_path)
    assert (tmp_path / "tiny.adapter" / "unfinished" / "state.safetensors").is_file()
    result = trained(make_run(iters=6, seed=1), tmp_path)
    assert result["curve"] == trained(make_run(name="fresh", iters=6, seed=1), tmp_path)["curve"]
    (tmp_path / "tiny.adapter" / "unfinished").mkdir(exist_ok=True)
    (tmp_path / "tiny.adapter" / "unfinished" / "state.safetensors").write_bytes(b"broken")
    assert trained(make_run(iters=6, seed=1), tmp_path)["curve"] == result["curve"]


@pytest.mark.parametrize(
    "settings",
    [STUDY, {"fine_tune_type": "full", "ftstudy": {"method": "galore", "galore": {"rank": 4, "update_every": 4}}}],
    ids=["lora", "galore"],
)
def test_compiled_steps_give_the_same_curve(make_run, tmp_path, monkeypatch, settings):
    settings = {**settings, "learning_rate": 1e-3, "iters": 9}
    plain = trained(make_run(**settings), tmp_path)
    monkeypatch.setattr(cpu_math, "applies", lambda: False)
    compiled = trained(make_run(name="compiled", **settings), tmp_path)
    assert losses(compiled) == pytest.approx(losses(plain), abs=1e-4)


def test_gradient_checkpointing_gives_the_same_curve_and_is_switched_off_again(make_run, tmp_path, monkeypatch):
    layer = type(base_models.load("tiny")[0].layers[0])
    original, used = layer.__call__, []
    monkeypatch.setattr(loop, "grad_checkpoint", lambda one: used.append(one) or trainer.grad_checkpoint(one))
    plain, less = (trained(make_run(name=str(on), grad_checkpoint=on, **STUDY), tmp_path) for on in (False, True))
    assert losses(less) == pytest.approx(losses(plain), abs=1e-4)
    assert len(used) == 1 and layer.__call__ is original


def test_state_is_saved_every_save_every_steps_with_one_best_checkpoint(make_run, tmp_path, monkeypatch):
    saved, save = [], state.save

    def counted(folder, run, progress, *more):
        save(folder, run, progress, *more)
        saved.append((progress["iteration"], len(list(folder.glob("best_*")))))

    monkeypatch.setattr(state, "save", counted)
    trained(make_run(steps_per_eval=4, save_every=3, iters=8, valid=None, **STUDY), tmp_path)
    assert saved == [(3, 0), (4, 1), (6, 1), (8, 1)]


# --- the same as stock mlx-lm -------------------------------------------------------------------


class Losses(TrainingCallback):
    def __init__(self):
        self.losses, self.tokens = [], []

    def on_train_loss_report(self, info):
        self.losses.append(info["train_loss"])
        self.tokens.append(info["trained_tokens"])


@pytest.mark.parametrize("mask_prompt", [True, False])
@pytest.mark.parametrize("kind", ["lora", "dora", "full", "accumulation"])
def test_every_step_equals_mlx_lms_without_the_ftstudy_block(make_run, tmp_path, kind, mask_prompt):
    settings = {"fine_tune_type": kind, "learning_rate": 1e-3}
    if kind == "accumulation":  # by SGD, since Adam's steps hardly depend on the gradient's size
        settings = {"grad_accumulation_steps": 2, "optimizer": "sgd", "learning_rate": 0.1}
    settings |= {"mask_prompt": mask_prompt, "steps_per_report": 1}
    made = make_run(valid=None, **settings)
    theirs = Losses()
    np.random.seed(made.config["seed"])
    model, tokenizer = utils.load(str(base_models.resolve("tiny")))[:2]
    arguments = types.SimpleNamespace(**{**made.config, "adapter_path": str(tmp_path / "theirs")})
    train_set, _, _ = datasets.load_dataset(arguments, tokenizer)
    lora.train_model(arguments, model, train_set, [], theirs)
    ours = trained(made, tmp_path)
    assert losses(ours) == pytest.approx(theirs.losses, abs=1e-4)
    assert losses(ours, "trained_tokens") == theirs.tokens
    for name, value in mx.load(str(tmp_path / "theirs" / "adapters.safetensors")).items():
        assert mx.allclose(value, tensors_of(made)[name], atol=2e-3).item(), name
    ours, theirs = (
        json.loads(Path(folder, "adapter_config.json").read_text())
        for folder in (made.config["adapter_path"], tmp_path / "theirs")
    )
    assert ours == theirs | {"adapter_path": made.config["adapter_path"], adapters.RUN: training.run_id(made)}


@pytest.mark.parametrize("kind", ["lora", "dora", "full", "dropout", "pissa", "galore"])
def test_plain_mlx_lm_loads_the_adapter(make_run, tmp_path, kind):
    settings = {
        "dropout": {"lora_parameters": {"rank": 4, "scale": 20.0, "dropout": 0.5}, **STUDY},
        "pissa": {"ftstudy": {"method": "pissa"}},
        "galore": {"fine_tune_type": "full", "ftstudy": {"method": "galore", "galore": {"rank": 4}}},
    }.get(kind, {"fine_tune_type": kind, **STUDY})
    made = make_run(learning_rate=1e-3, **settings)
    result = trained(made, tmp_path)
    written = json.loads((tmp_path / "tiny.adapter" / "adapter_config.json").read_text())
    assert result["scale"] == (written["lora_parameters"] or {"scale": None})["scale"]
    plain, tokenizer = utils.load(str(base_models.resolve("tiny")), adapter_path=made.config["adapter_path"])[:2]
    # The loaded adapter gives the loss that the run reported for it.
    rows = batches.spread(batches.study_rows(made, "valid"), 2, 2)
    nats = reply_logits.nats_function(plain, np.zeros(0, dtype=np.int32))
    found = loss.evaluate(plain, nats, [rows], 0)
    assert found == pytest.approx(result["kept"]["validation_loss"], abs=1e-4)


def test_a_method_with_the_wrong_fine_tune_type_is_rejected(make_run, tmp_path):
    for settings in ({"method": "pissa"}, {"method": "galore"}, {"method": "lisa"}):
        kind = "lora" if settings["method"] == "galore" else "full"
        with pytest.raises(StudyError, match=settings["method"]):
            trained(make_run(fine_tune_type=kind, ftstudy=settings), tmp_path)
    assert set(methods.NEEDS) == {"pissa", "galore"}


@pytest.mark.parametrize(
    "block, says",
    [
        ({"train_on": "first"}, "`ftstudy.train_on: first`.*Set it to `last`"),
        ({"early_stopping": True}, "`ftstudy.early_stopping: True`.*a whole number"),
        ({"galore": {"rank": 0}}, "`ftstudy.galore.rank: 0`.*from 1"),
        ({"galore": {"ranks": 4}}, "`ftstudy.galore.ranks: 4`.*no such option"),
        ({"galore": 4}, "`ftstudy.galore: 4`.*a block with rank"),
    ],
)
def test_an_invalid_ftstudy_block_is_rejected(make_run, tmp_path, block, says):
    with pytest.raises(StudyError, match=says):
        trained(make_run(ftstudy=block), tmp_path)


# --- what is trained ----------------------------------------------------------------------------


def test_only_replies_and_their_end_of_turn_are_trained(make_run):
    made = make_run(**STUDY)
    for row, (ids, steps) in zip(ROWS, batches.study_rows(made, "train")):
        own, mask = chat_format.training_ids(row, made.tokenizer)
        assert ids.tolist() == own and steps.tolist() == np.flatnonzero(mask).tolist()


def test_every_row_is_trained_once_per_epoch_in_batches_of_similar_length(make_run):
    rows = [(np.arange(1 + number * 7 % 50), np.array([1])) for number in range(333)]
    drawn = batches.by_length(rows, 4, seed=0)
    epoch = [next(drawn) for _ in range(84)]
    assert sorted(len(ids) for batch in epoch for ids, _ in batch) == sorted(len(ids) for ids, _ in rows)
    assert len({id(ids) for batch in epoch for ids, _ in batch}) == 333
    padding = sum(max(len(ids) for ids, _ in batch) * len(batch) - sum(len(ids) for ids, _ in batch) for batch in epoch)
    assert padding < 0.05 * sum(len(ids) for ids, _ in rows)
    following = [next(drawn) for _ in range(84)]
    assert [len(batch[0][0]) for batch in following] != [len(batch[0][0]) for batch in epoch]


def test_the_order_of_batches_depends_on_the_seed_and_is_not_by_length():
    rows = [(np.arange(1 + number * 7 % 50), np.array([1])) for number in range(333)]
    epochs = [
        [len(next(drawn)[0][0]) for _ in range(84)] for drawn in (batches.by_length(rows, 4, seed) for seed in (0, 1))
    ]
    assert epochs[0] != epochs[1] and epochs[0][: batches.POOL] != sorted(epochs[0][: batches.POOL])


def test_spread_selects_evenly_or_everything():
    assert batches.spread(range(10), -1, 2) == list(range(10))
    chosen = batches.spread(range(10), 2, 2)
    assert len(chosen) == 4 and chosen == sorted(set(chosen))


def test_rows_are_cut_at_max_seq_length_and_left_out_without_a_reply(make_run):
    lengths = [len(ids) for ids, _ in batches.study_rows(make_run(**STUDY), "train")]
    limit = min(lengths) + 1
    cut = batches.study_rows(make_run(max_seq_length=limit, **STUDY), "train")
    assert cut and all(len(ids) <= limit and len(steps) and steps[-1] < limit for ids, steps in cut)
    assert batches.study_rows(make_run(max_seq_length=5, **STUDY), "train") == []


def test_stock_batches_of_long_rows_are_mlx_lms_without_its_warnings(tokenizer, capsys):
    dataset = datasets.ChatDataset(ROWS, tokenizer, mask_prompt=True)
    ours = batches.stock(dataset, 2, 40, seed=0)
    found = [next(ours) for _ in ROWS]  # twice as many as an epoch has
    assert not capsys.readouterr().out
    theirs = trainer.iterate_batches(datasets.CacheDataset(dataset), 2, 40, loop=True, seed=0)
    for rows, (ids, _) in zip(found, theirs):
        assert all(row.tolist() == own[: len(row)] for (row, _), own in zip(rows, ids.tolist()))
    assert max(len(row) for rows in found for row, _ in rows) == 40


@pytest.mark.parametrize("skip", [0, 1, 83, 84, 100, 168])
def test_batches_resume_after_skipped_ones(skip):
    rows = [(np.arange(1 + number * 7 % 50), np.array([1])) for number in range(333)]
    whole, rest = batches.by_length(rows, 4, seed=3), batches.by_length(rows, 4, seed=3, skip=skip)
    for _ in range(skip):
        next(whole)
    for _ in range(100):
        assert [id(ids) for ids, _ in next(whole)] == [id(ids) for ids, _ in next(rest)]


def test_fewer_rows_than_a_batch_are_trained(make_run, tmp_path):
    result = trained(make_run(rows=ROWS[:3], batch_size=4, **STUDY), tmp_path)
    assert losses(result)[-1] < losses(result)[0]


def test_train_on_last_or_all_replies_of_a_conversation(make_run, tmp_path):
    turns = [{"role": role, "content": f"{role} {at}"} for at in range(3) for role in ("user", "assistant")]
    counts = {}
    for which in ("last", "all"):
        made = make_run(rows=[{"messages": turns}] * 4, name=which, ftstudy={"train_on": which})
        counts[which] = [len(steps) for _, steps in batches.study_rows(made, "train")]
        trained(made, tmp_path)
    reply = len(made.tokenizer.encode("assistant 0", add_special_tokens=False)) + 1
    assert counts == {"last": [reply] * 4, "all": [3 * reply] * 4}


def test_loss_tokens_of_both_trainers(make_run):
    made = make_run(rows=ROWS[:12], **STUDY)
    ours, theirs = stock_comparison.loss_tokens(made, stock=False), stock_comparison.loss_tokens(made, stock=True)
    replies = sum(len(ids) for ids, _ in chat_format.reply_ids(ROWS[:12], made.tokenizer))
    assert (ours["reply"], ours["end_of_turn"], ours["total"]) == (replies, 12, replies + 12)
    assert (theirs["reply"], theirs["end_of_turn"], theirs["after_end"]) == (replies, 12, 12)
    assert theirs["padding"] > 0 and ours["prompt"] == theirs["prompt"] == 0
    dataset = datasets.ChatDataset(ROWS[:12], made.tokenizer, mask_prompt=True)
    counted = [
        trainer.default_loss(base_models.load("tiny")[0], *batch)[1].item()
        for batch in trainer.iterate_batches(datasets.CacheDataset(dataset), 2, 2048)
    ]
    assert sum(counted) == theirs["total"]


def test_without_mask_prompt_nearly_all_loss_is_on_the_prompt(make_run):
    counts = stock_comparison.loss_tokens(make_run(mask_prompt=False), stock=True)
    assert counts["prompt"] / counts["total"] > 0.7


def test_the_run_is_repeated_as_stock_mlx_lm_trains_it(make_run, tmp_path):
    made = make_run(**STUDY)
    result = trained(made, tmp_path)
    rows = stock_comparison.trained_as_stock(made, result)
    base, ours, theirs = rows
    assert [row["model"] for row in rows] == ["base", "this run", "stock mlx-lm"]
    assert ours["reply"] < base["reply"] and theirs["reply"] < base["reply"] and ours["reply"] != theirs["reply"]
    assert adapters.run_of(tmp_path / "tiny.adapter") == result["run_id"]


# --- results, and the audit first ---------------------------------------------------------------


def test_one_result_per_config(make_run, tmp_path):
    results = [trained(make_run(name=name), tmp_path) for name in ("a", "b")]
    for result in (*results, results[0] | {"learning_rate": 3}):
        training.save_result(tmp_path, result)
    assert training.load_result(tmp_path, "a")["learning_rate"] == 3 and "cost" not in training.load_result(
        tmp_path, "b"
    )
    with pytest.raises(StudyError, match="c"):
        training.load_result(tmp_path, "c")
    training.remove_result(tmp_path, "b")
    with pytest.raises(StudyError, match="no run of b"):
        training.load_result(tmp_path, "b")
    costs = json.loads((tmp_path / "cost.json").read_text())["training a"]
    assert costs["tokens_per_second"] > 0 and costs["peak_memory_gigabytes"] > 0


def test_a_result_whose_adapter_was_replaced_is_rejected(make_run, tmp_path):
    training.save_result(tmp_path, trained(make_run(), tmp_path))
    trained(make_run(seed=1), tmp_path)
    with pytest.raises(StudyError, match="something else was trained"):
        training.load_result(tmp_path, "tiny")


def test_audit_errors_stop_a_run_unless_forced(make_run):
    assert training.check_audit(make_run()) == []
    made = make_run(rows=[example(user=f"Contact: hey {number}", reply="Sam: yo") for number in range(12)])
    with pytest.raises(StudyError, match="data.speaker_tag.*FORCE=1"):
        training.check_audit(made)
    assert training.check_audit(made, force=True) == ["data.speaker_tag"]


def test_a_damaged_older_adapter_does_not_stop_a_new_run(make_run, tmp_path):
    trained(make_run(), tmp_path)
    (tmp_path / "tiny.adapter" / "adapters.safetensors").write_bytes(b"")
    assert training.check_audit(audit.read(tmp_path / "tiny.yaml")) == []


def test_smoke_is_100_iterations_evaluated_every_10(make_run, tmp_path):
    make_run()
    config = training.read(tmp_path / "tiny.yaml", smoke=True).config
    assert (config["iters"], config["steps_per_eval"]) == (100, 10)


@pytest.mark.parametrize("block", [{"betas": 7}, {"eps": "small"}, {"betas": [0.9]}, None, 5])
def test_options_that_an_optimizer_cannot_use_are_named_by_audit_and_training(block, tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text(json.dumps({"model": "tiny", "optimizer": "adam", "optimizer_config": {"adam": block}}))
    found = audit.config.check(audit.read(config, tmp_path))
    assert [one.evidence[0][:21] for one in found if one.check == "config.type"] == ["optimizer_config.adam"]
    with pytest.raises(StudyError, match=r"The optimizer adam can't use its options in .*mine.yaml"):
        methods._optimizer(1e-5, configs.load(config))
