"""PEFT's adapters: read as they are, or refused with the reason."""

import json
import shutil

import mlx.core as mx
import pytest
import yaml
from conftest import example, refused
from ftstudy import training
from ftstudy.audit import adapters, run_inputs
from ftstudy.compare import checkpoints
from ftstudy.models import base_models, peft, updates
from ftstudy.report import conclusions, tables
from mlx.utils import tree_unflatten

TARGETS = ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")
PLAIN = {
    "peft_type": "LORA",
    "r": 4,
    "lora_alpha": 8,
    "lora_dropout": 0.05,
    "bias": "none",
    "target_modules": [name.rpartition(".")[2] for name in TARGETS],
    "base_model_name_or_path": "someone/tiny",
    "task_type": "CAUSAL_LM",
}
IDS = mx.array([[5, 6, 7, 11, 3]])


def weights_of(model):
    """The model's adapted modules -> their weights."""
    names = [f"model.layers.{layer}.{name}" for layer in range(len(model.layers)) for name in TARGETS]
    return {name: module.weight for name, module in model.named_modules() if name in names}


def write_peft(folder, infix="", **changes):
    """A PEFT adapter of the tiny model; returns A and B of each module, as PEFT stores them."""
    config = PLAIN | changes
    mx.random.seed(0)
    made, tensors = {}, {}
    for name, weight in weights_of(base_models.load("tiny")[0]).items():
        rank, (outputs, inputs) = peft.rank_of(config, name), weight.shape
        made[name] = mx.random.normal((rank, inputs)) * 0.1, mx.random.normal((outputs, rank)) * 0.1
        for part, value in zip("AB", made[name]):
            tensors[f"base_model.model.{name}.lora_{part}{infix}.weight"] = value
    folder.mkdir(exist_ok=True)
    mx.save_safetensors(str(folder / peft.WEIGHTS), tensors, {"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return made


def merged(made, scale_of):
    """The answers of the tiny model after W + scale · B A, computed here."""
    model, _ = base_models.load("tiny")
    weights = weights_of(model)
    changed = [(f"{name}.weight", weights[name] + scale_of(name) * (b @ a)) for name, (a, b) in made.items()]
    model.update(tree_unflatten(changed))
    return model(IDS)


@pytest.mark.parametrize(
    "changes, scale_of",
    [
        ({}, lambda name: 2.0),
        ({"use_rslora": True}, lambda name: 4.0),
        (
            {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {r"layers\.1\.self_attn\.v_proj": 32}},
            lambda name: 4.0 if "q_proj" in name else 8.0 if "layers.1.self_attn.v" in name else 2.0,
        ),
    ],
    ids=["plain", "rank-stabilized", "patterns"],
)
def test_answers_equal_those_of_weights_merged_by_hand(tmp_path, changes, scale_of):
    made = write_peft(tmp_path / "adapter", **changes)
    tuned, _ = base_models.load("tiny", tmp_path / "adapter")
    answers, wanted, before = tuned(IDS), merged(made, scale_of), base_models.load("tiny")[0](IDS)
    assert mx.allclose(answers, wanted, atol=1e-4).item()
    assert mx.abs(answers - before).max().item() > 0.01


def test_names_with_the_adapters_own_name_are_read_too(tmp_path):
    made = write_peft(tmp_path / "adapter", infix=".default")
    tuned, _ = base_models.load("tiny", tmp_path / "adapter")
    assert mx.allclose(tuned(IDS), merged(made, lambda name: 2.0), atol=1e-4).item()


def test_update_norms_of_peft_are_those_of_the_product(tmp_path):
    made = write_peft(tmp_path / "adapter")
    rows = {row["module"]: row for row in updates.norms(base_models.resolve("tiny"), tmp_path / "adapter")}
    assert rows.keys() == made.keys()
    for name, (a, b) in made.items():
        assert rows[name]["update"] == pytest.approx(2 * mx.linalg.norm(b @ a).item(), rel=1e-4)


REFUSED = [
    ({"peft_type": "LOHA"}, "its type is LOHA"),
    ({"use_dora": True}, "DoRA"),
    ({"modules_to_save": ["lm_head"]}, "modules_to_save: ['lm_head']"),
    ({"bias": "all"}, "biases"),
    ({"fan_in_fan_out": True}, "transposed"),
    ({"init_lora_weights": "pissa_niter_4"}, "also changes the base model's weights"),
    ({"r": None}, "not a number"),
]


@pytest.mark.parametrize("changes, reason", REFUSED, ids=[next(iter(changes)) for changes, _ in REFUSED])
def test_what_is_not_plain_lora_is_refused_with_its_reason(tmp_path, changes, reason):
    write_peft(tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(PLAIN | changes))
    refused(lambda: base_models.load("tiny", tmp_path / "adapter"), "PEFT", reason, "merge_and_unload")
    (found,) = audited(tmp_path)
    assert (found.check, found.severity) == ("adapter.format", "error") and reason in found.title


@pytest.mark.parametrize("init", [True, "gaussian", "eva"])
def test_initializations_that_leave_the_base_model_alone_are_read(tmp_path, init):
    assert peft.refusal(PLAIN | {"init_lora_weights": init}) is None


def test_tensors_of_other_layers_are_refused(tmp_path):
    folder = tmp_path / "adapter"
    write_peft(folder)
    tensors = dict(mx.load(str(folder / peft.WEIGHTS)))
    mx.eval(tensors)
    mx.save_safetensors(str(folder / peft.WEIGHTS), tensors | {"base_model.model.lm_head.weight": mx.ones((2, 2))})
    refused(lambda: base_models.load("tiny", folder), "lm_head.weight", "merge_and_unload")


def test_it_is_described_and_scored_without_iterations_that_nobody_knows(tmp_path):
    made = write_peft(tmp_path / "adapter")
    assert audited(tmp_path)
    rows = (tmp_path / "data" / "train.jsonl").read_text()
    (tmp_path / "data" / "valid.jsonl").write_text(rows.replace("hey", "well"))
    inputs = training.read(tmp_path / "config.yaml")
    entry = training.take(inputs)
    assert (
        entry["adapts"]["kind"] == "PEFT LORA" and entry["adapts"]["scale"] == [2.0] and entry["adapts"]["rank"] == [4]
    )
    assert entry["parameters_trained"] == sum(a.size + b.size for a, b in made.values())
    found = checkpoints.score(inputs, 4)
    assert len(found["rows"]) == 2 and "iteration" not in conclusions.checkpoints(found)
    assert tables.checkpoints(found)[0][1]["checkpoint"].startswith("the adapter")


# --- in the audit ---------------------------------------------------------------------------


def audited(tmp_path, **changes):
    (tmp_path / "data").mkdir(exist_ok=True)
    rows = [example(user=f"Contact: hey {number}", reply=f"yo {number}") for number in range(8)]
    (tmp_path / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {"model": "tiny", "data": str(tmp_path / "data"), "adapter_path": str(tmp_path / "adapter")} | changes
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return adapters.check(run_inputs.read(tmp_path / "config.yaml"))


def test_good_adapter_is_recognized_and_nobody_is_told_to_delete_it(tmp_path):
    write_peft(tmp_path / "adapter")
    (found,) = audited(tmp_path)
    assert (found.check, found.severity) == ("adapter.format", "warning")
    assert "PEFT adapter (LORA, rank 4, scale 2)" in found.title and "scale: 2" in found.fix
    said = " ".join([found.title, found.cause, found.fix]).lower()
    assert "delete" not in said and "remove" not in said and "train again" not in said


def change(folder, change):
    tensors = dict(mx.load(str(folder / peft.WEIGHTS)))
    mx.eval(tensors)
    mx.save_safetensors(str(folder / peft.WEIGHTS), change(tensors))


DAMAGE = {
    "missing B": (lambda all: {k: v for k, v in all.items() if "lora_B" not in k}, "adapter.missing_tensors"),
    "a module missing": (lambda all: {k: v for k, v in all.items() if "q_proj" not in k}, "adapter.missing_tensors"),
    "NaN": (lambda all: {k: v * float("nan") for k, v in all.items()}, "adapter.nan"),
    "zero B": (lambda all: {k: v * ("lora_B" not in k) for k, v in all.items()}, "adapter.zero_b"),
    "another width": (
        lambda all: {k: mx.concatenate([v, v], axis=1) if "lora_A" in k else v for k, v in all.items()},
        "adapter.base_model",
    ),
}


@pytest.mark.parametrize("spoil, check", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_under_the_same_ids_as_in_an_adapter_of_mlx_lm(tmp_path, spoil, check):
    write_peft(tmp_path / "adapter")
    change(tmp_path / "adapter", spoil)
    assert {item.check for item in audited(tmp_path) if item.severity == "error"} == {check}


@pytest.mark.parametrize("name, same", [("unsloth/Tiny-bnb-4bit", True), ("mlx-community/other-4bit", False)])
def test_base_model_is_compared_by_name_without_what_a_conversion_adds(tmp_path, name, same):
    write_peft(tmp_path / "adapter", base_model_name_or_path=name)
    checks = {item.check for item in audited(tmp_path)}
    assert ("adapter.base_model" in checks) != same


# --- other formats --------------------------------------------------------------------------


def as_mlx(folder):
    """The weights under mlx-lm's names, without PEFT's file."""
    tensors = peft.tensors(folder)
    mx.eval(tensors)
    (folder / peft.WEIGHTS).unlink()
    mx.save_safetensors(str(folder / "adapters.safetensors"), tensors)


def as_npz(folder):
    mx.savez(str(folder / "adapters.npz"), **mx.load(str(folder / peft.WEIGHTS)))
    (folder / peft.WEIGHTS).unlink()
    (folder / "adapter_config.json").write_text(json.dumps({"num_layers": 2}))


def as_fused(folder):
    shutil.rmtree(folder)
    shutil.copytree(base_models.resolve("tiny"), folder)


def as_pickle(folder):
    (folder / peft.WEIGHTS).rename(folder / peft.PICKLED)


def without_config(folder):
    (folder / "adapter_config.json").unlink()


OTHERS = {
    "PEFT's config beside mlx weights": (
        as_mlx,
        ["PEFT's adapter_config.json next to mlx-lm's"],
        '"rank": 4, "scale": 2',
    ),
    "npz": (as_npz, ["adapters.npz"], "mx.save_safetensors"),
    "a fused model": (as_fused, ["is a whole model"], "--fused"),
    "a pickle": (as_pickle, ["pickle"], "safe_serialization=True"),
    "PEFT's weights without their config": (without_config, ["PEFT's weights"], "Copy the adapter_config.json"),
}


@pytest.mark.parametrize("spoil, words, fix", OTHERS.values(), ids=OTHERS)
def test_other_formats_are_named_each_with_its_own_fix_and_nothing_is_written(tmp_path, spoil, words, fix):
    folder = tmp_path / "adapter"
    write_peft(folder)
    spoil(folder)
    (found,) = audited(tmp_path)
    assert (found.check, found.severity) == ("adapter.format", "error")
    assert all(word in found.title for word in words) and fix in found.fix
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    refused(lambda: base_models.load("tiny", folder), *words, fix)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_config_proposed_for_mlx_weights_works(tmp_path):
    folder = tmp_path / "adapter"
    made = write_peft(folder)
    as_mlx(folder)
    (found,) = audited(tmp_path)
    proposed = found.fix.partition(": ")[2].rstrip(".")
    (folder / "adapter_config.json").write_text(proposed)
    tuned, _ = base_models.load("tiny", folder)
    assert mx.allclose(tuned(IDS), merged(made, lambda name: 2.0), atol=1e-4).item()


def test_keys_that_name_no_module_are_answered_with_those_of_the_weights(tmp_path):
    folder = tmp_path / "adapter"
    write_peft(folder)
    as_mlx(folder)
    lora = {"rank": 4, "scale": 2.0, "dropout": 0.0, "keys": ["auto"]}
    made = {"model": "tiny", "fine_tune_type": "lora", "num_layers": 2, "lora_parameters": lora}
    (folder / "adapter_config.json").write_text(json.dumps(made))
    found = [item for item in audited(tmp_path) if item.severity == "error"]
    assert [item.check for item in found] == ["adapter.keys"]
    assert all(name in found[0].fix for name in TARGETS)
    refused(lambda: base_models.load("tiny", folder), "auto", "name no module", *TARGETS)
