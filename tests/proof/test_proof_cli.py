"""`ftstudy prove` from the command line: a whole proof, one that was stopped, an edited fix, and what is refused."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import ftstudy
import pytest
import yaml
from ftstudy import audit, chat_format, cli, proof, repair
from ftstudy.files import locks, read_json, write_jsonl
from ftstudy.proof import scores
from ftstudy.stages import proving, stamps, study
from repair.test_fix import contents
from staged_finetunes import CONFIG, rows_of_sam, write_rows

from ftstudy.demo import tiny_chat  # isort: skip

pytestmark = pytest.mark.slow  # each proof trains several times
HEALTHY = CONFIG | {"iters": 10, "learning_rate": 4e-4, "save_every": 5, "steps_per_eval": 5, "val_batches": -1}
ROWS = 80
QUICK = ("--seeds", "1", "--replies", "12")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with few rows; its config is written by `configure`."""
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "data", {split: rows[:ROWS] for split, rows in rows_of_sam().items()})
    return tmp_path


def configure(name="mine.yaml", **changes):
    config = HEALTHY | {"model": str(tiny_chat.FOLDER)} | changes
    Path(name).write_text(yaml.safe_dump(config, sort_keys=False))
    return name


@pytest.fixture
def prove(capsys):
    """Run `ftstudy prove`; its exit status and what it printed."""

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            cli.main(["prove", *map(str, words)])
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    return run


def result(run="mine"):
    return read_json(Path("reports") / run / "proof.json")


def trained(run="mine"):
    """The names of the trainings that a proof has finished -> their results."""
    return read_json(Path("reports") / run / "proof" / "trainings.json")


def test_a_whole_proof_says_what_the_fault_cost_and_changes_nothing_of_the_users(project, prove):
    configure(learning_rate=0.05)
    before = contents(project)
    status, said = prove("mine.yaml", *QUICK)
    assert status == 0, said
    made = result()
    assert [one["id"] for one in made["faults"]] == ["learning_rate"] and made["edited"] == []
    assert made["helped"]["verdict"] == "better" and made["faults"][0]["cost"]["verdict"] == "worse"
    assert made["replies"] == 12 and len(made["trainings"]) == 2
    assert "2 training runs" in said and made["sentence"] in " ".join(said.split())
    assert {path: data for path, data in contents(project).items() if path in before} == before
    for path in (project / "reports").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
        assert ".new." not in path.name and ".old." not in path.name


def test_a_stopped_proof_goes_on_with_what_it_has(project):
    configure(learning_rate=0.05)
    command = [sys.executable, "-m", "ftstudy", "prove", "mine.yaml", *QUICK]
    environment = os.environ | {"PYTHONPATH": str(Path(ftstudy.__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in first.stdout:
        if line.startswith("as it was"):
            first.send_signal(signal.SIGTERM)
            break
    _, refused = first.communicate(timeout=120)
    assert first.returncode == 128 + signal.SIGTERM and "run the same command again" in refused
    assert [*trained()] == ["as-fixed"] and not Path("reports/mine/proof.json").exists()
    kept = trained()["as-fixed"]
    second = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert "as fixed: trained already" in second.stdout and "as it was: training" in second.stdout
    assert trained()["as-fixed"] == kept and [*trained()] == ["as-fixed", "as-it-was"]
    assert result()["helped"]


def test_an_edited_fix_is_what_is_trained_as_fixed(project, prove):
    configure(learning_rate=0.05)
    assert prove("mine.yaml", "--dry-run")[0] == 0
    path = Path("reports/mine/fixed/config.yaml")
    path.write_text(path.read_text().replace("iters: 10", "iters: 12"))
    edited = path.read_bytes()
    status, said = prove("mine.yaml", *QUICK)
    assert status == 0, said
    assert result()["edited"] == ["config"] and path.read_bytes() == edited
    for name, rate in (("as-fixed", 1e-4), ("as-it-was", 0.05)):
        config = yaml.safe_load((Path("reports/mine/proof") / f"{name}.yaml").read_text())
        assert (config["iters"], config["learning_rate"]) == (12, rate)


def test_nothing_to_prove_is_said_and_is_no_failure(project, prove):
    configure()
    status, said = prove("mine.yaml", *QUICK)
    assert status == 0 and proof.NOTHING in " ".join(said.split())
    nothing = {"faults": [], "helped": None, "sentence": proof.NOTHING}
    assert result() == nothing | repair.origin(audit.read("mine.yaml"))
    assert not Path("reports/mine/proof").exists()


def test_a_fault_that_makes_training_abort_leaves_nothing_to_compare(project, prove):
    configure(optimizer="paged_adamw_8bit")
    status, said = prove("mine.yaml", *QUICK)
    assert status == 0 and "as it was, training aborts because of settings that mlx-lm refuses" in " ".join(
        said.split()
    )


def test_a_budget_that_is_no_time_is_refused_before_anything_is_written(project, prove):
    configure(learning_rate=0.05)
    before = contents(project)
    status, said = prove("mine.yaml", "--budget", "ten minutes")
    assert status == 2 and "is not a time" in said and contents(project) == before


def test_a_copy_follows_the_config_until_somebody_edits_it(project, prove):
    configure(learning_rate=0.05)
    prove("mine.yaml", "--dry-run")
    configure(learning_rate=0.05, iters=20)
    prove("mine.yaml", "--dry-run")
    path = Path("reports/mine/fixed/config.yaml")
    assert "iters: 20" in path.read_text()
    path.write_text(path.read_text() + "# mine\n")
    configure(learning_rate=0.05, iters=30)
    _, said = prove("mine.yaml", "--dry-run")
    assert "was edited (config.yaml), so it was kept" in said
    assert "iters: 20" in path.read_text() and path.read_text().endswith("# mine\n")


def test_a_copy_gets_the_code_of_the_apps_prompt_once_the_app_is_known(project, prove):
    configure(learning_rate=0.05)
    Path("app.yaml").write_text("kind: messages\nuser: 'Conversation: {context}'\n")
    code = Path("reports/mine/fixed/app_prompt.py")
    prove("mine.yaml", "--dry-run")
    assert not code.exists()
    for words in (["--inference", "app.yaml"], []):  # and keeps it
        prove("mine.yaml", "--dry-run", *words)
        assert code.exists()


def test_an_edited_copy_of_another_config_is_refused(project, prove):
    configure(learning_rate=0.05)
    prove("mine.yaml", "--dry-run")
    path = Path("reports/mine/fixed/config.yaml")
    path.write_text(path.read_text() + "# mine\n")
    configure("other.yaml", mask_prompt=False)
    status, said = prove("other.yaml", "--run", "mine", *QUICK)
    assert status == 2 and "is the repaired copy of mine.yaml, not of other.yaml" in said


def test_two_proofs_of_a_run_at_once_are_refused(project, prove):
    configure(learning_rate=0.05)
    with locks.held(Path("reports/mine").absolute() / locks.LOCK):
        status, said = prove("mine.yaml", *QUICK)
    assert status == 2 and "is being written by process" in said


def test_iterations_that_are_no_number_in_an_edited_copy_are_refused(project, prove):
    configure(learning_rate=0.05)
    prove("mine.yaml", "--dry-run")
    path = Path("reports/mine/fixed/config.yaml")
    path.write_text(path.read_text().replace("iters: 10", "iters: many"))
    status, said = prove("mine.yaml", *QUICK)
    assert status == 2 and "`iters: many`" in said


@pytest.mark.parametrize(
    "text, words",
    [("", "has no training rows"), ("{nonsense\n", "train.jsonl is not JSONL (line 1")],
    ids=["gone", "broken"],
)
def test_rows_of_an_edited_copy_that_cannot_be_trained_on_are_refused(project, prove, text, words):
    configure(learning_rate=0.05)
    prove("mine.yaml", "--dry-run")
    Path("reports/mine/fixed/data/train.jsonl").write_text(text)
    status, said = prove("mine.yaml", *QUICK)
    assert status == 2 and words in said and not Path("reports/mine/proof").exists()


def test_a_model_that_is_not_there_is_refused_before_a_copy_is_written(project, prove):
    configure(model="nowhere/there", learning_rate=0.05)
    before = contents(project)
    status, said = prove("mine.yaml", *QUICK)
    assert status == 2 and "nowhere/there" in said and contents(project) == before


def test_rows_that_only_a_fix_can_read_have_their_time_estimated_too(project, prove):
    configure(learning_rate=0.05)
    for path in (project / "data").glob("*[dnt].jsonl"):
        rows = [json.loads(line) for line in path.open()]
        path.with_suffix(".json").write_text(json.dumps(rows))
        path.unlink()
    status, said = prove("mine.yaml", *QUICK, "--dry-run")
    assert status == 0 and "2 training runs, about" in said


def test_a_fix_edited_after_its_proof_is_proved_anew(project, prove):
    configure(learning_rate=0.05)
    prove("mine.yaml", *QUICK)
    first = result()["trainings"]
    path = Path("reports/mine/fixed/config.yaml")
    path.write_text(path.read_text().replace("learning_rate: 0.0001", "learning_rate: 0.0002"))
    status, said = prove("mine.yaml", *QUICK)
    assert status == 0 and "as fixed: training" in said and "as it was: trained already" in said
    second = result()["trainings"]
    assert second[0]["run_id"] != first[0]["run_id"] and second[1]["run_id"] == first[1]["run_id"]


def test_rows_with_a_value_that_is_no_number_are_not_taken_for_edited(project, prove):
    rows = [json.loads(line) | {"score": float("nan")} for line in (project / "data/train.jsonl").open()]
    (project / "data/train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    configure(learning_rate=0.05)
    status, said = prove("mine.yaml", *QUICK)
    assert status == 0, said
    assert result()["edited"] == []


def test_rows_under_a_key_that_the_config_names_are_proved(project, prove):
    for path in (project / "data").glob("*[dnt].jsonl"):
        path.write_text(path.read_text().replace('"messages"', '"talk"'))
    configure(learning_rate=0.05, chat_feature="talk")
    status, said = prove("mine.yaml", *QUICK)
    assert status == 0, said
    assert [one["id"] for one in result()["faults"]] == ["learning_rate"]


def test_recorded_prompts_are_those_of_the_same_replies_after_rows_were_left_out(project):
    rows = [json.loads(line) for line in (project / "data/test.jsonl").open()]
    rows[0]["messages"][-1]["content"] = ""  # left out, so that all others have another number
    write_jsonl(project / "data/test.jsonl", rows)
    asked = [{"split": "test", "row": at, "prompt": f"number {at}"} for at in range(10, 20)]
    write_jsonl(project / "recorded.jsonl", asked)
    was = audit.read(configure(), inference="recorded.jsonl")
    fixed = audit.read(proving.fixed(was, project / "reports/mine") / "config.yaml")
    assert len(fixed.splits["test"].rows) == len(rows) - 1
    found = scores.asked(fixed, [fixed], was.profile, 12, was)
    assert found["why_not"] == "" and 0 < len(found["targets"]) <= 10
    for prompt, target in zip(found["prompts"][scores.AS_WAS], found["targets"]):
        number = int(was.tokenizer.decode(prompt).split()[-1])
        assert [tuple(target)] == chat_format.reply_ids([rows[number]], was.tokenizer)


def test_a_proof_of_another_config_is_not_shown_and_its_trainings_stay(project, prove):
    first, other = configure(learning_rate=0.05), configure("other.yaml", learning_rate=0.04)
    prove(first, "--run", "mine", *QUICK)
    folder, ours = project / "reports/mine", study.CHOICES | {"run": "mine", "config": first}
    proving.forget_another(ours, folder)
    assert result()
    proving.forget_another(ours | {"config": other}, folder)
    assert not (folder / "proof.json").exists() and set(trained()) == {"as-fixed", "as-it-was"}
    _, said = prove(first, "--run", "mine", *QUICK)
    assert result() and "as fixed: trained already" in said and ": training" not in said


def test_the_proof_of_a_study_is_kept_until_the_copy_is_edited(project):
    folder, told = project / "reports/mine", []
    choices = study.CHOICES | {"run": "mine", "config": configure(learning_rate=0.05), "replies": 12}
    stages = [proving.stage(choices, folder)]
    stamps.run(folder, stages, told.append)
    stamps.run(folder, stages, told.append)
    assert told[-1] == "proof: nothing has changed, kept"
    path = folder / "fixed/config.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 7"))
    stamps.run(folder, stages, told.append)
    assert "your edit of reports/mine/fixed/config.yaml is new" in told[-1]
    assert result()["edited"] == ["config"]
