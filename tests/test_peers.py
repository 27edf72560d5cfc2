"""How published checkers are asked about the matrix of faults: what counts as found, on a checker made up here."""

import json
import sys
from collections import Counter

import pytest
from ftstudy import paths
from ftstudy.models import peft

sys.path.append(str(paths.ROOT / "bench"))
import peers  # noqa: E402
from faults.studies import build  # noqa: E402

# Counts the rows, and complains about each that is longer than 100 characters, and about a file without rows.
MADE_UP = """\
#!/usr/bin/env python3
import json, sys
lines = open(sys.argv[1]).read().splitlines()
print(json.dumps({"issues": [{"code": "long", "severity": "warning"} for line in lines if len(line) > 2000]}))
sys.exit(not lines)
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The environment of a checker that looks at one split at a time."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "home").mkdir()
    command = tmp_path / "bin" / "made-up"
    command.write_text(MADE_UP)
    command.chmod(0o700)

    def calls(folder):
        yield from (([file], ["made-up", file]) for file in peers.files(folder).values())

    checker = peers.Checker(("made-up",), ("data.",), calls, peers.severe("warning")("code", "severity"))
    monkeypatch.setitem(peers.CHECKERS, "made-up", checker)
    return tmp_path


@pytest.fixture
def study(tmp_path):
    study = build("trained-chatml", tmp_path / "run")
    peers.keep_clean(study)
    return study


@pytest.mark.parametrize("split", peers.SPLITS)
def test_a_fault_is_found_if_more_is_reported_than_about_the_clean_run(home, study, split):
    known, _ = peers.about_clean("made-up", home, study.folder)
    assert peers.kinds(known) == set() and len(known) == 1
    assert not peers.finds("made-up", home, study.folder, known)
    rows = study.rows(split)
    study.write(split, rows[::-1])
    assert not peers.finds("made-up", home, study.folder, known)
    rows[0]["messages"][-1]["content"] *= 100
    study.write(split, rows)
    assert peers.finds("made-up", home, study.folder, known)
    study.write(split, [])
    assert peers.finds("made-up", home, study.folder, known)


def test_what_a_checker_already_says_of_the_clean_run_is_not_a_find(home, study):
    rows = study.rows("train")
    rows[0]["messages"][-1]["content"] *= 100
    for folder in (study.data, peers.clean(study.folder) / "data"):
        (folder / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    known, _ = peers.about_clean("made-up", home, study.folder)
    assert peers.kinds(known) == {"long (warning)"}
    study.write("train", rows[::-1])
    assert not peers.finds("made-up", home, study.folder, known)


def test_adapters_are_given_to_checkers_as_peft_writes_them(study):
    config = json.loads((study.folder / "peft" / "adapter_config.json").read_text())
    assert peft.is_peft(config) and peft.refusal(config) is None
    assert peft.scale_of(config, "model.layers.1.self_attn.q_proj") == 20.0
    before = (study.folder / "peft" / peft.WEIGHTS).read_bytes()
    peers.describe(study)
    assert (study.folder / "peft" / peft.WEIGHTS).read_bytes() == before
    (study.folder / "adapter" / "adapters.safetensors").write_bytes(b"cut off")
    peers.describe(study)
    assert peers.differs(study.folder / "peft", study.folder)


def test_reports_are_read_by_grade():
    checks = [{"name": "eos", "verdict": "MAJOR"}, {"name": "bos", "verdict": "OK"}]
    assert peers.said_by_soup(json.dumps({"overall": "MAJOR", "checks": checks})) == Counter({"eos (MAJOR)": 1})
    assert peers.said_by_soup('{"verdict_line": "alive"}') == Counter()
    assert peers.said_by_soup('{"verdict_line": "inactive: zero B"}') == Counter({"inactive: zero B": 1})
    told = "[check]  train\n  [ok]    train: fine\n  [warn]  train: 7 duplicate rows (7 exact)\n"
    assert peers.said_by_yobro(told) == Counter({"train: … duplicate rows ": 7})
    with pytest.raises(ValueError):
        peers.said_by_yobro("error[data]: no such file")


def test_every_checker_is_asked_about_each_check_once():
    cases, controls = peers.chosen(every=False)
    assert len({case.check for case in cases}) == len(cases) and {case.study for case in cases} <= set(controls)
    assert {plan.rows for plan in peers.PLANS.values()} == {peers.PLANS[name].rows for name in controls}


def test_without_a_checker_that_installs_one_sentence_says_so(monkeypatch, capsys):
    monkeypatch.setattr(peers, "install", lambda name, folder: "not installable: no network")
    peers.main(["ftgate"], every=False)
    told = capsys.readouterr().out
    assert told.startswith("No published checker could be installed") and "ftgate: not installable" in told
