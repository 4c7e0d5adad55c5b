"""A restore brings everything back bit for bit, touches nothing that is there, and may run while requests do."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.archive.change import Action
from shared.dicom.attributes import Level
from shared.dicom.identifiers import DEFAULT_PARTITION, ResourceIdentifiers, StudyKey
from shared.services.backup import restore as service
from shared.services.backup.copies import copy
from shared.services.backup.restore import NotEmpty, NothingToRestore
from shared.services.repair.consistency import repair
from shared.services.repair.maintenance import replay_journal
from shared.services.write.commit import StudyCommits
from shared.services.write.delete import delete
from shared.storage.journal import JournalEntry
from tests.support.answers import answer_work
from tests.support.backups import Backup, rows_of
from tests.support.changes import changes_in_outbox, check_changes
from tests.support.default_partition import resource_of, study_key
from tests.support.invariants import check_archive
from tests.support.raw_archive import RawArchive
from tests.support.served_instances import new_uid
from tests.support.stored_instances import (
    KnownInstance,
    found,
    known_instance,
    known_instances,
    large_instance,
    retrieved,
)
from tests.support.stores import LATER, events, files_of, store


async def stored(raw: RawArchive, *instances: KnownInstance) -> None:
    await store(raw.stores, *(instance.file for instance in instances))


async def test_everything_comes_back_and_nothing_else(raw: RawArchive, backup: Backup) -> None:
    studies = [new_uid() for _ in range(3)]
    instances = [one for study in studies for one in known_instances(study, new_uid(), 3)]
    instances.append(large_instance(new_uid(), 4 * 1024**2))
    await stored(raw, *instances)
    await stored(raw, *known_instances(studies[0], new_uid(), 120, StudyDescription="Later"))
    order = await found(raw.archive, raw.settings, Level.STUDY, "")
    before = {study: await rows_of(raw.archive, study_key(study)) for study in order}
    await backup.run()
    await raw.empty()
    done = await backup.restore()
    assert (done.studies, done.entered, done.there, done.failures) == (4, 130, 0, [])
    await check_archive(raw.archive, raw.settings)
    assert await raw.differences(deep=True) == []
    assert {study: await rows_of(raw.archive, study_key(study)) for study in order} == before
    assert await found(raw.archive, raw.settings, Level.STUDY, "") == order
    for instance in instances:
        assert await retrieved(raw.archive, instance.identifiers) == instance.file
    again = await backup.run()
    assert (again.taken, again.blobs) == (4, 0)


async def test_a_restore_goes_on_where_it_ended(raw: RawArchive, backup: Backup) -> None:
    first, second = known_instances(new_uid(), new_uid(), 3), known_instances(new_uid(), new_uid(), 3)
    await stored(raw, *first, *second)
    await backup.run()
    await delete(raw.archive, resource_of(first[0].identifiers.study_instance_uid))
    await delete(raw.archive, second[0].resource)
    done = await backup.restore()
    assert (done.entered, done.there, done.different) == (4, 2, 0)
    done = await backup.restore()
    assert (done.entered, done.there) == (0, 6)
    await check_archive(raw.archive, raw.settings)


async def test_another_archive_is_refused_unless_told(raw: RawArchive, backup: Backup) -> None:
    (lost,) = known_instances(new_uid(), new_uid(), 1)
    await stored(raw, lost)
    await backup.run()
    await raw.empty()
    (other,) = known_instances(new_uid(), new_uid(), 1)
    await stored(raw, other)
    with pytest.raises(NotEmpty):
        await backup.restore()
    assert await raw.instances(lost.identifiers.study_instance_uid) == []
    await backup.restore(merges=True)
    assert await retrieved(raw.archive, other.identifiers) == other.file
    assert await retrieved(raw.archive, lost.identifiers) == lost.file
    await check_archive(raw.archive, raw.settings)


async def test_a_study_that_was_deleted_comes_back_while_requests_are_at_work(raw: RawArchive, backup: Backup) -> None:
    study = new_uid()
    instances = known_instances(study, new_uid(), 5)
    await stored(raw, *instances, *known_instances(new_uid(), new_uid(), 1))
    await backup.run()
    await delete(raw.archive, resource_of(study))
    await backup.run()
    more = known_instances(study, new_uid(), 5)
    async with asyncio.TaskGroup() as group:
        restoring = group.create_task(backup.restore_study(study_key(study)))
        for one in more:
            group.create_task(stored(raw, one))
    done = restoring.result()
    assert (done.studies, done.failures) == (1, [])
    for instance in [*instances, *more]:
        assert await retrieved(raw.archive, instance.identifiers) == instance.file
    await check_archive(raw.archive, raw.settings)


async def test_what_is_there_stays_as_it_is(raw: RawArchive, backup: Backup) -> None:
    study, series = new_uid(), new_uid()
    before = known_instances(study, series, 2, StudyDescription="Before")
    await stored(raw, *before)
    await backup.run()
    await delete(raw.archive, resource_of(study))
    uids = before[0].identifiers
    after = known_instance(study, series, uids.sop_instance_uid, StudyDescription="After")
    await stored(raw, after)
    done = await backup.restore_study(study_key(study))
    assert (done.entered, done.there, done.different) == (1, 1, 1)
    assert await retrieved(raw.archive, uids) == after.file
    assert await retrieved(raw.archive, before[1].identifiers) == before[1].file
    assert await found(raw.archive, raw.settings, Level.STUDY, "StudyDescription=After") == [study]
    assert await found(raw.archive, raw.settings, Level.STUDY, "StudyDescription=Before") == []
    await check_archive(raw.archive, raw.settings)


async def test_a_study_is_restored_as_it_was_at_a_time(raw: RawArchive, backup: Backup) -> None:
    study = new_uid()
    first, second = known_instances(study, new_uid(), 2)
    await stored(raw, first, second)
    await backup.run()
    await asyncio.sleep(1.1)  # storage tells seconds apart
    earlier = datetime.now(UTC)
    await asyncio.sleep(1.1)
    await delete(raw.archive, first.resource)
    await backup.run()
    assert (await backup.restore_study(study_key(study))).entered == 0
    with pytest.raises(NothingToRestore):
        await backup.restore_study(study_key(study), at=earlier - timedelta(days=1))
    with pytest.raises(NothingToRestore):
        await backup.restore(at=earlier - timedelta(days=1), merges=True)
    done = await backup.restore_study(study_key(study), at=earlier)
    assert (done.entered, done.there) == (1, 1)
    assert await retrieved(raw.archive, first.identifiers) == first.file
    await check_archive(raw.archive, raw.settings)


async def test_a_study_that_the_backup_does_not_have(raw: RawArchive, backup: Backup) -> None:
    with pytest.raises(NothingToRestore):
        await backup.restore_study(study_key(new_uid()))
    with pytest.raises(NothingToRestore):
        await backup.restore()


@pytest.mark.parametrize("damage", ["missing", "wrong"])
async def test_a_damaged_copy_is_left_out_and_named(raw: RawArchive, backup: Backup, damage: str) -> None:
    study = new_uid()
    instances = known_instances(study, new_uid(), 3)
    await stored(raw, *instances)
    await backup.run()
    bad = instances[1].identifiers
    (name,) = [name for name in await backup.names("files/") if bad.sop_instance_uid in name]
    if damage == "missing":
        await backup.container.delete_blob(name)
    else:
        await backup.container.upload_blob(name, instances[0].file, overwrite=True)
    await raw.empty()
    done = await backup.restore()
    assert done.entered == 2
    assert done.failures == [(bad.path, service._DAMAGED)]
    await check_archive(raw.archive, raw.settings)


async def test_nothing_is_left_of_an_instance_of_which_a_blob_is_damaged(raw: RawArchive, backup: Backup) -> None:
    instance = large_instance(new_uid(), 4 * 1024**2)
    await stored(raw, instance, *known_instances(new_uid(), new_uid(), 1))
    await backup.run()
    (name,) = [name for name in await backup.names("files/") if name.endswith(".metadata")]
    await backup.container.upload_blob(name, b"rubbish", overwrite=True)
    await raw.empty()
    done = await backup.restore()
    assert (done.entered, done.failures) == (1, [(instance.identifiers.path, service._DAMAGED)])
    await check_archive(raw.archive, raw.settings)


async def test_an_instance_that_is_stored_meanwhile_stays(
    raw: RawArchive, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = known_instance(new_uid(), new_uid(), new_uid())
    await stored(raw, instance)
    await backup.run()
    await delete(raw.archive, instance.resource)

    async def overtaken(*arguments: Any) -> int:
        size_bytes = await copy(*arguments)
        await stored(raw, instance)
        return size_bytes

    monkeypatch.setattr(service, "copy", overtaken)
    done = await backup.restore_study(instance.identifiers.study)
    assert (done.entered, done.there, done.different) == (0, 1, 0)
    assert await retrieved(raw.archive, instance.identifiers) == instance.file
    await check_archive(raw.archive, raw.settings)


@pytest.mark.parametrize("content", [b"rubbish", None], ids=["rubbish", "cut"])
async def test_a_damaged_snapshot_is_named(raw: RawArchive, backup: Backup, content: bytes | None) -> None:
    damaged, healthy = known_instances(new_uid(), new_uid(), 2), known_instances(new_uid(), new_uid(), 2)
    await stored(raw, *damaged, *healthy)
    await backup.run()
    study = damaged[0].identifiers.study
    (name,) = [name for name in await backup.names(f"studies/{study.study_instance_uid},") if "gone" not in name]
    whole = await (await backup.container.download_blob(name)).readall()
    await backup.container.upload_blob(name, whole[:-4] if content is None else content, overwrite=True)
    await raw.empty()
    done = await backup.restore()
    assert (done.entered, done.failures) == (2, [(study.path, service._DAMAGED_SNAPSHOT)])
    await check_archive(raw.archive, raw.settings)


async def test_what_a_delete_may_yet_remove_is_not_restored(raw: RawArchive, backup: Backup) -> None:
    study = new_uid()
    await stored(raw, *known_instances(study, new_uid(), 2))
    await backup.run()
    await delete(raw.archive, resource_of(study))
    entry = JournalEntry("ab" * 16, "delete", datetime.now(UTC), f"studies/{study}")
    await raw.archive.journal.insert(entry)
    done = await backup.restore_study(study_key(study))
    assert (done.entered, done.failures) == (0, [(f"studies/{study}", service._AT_WORK)])
    await replay_journal(raw.archive, raw.settings, now=datetime.now(UTC) + LATER)
    assert (await backup.restore_study(study_key(study))).entered == 2
    await check_archive(raw.archive, raw.settings)


async def test_maintenance_and_repair_leave_a_restore_alone(
    raw: RawArchive, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_uid()
    instances = known_instances(study, new_uid(), 3)
    await stored(raw, *instances)
    await backup.run()
    await delete(raw.archive, resource_of(study))
    count = 0

    async def meddled_with(*arguments: Any) -> int:
        nonlocal count
        size_bytes = await copy(*arguments)
        count += 1
        if count == len(instances):  # all blobs are there, and no row
            abandoned = JournalEntry("cd" * 16, "store", datetime.now(UTC) - LATER, f"studies/{study}")
            await raw.archive.journal.insert(abandoned)
            replay = await replay_journal(raw.other, raw.settings)
            assert (replay.failures, replay.removed_blobs) == (1, 0)
            for difference in await raw.differences():
                await repair(raw.other, raw.settings, difference)
        return size_bytes

    monkeypatch.setattr(service, "copy", meddled_with)
    monkeypatch.setattr(service, "_BLOBS_AT_ONCE", 1)
    await backup.restore_study(study_key(study))
    assert (await replay_journal(raw.archive, raw.settings)).settled_entries == 1
    for instance in instances:
        assert await retrieved(raw.archive, instance.identifiers) == instance.file
    await check_archive(raw.archive, raw.settings)


class Died(Exception):
    pass


async def die_before_the_commit(backup: Backup, study: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore a study until its blobs are there, and no row."""

    async def dying(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(StudyCommits, "commit", dying)
        with pytest.raises(Died):
            await backup.restore_study(study_key(study))


async def test_what_a_restore_that_died_has_left_is_removed(
    raw: RawArchive, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_uid()
    await store(raw.stores, *files_of(study, 2))
    await backup.run()
    await delete(raw.archive, resource_of(study))
    await die_before_the_commit(backup, study, monkeypatch)
    assert len([name async for name in raw.archive.blobs.list("")]) == 2
    await replay_journal(raw.archive, raw.settings, now=datetime.now(UTC) + LATER)
    assert [name async for name in raw.archive.blobs.list("")] == []
    await check_archive(raw.archive, raw.settings)


async def test_the_next_restore_removes_what_it_does_not_restore(
    raw: RawArchive, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, series = new_uid(), new_uid()
    await store(raw.stores, *files_of(study, 1, series=series))
    await backup.run()
    await asyncio.sleep(1.1)  # storage tells seconds apart
    earlier = datetime.now(UTC)
    await asyncio.sleep(1.1)
    await store(raw.stores, *files_of(study, 1, series=series))
    await backup.run()
    await delete(raw.archive, resource_of(study))
    await die_before_the_commit(backup, study, monkeypatch)
    assert (await backup.restore_study(study_key(study), at=earlier)).entered == 1
    await check_archive(raw.archive, raw.settings)


async def test_the_next_restore_goes_on_beside_one_that_died(
    raw: RawArchive, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_uid()
    await store(raw.stores, *files_of(study, 2))
    await backup.run()
    await delete(raw.archive, resource_of(study))
    for _ in range(2):
        await die_before_the_commit(backup, study, monkeypatch)
    left = [entry async for entry in raw.archive.journal.read()]
    assert [entry.transaction for entry in left] == ["restore", "restore"]
    assert len({entry.request_id for entry in left}) == 2
    assert (await backup.restore_study(study_key(study))).entered == 2
    ended = [entry async for entry in raw.archive.journal.read_ready() if entry.is_done]
    assert {entry.request_id for entry in left} < {entry.request_id for entry in ended}
    await check_archive(raw.archive, raw.settings)


async def test_restores_of_a_study_at_once_agree(raw: RawArchive, backup: Backup) -> None:
    study = new_uid()
    await store(raw.stores, *files_of(study, 5))
    await backup.run()
    await delete(raw.archive, resource_of(study))
    done = await asyncio.gather(*(backup.restore_study(study_key(study)) for _ in range(3)))
    assert [one.failures for one in done] == [[], [], []]
    assert await raw.differences(deep=True) == []
    await replay_journal(raw.archive, raw.settings, now=datetime.now(UTC) + LATER)
    await check_archive(raw.archive, raw.settings)
    assert len(await raw.instances(study)) == 5


async def test_what_is_restored_is_created_again(raw: RawArchive, backup: Backup) -> None:
    study, kept = new_uid(), new_uid()
    await store(raw.stores, *files_of(study, 3), *files_of(kept, 1))
    await backup.run()
    await delete(raw.archive, resource_of(study))
    assert (await backup.run()).gone == 1
    await backup.restore_study(study_key(study))
    changes = await changes_in_outbox(raw.archive)
    await check_changes(raw.archive, changes)
    actions = [[change.action for change in one.changes] for one in changes[study_key(study)]]
    assert actions == [[Action.CREATE] * 3, [Action.DELETE] * 3, [Action.CREATE] * 3]
    await raw.empty()
    await backup.restore()
    await check_changes(raw.archive, await changes_in_outbox(raw.archive))


async def test_studies_of_other_partitions_are_backed_up_as_well(raw: RawArchive, backup: Backup) -> None:
    uid = new_uid()
    partitions = (DEFAULT_PARTITION, "clinic-1", uid)  # the last one is called like a study
    for partition in partitions:
        await raw.stores.store(
            events(files_of(uid, 2)),
            answer_work(),
            partition=partition,
            study_instance_uid=None,
            api_version="v2",
        )
    studies = sorted(StudyKey(partition, uid) for partition in partitions)
    before = [await rows_of(raw.archive, study) for study in studies]
    assert (await backup.run()).taken == 3
    await raw.empty()
    assert (await backup.restore()).entered == 6
    assert [await rows_of(raw.archive, study) for study in studies] == before
    await check_archive(raw.archive, raw.settings)
    assert (await backup.run()).failures == []
    await delete(raw.archive, ResourceIdentifiers(studies[-1]))
    assert (await backup.run()).gone == 1
