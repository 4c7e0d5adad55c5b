"""A backup or a restore that dies at any single storage operation: the backup stays whole, and the next run goes on.

Each dies before or after its first operation, then its second, and so on, until it lives to its end.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import pytest_asyncio

from shared.services.backup import backup as backup_service
from shared.services.backup import restore as restore_service
from shared.services.backup import study_pairs
from shared.services.backup.backup import BackedUp, back_up
from shared.services.backup.restore import Restored, restore
from shared.services.repair.maintenance import replay_journal
from shared.services.write.back_pressure import MAX_BLOCK_BYTES
from shared.services.write.delete import delete
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.backup_container import BackupContainer
from tests.support.backups import RETENTION, Backup, backup_of
from tests.support.default_partition import resource_of
from tests.support.invariants import check_archive
from tests.support.raw_archive import RawArchive, opened
from tests.support.served_instances import new_uid
from tests.support.storage_policies import StopAt, before_or_after, clients_through, die_at
from tests.support.stored_instances import is_wholly_there, known_instances, large_instance
from tests.support.stores import LATER, store

pytestmark = [
    pytest.mark.long,
    # A dead process closes no connection that it reads from.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

RecordProperty = Callable[[str, object], None]
LONG_AFTER = RETENTION + timedelta(days=1)


@pytest_asyncio.fixture
async def raw(settings: Settings) -> AsyncIterator[RawArchive]:
    async with opened(settings.storage_connection_string) as raw:
        yield raw
        await raw.empty()


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on its way when another operation dies would reach storage at any time, even after maintenance."""
    monkeypatch.setattr(study_pairs, "_STUDIES_AT_ONCE", 1)
    for service in (backup_service, restore_service):
        monkeypatch.setattr(service, "_BLOBS_AT_ONCE", 1)


async def dies_backing_up(backup: Backup, stop: StopAt, monkeypatch: pytest.MonkeyPatch) -> bool:
    async def request(archive: Archive) -> None:
        with clients_through(stop, monkeypatch):
            container = await BackupContainer.open(replace(backup.settings, create_storage=False))
        try:
            now = datetime.now(UTC) + LONG_AFTER
            await back_up(archive, container, backup.settings, BackedUp(), now=now)
        finally:
            await container.close()

    return await die_at(stop, monkeypatch, backup.settings, request)


async def dies_restoring(backup: Backup, stop: StopAt, monkeypatch: pytest.MonkeyPatch) -> bool:
    async def request(archive: Archive) -> None:
        with clients_through(stop, monkeypatch):
            container = await BackupContainer.open(replace(backup.settings, create_storage=False))
        try:
            await restore(archive, container, backup.settings, Restored())
        finally:
            await container.close()

    return await die_at(stop, monkeypatch, backup.settings, request)


@before_or_after
async def test_a_backup_that_dies_anywhere(
    raw: RawArchive, monkeypatch: pytest.MonkeyPatch, is_done: bool, record_property: RecordProperty
) -> None:
    for operation in count(1):
        await raw.empty()
        async with backup_of(raw, raw.settings.storage_connection_string) as backup:
            gone, changed = new_uid(), new_uid()
            instances = known_instances(changed, new_uid(), 2)
            await store(raw.stores, *(one.file for one in [*known_instances(gone, new_uid(), 1), *instances]))
            await backup.run()
            await backup.run(after=LONG_AFTER)  # nothing of the first run leads to copies any more
            await delete(raw.archive, resource_of(gone))
            await delete(raw.archive, instances[0].resource)
            await store(raw.stores, large_instance(new_uid(), MAX_BLOCK_BYTES).file)

            died = await dies_backing_up(backup, StopAt(operation, is_done=is_done), monkeypatch)
            await backup.check()
            await backup.break_lock()
            assert (await backup.run(after=LONG_AFTER)).failures == []
            await backup.run(after=LONG_AFTER)  # what the one that died had taken is now old
            assert await backup.check() == set()
            blobs = [f"files/{name}" async for name in raw.archive.blobs.list("")]
            assert await backup.names("files/") == blobs
            held = [one.study.study_instance_uid for one in await backup.snapshots() if not one.is_gone]
            assert held == [study.study_instance_uid async for study, _ in raw.archive.catalog.read_revisions()]
            if not died:
                break
    record_property("crash points", operation - 1)
    assert operation > 25


@before_or_after
@pytest.mark.parametrize("then", ["again", "maintenance"])
async def test_a_restore_that_dies_anywhere(
    raw: RawArchive, monkeypatch: pytest.MonkeyPatch, is_done: bool, then: str, record_property: RecordProperty
) -> None:
    await raw.empty()
    async with backup_of(raw, raw.settings.storage_connection_string) as backup:
        instances = [*known_instances(new_uid(), new_uid(), 2), large_instance(new_uid(), MAX_BLOCK_BYTES)]
        await store(raw.stores, *(instance.file for instance in instances))
        await backup.run()
        for operation in count(1):
            await raw.empty()
            died = await dies_restoring(backup, StopAt(operation, is_done=is_done), monkeypatch)
            if then == "maintenance":
                await replay_journal(raw.archive, raw.settings, now=datetime.now(UTC) + LATER)
                await check_archive(raw.archive, raw.settings)
                for instance in instances:
                    assert await is_wholly_there(raw.archive, raw.settings, raw.container, instance) or died
            assert (await backup.restore()).failures == []
            await check_archive(raw.archive, raw.settings)
            for instance in instances:
                assert await is_wholly_there(raw.archive, raw.settings, raw.container, instance)
            if not died:
                break
    record_property("crash points", operation - 1)
    assert operation > 20
