"""`python -m local.fsck` as a user runs it."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from azure.storage.blob.aio import BlobServiceClient

from local import azurite
from local.azurite import ROOT
from local.ports import free_ports
from shared.services.repair.differences import Kind
from tests.support.damages import DAMAGES
from tests.support.raw_archive import RawArchive, opened
from tests.support.served_instances import new_uid
from tests.support.stores import files_of, store

RUN_SECONDS = 90


def fsck(*arguments: str, **environment: str) -> tuple[int, list[str], str]:
    """The exit status, the lines printed and the error output of a run."""
    done = subprocess.run(  # noqa: S603 -- our own arguments
        [sys.executable, "-m", "local.fsck", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.fixture(scope="module")
def own_azurite() -> Iterator[azurite.Azurite]:
    with azurite.running(free_ports(3), None) as running:
        yield running


@pytest_asyncio.fixture(scope="module")
async def raw(own_azurite: azurite.Azurite) -> AsyncIterator[RawArchive]:
    async with opened(own_azurite.connection_string) as archive:
        yield archive


@pytest.fixture(params=["named", pytest.param("of make run", marks=pytest.mark.long)])
def place(own_azurite: azurite.Azurite, request: pytest.FixtureRequest) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment that name the archive."""
    if request.param == "named":
        return [], {"STORAGE_CONNECTION_STRING": own_azurite.connection_string}
    return ["--azurite"], {"STORAGE_CONNECTION_STRING": "", "AZURITE_PORT": str(own_azurite.port)}


async def test_clean_then_damaged_then_repaired(raw: RawArchive, place: tuple[list[str], dict[str, str]]) -> None:
    arguments, environment = place
    await raw.empty()
    study = new_uid()
    await store(raw.stores, *files_of(study, 2))
    postings = len([posting async for _, posting in raw.archive.postings.read_every_term()])
    summary = f"in 1 studies, 2 instances, 2 blobs, {postings} postings; "

    status, lines, errors = fsck(*arguments, **environment)
    assert (status, len(lines), errors) == (0, 1, "")
    assert lines[0].startswith(f"0 differences {summary}")

    await DAMAGES[Kind.WRONG_COUNTS][0](raw, study)
    await DAMAGES[Kind.WRONG_HASH][0](raw, study)
    status, lines, errors = fsck(*arguments, **environment)
    assert (status, len(lines), errors) == (1, 2, "")
    assert lines[0].startswith(f"wrong counts: study {study}: studies/{study}/series/")
    assert lines[1].startswith(f"1 differences {summary}")

    status, lines, errors = fsck("--repair", "--deep", *arguments, **environment)
    assert (status, len(lines), errors) == (1, 6, "")
    assert lines[2].startswith("2 differences ")
    assert lines[3] == "After the repair:"
    assert lines[4].startswith(f"wrong hash: study {study}: {study}/")
    assert lines[4].endswith("The data is lost: delete the instance and store it again.")
    assert lines[5].startswith("1 differences ")

    status, lines, errors = fsck("--repair", *arguments, **environment)
    assert (status, len(lines), errors) == (0, 1, "")


def test_storage_that_does_not_answer() -> None:
    nowhere = azurite.connection_string(free_ports(3))
    assert fsck(STORAGE_CONNECTION_STRING=nowhere) == (2, [], "Storage does not answer.\n")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"STORAGE_CONNECTION_STRING": "x"}, "STORAGE_CONNECTION_STRING is not a connection string.\n"),
        ({"MAX_REQUEST_SECONDS": "soon"}, "MAX_REQUEST_SECONDS must be a whole number above 0, not 'soon'.\n"),
    ],
)
def test_bad_settings(environment: dict[str, str], message: str) -> None:
    assert fsck(**environment) == (2, [], message)


def test_no_archive_of_make_run(tmp_path: Path) -> None:
    port, data = free_ports(3), tmp_path / "none"
    message = f"There is no archive: no Azurite runs on port {port}, and there is no data in {data}.\n"
    assert fsck("--azurite", AZURITE_PORT=str(port), DATA=str(data)) == (2, [], message)
    assert not data.exists()


async def test_azurite_is_started_on_the_data_that_make_run_left(tmp_path: Path) -> None:
    port = free_ports(3)
    with azurite.running(port, tmp_path) as running:
        async with opened(running.connection_string) as raw:
            await store(raw.stores, *files_of(new_uid(), 2))
    status, lines, errors = fsck("--azurite", AZURITE_PORT=str(port), DATA=str(tmp_path))
    assert (status, len(lines), errors) == (0, 1, "")
    assert "in 1 studies, 2 instances, 2 blobs" in lines[0]


async def test_no_archive_is_created_in_storage_without_one() -> None:
    with azurite.running(free_ports(3), None) as running:
        assert fsck(STORAGE_CONNECTION_STRING=running.connection_string) == (2, [], "Storage does not answer.\n")
        async with BlobServiceClient.from_connection_string(running.connection_string) as client:
            assert [container.name async for container in client.list_containers()] == []
