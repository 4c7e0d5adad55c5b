"""docs/backup.md and docs/cli.md name settings, options and roles that are there."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from dicomweb_cli.__main__ import app
from shared.settings import Settings
from tests.support.documents import rows

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/backup.md").read_text()
CLI = (ROOT / "docs/cli.md").read_text()
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
SETTINGS = {setting.name.upper(): setting for setting in fields(Settings)}


def test_each_setting_is_one_of_the_service_and_has_its_default() -> None:
    named = set(re.findall(r"`((?:BACKUP|STORAGE)_[A-Z_]+)`", PAGE))
    assert {name for name in SETTINGS if name.startswith("BACKUP_")} <= named <= set(SETTINGS)
    defaults = re.findall(r"`(BACKUP_[A-Z_]+)` \((\w+)\)", PAGE + (ROOT / "docs/privacy.md").read_text())
    assert len(defaults) > 1
    assert {(name, str(SETTINGS[name].default)) for name, _ in defaults} == set(defaults)


@pytest.mark.parametrize("word", ["backup", "restore"])
def test_each_option_is_one_of_the_command_and_has_a_word_in_its_section(word: str) -> None:
    options = {name for one in COMMANDS[word].params for name in one.opts}
    used = re.findall(rf"dicomweb {word} (--[^`\n]*)", PAGE + CLI + (ROOT / "docs/privacy.md").read_text())
    assert used
    assert set(re.findall("--[a-z-]+", " ".join(used))) <= options
    section = CLI.partition(f"\n## {word}\n")[2].partition("\n## ")[0]
    assert {name for name in options if name not in section} <= {"--container"}


def test_the_roles_are_those_that_the_command_line_asks_for() -> None:
    source = (ROOT / "dicomweb_cli/storage_errors.py").read_text()
    asked = {
        role.replace("{kind}", kind)
        for role in re.findall('Storage [^"]+ Data [A-Z][a-z]+', source)
        for kind in ("Blob", "Table")
    }
    named = {role for *_, roles in rows(PAGE, "who") for role in roles.split(", ")}
    assert named == asked
