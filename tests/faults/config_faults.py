"""Faults in the config: the family `config`, and those of `loss` that a config causes."""

from importlib.util import find_spec

from .spoiling import PLAIN, in_text
from .studies import CONFIG

LORA = CONFIG["lora_parameters"]
HUB = "warning" if find_spec("datasets") else "error"  # without that package, mlx-lm aborts
OTHERS = ("formal-smollm2", "persian-gemma", "bilingual-llama3", "turns-chatml")


def with_keys(**changes):
    return lambda study: study.configure(**changes)


def lora(*without, **changes):
    kept = {key: value for key, value in LORA.items() if key not in without}
    return with_keys(lora_parameters=kept | changes)


def without(*keys, **changes):
    return lambda study: study.configure(*keys, **changes)


def resumed_from(name):
    return lambda study: study.configure(resume_adapter_file=str(study.folder / name))


def pasted_article(study):
    """One message of a few thousand words stands before a reply, and the batch is one row."""
    in_text("user", lambda text: text + "\nContact: " + "and another thing about the harbour " * 300, 1)(study)


def cases():
    yield from _keys()
    yield from _doubles_and_sources()
    yield from _rates()
    yield from _values()
    yield from _masks()


def _keys():
    for at, (key, value) in enumerate(
        {
            "lora_rank": 16,
            "lora_layers": 8,
            "lora_dropout": 0.1,
            "epochs": 3,
            "max_seq_len": 1024,
            "learning_rte": 2e-4,
            "iterations": 500,
            "warmup_steps": 20,
            "gradient_accumulation_steps": 4,
            "target_modules": ["q_proj", "v_proj"],
            "mask_promt": True,
        }.items()
    ):
        study = (PLAIN, *OTHERS)[at % 5]
        companions = ("config.lora_alpha",)
        yield f"unknown key {key}", study, with_keys(**{key: value}), "config.unknown_key", "warning", companions
    nested = lora("rank", r=8)
    yield "lora_parameters with r for rank", PLAIN, nested, "config.unknown_key", "warning", ("config.lora_incomplete",)
    named = lora(lora_dropout=0.1)
    yield "lora_parameters with lora_dropout", PLAIN, named, "config.unknown_key", "warning"
    misspelt = with_keys(optimizer="adamw", optimizer_config={"adamw": {"weight_decy": 0.1}})
    also = ("config.unknown_key",)
    yield "optimizer_config misspelt", PLAIN, misspelt, "config.optimizer|config.type|config.unknown_key", "error", also
    for key, value in {
        "lora": {"rank": 16, "alpha": 32},
        "lora_config": {"r": 16},
        "training": {"iters": 500, "learning_rate": 2e-4},
        "steps_per_save": 50,
        "assistant_only_loss": True,
        "lora_attn_modules": ["q_proj"],
    }.items():
        yield f"unknown key {key}", OTHERS[len(key) % 4], with_keys(**{key: value}), "config.unknown_key", "warning"
    adamw = with_keys(optimizer="adam", optimizer_config={"adamw": {"weight_decay": 0.1}})
    yield "settings of another optimizer", OTHERS[0], adamw, "config.dead_key", "warning"
    loose = with_keys(optimizer_config={"weight_decay": 0.1})
    yield "settings without their optimizer", PLAIN, loose, "config.unknown_key", "warning"
    yield "trust_remote_code", PLAIN, with_keys(trust_remote_code=True), "config.dead_key", "warning"
    yield "clear_cache_threshold", "turns-gemma", with_keys(clear_cache_threshold=1000), "config.dead_key", "warning"
    spoil = with_keys(lora_alpha=16)
    also = ("config.unknown_key",)
    yield "lora_alpha at the top", PLAIN, spoil, "config.lora_alpha|config.unknown_key", "warning", also
    yield "alpha beside scale", OTHERS[0], lora(alpha=16), "config.lora_alpha", "warning", ("config.unknown_key",)
    spoil = lora(lora_alpha=32)
    yield "lora_alpha beside scale", OTHERS[2], spoil, "config.lora_alpha", "warning", ("config.unknown_key",)
    follows = ("config.lora_alpha", "config.unknown_key")
    yield "alpha in the place of scale", PLAIN, lora("scale", alpha=16), "config.lora_incomplete", "error", follows
    yield "rank alone", OTHERS[1], with_keys(lora_parameters={"rank": 16}), "config.lora_incomplete", "error"
    yield "no dropout", OTHERS[3], lora("dropout"), "config.lora_incomplete", "error"


def twice(key, line):
    """Another line with a key that the config has already, as a merge or a hasty edit leaves it."""

    def spoil(study):
        path = study.folder / "config.yaml"
        text = path.read_text(encoding="utf-8")
        beside = next(old for old in text.splitlines() if old.strip().startswith(f"{key}:"))
        indent = beside[: len(beside) - len(beside.lstrip())]
        path.write_text(text.replace(f"{beside}\n", f"{beside}\n{indent}{line}\n"), encoding="utf-8")

    return spoil


def _doubles_and_sources():
    for study, key, line in (
        (PLAIN, "batch_size", "batch_size: 2"),
        (OTHERS[0], "learning_rate", "learning_rate: 2.0e-05"),
        (OTHERS[1], "rank", "rank: 4"),
        (OTHERS[2], "dropout", '"dropout": 0.1'),
    ):
        yield f"{key} twice", study, twice(key, line), "config.duplicate_key", "warning"
    named = {"path": "someone/chats", "train_split": "train[:80%]"}
    for what, value in (("a dataset", named), ("two datasets", [named, named | {"path": "someone/else"}])):
        yield f"hf_dataset: {what}", PLAIN, with_keys(hf_dataset=value), "config.hf_dataset", HUB
    yield "hf_dataset: a name alone", PLAIN, with_keys(hf_dataset="someone/chats"), "config.type", "error"


def _rates():
    for rate, study in ((10.0, PLAIN), (1e-15, OTHERS[0]), (2, OTHERS[2])):
        yield f"learning_rate {rate}", study, with_keys(learning_rate=rate), "config.learning_rate", "warning"
    adafactor = with_keys(optimizer="adafactor")
    yield "adafactor with a learning rate", PLAIN, adafactor, "config.dead_key", "warning"
    for what, schedule in {
        "a warm-up as long as the run": {"name": "cosine_decay", "arguments": [1e-4, 150], "warmup": 150},
        "warmup_init without warmup": {"name": "cosine_decay", "arguments": [1e-4, 150], "warmup_init": 1e-6},
        "a decay over a tenth of the run": {"name": "cosine_decay", "arguments": [1e-4, 15]},
    }.items():
        yield f"schedule: {what}", PLAIN, with_keys(lr_schedule=schedule), "config.lr_schedule", "warning"
    steep = {"name": "cosine_decay", "arguments": [0.3, 150]}
    yield "schedule from 0.3", OTHERS[0], without("learning_rate", lr_schedule=steep), "config.learning_rate", "warning"


def _values():
    error = "error"
    for keys in (["q_proj", "v_proj"], ["attention.query"], ["self_attn.q_proj.weight"], ["layers.0.self_attn.q_proj"]):
        yield f"keys {keys[0]}", PLAIN, lora(keys=keys), "config.lora_keys", error
    for number, study in ((16, PLAIN), (2, "hindi-mistral"), (32, "turns-gemma")):
        yield f"num_layers {number} of 1", study, with_keys(num_layers=number), "config.num_layers", error
    yield "a rank that no machine has room for", PLAIN, lora(rank=10**8), "config.memory", "warning"
    own = with_keys(lora_parameters=LORA | {"rank": 10**9}, ftstudy={"train_on": "last"})
    yield "such a rank in the study's own trainer", OTHERS[2], own, "config.memory", "warning"
    yield "num_layers left out", PLAIN, without("num_layers"), "config.num_layers", error
    cosine = {"name": "cosine_decay", "arguments": [1e-5, 150]}
    yield "a schedule over learning_rate", PLAIN, with_keys(lr_schedule=cosine), "config.lr_schedule", "warning"
    warm = cosine | {"warmup": 10, "arguments": [3e-4, 150]}
    yield "a schedule with warm-up", OTHERS[0], with_keys(lr_schedule=warm), "config.lr_schedule", "warning"
    for what, schedule in {
        "from 0": cosine | {"arguments": [0, 150]},
        "unknown": cosine | {"name": "cosine"},
        "without arguments": {"name": "cosine_decay"},
        "a name alone": "cosine_decay",
        "with too many arguments": cosine | {"arguments": [1e-5, 100, 0.0, 1, 2]},
    }.items():
        spoil = with_keys(lr_schedule=schedule)
        yield f"schedule {what}", PLAIN, spoil, "config.lr_schedule_invalid", error, ("config.lr_schedule",)
    for key, value in {
        "batch_size": "four",
        "iters": "1,000",
        "learning_rate": "2e-4 (try lower)",
        "num_layers": "all",
        "max_seq_length": "2k",
        "lora_parameters": "rank 8",
    }.items():
        companions = ("data.fewer_than_batch", "config.lora_incomplete", "config.num_layers")
        yield (
            f"{key}: {value}",
            PLAIN,
            with_keys(**{key: value}),
            "config.type|config.lora_incomplete" if key == "lora_parameters" else "config.type",
            error,
            companions,
        )
    yield "iters 2.5", OTHERS[0], with_keys(iters=2.5), "config.type", error
    yield "rank as a text", OTHERS[1], lora(rank="8"), "config.type", error
    missing = resumed_from("0000100_adapters.safetensors")
    yield "resume_adapter_file missing", PLAIN, missing, "config.path", error
    yield "train: false", PLAIN, with_keys(train=False), "config.train_off", error
    for kind in ("qlora", "LoRA", "peft"):
        yield f"fine_tune_type {kind}", PLAIN, with_keys(fine_tune_type=kind), "config.fine_tune_type", error
    for optimizer, study in (("adamw_torch", PLAIN), ("paged_adamw_8bit", OTHERS[0]), ("lion", OTHERS[2])):
        yield f"optimizer {optimizer}", study, with_keys(optimizer=optimizer), "config.optimizer", error
    for length in (0, -1):
        yield f"max_seq_length {length}", PLAIN, with_keys(max_seq_length=length), "config.type", error
    yield "iters 1e30", PLAIN, with_keys(iters=1e30), "config.type", error
    yield "learning_rate .nan", OTHERS[3], with_keys(learning_rate=float("nan")), "config.type", error
    for name, option in (("adam", {"betas": 7}), ("adamw", {"eps": "small"}), ("sgd", {"nesterov": True})):
        keys = with_keys(optimizer=name, optimizer_config={name: option})
        yield f"{name} with {option}", PLAIN, keys, "config.type", error
    yield "keys of a norm", PLAIN, lora(keys=["input_layernorm"]), "config.lora_keys", error
    yield "scale 1e-06", OTHERS[1], lora(scale=1e-6), "config.lora_scale", "warning"
    yield "scale 256", PLAIN, lora(scale=256.0), "config.lora_scale", "warning"
    yield "scale 0", OTHERS[0], lora(scale=0.0), "config.lora_scale", error
    yield "dropout 0.9", OTHERS[0], lora(dropout=0.9), "config.type", "warning"
    yield "a folder to resume from", PLAIN, resumed_from(""), "config.path", error
    yield "val_batches 0", PLAIN, with_keys(val_batches=0), "config.val_batches", "warning"
    spoil = with_keys(iters=3, grad_accumulation_steps=4)
    yield "iters 3, accumulation 4", PLAIN, spoil, "config.grad_accumulation", error
    yield "adapter_path ~/mine", PLAIN, with_keys(adapter_path="~/mine"), "config.path", "warning"
    yield "100,000 steps over 200 rows", PLAIN, with_keys(iters=100_000), "config.epochs", "warning"
    yield "1,000 steps over 12 rows", "texter-chatml-12", with_keys(iters=1000), "config.epochs", "warning"


def _masks():
    for what, study in (("left out", PLAIN), ("left out", "stock-mistral-tagged"), ("left out", "hindi-mistral")):
        yield f"mask_prompt {what} ({study})", study, without("mask_prompt"), "loss.on_prompt", "warning"
    for study in ("turns-gemma", "formal-smollm2"):
        yield f"mask_prompt false ({study})", study, with_keys(mask_prompt=False), "loss.on_prompt", "warning"
    follows = ("loss.nan_batch", "loss.nothing_trained", "loss.end_of_turn")
    for study, length in ((PLAIN, 64), ("persian-gemma", 100), ("formal-smollm2", 128), ("turns-llama3", 32)):
        spoil = with_keys(max_seq_length=length)
        yield f"max_seq_length {length} ({study})", study, spoil, "loss.truncated", "error", follows
    for key, value in {"train_on": "first", "method": "lisa", "early_stopping": 2.5}.items():
        yield f"ftstudy.{key} {value}", PLAIN, with_keys(ftstudy={key: value}), "config.study_block", "error"
    pissa = {"lora_parameters": LORA | {"scale": 1.0, "dropout": 0.1}, "ftstudy": {"method": "pissa"}}
    yield "pissa with dropout", PLAIN, with_keys(**pissa), "config.study_block", "warning"
    yield "galore settings alone", PLAIN, with_keys(ftstudy={"galore": {"rank": 8}}), "config.study_block", "warning"
    yield "galore with LoRA", OTHERS[0], with_keys(ftstudy={"method": "galore"}), "config.study_block", "error"
    yield "a misspelt key of the block", OTHERS[1], with_keys(ftstudy={"train": "all"}), "config.unknown_key", "warning"
    spoil = with_keys(max_seq_length=64, ftstudy={"train_on": "last"})
    also = ("loss.nothing_trained", "loss.end_of_turn")
    yield "max_seq_length 64, trained by the study", PLAIN, spoil, "loss.truncated", "error", also
    yield "one message of thousands of words", PLAIN, pasted_article, "loss.truncated", "error"

    def alone(study):
        pasted_article(study)
        study.configure(batch_size=1)

    also = ("loss.truncated", "loss.end_of_turn", "config.epochs")
    yield "the same in batches of 1", PLAIN, alone, "loss.nan_batch", "error", also
    short = with_keys(max_seq_length=16)
    also = ("loss.truncated", "loss.nothing_trained", "loss.end_of_turn")
    yield "max_seq_length 16", "stock-chatml", short, "loss.nan_batch", "error", also
