"""`ftstudy fix`: what a repaired copy of a fine-tune has, what is said, and that nothing else changes."""

import json
import subprocess
import sys

import pytest
import yaml
from audit.test_field_cases import CASES as FIELD
from audit.test_field_cases import audited as field_case
from faults import config_faults, matrix
from faults.studies import build
from ftstudy import audit, cli, configs, repair, training
from ftstudy.audit.config.values import shown_value
from ftstudy.repair import changes, folder, unrepaired, yaml_text

PLAIN = "texter-chatml-12"


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return build(PLAIN, tmp_path)


@pytest.fixture
def fix(tmp_path, capsys):
    """Run `ftstudy fix`; its exit status and what it printed."""

    def run(config="config.yaml", out="fixed", *more):
        with pytest.raises(SystemExit) as ended:
            cli.main(["fix", str(config), "--out", str(out), *map(str, more)])
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    return run


def settings(path="fixed/config.yaml"):
    return configs.given(path)


def contents(place):
    return {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}


def spoil(study):
    study.configure("lora_parameters", mask_prompt=False, learning_rate=3.0, lora_rank=16, lora_alpha=32)
    study.ask(system="You are somebody else entirely.")
    study.lines("train", lambda lines: [*lines[:2], b"", *lines[2:]])


def test_a_fix_repairs_config_rows_and_prompt_and_changes_nothing_in_place(study, fix, tmp_path):
    spoil(study)
    before = contents(tmp_path)
    status, said = fix("config.yaml", "fixed", "--inference", "profile.yaml")
    assert status == 0, said
    assert {path: data for path, data in contents(tmp_path).items() if path in before} == before
    made = settings()
    assert made["mask_prompt"] is True and made["learning_rate"] == 1e-4
    assert made["lora_parameters"] == {"rank": 16, "scale": 2.0, "dropout": 0.0} and "lora_rank" not in made
    assert made["data"] == "fixed/data" and made["adapter_path"] == "fixed/adapter"
    assert (tmp_path / "fixed/data/train.jsonl").read_text() == before[study.data / "train.jsonl"].decode().replace(
        "\n\n", "\n"
    )
    assert yaml.safe_load((tmp_path / "fixed/inference.yaml").read_text()) == {"kind": "messages"}
    for words in (
        "-learning_rate: 3.0",
        "+learning_rate: 0.0001",
        "1 blank line left out",
        "fixed/app_prompt.py builds it",
    ):
        assert words in said
    report = audit.audit("fixed/config.yaml", inference="fixed/inference.yaml")
    assert report["summary"]["error"] == report["summary"]["warning"] == 0, matrix.told(report)


def test_a_fixed_fine_tune_can_be_trained(study, fix):
    spoil(study)
    fix()
    inputs = training.read("fixed/config.yaml")
    assert training.check_audit(inputs) == []
    assert len(inputs.splits["train"].rows) == 12


def test_a_second_fix_finds_nothing_and_writes_nothing(study, fix, tmp_path):
    spoil(study)
    fix("config.yaml", "fixed", "--inference", "profile.yaml")
    status, said = fix("fixed/config.yaml", "again", "--inference", "fixed/inference.yaml")
    assert status == 0 and "Nothing to fix" in said
    assert not (tmp_path / "again").exists()


def test_the_same_fix_again_is_up_to_date_and_an_edited_one_is_left_alone(study, fix, tmp_path):
    spoil(study)
    fix()
    before = contents(tmp_path / "fixed")
    status, said = fix()
    assert status == 0 and "Up to date: fixed" in said and contents(tmp_path / "fixed") == before
    config = tmp_path / "fixed/config.yaml"
    config.write_text(config.read_text() + "seed: 7\n")
    status, said = fix()
    assert status == 2 and "config.yaml" in said and "edited" in said
    assert config.read_text().endswith("seed: 7\n")


def test_another_fix_replaces_an_unedited_one_but_not_one_with_an_adapter(study, fix, tmp_path):
    spoil(study)
    fix()
    study.configure(learning_rate=2.0, save_every=1)
    status, said = fix()
    assert status == 0 and "Wrote fixed" in said
    (tmp_path / "fixed/adapter").mkdir()
    study.configure(batch_size=2)
    status, said = fix()
    assert status == 2 and "adapter" in said and (tmp_path / "fixed/adapter").is_dir()


@pytest.mark.parametrize(
    "out, words", [("data/fixed", "your data folder"), ("data", "your data folder"), ("model", "didn't write it")]
)
def test_a_fix_is_not_written_over_other_things(study, fix, out, words, tmp_path):
    spoil(study)
    before = contents(tmp_path)
    status, said = fix("config.yaml", out)
    assert status == 2 and words in said and contents(tmp_path) == before


def test_an_empty_folder_is_written_into(study, fix, tmp_path):
    spoil(study)
    (tmp_path / "fixed").mkdir()
    status, said = fix()
    assert status == 0 and "Wrote fixed" in said and settings()["learning_rate"] == 1e-4


def test_a_model_that_cannot_be_loaded_is_said_after_what_was_written(study, fix):
    study.configure(model="nowhere/there", learning_rate=3.0)
    status, said = fix()
    assert status == 2 and said.index("Wrote fixed.") < said.index("The model nowhere/there")
    assert "Train it with" not in said and settings()["learning_rate"] == 1e-4


def test_commands_and_code_take_any_folder_name(study, fix, tmp_path):
    spoil(study)
    status, said = fix("config.yaml", 'my "fix"""', "--inference", "profile.yaml")
    assert status == 0 and 'ftstudy train --config \'my "fix"""/config.yaml\'' in " ".join(said.split())
    compile((tmp_path / 'my "fix"""' / "app_prompt.py").read_text(), "app_prompt.py", "exec")


def test_what_cannot_be_repaired_is_named_with_its_reason(study, fix):
    study.configure(hf_dataset={"path": "someone/chats"}, learning_rate=5.0)
    status, said = fix()
    assert status == (1 if config_faults.HUB == "error" else 0)
    assert f"{config_faults.HUB}  config.hf_dataset" in said and "would go out of date" in said
    assert settings()["learning_rate"] == 1e-4 and settings()["data"] == str(study.data)


def test_the_code_for_the_app_builds_the_prompt_of_training(study, fix):
    spoil(study)
    fix("config.yaml", "fixed", "--inference", "profile.yaml")
    ran = subprocess.run([sys.executable, "fixed/app_prompt.py", "hey"], capture_output=True, text=True)
    row = study.rows("test")[0]["messages"]
    asked = [*row[:-2], {"role": "user", "content": "hey"}]
    expected = study.tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    assert ran.stdout.rstrip("\n") == expected.rstrip("\n"), ran.stderr


def test_what_an_extraction_recorded_follows_its_rows(tmp_path, monkeypatch, fix):
    monkeypatch.chdir(tmp_path)
    study = build("texter-chatml", tmp_path)
    meta = study.meta()
    study.lines("train", lambda lines: [b"", *lines])
    assert fix()[0] == 0
    kept = [json.loads(line) for line in (tmp_path / "fixed/data/meta.jsonl").read_text().splitlines()]
    assert sorted(kept, key=str) == sorted(meta, key=str)
    assert (tmp_path / "fixed/data/origin.json").read_bytes() == (study.data / "origin.json").read_bytes()


# --- each repair of the config -------------------------------------------------------------------

CONFIG_CASES = [matrix.Case(*case) for case in config_faults.cases()]
NOT_REPAIRED = {"config.hf_dataset", "config.memory"}  # a dataset on a hub; what to give up is for the user to say


def fixed_of(inputs, place):
    draft = repair.read(inputs)
    made, notes = repair.repaired(draft, inputs, repair.REPAIRS)
    repair.write(made, place, inputs, notes)
    return audit.read(place / repair.CONFIG), notes


def errors_left(report, notes):
    """Errors of the audit that a repair was offered for, and those without a reason why there was none."""
    offered = {check for one, _ in notes for check in one.checks}
    errors = [one for one in report["findings"] if one["severity"] == "error"]
    return [one for one in errors if one["check"] in offered or unrepaired.why(one["check"]) == unrepaired.OTHERWISE]


@pytest.mark.parametrize("case", CONFIG_CASES, ids=lambda case: case.name)
def test_a_fault_of_the_config_is_gone_after_a_fix(case, tmp_path):
    study = build(case.study, tmp_path)
    case.spoil(study)
    inputs, notes = fixed_of(audit.read(study.folder / "config.yaml"), tmp_path / "fixed")
    report = audit.check(inputs, existing=False)
    found = {one["check"] for one in report["findings"] if one["severity"] != "info"}
    gone = set(case.check.split("|")) - NOT_REPAIRED
    assert not found & gone, matrix.told(report)
    assert errors_left(report, notes) == []
    _, more = repair.repaired(repair.read(inputs), inputs, repair.REPAIRS)
    assert more == [], [said for _, said in more]


@pytest.mark.parametrize("case", FIELD.values(), ids=FIELD)
def test_a_public_failure_has_no_error_left_that_a_repair_was_offered_for(case, tmp_path):
    field_case(case, tmp_path)
    inputs, notes = fixed_of(audit.read(tmp_path / "config.yaml"), tmp_path / "fixed")
    assert errors_left(audit.check(inputs, existing=False), notes) == []
    _, more = repair.repaired(repair.read(inputs), inputs, repair.REPAIRS)
    assert more == [], [said for _, said in more]


OTHER = [case for case in matrix.CASES if case.name not in {one.name for one in CONFIG_CASES}]


@pytest.mark.parametrize("case", OTHER[::9], ids=lambda case: case.name)
def test_any_fault_is_gone_after_a_fix_or_named_with_a_reason(case, tmp_path):
    study = build(case.study, tmp_path)
    case.spoil(study)
    inputs, notes = fixed_of(audit.read(study.folder / "config.yaml"), tmp_path / "fixed")
    assert errors_left(audit.check(inputs, existing=False), notes) == []


def meant(given, study):
    """The config's settings after a fix of these keys."""
    study.configure(*({"lora_parameters", "num_layers", "learning_rate", "iters"} - given.keys()), **given)
    inputs = audit.read("config.yaml")
    return repair.repaired(repair.read(inputs), inputs, repair.REPAIRS)[0]["config"]


@pytest.mark.parametrize(
    "given, made",
    [
        ({"lora_layers": 1}, {"num_layers": 1}),
        ({"r": 4}, {"lora_parameters": {"rank": 4, "dropout": 0.0, "scale": 20.0}}),
        ({"lora_config": {"r": 4, "lora_alpha": 8}}, {"lora_parameters": {"rank": 4, "dropout": 0.0, "scale": 2.0}}),
        ({"num_train_epochs": 2}, {"iters": 6}),
        ({"lr": "2e-4"}, {"learning_rate": 2e-4}),
        ({"training": {"iters": 9, "learning_rate": 3e-5}}, {"iters": 9, "learning_rate": 3e-5}),
        ({"weight_decay": 0.1}, {"optimizer": "adamw", "optimizer_config": {"adamw": {"weight_decay": 0.1}}}),
        ({"use_dora": True}, {"fine_tune_type": "lora"}),  # which the config sets
        ({"target_modules": ["q_proj"]}, {"lora_parameters": {"rank": 8, "dropout": 0.0, "scale": 20.0, "keys": ["self_attn.q_proj"]}}),
        ({"lora_r": 4, "lora_alpha": 8, "use_rslora": True}, {"lora_parameters": {"rank": 4, "dropout": 0.0, "scale": 4.0}}),
        ({"num_train_epochs": 2, "max_steps": -1}, {"iters": 6}),
        ({"max_steps": 7, "num_train_epochs": 2}, {"iters": 7}),
        ({"lr_scheduler_type": "cosine", "warmup_steps": 3, "iters": 8}, {"iters": 8, "lr_schedule": {"name": "cosine_decay", "arguments": [1e-5, 5], "warmup": 3}}),
        ({"lr_schedule": "cosine", "warmup": 3, "iters": 8}, {"iters": 8, "lr_schedule": {"name": "cosine_decay", "arguments": [1e-5, 5], "warmup": 3}}),
        ({"warmup_ratio": 0.5, "warmup_steps": 0, "iters": 8}, {"iters": 8, "lr_schedule": {"name": "linear_schedule", "arguments": [1e-5, 1e-5, 4], "warmup": 4}}),
        ({"warmup_ratio": 0.5, "iters": 8}, {"iters": 8, "lr_schedule": {"name": "linear_schedule", "arguments": [1e-5, 1e-5, 4], "warmup": 4}}),
    ],
    ids=lambda keys: shown_value(keys)[:40],
)  # fmt: skip
def test_a_key_of_another_trainer_becomes_the_setting_that_was_meant(study, given, made):
    found = meant(given, study)
    assert {key: found.get(key) for key in made} == made
    assert not (given.keys() - made.keys()) & found.keys()


def test_of_two_keys_for_one_setting_the_sentences_say_which_one_counts(study, fix):
    study.configure("iters", num_train_epochs=2, max_steps=-1)
    _, said = fix("config.yaml")
    assert "`num_train_epochs: 2` is now `iters: 6`" in said
    assert "`max_steps: -1` removed: `num_train_epochs` sets the same" in said


def test_a_run_of_less_than_an_epoch_gets_one_and_its_schedule_is_as_long(study):
    schedule = {"name": "cosine_decay", "arguments": [1e-4, 1], "warmup": 0}
    study.configure("learning_rate", iters=1, lr_schedule=schedule)
    inputs = audit.read("config.yaml")
    found = repair.repaired(repair.read(inputs), inputs, repair.REPAIRS)[0]["config"]
    assert found["iters"] == 3 and found["lr_schedule"]["arguments"] == [1e-4, 3]


def test_a_fault_can_be_left_in(study):
    spoil(study)
    inputs = audit.read("config.yaml")
    draft = repair.read(inputs)
    found, made = repair.repaired(draft, inputs, repair.REPAIRS, without=["learning_rate"])
    assert found["config"]["learning_rate"] == 3.0 and found["config"]["mask_prompt"] is True
    assert "learning_rate" not in {one.id for one, _ in made}
    assert draft["config"]["mask_prompt"] is False


# --- rows that can't be read as they are ------------------------------------------------------------


@pytest.mark.parametrize(
    "text, number",
    [
        (lambda rows: json.dumps(rows), 12),
        (lambda rows: "\n".join(json.dumps(row, indent=2) for row in rows), 12),
        (lambda rows: "\ufeff" + "\n".join(map(json.dumps, rows)), 12),
        (lambda rows: "\r\n".join(map(json.dumps, rows)) + "\r\n", 12),
        (lambda rows: "\n".join(json.dumps(row) + "," for row in rows), 12),
        (lambda rows: "\n".join(map(str, rows)), 12),
        (lambda rows: "\n".join(map(json.dumps, rows[:11])) + '\n{"messages": [{"role": "us', 11),
    ],
    ids=["an array", "over lines", "a byte order mark", "other line ends", "commas", "Python", "cut off"],
)
def test_rows_are_read_however_they_are_written(study, text, number):
    rows = study.rows("train")
    (study.data / "train.jsonl").write_text(text(rows), encoding="utf-8", newline="")
    inputs, notes = fixed_of(audit.read("config.yaml"), study.folder / "fixed")
    assert [json.loads(line) for line in inputs.splits["train"].path.read_text().splitlines()] == rows[:number]
    assert errors_left(audit.check(inputs, existing=False), notes) == []


@pytest.mark.parametrize("answer", ["completion", "chosen"])
def test_prompts_and_completions_that_are_lists_of_messages_become_conversations(study, answer):
    rows = study.rows("train")
    for name in ("train", "valid", "test"):
        pairs = [{"prompt": row["messages"][:-1], answer: row["messages"][-1:]} for row in study.rows(name)]
        (study.data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    inputs, notes = fixed_of(audit.read("config.yaml"), study.folder / "fixed")
    assert inputs.splits["train"].rows == rows and errors_left(audit.check(inputs, existing=False), notes) == []


def test_files_of_other_names_are_read(study):
    (study.data / "valid.jsonl").rename(study.data / "validation.jsonl")
    inputs, notes = fixed_of(audit.read("config.yaml"), study.folder / "fixed")
    assert len(inputs.splits["valid"].rows) == 4
    assert any("validation.jsonl is now valid.jsonl" in note for _, said in notes for note in said)


# --- the config's text -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "old, changes_, new",
    [
        ("a: 1  # one\nb: 2\n", {"b": 3}, "a: 1  # one\nb: 3\n"),
        ("a: 1  # one\nb: 2\n", {"a": 5}, "a: 5  # one\nb: 2\n"),
        ("# start\na:\n  x: 1  # in\n  y: 2\n# end\nb: 2\n", {"a": {"x": 1, "y": 3}}, "# start\na:\n  x: 1  # in\n  y: 3\n# end\nb: 2\n"),
        ("a:\n- 1\n- 2\nb: 2\n", {"a": [3]}, "a: [3]\nb: 2\n"),
        ("a: 1\r\nb: 2\r\n", {"b": 3}, "a: 1\r\nb: 3\r\n"),
        ("\ufeffa: 1\nb: 2", {"b": "1e-4"}, "a: 1\nb: '1e-4'\n"),
        ("a: 1\na: 2\nb: 2\n", {"b": 3}, "# a: 1\na: 2\nb: 3\n"),
        ("a: 1\nb: 2\na: 2  # mine\n", {"b": 3}, "# a: 1\nb: 3\na: 2  # mine\n"),
        ("{a: 1, b: 2}\n", {"b": 3}, "a: 1\nb: 3\n"),
        ("x-all: &all {c: 1}\na: *all\nb: 2\n", {"a": {"c": 2}}, "x-all:\n  c: 1\na:\n  c: 2\nb: 2\n"),
    ],
)  # fmt: skip
def test_only_the_lines_of_changed_keys_change(old, changes_, new):
    loader = configs.config_loader()
    before = yaml.load(old, loader)
    after = before | changes_
    assert yaml_text.edited(old, before, after, {}, loader) == new


def test_a_merged_block_is_written_out_if_its_keys_change():
    loader = configs.config_loader()
    text = "base: &base {x: 1}\na:\n  <<: *base\n  y: 2\n"
    before = yaml.load(text, loader)
    after = before | {"a": {"x": 5, "y": 2}}
    assert yaml.load(yaml_text.edited(text, before, after, {}, loader), loader) == after


def test_rows_are_counted_with_examples():
    lines = changes.of_rows({"train": [{"a": "one"}, {"a": "two"}]}, {"train": [{"a": "one"}, {"a": "six"}]})
    assert lines[0] == "1 row changed" and "two" in lines[1] and "six" in lines[1]
    moved = changes.of_rows({"train": [{"a": 1}], "valid": []}, {"train": [], "valid": [{"a": 1}]})
    assert moved[0] == "1 row moved to another split"


def test_the_record_says_what_was_repaired(study, fix):
    spoil(study)
    fix()
    known = folder.record(study.folder / "fixed")
    assert {"prompt_trained", "learning_rate", "settings_ignored"} <= {one["id"] for one in known["repairs"]}
    assert folder.changed_since(study.folder / "fixed", known) == []
