#!/bin/sh
# Makes .venv hold exactly what a lock file pins. `make` calls it: sh lib/setup.sh requirements.lock
# One path for everybody: uv finds or fetches a Python >= 3.12 and installs wheels by their hashes.
set -eu
lock=$1
. lib/uv.sh

if [ "$(uname -s)-$(uname -m)" = Darwin-x86_64 ]; then
    stop "MLX runs on Macs with Apple silicon only. If this Mac has it, this terminal runs under Rosetta:" \
         "open one that does not, and start again."
fi

# Pythons that pyenv has, also those that its shims would refuse here.
for bin in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9]*/bin; do
    if [ -d "$bin" ]; then PATH=$PATH:$bin; fi
done

# --- a Python: the one that .python-version names, else a newer one, else let uv fetch one
# A .venv without its stamp is one that was interrupted: it is not trusted, but made again.
if ! { ls .venv/.ready-* && .venv/bin/python -c 'import sys; assert sys.version_info >= (3, 12)'; } >/dev/null 2>&1; then
    venv() { "$uv" venv --quiet --no-project --clear --prompt ftstudy "$@" .venv; }
    wanted=$(cat .python-version)
    venv --no-python-downloads --python "$wanted" 2>/dev/null ||
    venv --no-python-downloads --python '>=3.12' 2>/dev/null ||
    { echo "No Python 3.12 or newer here: fetching Python $wanted ..."; venv --python "$wanted"; } ||
    stop "Found no Python 3.12 or newer, and uv could not fetch one; the lines above say why. Connect to the" \
         "network, or install Python $wanted by any means (pyenv, Homebrew, conda, ...), and start again."
fi
case $(uname -s)-$lock in Linux-*cuda*)
    .venv/bin/python -c 'import ctypes; ctypes.CDLL("libcuda.so.1")' || stop "There is no NVIDIA driver here" \
        "(libcuda.so.1), and $lock needs one that is new enough for CUDA 13. Install it, or leave CUDA=1 out."
esac

# --- the packages: nothing that the lock does not name, nothing with another hash, nothing compiled here
rm -f .venv/.ready-*
echo "Installing what $lock pins into .venv ($(.venv/bin/python -V)) ..."
quiet=--quiet
if [ -t 2 ]; then quiet=; fi  # a person sees the progress of the download
"$uv" pip sync $quiet --python .venv/bin/python --require-hashes --no-build "$lock" ||
    stop "The packages could not be installed; the lines above say why. If they speak of a connection: there is no" \
         "network, or it wants a proxy (HTTPS_PROXY) or a package mirror (UV_DEFAULT_INDEX). If they speak of a" \
         "platform tag: MLX needs macOS 14, or Linux with glibc 2.35, or newer. Then start again; what was fetched" \
         "is kept."
.venv/bin/python lib/environment.py link
.venv/bin/python -c 'import mlx.core, mlx_lm' || stop "Everything is installed, but MLX does not load here; the" \
    "lines above say why. It needs a Python built for this machine's own processor."

if [ "$(uname -s)" = Linux ] && ! command -v g++ >/dev/null 2>&1; then
    printf '\n%s\n\n' "Note: there is no g++ here. On Linux MLX compiles small kernels while it trains and needs one:
install it (Debian and Ubuntu: apt install g++), or set MLX_DISABLE_COMPILE=1, which is slower." >&2
fi
echo "Set-up is done."
