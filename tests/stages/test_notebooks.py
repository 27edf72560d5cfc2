"""The notebooks as documents, and the whole study from end to end with small parameters."""

import json
import re
import shutil
import statistics
import subprocess
from html import unescape
from pathlib import Path

import nbformat
import pytest
from ftstudy import paths
from ftstudy.compare import archaeology, preference
from ftstudy.errors import StudyError
from ftstudy.report import page as report_page
from ftstudy.stages import notebooks

SAID = {"capture_output": True, "text": True, "check": True}
NAMES = ["01_extract", "02_format_audit", "03_train", "04_compare"]


@pytest.fixture(params=NAMES)
def cells(request):
    return nbformat.read(paths.ROOT / "notebooks" / f"{request.param}.ipynb", as_version=4).cells


def tags(cell):
    return cell.metadata.get("tags", [])


def is_run(cell):
    """Whether the cell runs on the sample, which has a chat history and trains its own adapter."""
    return not cell.source.startswith("# only if existing")


def test_the_study_has_its_four_notebooks():
    assert notebooks.names() == NAMES


def test_code_cells_that_show_something_have_stored_output(cells):
    # nbval compares nothing where outputs were stripped.
    shows = [
        cell
        for cell in cells
        if cell.cell_type == "code"
        and re.search(r"^ *(render\.show|print|display)\(?", cell.source, re.M)
        and "explore" not in tags(cell)
        and is_run(cell)
    ]
    assert len(shows) >= 5
    assert all(cell.outputs for cell in shows)


def test_parameters_are_annotated_and_explained(cells):
    (parameters,) = [cell for cell in cells if "parameters" in tags(cell)]
    for line in parameters.source.splitlines():
        assert re.fullmatch(r"\w+: \w+ = .+  # .+", line), line


def test_notebooks_tell_a_story_without_logic(cells):
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert cells[0].cell_type == "markdown"
    assert len(code) <= 20
    assert statistics.median(len(cell.source.splitlines()) for cell in code) <= 6
    assert not [cell for cell in code if re.search(r"^\s*def ", cell.source, re.M) and "explore" not in tags(cell)]


def test_no_line_has_over_120_characters(cells):
    assert not [line for cell in cells for line in cell.source.splitlines() if len(line) > 120]


def test_each_notebook_concludes_in_sentences(cells):
    said = [cell for cell in cells if re.search(r"^print\((conclusions|remarks)\.", cell.source, re.M) and is_run(cell)]
    assert said
    for cell in said:
        texts = ["".join(output["text"]) for output in cell.outputs if output.output_type == "stream"]
        assert len(texts) == 1, "what a cell printed is stored in one piece"
        assert texts[-1].strip().endswith((".", ")")), texts


def test_each_notebook_ends_in_cells_to_explore_without_stored_output(cells):
    code = [cell for cell in cells if cell.cell_type == "code"]
    explore = [cell for cell in code if "explore" in tags(cell)]
    assert explore and explore == code[-len(explore) :]
    assert all("nbval-skip" in tags(cell) and not cell.outputs for cell in explore)
    assert "ipywidgets" in explore[-1].source


@pytest.fixture(scope="module")
def run():
    """A whole run by papermill on the sample, with other parameters than the defaults."""
    folder, out = paths.run_folder("test-end-to-end"), paths.DATA / "test-end-to-end"
    shutil.rmtree(out, ignore_errors=True)
    config = "ft_configs/sample_tiny_lora_variable.yaml"
    own = {
        "01_extract": {"source": "data/sample/chat.db", "out": str(out), "owner": "Robin"},
        "02_format_audit": {"config": config, "data": str(out), "owner": "Robin", "examples": "5"},
        "03_train": {"config": config, "data": str(out), "adapter": str(out / "adapter"), "iterations": "4"},
        "04_compare": {"config": config, "owner": "Robin", "replies": "6", "samples": "2"},
    }
    for name, parameters in own.items():
        notebooks.execute(name, folder, {"run": folder.name, **parameters})
    report_page.build(folder)
    yield folder
    shutil.rmtree(folder)
    shutil.rmtree(out)


def files_of(run):
    """Every file that a run wrote, relative to the repository."""
    found = [path for folder in (run, paths.DATA / run.name) for path in folder.rglob("*") if path.is_file()]
    return [path.relative_to(paths.ROOT).as_posix() for path in found]


def read(run, name):
    return json.loads((run / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_results_have_their_fixed_shape(run):
    findings, training, comparison = (read(run, name) for name in ("findings", "training", "comparison"))
    assert {"check", "severity", "title", "evidence", "cause", "fix", "where"} <= set(findings["findings"][0])
    assert findings["summary"]["error"] == len([f for f in findings["findings"] if f["severity"] == "error"]) >= 3
    assert [entry["name"] for entry in training["configs"]] == ["sample_tiny_lora_variable"]
    assert training["configs"][0]["iterations"] == 4
    formats = ["aligned", "system", "user", "historical"]
    assert [(arm["model"], arm["format"]) for arm in comparison["arms"]] == [
        *(("base", name) for name in [*formats, "aligned, 2 examples", "aligned, 2 similar examples"]),
        *(("tuned", name) for name in formats),
    ]
    assert [(one["shots"], one["retrieved"]) for one in comparison["formats"]] == [
        *[(0, False)] * 4,
        (2, False),
        (2, True),
    ]
    assert comparison["generated"]["longest"] == 24 and comparison["ability"]["questions"] > 50
    assert {"looping", "length_ratio", "too_long"} <= set(comparison["generated"]["arms"][1])
    assert "regurgitation" in comparison
    # Six replies come from one or two conversations, which is too few for an interval.
    assert all(arm["conversations"] <= 2 and arm["interval"] is None for arm in comparison["arms"])
    assert all(arm["nats_per_reply_token"] > 0 for arm in comparison["arms"])
    assert [claim["number"] for claim in comparison["claims"]] == list(range(1, 26))
    assert {"statement", "test", "measurement", "verdict"} <= set(comparison["claims"][0])
    assert not any("seconds" in text for text in (json.dumps(training), json.dumps(comparison)))
    assert set(read(run, "cost")) == {*NAMES, "training sample_tiny_lora_variable", "arms", "machine"}
    assert "scoring tuned, historical" in read(run, "cost")["arms"]


@pytest.mark.slow
def test_the_parameters_reached_the_data(run):
    folder = paths.absolute(read(run, "training")["configs"][0]["data"])
    row = json.loads((folder / "train.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert row["messages"][0]["content"].startswith("You are Robin.")
    assert not list(run.glob("*.failed.ipynb"))


@pytest.mark.slow
def test_git_ignores_every_file_that_a_run_writes(run):
    files = files_of(run)
    names = {Path(file).name for file in files}
    assert {
        "train.jsonl",
        "meta.jsonl",
        "origin.json",
        "adapters.safetensors",
        "01_extract.ipynb",
        "index.html",
    } <= names
    git = ["git", "-C", paths.ROOT]
    asked = subprocess.run([*git, "check-ignore", "--no-index", "--stdin"], input="\n".join(files), **SAID)
    assert set(asked.stdout.splitlines()) == set(files)
    seen = subprocess.run([*git, "status", "--porcelain", "-uall"], **SAID).stdout
    assert not [line for line in seen.splitlines() if line.startswith("??") and run.name in line]


SECRETS = [
    "noor",
    "haddad",
    "jonas",
    "lindqvist",
    "212555",
    "212 555",
    "weber",
    "code is 4719",
    "9f31c2",
    "canal street",
    "mum",
]


@pytest.mark.slow
def test_masked_text_is_in_no_file_of_a_run(run):
    source = (paths.DATA / "sample" / "conversations.jsonl").read_text().casefold()
    source += (paths.DATA / "sample" / "contacts.vcf").read_text().casefold()
    for secret in SECRETS:
        assert secret in source
        pattern = re.compile(rf"(?<![a-z0-9]){re.escape(secret)}(?![a-z])".encode())
        told = [file for file in files_of(run) if pattern.search((paths.ROOT / file).read_bytes().lower())]
        assert not told, f"{secret} in {told}"


def test_stored_outputs_have_no_masked_text(cells):
    outputs = json.dumps([cell.get("outputs", []) for cell in cells], ensure_ascii=False).casefold()
    for secret in SECRETS:
        assert not re.search(rf"(?<![a-z0-9]){re.escape(secret)}(?![a-z])", outputs), secret


@pytest.mark.slow
def test_headless_runs_skip_only_the_widgets(run):
    for name in NAMES:
        code = [cell for cell in nbformat.read(run / f"{name}.ipynb", as_version=4).cells if cell.cell_type == "code"]
        explore = [cell for cell in code if "explore" in tags(cell)]
        assert [cell for cell in code if cell.execution_count is None] == explore


@pytest.mark.slow
def test_report_is_one_file_without_external_resources(run):
    page = (run / "index.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 3_000_000
    assert "default-src 'none'" in page
    assert not re.search(r"""(?:src|href)=["'](?!#)""", page) and "@import" not in page
    assert all(found.startswith("#") for found in re.findall(r"url\(([^)]*)\)", page))  # a chart's own parts


@pytest.mark.slow
def test_report_numbers_come_from_the_run(run):
    comparison = read(run, "comparison")
    comparison["arms"][0]["nats_per_reply_token"] = 12.345
    (run / "comparison.json").write_text(json.dumps(comparison))
    page = report_page.build(run).read_text(encoding="utf-8")
    assert "12.345" in page
    for title in (
        "Do this next",
        "What went wrong",
        "Replies side by side",
        "Prompt, token by token",
        "Key differences",
        "Option A: change training",
        "What the loss covers",
        "All numbers",
        "What the models write",
        "Quality against cost",
        "From messages to replies",
        "The original report",
        "Where this is from",
    ):
        assert title in page


@pytest.mark.slow
def test_report_includes_blind_test_choices(run):
    assert "Nobody has taken the blind test" in report_page.build(run).read_text(encoding="utf-8")
    pairs = read(run, "comparison")["preference_pairs"]
    for pair in pairs:
        preference.choose(run, pair, str(pair["arms"].index("tuned, aligned") + 1))
    page = report_page.build(run).read_text(encoding="utf-8")
    assert f"The tuned model won {len(pairs)} of {len(pairs)} decided pairs" in page and len(pairs) > 1


@pytest.mark.slow
def test_report_is_built_without_a_measured_tuned_model(run):
    comparison = read(run, "comparison")
    kept = json.dumps(comparison)
    for key in ("arms", "differences"):
        comparison[key] = [row for row in comparison[key] if "tuned" not in json.dumps(row)]
    comparison["generated"]["arms"] = comparison["generated"]["arms"][:1]
    comparison |= {"preference_pairs": [], "attribution": {"base": None, "tuned": None}, "training_formats": None}
    comparison["archaeology"] = {"ranked": [], "told": archaeology.summary([])}
    comparison["left_out"] = [{"arm": "tuned", "why": "its file is damaged"}]
    (run / "comparison.json").write_text(json.dumps(comparison))
    try:
        page = report_page.build(run).read_text(encoding="utf-8")
    finally:
        (run / "comparison.json").write_text(kept)
    assert "could not be measured" in page and "its file is damaged" in page


@pytest.mark.slow
def test_no_six_words_of_the_data_are_in_the_edition_to_share(run):
    def six(text):
        words = re.findall(r"\w+", text.lower())
        return set(zip(*(words[at:] for at in range(6))))

    source = (paths.DATA / "sample" / "telegram.json").read_text(encoding="utf-8")
    rows = [path.read_text(encoding="utf-8") for path in (paths.DATA / run.name).rglob("*.jsonl")]
    texts = [text for part in (source, *rows) for text in re.findall(r'"((?:[^"\\]|\\.)*)"', part)]
    texts = [json.loads(f'"{text}"') for text in texts]
    shown = re.sub(
        r"<(style|script)\b.*?</\1>|<[^>]*>", " ", report_page.build(run, share=True).read_text(encoding="utf-8")
    )
    known = set().union(*map(six, texts))
    assert len(known) > 1000 and not six(unescape(shown)) & known
    assert "more likely" in shown or "times as likely" in shown


@pytest.mark.slow
def test_message_text_is_escaped(run):
    comparison = read(run, "comparison")
    comparison["samples"][0]["true"] = "<b onclick=alert(1)>hi</b> <start_of_turn>"
    (run / "comparison.json").write_text(json.dumps(comparison))
    page = report_page.build(run).read_text(encoding="utf-8")
    assert "<b onclick" not in page and "&lt;start_of_turn&gt;" in page


@pytest.mark.slow
def test_failing_notebook_says_why_and_leaves_no_result():
    folder = paths.run_folder("test-failing")
    try:
        with pytest.raises(StudyError, match="nowhere.db") as caught:
            notebooks.execute("01_extract", folder, {"run": folder.name, "source": "nowhere.db"})
        assert "\n" not in str(caught.value)
        assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "01_extract.failed.ipynb"]
    finally:
        shutil.rmtree(folder)


def test_an_unknown_parameter_or_notebook_is_an_error():
    with pytest.raises(StudyError, match="sauce"):
        notebooks.execute("01_extract", paths.absolute("reports"), {"sauce": "x"})
    with pytest.raises(StudyError, match="05_dream"):
        notebooks.execute("05_dream", paths.absolute("reports"), {})


def test_a_report_without_results_is_an_error(tmp_path):
    with pytest.raises(StudyError, match="no results to report on"):
        report_page.build(tmp_path)
