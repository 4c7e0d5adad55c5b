"""What GitHub, editors and pre-commit read of this repository is valid, and agrees with the Makefile."""

import json
import re
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from local import __main__ as local_main
from local import azurite
from tests.support.repository_files import ROOT, texts

WORKFLOWS: Final = sorted(ROOT.glob(".github/workflows/*.yml"))
FORMS: Final = [ROOT / f".github/ISSUE_TEMPLATE/{name}.yml" for name in ("bug", "feature")]
SCHEMAS: Final = [
    *(("vendor.github-workflows", path) for path in WORKFLOWS),
    *(("custom.github-workflows-require-timeout", path) for path in WORKFLOWS),
    *(("vendor.github-issue-forms", path) for path in FORMS),
    ("vendor.github-issue-config", ROOT / ".github/ISSUE_TEMPLATE/config.yml"),
    ("vendor.dependabot", ROOT / ".github/dependabot.yml"),
]
TARGETS: Final = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def ran(*arguments: str, folder: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 -- our own


@pytest.mark.parametrize(("schema", "path"), SCHEMAS, ids=lambda value: getattr(value, "name", value))
def test_a_file_is_as_its_schema_says(schema: str, path: Path) -> None:
    done = ran(sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path))
    assert done.returncode == 0, done.stdout


def test_workflows_are_permitted_what_they_need_and_run_nothing_that_others_wrote() -> None:
    done = ran(str(Path(sys.executable).parent / "zizmor"), "--offline", "--quiet", ".github")
    assert done.returncode == 0, done.stdout


def test_the_hooks_are_valid() -> None:
    done = ran(sys.executable, "-m", "pre_commit", "validate-config")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")  # an unknown key is but a warning


@pytest.mark.parametrize(
    "path",
    [*WORKFLOWS, ROOT / ".pre-commit-config.yaml", ROOT / ".devcontainer/devcontainer.json"],
    ids=lambda path: path.name,
)
def test_every_make_word_exists(path: Path) -> None:
    words = {word for words in re.findall(r"\bmake ((?:[a-z-]+ ?)+)", path.read_text()) for word in words.split()}
    assert words or path.name == "azure-dev.yml"  # azd does it all
    assert words <= TARGETS


def test_the_hooks_run_what_make_check_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    makefile = (ROOT / "Makefile").read_text().replace("ruff format --check", "ruff format")
    assert [hook for hook in hooks if hook["entry"] not in makefile] == [hooks[-1]]
    assert hooks[-1]["entry"] == "make quick"


def test_the_container_forwards_the_ports_of_the_service_the_viewer_and_azurite() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert container.keys() == {"name", "image", "postCreateCommand", "forwardPorts", "portsAttributes"}
    first = azurite.DEFAULT_PORT
    assert container["forwardPorts"] == [local_main.DEFAULT_PORT, 3000, first, first + 1, first + 2]
    assert list(container["portsAttributes"]) == [str(port) for port in container["forwardPorts"]]


def test_editors_indent_and_wrap_as_the_files_are() -> None:
    config = ConfigParser()
    config.read_string("[root]\n" + (ROOT / ".editorconfig").read_text())
    assert config["root"]["root"] == "true"
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    assert int(config["*"]["max_line_length"]) == ruff["line-length"]
    found = texts()
    assert len(found) > 400
    for name, text in found.items():
        assert b"\r" not in text, name
        assert text.endswith(b"\n") or not text, name
        assert not re.search(rb"[ \t]$", text, re.MULTILINE), name
        assert b"\t" not in text or name == "Makefile", name
        text.decode("utf-8")


def release_step(name: str) -> str:
    workflow: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    (script,) = (step["run"] for step in workflow["jobs"]["build"]["steps"] if step.get("name") == name)
    return str(script)


@pytest.mark.parametrize(
    ("tag", "is_version", "has_notes"), [("v1.2.0", True, True), ("v1.3.0", False, False), ("v1.1.0", False, True)]
)
def test_only_the_tag_of_a_version_in_the_changelog_is_released(
    tmp_path: Path, tag: str, is_version: bool, has_notes: bool
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/__init__.py").touch()
    (tmp_path / "shared/version.py").write_text('VERSION = "1.2.0"\n')
    sections = ("[Unreleased]", "[1.2.0] - 2026-11-29", "[1.1.0] - 2026-11-01")
    (tmp_path / "CHANGELOG.md").write_text("".join(f"## {section}\n\n* In {section}.\n\n" for section in sections))

    def passes(step: str) -> bool:
        variables = (f"GITHUB_REF_NAME={tag}", f"PYTHONPATH={ROOT}")
        return ran("env", *variables, "bash", "-e", "-c", release_step(step), folder=tmp_path).returncode == 0

    assert passes("The tag is the version") is is_version
    assert passes("CHANGELOG.md has the version") is has_notes
    if is_version:
        assert (tmp_path / "notes.md").read_text().strip() == "* In [1.2.0] - 2026-11-29."


def test_the_changelog_keeps_its_form() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", version) for version in versions[1:])
    kinds = set(re.findall(r"^### (.+)$", changelog, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
