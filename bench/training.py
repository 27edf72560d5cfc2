"""The same LoRA steps on the same data and model: by stock mlx-lm, by this project, and by PyTorch with PEFT.

    python bench/training.py [--steps 14] [--rounds 2] [--layers 16] [--torch PYTHON] [--reference]

Each contestant runs in a process of its own, one after another in every round, since these machines
are noisy: the ratios count. Speed is in real tokens a second, padding not counted, without the first
two steps. `--torch` names a Python that has torch, transformers and peft, if this one has not;
`--reference` adds stock mlx-lm as it is installed, with its slow BLAS: five minutes a round, or more.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "ft_configs/demo_135m_lora_variable.yaml"
SETTINGS = {"num_layers": 16, "batch_size": 4, "steps_per_report": 1}
WARM = 2  # steps
CONTESTANTS = {
    "stock, its own BLAS": "stock mlx_lm.lora as installed",
    "stock": "stock mlx_lm.lora, with the tuned BLAS",
    "same batches": "this project, on stock mlx-lm's batches and mask",
    "study": "this project",
    "shared": "this project, the second time with the layers below shared",
    "torch": "PyTorch + PEFT, on stock mlx-lm's batches and mask",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--layers", type=int, default=SETTINGS["num_layers"], help="how many to train, of 30")
    parser.add_argument("--torch", default=sys.executable, help="a Python with torch and peft")
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    parser.add_argument("--batches", help=argparse.SUPPRESS)
    options = parser.parse_args()
    SETTINGS["num_layers"] = options.layers
    if options.contestant:
        run = torch if options.contestant == "torch" else mlx
        return print(json.dumps(run(options.contestant, options.steps, options.batches)))
    with tempfile.TemporaryDirectory() as folder:
        compare(options, Path(folder) / "batches.json")


def compare(options, batches: Path) -> None:
    names = [name for name in CONTESTANTS if name != "stock, its own BLAS" or options.reference]
    if subprocess.run([options.torch, "-c", "import torch, peft"], capture_output=True).returncode:
        names.remove("torch")
        print("PyTorch + PEFT is not compared: no torch and peft here (pip install torch peft, or --torch PYTHON)")
    if not (ROOT / "data" / "raw_style_variable" / "train.jsonl").is_file():
        subprocess.run([sys.executable, "-m", "ftstudy", "demo"], cwd=ROOT, check=True)
        given = ["--source", "data/demo/chat.db", "--owner", "Sam", "--out", "data"]
        subprocess.run([sys.executable, "-m", "ftstudy", "extract", *given], cwd=ROOT, check=True)
    alone = batches.parent / "train"  # without valid.jsonl, so that nothing is evaluated
    alone.mkdir()
    (alone / "train.jsonl").symlink_to(ROOT / "data" / "raw_style_variable" / "train.jsonl")
    write_batches(batches, options.steps)
    found = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            steps = 4 if name == "stock, its own BLAS" else options.steps
            python = options.torch if name == "torch" else sys.executable
            arguments = ["--contestant", name, "--steps", str(steps), "--batches", str(batches)]
            arguments += ["--layers", str(options.layers)]
            made = subprocess.run([python, __file__, *arguments], capture_output=True, text=True, cwd=ROOT)
            if made.returncode:
                sys.exit(made.stderr)
            found[name].append(json.loads(made.stdout.splitlines()[-1]))
    speed = {
        name: statistics.median(sum(run["tokens"][WARM:]) / sum(run["seconds"][WARM:]) for run in runs)
        for name, runs in found.items()
    }
    print(
        f"\n{SETTINGS['batch_size']} rows a step, {SETTINGS['num_layers']} layers, {options.steps} steps, {options.rounds} rounds"
    )
    print(f"{'':52} {'tokens/s':>9} {'study is':>9}")
    for name in names:
        print(f"{CONTESTANTS[name]:52} {speed[name]:9.1f} {speed['study'] / speed[name]:8.2f}×")
    apart = max(abs(a - b) for a, b in zip(found["stock"][0]["losses"], found["same batches"][0]["losses"]))
    sharing = max(abs(a - b) for a, b in zip(found["study"][0]["losses"], found["shared"][0]["losses"]))
    print(f"Loss of a step, with and without sharing: {sharing:.1e} nats a token apart at most (aim: 1e-4)")
    print(f"Loss of a step, stock and this project on its batches: {apart:.1e} nats a token apart at most (aim: 1e-4)")


def write_batches(path: Path, steps: int) -> None:
    """Stock mlx-lm's first batches, for torch."""
    subject, tokenizer = prepared("stock", steps, path.parent / "train")
    from ftstudy.training import batches

    drawn = batches.read(subject, tokenizer).train(0)
    made = [[(ids.tolist(), positions.tolist()) for ids, positions in next(drawn)] for _ in range(steps)]
    path.write_text(json.dumps(made))


def prepared(contestant: str, steps: int, data: Path):
    from ftstudy import training
    from ftstudy.models import base_models

    subject = training.read(CONFIG, data)
    subject.config |= SETTINGS | {"iters": steps, "steps_per_eval": steps + 1, "save_every": steps + 1}
    if contestant not in ("study", "shared"):
        del subject.config["ftstudy"]
    return subject, base_models.load_tokenizer(subject.config["model"])


def mlx(contestant: str, steps: int, batches: str) -> dict:
    """Seconds, real tokens and loss of each step."""
    if contestant == "stock":  # the BLAS alone, nothing else of this project
        sys.path.insert(0, str(ROOT / "lib" / "ftstudy" / "engine"))
        import blas

        blas.activate()
    if contestant.startswith("stock"):
        return stock(steps, json.loads(Path(batches).read_text()))
    from ftstudy import training
    from ftstudy.engine.hidden_states import HiddenStates
    from ftstudy.training import loop, run

    subject, _ = prepared(contestant, steps, Path(batches).parent / "train")
    seconds, losses, tokens = [], [], []
    record, arrange, started = loop._record, run.arrange, 0.0

    def timed_record(progress, at, loss, *more):
        seconds.append(time.perf_counter() - started)
        losses.append(loss)
        record(progress, at, loss, *more)

    def timed_arrange(*given):
        nonlocal started
        started = time.perf_counter()
        batch, size = arrange(*given)
        tokens.append(size)
        return batch, size

    loop._record, run.arrange = timed_record, timed_arrange
    with HiddenStates(training.layers_to_share([subject])) as store:
        for shared in [store, store] if contestant == "shared" else [None]:
            for one in (seconds, tokens, losses):
                one.clear()
            with tempfile.TemporaryDirectory() as folder:
                subject.config["adapter_path"] = folder + "/adapter"
                training.train(subject, Path(folder) / "metrics.jsonl", shared=shared)
    return {"seconds": seconds, "tokens": tokens, "losses": losses}


def stock(steps: int, batches: list) -> dict:
    import types

    import numpy
    import yaml
    from mlx_lm import lora, utils
    from mlx_lm.tuner import datasets
    from mlx_lm.tuner.callbacks import TrainingCallback

    config = lora.CONFIG_DEFAULTS | yaml.load((ROOT / CONFIG).read_text(), lora.yaml_loader) | SETTINGS
    config |= {
        "iters": steps,
        "save_every": steps + 1,
        "model": str(ROOT / config["model"]),
        "data": str(ROOT / config["data"]),
    }
    seconds, losses = [], []

    class Hear(TrainingCallback):
        def on_train_loss_report(self, info):
            seconds.append(1 / info["iterations_per_second"])
            losses.append(info["train_loss"])

    with tempfile.TemporaryDirectory() as folder:
        arguments = types.SimpleNamespace(**config | {"adapter_path": folder})
        numpy.random.seed(config["seed"])
        model, tokenizer = utils.load(config["model"])[:2]
        rows, _, _ = datasets.load_dataset(arguments, tokenizer)
        lora.train_model(arguments, model, rows, [], Hear())
    tokens = [sum(len(ids) for ids, _ in batch) for batch in batches[:steps]]
    return {"seconds": seconds, "tokens": tokens, "losses": losses}


def torch(_, steps: int, batches: str) -> dict:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    folder = ROOT / "data" / "models" / "SmolLM2-135M-Instruct"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    layers = range(model.config.num_hidden_layers)[-SETTINGS["num_layers"] :]
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    settings = LoraConfig(
        r=8, lora_alpha=160, lora_dropout=0.0, target_modules=modules, layers_to_transform=list(layers)
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = get_peft_model(model, settings).to(device)
    optimizer = torch.optim.Adam([value for value in model.parameters() if value.requires_grad], lr=2e-4)
    seconds, tokens, losses = [], [], []
    for batch in json.loads(Path(batches).read_text())[:steps]:
        length = max(len(ids) for ids, _ in batch)
        ids, attended = (torch.zeros(len(batch), length, dtype=torch.long) for _ in range(2))
        labels = torch.full((len(batch), length), -100)
        for at, (row, positions) in enumerate(batch):
            ids[at, : len(row)], attended[at, : len(row)] = torch.tensor(row), 1
            labels[at, positions] = ids[at, positions]
        started = time.perf_counter()
        batch = {"input_ids": ids, "attention_mask": attended, "labels": labels}
        loss = model(**{name: values.to(device) for name, values in batch.items()}).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
        tokens.append(int(attended.sum()))
        losses.append(loss.item())
    return {"seconds": seconds, "tokens": tokens, "losses": losses}


if __name__ == "__main__":
    main()
