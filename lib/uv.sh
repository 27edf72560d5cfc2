# Source this (. lib/uv.sh): it sets $uv to a uv that has the options used here, and downloads one if needed.

stop() { printf '\n%s\n' "$*" >&2; exit 1; }

# Settings for other projects must not affect this one. (An index or a cache that is set stays in effect.)
unset VIRTUAL_ENV CONDA_PREFIX PYTHONHOME PYTHONPATH
unset UV_PYTHON UV_SYSTEM_PYTHON UV_PROJECT UV_PROJECT_ENVIRONMENT UV_WORKING_DIR UV_WORKING_DIRECTORY UV_ENV_FILE \
    UV_CONSTRAINT UV_OVERRIDE UV_EXCLUDE UV_BUILD_CONSTRAINT UV_EXCLUDE_NEWER UV_NO_BINARY UV_ONLY_BINARY UV_NO_BUILD \
    UV_NO_DEPS UV_PRERELEASE UV_RESOLUTION UV_TORCH_BACKEND UV_DRY_RUN UV_NO_VERIFY_HASHES UV_COMPILE_BYTECODE \
    UV_VENV_SEED UV_VENV_RELOCATABLE UV_BREAK_SYSTEM_PACKAGES UV_PYTHON_PREFERENCE UV_MANAGED_PYTHON UV_NO_MANAGED_PYTHON
unset PIP_TARGET PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_NO_BINARY
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}"

# The uv on PATH if it is new enough, else our own, installed by pip into .venv-uv.
works() { "$1" venv --clear --no-python-downloads --help >/dev/null 2>&1; }
if works uv; then
    uv=uv
else
    uv=.venv-uv/bin/uv
    if ! works "$uv"; then
        echo "Downloading uv, which sets up Python environments, into .venv-uv ..."
        for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3 python; do
            if "$python" -c 'import sys, venv, ensurepip; assert sys.version_info >= (3, 8)' 2>/dev/null; then break; fi
            python=
        done
        [ -n "$python" ] || stop "Found no Python 3.8 or newer that can create a venv. Install one (Debian and" \
            "Ubuntu: apt install python3 python3-venv), or install uv itself, then start again."
        "$python" -m venv --clear .venv-uv &&
        .venv-uv/bin/python -m pip install --quiet --no-deps --only-binary :all: --require-hashes \
            -r requirements-uv.lock || stop "Could not download uv (see above). Connect to the network, or set your" \
            "proxy or package mirror for pip, then start again."
    fi
fi
