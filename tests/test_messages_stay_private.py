"""No text of a message in what is printed, in errors, logs and names of files, or in the metadata of notebooks.

`ftstudy audit` is the exception: its evidence quotes rows, on the terminal of the person who asked for it.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest
from conftest import tiny_config
from ftstudy import machine_failures, paths
from ftstudy.errors import StudyError
from ftstudy.sources import read_messages
from ftstudy.stages import notebooks
from papermill.exceptions import PapermillExecutionError
from sources import test_bad_input

MARK = "qzvxplanted"
RUN = ["--run", "mine"]
EXTRACT = ["extract", "--source", "chat.csv", "--owner", "Sam", "--out", "data"]
TRAIN = ["train", *RUN, "--config"]
FIRST = ["notebook", "01_extract", *RUN, "-p", "source", "chat.csv", "-p", "out", "data", "-p", "contacts", ""]


def write_chat(path):
    """Forty days of Anna and Sam; each message has the marker, and some have what the readers and masks look for."""
    dice, lines = random.Random(0), ["conversation,sender,timestamp,text"]
    for at in range(480):
        when = 1_600_000_000 + at // 12 * 86_400 + at * 60
        more = dice.choice(["ok", "call 212 555 0147", "https://example.org/a?key=3f9a", "é 🎉"])
        lines.append(f'Anna,{("Anna", "Sam")[at % 2]},{when},"{MARK} {at} {more} {MARK}"')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


class Study:
    def __init__(self, folder):
        self.folder, self.printed = folder, ""
        self.environment = os.environ | {"PYTHONPATH": str(paths.ROOT / "lib"), "XDG_CACHE_HOME": f"{folder}/cache"}
        (folder / "tmp").mkdir()
        self.environment["TMPDIR"] = f"{folder}/tmp"

    def run(self, *arguments, bytes_per_file=None, kill_after=None):
        """The exit status of `ftstudy ARGUMENTS`; keeps what it prints."""

        def limit():
            if bytes_per_file:
                resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_per_file, bytes_per_file))

        process = subprocess.Popen(
            [sys.executable, "-m", "ftstudy", *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=limit,
        )
        if kill_after:
            while process.poll() is None and not (self.folder / kill_after).exists():
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)  # nothing happens if it has ended
        said, _ = process.communicate()
        self.printed += said
        return process.returncode


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study that goes wrong in many ways before it succeeds."""
    folder = tmp_path_factory.mktemp("study")
    study = Study(folder)
    write_chat(folder / "chat.csv")
    text = (folder / "chat.csv").read_text(encoding="utf-8")
    (folder / "headless.csv").write_text(text.partition("\n")[2], encoding="utf-8")
    (folder / "config.yaml").write_text(tiny_config())
    (folder / "long.yaml").write_text(tiny_config(iters=100_000))
    (folder / "bad.yaml").write_text(tiny_config(batch_size="many"))
    (folder / "badrows.yaml").write_text(tiny_config("badrows/raw_style_variable", adapter_path="other"))

    assert study.run(*EXTRACT, bytes_per_file=5_000) == 2  # a full folder
    assert study.run(*EXTRACT) == 0
    assert study.run(*EXTRACT, "--source", "headless.csv") == 2
    rows = folder / "badrows" / "raw_style_variable"
    rows.mkdir(parents=True)
    for path in (folder / "data" / "raw_style_variable").glob("*.jsonl"):
        (rows / path.name).write_text(path.read_text(encoding="utf-8").replace('"}]}', '"}]', 1), encoding="utf-8")
    assert study.run(*TRAIN, "badrows.yaml") == 2
    assert study.run(*TRAIN, "bad.yaml") == 2
    assert study.run(*TRAIN, "long.yaml", kill_after="adapter/unfinished") == -signal.SIGKILL
    assert study.run(*TRAIN, "config.yaml", bytes_per_file=20_000) == 2
    assert study.run(*TRAIN, "config.yaml") == 0
    assert study.run(*FIRST, "-p", "kind", "whatsapp") == 2
    assert study.run(*FIRST) == 0
    assert study.run("report", *RUN) == 0
    return study


def lines_with_mark(text):
    return [line[:200] for line in text.splitlines() if MARK in line]


@pytest.mark.slow
def test_messages_are_where_they_belong(study):
    assert MARK in (study.folder / "data" / "raw_style_variable" / "train.jsonl").read_text(encoding="utf-8")
    assert MARK in (study.folder / "reports" / "mine" / "01_extract.ipynb").read_text(encoding="utf-8")


@pytest.mark.slow
def test_nothing_printed_has_text_of_a_message(study):
    assert study.printed.count("ftstudy: ") == 6
    assert lines_with_mark(study.printed) == []


@pytest.mark.slow
def test_no_log_and_no_name_of_a_file_has_text_of_a_message(study):
    found = [path for path in study.folder.rglob("*") if MARK in path.name]
    logs = [*study.folder.rglob("*.metrics.jsonl"), *study.folder.rglob("cost.json")]
    assert len(logs) == 3  # of the training, of the one that was killed, and the costs
    logs += [path for name in ("tmp", "cache") for path in (study.folder / name).rglob("*") if path.is_file()]
    assert found + [path for path in logs if MARK.encode() in path.read_bytes()] == []


@pytest.mark.slow
def test_no_metadata_of_a_notebook_has_text_of_a_message(study):
    written = [*(study.folder / "reports" / "mine").glob("*.ipynb")]
    assert written
    for path in written:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        assert MARK in json.dumps(notebook)
        about = [notebook["metadata"]]
        about += [{key: value for key, value in cell.items() if key != "outputs"} for cell in notebook["cells"]]
        assert MARK not in json.dumps(about)


def test_an_unforeseen_error_is_printed_without_its_text(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(machine_failures, "CACHE", tmp_path)
    try:
        raise KeyError(MARK)
    except KeyError as error:
        told = machine_failures.unexpected(error)
        assert MARK not in told and "KeyError" in told
        assert MARK in (tmp_path / "traceback.txt").read_text()
        monkeypatch.setattr(machine_failures, "CACHE", tmp_path / "traceback.txt" / "none")
        assert MARK not in machine_failures.unexpected(error) + "".join(capsys.readouterr())
    in_notebook = PapermillExecutionError(3, 4, "code", "KeyError", MARK, ["Traceback", f"KeyError: {MARK}"])
    assert notebooks._reason(in_notebook) == "Cell 4 failed with KeyError; the notebook says why."


@pytest.mark.parametrize("write", test_bad_input.SOURCES, ids=lambda write: write.__name__)
def test_no_error_and_no_note_of_a_reader_quotes_a_message(write, tmp_path, monkeypatch, capsys):
    plain = test_bad_input.said
    monkeypatch.setattr(
        test_bad_input,
        "said",
        lambda number: ((who, when, f"{MARK} {text} {MARK}") for who, when, text in plain(number)),
    )
    path = write(tmp_path, 30)
    whole, dice = path.read_bytes(), random.Random(write.__name__)
    for _ in range(40):
        path.write_bytes(damaged(whole, dice))
        try:
            told = "\n".join(read_messages(path, "auto", me=["Sam"]).attrs["notes"])
        except StudyError as error:
            told = str(error)
        assert MARK not in told + "".join(capsys.readouterr())


def damaged(data, dice):
    """The file with bytes lost, added, exchanged, repeated, or missing from its end."""
    data = bytearray(data)
    for _ in range(dice.randrange(1, 6)):
        at, other = dice.randrange(len(data)), dice.randrange(len(data))
        kind = dice.randrange(5)
        if kind == 0:
            del data[at : at + dice.randrange(1, 40)]
        elif kind == 1:
            data[at:at] = dice.randbytes(3)
        elif kind == 2:
            data[at : at + 1] = dice.choice([b'"', b",", b"\n", b"{", b"[", b"\\", b":", b"0", b"\0"])
        elif kind == 3:
            data[at:at] = data[other : other + 60]
        else:
            data = data[: at + 100]
    return bytes(data)
