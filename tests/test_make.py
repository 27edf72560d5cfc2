"""The Makefile: what is set from outside reaches a command as plain text, whatever is in it."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
VARIABLES = re.search(r"^NAMES := ((?:.*\\\n)*.*)", MAKEFILE, re.MULTILINE)[1].replace("\\", "").split()
TARGETS = re.search(r"^\.PHONY: (help .*)", MAKEFILE, re.MULTILINE)[1].split()
NASTY = [
    "`touch canary`",
    '";touch canary;"',
    "';touch canary;'",
    "$(shell touch canary)",
    "$$(touch canary)",
    "$(touch canary)",
    "${shell touch canary}",
    "a & touch canary &",
    "a\ntouch canary\n",
    "| touch canary #",
    "$(eval X:=$(shell touch canary))",
    "a)$(shell touch canary)(,",
    "-touch canary",
]
ORDINARY = [
    "$HOME/Chat with 'Q' \"the Cat\" & Co.txt",
    "100% #1: a,b (2).txt",
    "\\back\\slash",
    "ä ö 猫 🐱",
    "%.txt",
    "*",
]
# A stand-in for every program that recipes start: writes down its arguments and the variables it gets.
RECORDER = """#!/usr/bin/env python3
import json, os, sys
told = {"arguments": sys.argv[1:], "environment": {name: os.environ.get(name) for name in %r}}
with open(%r, "a") as file:
    file.write(json.dumps(told) + "\\n")
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The Makefile and the scripts it calls, with programs that only write down what they are given."""
    if shutil.which("make") is None:
        pytest.skip("no make here")
    folder = tmp_path_factory.mktemp("clone")
    for name in ("Makefile", ".python-version", "requirements.lock", "requirements-cuda.lock"):
        shutil.copy(ROOT / name, folder / name)
    recorder = RECORDER % (VARIABLES, str(folder / "told.jsonl"))
    for name in (".venv/bin/python", ".mutation/venv/bin/mutmut", ".mutation/venv/bin/python", "uv"):
        program = folder / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(recorder)
        program.chmod(0o755)
    (folder / "lib").mkdir()
    (folder / "lib" / "uv.sh").write_text("uv=./uv\n")
    (folder / "lib" / "setup.sh").write_text("")
    return folder


def make(clone, *arguments, **environment):
    """The finished process, and what its programs were told."""
    told = clone / "told.jsonl"
    told.unlink(missing_ok=True)
    for name, lock in {"cpu": "requirements.lock", "cuda": "requirements-cuda.lock"}.items():
        for copy in (clone / lock, clone / ".venv" / f".ready-{name}"):
            shutil.copy(ROOT / lock, copy)
    base = {"PATH": os.environ["PATH"], "HOME": str(clone)}
    made = subprocess.run(["make", *arguments], cwd=clone, env=base | environment, capture_output=True, text=True)
    lines = told.read_text().splitlines() if told.is_file() else []
    # The first call only asks whether this Python works.
    return made, [one for one in map(json.loads, lines) if one["arguments"] != ["-E", "-c", "pass"]]


def test_help_says_all_of_each_variable_also_where_it_takes_two_lines(clone):
    made, _ = make(clone, "help")
    said = re.findall(r"^#   (.*\S)$", MAKEFILE, re.MULTILINE)
    assert any(line.startswith(" ") for line in said) and not [
        line for line in said if f"  {line}\n" not in made.stdout
    ]


@pytest.mark.parametrize("flags", [[], ["-n"]], ids=["run", "dry run"])
@pytest.mark.parametrize("how", ["command line", "environment"])
@pytest.mark.parametrize("target", [one for one in TARGETS if one != "clean"])
def test_a_variable_is_never_run_or_expanded(clone, target, how, flags):
    given = {name: " ".join(NASTY) for name in VARIABLES if name != "RUN"}
    arguments = [f"{name}={value}" for name, value in given.items()] if how == "command line" else []
    made, told = make(clone, *flags, target, *arguments, **({} if arguments else given))
    assert not list(clone.rglob("canary"))
    assert told or flags or target in ("help", "setup"), made.stderr
    for call in told:
        assert {name: call["environment"][name] for name in given} == given


@pytest.mark.parametrize("how", ["command line", "environment"])
@pytest.mark.parametrize("variable", VARIABLES)
def test_one_variable_alone_is_never_run_or_expanded(clone, variable, how):
    text = "x`touch canary`$(shell touch canary)\";touch canary;'"
    given = [f"{variable}={text}"] if how == "command line" else []
    made, told = make(clone, "report", *given, **({} if given else {variable: text}))
    assert not list(clone.rglob("canary"))
    if variable == "RUN":
        assert made.returncode == 2 and "RUN becomes a folder" in made.stderr and not told
    else:
        assert told[-1]["environment"][variable] == text


@pytest.mark.parametrize("text", NASTY + ORDINARY)
def test_names_reach_the_command_as_they_are(clone, text):
    _, told = make(clone, "report", "RUN=mine", f"SOURCE={text}", f"OWNER={text}", f"ALSO={text}")
    assert {f"--source={text}", f"--owner={text}", f"--also={text}", "--run=mine"} <= set(told[-1]["arguments"])
    _, told = make(clone, "extract", "RUN=mine", f"CONTACTS={text}", f"DATA={text}", SOURCE=text, OWNER=text)
    assert {f"--source={text}", f"--contacts={text}", f"--out={text}"} <= set(told[-1]["arguments"])


def test_variables_that_are_not_ours_are_not_expanded_either(clone):
    own = set(re.findall(r"^override (\w+) ", MAKEFILE, re.MULTILINE))
    assert {"LOCK", "READY", "PYTHON", "STUDY"} <= own
    given = [f"{name}=`touch canary`;touch canary" for name in sorted(own)]
    _, told = make(clone, "report", "OTHER=$(shell touch canary)", *given)
    assert not list(clone.rglob("canary")) and told[-1]["arguments"][3] == "study"


@pytest.mark.parametrize("name", ["personal", "2024-05", "a.b_c-D", "0"])
def test_a_plain_word_names_a_run(clone, name):
    made, told = make(clone, "report", f"RUN={name}")
    assert made.returncode == 0 and f"--run={name}" in told[-1]["arguments"], made.stderr


@pytest.mark.parametrize("name", ["", " ", "a b", "a/b", "..", ".hidden", "-x", "_x", "a\nb", "é", "a$b", "a\t"])
def test_anything_else_does_not(clone, name):
    made, told = make(clone, "report", f"RUN={name}")
    assert made.returncode == 2 and "RUN becomes a folder in reports/" in made.stderr and not told


def test_several_configs_are_several_arguments(clone):
    _, told = make(clone, "sweep", "CONFIGS=one.yaml two*.yaml")
    assert told[-1]["arguments"][-3:] == ["--", "one.yaml", "two*.yaml"]


@pytest.mark.parametrize(
    "given, there, missing",
    [
        ([], ["--source=data/demo/chat.db", "--owner=Sam", "--inference=historical"], ["--full", "--stock", "--force"]),
        (
            ["RUN=broken"],
            ["--config=ft_configs/broken_135m_lora_variable.yaml", "--data=data", "--source=data/demo/chat.db"]
            + ["--owner=Sam", "--inference=historical", "--run=broken"],
            ["--full", "--force"],
        ),
        (["RUN=broken", "CONFIG=a.yaml", "DATA=mine"], ["--config=a.yaml", "--data=mine"], []),
        (["RUN=broken", "SOURCE=a.txt"], ["--data=data/broken", "--owner=", "--inference="], []),
        (["FULL=1"], ["--full", "--stock"], ["--force"]),
        (["FULL=1", "STOCK=no"], ["--full"], ["--stock"]),
        (["FULL=0", "FORCE=no"], [], ["--full", "--stock", "--force"]),
        (["MASK=no"], ["--no-mask"], []),
        (["RUN=mine", "CONFIG=a.yaml"], ["--source=", "--owner=", "--config=a.yaml", "--inference="], ["--no-mask"]),
        (["RUN=mine", "SOURCE=a.txt"], ["--data=data/mine", "--owner="], []),
    ],
)
def test_defaults_and_flags_of_a_report(clone, given, there, missing):
    arguments = make(clone, "report", *given)[1][-1]["arguments"]
    assert set(there) <= set(arguments) and not set(missing) & set(arguments)


def test_a_dry_run_asks_what_would_run_and_runs_nothing(clone):
    made, told = make(clone, "-n", "report")
    assert [call["arguments"][3:4] for call in told] == [["study"]] and told[0]["arguments"][-1] == "--dry-run"
    assert make(clone, "-n", "train", "CONFIG=a.yaml")[1] == []
    _, told = make(clone, "-n", "report", "RUN=broken")
    assert {"--run=broken", "--config=ft_configs/broken_135m_lora_variable.yaml", "--dry-run"} <= set(
        told[0]["arguments"]
    )


def test_a_blind_test_is_of_a_run_and_takes_what_its_page_saved(clone):
    assert make(clone, "blind", "RUN=mine")[1][-1]["arguments"][3:] == ["blind", "--", "mine"]
    told = make(clone, "blind", "TAKE=my choices.json")[1][-1]["arguments"]
    assert told[3:] == ["blind", "--take=my choices.json", "--", "demo"]


def test_another_lock_sets_up_again_whatever_the_dates(clone):
    lock = clone / "requirements.lock"

    def said(*arguments):
        base = {"PATH": os.environ["PATH"], "HOME": str(clone)}
        command = ["make", "-n", "setup", *arguments]
        return subprocess.run(command, cwd=clone, env=base, capture_output=True, text=True).stdout

    make(clone, "setup")
    os.utime(lock, (4e9, 4e9))
    assert "setup.sh" not in said()
    lock.write_text(lock.read_text() + "one-more==1.0\n")
    os.utime(lock, (0, 0))
    assert "setup.sh requirements.lock" in said() and "setup.sh" not in said("CUDA=1")
    shutil.copy(ROOT / lock.name, lock)


def test_a_dry_run_before_the_setup_says_what_the_setup_would_do(clone):
    shutil.move(clone / ".venv", clone / "venv")
    try:
        base = {"PATH": os.environ["PATH"], "HOME": str(clone)}
        made = subprocess.run(["make", "-n", "report"], cwd=clone, env=base, capture_output=True, text=True)
    finally:
        shutil.move(clone / "venv", clone / ".venv")
    assert made.returncode == 0 and "setup.sh" in made.stdout, made.stderr
