"""azure.yaml, and the workflow that deploys by it, agree with infra/ and with each other."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from tests.support.repository_files import ROOT

AZURE_YAML: Final = (ROOT / "azure.yaml").read_text()
PROJECT: Final[dict[str, Any]] = yaml.safe_load(AZURE_YAML)
HOOKS: Final[dict[str, list[dict[str, Any]]]] = PROJECT["hooks"]
WORKFLOW: Final[dict[str, Any]] = yaml.safe_load((ROOT / ".github/workflows/azure-dev.yml").read_text())
STEPS: Final[list[dict[str, Any]]] = WORKFLOW["jobs"]["deploy"]["steps"]


def scripts(event: str) -> list[str]:
    return [hook["run"] for hook in HOOKS[event]]


def test_editors_know_the_schema() -> None:
    assert AZURE_YAML.startswith("# yaml-language-server: $schema=https://")


def test_a_pipeline_has_every_variable_of_the_parameters() -> None:
    parameters = json.loads((ROOT / "infra/main.parameters.json").read_text())["parameters"]
    values = [entry["value"] for entry in parameters.values()]
    variables = [found[1] for value in values if (found := re.match(r"\$\{(\w+)", str(value)))]
    azds = {"AZURE_ENV_NAME", "AZURE_LOCATION"}
    assert azds < set(variables)
    assert PROJECT["pipeline"]["variables"] == [name for name in variables if name not in azds]


def test_parameters_are_checked_before_anything_else() -> None:
    assert scripts("preup") == scripts("preprovision")
    assert scripts("preup")[0] == "infra/hooks/check_parameters.py"


@pytest.mark.parametrize("event", HOOKS)
def test_a_hook_shows_what_it_says(event: str) -> None:
    """Otherwise azd shows some lines while the hook runs, and takes them away."""
    for hook in HOOKS[event]:
        assert hook == {"run": hook["run"], "kind": "python", "interactive": True}


def test_every_hook_is_run() -> None:
    runnable = {path for path in ROOT.glob("infra/hooks/*.py") if '__name__ == "__main__"' in path.read_text()}
    assert {ROOT / script for event in HOOKS for script in scripts(event)} == runnable


def test_hooks_are_run_with_the_packages_that_are_locked_for_them() -> None:
    """The nearest pyproject.toml or requirements.txt is what azd takes, in this order."""
    assert not (ROOT / "infra/hooks/pyproject.toml").exists()


def test_the_workflow_shows_provisions_and_deploys() -> None:
    commands = [step["run"] for step in STEPS if step.get("run", "").startswith("azd")]
    assert commands[0].startswith("azd auth login ")
    assert commands[1:] == [
        "azd provision --preview --no-prompt",
        "azd provision --no-prompt",
        "azd deploy --no-prompt",
    ]


def test_the_workflow_takes_the_variables_that_are_set(tmp_path: Path) -> None:
    (script,) = (step["run"] for step in STEPS if "VARIABLES" in step.get("env", {}))
    variables = {"AUDIENCE": "api://a,b", "MORE_SETTINGS": '{"MAX_FRAMES": "7"}', "TAGS": '{\n"a": "b"\n}'}
    environment = {**os.environ, "VARIABLES": json.dumps(variables), "GITHUB_ENV": str(tmp_path / "env")}
    subprocess.run(["bash", "-e", "-c", script], env=environment, check=True)  # noqa: S603, S607 -- our own
    read = re.findall(r"^(\w+)<<(\w+)\n(.*?)\n\2$", (tmp_path / "env").read_text(), re.MULTILINE | re.DOTALL)
    assert {name: value for name, _, value in read} == variables
