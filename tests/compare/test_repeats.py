"""Option A and more seeds: the configs of a full comparison, and comparing them with the main run."""

import json
import shutil

import pytest
from conftest import example, refused
from ftstudy import chat_format, cli, configs, paths, training
from ftstudy.compare import generation, plan, repeats, results
from ftstudy.report import tables
from ftstudy.training import sweep
from templates import tokenizer_folder

CONFIG = """\
model: data/models/tiny
data: {data}/raw_style_variable
adapter_path: {data}/adapter
train: true
seed: 4
num_layers: 2
lora_parameters: {{rank: 4, scale: 10.0, dropout: 0.0}}
mask_prompt: true
iters: 2
batch_size: 2
learning_rate: 1.0e-3
steps_per_eval: 2
val_batches: 1
ftstudy: {{train_on: last}}
"""


@pytest.fixture
def study(tmp_path, write_split):
    """A config with data for both options, and its run's folder."""
    rows = [example(user=f"Contact: hey {at}\nContact: you there?", reply=f"yo {at}") for at in range(12)]
    wrapped = [{"messages": chat_format.messages_for(row, {"user": chat_format.WRAPPER})} for row in rows]
    for variant, found in (("raw_style_variable", rows), ("wrapped", wrapped)):
        for split in ("train", "valid", "test"):
            write_split(tmp_path / variant, split, found)
    config = tmp_path / "mine.yaml"
    config.write_text(CONFIG.format(data=tmp_path))
    run = paths.run_folder("test-repeats")
    yield config, run
    shutil.rmtree(run, ignore_errors=True)


def test_five_configs_are_written_next_to_the_main_one(study, tmp_path):
    config, run = study
    made = {path.stem: configs.load(path) for path in repeats.write(str(config), "", "", run, tmp_path / "repeats")}
    assert set(made) == {"mine_seed2", "mine_seed3", "mine_option_a", "mine_option_a_seed2", "mine_option_a_seed3"}
    assert [made[name]["seed"] for name in ("mine_option_a", "mine_seed2", "mine_option_a_seed3")] == [4, 5, 6]
    assert len({one["adapter_path"] for one in made.values()}) == 5
    assert all(("wrapped" in one["data"]) == ("option_a" in name) for name, one in made.items())
    same = ("iters", "learning_rate", "lora_parameters", "ftstudy", "mask_prompt")
    assert all(one[key] == configs.load(config)[key] for one in made.values() for key in same)


def test_config_on_the_wrapped_variant_is_refused(study, tmp_path):
    config, run = study
    config.write_text(config.read_text().replace("/raw_style_variable", "/wrapped"))
    refused(lambda: repeats.write(str(config), "", "", run, tmp_path / "repeats"), "wrapped", "raw_style_variable")


def train(config, run):
    subject = training.read(config)
    training.save_result(run, training.train(subject, run / "metrics.jsonl"))


@pytest.mark.slow
def test_options_and_seeds_are_compared_together(study, tmp_path):
    config, run = study
    train(config, run)
    written = repeats.write(str(config), "", "", run, tmp_path / "repeats")
    assert all(row["status"] == "trained" for row in sweep.sweep(written, run, None, None, []))
    planned = plan.plan(run, str(config), "Sam", "historical", replies=6)
    names = [model["name"] for model in planned["models"]]
    assert names == [
        "base",
        "tuned",
        "tuned, seed 2",
        "tuned, seed 3",
        "option A",
        "option A, seed 2",
        "option A, seed 3",
    ]
    assert planned["same"]["wrapped"] == "user" and not planned["left_out"]
    measured = plan.measure(planned, longest=3)
    found = results.training_formats(
        measured["scores"], planned["models"], planned["heldout"]["conversations"], "user", "historical"
    )
    assert found["own"]["seeds"] == found["app"]["seeds"] == 3
    assert found["own"]["covers"] == "test replies and training seeds" and len(found["own"]["each_seed"]) == 3
    assert {model for model, _ in measured["written"]} == {"base", "tuned", "option A"}

    # a different length is not the same training with another seed
    kept = (run / "training.json").read_text()
    changed = json.loads(kept)
    for entry in changed["configs"]:
        entry["iterations"] += 5 if entry["name"] == "mine" else 0
    (run / "training.json").write_text(json.dumps(changed))
    longer = plan.plan(run, str(config), "Sam", "historical", replies=6)
    assert [model["name"] for model in longer["models"]] == ["base", "tuned"] and len(longer["left_out"]) == 5
    (run / "training.json").write_text(kept)

    # adapters trained on old data are not compared with those on new data
    for split in ("train", "valid"):
        shutil.copy(tmp_path / "wrapped" / "test.jsonl", tmp_path / "wrapped" / f"{split}.jsonl")
    (tmp_path / "wrapped" / "train.jsonl").write_text(json.dumps(example()) + "\n")
    again = plan.plan(run, str(config), "Sam", "historical", replies=6)
    assert [model["name"] for model in again["models"]] == ["base", "tuned", "tuned, seed 2", "tuned, seed 3"]
    assert len(again["left_out"]) == 3 and "FULL=1" in again["left_out"][0]["why"]


@pytest.mark.slow
def test_other_trainings_are_compared_with_the_main_one(study, tmp_path):
    config, run = study
    train(config, run)
    longer = tmp_path / "longer.yaml"
    longer.write_text(config.read_text().replace("iters: 2", "iters: 4").replace("/adapter\n", "/longer\n"))
    refused(lambda: plan.plan(run, str(longer), "Sam", "historical", replies=6), "longer", "Train it first")
    train(longer, run)
    planned = plan.plan(run, str(config), "Sam", "historical", replies=6, also=[str(longer), "never.yaml"])
    assert [model["name"] for model in planned["models"]] == ["base", "tuned", "longer"]
    assert planned["models"][2]["formats"] == ["aligned", "historical"]
    assert [one["arm"] for one in planned["left_out"]] == ["never"]
    measured = plan.measure(planned, longest=3)
    assert ("longer", "historical") in measured["scores"] and ("longer", "system") not in measured["scores"]


@pytest.mark.slow
def test_several_models_are_compared_and_a_failing_one_is_left_out(study, tmp_path):
    config, run = study
    train(config, run)
    for family in ("chatml_bos", "gemma"):  # LFM2's template, with its own BOS, and one without a system role
        other = tmp_path / f"{family}.yaml"
        text = config.read_text().replace("num_layers: 2", "num_layers: 1")
        text = text.replace("data/models/tiny", str(tokenizer_folder(family, tmp_path / family)))
        other.write_text(text.replace("/adapter\n", f"/{family}_adapter\n"))
        if family == "gemma":  # its template rejects this data, so only an entry is written
            entry = training.find_result(run, "chatml_bos")
            training.save_result(
                run, entry | {"name": family, "model": str(tmp_path / family), "cost": {"seconds": 1, "tokens": 1}}
            )
        else:
            train(other, run)
    also = [str(tmp_path / f"{family}.yaml") for family in ("chatml_bos", "gemma")]
    planned = plan.plan(run, str(config), "Sam", "historical", replies=6, also=also)
    names = ["base", "tuned", "base chatml_bos", "chatml_bos", "base gemma", "gemma"]
    assert [model["name"] for model in planned["models"]] == names
    measured = plan.measure(planned, longest=3)
    assert {model for model, _ in measured["scores"]} == set(names[:4])
    assert {one["arm"].split(",")[0] for one in measured["left_out"]} == {"base gemma", "gemma"}
    assert "System role not supported" in measured["left_out"][0]["why"]
    formats = {one["name"]: one for one in planned["formats"]}
    arms = [
        results.arm(model, formats[name], scores, planned["heldout"])
        for (model, name), scores in measured["scores"].items()
    ]
    rows = tables.quality(arms, planned["models"], {})[0]
    assert [row["model"] for row in rows] == names[:4] and all(row["bits_per_byte"] > 0 for row in rows)


def said(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return ended.value.code, *capsys.readouterr()


@pytest.mark.slow
def test_compare_command_stores_arms_for_the_notebook(study, tmp_path, capsys, monkeypatch):
    config, run = study
    train(config, run)
    given = {"config": config, "replies": 6, "longest": 3}
    arguments = [part for key, value in given.items() for part in ("-p", key, value)]
    capsys.readouterr()
    status, printed, _ = said(capsys, "compare", "--run", run.name, *arguments)
    assert status == 0 and "10 of 10 done" in printed and "about" in printed and "10 combinations" in printed
    monkeypatch.setattr(generation, "generate", lambda *_, **__: pytest.fail("written again"))
    assert said(capsys, "compare", "--run", run.name, *arguments)[0] == 0
    status, _, told = said(capsys, "compare", "--run", run.name, "-p", "sauce", "x")
    assert status == 2 and "sauce" in told


@pytest.mark.slow
def test_archaeology_command_ranks_formats(study, tmp_path, capsys):
    config, run = study
    train(config, run)
    capsys.readouterr()
    given = ("--adapter", tmp_path / "adapter", "--data", tmp_path / "raw_style_variable")
    status, printed, _ = said(capsys, "archaeology", *given, "--replies", 4)
    lines = printed.splitlines()
    assert status == 0 and len(lines) == 8 and all(", ranked first in " in line for line in lines[:7])
    assert {line.split("  ")[0] for line in lines[:7]} >= {
        "as in training",
        "the wrapped form",
        "no chat template",
        "the tagged form",
    }
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({**settings, "model": None}))
    status, _, told = said(capsys, "archaeology", *given)
    assert status == 2 and "--model" in told
    assert said(capsys, "archaeology", *given, "--model", "tiny", "--replies", 4)[0] == 0
