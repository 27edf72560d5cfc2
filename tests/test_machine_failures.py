"""What the machine refuses ends with status 2 and one paragraph: the file, the reason, the fix. So does any other error."""

import errno
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import nbformat
import numpy as np
import pytest
import safetensors.numpy
from ftstudy import cli, configs, files, machine_failures, paths
from ftstudy.cli import checks
from ftstudy.errors import StudyError
from ftstudy.models import adapters
from ftstudy.sources import exports, imessage_database
from ftstudy.stages import notebooks

LIB = Path(machine_failures.__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.fspath(LIB)}
SAMPLE = paths.DATA / "sample" / "chat.db"


# --- what exceptions say ---------------------------------------------------------------------


@pytest.fixture
def no_room(tmp_path):
    """While it is in use this process cannot make a file larger than 20,000 bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def by_mlx(folder):
    with files.replace_file(folder / "x.safetensors") as new:
        adapters.save(new, {"a": mx.zeros((100, 100))}, {})


def by_mlx_itself(folder):
    mx.save_safetensors(str(folder / "x.safetensors"), {"a": mx.zeros((100, 100))})


def by_safetensors(folder):
    safetensors.numpy.save_file({"a": np.zeros((100, 100))}, folder / "x.safetensors")


def by_sqlite(folder):
    with sqlite3.connect(folder / "x.db") as database:
        database.execute("CREATE TABLE a (b)")
        database.execute("INSERT INTO a VALUES (zeroblob(100000))")


def by_json(folder):
    files.write_json(folder / "x.json", "x" * 100_000)


def by_rows(folder):
    with files.growing(folder / "x.jsonl") as append:
        for _ in range(100):
            append({"text": "x" * 1000})


def by_another_exception(folder):
    try:
        by_json(folder)
    except OSError as error:
        raise ValueError("the notebook could not be saved") from error


def by_a_group(folder):
    try:
        by_json(folder)
    except OSError as error:
        raise ExceptionGroup("several", [ValueError("x"), error]) from None


@pytest.mark.parametrize(
    "write", [by_mlx, by_json, by_rows, by_another_exception, by_a_group], ids=lambda one: one.__name__
)
def test_a_file_that_cannot_grow_is_named_and_nothing_half_written_is_left(no_room, write):
    with pytest.raises(Exception) as caught:
        write(no_room)
    said = machine_failures.explain(caught.value)
    assert f"{paths.shown(no_room)}/x." in said and "the file would be larger" in said and "\n" not in said
    left = [path for path in no_room.iterdir() if path.name != "x.jsonl"]
    assert left == []
    if write is by_rows:
        lines = (no_room / "x.jsonl").read_bytes().splitlines(keepends=True)
        assert len(lines) > 5 and all(json.loads(line) and line.endswith(b"\n") for line in lines)


@pytest.mark.parametrize("write", [by_mlx_itself, by_safetensors, by_sqlite], ids=lambda one: one.__name__)
def test_libraries_that_hide_the_systems_error_are_understood(no_room, write):
    with pytest.raises(Exception) as caught:
        write(no_room)
    assert not isinstance(caught.value, OSError)
    said = machine_failures.explain(caught.value)
    assert said.startswith("Stopped, because ") and ("disk" in said or "file" in said), said


@pytest.mark.parametrize("write", [by_mlx, by_json], ids=lambda one: one.__name__)
def test_an_older_file_stays_when_a_newer_one_has_no_room(no_room, write):
    for name in ("x.safetensors", "x.json"):
        (no_room / name).write_text("older")
    with pytest.raises(OSError):
        write(no_room)
    assert {path.name: path.read_text() for path in no_room.iterdir()} == {"x.safetensors": "older", "x.json": "older"}


def out_of_memory():
    np.zeros(1 << 44)


def too_many_files(folder=os.devnull):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        open(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    "fail, words", [(out_of_memory, "memory ran out"), (too_many_files, "too many files are open")]
)
def test_memory_and_open_files_have_their_own_fix(fail, words):
    with pytest.raises((MemoryError, OSError)) as caught:
        fail()
    assert words in machine_failures.explain(caught.value)


@pytest.mark.parametrize("number", machine_failures.REASONS)
def test_the_systems_own_text_is_recognized_in_any_exception(number):
    said = machine_failures.explain(RuntimeError(f"[write] {os.strerror(number)}"))
    assert machine_failures.REASONS[number][0] in said
    named = machine_failures.explain(OSError(number, os.strerror(number), "one", None, "two"))
    assert named.startswith(f"Cannot use two: {machine_failures.REASONS[number][0]}.")


def test_a_temporary_folder_that_is_full_has_another_fix(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert "TMPDIR" in machine_failures.explain(OSError(errno.ENOSPC, "x", str(tmp_path / "a")))
    assert "TMPDIR" not in machine_failures.explain(OSError(errno.ENOSPC, "x", "/nowhere/a"))


def test_errors_that_are_not_the_machines_are_not_explained_by_it():
    assert machine_failures.explain(KeyError("x")) is None
    assert machine_failures.explain(ValueError("[Errno 2] No such file")) is None


# --- the command line -------------------------------------------------------------------------


def status(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyError("some key"), RecursionError("deep\nand deeper"), AssertionError()])
def test_an_unexpected_error_has_status_2_and_keeps_its_traceback_in_a_private_file(
    monkeypatch, capsys, tmp_path, error
):
    def broken(options):
        raise error

    monkeypatch.setattr(checks, "run", broken)
    monkeypatch.setattr(machine_failures, "CACHE", tmp_path / "cache")
    code, said = status(capsys, "checks")
    assert code == 2 and len(said.splitlines()) == 1 and type(error).__name__ in said and "report" in said
    kept = tmp_path / "cache" / "traceback.txt"
    assert "Traceback" in kept.read_text() and "in broken" in kept.read_text() and paths.shown(kept) in said
    assert kept.stat().st_mode & 0o777 == 0o600


def test_without_a_place_for_the_traceback_it_is_printed(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(checks, "run", lambda options: {}["x"])
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(machine_failures, "CACHE", tmp_path / "file" / "cache")
    code, said = status(capsys, "checks")
    assert code == 2 and "Traceback" in said and said.splitlines()[-1].startswith("ftstudy: ")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
def test_output_onto_a_full_disk_is_an_error_and_into_a_closed_pipe_is_not():
    command = [sys.executable, "-m", "ftstudy", "checks"]
    with open("/dev/full", "w") as full:
        said = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert said.returncode == 2 and said.stderr.startswith("ftstudy: ") and len(said.stderr.splitlines()) == 1
    assert "the disk is full" in said.stderr
    reading, writing = os.pipe()
    os.close(reading)
    said = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    os.close(writing)
    assert said.returncode == 0 and said.stderr == ""


# --- in a notebook ----------------------------------------------------------------------------


HIDDEN = """try:
    open("x.json", "w")
    raise OSError(28, "No space left on device", "reports/x.json")
except OSError as error:
    raise RuntimeError("the figure could not be saved") from error"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "code, says",
    [
        (HIDDEN, "Cannot use reports/x.json: the disk is full. "),
        ("bytearray(1 << 60)", "Stopped, because memory ran out. "),
        (
            "import os; os.kill(os.getpid(), 9)",
            "The process of notebook 05_fails was killed, most often because memory ran",
        ),
        ("{}['no such key']", "Cell 1 failed with KeyError; the notebook says why. "),
    ],
    ids=["hidden", "memory", "killed", "unexpected"],
)
def test_what_a_notebooks_process_fails_of_is_said_in_a_sentence(tmp_path, monkeypatch, code, says):
    written = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    written.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(written, tmp_path / "05_fails.ipynb")
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError) as caught:
        notebooks.execute("05_fails", tmp_path / "reports" / "mine", {})
    assert str(caught.value).startswith(says) and "\n" not in str(caught.value)
    left = {path.name for path in (tmp_path / "reports" / "mine").iterdir()}
    assert left <= {".gitignore", "05_fails.failed.ipynb"}


# --- a disk that is full ----------------------------------------------------------------------


def can_mount():
    made = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    return shutil.which("unshare") is not None and subprocess.run(made, capture_output=True).returncode == 0


def ftstudy(*arguments, folder, full=None, size=64, **environment):
    """The command in this folder. `full`: a folder onto which only `size` KiB fit, or not even an empty file; where no
    disk can be mounted, only files up to that size."""
    command, limit = [sys.executable, "-m", "ftstudy", *map(str, arguments)], None
    if full is not None and can_mount():
        mount = 'mount -t tmpfs -o "$0" tmpfs "$1" && cd "$2" && shift 2 && exec "$@"'
        inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount]
        room = f"size={size}k" if size else "nr_inodes=1"  # the folder itself
        command = [*inside, room, os.fspath(full), os.fspath(folder), *command]
    elif full is not None:
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size << 10, size << 10))  # noqa: E731
    environment = ENVIRONMENT | environment
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, preexec_fn=limit)


def one_paragraph(said, *words):
    assert said.returncode == 2, said.stderr
    (line,) = said.stderr.strip().splitlines()
    assert line.startswith("ftstudy: ") and "Traceback" not in line
    assert "the disk is full" in line or "the file would be larger" in line, line
    for word in words:
        assert word in line, line


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    said = ftstudy("extract", "--source", SAMPLE, "--owner", "Sam", "--out", "rows", folder=folder)
    assert said.returncode == 0, said.stderr
    (folder / "disk").mkdir()
    config = {"model": "tiny", "data": "rows/raw_style_variable", "adapter_path": "disk/adapter", "train": True}
    config |= {"iters": 6, "batch_size": 2, "num_layers": 2, "mask_prompt": True, "steps_per_eval": 2}
    (folder / "mine.yaml").write_text(json.dumps(config))
    return folder


@pytest.mark.slow
def test_extracting_onto_a_full_disk(extracted):
    arguments = ["extract", "--source", SAMPLE, "--owner", "Sam", "--out", "disk/rows"]
    one_paragraph(ftstudy(*arguments, folder=extracted, full=extracted / "disk", size=20), "disk/rows")


@pytest.mark.slow
def test_training_onto_a_full_disk(extracted):
    arguments = ["train", "--config", "mine.yaml", "--run", "mine"]
    said = ftstudy(*arguments, folder=extracted, full=extracted / "disk", size=40)
    one_paragraph(said, "disk/adapter/unfinished/")
    assert not (extracted / "disk" / "adapter" / "adapters.safetensors").exists()


@pytest.mark.slow
def test_writing_findings_and_a_notebook_onto_a_full_disk(extracted):
    arguments = ["audit", "--config", "mine.yaml", "--json", "disk/findings.json"]
    one_paragraph(ftstudy(*arguments, folder=extracted, full=extracted / "disk", size=4), "disk/findings.json")
    (extracted / "reports").mkdir(exist_ok=True)
    arguments = ["notebook", "01_extract", "--run", "mine", "-p", "source", "", "-p", "data", "rows/raw_style_variable"]
    said = ftstudy(*arguments, folder=extracted, full=extracted / "reports", size=24)
    one_paragraph(said, "reports/mine")
    assert not [path for path in (extracted / "reports").rglob("*") if path.suffix == ".ipynb"]


def test_a_chat_history_on_a_read_only_disk_is_copied_to_a_temporary_folder_without_room(no_room, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(no_room))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(OSError) as caught, imessage_database._copy_of(SAMPLE):
        pass
    said = machine_failures.explain(caught.value)
    assert f"{paths.shown(no_room)}/ftstudy: the file would be larger" in said and "TMPDIR" in said
    assert list(no_room.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "temporary",
    ["nowhere", "mine.yaml", "disk", f"{'long' * 20}/{'er' * 20}"],
    ids=["missing", "a file", "full", "too long for sockets"],
)
def test_a_notebook_runs_without_the_temporary_folder_that_was_named(extracted, temporary):
    if temporary.startswith("long"):
        (extracted / temporary).mkdir(parents=True)
    arguments = ["notebook", "01_extract", "--run", "tmp", "-p", "source", "", "-p", "data", "rows/raw_style_variable"]
    full = {"full": extracted / "disk", "size": 0} if temporary == "disk" else {}
    said = ftstudy(*arguments, folder=extracted, **full, TMPDIR=str(extracted / temporary))
    assert said.returncode == 0, said.stderr
    assert (extracted / "reports" / "tmp" / "01_extract.ipynb").is_file()


def test_a_full_disk_without_a_name_names_the_folders_it_may_be(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "small"))
    monkeypatch.setattr(machine_failures, "CACHE", tmp_path / "cache")
    said = machine_failures.explain(RuntimeError("No space left on device"))
    assert paths.shown(tmp_path / "small") in said and paths.shown(tmp_path / "cache") in said and "adapter" in said


# --- closed streams ---------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_output_that_cannot_be_written_is_not_blamed_on_another_disk(tmp_path):
    for arguments in (["--help"], ["audit", "--help"], ["checks"], ["checks", "--markdown"]):
        command = [sys.executable, "-m", "ftstudy", *arguments]
        with open("/dev/full", "w") as full:
            said = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=ENVIRONMENT
            )
        assert said.returncode == 2 and said.stderr.startswith("ftstudy: Cannot write the output: "), said.stderr
        assert "cache" not in said.stderr and said.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_dev_null(tmp_path, closed):
    command = f'exec "$0" -m ftstudy "$@" {closed}'
    extract = ["extract", "--source", SAMPLE, "--owner", "Sam", "--out", "rows"]
    for arguments, code in ((["checks"], 0), (extract, 0), (["audit", "--config", "none.yaml"], 2)):
        run = ["sh", "-c", command, sys.executable, *map(str, arguments)]
        said = subprocess.run(run, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
        assert said.returncode == code and "Traceback" not in said.stderr, said.stderr
    assert (tmp_path / "rows" / "raw_style_variable" / "train.jsonl").stat().st_size


def test_a_file_that_cannot_be_opened_for_lack_of_open_files_is_not_called_unreadable(tmp_path):
    (tmp_path / "mine.yaml").write_text("model: tiny\n")
    (tmp_path / "data.json").write_text("{}")
    for use in (lambda: configs.given(tmp_path / "mine.yaml"), lambda: exports.read_bytes(tmp_path / "data.json")):
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            with pytest.raises(OSError) as caught:
                use()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert "too many files are open" in machine_failures.explain(caught.value)
