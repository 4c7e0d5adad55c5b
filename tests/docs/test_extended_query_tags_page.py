"""docs/extended-query-tags.md: its commands do what it says, in its order, on a served app."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.archive.extended_tags import MAX_TAGS
from shared.search.new_tags import new_tag
from shared.web.extended_query_tag_request import parse_tags
from tests.conftest import serving
from tests.support.command_line import run
from tests.support.documents import rows
from tests.support.served_instances import dataset, part10

PAGE = (Path(__file__).parents[2] / "docs/extended-query-tags.md").read_text()
COMMANDS = re.findall(r"```sh\ndicomweb (.*)\n```", PAGE)
SHOWN = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with two studies: of one patient the age is as it should be."""
    with serving(tmp_path_factory.mktemp("tags") / "log") as server:
        for age in ("050Y", "fifty"):
            content, headers = part10(dataset(PatientAge=age)), {"Content-Type": "application/dicom"}
            assert httpx.post(f"{server.base_url}/v2/studies", content=content, headers=headers).status_code == 200
        yield f"{server.base_url}/v2"


def test_its_commands_do_what_it_says(url: str) -> None:
    add, show, search, errors, enable, remove, listing = COMMANDS
    said = run(*shlex.split(add), "--every", 1, url=url, code=1)
    assert "00101010 is disabled: it could not be indexed in 1 instances." in said.stderr
    shown = run(*shlex.split(show), url=url).stdout
    assert shown.startswith(SHOWN[0].replace("Enabled", "Disabled"))
    assert "Query is disabled on specified attribute PatientAge" in run(*shlex.split(search), url=url, code=1).stderr
    (error,) = run(*shlex.split(errors), url=url).stdout.splitlines()
    assert "fifty" not in error
    assert run(*shlex.split(enable), url=url).stdout == "Enabled.\n"
    found = run(*shlex.split(search), url=url)
    assert "Results: 1\n" in found.stderr
    assert "could not be indexed by PatientAge" in found.stderr
    assert run(*shlex.split("tags disable PatientAge"), url=url).stdout == "Disabled.\n"
    assert "`dicomweb tags disable PatientAge`" in PAGE
    assert run(*shlex.split(remove), url=url).stdout == "Removed.\n"
    assert "PatientAge is not searchable here" in run(*shlex.split(search), url=url, code=1).stderr
    assert run(*shlex.split(listing), url=url).stderr == "Tags: 0\n"


def test_what_is_asked_by_hand_can_be_tags(url: str) -> None:
    (body,) = re.findall(r"-d '(\[.*?\])'", PAGE, re.DOTALL)
    asked = parse_tags(body.encode())
    assert all(new_tag(one.path, one.vr, one.private_creator, one.level).is_indexed for one in asked)
    response = httpx.post(f"{url}/extendedquerytags", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 202, response.text
    assert len(httpx.get(f"{url}/extendedquerytags").json()) == len(json.loads(body))


def test_each_member_is_described_and_there_are_as_many_tags_as_it_says() -> None:
    assert [row[0] for row in rows(PAGE, "member")] == ["path", "level", "vr", "privateCreator"]
    assert f"at most {MAX_TAGS} tags" in PAGE
