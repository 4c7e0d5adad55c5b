#!/bin/sh
# Makes the lock files of pyproject.toml's groups: every package with its version and hashes, for every Python served and
# every platform. What `run` is pinned to, the others are. ARGS reach uv: --upgrade, --upgrade-package NAME.
set -eu
cd "$(dirname "$0")/.."

lock() {
    file=$1
    shift
    .venv/bin/python -m uv pip compile --quiet --generate-hashes --custom-compile-command "make lock" \
        --output-file "$file" "$@"
}

lock_for() {
    python=$1
    shift
    lock "$@" --universal --python-version "$python"
}

.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
lock_for 3.11 requirements/run.txt pyproject.toml --group run "$@"
# For the Python and the platform that Azure runs, of wheels alone. A build on another Python would install what was never
# tested: it fails, since azure-functions 2 needs 3.13, and not every package has a wheel for 3.14.
lock requirements.txt --python-version 3.13 --python-platform linux --only-binary :all: --emit-build-options \
    --group app --constraint requirements/run.txt "$@"
# azd installs it on the machine that deploys.
lock_for 3.11 infra/hooks/requirements.txt --group hooks --constraint requirements/run.txt "$@"
lock_for 3.13 requirements/worker.txt --group worker "$@"
lock_for 3.11 requirements/node.txt --group node "$@"
lock_for 3.11 requirements/docs.txt --group docs --constraint requirements/run.txt "$@"
lock_for 3.11 requirements/test.txt pyproject.toml examples/requirements.txt --group test \
    --constraint requirements/run.txt --constraint requirements/docs.txt "$@"
lock_for 3.11 requirements/fuzz.txt --group fuzz "$@"
