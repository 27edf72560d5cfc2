"""Whatever is in a file that somebody hands in, reading it gives a proper result or a StudyError, and soon."""

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile

import pytest
import yaml
from conftest import example, refused
from ftstudy import audit, chat_format, configs, paths
from ftstudy.audit import app_code
from ftstudy.chat_format import capture, contract, gguf, modelfile, ollama
from ftstudy.models import adapters, base_models, loadable
from ftstudy.privacy import contacts
from ftstudy.sources import READERS, check, read_messages
from hostile import (
    BYTES,
    LEAVES,
    NUMBERS,
    RUNS,
    TEXTS,
    VALUES,
    answered,
    bytes_like,
    dumped,
    json_like,
    lines_like,
    tensors_like,
)
from hypothesis import given
from hypothesis import strategies as st
from sources import test_bad_input as sources

READ = {"me": ["Sam"]}
WRITERS = {writer.__name__: writer for writer in sources.SOURCES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


def read(path, kind="auto"):
    table = answered(lambda: read_messages(path, kind, **READ))
    if table is not None:
        check(table)


# --- chat histories -----------------------------------------------------------------------------


@pytest.mark.parametrize("write", WRITERS)
@RUNS
@given(data=st.data())
def test_any_bytes_as_a_chat_history(write, folder, data):
    (folder / write).mkdir(exist_ok=True)
    path = WRITERS[write](folder / write, 12)
    path.write_bytes(data.draw(bytes_like(path.read_bytes())))
    read(path, data.draw(st.sampled_from(["auto", *READERS])))


@pytest.mark.parametrize("write", ["telegram", "discord"])
@RUNS
@given(data=st.data())
def test_any_values_in_a_json_export(write, folder, data):
    path = WRITERS[write](folder, 4)
    path.write_bytes(dumped(data.draw(json_like(json.loads(path.read_bytes())))))
    read(path, write)


@pytest.mark.parametrize("write, kind", [("jsonl", "table"), ("signal", "signal")])
@RUNS
@given(data=st.data())
def test_any_values_in_lines_of_json(write, kind, folder, data):
    path = WRITERS[write](folder, 3)
    path.write_bytes(data.draw(lines_like([json.loads(line) for line in path.read_bytes().splitlines()])))
    read(path, kind)


@RUNS
@given(cells=st.lists(st.lists(st.sampled_from([*TEXTS, "Sam", "Anna"]), min_size=4, max_size=4), max_size=4))
def test_any_cells_in_a_csv(folder, cells):
    import csv

    text = io.StringIO()
    csv.writer(text).writerows([["conversation", "sender", "timestamp", "text"], *cells])
    (folder / "any.csv").write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
    read(folder / "any.csv", "table")


@RUNS
@given(values=st.lists(st.tuples(LEAVES, LEAVES), min_size=1, max_size=4), name=st.sampled_from(["timestamp", "text"]))
def test_any_values_in_parquet(folder, values, name):
    import pandas

    rows = [row | {name: value} for row, value in zip(sources.rows(4), [value for pair in values for value in pair])]
    try:
        pandas.DataFrame(rows).to_parquet(folder / "any.parquet")
    except Exception:  # Arrow has no column for such a mixture
        return
    read(folder / "any.parquet", "table")


def tables_of(path):
    with sqlite3.connect(path) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [row[1] for row in database.execute(f"PRAGMA table_info({name})")] for name in names}


CELLS = st.sampled_from(
    [None, *(number for number in NUMBERS if abs(number) < 2**63 or isinstance(number, float)), b"", b"\xff\xfe", b"\x04\x0bstreamtyped"]
) | st.sampled_from(TEXTS).map(lambda text: text.encode("utf-8", "replace").decode()) | st.binary(max_size=40)  # fmt: skip


def test_parquet_that_unpacks_to_far_more_is_refused(tmp_path):
    import pyarrow
    from pyarrow import parquet

    row = {"conversation": "Anna", "sender": "Sam", "timestamp": "2024-01-01", "text": "x" * 200_000}
    same = pyarrow.array([0] * 20_000)
    rows = pyarrow.table({name: pyarrow.DictionaryArray.from_arrays(same, [value]) for name, value in row.items()})
    parquet.write_table(rows, tmp_path / "small.parquet", compression="zstd", dictionary_pagesize_limit=1 << 24)
    assert (tmp_path / "small.parquet").stat().st_size < 10_000
    refused(lambda: read_messages(tmp_path / "small.parquet", **READ), "small.parquet")


@RUNS
@given(data=st.data())
def test_any_cells_in_a_messages_database(folder, data):
    path = sources.imessage(folder, 6)
    columns = [(table, column) for table, names in tables_of(path).items() for column in names]
    changes = data.draw(st.lists(st.tuples(st.sampled_from(columns), CELLS, st.integers(0, 3)), min_size=1, max_size=4))
    with sqlite3.connect(path) as database:
        for (table, column), value, row in changes:
            try:
                database.execute(f'UPDATE OR IGNORE "{table}" SET "{column}" = ? WHERE ROWID = ?', (value, row))
            except sqlite3.Error:
                pass  # a column that takes no such value
    read(path, "imessage")


ENDLESS = "WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many) SELECT n, n AS guid FROM many"


@pytest.mark.parametrize(
    "change",
    [
        f"ALTER TABLE message RENAME TO old; CREATE VIEW message AS {ENDLESS}",
        f"DROP TABLE handle; CREATE VIEW handle AS {ENDLESS}",
        "ALTER TABLE message ADD COLUMN endless AS (hex(zeroblob(400000000)))",
        "DROP TABLE handle; CREATE VIRTUAL TABLE handle USING fts5(id)",
    ],
)
def test_database_whose_tables_are_computed_is_refused(change, tmp_path):
    path = sources.imessage(tmp_path, 6)
    with sqlite3.connect(path) as database:
        database.executescript(change)
    refused(lambda: read_messages(path, "imessage"), "chat.db", "computed")


@pytest.mark.parametrize("number", [10**400, -(10**400), 10**309, 1e300])
@pytest.mark.parametrize("column", ["timestamp", "is_owner", "is_group", "message_id", "reply_to", "text", "sender"])
def test_number_that_no_float_can_hold_costs_one_row_of_a_table(folder, number, column):
    rows = [{"conversation": "c", "sender": who, "timestamp": 1_600_000_000, "text": "hi"} for who in ("Sam", "Bob")]
    (folder / "numbers.jsonl").write_text("\n".join(map(json.dumps, [*rows, rows[1] | {column: number}])))
    table = read_messages(folder / "numbers.jsonl", **READ)
    check(table)
    assert (table["kind"] == "text").sum() + (column in ("message_id", "reply_to")) >= 2
    assert column != "timestamp" or table["kind"].tolist().count("undated") == 1


LONG_NUMBERS = ["0x" + "f" * 4000, "1:" * 3000 + "1", "0b" + "1" * 20_000, "0" + "7" * 6000, "1" * 6000]


@pytest.mark.parametrize("number", LONG_NUMBERS, ids=["hexadecimal", "base 60", "binary", "octal", "decimal"])
def test_whole_number_of_thousands_of_digits_is_not_valid_yaml(tmp_path, number):
    for key in ("seed", "iters", "anything"):
        (tmp_path / "any.yaml").write_text(f"model: tiny\n{key}: {number}\n")
        refused(lambda: audit.audit(tmp_path / "any.yaml"), "any.yaml", "not valid YAML", "line 2")
    (tmp_path / "any.yaml").write_text(f"kind: messages\nsystem: {number}\n")
    refused(lambda: chat_format.load_profile(tmp_path / "any.yaml"), "any.yaml", "YAML")


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 1e300, "soon", b"\xff"])
@pytest.mark.parametrize("column", ["date", "date_edited", "date_retracted", "item_type"])
def test_one_impossible_number_costs_at_most_its_message(column, value, tmp_path):
    path = sources.imessage(tmp_path, 6)
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE message SET {column} = ? WHERE ROWID = 2", (value,))
    table = read_messages(path, "imessage")
    assert len(table) == 6 and (table["kind"] == "text").sum() >= 5


def test_query_that_takes_too_long_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("ftstudy.sources.imessage_database.SECONDS", -100)
    path = sources.imessage(tmp_path, 6000)
    refused(lambda: read_messages(path, "imessage"), "chat.db", "takes too long")


@RUNS
@given(
    names=st.lists(st.sampled_from(["_chat.txt", "../_chat.txt", "/etc/_chat.txt", "a/_chat.txt", "x.TXT", "\u202e.txt"])),
    content=bytes_like(sources.whatsapp_text(6).encode()),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
    data=st.data(),
)  # fmt: skip
def test_any_archive(folder, names, content, method, data):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as out:
        for name in dict.fromkeys(names):
            out.writestr(name, content)
    path = folder / "any.zip"
    path.write_bytes(data.draw(st.just(held.getvalue()) | bytes_like(held.getvalue())))
    read(path, "whatsapp")


@RUNS
@given(data=bytes_like(b"BEGIN:VCARD\nVERSION:3.0\nFN:Anna Smith\nTEL:+1 212 555 0111\nEMAIL:a@b.org\nEND:VCARD\n"))
def test_any_address_book(folder, data):
    for name in ("any.vcf", "any.csv", "any.txt"):
        (folder / name).write_bytes(data)
        answered(lambda name=name: contacts.load(folder / name))


# --- settings -------------------------------------------------------------------------------------

CONFIG = b"model: tiny\ndata: data\niters: 10\nlora_parameters: &a {rank: 8, scale: 2.0, dropout: 0}\nx: *a\n"
PROFILE = {"kind": "messages", "name": "app", "system": "Be {system}", "user": "{context}", "stop": ["a"]}
MODELFILE = (
    'FROM ./x.gguf\nTEMPLATE """{{ range .Messages }}<|{{ .Role }}|>{{ .Content }}{{ end }}"""\nSYSTEM "hi"\n'
    'PARAMETER stop "x"\nMESSAGE user hello\n'
)


@RUNS
@given(data=bytes_like(CONFIG) | VALUES.map(lambda value: yaml.safe_dump({"model": value}).encode()))
def test_any_config(folder, data):
    for name in ("config.yaml", "adapter_config.json"):
        (folder / name).write_bytes(data)
        answered(lambda name=name: configs.load(folder / name))


@RUNS
@given(data=json_like(PROFILE).map(dumped) | bytes_like(yaml.safe_dump(PROFILE).encode()))
def test_any_profile(folder, data):
    for name in ("profile.yaml", "profile", "profile.jsonl"):
        (folder / name).write_bytes(data)
        profile = answered(lambda name=name: chat_format.load_profile(folder / name, "Sam"))
        if profile and profile["kind"] in ("messages", "template"):
            tokenizer = base_models.load_tokenizer("tiny")
            answered(lambda profile=profile: chat_format.prompt_ids(example(), tokenizer, profile))


@RUNS
@given(data=bytes_like(MODELFILE.encode()) | st.text(alphabet='{}"`/*-. $rangeMs\n', max_size=60).map(
    lambda text: f'FROM x\nTEMPLATE """{{{{ {text} }}}}"""\n'.encode()
))  # fmt: skip
def test_any_modelfile(folder, data):
    path = folder / "Modelfile"
    path.write_bytes(data)
    if served := answered(lambda: modelfile.read(path)):
        answered(lambda: ollama.prompt(served, example()["messages"]))


@pytest.fixture(scope="module")
def gguf_file(folder):
    from served_models import write_gguf

    write_gguf(folder / "whole.gguf", base_models.load_tokenizer("tiny"), "{{ messages[0].content }}")
    return (folder / "whole.gguf").read_bytes()


@RUNS
@given(data=st.data())
def test_any_gguf(folder, gguf_file, data):
    (folder / "any.gguf").write_bytes(data.draw(bytes_like(gguf_file) | bytes_like(gguf_file[:200])))
    answered(lambda: gguf.served(folder / "any.gguf"))
    answered(lambda: chat_format.load_profile(folder / "any.gguf"))


RECORDED = [{"split": "test", "row": 0, "ids": [1, 2], "stop": ["x"]}, {"split": "test", "row": 1, "prompt": "hi"}]
RECORDED += [{"split": "valid", "row": 2, "messages": example()["messages"]}]


@RUNS
@given(data=lines_like(RECORDED))
def test_any_recording(folder, data):
    (folder / "any.jsonl").write_bytes(data)
    found = answered(lambda: capture.captured_rows(folder / "any.jsonl"))
    json.dumps(found["broken"]).encode()


@pytest.mark.parametrize("key", ["stop", "notes"])
def test_line_of_a_recording_whose_lists_are_none_is_reported(key, tmp_path):
    lines = [dumped(RECORDED[0] | {key: value}) for value in (True, "x", {"a": 1}, 1.5)]
    (tmp_path / "any.jsonl").write_bytes(b"\n".join(lines))
    found = capture.captured_rows(tmp_path / "any.jsonl")
    assert not found["rows"] and len(found["broken"]) == 4 and all(key in line for line in found["broken"])


@RUNS
@given(data=st.data())
def test_any_contract(folder, data):
    whole = {"version": 1, "golden": [], "model": None, "markup": {}, "tokenizer": {}, "chat_template": "x"}
    (folder / contract.NAME).write_bytes(data.draw(json_like(whole).map(dumped) | bytes_like(dumped(whole))))
    answered(lambda: contract.load(folder))


@RUNS
@given(
    data=bytes_like(b'def reply(a):\n    return f"<|im_start|>{a}"\n'),
    name=st.sampled_from(["a.py", "a.ipynb", "a.js"]),
)
def test_any_app_code(folder, data, name):
    app = folder / "app"
    shutil.rmtree(app, ignore_errors=True)
    app.mkdir()
    (app / name).write_bytes(data)
    (app / "loop").symlink_to(app)
    answered(lambda: app_code.check(app, base_models.load_tokenizer("tiny")))


# --- models ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_folder(folder):
    """A copy of the tiny model that nothing builds again."""
    shutil.copytree(base_models.resolve("tiny"), folder / "model")
    (folder / "model" / base_models.RECIPE).unlink()
    return folder / "model"


def with_other(path, data, use):
    before = path.read_bytes()
    try:
        path.write_bytes(data)
        use()
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"])
@RUNS
@given(data=st.data())
def test_any_settings_of_a_base_model(name, tiny_folder, data):
    path = tiny_folder / name
    value = json.loads(path.read_bytes())
    spoiled = data.draw(json_like(value).map(dumped) | bytes_like(dumped(value)))

    def use():
        loadable.problem(tiny_folder)
        answered(lambda: base_models.load_tokenizer(tiny_folder))
        answered(lambda: base_models.load_lazily(tiny_folder))

    with_other(path, spoiled, use)


HEADER = {"__metadata__": {"format": "mlx"}, "a.lora_a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}


@RUNS
@given(data=tensors_like(HEADER, b"\0" * 16))
def test_any_weights_of_a_base_model(tiny_folder, data):
    with_other(tiny_folder / "model.safetensors", data, lambda: answered(lambda: base_models.load(tiny_folder)))


@RUNS
@given(weights=tensors_like(HEADER, b"\0" * 16), data=st.data())
def test_any_adapter(folder, tiny_folder, weights, data):
    adapter = folder / "adapter"
    adapter.mkdir(exist_ok=True)
    made = {"fine_tune_type": "lora", "num_layers": 1, "lora_parameters": {"rank": 2, "scale": 2.0, "dropout": 0.0}}
    made |= data.draw(
        st.sampled_from([{}, {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}])
    )
    (adapter / adapters.CONFIG).write_bytes(data.draw(json_like(made).map(dumped) | BYTES))
    for name in (adapters.WEIGHTS, "adapter_model.safetensors"):
        (adapter / name).write_bytes(weights)
    answered(lambda: adapters.identity(adapter))
    answered(lambda: base_models.load(tiny_folder, adapter))


# --- files that are none --------------------------------------------------------------------------


def pipe(path):
    os.mkfifo(path)


def zeros(path):
    path.symlink_to("/dev/zero")


def directory(path):
    path.mkdir()


def itself(path):
    path.symlink_to(path)


USES = {
    **{kind: lambda path, kind=kind: read_messages(path, kind, **READ) for kind in ("auto", *READERS)},
    "config": configs.load,
    "profile": chat_format.load_profile,
    "recording": capture.captured_rows,
    "modelfile": modelfile.read,
    "gguf": gguf.read,
    "contacts": contacts.load,
    "app": app_code.check,
    "contract": lambda path: contract.load(path.parent),
    "adapter": lambda path: base_models.load("tiny", path.parent),
}


@pytest.mark.parametrize("make", [pipe, zeros, directory, itself])
@pytest.mark.parametrize("use", USES)
def test_only_regular_files_are_read(use, make, tmp_path):
    names = {"contract": contract.NAME, "adapter": adapters.CONFIG, "imessage": "chat.db", "auto": "x.txt"}
    path = tmp_path / names.get(use, "x.json")
    make(path)
    answered(lambda: USES[use](path))


@pytest.mark.parametrize("use", ["table", "whatsapp", "imessage", "config", "modelfile", "contacts"])
def test_link_to_a_regular_file_is_read_as_that_file(use, tmp_path):
    (tmp_path / "real").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(Exception) as of_link:
        USES[use](tmp_path / "link") or pytest.fail("nothing to read")
    assert "not a regular file" not in str(of_link.value)


# --- names --------------------------------------------------------------------------------------

ODD = b"\xff\xfe"  # as on a disk of an old Windows


def odd(*arguments, cwd):
    """`ftstudy` with arguments of bytes. The exit status, and what it said."""
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT / "lib"), "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-P", "-m", "ftstudy", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True)
    said = done.stdout.decode() + done.stderr.decode()  # strict: what is printed is UTF-8
    assert "This is a bug" not in said and "Traceback" not in said, said
    return done.returncode, said


def chat(folder):
    rows = [
        {
            "conversation": "c",
            "sender": "Sam" if at % 2 else "Bob",
            "timestamp": 1_600_000_000 + at * 60 + at // 8 * 86_400,
            "text": f"hi {at}",
        }
        for at in range(80)
    ]
    path = os.fsencode(folder) + b"/" + ODD + b".jsonl"
    with open(path, "w") as file:
        file.write("\n".join(map(json.dumps, rows)))
    return path


def test_files_whose_names_are_not_utf8_are_read_written_and_described(tmp_path):
    source = chat(tmp_path)
    status, said = odd("extract", "--source", source, "--owner", "Sam", "--out", ODD, cwd=tmp_path)
    assert status == 0, said
    folder = tmp_path / os.fsdecode(ODD) / "raw_style_variable"
    assert json.loads((folder / "origin.json").read_text())["source"] == os.fsdecode(ODD + b".jsonl")
    (tmp_path / "config.yaml").write_text("model: tiny\niters: 1\nadapter_path: adapter\n")
    for where in (ODD, "."):  # the second finds nothing, and has names to list
        status, said = odd("audit", "--config", "config.yaml", "--data", where, "--json", ODD + b".json", cwd=tmp_path)
        assert status in (1, 2), said


def test_names_that_a_notebook_or_sqlite_cannot_take_end_in_a_sentence(tmp_path):
    source = chat(tmp_path)
    config = tmp_path / os.fsdecode(ODD + b".yaml")
    config.write_text("model: tiny\ndata: nowhere\n")
    database = tmp_path / os.fsdecode(ODD + b".db")
    shutil.copy(paths.DATA / "sample" / "chat.db", database)
    for arguments in (
        ["extract", "--source", os.fsencode(database), "--owner", "Sam", "--out", "o"],
        ["study", "--run=one", b"--source=" + source, "--owner=Sam", "--config=" + "ft.yaml", "--data=data"],
        ["diagnose", os.fsencode(config)],
        ["notebook", "01_extract", "-p", "source", source],
    ):
        status, said = odd(*arguments, cwd=tmp_path)
        assert status == 2 and "is not a UTF-8 name" in said and r"\udcff" in said, (arguments, said)


def test_folder_you_are_in_may_have_any_name(tmp_path):
    folder = tmp_path / os.fsdecode(ODD)
    folder.mkdir()
    source = chat(folder)
    status, said = odd("extract", "--source", source, "--owner", "Sam", "--out", "rows", cwd=folder)
    assert status == 0, said
    (folder / "config.yaml").write_text(
        "model: tiny\niters: 1\nbatch_size: 1\nnum_layers: 2\ndata: rows/raw_style_variable\nadapter_path: adapter\n"
    )
    for verb in (
        ["audit", "--config", "config.yaml"],
        ["diagnose", "config.yaml"],
        ["train", "--config", "config.yaml", "--force"],
    ):
        status, said = odd(*verb, cwd=folder)
        assert status in (0, 1) if verb[0] == "audit" else "UTF-8" in said or status == 0, (verb, said)
