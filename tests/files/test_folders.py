"""What is written is private, ignored by git and whole, at every moment, also when its writer is killed."""

import ast
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import refused
from ftstudy import cli, files, paths
from ftstudy.cli import arguments
from ftstudy.files import folders, foreign
from ftstudy.models import adapters
from ftstudy.record.captures import Captures

LIB = Path(files.__file__).parents[2]


@pytest.fixture(autouse=True)
def open_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def python(script, *arguments, cwd, **more):
    """Run a script with this checkout's library, under the usual umask."""
    environment = os.environ | {"PYTHONPATH": os.fspath(LIB)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, umask=0o022, **more)


def open_to_others(folder):
    """The files and folders that more people than their owner may use."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:  # a process at work has just removed it
            continue
        if not stat.S_ISLNK(mode) and mode & 0o077:
            found[path.relative_to(folder).as_posix()] = oct(mode)
    return found


def seen_by_git(project):
    asked = ["git", "status", "--porcelain", "--untracked-files=all"]
    return subprocess.run(asked, cwd=project, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture
def project(tmp_path):
    """Somebody's own project, under git."""
    folder = tmp_path / "project"
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


# --- private and ignored ---------------------------------------------------------------------


def test_every_writer_is_private_and_ignored_whatever_the_umask(project):
    files.write_json(project / "a" / "b" / "one.json", {})
    files.write_jsonl(project / "c" / "rows.jsonl", [{}])
    files.update_json(project / "d" / "sums.json", lambda found: found, {})
    with files.growing(project / "e" / "metrics.jsonl") as append:
        append({"iteration": 1})
    with folders.replace_folder(project / "f") as new:
        (new / "inside").mkdir()
        (new / "inside" / "weights").write_text("by another library")
    Captures(project / "g" / "captures.jsonl").close()
    written = [path for path in project.iterdir() if path.name != ".git"]
    assert len(written) == 6 and not any(open_to_others(path) for path in written)
    assert seen_by_git(project) == []


def test_a_file_in_a_folder_of_the_users_own_is_private_and_the_folder_stays_as_it_is(project):
    (project / "out").mkdir(mode=0o755)
    files.write_json(project / "out" / "findings.json", {})
    files.write_json(project / "out" / "findings.json", {})
    assert open_to_others(project / "out") == {".": "0o40755"}
    assert [path.name for path in (project / "out").iterdir()] == ["findings.json"]


def test_a_runs_folder_of_an_earlier_version_is_closed_and_ignored(project):
    run = project / "reports" / "mine"
    run.mkdir(parents=True)
    (run / "cost.json").write_text("{}")
    assert seen_by_git(project) == ["?? reports/mine/cost.json"]
    files.update_json(run / "cost.json", lambda costs: costs, {})
    assert open_to_others(run) == {} and seen_by_git(project) == []


def test_neither_the_current_folder_nor_one_of_somebody_elses_in_reports_is_closed(project, monkeypatch):
    mine, theirs = project / "reports" / "mine", project / "reports" / "theirs"
    for folder in (mine, theirs):
        folder.mkdir(parents=True)
    (mine / "cost.json").write_text("{}")
    monkeypatch.chdir(mine)
    for folder in (mine, theirs):
        files.write_json(folder / "new.json", {})
        assert folder.stat().st_mode & 0o777 == 0o755


def test_a_folder_that_everybody_may_write_is_never_closed(project):
    """As root, the system's temporary folder, in which anybody can put a file that looks like ours."""
    project.chmod(0o1777)
    (project / ".gitignore").write_text(folders.EVERYTHING)
    files.write_json(project / "one.json", {})
    assert project.stat().st_mode & 0o7777 == 0o1777


def test_a_pipe_in_the_place_of_an_ignore_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / ".gitignore")
    files.write_json(tmp_path / "one.json", {})
    folders.ignore(tmp_path, "one.json")
    assert {path.name for path in tmp_path.iterdir()} == {".gitignore", "one.json"}


def test_importing_the_package_changes_no_umask_and_the_command_line_closes_it(tmp_path):
    script = "import os, ftstudy, ftstudy.cli, ftstudy.files; print(oct(os.umask(0)))"
    assert python(script, cwd=tmp_path).stdout == "0o22\n"
    script = (
        "import os, ftstudy.cli as cli, atexit; atexit.register(lambda: print(oct(os.umask(0)))); cli.main(['checks'])"
    )
    assert python(script, cwd=tmp_path).stdout.splitlines()[-1] == "0o77"


def test_an_ignore_file_that_exists_gets_the_missing_names_only(tmp_path):
    (tmp_path / ".gitignore").write_text("mine\nb")
    for _ in range(2):
        folders.ignore(tmp_path, "a", "b")
    assert (tmp_path / ".gitignore").read_text() == "mine\nb\na\n"


def test_a_device_is_never_replaced_by_a_file():
    refused(lambda: files.write_json(Path("/dev/null"), {}), "/dev/null", "not a file")
    assert not Path("/dev/null").is_file()


@pytest.mark.slow
def test_every_file_of_a_whole_run_is_private_from_its_first_byte_and_ignored(project):
    """Extract, audit, train, compare, report and diagnose in somebody's own project, with a home of its own."""
    config = {"model": "tiny", "data": "rows/raw_style_variable", "adapter_path": "adapters/mine", "train": True}
    config |= {"iters": 2, "batch_size": 2, "num_layers": 2, "mask_prompt": True, "steps_per_eval": 2}
    (project / "mine.yaml").write_text(json.dumps(config | {"ftstudy": {"train_on": "last"}}))
    subprocess.run(["git", "add", "mine.yaml"], cwd=project, check=True)
    home, temporary = project.parent / "home", project.parent / "tmp"
    for folder in (home, temporary):
        folder.mkdir()
    environment = os.environ | {"PYTHONPATH": os.fspath(LIB), "HOME": str(home), "TMPDIR": str(temporary)}
    own = {"mine.yaml", ".git"}
    theirs = "home/.ipython/profile_default/startup/README"  # which IPython copies with its mode
    found, ended = {}, threading.Event()

    def watch():
        while not ended.wait(0.02):
            for folder in (project, home, temporary):
                for name, mode in open_to_others(folder).items():
                    if name != "." and Path(name).parts[0] not in own:
                        found[f"{folder.name}/{name}"] = mode

    def ftstudy(*arguments, good=(0,)):
        command = [sys.executable, "-m", "ftstudy", *arguments]
        said = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, umask=0o022)
        assert said.returncode in good, said.stderr

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        ftstudy("extract", "--source", paths.DATA / "sample" / "chat.db", "--owner", "Sam", "--out", "rows")
        ftstudy("audit", "--config", "mine.yaml", "--inference", "aligned", "--json", "results/findings.json")
        ftstudy("train", "--config", "mine.yaml", "--run", "mine")
        ftstudy("diagnose", "mine.yaml", "--run", "mine", "--replies", "4", "--inference", "historical", good=(0, 1))
        ftstudy("compare", "--run", "mine", "-p", "config", "mine.yaml", "-p", "replies", "4")
        ftstudy("report", "--run", "mine")
    finally:
        ended.set()
        watching.join()
    made = {path.name for path in (project / "reports" / "mine").iterdir()}
    assert {"index.html", "findings.json", "training.json", "comparison.json", "arms", "04_compare.ipynb"} <= made
    assert found.keys() <= {theirs} and list(temporary.iterdir()) == []
    assert seen_by_git(project) == ["A  mine.yaml"]
    leftovers = [path for path in project.rglob(".*") if path.name not in (".git", ".gitignore")]
    assert leftovers == []


# --- killed -----------------------------------------------------------------------------------

# Writes in a process that kills itself at its n-th look at, or change of, the file system, for every n.
KILLED = """
import json, os, pathlib, signal, sys
from ftstudy import files
from ftstudy.files import folders
from ftstudy.extract import variant_folder

def variant(number):
    rows = {name: [{"messages": [], "n": number}] * 3 for name in ("train", "valid", "test")}
    origin = {"source": "a", "owner": "Sam", "kind": "table", "n": number}
    variant_folder.write(pathlib.Path("data/one/raw_style"), rows, [{"n": number}], origin)

def file(number):
    files.write_json(pathlib.Path("reports/mine/training.json"), {"n": number})

def update(number):
    files.update_json(pathlib.Path("reports/mine/preferences.json"), lambda found: found | {"n": number}, {})

write = {"variant": variant, "file": file, "update": update}[sys.argv[1]]
EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.scandir", "os.listdir", "fcntl.flock"}
if sys.argv[3:]:
    left = int(sys.argv[3])
    def hook(event, arguments):
        global left
        if event in EVENTS:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
write(int(sys.argv[2]))
"""
FORKED = (
    KILLED.replace("\nif sys.argv[3:]:", "\ndef arm(moment):")
    .replace("    left = int(sys.argv[3])", "    left = moment")
    .replace("global left", "nonlocal left")
    .replace(
        "\nwrite(int(sys.argv[2]))\n",
        """
moment = number = 0
while True:
    moment += 1
    number += 1
    child = os.fork()
    if child == 0:
        arm(moment)
        write(number)
        os._exit(0)
    killed = os.waitpid(child, 0)[1] != 0
    print(json.dumps({"moment": moment, "killed": killed}), flush=True)
    input()  # until the test has looked
    if not killed:
        break
""",
    )
)


@pytest.mark.parametrize("kind", ["variant", "file", "update"])
@pytest.mark.parametrize("older", [True, False], ids=["replaced", "new"])
def test_a_writer_killed_at_any_moment_leaves_nothing_half_written_or_seen_by_git(project, kind, older):
    """What is visible is whole; what is left over is private, ignored, and gone once the writer has run again."""
    if older:
        assert python(KILLED, kind, 0, cwd=project).returncode == 0
    writer = subprocess.Popen(
        [sys.executable, "-c", FORKED, kind],
        cwd=project,
        env=os.environ | {"PYTHONPATH": os.fspath(LIB)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        umask=0o022,
    )
    moments, last = 0, older
    with writer:
        for line in writer.stdout:
            moments += 1
            now = content(project, kind)
            assert now is not False and (now is not None or not last), f"at moment {moments}"
            last = last or now is not None
            assert seen_by_git(project) == []
            assert all(open_to_others(path) == {} for path in project.iterdir() if path.name != ".git")
            writer.stdin.write("\n")
            writer.stdin.flush()
            if not json.loads(line)["killed"]:
                break
    assert writer.returncode == 0 and moments > 10
    assert content(project, kind) == moments
    left = [
        path for path in project.rglob(".*") if path.name not in (".git", ".gitignore") and ".git" not in path.parts
    ]
    assert left == []


def content(project, kind):
    """The number that the visible result has; None if there is none, False if it is not whole."""
    if kind != "variant":
        path = project / "reports" / "mine" / {"file": "training.json", "update": "preferences.json"}[kind]
        return json.loads(path.read_text())["n"] if path.exists() else None
    folder = project / "data" / "one" / "raw_style"
    if not folder.exists():  # between the removal of the older folder and the arrival of the new one
        kept = list(folder.parent.glob(".raw_style.old.*")) if folder.parent.exists() else []
        return content_of(kept[0]) if kept else None
    return content_of(folder)


def content_of(folder):
    names = {"train.jsonl", "valid.jsonl", "test.jsonl", "meta.jsonl", "origin.json", ".gitignore"}
    if {path.name for path in folder.iterdir()} != names:
        return False
    rows = [json.loads(line)["n"] for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
    return rows[0] if len(rows) == 10 and len(set(rows)) == 1 else False


def test_what_a_living_writer_has_not_finished_is_left_alone(tmp_path):
    with folders.new_folder(tmp_path / "rows") as new:
        (new / "train.jsonl").write_text("half")
        files.write_json(tmp_path / "other.json", {})
        with folders.replace_folder(tmp_path / "rows"):
            pass
        assert (new / "train.jsonl").read_text() == "half"
    assert {path.name for path in tmp_path.iterdir()} == {"rows", "other.json"}


def test_leftovers_of_an_earlier_version_and_of_other_files_are_removed_and_strangers_folders_stay(tmp_path):
    (tmp_path / ".rows.new.abcd1234").mkdir()
    (tmp_path / ".rows.new.abcd1234" / "train.jsonl").write_text("a message")
    (tmp_path / ".other.json.new.abcd1234").mkdir()
    (tmp_path / ".other.json.new.abcd1234" / ".gitignore").write_text(folders.EVERYTHING)
    (tmp_path / ".theirs.new.abcd1234").mkdir()
    (tmp_path / ".rows.old.abcd1234").symlink_to(tmp_path / ".theirs.new.abcd1234")
    with folders.replace_folder(tmp_path / "rows"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"rows", ".theirs.new.abcd1234", ".rows.old.abcd1234"}


def test_two_writers_of_one_folder_at_once_leave_one_of_the_two(tmp_path):
    script = (
        "import sys, pathlib; from ftstudy.files import folders\n"
        "for at in range(100):\n"
        "    with folders.replace_folder(pathlib.Path('rows')) as new:\n"
        "        [(new / name).write_text(sys.argv[1]) for name in ('train', 'valid')]\n"
    )
    environment = os.environ | {"PYTHONPATH": os.fspath(LIB)}
    both = [subprocess.Popen([sys.executable, "-c", script, who], cwd=tmp_path, env=environment) for who in "ab"]
    assert [one.wait() for one in both] == [0, 0]
    assert len({(tmp_path / "rows" / name).read_text() for name in ("train", "valid")}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]


TRAINING = {"data": "rows", "adapter_path": "adapters/mine", "train": True, "iters": 400, "batch_size": 2}
TRAINING |= {"model": "tiny", "num_layers": 2, "mask_prompt": True, "steps_per_eval": 5, "steps_per_report": 1}


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["locked", "training", "saved"])
def test_killed_training_leaves_nothing_that_git_sees_and_the_next_one_clears_it(project, write_split, moment):
    rows = [
        {"messages": [{"role": "user", "content": f"hey {at}"}, {"role": "assistant", "content": "yo"}]}
        for at in range(9)
    ]
    for name in ("train", "valid"):
        write_split(project / "rows", name, rows)
    (project / "mine.yaml").write_text(json.dumps(TRAINING))
    subprocess.run(["git", "add", "."], cwd=project, check=True)
    environment = os.environ | {"PYTHONPATH": os.fspath(LIB)}
    command = [sys.executable, "-m", "ftstudy", "train", "--config", "mine.yaml", "--run", "mine"]
    adapter = project / "adapters" / "mine"
    sign = {"locked": adapter / ".lock", "training": project / "reports" / "mine" / "mine.metrics.jsonl"}
    sign["saved"] = adapter / "unfinished" / "state.safetensors"
    training = subprocess.Popen(command, cwd=project, env=environment, umask=0o022, stdout=subprocess.DEVNULL)
    while not sign[moment].exists():
        assert training.poll() is None
        time.sleep(0.01)
    training.send_signal(signal.SIGKILL)
    training.wait()
    staged = ["A  mine.yaml", "A  rows/train.jsonl", "A  rows/valid.jsonl"]
    assert seen_by_git(project) == staged
    assert open_to_others(project / "adapters") == {} and not (adapter / "adapters.safetensors").exists()
    (project / "mine.yaml").write_text(json.dumps(TRAINING | {"iters": 5}))
    subprocess.run(["git", "add", "."], cwd=project, check=True)
    assert subprocess.run(command, cwd=project, env=environment, umask=0o022).returncode == 0
    assert seen_by_git(project) == staged
    made = {path.name for path in adapter.iterdir()}
    assert made == {".gitignore", "adapter_config.json", "adapters.safetensors", "prompt_contract.json"}
    assert [path.name for path in adapter.parent.iterdir() if path.name != ".gitignore"] == ["mine"]
    assert not [path for path in (project / "reports").rglob(".*") if path.name != ".gitignore"]


# --- in one place -----------------------------------------------------------------------------

# What makes a file or folder. `files` and `folders` do it for all others, except for these.
MAKES = {"write_text", "write_bytes", "mkdir", "makedirs", "touch", "mkstemp", "mkdtemp", "TemporaryDirectory"}
MAKES |= {"NamedTemporaryFile", "copyfile", "copy", "copytree", "savefig", "save_safetensors", "to_csv", "to_json"}
EXCEPT = {
    "printable.py": "/dev/null, in place of a closed stream",
    "engine/blas.py": "a library for everybody who uses the environment",
    "engine/kernel_folder.py": "makes a private folder for MLX, before anything else is imported",
    "models/recipes.py": "within base_models' new folder",
    "models/adapters.py": "tensors, into a new folder",
    "chat_format/capture.py": "into replace_file's new file",
    "repair/folder.py": "into replace_file's new file",
    "demo/tiny_chat.py": "a made-up model, which is in the repository",
    "original_report/history.py": "within replace_folder",
    "stages/rerun.py": "within scratch",
    "sources/imessage_database.py": "within scratch",
    "report/render.py": "a picture, into memory",
    "audit/contract_writer.py": "a private folder of which only the contract is ignored",
}


def test_files_and_folders_are_made_in_one_place():
    """Everything else would have to remember what is private, ignored, whole and cleared."""
    package, found = LIB / "ftstudy", {}
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _makes_a_file(node):
                found.setdefault(path.relative_to(package).as_posix(), []).append(node.lineno)
    assert {name for name in found if not name.startswith("files/")} == EXCEPT.keys(), found


def _makes_a_file(call):
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    modes = [one.value for one in call.args[:2] if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    writes = name in ("open", "fdopen") and any(
        set(mode) <= set("rwaxbt+") and set(mode) & set("wax") for mode in modes
    )
    return writes or name in MAKES and isinstance(call.func, ast.Attribute)


# --- somebody else's folders ------------------------------------------------------------------


@pytest.fixture
def victim(project, monkeypatch):
    """A folder of this user's outside the project, which nothing may change. Yields (project, folder)."""
    folder = project.parent / "victim"
    folder.mkdir()
    (folder / "index.html").write_text("keep")
    folder.chmod(0o755)
    (project / "mine.yaml").write_text("model: tiny\ndata: nowhere\niters: 1\nadapter_path: adapters\n")
    monkeypatch.chdir(project)
    yield project, folder
    assert [path.name for path in folder.iterdir()] == ["index.html"]
    assert (folder / "index.html").read_text() == "keep" and folder.stat().st_mode & 0o777 == 0o755


VERBS = [
    ["diagnose", "mine.yaml"],
    ["study", "--run=mine", "--config=mine.yaml"],
    ["train", "--config", "mine.yaml", "--run", "mine", "--force"],
    ["sweep", "--run", "mine", "mine.yaml"],
    ["compare", "--run", "mine"],
    ["report", "--run", "mine"],
    ["lab", "--run", "mine"],
    ["notebook", "02_format_audit", "--run", "mine"],
]


@pytest.mark.parametrize("link", ["reports/mine", "reports"])
@pytest.mark.parametrize("verb", VERBS, ids=[verb[0] for verb in VERBS])
def test_a_link_that_a_project_came_with_is_not_followed(victim, verb, link, capsys):
    project, folder = victim
    (project / link).parent.mkdir(exist_ok=True)
    (project / link).symlink_to(folder)
    with pytest.raises(SystemExit) as ended:
        cli.main(verb)
    assert ended.value.code == 2 and f"{link} is a link to {folder}" in capsys.readouterr().err


def test_a_run_is_not_written_among_the_files_of_something_else(victim, capsys):
    project, _ = victim
    (project / "reports" / "mine").mkdir(parents=True)
    (project / "reports" / "mine" / "index.html").write_text("theirs")
    with pytest.raises(SystemExit) as ended:
        cli.main(VERBS[0])
    assert (
        ended.value.code == 2 and "reports/mine is not a run of ftstudy: it has index.html" in capsys.readouterr().err
    )
    assert (project / "reports" / "mine" / "index.html").read_text() == "theirs"


def test_reports_may_be_a_link_to_an_empty_folder_on_another_disk(victim):
    project, _ = victim
    disk = project.parent / "disk"
    disk.mkdir()
    (project / "reports").symlink_to(disk)
    for name in ("one", "two", "one"):
        files.write_json(arguments.run_folder(name) / "findings.json", {})
    assert sorted(path.name for path in disk.iterdir()) == ["one", "two"]
    (disk / "notes.txt").write_text("mine")  # it stays the study's
    files.write_json(arguments.run_folder("two") / "findings.json", {})


def test_a_folder_of_another_user_is_not_followed(victim, monkeypatch):
    project, _ = victim
    (project.parent / "theirs").mkdir()
    (project / "reports").symlink_to(project.parent / "theirs")
    monkeypatch.setattr(os, "getuid", lambda: os.stat(project.parent / "theirs").st_uid + 1)
    refused(lambda: arguments.run_folder("mine"), "reports is a link to", "belongs to another user")


def test_an_adapter_and_a_contract_are_not_written_through_a_link(victim):
    project, folder = victim
    (project / "adapters").symlink_to(folder)
    for target in (project / "adapters", project / "adapters" / "deeper"):
        refused(lambda: foreign.refuse_link(target, adapters.read_config), "adapters is a link to", "not the study's")
    (project / "other").mkdir()
    (project / "inside").symlink_to(project / "other")
    foreign.refuse_link(project / "inside")  # stays in the project
