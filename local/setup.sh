#!/bin/sh
# Make the virtual environment with Python 3.13 and install what is pinned. Says in one line what is missing.
set -eu
venv=$1
find_python() {
    # pyenv's shim answers only when .python-version selects an installed 3.13.
    for candidate in python3.13 python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
}
python=$(find_python)
if [ -z "$python" ]; then
    echo "Python 3.13 is not here; asking uv for one ..."
    scratch=$(mktemp -d)
    if python3 -m venv "$scratch" >/dev/null 2>&1 && "$scratch/bin/pip" install -q uv \
        && UV_PYTHON_INSTALL_DIR="$PWD/.python" "$scratch/bin/uv" python install -q 3.13; then
        python=$(UV_PYTHON_INSTALL_DIR="$PWD/.python" "$scratch/bin/uv" python find 3.13)
        rm -rf "$scratch"
    else
        rm -rf "$scratch"
        echo "Slipway needs Python 3.13: install it (pyenv install 3.13, or your system's python3.13 with venv) and run this again." >&2
        exit 2
    fi
fi
command -v git >/dev/null || { echo "Slipway's tests and demo need git: install it and run this again." >&2; exit 2; }
[ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null \
    || { rm -rf "$venv"; "$python" -m venv "$venv"; }
echo "Installing into $venv ..."
"$venv/bin/python" -m pip install -q --disable-pip-version-check -r requirements-dev.txt
"$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps -e .
