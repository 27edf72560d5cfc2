"""Staged fine-tunes of the tiny chat model, each with one known main cause, and healthy ones; for test and benchmark.

    config = stage("learning rate × 100", folder, trained)

writes a project as people have it: rows, config, adapter, app profile. What a fault changes is in FAULTS:

    cause    the id of the diagnosis' first cause; None for a healthy fine-tune
    rows     a function of the splits' rows: {"train": [row, …], …}
    config   keys that differ
    app      keys of the app's profile that differ
    before   a function of the project's folder before training
    after    a function of the finished project's folder: what happened to it later
    trained  the name of the fine-tune whose adapter it has, if not its own
"""

import contextlib
import io
import json
import shutil
import types
from pathlib import Path
from unittest.mock import patch

import nbformat
import yaml
from ftstudy import paths, training
from ftstudy.chat_format import TRAINING_SYSTEM
from ftstudy.demo import small_talk, tiny_chat
from ftstudy.extract import variant_folder
from ftstudy.files import read_json
from ftstudy.stages import notebooks, study
from fusing import fuse, quantize
from IPython.core.interactiveshell import InteractiveShell
from mlx_lm import lora

import mlx.core as mx  # isort: skip  # after ftstudy, which puts the tuned BLAS under it

PEOPLE, SESSIONS = 60, {"train": range(3), "valid": range(3, 4), "test": range(4, 5)}
SYSTEM = TRAINING_SYSTEM.replace("{owner}", small_talk.OWNER)
CONFIG = {
    "data": "data",
    "adapter_path": "adapters",
    "train": True,
    "seed": 0,
    "fine_tune_type": "lora",
    "num_layers": 4,
    "lora_parameters": {"rank": 8, "scale": 4.0, "dropout": 0.0},
    "mask_prompt": True,
    "iters": 300,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "max_seq_length": 512,
    "steps_per_eval": 100,
    "save_every": 100,
    "val_batches": 12,
}
DRAFT = "Conversation:\n{context}\n\nWrite the next message."
WITH_STUDY = {"ftstudy": {"train_on": "last", "early_stopping": 3}}


# --- the rows of a clean project -------------------------------------------------------------------------------------


def rows_of_sam(voice: str = "sam", others: str = "friend") -> dict[str, list[dict]]:
    """Split -> rows, each with its entry of meta.jsonl under `meta`. `others`: with whom the conversations are."""
    found = {split: [] for split in SESSIONS}
    for person in range(PEOPLE):
        name, friends_voice = f"{others} {person}", small_talk.VOICES[person % len(small_talk.VOICES)]
        talk = small_talk.sessions(name, friends_voice, voice, 5)
        for split, numbers in SESSIONS.items():
            for number in numbers:
                found[split] += _rows(talk[number], name, f"{name}, session {number}")
    return found


def _rows(exchanges: list[tuple[str, str]], conversation: str, session: str) -> list[dict]:
    rows, lines = [], []
    for at, (asked, answered) in enumerate(exchanges):
        lines.append(f"Contact: {asked}")
        rows.append(
            {
                "messages": [
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": "\n".join(lines)},
                    {"role": "assistant", "content": answered},
                ],
                "meta": {
                    "conversation": conversation,
                    "session": session,
                    "context_ids": [f"{session}, {number}" for number in range(2 * at + 1)],
                    "reply_ids": [f"{session}, {2 * at + 1}"],
                    "context": "\n".join(lines),
                    "last_message": asked,
                },
            }
        )
        lines.append(f"{small_talk.OWNER}: {answered}")
    return rows


def write_rows(folder: Path, splits: dict[str, list[dict]]) -> None:
    rows = {split: [{"messages": row["messages"]} for row in some] for split, some in splits.items()}
    meta = [{"split": split, "row": at} | row["meta"] for split, some in splits.items() for at, row in enumerate(some)]
    origin = {"source": "made up", "owner": small_talk.OWNER, "kind": "made up"}
    variant_folder.write(folder, rows, meta, origin)


# --- what may go wrong ------------------------------------------------------------------------------------------------


def templated(splits: dict) -> dict:
    """Rows whose content is what the chat template makes of it."""

    def rendered(row):
        system, user, reply = row["messages"]
        content = f"<|im_start|>user\n{user['content']}<|im_end|>\n<|im_start|>assistant\n"
        return row | {"messages": [system, user | {"content": content}, reply]}

    return {split: [rendered(row) for row in rows] for split, rows in splits.items()}


def leaked(splits: dict) -> dict:
    """The test split's rows of every second person are training rows, too."""
    known = [row for row in splits["test"] if int(row["meta"]["conversation"].split()[-1]) % 2]
    return splits | {"train": splits["train"][:300] + known}


def few(splits: dict) -> dict:
    splits = of_like_length(splits)
    return splits | {"train": splits["train"][:40]}


def with_general_chat(splits: dict) -> dict:
    """As many rows of general chat, without a system text: only that text says who is to be imitated."""
    chat = [row | {"messages": row["messages"][1:]} for row in rows_of_sam("polite", "somebody")["train"]]
    return splits | {"train": splits["train"] + chat}


def of_like_length(splits: dict) -> dict:
    """Rows of two or three exchanges: plain mlx-lm pads a batch to its longest row."""
    return {
        split: [row for row in rows if len(row["messages"][1]["content"].splitlines()) in (3, 5)]
        for split, rows in splits.items()
    }


def some(splits: dict) -> dict:
    return splits | {"train": splits["train"][:300]}


def no_rows(folder: Path) -> None:
    (folder / "data" / "train.jsonl").write_text("")


def other_base(folder: Path) -> None:
    """The config names another base model of the same shape by now."""
    other = shutil.copytree(folder / "model", folder / "another model")
    weights = {name: mx.array(value) for name, value in mx.load(str(other / "model.safetensors")).items()}
    mixed = {name: value[::-1] if value.ndim == 2 and "layers" in name else value for name, value in weights.items()}
    mx.save_safetensors(str(other / "model.safetensors"), mixed, metadata={"format": "mlx"})
    configure(folder, model=other.name)


def killed(folder: Path) -> None:
    """Training was killed after its first checkpoint."""
    first, *later = sorted((folder / "adapters").glob("0*_adapters.safetensors"))
    for path in later:
        path.unlink()
    shutil.copy(first, folder / "adapters" / "adapters.safetensors")


def scale_of_zero(folder: Path) -> None:
    configure(folder, lora_parameters=CONFIG["lora_parameters"] | {"scale": 0.0})
    path = folder / "adapters" / "adapter_config.json"
    made = read_json(path)
    path.write_text(json.dumps(made | {"lora_parameters": made["lora_parameters"] | {"scale": 0.0}}))


def other_trainers_keys(folder: Path) -> None:
    configure(folder, num_train_epochs=10, lora_r=64, warmup_ratio=0.1)


def template_without_end(folder: Path) -> None:
    """The model's template ends no reply that is the last message."""
    path = folder / "model" / "tokenizer_config.json"
    settings = read_json(path)
    template = settings["chat_template"].replace(
        "'<|im_end|>\n' }}{% endfor %}",
        "('' if loop.last and message['role'] == 'assistant' else '<|im_end|>\n') }}{% endfor %}",
    )
    assert template != settings["chat_template"]
    path.write_text(json.dumps(settings | {"chat_template": template}))


def learned_before(folder: Path) -> None:
    """The base model has learned from these rows already: another fine-tune is fused into it."""
    other = folder.parent / "healthy"
    if not other.exists():
        train(FAULTS["healthy"], other)
    fused = fuse(folder / "model", other / "adapters", folder / "fused")
    shutil.rmtree(folder / "model")
    fused.rename(folder / "model")


def configure(folder: Path, **changes) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(config | changes, sort_keys=False))


def fused_into_4_bits(folder: Path) -> None:
    four = shutil.copytree(folder / "model", folder / "four bits")
    fuse(quantize(four, 4), folder / "adapters", folder / "fused")


FAULTS = {
    "healthy": {"cause": None, "config": WITH_STUDY},
    "healthy, plain mlx-lm": {"cause": None, "rows": of_like_length, "config": {"iters": 200}},
    "empty data, stale adapter": {"cause": "no_rows", "after": no_rows, "trained": "healthy"},
    "adapter of another base": {"cause": "adapter_of_another_base", "after": other_base, "trained": "healthy"},
    "learning rate × 100": {
        "cause": "learning_rate",
        "rows": of_like_length,
        "config": {"learning_rate": 0.1, "iters": 60},
    },
    "3 iterations": {
        "cause": "under_trained",
        "rows": of_like_length,
        "config": {"iters": 3, "steps_per_eval": 3, "save_every": 3},
    },
    "prompt not masked": {
        "cause": "prompt_trained",
        "rows": of_like_length,
        "config": {"mask_prompt": False, "iters": 60},
    },
    "replies truncated": {"cause": "replies_cut", "config": WITH_STUDY | {"max_seq_length": 64}},
    "templated content": {"cause": "templated_content", "rows": templated, "config": WITH_STUDY},
    "user wrapper in the app": {"cause": "prompt: user", "app": {"user": DRAFT}, "trained": "healthy"},
    "no system text in the app": {
        "cause": "prompt: system",
        "rows": with_general_chat,
        "config": WITH_STUDY,
        "app": {"system": False},
    },
    "base already as good": {
        "cause": "base_as_good",
        "rows": some,
        "before": learned_before,
        "config": WITH_STUDY | {"iters": 80, "learning_rate": 3e-4},
    },
    "test rows in train": {
        "cause": "splits_leak",
        "rows": leaked,
        "config": WITH_STUDY | {"learning_rate": 2e-3, "iters": 400},
    },
    "over-fitted": {"cause": "over_fitted", "rows": few, "config": {"iters": 160, "save_every": 40}},
    "fused into 4 bits": {"cause": "fusing", "after": fused_into_4_bits, "trained": "healthy"},
    "killed after 100 iterations": {"cause": "adapter.stopped", "after": killed, "trained": "healthy, plain mlx-lm"},
    "LoRA scale 0": {"cause": "nothing_trained", "after": scale_of_zero, "trained": "healthy"},
    "another trainer's settings": {"cause": "settings_ignored", "after": other_trainers_keys, "trained": "healthy"},
    "end of turn untrained": {"cause": "end_untrained", "before": template_without_end, "config": WITH_STUDY},
}


def stage(name: str, folder: Path, trained: Path) -> Path:
    """Write the project of a fault into a new folder, and return its config's path.

    `trained`: a folder in which the adapters that several projects have are kept. Paths in the config count from its own
    folder.
    """
    fault = FAULTS[name]
    own = fault.get("trained", name)
    source = trained / own
    if not source.exists():
        train(FAULTS[own], source)
    shutil.copytree(source, folder)
    app = {"kind": "messages"} | fault.get("app", {})
    (folder / "app.yaml").write_text(yaml.safe_dump(app))
    if "after" in fault:
        fault["after"](folder)
    return folder / "config.yaml"


def train(fault: dict, folder: Path) -> None:
    """A project whose rows and config have the fault, trained as its owner would: by mlx-lm, or by this study."""
    folder.mkdir(parents=True)
    write_rows(folder / "data", fault.get("rows", dict)(rows_of_sam()))
    shutil.copytree(tiny_chat.FOLDER, folder / "model")
    if "before" in fault:
        fault["before"](folder)
    config = CONFIG | fault.get("config", {}) | {"model": "model"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    with contextlib.chdir(folder), open("training.log", "w") as log, contextlib.redirect_stdout(log):
        if "ftstudy" in config:
            training.train(training.read("config.yaml"), Path("metrics.jsonl").absolute())
        else:
            mx.random.seed(config["seed"])
            lora.run(types.SimpleNamespace(**lora.CONFIG_DEFAULTS | config))


# --- diagnosed --------------------------------------------------------------------------------------------------------


def diagnose(config: Path) -> dict:
    """diagnosis.json of a staged project, as `ftstudy diagnose` makes it, but for the processes of the notebooks."""
    with contextlib.chdir(config.parent), patch.object(notebooks, "execute", run_cells):
        choices = {"run": "staged", "config": config.name, "inference": "app.yaml", "existing": True}
        choices |= {"adapter": "adapters", "fused": "fused" if Path("fused").is_dir() else ""}
        with contextlib.redirect_stdout(io.StringIO()):
            study.run(study.CHOICES | choices)
        return read_json(Path("reports/staged/diagnosis.json"))


def run_cells(name: str, folder: Path, parameters: dict[str, str], describe=None) -> Path:
    """Run a notebook's cells in this process: a kernel for each takes longer than all that they measure."""
    given = notebooks.parameters(name, parameters)
    shell = InteractiveShell.instance()
    shell.reset(new_session=False)
    written = folder / f"{name}.ipynb"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(paths.NOTEBOOKS / f"{name}.ipynb", written)
    for cell in nbformat.read(written, as_version=4).cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code" and "explore" not in tags:
            shell.run_cell(cell.source).raise_error()
        if "parameters" in tags:
            shell.user_ns.update(given)
    return written
