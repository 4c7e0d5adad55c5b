import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.storage.blob.aio import ContainerClient

from shared.archive.study_terms import terms_of_instance
from shared.archive.terms import EVERY_STUDY, Term, has_beginnings
from shared.dicom.identifiers import DEFAULT_PARTITION, StudyKey
from shared.errors import NotFound
from shared.multipart import Event, MessageEnd
from shared.services.repair.maintenance import replay_journal
from shared.services.write.contention import StudyContended
from shared.services.write.delete import delete
from shared.services.write.store import StoreService
from shared.settings import Settings
from shared.storage.archive import Archive
from shared.storage.catalog import StudyChanged
from shared.storage.catalog_rows import StudyRevision
from shared.web.store_response import Stored
from tests.support.answers import answer_work
from tests.support.default_partition import resource_of, study_key
from tests.support.invariants import blobs_of_study, check_study, requests_in_journal
from tests.support.served_instances import new_uid
from tests.support.storage_operations import Counting
from tests.support.storage_policies import archive_through
from tests.support.stores import events, files_of, store

LATER = datetime.now(UTC) + timedelta(hours=2)


async def stored(stores: StoreService, study: str, *series: tuple[str, int]) -> list[Stored]:
    files = [file for uid, count in series for file in files_of(study, count, series=uid)]
    return [outcome for outcome in await store(stores, *files) if isinstance(outcome, Stored)]


async def test_deleting_an_instance_then_its_series_then_the_study(
    stores: StoreService, archive: Archive, container: ContainerClient
) -> None:
    study, first, second = new_uid(), new_uid(), new_uid()
    instances = await stored(stores, study, (first, 3), (second, 2))
    sop_instance_uid = instances[0].identifiers.sop_instance_uid
    await delete(archive, resource_of(study, first, sop_instance_uid))
    assert await check_study(archive, container, study) == 4
    await delete(archive, resource_of(study, first))
    assert await check_study(archive, container, study) == 2
    await delete(archive, resource_of(study))
    assert await check_study(archive, container, study) == 0
    assert await requests_in_journal(archive) == 0
    for term in (EVERY_STUDY, Term("SeriesInstanceUID", first), *terms_of_instance(instances[0].identifiers)):
        postings = archive.postings.read_term(DEFAULT_PARTITION, term)
        assert study_key(study) not in [posting.study async for posting in postings]


async def test_a_large_study_goes_in_several_batches(
    stores: StoreService, archive: Archive, container: ContainerClient
) -> None:
    study = new_uid()
    instances = await stored(stores, study, *((new_uid(), 1) for _ in range(120)))
    assert len(instances) == 120
    await delete(archive, resource_of(study))
    assert await check_study(archive, container, study) == 0


@pytest.mark.parametrize("series", [None, "9.9"])
async def test_deleting_what_does_not_exist_raises_not_found(archive: Archive, series: str | None) -> None:
    with pytest.raises(NotFound, match="no such study" if series is None else "no such series"):
        await delete(archive, resource_of(new_uid(), series))


async def test_deletes_that_meet_leave_nothing(
    stores: StoreService, archive: Archive, container: ContainerClient
) -> None:
    study, first, second = new_uid(), new_uid(), new_uid()
    await stored(stores, study, (first, 5), (second, 5))
    resources = [resource_of(study, first), resource_of(study, second), resource_of(study)]
    results = await asyncio.gather(*(delete(archive, resource) for resource in resources), return_exceptions=True)
    assert all(result is None or isinstance(result, NotFound) for result in results)
    assert await check_study(archive, container, study) == 0


async def test_storing_into_a_study_while_it_is_deleted_ends_consistent(
    stores: StoreService, archive: Archive, container: ContainerClient
) -> None:
    study = new_uid()
    await stored(stores, study, (new_uid(), 20))
    storing = [store(stores, *files_of(study, 4)) for _ in range(4)]
    deleting = [delete(archive, resource_of(study)) for _ in range(2)]
    await asyncio.gather(*storing, *deleting, return_exceptions=True)
    count = await check_study(archive, container, study)
    if count:
        await delete(archive, resource_of(study))
    assert await check_study(archive, container, study) == 0


async def test_a_contended_delete_fails_and_is_finished_later(
    stores: StoreService,
    archive: Archive,
    settings: Settings,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = new_uid()
    await stored(stores, study, (new_uid(), 2))

    async def changed(*_: object, **__: object) -> None:
        raise StudyChanged

    with monkeypatch.context() as patched:
        patched.setattr(type(archive.catalog), "commit", changed)
        patched.setattr("shared.services.write.contention._BACKOFF_SECONDS", 0)
        with pytest.raises(StudyContended):
            await delete(archive, resource_of(study))
    assert await check_study(archive, container, study) == 2
    await store(stores, *files_of(study, 1))
    assert (await replay_journal(archive, settings, now=LATER)).settled_entries == 1
    # what was stored after the delete began stays
    assert await check_study(archive, container, study) == 1
    assert await requests_in_journal(archive) == 0


async def test_a_series_stored_by_another_process_makes_a_delete_read_again(
    stores: StoreService,
    archive: Archive,
    settings: Settings,
    container: ContainerClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = new_uid()
    await store(stores, *files_of(study, 1))
    other = await Archive.open(settings)
    read_study, is_stored = archive.catalog.read_study, False

    async def read_and_let_another_store(key: StudyKey) -> StudyRevision | None:
        nonlocal is_stored
        found = await read_study(key)
        if not is_stored:
            is_stored = True
            await store(StoreService(other, settings), *files_of(study, 1))
        return found

    monkeypatch.setattr(archive.catalog, "read_study", read_and_let_another_store)
    await delete(archive, resource_of(study))
    assert is_stored
    assert await check_study(archive, container, study) == 0
    await other.close()


async def test_what_is_not_cleaned_up_in_time_is_left_to_the_next_maintenance(
    stores: StoreService, archive: Archive, settings: Settings, container: ContainerClient
) -> None:
    study, series = new_uid(), new_uid()
    instances = await stored(stores, study, (series, 100))
    await delete(archive, resource_of(study), answer_seconds=0)
    assert await archive.catalog.read_study(study_key(study)) is None
    assert [row async for row in archive.catalog.read_instances(study_key(study))] == []
    assert len(await blobs_of_study(container, study)) == 100
    # what is stored in the meantime is not touched
    await store(stores, *files_of(study, 1, series=series))
    assert (await replay_journal(archive, settings)).settled_entries == 1
    assert await check_study(archive, container, study) == 1
    assert await requests_in_journal(archive) == 0
    terms = [term for instance in instances for term in terms_of_instance(instance.identifiers)]
    assert [posting for term in terms async for posting in archive.postings.read_term(DEFAULT_PARTITION, term)] == []


async def test_what_arrived_before_a_delete_and_is_committed_after_its_answer_stays(
    stores: StoreService, archive: Archive, container: ContainerClient, settings: Settings
) -> None:
    study, series = new_uid(), new_uid()
    await stored(stores, study, (series, 1))
    is_deleted = asyncio.Event()

    async def arriving() -> AsyncIterator[Event]:
        async for event in events(files_of(study, 1, series=series)):
            if isinstance(event, MessageEnd):
                await is_deleted.wait()
            yield event

    storing = asyncio.create_task(
        stores.store(arriving(), answer_work(), partition=DEFAULT_PARTITION, study_instance_uid=None, api_version="v2")
    )
    async with asyncio.timeout(10):
        while len(await blobs_of_study(container, study)) < 2:  # noqa: ASYNC110 -- storage tells, and nobody else
            await asyncio.sleep(0.01)
    await delete(archive, resource_of(study), answer_seconds=0)
    is_deleted.set()
    (outcome,) = await storing
    assert isinstance(outcome, Stored)
    assert (await replay_journal(archive, settings)).settled_entries == 1
    assert await check_study(archive, container, study) == 1
    assert await requests_in_journal(archive) == 0


async def test_a_study_that_gains_an_instance_while_it_is_deleted_keeps_it(
    stores: StoreService, archive: Archive, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, series = new_uid(), new_uid()
    await stored(stores, study, (series, 100))
    commit, is_stored = archive.catalog.commit, False

    async def let_another_store_and_commit(*arguments: Any, **named: Any) -> StudyRevision | None:
        nonlocal is_stored
        if not is_stored:
            is_stored = True
            archive.study_lock(study_key(study)).release()
            await store(stores, *files_of(study, 1, series=series))
            await archive.study_lock(study_key(study)).acquire()
        return await commit(*arguments, **named)

    monkeypatch.setattr(archive.catalog, "commit", let_another_store_and_commit)
    await delete(archive, resource_of(study))
    assert await check_study(archive, container, study) == 1
    assert await requests_in_journal(archive) == 0


async def test_deleting_a_study_takes_an_operation_for_each_table_partition_and_few_others(
    stores: StoreService, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_uid()
    await stored(stores, study, (new_uid(), 300))
    counting = Counting()
    async with archive_through(counting, monkeypatch, settings) as counted:
        before = await counted.catalog.read_study(study_key(study))
        assert before is not None
        counting.operations.clear()
        await delete(counted, resource_of(study))
    listed = [term for term in before.record.posted if has_beginnings(term.keyword)]
    assert counting.operations == {
        "GET catalog": 2,  # the study, its instances
        "POST journal": 1,
        "POST catalog": 4,  # batches of 96
        "DELETE terms": len(before.record.posted) - len(listed),
        "POST terms": len(listed) + 4,  # the instances are numbered: one for those of each batch
        "POST dicom": 7,  # batches of 50, for the instances of each batch
        "PATCH journal": 1,  # changed
        "PUT journal": 1,  # done
    }
