#!/usr/bin/env bash
# Create the virtual environment of the project, or bring it up to date: create-venv.sh PYTHON DIRECTORY TORCH
# TORCH: the requirements file that says which torch.
set -euo pipefail
python=$1
venv=$2
torch=$3

if ! command -v "$python" >/dev/null; then
    echo "$python is missing: install it, or name another from 3.10 on with \`make PYTHON=/path/to/python\`." >&2
    exit 1
fi
if [ ! -x "$venv/bin/pip" ] && ! "$python" -m venv "$venv"; then
    # Debian ships Python without ensurepip; its own package brings it.
    if [ "$(id -u)" != 0 ]; then
        echo "This Python cannot create virtual environments: run \`sudo apt-get install python3-venv\`." >&2
        exit 1
    fi
    apt-get update
    apt-get install --yes --no-install-recommends "$(basename "$(readlink -f "$(command -v "$python")")")-venv"
    "$python" -m venv --clear "$venv"
fi

pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
pip install pip==25.3
pip install --requirement "$torch" --requirement requirements-dev.txt
pip install --no-deps --no-build-isolation --editable .
