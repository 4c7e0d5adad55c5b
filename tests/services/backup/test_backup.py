"""What a run of the backup copies, what it leaves alone, and what it keeps of what the archive no longer has."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from azure.storage.blob.aio import BlobLeaseClient

from shared.services.backup import backup as service
from shared.services.backup import study_pairs
from shared.services.backup.backup import OtherArchive
from shared.services.backup.copies import copy
from shared.services.repair.differences import Kind
from shared.services.write.back_pressure import MAX_BLOCK_BYTES
from shared.services.write.delete import delete
from shared.storage import backup_lock, blob_names
from shared.storage.backup_lock import BackupUnderWay, LockLost
from shared.storage.catalog import Catalog
from shared.storage.storage_use import StorageUse
from tests.support.backups import RETENTION, Backup
from tests.support.damages import DAMAGES, Damage, no_study_row
from tests.support.default_partition import resource_of, study_key
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import new_uid
from tests.support.stored_instances import large_instance
from tests.support.stores import files_of, store

A_DAY = timedelta(days=1)


async def new_study(raw: RawArchive, count: int = 2) -> str:
    study = new_uid()
    await store(raw.stores, *files_of(study, count))
    return study


async def test_a_run_copies_everything_and_the_next_one_nothing(raw: RawArchive, backup: Backup) -> None:
    for _ in range(3):
        await new_study(raw)
    await store(raw.stores, large_instance(new_uid(), MAX_BLOCK_BYTES).file)
    done = await backup.run()
    blobs = {name: size async for name, size in raw.archive.blobs.list_sizes("")}
    assert (done.studies, done.taken, done.gone, done.blobs, done.failures) == (4, 4, 0, len(blobs), [])
    assert done.bytes == sum(blobs.values())
    assert await backup.check() == set()
    for name in blobs:
        copy = await backup.opened.files.read_all(f"files/{name}")
        assert copy == await raw.archive.blobs.read_all(name)
    before = await backup.names()
    use = StorageUse()
    with use.watching():
        done = await backup.run()
    assert (done.studies, done.taken, done.blobs, done.failures) == (4, 0, 0, [])
    # The lock, the look whether this is the archive, the run.
    assert use.operations.total() == 2 + 2 + 2
    assert await backup.names() == before


async def test_a_run_costs_what_has_changed(raw: RawArchive, backup: Backup) -> None:
    series, changed = new_uid(), new_uid()
    for _ in range(3):
        await new_study(raw)
    await store(raw.stores, *files_of(changed, 20, series=series))
    await backup.run()
    await store(raw.stores, *files_of(changed, 3, series=series))
    use = StorageUse()
    with use.watching():
        done = await backup.run()
    assert (done.taken, done.blobs) == (1, 3)
    assert use.operations.total() == 6 + 1 + 1 + 2 * 3 + 1  # its rows, a listing of copies, 3 files, the snapshot


@pytest.mark.parametrize("other_process", [False, True])
async def test_every_change_of_a_study_is_seen(raw: RawArchive, backup: Backup, other_process: bool) -> None:
    study = await new_study(raw, 3)
    await backup.run()
    archive = raw.other if other_process else raw.archive
    instance = (await raw.instances(study))[0].identifiers
    await delete(archive, resource_of(study, instance.series_instance_uid, instance.sop_instance_uid))
    assert (await backup.run()).taken == 1
    await delete(archive, resource_of(study))
    await store(raw.stores, *files_of(study, 1))
    done = await backup.run()
    assert (done.taken, done.gone) == (1, 0)


async def test_what_is_deleted_is_kept_for_a_while_and_then_removed(raw: RawArchive, backup: Backup) -> None:
    study, other = await new_study(raw), await new_study(raw)
    await backup.run()
    copies = await backup.names("files/")
    await delete(raw.archive, resource_of(study))
    assert (await backup.run()).gone == 1
    done = await backup.run(after=RETENTION - A_DAY)
    assert (done.gone, done.removed) == (0, 0)
    assert await backup.names("files/") == copies
    done = await backup.run(after=RETENTION + A_DAY)
    assert (done.gone, done.removed, done.failures) == (0, 1, [])
    assert not [name for name in await backup.names() if study in name]
    assert await backup.check() == set()
    assert len(await backup.names(f"files/{other}/")) == 2


async def test_an_instance_that_is_deleted_is_kept_for_a_while_and_then_removed(
    raw: RawArchive, backup: Backup
) -> None:
    study = await new_study(raw, 3)
    await backup.run()
    gone = (await raw.instances(study))[0].identifiers
    await delete(raw.archive, resource_of(study, gone.series_instance_uid, gone.sop_instance_uid))
    await backup.run()
    assert len(await backup.names("files/")) == 3
    assert (await backup.run(after=RETENTION + A_DAY)).removed == 1
    assert len(await backup.names("files/")) == 2
    assert await backup.check() == set()
    assert (await backup.restore()).there == 2


async def test_an_erasure_is_at_once_and_of_that_study_alone(raw: RawArchive, backup: Backup) -> None:
    erased, partly, other = [await new_study(raw) for _ in range(3)]
    await backup.run()
    for study in (erased, other):
        await delete(raw.archive, resource_of(study))
    gone = (await raw.instances(partly))[0].identifiers
    await delete(raw.archive, resource_of(partly, gone.series_instance_uid))
    await store(raw.stores, *files_of(partly, 1))
    done = await backup.run(erased={study_key(erased), study_key(partly)})
    assert (done.gone, done.removed, done.failures) == (2, 2, [])
    assert not [name for name in await backup.names() if erased in name or gone.sop_instance_uid in name]
    assert len(await backup.names(f"files/{other}/")) == 2
    assert len(await backup.names(f"files/{partly}/")) == 1


async def test_the_last_study_can_be_erased(raw: RawArchive, backup: Backup) -> None:
    study = await new_study(raw)
    await backup.run()
    await delete(raw.archive, resource_of(study))
    await backup.run(erased={study_key(study)})
    assert await backup.names() == ["lock"]


async def test_a_lost_archive_or_another_one_is_no_delete(raw: RawArchive, backup: Backup) -> None:
    await new_study(raw)
    await backup.run()
    before = await backup.names()
    await raw.empty()
    with pytest.raises(OtherArchive):
        await backup.run()
    await new_study(raw)
    with pytest.raises(OtherArchive):
        await backup.run(after=2 * RETENTION)
    assert await backup.names() == before


Change = Callable[[], Awaitable[object]]


def once_at_a_copy(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Do something before the first blob is copied, once the study's rows have been read."""
    changes = [change]

    async def changing(*arguments: Any) -> int:
        if changes:
            await changes.pop()()
        return await copy(*arguments)

    monkeypatch.setattr(service, "copy", changing)


async def test_a_store_after_the_rows_were_read_is_for_the_next_run(
    raw: RawArchive, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = await new_study(raw, 3)
    once_at_a_copy(monkeypatch, lambda: store(raw.stores, *files_of(study, 2)))
    for copied in (3, 2, 0):
        done = await backup.run()
        assert (done.taken, done.blobs, done.failures) == (bool(copied), copied, [])
        assert await backup.check() == set()


async def test_a_store_while_the_rows_are_read_is_in_the_snapshot_whole(
    raw: RawArchive, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = await new_study(raw, 3)
    monkeypatch.setattr(Catalog._rows, "__defaults__", (None, 1))  # rows of a page
    monkeypatch.setattr(service, "_ROWS_AT_ONCE", 1)
    once_at_a_copy(monkeypatch, lambda: store(raw.stores, *files_of(study, 2)))
    for taken, copied in ((1, 5), (0, 0)):
        done = await backup.run()
        assert (done.taken, done.blobs, done.failures) == (taken, copied, [])
        assert await backup.check() == set()


@pytest.mark.parametrize("level", ["study", "instance"])
async def test_a_delete_during_the_backup_leaves_no_hole_in_it(
    raw: RawArchive, backup: Backup, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    study, other = sorted([await new_study(raw, 3), await new_study(raw, 3)])
    first = (await raw.instances(study))[0].identifiers
    instance = (first.series_instance_uid, first.sop_instance_uid)
    resource = resource_of(study) if level == "study" else resource_of(study, *instance)
    monkeypatch.setattr(study_pairs, "_STUDIES_AT_ONCE", 1)
    once_at_a_copy(monkeypatch, lambda: delete(raw.archive, resource))
    done = await backup.run()
    assert done.failures == []
    await backup.check()
    held = [snapshot.study.study_instance_uid for snapshot in await backup.snapshots() if not snapshot.is_gone]
    assert held == ([other] if level == "study" else [study, other])
    # What was copied in vain goes as well.
    await backup.run(after=RETENTION + A_DAY)
    assert await backup.check() == set()


async def test_a_study_that_never_rests_is_reported_and_the_others_are_backed_up(
    raw: RawArchive, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    restless, other = await new_study(raw), await new_study(raw)
    read_rows = raw.archive.catalog.read_rows

    async def changing(study: Any) -> AsyncIterator[Any]:
        if study == study_key(restless):
            await store(raw.stores, *files_of(restless, 1))
        async for row in read_rows(study):
            yield row

    monkeypatch.setattr(type(raw.archive.catalog), "read_rows", lambda _, study: changing(study))
    done = await backup.run()
    assert [(study.study_instance_uid, why) for study, why in done.failures] == [(restless, service._BUSY)]
    held = [snapshot.study.study_instance_uid for snapshot in await backup.snapshots() if not snapshot.is_gone]
    assert held == [other]


DAMAGED = [
    damage
    for kind in (Kind.MISSING_BLOB, Kind.WRONG_SIZE, Kind.WRONG_HASH, Kind.UNREADABLE_ROW)
    for damage in DAMAGES[kind]
    if damage.__name__ != "unreadable_study_row"  # which is copied as it is
]


@pytest.mark.parametrize("damage", DAMAGED, ids=lambda damage: damage.__name__)
async def test_damage_is_reported_and_does_not_replace_the_last_snapshot(
    raw: RawArchive, backup: Backup, damage: Damage
) -> None:
    study, healthy = await new_study(raw), await new_study(raw)
    await backup.run()
    await store(raw.stores, *files_of(study, 1), *files_of(healthy, 1))
    await damage(raw, study)
    for name in await backup.names(f"files/{study}/"):
        await backup.container.delete_blob(name)  # so that all are copied again
    done = await backup.run()
    assert (done.taken, [one.study_instance_uid for one, _ in done.failures]) == (1, [study])
    done = await backup.run(after=RETENTION + A_DAY)
    assert [one.study_instance_uid for one, _ in done.failures] == [study]
    held = [one.number for one in await backup.snapshots() if one.study == study_key(study) and not one.is_gone]
    assert held == [1]


async def test_what_has_been_copied_of_a_damaged_study_is_not_copied_again_and_again(
    raw: RawArchive, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = await new_study(raw, 3)
    last = (await raw.instances(study))[-1]
    await raw.archive.blobs.delete(blob_names.blobs_of(last))
    monkeypatch.setattr(service, "_BLOBS_AT_ONCE", 1)
    assert len((await backup.run()).failures) == 1
    assert len(await backup.names(f"files/{study}/")) == 2
    done = await backup.run(after=RETENTION + A_DAY)
    assert (len(done.failures), done.blobs) == (1, 0)
    assert len(await backup.names(f"files/{study}/")) == 2


async def test_rubbish_in_a_metadata_blob_is_damage(raw: RawArchive, backup: Backup) -> None:
    study = await new_study(raw)
    (damage,) = (one for one in DAMAGES[Kind.WRONG_METADATA] if one.__name__ == "metadata_blob_of_rubbish")
    await damage(raw, study)
    assert [one.study_instance_uid for one, _ in (await backup.run()).failures] == [study]


async def test_a_study_without_its_row_is_not_gone(raw: RawArchive, backup: Backup) -> None:
    study, _ = await new_study(raw), await new_study(raw)
    await backup.run()
    await no_study_row(raw, study)
    done = await backup.run()
    assert (done.gone, [one.study_instance_uid for one, _ in done.failures]) == (0, [study])


async def test_backups_do_not_meet(raw: RawArchive, backup: Backup) -> None:
    await new_study(raw)
    async with backup.opened.lock.held():
        with pytest.raises(BackupUnderWay):
            await backup.run()
    assert (await backup.run()).taken == 1


async def test_a_backup_that_loses_its_lock_ends(
    raw: RawArchive, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_lock, "_RENEW_SECONDS", 0.2)
    monkeypatch.setattr(backup_lock, "_LATEST_SECONDS", 1)
    async with backup.opened.lock.held():
        await asyncio.sleep(2)  # renewed

    async def lose_it() -> None:
        async with backup.opened.lock.held():
            await backup.break_lock()
            await BlobLeaseClient(backup.container.get_blob_client("lock")).acquire()
            await asyncio.sleep(5)

    with pytest.raises(LockLost):
        await lose_it()
