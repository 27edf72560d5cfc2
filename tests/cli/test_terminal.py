"""What the terminal says: wrapped, with links and bold commands for those who see it; how a study ends; signals."""

import json
import re
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import redirect_stdout

import pytest
import yaml
from ftstudy import cli, paths, printable
from ftstudy.cli import findings_text, layout, study_summary
from ftstudy.models import base_models

VERDICT = {
    "usable": False,
    "step": "replies_end",
    "headline": "Not usable yet: its replies do not end",
    "sentence": "Don't use this fine-tune yet. Only 3% of its replies end by themselves.",
    "steps": [],
}


def cause(what="Replies do not end", **more):
    made = {"id": "no_end", "what": what, "fix": "Train the end of the turn.", "kind": "measured", "cost": None}
    return made | {"apply": "", "prove": ""} | more


def said(causes, failed="", proof=None):
    return [line for line, _ in study_summary.lines({"verdict": VERDICT, "causes": causes}, failed, proof)]


def test_a_study_ends_with_the_verdict_the_first_cause_and_its_commands():
    cost = {"nats": 0.3, "in_words": "26% less likely"}
    lines = said(
        [cause(cost=cost, apply="cp a b", prove="ftstudy diagnose c.yaml"), cause("Prompts differ"), cause("x")]
    )
    assert lines[0] == "✗ Not usable yet: its replies do not end"
    assert "First: Replies do not end (26% less likely)." in lines and "  Train the end of the turn." in lines
    assert lines.index("  Apply it:") + 1 == lines.index("    cp a b")
    assert lines.index("  Then measure again:") + 1 == lines.index("    ftstudy diagnose c.yaml")
    assert "2 more causes in the report: Prompts differ; x." in lines


def test_one_command_that_applies_and_measures_is_said_once():
    lines = said([cause(apply="make report ITERS=9", prove="make report ITERS=9")])
    assert lines.count("    make report ITERS=9") == 1 and "  Apply it, and measure again:" in lines


@pytest.mark.parametrize("verdict, is_next", [("better", True), ("not distinguishable", False), ("worse", False)])
def test_after_a_proof_that_the_fix_helped_the_repaired_copy_is_trained(verdict, is_next):
    proof = {"faults": [{}], "was_broken": False, "helped": {"verdict": verdict}, "sentence": "It helped."}
    lines = said([cause(apply="cp a b")], proof=proof | {"fixed_copy": "reports/mine/fixed"})
    assert ("    ftstudy train --config reports/mine/fixed/config.yaml" in lines) == is_next
    assert ("  Apply it:" in lines) != is_next


def test_facts_are_no_cause():
    lines = said([cause("A fact", kind="note"), cause("Next to nothing", kind="slight")])
    assert "Nothing wrong was found." in lines and not any("fact" in line for line in lines)


def test_why_nothing_was_compared_is_not_said_twice():
    """It is the last line on stderr already."""
    failed = "The models could not be compared. No adapter."
    lines = said([], failed)
    assert not any("Don't use" in line for line in lines) and lines[0].startswith("✗ Not usable yet")


class Screen:
    """A terminal of 60 columns that keeps what is written."""

    encoding = "utf-8"

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return True


@pytest.fixture
def screen(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return Screen()


def shown_on(screen, call):
    """What the call returns, with its output on this screen."""
    with redirect_stdout(printable._Stream(screen)):
        return call()


def test_a_page_is_a_link_in_a_terminal(screen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown_on(screen, lambda: study_summary.say_page(tmp_path / "my reports" / "index.html"))
    address = (tmp_path / "my reports" / "index.html").as_uri()
    assert screen.text == f"The report: \x1b]8;;{address}\x1b\\my reports/index.html\x1b]8;;\x1b\\\n"


def test_a_page_is_a_path_in_a_log(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study_summary.say_page(tmp_path / "index.html")
    assert capsys.readouterr().out == "The report: index.html\n"


def test_a_command_in_backticks_is_bold_in_a_terminal_and_other_peoples_escapes_are_text(screen):
    shown_on(screen, lambda: printable.say("run `make audit`\x1b[2J now", "red"))
    assert screen.text == "\x1b[31mrun \x1b[1mmake audit\x1b[0m\x1b[31m\\u001b[2J now\x1b[0m\n"


def test_backticks_stay_where_there_are_no_colours(capsys):
    printable.say("run `make audit`")
    assert capsys.readouterr().out == "run `make audit`\n"


def test_findings_are_wrapped_to_the_terminal_and_commands_stay_whole(screen):
    words = "word " * 30 + "`make audit CONFIG=my_config.yaml INFERENCE=my_app.yaml`"
    one = {
        "check": "some.check",
        "severity": "error",
        "title": words,
        "evidence": [words],
        "cause": words,
        "fix": words,
    }
    result = {"findings": [one], "summary": {"error": 1, "warning": 0, "info": 0}}
    lines = [line for line, _ in shown_on(screen, lambda: findings_text.terminal(result))]
    assert len(lines) > 12
    for line in lines:
        assert len(line) <= 60 or line.strip().startswith("`make audit CONFIG=my_config.yaml INFERENCE=my_app.yaml`")
    assert sum("`make audit CONFIG=my_config.yaml INFERENCE=my_app.yaml`" in line for line in lines) == 4


def test_nothing_is_wrapped_in_a_log(capsys):
    assert layout.wrapped("word " * 100, "  ") == ["  " + "word " * 100]


def test_a_text_that_is_cut_says_so():
    assert printable.cut("abcdef", 6) == "abcdef" and printable.cut("abcdefg", 6) == "abcde…"


# --- an audit without data -------------------------------------------------------------------------------------------


def test_an_audit_without_rows_downloads_no_model_to_say_so(tmp_path, monkeypatch, models, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(base_models, "resolve", lambda name: pytest.fail("it was built or downloaded"))
    (tmp_path / "mine.yaml").write_text("model: SmolLM2-135M-Instruct\ndata: data/raw_style_variable\n")
    with pytest.raises(SystemExit) as ended:
        cli.main(["audit", "--config", "mine.yaml"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "no rows in data/raw_style_variable" in said and "make extract" in said


def test_the_help_and_the_docs_tell_the_exit_status_of_make():
    made = subprocess.run(["make", "help"], capture_output=True, text=True, cwd=paths.ROOT)
    assert "make itself ends with 2" in made.stdout
    assert "ftstudy audit ends with 1 for found errors" in made.stdout


def test_the_hook_of_pre_commit_installs_the_engine_that_the_package_pins():
    (hook,) = yaml.safe_load((paths.ROOT / ".pre-commit-hooks.yaml").read_text())
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]
    assert hook["additional_dependencies"][0] in project["optional-dependencies"]["cpu"]
    assert hook["entry"] == "ftstudy audit" and not hook["pass_filenames"]
    changed = ("config.yaml", "ft/config.yml", "adapter_config.json", "data/train.jsonl")
    assert all(re.search(hook["files"], name) for name in changed) and not re.search(hook["files"], "README.md")


@pytest.mark.parametrize("errors", [False, True])
def test_what_the_docs_say_for_ci_annotates_and_fails_on_errors(tmp_path, monkeypatch, capsys, errors):
    page = (paths.ROOT / "docs" / "auditing.md").read_text()
    (workflow,) = [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "runs-on" in block]
    command = yaml.safe_load(workflow)["jobs"]["audit"]["steps"][-1]["run"].split()
    monkeypatch.chdir(tmp_path)
    rows = (
        []
        if errors
        else [
            {"messages": [{"role": "user", "content": f"hi {at}"}, {"role": "assistant", "content": "yo"}]}
            for at in range(9)
        ]
    )
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "config.yaml").write_text("model: tiny\ndata: .\nbatch_size: 1\nnum_layers: 2\n")
    with pytest.raises(SystemExit) as ended:
        cli.main(command[1:])
    said = capsys.readouterr().out
    assert command[0] == "ftstudy" and ended.value.code == errors and ("::error " in said) == errors


# --- signals ---------------------------------------------------------------------------------------------------------

WAITS = """
import signal, sys, time
from ftstudy import cli
{before}
def run(options):
    print("ready", flush=True)
    time.sleep(60)
cli.checks.run = run
cli.main(["checks"])
"""


def ended_by(number, before=""):
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS.format(before=before)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_study_that_is_ended_from_outside_says_so(number):
    process = ended_by(number, f"signal.signal({number:d}, signal.SIG_DFL)")  # the tests may run under nohup
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert said == (
        f"ftstudy: ended by {number.name}. Finished steps are kept; run the same command again to continue.\n"
    )


def test_what_nohup_ignores_stays_ignored():
    process = ended_by(signal.SIGHUP, "signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    time.sleep(0.5)
    assert process.poll() is None
    process.kill()
    process.communicate()
