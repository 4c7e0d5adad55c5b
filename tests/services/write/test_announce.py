"""Studies that a release before the change feed has stored: their changes begin with a `create` of all they hold."""

import asyncio
from datetime import UTC, datetime

import pytest
from azure.storage.blob.aio import ContainerClient

from shared.errors import NotFound
from shared.services.repair.maintenance import replay_journal
from shared.services.write.announce import announce
from shared.services.write.contention import StudyContended
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage import catalog_batches
from shared.storage.archive import Archive
from shared.storage.catalog import StudyChanged
from shared.web.store_response import Stored
from tests.support.changes import explained
from tests.support.default_partition import resource_of, study_key
from tests.support.invariants import check_study, requests_in_journal
from tests.support.old_format import as_before_the_feed
from tests.support.served_instances import new_uid
from tests.support.storage_operations import Counting
from tests.support.storage_policies import archive_through
from tests.support.stores import LATER, files_of, store


async def old_study(stores: StoreService, count: int, *series: str) -> str:
    study = new_uid()
    for uid in series or (new_uid(),):
        outcomes = await store(stores, *files_of(study, count, series=uid))
        assert [type(outcome) for outcome in outcomes] == [Stored] * count
    await as_before_the_feed(stores.archive, study_key(study))
    return study


async def changes_of(archive: Archive, study: str) -> list[tuple[int, list[str]]]:
    """The actions of a study's changes, by revision; checks that they say what it holds."""
    key = study_key(study)
    found = [one async for one in archive.outbox.read(key)]
    rows = {row.identifiers: row.blob_version async for row in archive.catalog.read_instances(key)}
    assert explained(found) == rows
    assert [one.revision for one in found] == sorted({one.revision for one in found})
    return [(one.revision, [change.action.value for change in one.changes]) for one in found]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Announcements of four instances in each batch."""
    monkeypatch.setattr(catalog_batches, "_BATCH_ROWS", 5)
    monkeypatch.setattr(catalog_batches, "_CHANGES_OF_A_ROW", 1)


async def test_a_study_is_announced_once(stores: StoreService, archive: Archive) -> None:
    study = await old_study(stores, 3)
    for _ in range(2):
        await announce(archive, study_key(study))
        assert await changes_of(archive, study) == [(1, ["create"] * 3)]
    found = [change for one in [one async for one in archive.outbox.read(study_key(study))] for change in one.changes]
    assert {change.modality for change in found} == {"OT"}
    assert await requests_in_journal(archive) == 0
    ready = [entry async for entry in archive.journal.read_ready() if study in entry.resource]
    assert [entry.is_done for entry in ready] == [True, True]


async def test_what_there_is_not_need_not_be_announced(stores: StoreService, archive: Archive) -> None:
    study = new_uid()
    await announce(archive, study_key(study))
    assert await changes_of(archive, study) == []
    await store(stores, *files_of(study, 1))
    await delete(archive, resource_of(study))
    await announce(archive, study_key(study))
    assert await changes_of(archive, study) == [(1, ["create"]), (2, ["delete"])]


async def test_a_store_announces_first(stores: StoreService, archive: Archive, container: ContainerClient) -> None:
    study = await old_study(stores, 3)
    await store(stores, *files_of(study, 2))
    assert await changes_of(archive, study) == [(1, ["create"] * 3), (2, ["create"] * 2)]
    assert await check_study(archive, container, study) == 5


@pytest.mark.parametrize("level", ["study", "series", "instance"])
async def test_a_delete_announces_first(
    stores: StoreService, archive: Archive, container: ContainerClient, level: str
) -> None:
    series = new_uid()
    study = await old_study(stores, 2, series, new_uid())
    rows = [row async for row in archive.catalog.read_instances(study_key(study), series)]
    one = rows[0].identifiers
    uids = {"study": (), "series": (series,), "instance": (series, one.sop_instance_uid)}[level]
    await delete(archive, resource_of(study, *uids))
    gone = {"study": 4, "series": 2, "instance": 1}[level]
    assert await changes_of(archive, study) == [(1, ["create"] * 4), (2, ["delete"] * gone)]
    assert await check_study(archive, container, study) == 4 - gone
    await store(stores, *files_of(study, 1))
    assert (await changes_of(archive, study))[2:] == [(3, ["create"])]


@pytest.mark.usefixtures("small_batches")
async def test_a_large_study_is_announced_in_several_batches(
    stores: StoreService, archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = await old_study(stores, 10)
    counting = Counting()
    async with archive_through(counting, monkeypatch, settings) as counted:
        await announce(counted, study_key(study))
    assert await changes_of(archive, study) == [(revision, ["create"]) for revision in range(1, 11)]
    # For each batch the study and its next instances, and at last the study once more.
    assert counting.operations == {"POST journal": 1, "PUT journal": 1, "POST catalog": 3, "GET catalog": 3 * 2 + 1}


@pytest.mark.usefixtures("small_batches")
async def test_an_announcement_meets_stores_and_deletes(
    stores: StoreService, archive: Archive, settings: Settings, container: ContainerClient
) -> None:
    series = new_uid()
    other = await Archive.open(settings)
    for _ in range(3):
        study = await old_study(stores, 6, series, new_uid())
        await asyncio.gather(
            announce(archive, study_key(study)),
            announce(other, study_key(study)),
            store(stores, *files_of(study, 2)),
            store(StoreService(other, settings), *files_of(study, 1)),
            delete(other, resource_of(study, series)),
        )
        assert await check_study(archive, container, study) == 6 + 3
        changes = await changes_of(archive, study)
        assert [action for _, actions in changes[:12] for action in actions] == ["create"] * 12
    await other.close()


async def test_a_contended_announcement_is_left_to_others(
    stores: StoreService, archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = await old_study(stores, 2)

    async def changed(*_: object, **__: object) -> None:
        raise StudyChanged

    with monkeypatch.context() as patched:
        patched.setattr(type(archive.catalog), "announce", changed)
        patched.setattr("shared.services.write.contention._BACKOFF_SECONDS", 0)
        with pytest.raises(StudyContended):
            await announce(archive, study_key(study))
        with pytest.raises(StudyContended):
            await delete(archive, resource_of(study))
    assert await requests_in_journal(archive) == 3  # each announcement has an entry
    assert (await replay_journal(archive, settings, now=datetime.now(UTC) + LATER)).settled_entries == 3
    assert await requests_in_journal(archive) == 0
    # The delete was finished, and announced the study for that.
    assert await changes_of(archive, study) == [(1, ["create"] * 2), (2, ["delete"] * 2)]
    with pytest.raises(NotFound):
        await delete(archive, resource_of(study))
