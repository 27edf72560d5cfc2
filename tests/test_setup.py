"""The files that set a machine up agree with each other. Needs no network."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from ftstudy import cli
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = {"requirements.lock": "cpu", "requirements-cuda.lock": "cuda"}
PLATFORMS = {
    "mac": {"sys_platform": "darwin", "platform_machine": "arm64", "platform_system": "Darwin"},
    "linux": {"sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux"},
    "linux-arm": {"sys_platform": "linux", "platform_machine": "aarch64", "platform_system": "Linux"},
}


def entries(lock):
    """The requirements of a lock file, each with its hashes."""
    for text in re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip()):
        requirement, *hashes = [line.removesuffix("\\").strip() for line in text.splitlines()]
        yield Requirement(requirement), hashes


def applies(requirement, platform, python="3.12"):
    environment = default_environment() | platform | {"python_version": python, "python_full_version": f"{python}.1"}
    return requirement.marker is None or requirement.marker.evaluate(environment)


@pytest.mark.parametrize("lock", [*LOCKS, "requirements-uv.lock", "requirements-browser.lock"])
def test_every_pin_is_exact_and_has_hashes(lock):
    for requirement, hashes in entries(lock):
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", h) for h in hashes), requirement


@pytest.mark.parametrize(
    "path", [*LOCKS, "requirements-uv.lock", "requirements-browser.lock", "environment.yml", "Makefile"]
)
def test_no_index_address(path):
    text = (ROOT / path).read_text()
    assert "://" not in text
    assert not re.search(r"--(default-|extra-)?index(-url)?\b|--find-links\b|--trusted-host\b", text)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", ["3.12", "3.14"])
@pytest.mark.parametrize("lock, extra", LOCKS.items())
def test_lock_covers_the_dependencies(lock, extra, python, platform):
    extras = PROJECT["optional-dependencies"]
    pins = {
        canonicalize_name(pin.name): pin.specifier
        for pin, _ in entries(lock)
        if applies(pin, PLATFORMS[platform], python)
    }
    for need in map(Requirement, PROJECT["dependencies"] + extras[extra] + extras["test"]):
        if applies(need, PLATFORMS[platform], python):
            name = canonicalize_name(need.name)
            assert name in pins, f"{name} is not in {lock}"
            version = str(pins[name]).removeprefix("==")
            assert need.specifier.contains(version, prereleases=True), f"{lock} has {name} {version}"


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("lock, engine", [("requirements.lock", "mlx-cpu"), ("requirements-cuda.lock", "mlx-cuda-13")])
def test_each_lock_has_one_engine(lock, engine, platform):
    names = {pin.name for pin, _ in entries(lock) if applies(pin, PLATFORMS[platform])}
    expected = "mlx-metal" if platform == "mac" else engine
    assert names & {"mlx-cpu", "mlx-cuda-13", "mlx-metal"} == {expected}


def test_locks_pin_the_same_versions():
    one, other = ({pin.name: str(pin.specifier) for pin, _ in entries(lock)} for lock in LOCKS)
    assert {name: one[name] for name in one.keys() & other.keys()} == {
        name: other[name] for name in one.keys() & other.keys()
    }


def test_conda_takes_its_packages_from_the_lock():
    yaml = pytest.importorskip("yaml")
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, section = environment["dependencies"]
    assert environment["name"] == PROJECT["name"]
    assert pip == "pip" and section == {"pip": ["-r requirements.lock"]}
    wanted = (ROOT / ".python-version").read_text().strip()
    assert SpecifierSet(python.removeprefix("python").strip()).contains(f"{wanted}.1")


def test_python_version_satisfies_requires_python():
    wanted = (ROOT / ".python-version").read_text().strip()
    assert SpecifierSet(PROJECT["requires-python"]).contains(wanted)


@pytest.mark.parametrize(
    "path, ignored",
    [
        ("data/chat.db", True),
        ("data/raw_style/train.jsonl", True),
        ("data/models/smollm2/model.safetensors", True),
        ("data/adapters/lora/adapters.safetensors", True),
        ("data/README.md", False),
        ("data/sample/chat.jsonl", False),
        ("data/sample/deeper/chat.txt", False),
        ("reports/demo/index.html", True),
        ("reports/demo/README.md", True),
        ("reports/README.md", False),
        (".venv/bin/python", True),
        (".venv-uv/bin/uv", True),
        ("notebooks/.ipynb_checkpoints/01_extract.ipynb", True),
        ("notebooks/01_extract.ipynb", False),
        ("ft_configs/lora.yaml", False),
        ("ft_configs/generated/lora.yaml", True),
    ],
)
def test_what_git_ignores(path, ignored):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone")
    asked = subprocess.run(["git", "check-ignore", "--quiet", "--no-index", path], cwd=ROOT)
    assert asked.returncode == (0 if ignored else 1)


def make(*arguments, **environment):
    if shutil.which("make") is None:
        pytest.skip("no make here")
    base = {"PATH": os.environ["PATH"], "HOME": str(ROOT / "no-home")}
    asked = subprocess.run(["make", *arguments], cwd=ROOT, env=base | environment, capture_output=True, text=True)
    assert asked.returncode == 0, asked.stderr
    return asked.stdout


@pytest.mark.parametrize("arguments", [[], ["help"]])
def test_make_help_lists_every_target(arguments):
    text = make(*arguments)
    for target in ("report", "test", "lab", "extract", "audit", "train", "lock", "clean"):
        assert re.search(rf"^  make {target}\s+\S", text, re.MULTILINE), target


def test_make_help_lists_user_targets_then_variables_then_developer_targets():
    users, rest = make("help").split("\nVariables")
    variables, developers = rest.split("\nFor developers")
    assert [line.split()[1] for line in users.splitlines() if line.startswith("  make ")][:3] == [
        "help",
        "report",
        "lab",
    ]
    for name in ("RUN", "SOURCE", "OWNER", "CONFIG", "INFERENCE", "APP", "FULL"):
        assert re.search(rf"^  {name}\b", variables, re.MULTILINE), name
    for target in ("test", "baseline", "bench", "mutation", "lock"):
        assert f"make {target}" in developers and f"make {target}" not in users


def test_make_clean_touches_neither_data_nor_reports():
    assert make("--dry-run", "clean").strip() == "rm -rf .venv .venv-uv .mutation"


def test_conda_environment_without_the_packages_is_recognized(tmp_path):
    lock = tmp_path / "some.lock"
    lock.write_text("ftstudy-has-no-such-need==1.0 \\\n    --hash=sha256:0\n")
    command = [sys.executable, "lib/environment.py", "lacks"]
    assert "ftstudy-has-no-such-need" in subprocess.check_output([*command, str(lock)], cwd=ROOT, text=True)
    lock.write_text("ftstudy-has-no-such-need==1.0 ; sys_platform == 'nowhere' \\\n    --hash=sha256:0\n")
    assert subprocess.check_output([*command, str(lock)], cwd=ROOT, text=True).strip() == ""


def test_link_makes_the_package_and_the_command_available(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True)
    subprocess.run([tmp_path / "bin" / "python", "lib/environment.py", "link"], cwd=ROOT, check=True)
    found = subprocess.check_output([tmp_path / "bin" / "python", "-c", "import ftstudy; print(ftstudy.__file__)"])
    assert found.decode().strip() == str(ROOT / "lib" / "ftstudy" / "__init__.py")
    command = subprocess.check_output([tmp_path / "bin" / "ftstudy", "--help"], text=True)
    assert PROJECT["scripts"] == {"ftstudy": "ftstudy.cli:main"} and command.startswith("usage: ftstudy")


PLANTED = "ftstudy numpy pandas yaml json random types mlx mlx_lm ipykernel sitecustomize encodings"


@pytest.fixture(scope="module")
def launcher(tmp_path_factory):
    """The command `ftstudy` of an environment of its own, with the packages of this one."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "lib/environment.py", "link"], cwd=ROOT, check=True)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.check_output([python, "-c", where], text=True).strip())
    packages = subprocess.check_output([sys.executable, "-c", where], text=True)
    (site / "packages.pth").write_text(packages)
    for tool in Path(sys.executable).parent.glob("mlx.launch"):
        (environment / "bin" / tool.name).write_text(f"#!{python}\n" + tool.read_text().partition("\n")[2])
        (environment / "bin" / tool.name).chmod(0o755)
    return environment / "bin" / "ftstudy"


@pytest.fixture
def stranger(tmp_path):
    """A project with modules of the names that the study imports, each of which would leave a mark."""
    for name in PLANTED.split():
        (tmp_path / f"{name}.py").write_text("import os\nos.close(os.open('executed', os.O_CREAT))\n")
    (tmp_path / "scipy").mkdir()
    (tmp_path / "scipy" / "__init__.py").write_text("open('executed', 'a').close()\n")
    (tmp_path / "one.yaml").write_text("model: tiny\ndata: nowhere\nadapter_path: adapters\n")
    return tmp_path


EXTRACT = ("extract", "--source", ROOT / "data" / "sample" / "chat.db", "--owner", "Sam", "--out", "rows")
TRAIN = ("train", "--config", "one.yaml", "--run", "one")
STARTS = [(("checks",), 0), (EXTRACT, 0), (("sweep", "one.yaml", "--run", "one"), None), (TRAIN + ("--hosts", "2"), 2)]


@pytest.mark.parametrize("arguments, status", STARTS, ids=[arguments[0] for arguments, _ in STARTS])
def test_the_command_and_what_it_starts_import_nothing_from_the_current_folder(launcher, stranger, arguments, status):
    base = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    said = subprocess.run([launcher, *arguments], cwd=stranger, env=base, capture_output=True, text=True)
    assert not (stranger / "executed").exists()
    assert status in (None, said.returncode) and "Traceback" not in said.stderr, said.stderr


def test_python_m_ftstudy_imports_other_packages_from_their_own_place(stranger):
    """Python itself looks for `ftstudy` in the current folder first; everything after that is up to us."""
    (stranger / "ftstudy.py").unlink()
    environment = os.environ | {"PYTHONPATH": str(ROOT / "lib"), "PYTHONSAFEPATH": ""}
    (stranger / "encodings.py").unlink()
    (stranger / "types.py").unlink()  # Python's own start imports these two
    command = [sys.executable, "-m", "ftstudy", *EXTRACT]
    said = subprocess.run(command, cwd=stranger, env=environment, capture_output=True, text=True)
    assert (said.returncode, (stranger / "executed").exists()) == (0, False), said.stderr


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in DOCS)])
def test_relative_links_in_the_documentation_lead_somewhere(page):
    prose = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)", prose):
        assert not link or (ROOT / page).parent.joinpath(link).exists(), link


def test_documentation_names_only_targets_and_verbs_that_exist():
    text = "".join((ROOT / page).read_text() for page in ("README.md", "CONTRIBUTING.md"))
    text += "".join(path.read_text() for path in DOCS)
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    verbs = [verb.__name__.rsplit(".")[-1] for verb in cli.VERBS]
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= set(targets)
    assert set(re.findall(r"(?:^|`|bin/)ftstudy ([a-z]+)", text, re.MULTILINE)) <= set(verbs)


@pytest.mark.parametrize("script", ["lib/uv.sh", "lib/setup.sh"])
def test_setup_scripts_parse(script):
    assert subprocess.run(["sh", "-n", script], cwd=ROOT).returncode == 0


def test_make_uses_a_complete_conda_environment():
    lacks = [sys.executable, "lib/environment.py", "lacks", "requirements.lock"]
    if subprocess.check_output(lacks, cwd=ROOT, text=True).strip():
        pytest.skip("this Python does not have everything itself")
    said = make("--dry-run", "setup", CONDA_PREFIX=sys.prefix)
    assert "Using the active conda environment" in said and ".venv/.ready" not in said


def test_make_says_why_it_does_not_use_the_conda_environment(tmp_path):
    assert "not the active conda environment: its Python fails" in make("conda-note", CONDA_PREFIX=str(tmp_path))
    assert ".venv/.ready-cpu" in make("--dry-run", "--always-make", "setup", CONDA_PREFIX=str(tmp_path))
