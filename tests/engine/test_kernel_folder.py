"""Does MLX load code that somebody else put into the temporary folder? Each test runs MLX in its own process."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ftstudy.engine import kernel_folder

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="MLX compiles there on Linux only")

COMPILE = """
import mlx.core as mx
print(mx.compile(lambda x: mx.exp(x) * 2 + 1)(mx.zeros(3, stream=mx.cpu)).tolist())
"""
# What a stranger would plant: it leaves a mark as soon as it is loaded.
PLANTED = """
#include <cstdio>
#include <cstdlib>
__attribute__((constructor)) void loaded() { if (auto file = fopen(getenv("MARK"), "w")) fclose(file); }
"""


def run(script, folder, **variables):
    """(what a process prints, its errors, whether it loaded the planted library); its cache is in `folder`."""
    kept = {name: value for name, value in os.environ.items() if name not in kernel_folder.VARIABLES}
    environment = kept | {"XDG_CACHE_HOME": str(folder / "cache"), "MARK": str(folder / "mark")} | variables
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    return done.stdout, done.stderr, (folder / "mark").exists()


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A temporary folder that has a stranger's library under the name of the kernel."""
    temporary = tmp_path_factory.mktemp("temporary")
    assert run(COMPILE, temporary, TMPDIR=str(temporary))[0] == "[3.0, 3.0, 3.0]\n"
    (kernel,) = temporary.glob("mlx/*/cpu/*.so")
    (temporary / "planted.cpp").write_text(PLANTED, encoding="utf-8")
    subprocess.run(["g++", "-shared", "-fPIC", "-o", kernel, temporary / "planted.cpp"], check=True)
    return temporary


def test_mlx_alone_loads_what_is_planted(planted, tmp_path):
    printed, errors, loaded = run(COMPILE, tmp_path, TMPDIR=str(planted))
    assert loaded and not printed and "Failed to load compiled function" in errors


@pytest.mark.parametrize("variable", kernel_folder.VARIABLES)
def test_not_loaded_whatever_variable_names_the_temporary_folder(variable, planted, tmp_path):
    also = "import tempfile; print(tempfile.gettempdir())"
    printed, _, loaded = run(f"import ftstudy.engine{COMPILE}{also}", tmp_path, **{variable: str(planted)})
    pythons = tempfile.gettempdir() if variable == "TEMPDIR" else planted
    assert printed == f"[3.0, 3.0, 3.0]\n{pythons}\n" and not loaded
    assert len(list(tmp_path.glob("cache/ftstudy/kernels/mlx/*/cpu/*.so"))) == 1
    assert stat.S_IMODE((tmp_path / "cache/ftstudy/kernels").stat().st_mode) == 0o700


@pytest.mark.parametrize("room", ["audit", "models", "training", "compare", "original_report"])
def test_every_room_that_uses_mlx_switches_it_on(room, planted, tmp_path):
    start = f"import mlx.core, ftstudy.{room}"  # too late for the BLAS, but not for this
    printed, _, loaded = run(start + COMPILE, tmp_path, TMPDIR=str(planted))
    assert printed == "[3.0, 3.0, 3.0]\n" and not loaded


def test_stock_mlx_in_a_child_process_inherits_it(planted, tmp_path):
    script = f"import ftstudy.engine, subprocess, sys\nsubprocess.run([sys.executable, '-c', {COMPILE!r}], check=True)"
    printed, _, loaded = run(script, tmp_path, TMPDIR=str(planted))
    assert printed == "[3.0, 3.0, 3.0]\n" and not loaded


def open_to_others(folder: Path) -> None:
    folder.chmod(0o777)


def of_somebody_else(folder: Path) -> None:
    folder.chmod(0o700)
    os.chown(folder, 12345, 12345)


def link_to_an_open_folder(folder: Path) -> None:
    elsewhere = folder.parents[2] / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    folder.rmdir()
    folder.symlink_to(elsewhere)


def in_an_open_folder(folder: Path) -> None:
    folder.chmod(0o700)
    folder.parent.chmod(0o777)


SPOILED = [open_to_others, link_to_an_open_folder, in_an_open_folder]
SPOILED += [of_somebody_else] if os.geteuid() == 0 else []  # only the administrator can give a folder away


@pytest.mark.parametrize("spoil", SPOILED)
def test_folder_that_others_can_write_is_not_used(spoil, planted, tmp_path):
    ours = tmp_path / "cache/ftstudy/kernels"
    ours.mkdir(parents=True)
    spoil(ours)
    printed, _, loaded = run(f"import ftstudy.engine{COMPILE}", tmp_path, TMPDIR=str(planted))
    assert printed == "[3.0, 3.0, 3.0]\n" and not loaded
    assert not list(ours.rglob("*.so"))
    assert not list(planted.glob("ftstudy-kernels-*"))  # used in its place, and deleted at the end
