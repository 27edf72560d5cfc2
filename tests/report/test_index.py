"""reports/index.html: every run with its verdict, and what changed since the one before of its config."""

import json
import re

import browser
import pytest
from ftstudy import files
from ftstudy.report import history, index

VERDICT = {"usable": False, "step": "likelier", "headline": "Not usable yet", "sentence": "It is worse.", "steps": []}


@pytest.fixture
def reports(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "reports"


def make_run(reports, name, rate=1e-4, row="hey", ends=0.5, **verdict):
    """A run that was diagnosed: one config, one row, and the numbers that the page shows."""
    project = reports.parent
    (project / "data").mkdir(exist_ok=True)
    (project / "data" / "train.jsonl").write_text(json.dumps({"text": row}) + "\n")
    (project / "my.yaml").write_text(f"model: tiny\ndata: data\nlearning_rate: {rate}\nlora_parameters:\n  rank: 8\n")
    folder = reports / name
    given = {"config": "my.yaml", "data": "", "model": "", "adapter": "adapters", "existing": True, "fused": ""}
    cause = {"kind": "measured", "what": "`learning_rate` is too high"}
    files.write_json(folder / "diagnosis.json", {"verdict": VERDICT | verdict, "causes": [cause]})
    # findings.json has those of the original report's configs too, as in the demo: they are not this run's.
    files.write_json(folder / "findings.json", {"findings": [], "summary": {"error": 3, "warning": 0, "info": 2}})
    own = [{"check": "config.x", "severity": "error"}, {"check": "config.y", "severity": "info"}]
    files.write_json(folder / "format_audit.json", {"given": given, "own_findings": own})
    row = {"left": ["tuned", "aligned"], "right": ["base", "aligned"], "nats_per_reply_token": -0.238}
    arm = {"model": "tuned", "format": "aligned", "end_of_turn_rate": ends}
    files.write_json(folder / "comparison.json", {"app": "aligned", "differences": [row], "generated": {"arms": [arm]}})
    return folder


def at(folder, moment):
    """Remember a run as if it had been finished then."""
    history.remember(folder)
    records = history.records(folder)
    records[-1]["at"] = moment
    files.write_jsonl(folder / history.FILE, records)


def page_of(reports):
    return index.write(reports).read_text(encoding="utf-8")


def test_a_run_is_listed_with_its_verdict_numbers_and_config(reports):
    make_run(reports, "mine")
    page = page_of(reports)
    for said in (
        "mine",
        "✗",
        "Not usable yet",
        "It is worse.",
        "my.yaml",
        "27% more likely",
        "50%",
        "1 error, 0 warnings",
    ):
        assert said in page
    assert 'href="mine/index.html"' not in page  # it has no page yet
    files.write_text(reports / "mine" / "index.html", "")
    assert 'href="mine/index.html"' in page_of(reports)


def test_what_changed_since_the_run_before_of_the_same_config_is_listed(reports):
    at(make_run(reports, "first"), "2026-01-01 10:00:00")
    at(
        make_run(reports, "second", rate=2e-5, row="yo", ends=0.98, headline="Usable", usable=True),
        "2026-01-02 10:00:00",
    )
    newest, oldest = index.runs(reports)
    assert (newest["name"], oldest["name"]) == ("second", "first") and oldest["before"] is None
    assert newest["before"]["run"] == "first"
    changes = {what: (old, new) for what, old, new in newest["changes"]}
    assert changes.keys() == {"config: learning_rate", "train.jsonl", "verdict", "Replies that end"}
    assert changes["config: learning_rate"] == ("0.0001", "2e-05")
    assert changes["verdict"] == ("Not usable yet", "Usable") and changes["Replies that end"] == ("50%", "98%")
    assert changes["train.jsonl"][0] != changes["train.jsonl"][1]


def test_a_run_made_again_is_compared_with_what_it_was(reports):
    at(make_run(reports, "mine"), "2026-01-01 10:00:00")
    make_run(reports, "mine", ends=0.9)
    history.remember(reports / "mine")
    (run,) = index.runs(reports)
    assert run["before"]["at"] == "2026-01-01 10:00:00"
    assert run["changes"] == [("Replies that end", "50%", "90%")]


def test_nothing_is_remembered_twice(reports):
    folder = make_run(reports, "mine")
    for _ in range(3):
        history.remember(make_run(reports, "mine"))
    assert len(history.records(folder)) == 1
    (run,) = index.runs(reports)
    assert run["before"] is None


@pytest.mark.parametrize("line", ["{", "[]", "3", "{}", '{"at": 1}', '{"at": "x", "run": "y", "verdict": {}}'])
def test_a_damaged_line_of_the_history_is_left_out(reports, line):
    folder = make_run(reports, "mine")
    at(folder, "2026-01-01 10:00:00")
    path = folder / history.FILE
    path.write_text(line + "\n" + path.read_text())
    assert len(history.records(folder)) == 1
    page_of(reports)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"verdict": {}, "causes": []}', '{"verdict": 1}'])
def test_a_broken_run_is_named_and_does_not_hide_the_others(reports, text):
    make_run(reports, "whole")
    (reports / "broken").mkdir()
    (reports / "broken" / "diagnosis.json").write_text(text)
    page = page_of(reports)
    assert "Not usable yet" in page and "broken" in page and "Its results cannot be read" in page


def test_what_is_not_a_run_is_left_out(reports):
    make_run(reports, "mine")
    (reports / "coverage").mkdir()
    (reports / "README.md").write_text("# mine")
    (reports / "linked").symlink_to(reports / "mine")
    assert [run["name"] for run in index.runs(reports)] == ["mine"]


def test_another_page_of_that_name_is_never_replaced(reports):
    make_run(reports, "mine")
    page = reports / "index.html"
    page.write_text("<title>Coverage</title>")
    assert index.write(reports) is None and page.read_text() == "<title>Coverage</title>"
    page.unlink()
    (reports.parent / "elsewhere.html").write_text(index.MARK)
    page.symlink_to(reports.parent / "elsewhere.html")
    assert index.write(reports) is None
    page.unlink()
    assert index.write(reports) == page == index.write(reports)


def test_git_ignores_the_page_in_a_folder_of_somebodys_own(reports):
    make_run(reports, "mine")
    (reports / ".gitignore").write_text("build\n")
    index.write(reports)
    assert (reports / ".gitignore").read_text() == "build\nindex.html\n"


def test_names_and_values_of_other_people_stay_text(reports):
    nasty = '<img src=x onerror=alert(1)> "&\u202e' + "x" * 100
    folder = make_run(reports, nasty, headline=nasty, sentence=nasty)
    files.write_text(folder / "index.html", "")
    page = page_of(reports)
    assert "<img" not in page and "\u202e" not in page and "&lt;img" in page
    (link,) = re.findall(r'href="([^"]*)"', page)
    assert link.startswith("%3Cimg%20src%3Dx") and link.endswith("/index.html")


@browser.needs_chromium
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_a_phone_and_asks_for_nothing(reports, dark):
    from axe_playwright_python.sync_playwright import Axe

    at(make_run(reports, "first"), "2026-01-01 10:00:00")
    at(make_run(reports, "x" * 200, headline="y" * 300), "2026-01-02 10:00:00")
    path = index.write(reports)
    with browser.page() as tab:
        browser.show(tab, path, 360, "dark" if dark else "light")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360
        found = Axe().run(tab).response["violations"]
        assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
        assert tab.said == [] and tab.asked == [path.as_uri()]
        ink, paper = (
            tab.evaluate(f"getComputedStyle(document.querySelector('article')).{name}")
            for name in ("color", "backgroundColor")
        )
    bright = lambda colour: sum(map(int, re.findall(r"\d+", colour)[:3]))  # noqa: E731
    assert (bright(ink) > bright(paper)) == dark
