"""`dicomweb tags` against a served app; docs/extended-query-tags.md, whose commands another test runs, has the rest."""

import json
from collections.abc import Iterator

import pytest

from tests.conftest import Server, serving
from tests.support.command_line import Cli, run
from tests.support.event_taker import taking


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("tags") / "log") as running:
        yield running


@pytest.fixture
def cli(server: Server) -> Cli:
    return lambda *arguments, **options: run("tags", *arguments, url=f"{server.base_url}/v2", **options)


def test_tags_are_added_shown_changed_and_removed(cli: Cli) -> None:
    assert cli("list").stderr == "Tags: 0\n"
    private = ("00091001", "--private-creator", "ACME 1")
    operation = cli("add", *private, "00091002", "--vr", "us", "--level", "series").stdout.strip()
    assert cli("list").stdout == (
        "00091001  US  Series  Adding  Enabled  ACME 1\n00091002  US  Series  Adding  Enabled  ACME 1\n"
    )
    assert [json.loads(line)["path"] for line in cli("list", "--json").stdout.splitlines()] == ["00091001", "00091002"]
    busy = cli("add", "PatientAge", "--level", "study", code=1).stderr
    assert f"There is already an active re-index operation with ID '{operation}'" in busy
    assert cli("disable", *private).stdout == "Disabled.\n"
    assert "queryStatus: Disabled\n" in cli("show", *private).stdout
    assert cli("enable", "00091001").stdout == "Enabled.\n"
    assert json.loads(cli("show", "00091001", "--json").stdout)["operation"]["id"] == operation
    shown = cli("errors", *private)
    assert (shown.stdout, shown.stderr) == ("", "Errors: 0\n")
    assert cli("remove", *private).stdout == "Removed.\n"
    assert "no such extended query tag" in cli("remove", *private, code=1).stderr
    assert cli("remove", "00091002").stdout == "Removed.\n"


def test_what_is_searched_by_anyway_is_ready_at_once(cli: Cli) -> None:
    added = cli("add", "StudyTime", "SOPClassUID", "--level", "Study", "--wait", "--every", 1)
    assert added.stderr.startswith("Operation ")
    assert "succeeded" in added.stderr
    assert "00080030  TM  Study  Ready  Enabled\n" in cli("list").stdout
    for tag in ("StudyTime", "00080016"):
        cli("remove", tag)


def test_what_is_refused(cli: Cli) -> None:
    assert "already supported" in cli("add", "PatientID", "--level", "study", code=1).stderr
    assert "Did you mean PatientAge?" in cli("add", "patientage", "--level", "study", code=1).stderr
    assert "no such extended query tag" in cli("errors", "PatientAge", code=1).stderr
    cli("add", "PatientAge", "--level", "patient", code=2)
    cli("add", "PatientAge", code=2)


def test_another_server_has_none() -> None:
    with taking() as url:
        assert "has no extended query tags" in run("tags", "list", url=url, code=2).stderr
