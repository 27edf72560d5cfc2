#!/bin/sh
# Installs exactly the packages of a lock file into .venv. `make` calls it: sh lib/setup.sh requirements.lock
# uv finds or downloads a Python >= 3.12 and installs wheels by their hashes.
set -eu
lock=$1
. lib/uv.sh

if [ "$(uname -s)-$(uname -m)" = Darwin-x86_64 ]; then
    stop "MLX needs a Mac with Apple silicon. If this is one, this terminal runs under Rosetta: open one that" \
         "does not, and start again."
fi

# Pythons installed by pyenv, including those its shims would refuse here.
for bin in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9]*/bin; do
    if [ -d "$bin" ]; then PATH=$PATH:$bin; fi
done

# --- Python: the version in .python-version, else a newer one, else one that uv downloads
# A .venv without its stamp was interrupted, so it is made again.
if ! { ls .venv/.ready-* && .venv/bin/python -c 'import sys; assert sys.version_info >= (3, 12)'; } >/dev/null 2>&1; then
    venv() { "$uv" venv --quiet --no-project --clear --prompt ftstudy "$@" .venv; }
    wanted=$(cat .python-version)
    venv --no-python-downloads --python "$wanted" 2>/dev/null ||
    venv --no-python-downloads --python '>=3.12' 2>/dev/null ||
    { echo "No Python 3.12 or newer found. Downloading Python $wanted ..."; venv --python "$wanted"; } ||
    stop "Found no Python 3.12 or newer, and uv could not download one (see above). Connect to the network, or" \
         "install Python $wanted yourself (pyenv, Homebrew, conda, ...), then start again."
fi
case $(uname -s)-$lock in Linux-*cuda*)
    .venv/bin/python -c 'import ctypes; ctypes.CDLL("libcuda.so.1")' || stop "Found no NVIDIA driver" \
        "(libcuda.so.1). $lock needs one for CUDA 13 or newer. Install it, or leave out CUDA=1."
esac

# --- packages: only those in the lock, only with its hashes, and nothing compiled
rm -f .venv/.ready-*
echo "Installing what $lock pins into .venv ($(.venv/bin/python -V)) ..."
quiet=--quiet
if [ -t 2 ]; then quiet=; fi  # in a terminal, show the progress of the download
"$uv" pip sync $quiet --python .venv/bin/python --require-hashes --no-build "$lock" ||
    stop "Could not install the packages (see above). A connection error: connect to the network, or set your proxy" \
         "(HTTPS_PROXY) or package mirror (UV_DEFAULT_INDEX). A platform tag error: MLX needs macOS 14, or Linux with" \
         "glibc 2.35, or newer. Then start again; finished downloads are kept."
.venv/bin/python lib/environment.py link
.venv/bin/python -c 'import mlx.core, mlx_lm' || stop "Everything is installed, but MLX does not load (see" \
    "above). It needs a Python built for this machine's processor."

if [ "$(uname -s)" = Linux ] && ! command -v g++ >/dev/null 2>&1; then
    printf '\n%s\n\n' "Note: found no g++. On Linux, MLX compiles small kernels while it trains, with g++.
Install it (Debian and Ubuntu: apt install g++), or set MLX_DISABLE_COMPILE=1, which is slower." >&2
fi
echo "Setup is done."
