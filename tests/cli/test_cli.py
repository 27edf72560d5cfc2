"""The command line: exit status, one paragraph per error, no half-written output."""

import json
import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import ftstudy as ftstudy_itself
import pytest
from conftest import ftstudy
from ftstudy import audit as audit_rooms
from ftstudy import chat_format, cli, paths, sources, training
from ftstudy.cli import configs, findings_text, lab
from ftstudy.demo import build, sample
from ftstudy.errors import StudyError
from ftstudy.stages import study

SAMPLE = paths.DATA / "sample" / "chat.db"


def refused(result, *words):
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert all(word in result.stderr for word in words), result.stderr


def test_extract_writes_the_splits(tmp_path):
    result = ftstudy(
        "extract", "--source", SAMPLE, "--owner", "Sam", "--out", tmp_path, "--variant", "raw_style_variable"
    )
    assert result.returncode == 0, result.stderr
    assert {"train.jsonl", "valid.jsonl", "test.jsonl"} <= {
        path.name for path in (tmp_path / "raw_style_variable").iterdir()
    }
    assert "group chats" in result.stdout


def replies(folder):
    return [
        json.loads(line)["messages"][-1]["content"]
        for name in ("train", "valid", "test")
        for line in (folder / "raw_style_variable" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def test_masking_changes_only_private_spans_and_no_mask_keeps_every_byte(tmp_path):
    said = [json.loads(line)["text"] for line in (SAMPLE.parent / "conversations.jsonl").read_text().splitlines()]
    common = ["extract", "--source", SAMPLE, "--owner", "Sam"]
    assert ftstudy(*common, "--no-mask", "--out", tmp_path / "plain").returncode == 0
    result = ftstudy(*common, "--contacts", SAMPLE.parent / "contacts.vcf", "--out", tmp_path / "masked")
    assert "1 code" in result.stdout and "2 name" in result.stdout
    plain, masked = replies(tmp_path / "plain"), replies(tmp_path / "masked")
    assert all(line in said for reply in plain for line in reply.split("\n"))
    assert [pair for pair in zip(plain, masked) if pair[0] != pair[1]] == [
        ("take it, the door code is 4719", "take it, the door code is [code]")
    ]


@pytest.mark.parametrize(
    "option, value, changes",
    [
        ("--context-messages", "1", "rows"),
        ("--context-bytes", "50", "rows"),
        ("--reply-bytes", "20", "count"),
        ("--burst-minutes", "0.1", "count"),
        ("--session-minutes", "2", "count"),
        ("--min-words", "3", "count"),
        ("--min-characters", "9", "count"),
        ("--per-contact", "5", "count"),
        ("--heldout-share", "0.4", "heldout"),
        ("--groups", None, "count"),
    ],
)
def test_every_pair_option_changes_the_pairs(tmp_path, capsys, option, value, changes):
    def extract(out, *more):
        with pytest.raises(SystemExit) as ended:
            cli.main(["extract", "--source", str(SAMPLE), "--owner", "Sam", "--out", str(tmp_path / out), *more])
        assert ended.value.code == 0, capsys.readouterr().err
        folder = tmp_path / out / "raw_style_variable"
        return {file.stem: file.read_text(encoding="utf-8").splitlines() for file in folder.glob("*.jsonl")}

    one, other = extract("one"), extract("other", *filter(None, [option, value]))
    assert one != other
    assert "heldout" not in one and ("heldout" in other or changes != "heldout")
    if changes != "rows":
        assert len(one["meta"]) != len(other["meta"]) or changes == "heldout"


@pytest.fixture
def no_messages(tmp_path):
    return build.write_chat_db([], tmp_path / "none.db")


@pytest.mark.parametrize(
    "source, words",
    [("nowhere.db", "nowhere.db"), ("empty.db", "0 bytes"), ("text.db", "text.db"), ("none.db", "no messages")],
)
def test_bad_source_is_refused_and_nothing_is_written(tmp_path, no_messages, source, words):
    (tmp_path / "empty.db").write_bytes(b"")
    (tmp_path / "text.db").write_text("hello " * 1000)
    refused(ftstudy("extract", "--source", source, "--owner", "Sam", "--out", tmp_path / "out", cwd=tmp_path), words)
    assert not (tmp_path / "out").exists()


def test_truncated_database_is_refused(tmp_path):
    (tmp_path / "cut.db").write_bytes(SAMPLE.read_bytes()[:60_000])
    refused(ftstudy("extract", "--source", tmp_path / "cut.db", "--owner", "Sam", "--out", tmp_path / "out"), "cut.db")


def test_owner_without_messages_is_refused(tmp_path):
    copy = tmp_path / "chat.db"
    copy.write_bytes(SAMPLE.read_bytes())
    with sqlite3.connect(copy) as database:
        database.execute("UPDATE message SET is_from_me = 0")
    database.close()
    refused(
        ftstudy("extract", "--source", copy, "--owner", "Sam", "--out", tmp_path / "out"), "0 usable replies", "Sam"
    )
    assert not (tmp_path / "out" / "raw_style_variable").exists()


@pytest.fixture
def config(tmp_path):
    made = ftstudy("extract", "--source", SAMPLE, "--owner", "Sam", "--out", tmp_path / "data")
    assert made.returncode == 0, made.stderr
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"model: tiny\ndata: {tmp_path}/data/raw_style_variable\nbatch_size: 2\nnum_layers: 2\ntrain: true\n"
        f"mask_prompt: true\nadapter_path: {tmp_path}/adapter\n"
    )
    return path


def test_audit_exits_0_if_clean_1_on_an_error_2_if_it_cannot_run(config, tmp_path):
    assert ftstudy("audit", "--config", config).returncode == 0
    result = ftstudy("audit", "--config", config, "--inference", "historical", "--json", tmp_path / "findings.json")
    assert result.returncode == 1 and "parity.system_text" in result.stdout
    written = json.loads((tmp_path / "findings.json").read_text())
    assert written["summary"]["error"] == 2 and written["findings"][0]["severity"] == "error"
    refused(ftstudy("audit", "--config", tmp_path / "none.yaml"), "No config at", "none.yaml")
    refused(
        ftstudy("audit", "--config", config, "--model", "data/models/none", "--inference", "aligned"),
        "data/models/none",
    )


def item(severity, check="some.check", evidence=()):
    texts = {"title": f"A {severity}", "cause": "Because.", "fix": "Fix it."}
    return {"check": check, "severity": severity, "evidence": list(evidence), **texts}


def found(*findings):
    return audit_rooms.findings.merge(findings)


def printed(result, **given):
    return "\n".join(line for line, _ in findings_text.terminal(result, **given))


def test_an_audit_begins_with_what_its_counts_mean():
    for findings, said in (
        ([item("error"), item("error"), item("info")], "✗ 2 errors, 1 note: do not train"),
        ([item("warning"), item("info")], "! 1 warning, 1 note: you can train, but look at this first"),
        ([item("info")], "✓ 1 note: nothing found that would waste this run"),
        ([], "✓ no finding: nothing found that would waste this run"),
    ):
        assert printed(found(*findings)).splitlines()[0] == said


def test_an_audit_lists_problems_in_full_and_notes_in_a_line_each():
    findings = [item("error", evidence=["line 3"]), item("warning"), item("info", "loss.facts", ["a table", "of it"])]
    problems, notes = printed(found(*findings)).split("Notes, which need no action")
    assert problems.count("  cause: Because.\n") == problems.count("  fix: Fix it.\n") == 2
    assert "error  some.check  A error\n    line 3\n" in problems
    assert notes.splitlines()[1:] == ["  loss.facts  A info"]
    in_full = printed(found(*findings), verbose=True)
    assert "note  loss.facts  A info\n    a table\n    of it\n  cause: Because." in in_full and "Notes" not in in_full


def test_findings_can_be_had_in_other_forms(config, tmp_path):
    given = ("audit", "--config", config, "--inference", "historical")
    written = ftstudy(*given, "--json", tmp_path / "findings.json")
    result = json.loads((tmp_path / "findings.json").read_text())
    assert written.stdout.startswith("✗ 2 errors")
    for form in (("--json", "-"), ("--format", "json")):
        assert json.loads(ftstudy(*given, *form).stdout) == result
    assert not [path for path in Path.cwd().iterdir() if path.name == "-"]
    github = ftstudy(*given, "--format", "github").stdout.splitlines()
    assert [line.split(" ")[0] for line in github[:-1]] == [
        {"error": "::error", "warning": "::warning", "info": "::notice"}[one["severity"]] for one in result["findings"]
    ]
    markdown = ftstudy(*given, "--format", "markdown").stdout
    assert markdown.startswith("**✗ 2 errors") and "`parity.system_text`" in markdown


def test_other_peoples_words_stay_words_in_every_form():
    nasty = item("error") | {"title": "a`b*c_d<img> %0A::error::x,y:\x1b[31m", "where": "a,b:c%.jsonl"}
    assert "<img>" not in findings_text.markdown(found(nasty))
    (line, last) = findings_text.github(found(nasty)).splitlines()
    assert line.startswith("::error file=a%2Cb%3Ac%25.jsonl,title=some.check::") and "%0A" not in line
    assert last == "✗ 1 error: do not train"
    for text in (line, findings_text.markdown(found(nasty)), printed(found(nasty))):
        assert "\x1b" not in text


@pytest.mark.parametrize(
    ("fail_on", "severities", "status"),
    [
        ("error", ["warning"], 0),
        ("error", ["error"], 1),
        ("warning", ["warning"], 1),
        ("warning", ["info"], 0),
        ("warning", ["error"], 1),
        ("never", ["error"], 0),
    ],
)
def test_what_fails_an_audit_can_be_chosen(monkeypatch, capsys, config, fail_on, severities, status):
    monkeypatch.setattr(audit_rooms, "check", lambda *given: found(*map(item, severities)))
    with pytest.raises(SystemExit) as ended:
        cli.main(["audit", "--config", str(config), "--fail-on", fail_on])
    assert ended.value.code == status


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_colours_are_for_terminals_and_for_those_who_ask(monkeypatch, capsys, config, environment, coloured):
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        cli.main(["audit", "--config", str(config), "--inference", "historical"])
    assert ("\x1b[31m✗ 2 errors" in capsys.readouterr().out) is coloured


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"ftstudy {ftstudy_itself.__version__}\n"


def test_missing_data_is_a_finding_not_a_failure(config, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, check in ((tmp_path / "empty", "data.empty"), (tmp_path / "missing", "data.missing")):
        result = ftstudy("audit", "--config", config, "--data", folder)
        assert result.returncode == 1 and check in result.stdout


def test_training_on_a_missing_folder_is_refused(config, tmp_path):
    config.write_text(config.read_text().replace("raw_style_variable", "category_aware"))
    refused(ftstudy("train", "--config", config, "--run", "test-refused"), "category_aware")
    assert not (tmp_path / "adapter").exists() and not (paths.run_folder("test-refused")).exists()


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"owner": " "}, ["OWNER", "chat.db"]),
        ({"source": "data/nowhere.db"}, ["data/nowhere.db", "SOURCE"]),
        ({"config": "ft_configs/none.yaml"}, ["ft_configs/none.yaml"]),
        ({"config": ""}, ["CONFIG=…", "SOURCE=…"]),
        ({"inference": "none.yaml"}, ["none.yaml"]),
        ({"model": "data/models/typo"}, ["data/models/typo"]),
        ({"contacts": "nobody.vcf"}, ["nobody.vcf", "CONTACTS"]),
        ({"log": "none.log"}, ["none.log"]),
        ({"fused": "none"}, ["none", "mlx_lm.fuse"]),
    ],
)
def test_bad_inputs_of_a_study_are_refused_before_anything_runs(changed, words):
    inputs = study.CHOICES | {
        "source": str(SAMPLE),
        "owner": "Sam",
        "config": "ft_configs/sample_tiny_lora_variable.yaml",
        "inference": "historical",
        "model": "tiny",
    }
    study.check(inputs)
    with pytest.raises(StudyError) as caught:
        study.check(inputs | changed)
    assert all(word in str(caught.value) for word in words)


def test_iterations_of_a_study_are_a_number(capsys):
    assert status("study", "--iterations", "abc") == 2
    assert "--iterations" in capsys.readouterr().err


def test_historical_prompt_uses_the_owner_from_the_data(config):
    assert "'You are Sam, a tech founder." in ftstudy("audit", "--config", config, "--inference", "historical").stdout
    assert (
        "'You are Kim, a tech founder."
        in ftstudy("audit", "--config", config, "--inference", "historical", "--owner", "Kim").stdout
    )


def test_run_name_must_be_one_word():
    refused(ftstudy("report", "--run", "../elsewhere"), "RUN")


@pytest.mark.parametrize("option", ["--config", "--data", "--app", "--inference"])
def test_home_of_an_unknown_user_is_a_missing_path(option):
    arguments = {"--config": "ft_configs/sample_tiny_lora_variable.yaml", option: "~nobody-of-that-name/x"}
    made = ftstudy("audit", *(part for pair in arguments.items() for part in pair))
    assert made.returncode in (1, 2) and "Traceback" not in made.stderr


def test_clean_audit_writes_a_contract_that_training_keeps(config, tmp_path):
    audited = ftstudy("audit", "--config", config, "--inference", "aligned")
    assert audited.returncode == 0, audited.stdout
    contract = tmp_path / "adapter" / "prompt_contract.json"
    before = contract.read_bytes()
    subject = training.read(config)
    subject.config["iters"] = 2
    training.train(subject, tmp_path / "metrics.jsonl")
    assert contract.read_bytes() == before and (tmp_path / "adapter" / "adapters.safetensors").is_file()


@pytest.mark.parametrize("arguments, names", [([], ["chat.db"]), (["--sample"], ["chat.db", "telegram.json"])])
def test_demo_prints_a_line_for_each_file(monkeypatch, capsys, arguments, names):
    for module, builder, path in (
        (build, "build_demo", SAMPLE),
        (build, "build_sample", SAMPLE),
        (sample, "build_telegram", sample.TELEGRAM),
    ):
        monkeypatch.setattr(module, builder, lambda path=path: path)
    assert status("demo", *arguments) == 0
    sizes = {"chat.db": "0.1", "telegram.json": "0.3"}
    assert capsys.readouterr().out.splitlines() == [f"data/sample/{name}: {sizes[name]} MB" for name in names]
    assert status("demo", "nonsense") == 2


def test_configs_for_my_data_are_generated_and_refused_without_data(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(configs, "FOLDER", tmp_path / "ft_configs")
    assert status("configs") == 0
    assert len(list((tmp_path / "ft_configs" / "generated").glob("*.yaml"))) == 75
    assert status("configs", "--data", str(tmp_path / "anna")) == 2
    assert "make extract" in capsys.readouterr().err


@pytest.mark.parametrize("verb", cli.VERBS, ids=lambda verb: verb.__name__.rsplit(".")[-1])
def test_every_verb_has_help(verb, capsys):
    assert status(verb.__name__.rsplit(".")[-1], "--help") == 0
    assert "usage: ftstudy" in capsys.readouterr().out


def status(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return ended.value.code


# --- arguments that name the wrong thing -------------------------------------------------------


@pytest.mark.parametrize("name", ["Sam\nEVIL: x", "Sam\x1b[2J", "Sam\u202e"])
def test_a_name_that_would_change_the_prompts_is_refused(name, capsys, tmp_path):
    given = (
        ("extract", "--source", "chat.db", "--owner", name, "--out", str(tmp_path / "out")),
        ("audit", "--config", "none.yaml", "--owner", name),
        ("archaeology", "--adapter", "none", "--data", "none", "--owner", name),
    )
    for arguments in given:
        assert status(*arguments) == 2
        assert "owner's name has a line break" in capsys.readouterr().err
    with pytest.raises(StudyError, match="owner's name has a line break"):
        study.check(study.CHOICES | {"config": "none.yaml", "owner": name})
    sources.check_owner("chat.db", "Zoë  O’Neill 👩‍👧")


def test_a_source_that_is_no_regular_file_gets_its_own_advice(tmp_path):
    os.mkfifo(tmp_path / "chat.db")
    for source in (tmp_path / "chat.db", "/dev/zero"):
        for kind in ("auto", "imessage", "whatsapp"):
            with pytest.raises(StudyError, match="not a regular file. Save the chat history") as caught:
                sources.read_messages(source, kind)
            assert "-shm" not in str(caught.value)


def test_a_device_in_a_profile_is_called_one(tmp_path):
    (tmp_path / "profile.yaml").write_text("kind: gguf\nfile: /dev/zero\n")
    with pytest.raises(StudyError, match="/dev/zero, which the inference profile names, is not a regular file"):
        chat_format.load_profile(tmp_path / "profile.yaml", "")


def test_arguments_are_refused_in_one_sentence_that_names_them(capsys, tmp_path):
    assert status("diagnose", "config.yaml", "--replies", "abc") == 2
    said = capsys.readouterr().err
    assert said.startswith("ftstudy diagnose: --replies: must be a whole number from 1, not 'abc'. ")
    assert len(said.splitlines()) == 1
    assert status("extract", "--source", "x", "--owner", "x", "--out", "x", "--heldout-share", "0.6") == 2
    assert "--heldout-share: must be a number from 0 to 0.5, not '0.6'" in capsys.readouterr().err
    assert status("diagnose", str(tmp_path / "none.yaml")) == 2
    said = capsys.readouterr().err
    assert "No config at" in said and "--config" not in said


def test_lab_opens_the_runs_start_page_and_asks_nobody_for_news(monkeypatch, tmp_path):
    started = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    monkeypatch.setattr(os, "execv", lambda program, command: started.append(command))
    lab.run(SimpleNamespace(run="new", arguments=["--no-browser"]))
    (command,) = started
    page = command[-2].removeprefix("--LabApp.default_url=/lab/tree/")
    assert (tmp_path / page).read_text().startswith("# ") and command[-1] == "--no-browser"
    assert "--LabApp.news_url=None" in command
    own, given = os.environ["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    settings = json.loads((Path(own) / "labconfig" / "page_config.json").read_text())
    assert given == "mine" and settings["disabledExtensions"] == {"@jupyterlab/apputils-extension:announcements": True}
