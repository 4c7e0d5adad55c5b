"""The script that registers the service, run as azd runs it, with a stand-in for azd."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.graph_stand_in import Directory, served

HOOKS = Path(__file__).parents[2] / "infra/hooks"
AZD = """#!{python}
import json, pathlib, sys
path = pathlib.Path({path!r})
state = json.loads(path.read_text())
match sys.argv[1:]:
    case ["auth", "token", *arguments] if state["token"]:
        assert "{scope}/.default" in arguments
        print(json.dumps({{"token": state["token"], "expiresOn": "2030-01-01T00:00:00Z"}}))
    case ["env", "get-values", "--output", "json", "--no-prompt"]:
        print(json.dumps(state["values"]))
    case ["env", "set", name, value, "--no-prompt"]:
        state["values"][name] = value
        path.write_text(json.dumps(state))
    case arguments:
        sys.exit(f"ERROR: no {{arguments[0]}}: run azd auth login or azd env new")
"""
Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def directory() -> Iterator[Directory]:
    directory = Directory()
    with served(directory):
        yield directory


@pytest.fixture
def state(tmp_path: Path, directory: Directory) -> Path:
    """What azd keeps: who is signed in, and the environment."""
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"token": directory.token, "values": {"AZURE_ENV_NAME": "prod"}}))
    return path


@pytest.fixture
def script(tmp_path: Path, directory: Directory, state: Path) -> Script:
    azd = tmp_path / "azd"
    azd.write_text(AZD.format(python=sys.executable, path=str(state), scope=directory.url))
    azd.chmod(0o755)

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(tmp_path), "GRAPH_ENDPOINT": directory.url, **variables}
        return subprocess.run(  # noqa: S603 -- our own script
            [sys.executable, str(HOOKS / "register.py"), *arguments],
            cwd=HOOKS,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def values(state: Path) -> dict[str, str]:
    kept: dict[str, str] = json.loads(state.read_text())["values"]
    return kept


def test_it_makes_the_registration_once(script: Script, state: Path, directory: Directory) -> None:
    would = script("--what-if")
    assert (would.returncode, would.stderr, directory.writes) == (0, "", [])
    assert would.stdout.startswith('Would make the app registration "DICOM archive prod"')
    made = script()
    assert (made.returncode, made.stderr) == (0, "")
    (application,) = directory.applications
    assert values(state)["AUDIENCE"] == application["appId"]
    assert values(state)["REGISTRATION_NAME"] == application["uniqueName"]
    directory.requests.clear()
    again = script()
    assert (again.returncode, again.stderr, directory.writes) == (0, "", [])
    assert again.stdout.endswith("is complete: nothing is changed.\n")
    assert directory.token not in would.stdout + made.stdout + again.stdout


def test_a_pipeline_that_is_given_the_audience_needs_no_rights(script: Script, directory: Directory) -> None:
    done = script(AUDIENCE="api://dicom")
    assert (done.returncode, directory.requests) == (0, [])
    assert done.stdout == "AUDIENCE is api://dicom, which was not registered from here: nothing is changed.\n"


def test_a_refusal_ends_it(script: Script, directory: Directory) -> None:
    directory.may_register = False
    done = script()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith('Cannot make the app registration "DICOM archive prod".')
    assert directory.token not in done.stderr


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"GRAPH_ENDPOINT": "http://graph.example.org"}, "is the https URL of Microsoft Graph in your cloud."),
        ({"PATH": os.devnull}, "azd, the Azure Developer CLI, is not on the PATH. docs/security.md says"),
    ],
)
def test_what_is_missing_is_told(script: Script, variables: dict[str, str], said: str) -> None:
    done = script(**variables)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_who_is_not_signed_in_is_told(script: Script, state: Path) -> None:
    state.write_text(json.dumps({"token": "", "values": {}}))
    done = script()
    assert done.returncode == 1
    assert "run azd auth login" in done.stderr
    assert done.stderr.count("failed to retrieve a token") == 1
    assert "Traceback" not in done.stderr


def test_what_azd_refuses_is_told(script: Script, state: Path) -> None:
    azd = state.with_name("azd")
    azd.write_text(azd.read_text().replace('"get-values"', '"values"'))
    done = script()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "azd env get-values fails: ERROR: no env: run azd auth login or azd env new\n"


def test_it_needs_no_packages_but_those_of_the_hooks() -> None:
    to_read = [HOOKS / "register.py"]
    packages = set()
    for path in to_read:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                own = (HOOKS.parents[1] / node.module.replace(".", "/")).with_suffix(".py")
                if own.exists():
                    to_read += [own] if own not in to_read else []
                else:
                    packages.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Import):
                packages |= {name.name.partition(".")[0] for name in node.names}
    assert packages - sys.stdlib_module_names == {"azure", "httpx"}
    assert len(to_read) > 5
