"""What runs again after which change, decided by content."""

import json
import os
import shutil

import nbformat
import pytest
import yaml
from ftstudy import cli, paths
from ftstudy.errors import StudyError
from ftstudy.extract import variants
from ftstudy.files import write_json
from ftstudy.models import base_models
from ftstudy.stages import notebooks, stamps, start_page, study
from nbformat.sign import NotebookNotary

SAMPLE = paths.ROOT / "ft_configs" / "sample_tiny_lora_variable.yaml"


# --- stages of any kind ----------------------------------------------------------------------------------------------


def copying(folder, name, source, target):
    """A stage that copies one file to another."""
    return {
        "name": name,
        "given": {},
        "reads": lambda: {source.name: source},
        "writes": lambda: {target.name: target},
        "do": lambda: shutil.copy(source, target),
        "forget": lambda: target.unlink(missing_ok=True),
    }


@pytest.fixture
def chain(tmp_path):
    a, b, c = (tmp_path / name for name in "abc")
    a.write_text("one")
    return [copying(tmp_path, "first", a, b), copying(tmp_path, "second", b, c)]


def ran(folder, stages):
    told = []
    stamps.run(folder, stages, told.append)
    return [line.split(":")[0] for line in told if "running" in line]


def test_only_what_reads_a_changed_file_runs_again(tmp_path, chain):
    assert ran(tmp_path, chain) == ["first", "second"]
    assert ran(tmp_path, chain) == []
    (tmp_path / "a").write_text("two")
    assert ran(tmp_path, chain) == ["first", "second"] and (tmp_path / "c").read_text() == "two"
    chain[0]["given"] = {"colour": "red"}  # writes the same again
    assert ran(tmp_path, chain) == ["first"]


@pytest.mark.parametrize("moment", [0, 1e9, 4e9])
def test_the_dates_of_files_say_nothing(tmp_path, chain, moment):
    ran(tmp_path, chain)
    for name in "abc":
        os.utime(tmp_path / name, (moment, moment))
    assert ran(tmp_path, chain) == []
    (tmp_path / "a").write_text("two")
    os.utime(tmp_path / "a", (moment, moment))
    assert ran(tmp_path, chain) == ["first", "second"]


@pytest.mark.parametrize("change", [lambda path: path.write_text("edited"), lambda path: path.unlink()])
def test_a_result_that_is_gone_or_edited_is_made_again(tmp_path, chain, change):
    ran(tmp_path, chain)
    change(tmp_path / "c")
    assert ran(tmp_path, chain) == ["second"] and (tmp_path / "c").read_text() == "one"


def test_after_a_failure_no_old_result_passes_for_a_new_one(tmp_path, chain):
    ran(tmp_path, chain)
    (tmp_path / "a").write_text("two")
    works = chain[0]["do"]

    def fails():
        raise StudyError("the disk is full")

    chain[0]["do"] = fails
    with pytest.raises(StudyError, match="full"):
        ran(tmp_path, chain)
    assert not (tmp_path / "b").exists() and not (tmp_path / "c").exists()
    chain[0]["do"] = works
    assert ran(tmp_path, chain) == ["first", "second"]


def test_a_change_while_a_stage_runs_is_noticed_the_next_time(tmp_path, chain):
    works = chain[0]["do"]

    def slow():
        works()
        (tmp_path / "a").write_text("two")

    chain[0]["do"] = slow
    ran(tmp_path, chain)
    chain[0]["do"] = works
    assert ran(tmp_path, chain) == ["first", "second"] and (tmp_path / "c").read_text() == "two"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"form": 0}'])
def test_a_damaged_stamp_is_no_stamp(tmp_path, chain, text):
    ran(tmp_path, chain)
    (tmp_path / "stamps" / "first.json").write_text(text)
    assert ran(tmp_path, chain) == ["first"]


def test_another_version_of_a_package_runs_everything_again(tmp_path, chain, monkeypatch):
    ran(tmp_path, chain)
    monkeypatch.setattr(stamps, "_packages", lambda: {"mlx": "9.9"})
    why = list(stamps.planned(tmp_path, chain))
    assert all("would run" in line for line in why)
    assert ran(tmp_path, chain) == ["first", "second"]


def test_what_is_out_of_date_is_gone_before_another_stage_runs(tmp_path, chain):
    """So that a page written in between never shows old results next to new ones."""
    ran(tmp_path, chain)
    (tmp_path / "b").write_text("edited")  # so both are out of date
    there = []
    works = chain[0]["do"]
    chain[0]["do"] = lambda: (there.append((tmp_path / "c").exists()), works())
    told = []
    stamps.run(tmp_path, chain, told.append)
    assert there == [False] and (tmp_path / "c").read_text() == "one"
    assert "b has changed" in told[1] and "first run" not in told[1]


def test_how_long_a_stage_took_is_known_the_next_time(tmp_path, chain):
    assert stamps.last_seconds(tmp_path, "first") is None
    ran(tmp_path, chain)
    assert stamps.last_seconds(tmp_path, "first") >= 0 and stamps.last_seconds(tmp_path, "third") is None


@pytest.fixture
def short_study(tmp_path, monkeypatch):
    """A study of four stages that copy files, and what its report was told after each."""
    monkeypatch.chdir(tmp_path)
    for name in "abcde":
        (tmp_path / name).write_text(name)
    names = ("01_extract", "02_format_audit", "03_train", "04_compare")
    planned = [copying(tmp_path, name, tmp_path / "abcd"[at], tmp_path / "bcde"[at]) for at, name in enumerate(names)]
    written = []

    def write(folder, not_measured="", finished=True):
        written.append((not_measured, finished))
        return folder / "index.html"

    monkeypatch.setattr(study, "stages", lambda choices: planned)
    monkeypatch.setattr(study.report, "write", write)
    return planned, written


def test_a_study_of_chats_writes_every_variant_that_there_is(monkeypatch):
    monkeypatch.setitem(variants.VARIANTS, "a_new_one", {})
    extract, *_ = study.stages(study.CHOICES | {"run": "mine", "source": "chat.db", "data": "rows"})
    assert extract["given"]["variants"] == list(variants.VARIANTS)
    assert {f"rows/{name}/train.jsonl" for name in variants.VARIANTS} <= set(extract["writes"]())


def test_the_page_is_written_after_every_stage(short_study):
    _, written = short_study
    told = []
    assert study.run(study.CHOICES | {"run": "mine"}, told.append) == ""
    assert written == [
        ("This run is not finished: 02_format_audit, 03_train and 04_compare to come.", False),
        ("This run is not finished: 03_train and 04_compare to come.", False),
        ("This run is not finished: 04_compare to come.", False),
        ("", True),
    ]
    (line,) = [line for line in told if "reports/mine/index.html" in line]
    assert told.index(line) < next(at for at, line in enumerate(told) if line.startswith("03_train"))


@pytest.mark.parametrize("is_new", [True, False])
def test_no_page_shows_the_proof_of_another_config(short_study, tmp_path, is_new):
    """Whether a stage runs again for it, or all results are kept."""
    (tmp_path / "mine.yaml").write_text("model: tiny\ndata: .\n")
    choices = study.CHOICES | {"run": "mine", "config": "mine.yaml"}
    proof = paths.run_folder("mine") / "proof.json"
    if not is_new:
        study.run(choices, lambda line: None)
    write_json(proof, {"of": "another fine-tune"})
    shown = []
    study.run(choices, lambda line: shown.append(proof.exists() and line.startswith("report: running")))
    assert not any(shown) and not proof.exists()


def test_a_page_that_cannot_be_written_yet_does_not_stop_the_study(short_study, monkeypatch):
    def write(folder, not_measured="", finished=True):
        if not finished:
            raise StudyError("There is nothing to report on.")

    monkeypatch.setattr(study.report, "write", write)
    assert study.run(study.CHOICES | {"run": "mine"}, lambda line: None) == ""


@pytest.mark.parametrize(("at", "ends"), [(0, "raises"), (1, "raises"), (2, "reports"), (3, "reports")])
def test_a_study_whose_models_cannot_be_compared_still_has_a_report(short_study, at, ends):
    planned, written = short_study

    def fails():
        raise StudyError("No room.")

    planned[at]["do"] = fails
    if ends == "raises":
        with pytest.raises(StudyError, match="No room"):
            study.run(study.CHOICES | {"run": "mine"}, lambda line: None)
    else:
        failed = study.run(study.CHOICES | {"run": "mine"}, lambda line: None)
        assert failed == "The models could not be compared. No room." and written[-1] == (failed, True)


# --- the study's own -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study of the sample, with a model, a chat history and an address book of its own. Run once."""
    folder = tmp_path_factory.mktemp("study")
    for name in ("chat.db", "contacts.vcf"):
        shutil.copy(paths.DATA / "sample" / name, folder / name)
    shutil.copytree(base_models.resolve("tiny"), folder / "model")
    config = yaml.safe_load(SAMPLE.read_text()) | {"iters": 6, "num_layers": 2, "model": str(folder / "model")}
    for name in ("mine", "other"):
        own = config | {
            "adapter_path": str(folder / "adapters" / name),
            "data": str(folder / "rows" / "raw_style_variable"),
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(own))
    (folder / "app.yaml").write_text("kind: messages\nsystem: You are a bot.\n")
    (folder / "code").mkdir()
    (folder / "code" / "app.py").write_text("PROMPT = '<|im_start|>user'\n")
    choices = study.CHOICES | {
        "run": "test-stages",
        "source": str(folder / "chat.db"),
        "contacts": str(folder / "contacts.vcf"),
        "owner": "Sam",
        "config": str(folder / "mine.yaml"),
        "data": str(folder / "rows"),
        "inference": str(folder / "app.yaml"),
        "adapter": str(folder / "adapters" / "mine"),
        "replies": 4,
    }
    run = paths.run_folder("test-stages")
    shutil.rmtree(run, ignore_errors=True)
    assert study.run(choices) == ""
    yield folder, choices
    shutil.rmtree(run)


def again(choices):
    """The stages that would run for certain: stage -> why. The others run if these write something new."""
    lines = stamps.planned(paths.run_folder(choices["run"]), [*study.stages(choices), study.page(choices)])
    found = dict(line.split(": ", 1) for line in lines)
    return {name: why for name, why in found.items() if why.startswith("would run (")}


@pytest.mark.slow
def test_nothing_runs_again_without_a_change(whole):
    folder, choices = whole
    assert again(choices) == {}
    for path in folder.rglob("*"):
        os.utime(path)
    assert again(choices) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "change, stages",
    [
        ({"iterations": 4}, ["03_train"]),
        ({"stock": True}, ["03_train"]),
        ({"force": True}, []),  # it was trained without errors
        ({"app": "code"}, ["02_format_audit"]),
        ({"also": ["other.yaml"]}, ["more_training", "04_compare"]),
        ({"full": True}, ["more_training", "04_compare"]),
        ({"mask": False}, ["01_extract"]),
        ({"me": "somebody"}, ["01_extract"]),
        ({"owner": "Kim"}, ["01_extract", "02_format_audit", "04_compare"]),
        ({"inference": "historical"}, ["02_format_audit", "04_compare"]),
        ({"model": "tiny"}, ["02_format_audit", "03_train", "04_compare"]),
    ],
    ids=lambda one: "".join(one) if isinstance(one, dict) else None,
)
def test_a_variable_runs_only_the_stages_that_use_it(whole, change, stages):
    folder, choices = whole
    made = {}
    for name, value in change.items():
        value = [str(folder / one) for one in value] if isinstance(value, list) else value
        made[name] = str(folder / value) if value == "code" else value
    assert list(again(choices | made)) == stages


def add_line(path, text):
    path.write_bytes(path.read_bytes() + text)


def other_template(folder):
    path = folder / "model" / "chat_template.jinja"
    kept = path if path.exists() else folder / "model" / "tokenizer_config.json"
    add_line(kept, b" ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "change, stages",
    [
        (lambda folder: add_line(folder / "chat.db", b"\0"), ["01_extract"]),
        (lambda folder: add_line(folder / "contacts.vcf", b"\n"), ["01_extract"]),
        (lambda folder: (folder / "contacts.vcf").unlink(), ["01_extract"]),
        (other_template, ["02_format_audit", "03_train", "04_compare"]),
        (lambda folder: add_line(folder / "mine.yaml", b"\n"), ["02_format_audit", "03_train", "04_compare"]),
        (lambda folder: add_line(folder / "app.yaml", b"\n"), ["02_format_audit", "04_compare"]),
        (
            lambda folder: add_line(folder / "rows" / "raw_style_variable" / "train.jsonl", b"\n"),
            ["02_format_audit", "03_train", "04_compare"],
        ),
        (
            lambda folder: add_line(folder / "rows" / "raw_style_variable" / "meta.jsonl", b"\n"),
            ["02_format_audit", "03_train", "04_compare"],
        ),
        (lambda folder: shutil.rmtree(folder / "rows" / "wrapped"), ["01_extract"]),
        (
            lambda folder: add_line(folder / "adapters" / "mine" / "adapters.safetensors", b"\0"),
            ["03_train", "04_compare"],
        ),
        (lambda folder: shutil.rmtree(folder / "adapters" / "mine"), ["03_train", "04_compare"]),
    ],
    ids="source contacts no_contacts template config profile rows meta variant_gone adapter adapter_gone".split(),
)
def test_a_changed_file_runs_the_stages_that_read_it(whole, change, stages):
    folder, choices = whole
    kept = folder.with_name(f"{folder.name} kept")
    shutil.copytree(folder, kept)
    try:
        change(folder)
        assert list(again(choices)) == stages
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)
    assert again(choices) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, stages",
    [
        ("training", ["03_train", "04_compare", "report"]),
        ("comparison", ["04_compare", "report"]),
        ("findings", ["02_format_audit", "report"]),
        ("extraction", ["01_extract", "report"]),
    ],
)
def test_an_edited_result_is_made_again(whole, name, stages):
    _, choices = whole
    path = paths.run_folder(choices["run"]) / f"{name}.json"
    kept = path.read_text()
    found = json.loads(kept)
    entry = found["configs"][0] if name == "training" else found
    entry["edited"] = True
    path.write_text(json.dumps(found))
    try:
        assert list(again(choices)) == stages
    finally:
        path.write_text(kept)


@pytest.mark.slow
def test_what_was_trained_in_spite_of_errors_needs_force_again(whole):
    _, choices = whole
    path = paths.run_folder(choices["run"]) / "training.json"
    kept = path.read_text()
    found = json.loads(kept)
    found["configs"][0]["forced"] = ["data.empty"]
    path.write_text(json.dumps(found))
    try:
        assert "03_train" in again(choices) and "03_train" not in again(choices | {"force": True})
    finally:
        path.write_text(kept)


@pytest.mark.slow
def test_a_choice_in_the_blind_test_only_builds_the_report_again(whole):
    _, choices = whole
    path = paths.run_folder(choices["run"]) / "preferences.json"
    path.write_text("{}")
    try:
        assert list(again(choices)) == ["report"]
    finally:
        path.unlink()


@pytest.mark.slow
def test_the_reason_names_what_changed(whole):
    folder, choices = whole
    assert "iterations is 4, and was not set" in again(choices | {"iterations": 4})["03_train"]
    assert "code" in again(choices | {"app": str(folder / "code")})["02_format_audit"]


@pytest.mark.slow
def test_the_lab_opens_copies_of_the_notebooks_as_they_ran(whole):
    run = paths.run_folder(whole[1]["run"])
    folder, edited = notebooks.copies(run)
    assert folder == run / "lab" and not edited
    for name in notebooks.names():
        assert (folder / f"{name}.ipynb").read_text() == (run / f"{name}.ipynb").read_text()
    (folder / "01_extract.ipynb").write_text((folder / "01_extract.ipynb").read_text() + "\n")
    assert notebooks.copies(run)[1] == [folder / "01_extract.ipynb"]
    shutil.rmtree(folder)


def test_the_lab_of_a_new_run_opens_the_notebooks_without_the_outputs_of_the_sample(tmp_path):
    folder, _ = notebooks.copies(tmp_path / "new")
    for name in notebooks.names():
        cells = json.loads((folder / f"{name}.ipynb").read_text())["cells"]
        assert not any(cell.get("outputs") for cell in cells)


def test_a_config_that_cannot_be_read_is_said_before_anything_runs(tmp_path):
    choices = study.CHOICES | {"run": "test-nothing", "config": str(tmp_path / "none.yaml")}
    with pytest.raises(StudyError, match="No config"):
        study.check(choices)
    assert not paths.run_folder("test-nothing").exists()


@pytest.mark.parametrize(
    "given, data, adapter",
    [
        (["--run", "anna", "--source", "a.txt"], "data/anna", "data/adapters/anna/mine"),
        (["--run", "demo", "--source", "a.txt"], "data", ""),
        (["--run", "anna", "--source", "a.txt", "--data", "rows"], "rows", "data/adapters/anna/mine"),
        (["--run", "anna"], "", "data/adapters/anna/mine"),
        (["--run", "anna", "--adapter", "theirs"], "", "theirs"),
    ],
)
def test_a_run_extracts_and_trains_into_folders_of_its_own(monkeypatch, given, data, adapter):
    asked = {}
    monkeypatch.setattr(study, "stages", lambda choices: asked.update(choices) or [])
    monkeypatch.setattr(study, "page", lambda choices: {})
    monkeypatch.setattr(stamps, "planned", lambda folder, stages: [])
    monkeypatch.setattr(study, "check", lambda choices, dry: None)
    with pytest.raises(SystemExit):
        cli.main(["study", *given, "--config", "mine.yaml", "--dry-run"])
    assert (asked["data"], asked["adapter"], asked["existing"]) == (data, adapter, adapter == "theirs")


@pytest.mark.slow
def test_the_lab_begins_at_a_page_that_names_the_notebooks_and_what_they_are_set_to(whole):
    run = paths.run_folder(whole[1]["run"])
    folder, _ = notebooks.copies(run)
    page = start_page.write(run).read_text()
    for name in notebooks.names():
        assert f"]({name}.ipynb)" in page and (folder / f"{name}.ipynb").is_file()
    assert "[The whole report](../index.html)" in page and "| `config` |" in page and "mine\\.yaml" not in page
    trusted = nbformat.read(folder / "04_compare.ipynb", as_version=4)
    assert NotebookNotary().check_signature(trusted)
    shutil.rmtree(folder)


def test_a_notebook_that_has_not_run_is_set_to_what_the_others_were(tmp_path):
    run = tmp_path / "reports" / "new"
    run.mkdir(parents=True)
    ran = nbformat.read(paths.NOTEBOOKS / "02_format_audit.ipynb", as_version=4)
    ran.metadata["papermill"] = {"parameters": {"run": "new", "config": "my_own.yaml", "examples": 7}}
    nbformat.write(ran, run / "02_format_audit.ipynb")
    folder, _ = notebooks.copies(run)
    assert notebooks.given(folder / "03_train.ipynb") == {"run": "new", "config": "my_own.yaml"}
    (injected,) = [
        cell.source
        for cell in nbformat.read(folder / "03_train.ipynb", as_version=4).cells
        if "injected-parameters" in cell.metadata.get("tags", [])
    ]
    assert 'config = "my_own.yaml"' in injected
    page = start_page.write(run).read_text()
    assert "| `config` | my\\_own.yaml | 01, 02, 03, 04 |" in page and "Not diagnosed yet" in page


def test_names_are_text_on_the_lab_page(tmp_path):
    run = tmp_path / "reports" / "new"
    run.mkdir(parents=True)
    write_json(run / "diagnosis.json", {"verdict": {"sentence": "Use *it* <img src=x>|"}})
    notebooks.copies(run)
    assert "> Use \\*it\\* \\<img src=x\\>\\|" in start_page.write(run).read_text()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--config", str(SAMPLE), "--model", "data/models/typo"], ["No model folder at data/models/typo"]),
        (["--config", "none.yaml"], ["No config at none.yaml"]),
        (["--config", str(SAMPLE), "--source", "nowhere.db", "--owner", "Sam"], ["No chat history at nowhere.db"]),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(capsys, given, words):
    with pytest.raises(SystemExit) as ended:
        cli.main(["study", "--run", "test-dry", *given, "--dry-run"])
    assert ended.value.code == 2 and all(word in capsys.readouterr().err for word in words)
    assert not paths.run_folder("test-dry").exists()


def test_a_dry_run_builds_and_downloads_nothing(monkeypatch, models):
    """Of the demo in a clean clone: `make` builds its chat history, and the study its model."""
    monkeypatch.setattr(study.build, "DEMO", models / "chat.db")
    choices = {
        "source": str(models / "chat.db"),
        "owner": "Sam",
        "config": str(SAMPLE),
        "model": "SmolLM2-135M-Instruct",
    }
    study.check(study.CHOICES | choices, dry=True)
    study.check(study.CHOICES | choices | {"model": "some/model-on-the-hub"}, dry=True)
    assert not models.exists()
