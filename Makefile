# Each target first installs what it needs, where that is missing.
# PORT, AZURITE_PORT, DATA, SERVED_BY and VIEWER_PORT are described in README.md; ARGS goes to pytest, `make fuzz`,
# `make simulate`, `make fsck`, `make docs` and the benchmarks.

.PHONY: help run viewer samples quick slow test test-worker fuzz simulate check check-infra demo docs fsck azurite bench bench-start bench-multipart \
	bench-search package release lock setup setup-test setup-fuzz setup-worker setup-docs setup-viewer clean

# The tests that need neither storage nor a server.
QUICK := tests/archive tests/dicom tests/imaging tests/fuzzing tests/multipart tests/openapi tests/search \
	tests/simulation/test_event_loop.py tests/simulation/test_history.py tests/simulation/test_schedules.py tests/web \
	$(wildcard tests/test_*.py)

help:  ## list these targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1	\2/p' Makefile | expand -t 14

run: setup  ## serve http://localhost:7071/v2 on Azurite until interrupted
	@.venv/bin/python -m local

viewer: setup-viewer  ## serve the OHIF viewer at http://localhost:3000, and the service unless it runs
	@.venv/bin/python -m local.viewer

samples: setup  ## store synthetic studies, something to look at, in the archive of `make run`
	@export DICOMWEB_URL="http://localhost:$${PORT:-7071}/v2" && .venv/bin/python -m dicomweb_cli search --limit 1 >/dev/null && \
		folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT INT TERM && \
		.venv/bin/python -m dicomweb_cli samples "$$folder" && .venv/bin/python -m dicomweb_cli upload "$$folder"

quick: setup-test  ## the tests that need neither storage nor a server, in two minutes, and their coverage
	@.venv/bin/python -m pytest -q -n 2 --cov --cov-report=term:skip-covered $(QUICK) $(ARGS)

slow: setup-test setup-viewer setup-docs  ## the others, on their own ports
	@.venv/bin/python -m pytest $(QUICK:%=--ignore=%) $(ARGS)

test: setup-test setup-viewer setup-docs  ## every test, on its own ports
	@.venv/bin/python -m pytest $(ARGS)

test-worker: setup-test setup-worker  ## what a server makes a difference to, on Azure's own code of a Python worker
	@SERVED_BY=".venv/bin/python -m tests.support.functions_host {port}" .venv/bin/python -m pytest -q tests/worker \
		tests/e2e/test_application_insights.py tests/e2e/test_demo.py tests/e2e/test_dicomweb_client.py \
		tests/e2e/test_disconnects.py tests/e2e/test_memory.py::test_an_instance_of_2_gib tests/http/test_access.py \
		tests/http/test_bad_input.py tests/http/test_content_coding.py tests/http/test_dotnet_client.py tests/http/test_headers.py \
		tests/http/test_other_paths.py tests/http/test_representations.py tests/http/test_retrieve.py \
		tests/http/test_search.py tests/http/test_sign_in.py tests/http/test_store.py tests/http/test_wire.py $(ARGS)

fuzz: setup-test setup-fuzz  ## try inputs that coverage leads to; ARGS="--times 30 --seed 7 file" are more, others, a target
	@PYTHONHASHSEED=0 .venv/bin/python -m tests.fuzzing $(ARGS)

simulate: setup-test  ## run requests, faults and crashes in many orders on simulated storage; ARGS="--seed 7 --times 100 deletes"
	@.venv/bin/python -m tests.simulation $(ARGS)

check-infra: setup-test  ## compile infra/, and check what a deployment would make; needs the Bicep compiler
	@.venv/bin/python -m tests.support.bicep_compiler
	@.venv/bin/python -m pytest -q -n 2 --dist loadfile tests/infra $(ARGS)

check: setup-test  ## lint, format and types
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m ruff format --check .
	@.venv/bin/python -m mypy

demo: setup  ## walk through store, retrieve, search and delete, and show each request and answer
	@.venv/bin/python -m local.demo

docs: setup-docs  ## build docs/ into site/; ARGS=serve serves it and reloads on edits
	@NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs $(or $(ARGS),build)

fsck: setup  ## check the archive of `make run` against its invariants; ARGS=--repair repairs it
	@.venv/bin/python -m local.fsck --azurite $(ARGS)

azurite: setup  ## Azurite alone, for `func start` beside it
	@.venv/bin/python -m local azurite

bench: setup-test  ## measure the service beside Orthanc, where that is installed, and the bare storage SDK
	@.venv/bin/python -m benchmarks.side_by_side $(ARGS)

bench-start: setup-test  ## measure how quickly a process starts
	@.venv/bin/python -m benchmarks.cold_start $(ARGS)

bench-multipart: setup-test  ## measure the multipart codec
	@.venv/bin/python -m benchmarks.multipart

bench-search: setup-test  ## count what searches read; ARGS="1000 10000" are the sizes, --azurite measures on Azurite
	@.venv/bin/python -m benchmarks.search $(ARGS)

package: setup-test  ## build the package of the command line into dist/, and check it
	@rm -rf dist
	@.venv/bin/python -m build --no-isolation
	@.venv/bin/python -m twine check --strict dist/*

release: setup  ## commit and tag VERSION=x.y.z
	@.venv/bin/python -m local.release $(VERSION)

lock: setup  ## lock the dependencies of pyproject.toml; ARGS="--upgrade-package pillow" takes a newer one
	@local/lock.sh $(ARGS)

setup:  ## install what `make run` needs, where it is missing
	@local/setup.sh run

setup-test:  ## what tests and checks need
	@local/setup.sh test

setup-fuzz:  ## what `make fuzz` needs besides
	@local/setup.sh fuzz

setup-worker:  ## what `make test-worker` needs: Python 3.13, or the one that PYTHON_WORKER names
	@local/setup.sh worker

setup-docs:  ## what `make docs` needs
	@local/setup.sh docs

setup-viewer:  ## what `make viewer` needs
	@local/setup.sh run viewer

clean:  ## remove what was installed and Azurite's data
	@rm -rf .venv .venv-worker node_modules .viewer .mermaid .iframe-worker .azurite dist site
