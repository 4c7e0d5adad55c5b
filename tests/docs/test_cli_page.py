"""docs/cli.md describes every command, every option of following changes, and what that costs."""

import re
from pathlib import Path

import pytest
import typer

from benchmarks.costs import Million, Operations, Prices, Use
from dicomweb_cli import operation_commands, tag_commands
from dicomweb_cli.__main__ import app

PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text()
CHANGES = PAGE.partition("\n## changes\n")[2].partition("\n## ")[0]
GENERAL = ("--url", "--token", "--scope", "--help")
MONTH_SECONDS = 730 * 3600


def test_every_command_has_a_section_and_no_other() -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    commands |= {group.name for group in app.registered_groups if group.name}
    assert set(re.findall(r"^## ([a-z]+)", PAGE, re.MULTILINE)) == commands


def test_every_option_of_following_changes_is_described() -> None:
    (command,) = (one for name, one in typer.main.get_group(app).commands.items() if name == "changes")
    options = {option for parameter in command.params for option in parameter.opts} - {*GENERAL}
    assert set(re.findall(r"`(--[a-z-]+)", CHANGES)) - {*GENERAL} == options


@pytest.mark.parametrize(("name", "app"), [("operations", operation_commands.app), ("tags", tag_commands.app)])
def test_every_command_and_option_of_a_group_is_described(name: str, app: typer.Typer) -> None:
    section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    group = typer.main.get_group(app)
    assert set(re.findall(rf"`{name} ([a-z]+)", section)) == set(group.commands)
    options = {option for one in group.commands.values() for parameter in one.params for option in parameter.opts}
    assert set(re.findall(r"`(--[a-z-]+)", section)) == {one for one in options if one.startswith("--")} - {*GENERAL}


@pytest.mark.parametrize("place", [0, 1])
def test_what_following_costs_is_what_is_computed(place: int) -> None:
    said = re.findall(r"every (\d+)\s+seconds,(?: that is)? about (\d+)", CHANGES)
    assert len(said) == 2
    pause, dollars = map(int, said[place])
    looks = Million("looks", MONTH_SECONDS / pause, Operations(table=4), Use().read_seconds)
    storage, _, alone, logs = looks.costs(Prices(), Use())
    assert round(storage + alone + logs) == dollars
