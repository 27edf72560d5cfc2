"""The command line: exit status, one paragraph on errors, nothing half-written."""

import json
import sqlite3
import subprocess
import sys

import pytest
from ftstudy import cli, paths, training

SAMPLE = paths.DATA / "sample" / "chat.db"


def ftstudy(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "ftstudy", *map(str, arguments)], capture_output=True, text=True, cwd=cwd
    )


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


def test_without_masking_every_byte_is_kept_and_with_it_only_the_spans_change(tmp_path):
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
def test_every_parameter_of_the_pairs_changes_them(tmp_path, capsys, option, value, changes):
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
    from ftstudy.demo.build import write_chat_db

    return write_chat_db([], tmp_path / "none.db")


@pytest.mark.parametrize(
    "source, words",
    [("nowhere.db", "nowhere.db"), ("empty.db", "0 bytes"), ("text.db", "text.db"), ("none.db", "no messages")],
)
def test_a_bad_source_is_refused_and_nothing_is_written(tmp_path, no_messages, source, words):
    (tmp_path / "empty.db").write_bytes(b"")
    (tmp_path / "text.db").write_text("hello " * 1000)
    refused(ftstudy("extract", "--source", source, "--owner", "Sam", "--out", tmp_path / "out", cwd=tmp_path), words)
    assert not (tmp_path / "out").exists()


def test_a_truncated_database_is_refused(tmp_path):
    (tmp_path / "cut.db").write_bytes(SAMPLE.read_bytes()[:60_000])
    refused(ftstudy("extract", "--source", tmp_path / "cut.db", "--owner", "Sam", "--out", tmp_path / "out"), "cut.db")


def test_an_owner_who_never_wrote_is_refused(tmp_path):
    copy = tmp_path / "chat.db"
    copy.write_bytes(SAMPLE.read_bytes())
    with sqlite3.connect(copy) as database:
        database.execute("UPDATE message SET is_from_me = 0")
    database.close()
    refused(ftstudy("extract", "--source", copy, "--owner", "Sam", "--out", tmp_path / "out"), "0 replies", "Sam")
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


def test_audit_says_0_for_clean_1_for_an_error_2_for_unable(config, tmp_path):
    assert ftstudy("audit", "--config", config).returncode == 0
    result = ftstudy("audit", "--config", config, "--inference", "historical", "--json", tmp_path / "findings.json")
    assert result.returncode == 1 and "parity.system_text" in result.stdout
    written = json.loads((tmp_path / "findings.json").read_text())
    assert written["summary"]["error"] == 2 and written["findings"][0]["severity"] == "error"
    refused(ftstudy("audit", "--config", tmp_path / "none.yaml"), "none.yaml", "CONFIG")
    refused(
        ftstudy("audit", "--config", config, "--model", "data/models/none", "--inference", "aligned"),
        "data/models/none",
    )


def test_faults_of_the_data_are_findings_not_failures(config, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, check in ((tmp_path / "empty", "data.empty"), (tmp_path / "missing", "data.missing")):
        result = ftstudy("audit", "--config", config, "--data", folder)
        assert result.returncode == 1 and check in result.stdout


def test_training_on_a_missing_directory_is_refused(config, tmp_path):
    config.write_text(config.read_text().replace("raw_style_variable", "category_aware"))
    refused(ftstudy("train", "--config", config, "--run", "test-refused"), "category_aware")
    assert not (tmp_path / "adapter").exists() and not (paths.REPORTS / "test-refused").exists()


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"--owner": " "}, ["OWNER", "chat.db"]),
        ({"--source": "data/nowhere.db"}, ["data/nowhere.db", "SOURCE"]),
        ({"--config": "ft_configs/none.yaml"}, ["ft_configs/none.yaml"]),
        ({"--inference": "none.yaml"}, ["none.yaml"]),
        ({"--model": "data/models/typo"}, ["data/models/typo"]),
        ({"--iterations": "abc"}, ["ITERS=abc"]),
    ],
)
def test_the_inputs_of_a_run_are_checked_before_it(changed, words):
    inputs = {
        "--source": SAMPLE,
        "--owner": "Sam",
        "--config": "ft_configs/sample_tiny_lora_variable.yaml",
        "--inference": "historical",
        "--model": "tiny",
        "--iterations": "5",
    }
    check = lambda options: ftstudy("check", *[part for pair in options.items() for part in pair])  # noqa: E731
    assert check(inputs).returncode == 0
    refused(check(inputs | changed), *words)


def test_the_historical_prompt_of_an_audit_names_the_owner_of_the_data(config):
    assert "'You are Sam, a tech founder." in ftstudy("audit", "--config", config, "--inference", "historical").stdout
    assert (
        "'You are Kim, a tech founder."
        in ftstudy("audit", "--config", config, "--inference", "historical", "--owner", "Kim").stdout
    )


def test_a_run_is_named_by_one_word():
    refused(ftstudy("report", "--run", "../elsewhere"), "RUN")


@pytest.mark.parametrize("option", ["--config", "--data", "--app", "--inference"])
def test_the_home_of_nobody_is_a_path_that_is_not_there(option):
    arguments = {"--config": "ft_configs/sample_tiny_lora_variable.yaml", option: "~nobody-of-that-name/x"}
    made = ftstudy("audit", *(part for pair in arguments.items() for part in pair))
    assert made.returncode in (1, 2) and "Traceback" not in made.stderr


def test_a_clean_audit_writes_the_contract_and_training_keeps_it(config, tmp_path):
    audited = ftstudy("audit", "--config", config, "--inference", "aligned")
    assert audited.returncode == 0, audited.stdout
    contract = tmp_path / "adapter" / "prompt_contract.json"
    before = contract.read_bytes()
    subject = training.read(config)
    subject.config["iters"] = 2
    training.train(subject, tmp_path / "metrics.jsonl")
    assert contract.read_bytes() == before and (tmp_path / "adapter" / "adapters.safetensors").is_file()
