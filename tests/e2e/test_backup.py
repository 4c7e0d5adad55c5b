"""`dicomweb backup` and `dicomweb restore` as a user runs them: the drill on real files, and what stands in the way."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from typer.testing import CliRunner, Result

from dicomweb_cli import backup as words
from dicomweb_cli.__main__ import app
from local import azurite
from local.ports import free_ports
from shared.dicom.attributes import Level
from shared.services.backup import backup as service
from shared.services.repair.consistency import examine
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.web.store_response import Stored
from tests.support.bundled_files import paths
from tests.support.default_partition import resource_of
from tests.support.served_instances import new_uid
from tests.support.stored_instances import found, retrieved
from tests.support.stores import files_of, store

Returned = TypeVar("Returned")
SEARCHES = {
    Level.STUDY: ["limit=200", "PatientName=*", "PatientID=*", "StudyDate=19000101-20300101", "ModalitiesInStudy=CT"],
    Level.SERIES: ["limit=200", "Modality=MR"],
    Level.INSTANCE: ["limit=200", "SOPClassUID=1.2.840.10008.5.1.4.1.1.2"],
}


@pytest.fixture(scope="module")
def accounts() -> Iterator[tuple[str, str]]:
    with azurite.running(free_ports(3), None) as one, azurite.running(free_ports(3), None) as other:
        yield one.connection_string, other.connection_string


@pytest.fixture
def environment(accounts: tuple[str, str]) -> dict[str, str]:
    archive, backup = accounts
    return {
        "STORAGE_CONNECTION_STRING": archive,
        "BACKUP_CONNECTION_STRING": backup,
        "BACKUP_CONTAINER": f"backup-{new_uid()[-12:].replace('.', '0')}",
        "CREATE_STORAGE": "true",
    }


def run(*arguments: str, environment: dict[str, str], code: int = 0) -> Result:
    result = CliRunner().invoke(app, arguments, env=environment)
    assert result.exit_code == code, result.output
    return result


def counts(result: Result) -> dict[str, int]:
    return {label: int(count) for label, count in re.findall(r"^([A-Z][a-z ]+?) +(\d+)\b", result.output, re.MULTILINE)}


def with_archive(connection_string: str, work: Callable[[Archive, Settings], Awaitable[Returned]]) -> Returned:
    async def open_and_work() -> Returned:
        settings = Settings(
            storage_connection_string=connection_string, create_storage=True, store_without_patient_id=True
        )
        archive = await Archive.open(settings)
        try:
            return await work(archive, settings)
        finally:
            await archive.close()

    return asyncio.run(open_and_work())


async def lose(connection_string: str) -> None:
    """Remove the container and the tables of an archive."""
    async with BlobServiceClient.from_connection_string(connection_string) as blobs:
        await blobs.delete_container("dicom")
    async with TableServiceClient.from_connection_string(connection_string) as tables:
        for name in ("catalog", "terms", "journal", "feed"):
            await tables.delete_table(name)


async def everything(archive: Archive, settings: Settings) -> dict[str, Any]:
    """What clients get of an archive: each file, and the results of searches, in their order."""
    got: dict[str, Any] = {}
    async for study, _ in archive.catalog.read_revisions():
        async for row in archive.catalog.read_instances(study):
            got[row.identifiers.path] = await retrieved(archive, row.identifiers)
    for level, queries in SEARCHES.items():
        for query in queries:
            got[f"{level} {query}"] = await found(archive, settings, level, query)
    return got


def test_the_drill(accounts: tuple[str, str], environment: dict[str, str]) -> None:
    async def fill(archive: Archive, settings: Settings) -> int:
        stores = StoreService(archive, settings)
        outcomes = [outcome for path in paths() for outcome in await store(stores, path.read_bytes())]
        return sum(isinstance(outcome, Stored) for outcome in outcomes)

    stored = with_archive(accounts[0], fill)
    assert stored > 60
    before = with_archive(accounts[0], everything)
    assert len(before) == stored + sum(map(len, SEARCHES.values()))
    said = counts(run("backup", environment=environment))
    assert said["Backed up"] == said["Studies"] > 20
    assert said["Failed"] == 0
    assert counts(run("backup", environment=environment))["Backed up"] == 0

    asyncio.run(lose(accounts[0]))
    result = run("restore", environment=environment)
    assert (counts(result)["Restored"], counts(result)["Failed"]) == (stored, 0)
    assert result.output.endswith("0 differences in the archive.\n")

    async def differences(archive: Archive, settings: Settings) -> list[Any]:
        return [one async for one in examine(archive, settings, deep=True)]

    assert with_archive(accounts[0], differences) == []
    assert with_archive(accounts[0], everything) == before
    asyncio.run(lose(accounts[0]))


def test_a_study_that_was_deleted_comes_back_or_is_erased(
    accounts: tuple[str, str], environment: dict[str, str]
) -> None:
    study, kept = new_uid(), new_uid()

    async def fill(archive: Archive, settings: Settings) -> None:
        await store(StoreService(archive, settings), *files_of(study, 2), *files_of(kept, 1))

    async def remove(archive: Archive, _: Settings) -> None:
        await delete(archive, resource_of(study))

    with_archive(accounts[0], fill)
    run("backup", environment=environment)
    with_archive(accounts[0], remove)
    result = run("backup", environment=environment)
    assert "Gone                   1  kept for 30 days\n" in result.output
    result = run("restore", "--study", study, environment=environment)
    assert counts(result) == {"Studies": 1, "Restored": 2, "There before": 0, "Failed": 0}
    with_archive(accounts[0], remove)
    result = run("backup", "--erase", study, environment=environment)
    assert counts(result)["Removed"] > 0
    result = run("restore", "--study", study, environment=environment, code=2)
    assert result.output.endswith("The backup has nothing to restore: no such study, or none at that time.\n")
    asyncio.run(lose(accounts[0]))


def test_what_failed_is_said(
    accounts: tuple[str, str], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_uid()

    async def fill(archive: Archive, settings: Settings) -> None:
        await store(StoreService(archive, settings), *files_of(study, 1))
        await archive.blobs.delete([name async for name in archive.blobs.list("")])

    with_archive(accounts[0], fill)
    result = run("backup", environment=environment, code=1)
    assert f"Failed                 1\n  studies/{study}: {service._DAMAGED}\n" in result.output
    asyncio.run(lose(accounts[0]))

    async def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(words, "run_backup", interrupted)
    result = run("backup", environment=environment, code=130)
    assert result.output == "Interrupted. Run the same command again to continue.\n"


@pytest.mark.parametrize(
    ("arguments", "changed", "message"),
    [
        ([], {"BACKUP_CONNECTION_STRING": ""}, "named by BACKUP_BLOB_ENDPOINT or by BACKUP_CONNECTION_STRING"),
        ([], {"BACKUP_CONNECTION_STRING": "x"}, "BACKUP_CONNECTION_STRING is not a connection string."),
        ([], {"STORAGE_CONNECTION_STRING": ""}, "named by STORAGE_CONNECTION_STRING, or by both"),
        (["--to", "https://one.blob.core.windows.net"], {}, "set one or the other"),
        (["--to", "one"], {"BACKUP_CONNECTION_STRING": ""}, "BACKUP_BLOB_ENDPOINT must be an https URL."),
        ([], {"CREATE_STORAGE": "maybe"}, "CREATE_STORAGE must be true or false, not 'maybe'."),
        ([], {"CREATE_STORAGE": ""}, "There is no container backup-"),
    ],
)
def test_what_keeps_it_from_going_on_is_said(
    environment: dict[str, str], arguments: list[str], changed: dict[str, str], message: str
) -> None:
    result = run("backup", *arguments, environment={**environment, **changed}, code=2)
    assert message in result.output
    assert len(result.output.splitlines()) == 1


def test_a_uid_that_is_none_is_refused_before_anything_is_done() -> None:
    for arguments in (["backup", "--erase", "x"], ["restore", "--study", "x"]):
        assert "'x' is not a UID" in run(*arguments, environment={}, code=2).output
