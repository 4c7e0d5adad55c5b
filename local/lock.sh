#!/bin/sh
# Makes the lock files of pyproject.toml's groups: every package with its version and hashes, for every Python served and
# every platform. What the app is pinned to, the others are. ARGS reach uv: --upgrade, --upgrade-package NAME.
set -eu
cd "$(dirname "$0")/.."

lock() {
    file=$1
    shift
    .venv/bin/python -m uv pip compile --quiet --universal --generate-hashes --custom-compile-command "make lock" \
        --output-file "$file" "$@"
}

.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
lock requirements.txt --python-version 3.11 --group app "$@"
lock requirements/run.txt --python-version 3.11 pyproject.toml --group run --constraint requirements.txt "$@"
lock requirements/worker.txt --python-version 3.13 --group worker "$@"
lock requirements/node.txt --python-version 3.11 --group node "$@"
lock requirements/docs.txt --python-version 3.11 --group docs --constraint requirements/run.txt "$@"
lock requirements/test.txt --python-version 3.11 pyproject.toml examples/requirements.txt --group test \
    --constraint requirements/run.txt --constraint requirements/docs.txt "$@"
lock requirements/fuzz.txt --python-version 3.11 --group fuzz "$@"
